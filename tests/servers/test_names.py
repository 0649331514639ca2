"""Servers are found by their names: a moved server is found again, and a silent name server delays
no call for long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.consistency.test_drain import kept
from tests.support.names import SILENT, SILENT_SECONDS, SLOW, NamedEngine
from tests.support.sentinel import watched
from tests.support.servers import SCHEDULES, wait_until
from tests.support.site_under_test import IMPATIENT, PLAYER, Record, Site, ids, session

HERE = "127.0.0.1"
# No server listens there.
ELSEWHERE = "127.0.0.9"
ALL = {"redis_cache": HERE, "redis_queue": HERE, "mariadb": HERE}


@pytest.fixture
def process(site: Site, tmp_path: Path) -> Iterator[NamedEngine]:
    """A process that knows the site's servers by their names."""
    cache, journal, _ = site.servers.cache, site.servers.journal, site.servers.database
    site.add(PLAYER, [Record("q"), Record("r")])
    settings = site.plain_settings() | {
        "cache_url": f"redis://redis-cache:{cache.port}/{SCHEDULES}",
        "journal_url": f"redis://redis-queue:{journal.port}",
        "database_host": "mariadb",
        **IMPATIENT,
    }
    with NamedEngine(tmp_path, settings, **ALL) as process:
        assert ids(process.due(PLAYER)) == ["q", "r"]
        assert process.submit(PLAYER, session_data=session("q"))["persistence_job_id"]
        yield process


def test_a_name_server_that_does_not_answer_any_more_costs_nothing(
    site: Site, process: NamedEngine
) -> None:
    process.know(redis_cache=SILENT, redis_queue=SILENT, mariadb=SILENT)
    process.close()
    began = time.monotonic()
    assert ids(process.due(PLAYER)) == ["r"]
    assert process.submit(PLAYER, session_data=session("r"))["persistence_job_id"]
    assert process.drain()["remaining"] == 0
    assert process.outage_news() == []
    assert time.monotonic() - began < SILENT_SECONDS
    assert len(site.rows()) == 2


def test_a_name_server_that_never_answered_is_not_waited_for(site: Site, tmp_path: Path) -> None:
    settings = site.plain_settings() | {"cache_url": "redis://redis-cache:1/13", **IMPATIENT}
    site.add(PLAYER, [Record("q")])
    with NamedEngine(tmp_path, settings, redis_cache=SILENT) as process:
        began = time.monotonic()
        assert process.due(PLAYER)["is_degraded"]
        assert time.monotonic() - began < SILENT_SECONDS
        status = process.cache_status([])
        assert "the name redis-cache: the name server does not answer" in status["cause"]


def test_a_sentinel_whose_name_server_is_silent_costs_nothing(site: Site, tmp_path: Path) -> None:
    with watched("journal", replicas=0) as journal:
        [sentinel] = journal.sentinels
        address = journal.settings | {"sentinels": [f"sentinel:{sentinel.port}"]}
        settings = site.plain_settings() | {
            "journal_url": None,
            "journal_sentinel": address,
            **IMPATIENT,
        }
        answer = session("q")
        with NamedEngine(tmp_path, settings, sentinel=HERE) as process:
            assert process.submit(PLAYER, session_data=answer)["persistence_job_id"]
            process.know(sentinel=SILENT)
            process.close()
            began = time.monotonic()
            assert process.submit(PLAYER, session_data=answer)["persistence_job_id"]
            assert process.outage_news() == []
            assert time.monotonic() - began < SILENT_SECONDS
        with NamedEngine(tmp_path, settings, sentinel=SILENT) as process:
            began = time.monotonic()
            taken = process.submit(PLAYER, session_data=answer)["persistence_job_id"]
            assert kept(site) == [taken]
            assert time.monotonic() - began < SILENT_SECONDS
            warning = process.journal_status()["warning"]
            assert "the name sentinel: the name server does not answer" in warning


def test_a_server_that_moved_is_followed(site: Site, process: NamedEngine) -> None:
    process.know(**(ALL | {"redis_cache": ELSEWHERE}))
    process.close()
    assert process.due(PLAYER)["is_degraded"]
    process.know(**ALL)
    assert_recovers(process)


def test_a_server_that_moved_is_followed_though_the_name_server_is_slow(
    site: Site, process: NamedEngine
) -> None:
    """No call waits for it as long as it takes."""
    process.know(**(ALL | {"redis_cache": SLOW + ELSEWHERE}))

    def is_followed() -> bool:
        process.close()
        return bool(process.due(PLAYER)["is_degraded"])

    assert wait_until(is_followed)
    process.know(**(ALL | {"redis_cache": SLOW + HERE}))
    assert_recovers(process)


def test_a_name_that_is_gone_is_not_reached_by_its_old_address(
    site: Site, process: NamedEngine
) -> None:
    """Another server may have that address by now."""
    process.know(redis_queue=HERE, mariadb=HERE)
    process.close()
    assert process.due(PLAYER)["is_degraded"]
    process.know(**ALL)
    assert_recovers(process)


def assert_recovers(process: NamedEngine) -> None:
    deadline = time.monotonic() + 60
    while process.cache_available() is not True:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not process.due(PLAYER)["is_degraded"]
