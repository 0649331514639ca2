"""Many seasons: which one students see, and what is reported about the others."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memora._engine import Engine
from memora.api import srs
from memora.memora.doctype.game_subscription_season.game_subscription_season import (
    GameSubscriptionSeason,
)
from memora.services import monitor
from memora.services.metrics import metrics_text
from memora.services.seasons import active_seasons
from memora.services.srs_archiver import SRSArchiver
from memora.services.srs_jobs import JOB, latest_jobs
from memora.services.srs_reconciliation import reconcile_cache_with_database
from tests import frappe_standin as frappe
from tests.support.site_under_test import PLAYER, SEASON, Record, Site

App = Callable[..., None]
TABLE = "`tabGame Subscription Season`"


def add_season(
    site: Site, name: str, starts_in: int = -10, lasts: int = 20, **values: object
) -> None:
    """An active season; days are counted from today."""
    start = site.now().date() + timedelta(days=starts_in)
    given = {
        "start_date": start,
        "end_date": start + timedelta(days=lasts),
        "is_active": 1,
        "enable_redis": 1,
    }
    site.insert("Game Subscription Season", name=name, season_name=name, **(given | values))


seasons = st.lists(
    st.tuples(
        st.integers(-3, 3),
        st.integers(0, 3),
        st.booleans(),
        st.sampled_from([None, "", "Archiving", "Archived"]),
        st.sampled_from(["", "-A", "-B", "-_", "-9"]),
    ),
    max_size=5,
    unique_by=lambda season: season[4],
)


@settings(max_examples=60)
@given(seasons)
def test_what_is_said_to_be_seen_is_what_students_see(
    site: Site,
    engine: Engine,
    app: App,
    seasons: list[tuple[int, int, bool, str | None, str]],
) -> None:
    site.sql(f"DELETE FROM {TABLE}")
    for starts_in, lasts, is_active, status, suffix in seasons:
        name = f"SEASON-2026{suffix}"
        add_season(site, name, starts_in, lasts, is_active=int(is_active), archive_status=status)
    engine.season_changed()
    frappe.local.db.rollback()
    season = engine.due(PLAYER)["season"]
    assert active_seasons()[:1] == ([season] if season else [])


def test_a_second_active_season_is_warned_of(site: Site, app: App) -> None:
    def saved(name: str, is_active: int = 1) -> list[str]:
        frappe.local.db.rollback()
        frappe.local.message_log.clear()
        GameSubscriptionSeason({"name": name, "is_active": is_active}).warn_of_others()
        return [str(message.message) for message in frappe.local.message_log]

    site.sql(f"UPDATE {TABLE} SET start_date = %s, end_date = %s", (date.today(), date.today()))
    assert saved(SEASON) == []
    add_season(site, "SEASON-2027", starts_in=30)
    add_season(site, "SEASON-2020", is_active=0)
    for name in (SEASON, "SEASON-2027"):
        (warning,) = saved(name)
        assert f"Students see one active season: {SEASON}." in warning
        assert "Nobody sees SEASON-2027" in warning
    assert saved("SEASON-2020", is_active=0) == []


def test_administrators_see_which_season_counts(site: Site, app: App) -> None:
    app(user=frappe.MANAGER)
    assert srs.get_active_seasons() == {"seen": SEASON, "unseen": []}
    add_season(site, "SEASON-2020", starts_in=-4000)
    frappe.local.db.rollback()
    assert srs.get_active_seasons() == {"seen": SEASON, "unseen": ["SEASON-2020"]}
    shown = {season["name"]: season["is_seen"] for season in srs.get_monitor()["seasons"]}
    assert shown == {SEASON: 1, "SEASON-2020": 0}
    site.sql(f"UPDATE {TABLE} SET is_active = 0")
    frappe.local.db.rollback()
    assert srs.get_active_seasons() == {"seen": None, "unseen": []}
    app(user=PLAYER)
    with pytest.raises(frappe.PermissionError):
        srs.get_active_seasons()


def test_administrators_see_what_a_season_is(site: Site, engine: Engine, app: App) -> None:
    engine.create_partition(SEASON)
    site.add(PLAYER, [Record("q"), Record("r")])
    engine.rehydrate(PLAYER, SEASON)
    add_season(site, "SEASON-2020", starts_in=-4000, is_active=0)
    app(user=frappe.MANAGER)
    summary = srs.get_season_summary(SEASON)
    assert (summary["is_seen"], summary["records"], summary["students"]) == (True, 2, 1)
    assert (summary["cached_students"], summary["cached_mb"]) == (1, 0.0)
    assert summary["disk_mb"]
    assert (summary["archive"], summary["jobs"]) == (None, [])
    # It has no partition yet.
    summary = srs.get_season_summary("SEASON-2020")
    assert (summary["is_seen"], summary["seen_season"]) == (False, SEASON)
    assert (summary["records"], summary["students"], summary["disk_mb"]) == (None, None, None)
    site.add(PLAYER, [Record("q")], "SEASON-2020")
    SRSArchiver().archive_season("SEASON-2020")
    summary = srs.get_season_summary("SEASON-2020")
    assert (summary["records"], summary["students"]) == (1, None)
    assert summary["archive"]
    assert summary["archive"]["step"] == "done"
    assert [job["kind"] for job in summary["jobs"]] == ["Archive"]
    site.servers.cache.kill()
    assert srs.get_season_summary(SEASON)["cached_students"] is None
    for missing in ("SEASON-1999", SEASON.lower()):
        with pytest.raises(frappe.DoesNotExistError):
            srs.get_season_summary(missing)
    app(user=PLAYER)
    with pytest.raises(frappe.PermissionError):
        srs.get_season_summary(SEASON)


def test_seasons_of_which_nothing_is_cached_leave_no_job_each_night(
    site: Site, engine: Engine, app: App
) -> None:
    for number in range(70):
        add_season(site, f"SEASON-2026-OLD{number}", starts_in=-400)
    site.add(PLAYER, [Record("q")])
    engine.due(PLAYER)
    assert list(reconcile_cache_with_database()["seasons"]) == [SEASON]
    assert [job["season"] for job in latest_jobs(100)] == [SEASON]


def test_a_cache_that_is_away_is_told_once_a_night(site: Site, engine: Engine, app: App) -> None:
    for number in range(5):
        add_season(site, f"SEASON-2026-OLD{number}", starts_in=-400)
    site.servers.cache.kill()
    assert reconcile_cache_with_database()["seasons"] == {}
    told = [
        each["subject"] for each in frappe.recorded.notifications if "reconciled" in each["subject"]
    ]
    assert told == ["The caches could not be reconciled"]


def test_every_season_has_its_last_reconciliation(site: Site, app: App) -> None:
    names = [f"SEASON-2026-{number}" for number in range(70)]
    for name in names:
        add_season(site, name, is_active=0)
    for night in range(3):
        for place, name in enumerate(names):
            finished = site.now() - timedelta(days=2 - night)
            site.insert(
                JOB, name=f"{night}-{place}", kind="Reconciliation", season=name, status="Done",
                records=100, percent_differing=night, creation=finished, finished_at=finished,
            )  # fmt: skip
    found = monitor.discrepancies()
    assert len(found) == 3 * len(names)
    assert [each["at"] for each in found] == sorted(str(each["at"]) for each in found)
    text = metrics_text()
    for name in names:
        assert f'memora_discrepancy_ratio{{season="{name}"}} 0.02' in text


def test_the_monitor_tells_only_so_much(
    site: Site, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit, kept in (("RECONCILIATIONS", 2), ("MOST_RECONCILIATIONS", 1)):
        site.sql(f"DELETE FROM `tab{JOB}`")
        for place in range(6):
            finished = site.now() - timedelta(days=place)
            site.insert(
                JOB, name=f"j{place}", kind="Reconciliation", season=f"SEASON-{place % 2}",
                status="Done", records=100, creation=finished, finished_at=finished,
            )  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setattr(monitor, limit, 2)
            frappe.local.db.rollback()
            found = monitor.discrepancies()
        assert sorted(each["job"] for each in found) == [f"j{place}" for place in range(2 * kept)]
