"""Schedules are in their own database, because Frappe runs KEYS over that of its cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from memora._engine import Engine, ServiceUnavailable
from memora.patches.v1_0 import free_old_cache
from memora.services import monitor
from memora.services.engine import engine as present_engine
from memora.services.engine import forget_documents
from tests import frappe_standin as frappe
from tests.students.test_rehydrate import together
from tests.support.servers import SCHEDULES, Redis
from tests.support.site_under_test import (
    PLAYER,
    SEASON,
    SUBJECTS,
    Record,
    Site,
    ids,
    lasting_keys,
    session,
)

App = Callable[..., None]


def numbers_in_use(site: Site) -> set[str]:
    """The databases of the cache's server that hold anything."""
    return set(site.cache.info("keyspace"))


# -- where schedules are
# ----------------------------------------------------------------------------
def test_frappes_own_database_stays_as_it_is(site: Site, app: App) -> None:
    site.add(PLAYER, [Record("q")])
    own = site.servers.cache.client(0)
    own.set(f"{site.name}|user", "of Frappe's")
    assert ids(present_engine().due(PLAYER)) == ["q"]
    present_engine().submit(PLAYER, session_data=session("q"))
    assert own.keys("*") == [f"{site.name}|user"]
    assert numbers_in_use(site) == {"db0", f"db{SCHEDULES}"}


@pytest.mark.parametrize(("of_frappe", "expected"), [(0, 13), (5, 13), (13, 12)])
def test_by_default_it_is_another_database_of_the_same_server(
    site: Site, of_frappe: int, expected: int
) -> None:
    site.cache.flushall()
    url = f"{site.servers.cache.server_url}/{of_frappe}"
    site.engine(cache_url=None, frappe_cache_url=url).due(PLAYER)
    assert numbers_in_use(site) == {f"db{expected}"}


def test_a_setting_names_another_place(site: Site, app: App) -> None:
    site.cache.flushall()
    frappe.local.conf["srs_cache_url"] = f"{site.servers.cache.server_url}/7"
    present_engine().due(PLAYER)
    assert numbers_in_use(site) == {"db7"}


@pytest.fixture
def small_server() -> Iterator[Redis]:
    """A Redis that has only four databases, as some providers' have one."""
    with Redis("cache", options={"databases": 4}) as server:
        yield server


def test_a_database_that_is_refused_is_named(site: Site, small_server: Redis) -> None:
    site.add(PLAYER, [Record("q")])
    engine = site.engine(cache_url=None, frappe_cache_url=small_server.server_url)
    assert engine.due(PLAYER)["source"] == "safe_mode"
    cause = engine.cache_status([SEASON])["cause"]
    assert cause is not None
    assert "database 13" in cause
    assert "srs_cache_url" in cause


def test_a_database_that_others_use_is_named(site: Site, app: App) -> None:
    present_engine().due(PLAYER)
    assert monitor.cache_status()["cache_warning"] is None
    site.cache.set("celery-task-meta-1", "another app's")
    warning = str(monitor.cache_status()["cache_warning"])
    assert "Database 13" in warning
    assert "celery-task-meta-1" in warning
    assert "srs_cache_url" in warning


def test_other_sites_of_the_bench_are_no_strangers(
    site: Site, other_site: Site, engine: Engine
) -> None:
    other_site.add(PLAYER, [Record("q")])
    other_site.engine().due(PLAYER)
    assert site.cache.keys(f"{other_site.name}|*")
    assert engine.cache_status([SEASON])["warning"] is None


def test_one_redis_for_cache_and_journal_is_not_durable(site: Site) -> None:
    """`bench build` sends FLUSHALL to the server of redis_cache."""
    url = site.servers.journal.server_url
    engine = site.engine(cache_url=None, frappe_cache_url=url)
    status = engine.journal_status()
    assert not status["durable"]
    assert "one Redis" in (status["warning"] or "")


