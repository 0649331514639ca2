"""The network between processes and servers, and servers without a replica: whatever fails, no
acknowledged answer is lost, doubled or undone, and no read shows an older state."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.support.crowd import PROCESSES, Crowd
from tests.support.names import SILENT, NamedEngine
from tests.support.servers import SCHEDULES
from tests.support.site_under_test import IMPATIENT, Site
from tests.support.wire import Exchange, Wires

pytestmark = pytest.mark.engines(**IMPATIENT)

HERE: Final = "127.0.0.1"
SECONDS: Final = 3.0


def test_a_nat_forgets_all_connections_again_and_again(site: Site) -> None:
    """Also those that are in use."""
    with Exchange() as exchange:
        wires = [Wires(site.servers, exchange) for _ in range(PROCESSES + 1)]
        *processes, drain = (site.engine(**one.settings) for one in wires)

        def forget() -> None:
            for _ in range(6):
                for one in wires:
                    for wire in one.to.values():
                        wire.forget()
                time.sleep(1)

        report = Crowd(site, processes, [drain]).live(forget)
    report.check("a NAT forgets all connections, six times")


def test_a_name_server_falls_silent(site: Site, tmp_path: Path) -> None:
    """Processes that must connect again still find the servers."""
    cache, journal = site.servers.cache, site.servers.journal
    settings = site.plain_settings() | {
        "cache_url": f"redis://redis-cache:{cache.port}/{SCHEDULES}",
        "journal_url": f"redis://redis-queue:{journal.port}",
        "database_host": "mariadb",
    }
    with ExitStack() as ends:
        engines = []
        for number in range(PROCESSES + 1):
            folder = tmp_path / str(number)
            folder.mkdir()
            known = {"redis_cache": HERE, "redis_queue": HERE, "mariadb": HERE}
            engines.append(ends.enter_context(NamedEngine(folder, settings, **known)))
        *processes, drain = engines

        def fall_silent() -> None:
            for engine in engines:
                engine.know(redis_cache=SILENT, redis_queue=SILENT, mariadb=SILENT)
                engine.close()

        report = Crowd(site, processes, [drain]).live(fall_silent)
    report.check("the name server falls silent, connections are made again")


@pytest.mark.parametrize("server", ["cache", "journal", "database"])
@pytest.mark.parametrize("fault", ["killed", "hanging"])
def test_a_server_without_a_replica(site: Site, server: str, fault: str) -> None:
    """It is down for three seconds."""
    away = getattr(site.servers, server)

    def fail() -> None:
        if fault == "killed":
            away.kill()
            time.sleep(SECONDS)
            away.start()
        else:
            away.pause()
            time.sleep(SECONDS)
            away.resume()

    Crowd.of(site, {}).live(fail).check(f"{server}, no replica, {fault}")
