"""Redis behind Sentinel, by Frappe's own keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from memora._engine import InvalidInput, ServiceUnavailable
from memora.services.background import queue_answers
from memora.services.engine import engine as present_engine
from tests import frappe_standin as frappe
from tests.support.crowd import Crowd
from tests.support.sentinel import SERVICE, Watched, watched
from tests.support.servers import SCHEDULES, free_port, wait_until
from tests.support.site_under_test import PLAYER, Record, Site, ids, session

App = Callable[..., None]


@pytest.fixture
def journal() -> Iterator[Watched]:
    """A journal with a replica and a sentinel."""
    with watched("journal") as servers:
        yield servers


def keys_of(name: str, servers: Watched) -> dict[str, Any]:
    """An administrator's settings for Frappe."""
    return {
        f"{name}_sentinel_enabled": 1,
        f"{name}_sentinels": servers.settings["sentinels"],
        f"{name}_master_service": SERVICE,
    }


def test_frappes_keys_are_enough(site: Site, app: App, journal: Watched) -> None:
    site.add(PLAYER, [Record("q"), Record("r")])
    with watched("cache", replicas=0) as cache:
        del frappe.local.conf["redis_cache"], frappe.local.conf["redis_queue"]
        frappe.local.conf.update(keys_of("redis_cache", cache) | keys_of("redis_queue", journal))
        engine = present_engine()
        assert ids(engine.due(PLAYER)) == ["q", "r"]
        engine.submit(PLAYER, session_data=session("q"))
        assert f"db{SCHEDULES}" in cache.primary().client().info("keyspace")
        assert journal.primary().client().xlen(site.key("srs-journal")) == 1
        # The journal's entries are on its replica by default.
        assert engine.journal_status()["replicas_asked"] == 1
        assert queue_answers()
        for server in journal.servers:
            server.pause()
        assert not queue_answers()
        for server in journal.servers:
            server.resume()


def test_a_sentinel_may_want_a_password(site: Site, journal: Watched) -> None:
    with journal.sentinels[0].client() as client:
        client.execute_command("ACL", "SETUSER", "default", "resetpass", ">of-sentinels")
    wrong = site.engine(journal_url=None, journal_sentinel=journal.settings)
    with pytest.raises(ServiceUnavailable, match="no sentinel says where it is"):
        wrong.drain()
    secret = journal.settings | {"sentinel_password": "of-sentinels"}
    right = site.engine(journal_url=None, journal_sentinel=secret)
    assert right.journal_status()["reachable"]


def test_the_next_sentinel_is_asked(site: Site, journal: Watched) -> None:
    away = f"127.0.0.1:{free_port()}"
    address = journal.settings | {"sentinels": [away, *journal.settings["sentinels"]]}
    engine = site.engine(journal_url=None, journal_sentinel=address)
    assert engine.journal_status()["reachable"]


def test_what_no_sentinel_can_be_asked_is_refused(site: Site, journal: Watched) -> None:
    changes: list[dict[str, Any]] = [
        {"sentinels": []},
        {"master_service": ""},
        {"sentinels": ["a:b"]},
        # Frappe has no key for TLS with Sentinel.
        {"sentinels": ["rediss://10.0.0.1:26379"]},
    ]
    for change in changes:
        with pytest.raises(InvalidInput):
            site.settings(journal_url=None, journal_sentinel=journal.settings | change)


def test_kept_connections_leave_a_demoted_primary(site: Site) -> None:
    """Also of a process that only reads: a replica answers it for ever."""
    site.add(PLAYER, [Record("q")])
    with watched("cache") as cache:
        engine = site.engine(cache_url=None, frappe_cache_sentinel=cache.settings)
        assert ids(engine.due(PLAYER)) == ["q"]
        old = cache.primary()
        cache.fail_over()
        new = cache.await_other(old)
        key = site.key("srs", PLAYER)

        def is_cached_there() -> bool:
            engine.due(PLAYER)
            return bool(new.client().exists(key))

        new.client().delete(key)
        assert wait_until(is_cached_there)


@pytest.mark.engines(redis_timeout_ms=150)
def test_a_planned_failover_loses_no_answer(site: Site, journal: Watched) -> None:
    settings = {"journal_url": None, "journal_sentinel": journal.settings, "journal_replicas": 1}
    crowd = Crowd.of(site, settings, processes=2, students=10)
    old = journal.primary()

    def fail_over() -> None:
        journal.fail_over()
        journal.await_other(old)

    crowd.live(fail_over, after=1.0, rest=2.0).check("journal, planned", least=20)