# -- what older versions left
# -----------------------------------------------------------------------
def test_old_schedules_are_freed_and_nothing_else(site: Site, other_site: Site, app: App) -> None:
    old = site.engine(cache_url=site.servers.cache.server_url)
    for number in range(30):
        site.add(f"student{number}@school.example", [Record("q")])
        old.due(f"student{number}@school.example")
    frappes = site.servers.cache.client(0)
    kept = {f"{site.name}|user", f"{other_site.name}|srs-season", "rq:queues"}
    frappes.mset(dict.fromkeys(kept, "kept"))
    present_engine().due(PLAYER)
    own = lasting_keys(site.cache)
    free_old_cache.execute()
    assert set(frappes.keys("*")) == kept
    assert lasting_keys(site.cache) == own


def test_a_cache_that_is_away_keeps_no_site_from_its_migration(
    site: Site, app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    site.servers.cache.kill()
    free_old_cache.execute()
    assert "left to expire" in capsys.readouterr().out


# -- what clear-cache means
# -------------------------------------------------------------------------
def test_clear_cache_forgets_what_is_known_of_documents_and_keeps_schedules(
    site: Site, app: App
) -> None:
    site.add(PLAYER, [Record("q")])
    engine = present_engine()
    engine.submit(PLAYER, session_data=session("q", subject=SUBJECTS[0]))
    site.sql("DELETE FROM `tabGame Subject` WHERE name = %s", (SUBJECTS[0],))
    forget_documents()
    assert not site.cache.exists(site.key("srs-season"), site.key("srs-links"))
    assert site.cache.exists(site.key("srs", PLAYER))


def test_clear_cache_does_not_fail_with_the_cache_away(site: Site, app: App) -> None:
    site.servers.cache.kill()
    forget_documents()
    with pytest.raises(ServiceUnavailable):
        present_engine().links_changed()


# -- a restored backup
# ------------------------------------------------------------------------------
@pytest.mark.parametrize("notices", ["check_cache", "prepare_storage"])
@pytest.mark.parametrize("is_partial", [False, True])
def test_a_restored_database_makes_schedules_void(
    site: Site, engine: Engine, notices: str, is_partial: bool
) -> None:
    """Its records are those of the backup, and so is the count of checks, if it has any."""
    site.add(PLAYER, [Record("q")])
    engine.check_cache()
    (backup,) = site.sql("SELECT checks FROM memora_check")
    engine.check_cache()
    engine.due(PLAYER)
    getattr(engine, notices)()
    assert engine.cache_stats(PLAYER, SEASON)["complete"]
    site.sql("UPDATE `tabPlayer Memory Tracker` SET next_review_date = '2030-01-01'")
    restore(site, 0 if is_partial else backup["checks"])
    assert ids(engine.due(PLAYER)) == ["q"]
    getattr(engine, notices)()
    assert not engine.cache_stats(PLAYER, SEASON)["complete"]
    assert ids(engine.due(PLAYER)) == []
    getattr(engine, notices)()
    assert engine.cache_stats(PLAYER, SEASON)["complete"]


@pytest.mark.parametrize("happened", ["restored", "emptied"])
def test_a_migration_after_it_keeps_nobody_from_being_loaded_again(
    site: Site, engine: Engine, happened: str
) -> None:
    engine.check_cache()
    if happened == "restored":
        restore(site, 0)
    else:
        site.cache.flushall()
    engine.prepare_storage()
    assert [engine.check_cache() for _ in range(2)] == [True, False]


def test_checks_side_by_side_raise_no_false_alarm(site: Site, engine: Engine) -> None:
    engine.check_cache()
    found: list[bool] = []

    def check() -> None:
        found.extend(site.engine().check_cache() for _ in range(50))

    together(check, check, check)
    assert found == [False] * 150


def test_tables_that_are_made_again_are_no_other_database(site: Site, engine: Engine) -> None:
    """As by OPTIMIZE, a copied data folder, or another node of a cluster."""
    engine.check_cache()
    site.sql("ALTER TABLE memora_belief FORCE")
    site.sql("ALTER TABLE memora_check FORCE")
    assert not engine.check_cache()


def restore(site: Site, checks: int) -> None:
    """The content of a backup from before the last check."""
    site.sql("UPDATE memora_check SET checks = %s", (checks,))
