"""A cache that was emptied, as by each `bench build`: the students of the last day are loaded
again."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module

import pytest

from memora import hooks
from memora._engine import Engine, InvalidInput
from memora.services import srs_persistence
from memora.services.engine import engine as present_engine
from tests import frappe_standin as frappe
from tests.support.servers import wait_until
from tests.support.site_under_test import BELIEVING, PLAYER, SEASON, Record, Site, ids, session

App = Callable[..., None]
RECENT = [f"recent{number}@school.example" for number in range(5)]
OTHERS = ["long-ago@school.example", "never@school.example"]


@pytest.fixture
def school(site: Site, engine: Engine) -> Site:
    """Students who just answered, one of two days ago, one who never did; none is cached."""
    for player in (*RECENT, *OTHERS):
        site.add(player, [Record("q")])
    for player in (*RECENT, OTHERS[0]):
        engine.submit(player, session_data=session("q"))
    engine.drain()
    site.sql(
        "UPDATE `tabMemory Review Audit` SET answered_at = answered_at - INTERVAL 2 DAY "
        "WHERE player = %s",
        (OTHERS[0],),
    )
    engine.check_cache()
    site.cache.flushall()
    return site


def cached(site: Site) -> set[str]:
    """The students who have a schedule."""
    return {player for player in (*RECENT, *OTHERS) if site.cache.exists(site.key("srs", player))}


def test_it_is_told_once_that_the_cache_was_emptied(school: Site) -> None:
    assert [school.engine().check_cache() for _ in range(2)] == [True, False]
    school.cache.flushall()
    assert [school.engine().check_cache() for _ in range(2)] == [True, False]


@pytest.mark.engines(**BELIEVING)
def test_those_of_the_last_day_are_loaded(school: Site, engine: Engine) -> None:
    assert engine.load_recent_students() == len(RECENT)
    assert cached(school) == set(RECENT)
    # Looks whether the cache may be believed.
    engine.due(RECENT[1])
    with school.counting() as costs:
        assert ids(engine.due(RECENT[0])) == []
    assert costs[0].statements == 0
    assert engine.load_recent_students() == 0


def test_what_is_cached_is_left_alone(school: Site, engine: Engine) -> None:
    engine.due(RECENT[0])
    assert engine.load_recent_students() == len(RECENT) - 1


def test_more_than_one_page(school: Site, engine: Engine) -> None:
    player = "busy@school.example"
    school.sql(
        "INSERT INTO `tabMemory Review Audit` (name, player, season, answered_at) "
        "SELECT CONCAT('busy-', seq), %s, %s, %s - INTERVAL seq DIV 3 SECOND FROM seq_1_to_12000",
        (player, SEASON, school.now()),
    )
    assert engine.load_recent_students() == len(RECENT) + 1


def test_a_season_that_does_not_use_the_cache_is_left_out_of_it(
    school: Site, engine: Engine
) -> None:
    school.sql(
        "UPDATE `tabGame Subscription Season` SET enable_redis = 0 WHERE name = %s", (SEASON,)
    )
    engine.season_changed()
    assert engine.load_recent_students() == 0
    assert cached(school) == set()


def test_one_process_does_it(school: Site, engine: Engine) -> None:
    with school.servers.database.connect(database=school.name) as other, other.cursor() as cursor:
        cursor.execute("SELECT GET_LOCK(CONCAT('memora-warm-up|', DATABASE()), 1)")
        assert engine.load_recent_students() == 0
    assert wait_until(lambda: engine.load_recent_students() == len(RECENT))


@pytest.mark.parametrize("share", [0, -1, 1.5])
def test_a_share_that_is_none_is_refused(engine: Engine, share: float) -> None:
    with pytest.raises(InvalidInput, match="share"):
        engine.load_recent_students(share)


def test_without_a_season_there_is_nobody(school: Site, engine: Engine) -> None:
    school.sql("UPDATE `tabGame Subscription Season` SET is_active = 0")
    engine.season_changed()
    assert engine.load_recent_students() == 0


def test_a_cache_that_was_restarted_is_filled_though_nobody_calls(
    school: Site, engine: Engine
) -> None:
    """It is another run, which must be registered first."""
    engine.due(RECENT[0])
    school.servers.cache.restart()
    assert engine.load_recent_students() == len(RECENT)
    assert cached(school) == set(RECENT)


def test_each_minute_it_is_looked_for(school: Site, app: App) -> None:
    srs_persistence.watch_cache()
    assert [job.method for job in frappe.recorded.jobs] == [srs_persistence.LOAD_JOB]
    srs_persistence.load_recent_students()
    assert cached(school) == set(RECENT)
    srs_persistence.watch_cache()
    assert len(frappe.recorded.jobs) == 1


@pytest.mark.parametrize("lost", ["cache", "journal", "database"])
def test_a_server_that_is_away_ends_no_job_with_a_fault(school: Site, app: App, lost: str) -> None:
    getattr(school.servers, lost).kill()
    srs_persistence.watch_cache()
    srs_persistence.load_recent_students()
    school.servers.heal()

    def is_loaded() -> bool:
        srs_persistence.load_recent_students()
        return cached(school) == set(RECENT)

    assert wait_until(is_loaded)


# -- the end of a job
# -------------------------------------------------------------------------------
@pytest.mark.parametrize("says_goodbye", [True, False])
def test_a_job_that_ends_leaves_no_aborted_connection(
    site: Site, app: App, says_goodbye: bool
) -> None:
    """RQ's process for a job ends without closing connections: the hook after_job must do it."""
    status = site.servers.database.status
    before = status("Aborted_clients")
    child = os.fork()
    if child == 0:
        try:
            present_engine().submit(PLAYER, session_data=session("q"))
            present_engine().drain()
            if says_goodbye:
                module, _, function = hooks.after_job.rpartition(".")
                getattr(import_module(module), function)()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    if says_goodbye:
        present_engine().due(PLAYER)
        assert status("Aborted_clients") == before
    else:
        assert wait_until(lambda: status("Aborted_clients") > before)


def test_a_closed_engine_goes_on(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record("q")])
    for _ in range(2):
        assert ids(engine.due(PLAYER)) == ["q"]
        engine.close()
