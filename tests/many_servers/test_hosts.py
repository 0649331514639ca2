"""Several web hosts whose clocks differ by minutes, under load: behind one address for all servers,
with servers of their own, and while servers fail."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.clocks import Clock, ClockedEngine, build_library
from tests.support.crowd import Crowd
from tests.support.servers import Redis, wait_until
from tests.support.site_under_test import IMPATIENT, Site, session
from tests.support.wire import Wires

MINUTES: Final = 60.0
# Seconds by which each host's clock is ahead.
OFFSETS: Final = (5 * MINUTES, 0.0, -5 * MINUTES)
PROCESSES: Final = 2
# How long a crowd lives after a fault.
REST: Final = 15.0

Start = Callable[..., Crowd]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gives a process its own clock."""
    return build_library(tmp_path_factory.mktemp("clock"))


@pytest.fixture
def ends() -> Iterator[ExitStack]:
    """Ends with the test."""
    with ExitStack() as ends:
        yield ends


@pytest.fixture
def start(site: Site, library: Path, tmp_path: Path, ends: ExitStack) -> Start:
    """Starts the processes of all hosts, and students whose calls go to any of them; each host has
    its own settings."""

    def start(*own: dict[str, Any]) -> Crowd:
        processes, drains = [], []
        for number, offset in enumerate(OFFSETS):
            clock = Clock(tmp_path / f"clock{number}")
            clock.set(offset)
            settings = site.plain_settings() | IMPATIENT | own[number % len(own)]
            *some, drain = (
                ends.enter_context(ClockedEngine(settings, clock, library))
                for _ in range(PROCESSES + 1)
            )
            processes += some
            drains.append(drain)
        return Crowd(site, processes, drains, is_balanced=True)

    return start


@pytest.mark.parametrize("fault", ["nothing", "cache", "journal", "database"])
def test_clocks_minutes_apart(site: Site, start: Start, fault: str) -> None:
    def restart() -> None:
        if fault != "nothing":
            getattr(site.servers, fault).kill()
            time.sleep(2)
            getattr(site.servers, fault).start()

    report = start({}).live(restart, rest=REST)
    report.check(f"3 hosts, clocks 5 minutes apart, {fault} restarts")


def test_a_redis_cache_on_each_host(site: Site, start: Start, ends: ExitStack) -> None:
    caches = [site.servers.cache, *(ends.enter_context(Redis("cache")) for _ in OFFSETS[1:])]
    crowd = start(*({"cache_url": cache.url} for cache in caches))
    report = crowd.live(lambda: None, rest=REST)
    rows = site.sql("SELECT is_open FROM `memora_outage` WHERE server = 'caches'")
    assert rows[0]["is_open"]
    # Each answer waits until all processes that read from the cache know of it.
    report.check("3 hosts, a redis_cache on each", least=20)


def test_a_redis_queue_on_each_host(site: Site, start: Start, ends: ExitStack) -> None:
    """Once the hosts know of it: each may consider its own registered for half a minute."""
    journals = [site.servers.journal, *(ends.enter_context(Redis("journal")) for _ in OFFSETS[1:])]
    crowd = start(*({"journal_url": journal.url} for journal in journals))
    every = [*crowd.processes, *crowd.drains]
    site.add_users(*(f"nobody{number}@school.example" for number in range(len(every))))

    def is_settled() -> bool:
        """Whether the answers of all hosts but one are kept in MariaDB."""
        taken = [
            process.submit(f"nobody{number}@school.example", session_data=session("q"))
            for number, process in enumerate(every)
        ]
        kept = {row["token"] for row in site.sql("SELECT token FROM memora_journal")}
        return sum(answer["persistence_job_id"] in kept for answer in taken) == len(every) * 2 // 3

    assert wait_until(is_settled, 120.0)
    registered = "SELECT run_id FROM memora_registration WHERE name = 'journal'"
    counts = site.sql(registered)
    report = crowd.live(lambda: None, rest=REST)
    assert site.sql(registered) == counts
    report.check("3 hosts, a redis_queue on each, after half a minute")


def test_the_cache_fails_over_host_by_host(site: Site, start: Start, ends: ExitStack) -> None:
    """The old primary still answers existing connections, for some seconds."""
    new = ends.enter_context(Redis("cache"))
    wires = [ends.enter_context(Wires(site.servers)) for _ in OFFSETS]
    crowd = start(*({"cache_url": wire.settings["cache_url"]} for wire in wires))

    def fail_over() -> None:
        for wire in wires:
            wire.to["cache"].lead(new.port)
            wire.to["cache"].cut()
            time.sleep(1.5)

    report = crowd.live(fail_over, rest=REST)
    report.check("3 hosts, the cache fails over, host by host")
