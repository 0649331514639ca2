"""memora.services, as other apps and background jobs use it, with the stand-in for frappe."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from importlib import import_module

import pytest

from memora import hooks
from memora._engine import EngineFault
from memora.api import reviews
from memora.services import partition_manager, srs_persistence, storage
from memora.services.engine import engine as engine_of_site
from memora.services.engine import notice_time_zone
from memora.services.srs_redis_manager import SRSRedisManager
from tests import frappe_standin as frappe
from tests.administrators.test_partition import new_season
from tests.app.test_api import answers, ids
from tests.consistency.test_drain import NOTHING, age_written
from tests.students.test_due import overdue
from tests.support.servers import wait_until
from tests.support.site_under_test import (
    BELIEVING,
    PLAYER,
    SEASON,
    TRACKER,
    Record,
    Servers,
    Site,
    lasting_keys,
    session,
)

App = Callable[..., None]


# -- srs_redis_manager --------------------------------------------------------------------------
def test_the_manager_sets_and_reads_one_students_cache(site: Site, app: App) -> None:
    manager, now = SRSRedisManager(), datetime.now(timezone.utc)
    past, ahead = now - timedelta(minutes=5), now + timedelta(days=1)
    assert manager.is_available()
    assert manager.add_item(PLAYER, SEASON, "aware", past)
    assert manager.add_item(PLAYER, SEASON, "naive", past.replace(tzinfo=None))
    assert manager.add_batch(
        PLAYER, SEASON, {"text": f"{past:%Y-%m-%d %H:%M:%S}", "unix": ahead.timestamp()}
    )
    scores = manager.get_all_scores(PLAYER, SEASON)
    assert {name: scores[name] for name in ("aware", "naive", "text")} == dict.fromkeys(
        ("aware", "naive", "text"), float(int(past.timestamp()))
    )
    assert manager.count_due_items(PLAYER, SEASON) == 3
    due = {"aware", "naive", "text"}
    assert set(manager.get_due_items(PLAYER, SEASON)) == due
    assert {name for name, _ in manager.get_due_times(PLAYER, SEASON)} == due
    assert manager.remove_item(PLAYER, SEASON, "text")
    assert manager.get_cache_stats(PLAYER, SEASON)["records"] == 3
    assert manager.clear_user_cache(PLAYER, SEASON)
    assert manager.get_all_scores(PLAYER, SEASON) == {}
    assert site.rows() == {}


def test_the_manager_knows_the_zone_of_the_site(servers: Servers, site: Site, app: App) -> None:
    app(Site(servers, site.name, "Asia/Amman"))
    manager = SRSRedisManager()
    manager.add_item(PLAYER, SEASON, "q", datetime(2026, 7, 1, 12))
    assert manager.get_all_scores(PLAYER, SEASON) == {
        "q": datetime(2026, 7, 1, 9, tzinfo=timezone.utc).timestamp()
    }


def test_the_manager_loads_what_is_not_cached(site: Site, app: App) -> None:
    site.add(PLAYER, overdue(5))
    manager = SRSRedisManager()
    assert manager.get_due_items(PLAYER, SEASON) == []
    found = manager.get_due_questions(PLAYER, SEASON, limit=2)
    assert [question["question_id"] for question in found] == ["q000", "q001"]
    assert manager.count_due_items(PLAYER, SEASON) == 5
    assert manager.get_cache_stats(PLAYER, SEASON)["complete"]


def test_the_manager_without_its_server(site: Site, app: App) -> None:
    from memora.services.errors import ReviewsUnavailable

    site.servers.cache.kill()
    manager = SRSRedisManager()
    assert not manager.is_available()
    with pytest.raises(ReviewsUnavailable):
        manager.get_due_items(PLAYER, SEASON)


# -- srs_persistence ----------------------------------------------------------------------------
def test_the_job_writes_what_has_gathered(site: Site, app: App) -> None:
    reviews.submit_review_session(session_data=answers("p", "q"))
    report = srs_persistence.persist_review_batch()
    assert report == NOTHING | {"submissions": 1, "answers": 2}
    assert sorted(site.rows()) == ["p", "q"]


def test_poison_alerts_the_administrators(site: Site, app: App) -> None:
    site.journal.xadd(site.key("srs-journal"), {"player": PLAYER, "season": SEASON, "answers": "{"})
    srs_persistence.persist_review_batch()
    (notification,) = frappe.recorded.notifications
    assert notification["users"] == ["manager@school.example"]
    assert "poison" in notification["link"]


def test_a_server_that_is_down_leaves_the_answers_where_they_are(site: Site, app: App) -> None:
    reviews.submit_review_session(session_data=answers("q"))
    site.servers.journal.kill()
    assert srs_persistence.persist_review_batch() is None
    site.servers.journal.start()
    frappe.recorded.jobs.clear()

    def is_written() -> bool:
        srs_persistence.drain_safety_net()
        return list(site.rows()) == ["q"]

    assert wait_until(is_written)


def test_the_safety_net_drains_without_any_job(site: Site, app: App) -> None:
    reviews.submit_review_session(session_data=answers("q"))
    frappe.recorded.jobs.clear()
    srs_persistence.drain_safety_net()
    assert list(site.rows()) == ["q"]
    with site.listening() as statements:
        srs_persistence.drain_safety_net()
    assert not any(TRACKER in statement for statement in statements)


def test_the_safety_net_lets_go_of_what_was_saved_lately(site: Site, app: App) -> None:
    reviews.submit_review_session(session_data=answers("q"))
    srs_persistence.persist_review_batch()
    age_written(site)
    srs_persistence.drain_safety_net()
    assert engine_of_site().journal_status()["saved_lately"] == 0
    assert site.journal.keys("*srs-pending*") == []


# -- storage and partitions ---------------------------------------------------------------------
def test_storage_is_prepared_again_and_again(site: Site, app: App) -> None:
    for _ in range(3):
        storage.prepare_storage()
    assert frappe.recorded.errors == []


def test_a_seasons_partition_is_made_and_noted(site: Site, app: App) -> None:
    name = new_season()
    site.insert(
        "Game Subscription Season", name=name, season_name=name, is_active=0, partition_created=0
    )
    assert not partition_manager.check_partition_exists(name)
    assert partition_manager.create_season_partition(name)
    assert partition_manager.check_partition_exists(name)
    assert not partition_manager.create_season_partition(name)
    row = site.sql(
        "SELECT partition_created FROM `tabGame Subscription Season` WHERE name = %s", (name,)
    )
    assert row == [{"partition_created": 1}]


def test_a_season_that_is_gone_gets_no_partition(site: Site, app: App) -> None:
    name = new_season()
    assert not partition_manager.create_season_partition(name)
    assert not partition_manager.check_partition_exists(name)


def test_partitions_that_are_missing_are_made(site: Site, app: App) -> None:
    names = [new_season(), new_season()]
    for name in names:
        site.insert(
            "Game Subscription Season",
            name=name,
            season_name=name,
            is_active=0,
            partition_created=0,
        )
    partition_manager.create_missing_partitions()
    assert all(partition_manager.check_partition_exists(name) for name in names)


# -- the engine of the site ---------------------------------------------------------------------
def test_one_engine_for_a_site(app: App) -> None:
    assert engine_of_site() is engine_of_site()


def test_new_settings_make_a_new_engine(site: Site, app: App) -> None:
    before = engine_of_site()
    frappe.local.conf["srs_max_questions"] = 1
    assert engine_of_site() is not before
    site.add(PLAYER, [Record("q")])
    with pytest.raises(frappe.ValidationError):
        reviews.submit_review_session(session_data=answers("another"))
    assert ids(reviews.get_review_session()) == ["q"]


def test_tls_to_mariadb_wants_all_three_keys_as_in_frappe(app: App) -> None:
    frappe.local.conf |= {"db_ssl_ca": "/nowhere", "db_ssl_cert": "/nowhere"}
    assert engine_of_site().cache_available()
    frappe.local.conf["db_ssl_key"] = "/nowhere"
    with pytest.raises(EngineFault, match="db_ssl_ca cannot be used: /nowhere"):
        engine_of_site()


@pytest.mark.engines(**BELIEVING)
def test_frappe_clears_its_cache_and_leaves_schedules(site: Site, app: App) -> None:
    site.add(PLAYER, [Record("q")])
    engine_of_site().submit(PLAYER, session_data=session("new", subject="Science"))
    engine_of_site().rebuild(SEASON)
    engine_of_site().due(PLAYER)
    keys = lasting_keys(site.cache)
    clear_cache(site)
    assert keys - lasting_keys(site.cache) == {site.key("srs-season"), site.key("srs-links")}
    with site.listening() as statements:
        assert ids(engine_of_site().due(PLAYER)) == ["q"]
    assert not any(TRACKER in statement for statement in statements)
    with site.counting() as costs:
        assert ids(engine_of_site().due(PLAYER)) == ["q"]
    assert costs[0].statements == 0


def clear_cache(site: Site) -> None:
    """As `frappe.clear_cache` does: all keys of the site in the database of redis_cache, then the
    hook."""
    with site.servers.cache.client(0) as frappes:
        frappes.delete("a key", *frappes.keys(f"{site.name}|*"))
    module, _, function = hooks.clear_cache.rpartition(".")
    getattr(import_module(module), function)()


def test_another_time_zone_makes_cached_dates_void(site: Site, app: App) -> None:
    site.add(PLAYER, [Record("q", timedelta(hours=1))])
    assert engine_of_site().due(PLAYER)["total_due"] == 0
    settings = frappe.Document({"time_zone": "UTC"})
    frappe.local.time_zone = "Asia/Tokyo"
    notice_time_zone(frappe.Document({"time_zone": "Asia/Tokyo"}, before=settings), "on_update")
    frappe.local.db.commit()
    # In Tokyo that hour is long past.
    assert engine_of_site().due(PLAYER)["total_due"] == 1


def test_the_engines_words_reach_the_student_without_html(app: App) -> None:
    with pytest.raises(frappe.ValidationError) as refusal:
        reviews.submit_review_session(session_data=session("q", subject="<b>x</b>"))
    assert "<b>" not in str(refusal.value)
