"""One value with the servers' addresses; unusable settings are refused with a reason."""

from __future__ import annotations

import logging
from typing import Any

import pytest

import memora._engine
from memora._engine import Engine, InvalidInput, MemoraError, ServiceUnavailable, Settings
from tests.support.site_under_test import PLAYER, Record, Site, ids, session

PLAIN: dict[str, Any] = {
    "site": "site",
    "cache_url": "redis://127.0.0.1:1",
    "journal_url": "redis://127.0.0.1:2",
    "database_name": "site",
    "database_user": "site",
    "database_password": "s3cret-word",
}


def test_the_least_is_enough() -> None:
    assert isinstance(Settings(**PLAIN), Settings)


@pytest.mark.parametrize(
    "change",
    [
        {"site": ""},
        {"cache_url": "http://127.0.0.1"},
        {"cache_url": ""},
        {"cache_url": None},
        {"cache_url": None, "frappe_cache_url": "http://127.0.0.1"},
        # Frappe looks through its own database at each login.
        {"cache_url": "redis://127.0.0.1:1/5", "frappe_cache_url": "redis://127.0.0.1:1/5"},
        {"cache_url": "redis://127.0.0.1:1", "frappe_cache_url": "redis://127.0.0.1:1/0"},
        {"journal_url": "nonsense"},
        {"journal_url": None},
        {"journal_replicas": 16},
        {"time_zone": "Mars/Olympus"},
        {"time_zone": ""},
        {"max_questions": 0},
        {"leech_lapses": 1001},
        {"redis_timeout_ms": 0},
        {"database_timeout_ms": 0},
        {"cache_ttl_seconds": 0},
        {"trust_lease_ms": 0},
    ],
)
def test_what_cannot_be_used_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as refusal:
        Settings(**(PLAIN | change))
    assert refusal.value.args[0]


def test_frappes_own_cache_does_not_matter_where_another_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Frappe's redis-py may do what memora does not."""
    frappes = "redis://127.0.0.1:1?option_to_come=1"
    with caplog.at_level(logging.WARNING):
        assert Settings(**(PLAIN | {"frappe_cache_url": frappes}))
    assert "redis_cache cannot be used: memora does not know its option" in caplog.text


@pytest.mark.parametrize("name", [name for name in PLAIN if not name.endswith("_url")])
def test_nothing_that_is_needed_may_be_missing(name: str) -> None:
    with pytest.raises(TypeError, match=name):
        Settings(**{key: value for key, value in PLAIN.items() if key != name})


def test_arguments_go_by_name() -> None:
    with pytest.raises(TypeError):
        Settings(*PLAIN.values())  # type: ignore[call-arg]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Amman", "America/New_York", "Australia/Lord_Howe"])
def test_time_zones_are_known_without_the_system(zone: str) -> None:
    assert Settings(**(PLAIN | {"time_zone": zone}))


def test_an_engine_is_made_without_its_servers() -> None:
    engine = Engine(Settings(**PLAIN))
    assert not engine.cache_available()
    with pytest.raises(ServiceUnavailable):
        engine.due(PLAYER)


def test_a_socket_of_the_database_wins(site: Site) -> None:
    socket = str(site.servers.database.socket)
    engine = site.engine(database_socket=socket, database_host="203.0.113.1", database_port=1)
    site.add(PLAYER, [Record("q")])
    assert ids(engine.due(PLAYER)) == ["q"]


def test_a_database_number_of_redis_is_kept(site: Site) -> None:
    engine = site.engine(
        cache_url=f"{site.servers.cache.server_url}/5",
        journal_url=f"{site.servers.journal.server_url}/6",
    )
    site.cache.flushall()
    engine.submit(PLAYER, session_data=session("q"))
    assert site.cache.info("keyspace").keys() == {"db5"}
    assert site.journal.info("keyspace").keys() == {"db6"}


def test_passwords_of_redis_are_used(site: Site) -> None:
    word = "p@ss:w/rd%"
    quoted = "p%40ss%3Aw%2Frd%25"
    site.cache.acl_setuser(
        "shelf", enabled=True, passwords=[f"+{word}"], keys=["*"], commands=["+@all"]
    )
    url = f"redis://shelf:{{}}@127.0.0.1:{site.servers.cache.port}"
    site.add(PLAYER, [Record("q")])
    assert site.engine(cache_url=url.format(quoted)).cache_available()
    assert not site.engine(cache_url=url.format("wrong")).cache_available()
    site.cache.acl_deluser("shelf")


def test_passwords_are_told_to_nobody(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "s3cret-word"
    settings = site.settings(
        database_password=secret,
        cache_url=f"redis://user:{secret}@127.0.0.1:1",
        journal_url=f"redis://user:{secret}@127.0.0.1:2",
    )
    assert secret not in repr(settings)
    with pytest.raises(MemoraError) as fault:
        Engine(settings).due(PLAYER)
    assert secret not in str(fault.value)
    with pytest.raises(InvalidInput) as refusal:
        site.settings(cache_url=f"nonsense://user:{secret}@127.0.0.1:1")
    assert secret not in str(refusal.value)
    assert secret not in caplog.text


def test_logs_arrive_in_python(
    site: Site, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    engine.due(PLAYER)
    site.servers.cache.kill()
    with caplog.at_level(logging.WARNING):
        engine.due(PLAYER)
    assert any("cache" in record.getMessage() for record in caplog.records)


def test_the_module_tells_its_version() -> None:
    assert memora._engine.__version__.count(".") == 2


def test_one_hierarchy_of_errors() -> None:
    names = [
        "InvalidInput",
        "SeasonUnavailable",
        "RateLimited",
        "ServiceUnavailable",
        "EngineFault",
    ]
    for name in names:
        assert issubclass(getattr(memora._engine, name), MemoraError)
    assert issubclass(MemoraError, Exception)
