"""A session in Frappe's cache, read with the questions that are due for its user."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any, Final

import pytest
import redis

from memora._engine import Engine, MemoraError, ServiceUnavailable
from tests.support.servers import Redis, wait_until
from tests.support.site_under_test import (
    BELIEVING,
    IMPATIENT_WITH_REDIS,
    PLAYER,
    SCHEDULE,
    SEASON,
    Record,
    Site,
)

SID: Final = "0123456789abcdef" * 3
# What is in no pickle, and what ends a line.
VALUE: Final = bytes(range(256)) + b"\r\n$-1\r\n"


def engine_of(site: Site) -> Engine:
    return site.engine(frappe_cache_url=site.servers.cache.server_url, **BELIEVING)


@pytest.fixture
def engine(site: Site) -> Engine:
    return engine_of(site)


@pytest.fixture
def frappe(site: Site) -> redis.Redis[Any]:
    """Frappe's own cache."""
    return redis.Redis.from_url(site.servers.cache.server_url)


def test_nothing_is_known_of_a_session_that_is_not_there(engine: Engine) -> None:
    assert engine.frappe_session(SID, PLAYER) == {
        "record": None,
        "last_update": None,
        "user": None,
        "redirect": None,
        "recorder": None,
        "hooks_length": 0,
        "due": None,
    }


def test_each_value_is_read_as_it_is(site: Site, engine: Engine, frappe: redis.Redis[Any]) -> None:
    user = "Ünal:|* \n@school.example"
    frappe.hset(f"{site.name}|session", SID, VALUE)
    frappe.hset(f"{site.name}|last_db_session_update", SID, b"2")
    frappe.set(f"{site.name}|document_cache::User::{user}", b"3" * 100_000)
    frappe.hset(f"{site.name}|redirect_after_login", user, b"")
    frappe.set(f"{site.name}|recorder-intercept", b"5")
    frappe.set(f"{site.name}|app_hooks", b"6" * 6)
    for _ in range(2):
        assert engine.frappe_session(SID, user, 20) == {
            "record": VALUE,
            "last_update": b"2",
            "user": b"3" * 100_000,
            "redirect": b"",
            "recorder": b"5",
            "hooks_length": 6,
            "due": None,
        }
    found = engine.frappe_session(SID[:-1], user[:-1])
    assert (found["record"], found["user"], found["redirect"]) == (None, None, None)


def test_what_is_due_is_what_the_cache_has(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record("q"), Record("r"), Record("later", due_in=timedelta(hours=1))])
    # Cold: nothing is loaded.
    assert engine.frappe_session(SID, PLAYER, 20)["due"] is None
    assert not site.cache.exists(site.key(SCHEDULE[0], PLAYER))
    whole = engine.due(PLAYER)
    for limit in (1, 2, 20, 50):
        with site.counting() as costs:
            found = engine.frappe_session(SID, PLAYER, limit)["due"]
        assert costs[0].statements == 0
        assert found == {**whole, "questions": whole["questions"][:limit]}
    engine.submit(PLAYER, responses='[{"question_id": "q", "quality": 5}]')
    assert engine.frappe_session(SID, PLAYER, 20)["due"] == engine.due(PLAYER)


def test_where_more_must_be_asked_nothing_is(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record("q")])
    engine.due(PLAYER)

    def due(player: str = PLAYER, limit: int | None = 20) -> object:
        return engine.frappe_session(SID, player, limit)["due"]

    assert due() is not None
    for player, limit in (
        (PLAYER, None), (PLAYER, 0), (PLAYER, 51), ("", 20), ("cold@school.example", 20),
    ):  # fmt: skip
        assert due(player, limit) is None
    # A process that has not asked yet knows no season.
    assert engine_of(site).frappe_session(SID, PLAYER, 20)["due"] is None
    # Nobody has looked lately whether the cache lacks an answer.
    hasty = site.engine(frappe_cache_url=site.servers.cache.server_url, trust_lease_ms=1)
    hasty.due(PLAYER)
    time.sleep(0.05)
    site.cache.delete(site.key("srs-looked"))
    assert hasty.frappe_session(SID, PLAYER, 20)["due"] is None
    # Another season is active by now.
    site.cache.set(site.key("srs-season"), "another")
    assert due() is None
    assert engine.due(PLAYER)["season"] == SEASON


def test_a_key_of_another_type_is_no_session(
    site: Site, engine: Engine, frappe: redis.Redis[Any]
) -> None:
    key = f"{site.name}|session"
    frappe.set(key, b"x")
    for _ in range(3):
        with pytest.raises(MemoraError):
            engine.frappe_session(SID, PLAYER)
    frappe.delete(key)
    frappe.hset(key, SID, b"1")
    # The connection has nothing left of the calls before.
    assert engine.frappe_session(SID, PLAYER)["record"] == b"1"


def test_a_cache_that_hangs_is_not_waited_for(site: Site) -> None:
    with Redis("cache") as frappe:
        engine = site.engine(
            cache_url=site.servers.cache.url,
            frappe_cache_url=frappe.server_url,
            **IMPATIENT_WITH_REDIS,
        )
        assert engine.frappe_session(SID, PLAYER)["record"] is None
        frappe.pause()
        for _ in range(3):
            with pytest.raises(ServiceUnavailable):
                engine.frappe_session(SID, PLAYER)
        # Schedules are elsewhere.
        assert engine.due(PLAYER)["source"] == "cache"
        frappe.resume()


def test_one_server_for_both_may_hang_and_come_back(site: Site) -> None:
    site.add(PLAYER, [Record("q")])
    cache = site.servers.cache
    engine = site.engine(frappe_cache_url=cache.server_url, **BELIEVING, **IMPATIENT_WITH_REDIS)
    due = engine.due(PLAYER)
    assert engine.frappe_session(SID, PLAYER, 20)["due"] == due
    cache.pause()
    try:
        for _ in range(3):
            with pytest.raises(ServiceUnavailable):
                engine.frappe_session(SID, PLAYER, 20)
    finally:
        cache.resume()

    def is_there() -> bool:
        try:
            return engine.frappe_session(SID, PLAYER, 20)["due"] == due
        except ServiceUnavailable:
            # The breaker is open for a while.
            return False

    assert wait_until(is_there)
    # The connections have nothing left of the calls before.
    assert engine.frappe_session(SID, "another@school.example", 20)["due"] is None
    assert engine.frappe_session(SID, PLAYER, 20)["due"] == due
