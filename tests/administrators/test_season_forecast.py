"""About how many questions of a season are due on each of the next days."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from memora._engine import Engine, ServiceUnavailable
from memora.api import srs
from tests import frappe_standin as frappe
from tests.administrators.test_archive import STUDENTS as ENROLLED
from tests.administrators.test_archive import ended_season
from tests.administrators.test_jobs import manager
from tests.administrators.test_rebuild import STUDENTS, school
from tests.administrators.test_season_size import add_many
from tests.app.test_monitor import run, shown
from tests.students.test_forecast import DAY, WHOLE_YEAR
from tests.support.site_under_test import BELIEVING, PLAYER, SEASON, TRACKER, Record, Site, ids

__all__ = ["manager", "school"]


def due_by_day(forecast: Any) -> list[int]:
    return [day["due"] for day in forecast["days"]]


def test_a_small_season_that_is_all_cached_is_counted(manager: Site, engine: Engine) -> None:
    engine.create_partition(SEASON)
    rng = random.Random(1)
    records = [Record(f"r{number}", rng.uniform(-9, 300) * DAY) for number in range(300)]
    manager.add(PLAYER, records)
    engine.rebuild(SEASON)
    frappe.local.db.rollback()
    for days in (1, 30, WHOLE_YEAR):
        forecast = srs.get_season_forecast(SEASON, days)
        each = [engine.forecast(student, days) for student in (*STUDENTS, PLAYER)]
        assert due_by_day(forecast) == [
            sum(due) for due in zip(*map(due_by_day, each), strict=True)
        ]
        assert forecast["total"] == sum(one["total"] for one in each)
        assert forecast["overdue"] == sum(one["overdue"] for one in each)
        assert forecast["students"] == 41
        assert (forecast["sampled_students"], forecast["cached_students"]) == (41, 41)
        assert forecast["message"] == (
            "Estimated for 41 students, from the schedules of 41 of 41 who are cached."
        )
    assert srs.get_season_forecast() == srs.get_season_forecast(SEASON, 30)


def test_it_is_scaled_from_those_who_are_cached_to_all(manager: Site, engine: Engine) -> None:
    engine.create_partition(SEASON)
    manager.sql(f"DELETE FROM {TRACKER} WHERE season = %s", [SEASON])
    # All of these dates are overdue.
    add_many(manager, 30, 12)
    manager.sql(f"UPDATE {TRACKER} SET next_review_date = '2026-01-01'")
    students = [row["player"] for row in manager.sql(f"SELECT DISTINCT player FROM {TRACKER}")]
    for student in students[:15]:
        engine.rehydrate(student, SEASON)
    forecast = engine.season_forecast(SEASON)
    assert (forecast["sampled_students"], forecast["students"]) == (15, 30)
    # Every third student has six questions, the others twelve.
    counted = sum(len(manager.rows(student)) for student in students[:15])
    assert forecast["overdue"] == forecast["total"] == 2 * counted
    # Evicted, of another generation, and of another type: not counted.
    manager.cache.delete(manager.key("srs", students[0]))
    manager.cache.zadd(manager.key("srs", students[1]), {"": 7})
    manager.cache.set(manager.key("srs", students[2]), "text")
    forecast = engine.season_forecast(SEASON)
    assert (forecast["sampled_students"], forecast["cached_students"]) == (12, 12)
    counted = sum(len(manager.rows(student)) for student in students[3:15])
    assert forecast["total"] == round(30 / 12 * counted)


@pytest.mark.engines(**BELIEVING)
def test_a_large_season_is_estimated_from_400_students_at_random(
    site: Site, engine: Engine
) -> None:
    engine.create_partition(SEASON)
    add_many(site, 1_200, 12)
    site.sql(f"UPDATE {TRACKER} SET next_review_date = NOW() + INTERVAL 1 DAY")
    engine.rebuild(SEASON)
    engine.season_forecast(SEASON)
    site.cache.config_resetstat()
    with site.counting() as costs:
        forecast = engine.season_forecast(SEASON)
    counted = site.cache.info("commandstats")
    assert counted["cmdstat_zscore"]["calls"] == 400
    # Ten students at a time, the list of students twice.
    assert costs[0].cache_round_trips <= 42
    assert (forecast["sampled_students"], forecast["cached_students"]) == (400, 1_200)
    assert forecast["students"] is None
    # Of every three students one has six questions, and two have twelve.
    assert forecast["total"] == pytest.approx(12_000, rel=0.15)
    # The version of the retired questions.
    assert (costs[0].selects, costs[0].statements <= 2) == (1, True)
    spread = Counter(engine.season_forecast(SEASON)["total"] for _ in range(8))
    assert len(spread) > 1


def test_what_cannot_be_forecast_is_said(manager: Site, engine: Engine) -> None:
    nothing = srs.get_season_forecast()
    assert (nothing["season"], nothing["days"], nothing["total"]) == (SEASON, [], 0)
    assert nothing["message"] == (
        f"No student of {SEASON} is cached yet, and a forecast is made from those."
    )
    with pytest.raises(frappe.ValidationError, match="days must be a whole number from 1 to 365"):
        srs.get_season_forecast(SEASON, 366)
    with pytest.raises(frappe.DoesNotExistError):
        srs.get_season_forecast("SEASON-9999")
    season = ended_season(manager, questions=1)
    manager.sql("UPDATE `tabGame Subscription Season` SET is_active = 0")
    frappe.local.db.rollback()
    nothing = srs.get_season_forecast()
    assert (nothing["season"], nothing["days"]) == (None, [])
    assert "No season is active" in nothing["message"]
    # One that is not active has a forecast, too.
    engine.rehydrate(ENROLLED[0], season)
    assert srs.get_season_forecast(season)["total"] == len(ENROLLED)
    manager.sql("UPDATE `tabGame Subscription Season` SET enable_redis = 0")
    frappe.local.db.rollback()
    with pytest.raises(frappe.ValidationError, match="does not use the cache"):
        srs.get_season_forecast(season)


def test_without_the_cache_it_is_unavailable(manager: Site, engine: Engine) -> None:
    manager.servers.cache.kill()
    with pytest.raises(ServiceUnavailable):
        engine.season_forecast(SEASON)
    with pytest.raises(frappe.ValidationError, match="This cannot be done now") as refusal:
        srs.get_season_forecast(SEASON)
    assert getattr(refusal.value, "http_status_code", 0) == 503


def test_the_command_shows_it(manager: Site, engine: Engine) -> None:
    engine.rebuild(SEASON)
    done = run(manager, "forecast", "--days", "3")
    assert done.exit_code == 0, done.output
    forecast = engine.season_forecast(SEASON, 3)
    for day in forecast["days"]:
        assert f"{day['date']}  {day['due']:>14,}" in done.output
    assert f"{'all':<10}  {forecast['total']:>14,}" in done.output
    assert f"{'overdue':<10}  {forecast['overdue']:>14,}" in done.output
    assert "from the schedules of 40 of 40" in done.output
    found = shown(manager, "forecast", SEASON)
    assert (found["season"], len(found["days"])) == (SEASON, 30)
    assert run(manager, "forecast", "--days", "366").exit_code == 2
    assert "There is no season" in run(manager, "forecast", "SEASON-9999").output
    manager.sql("UPDATE `tabGame Subscription Season` SET is_active = 0")
    assert "No season is active" in run(manager, "forecast").output


def test_retired_questions_are_not_counted(manager: Site, engine: Engine) -> None:
    """Neither before a student's next read nor after it, nor by a process that knew them before."""
    engine.create_partition(SEASON)
    manager.sql(f"DELETE FROM {TRACKER} WHERE season = %s", [SEASON])
    other = manager.engine()
    for player in ("a@school.example", "b@school.example"):
        manager.add(player, [Record("q"), Record("r"), Record("s")])
        engine.rehydrate(player, SEASON)
    for process in (engine, other):
        assert process.season_forecast(SEASON)["total"] == 6
    engine.rehydrate(PLAYER, SEASON)
    manager.cache.set(manager.key("srs", PLAYER), "of another type")
    engine.retire_questions(["q", "r"], "Administrator")
    for process in (other, engine, manager.engine()):
        forecast = process.season_forecast(SEASON)
        assert (forecast["total"], forecast["sampled_students"]) == (2, 2)
    assert ids(engine.due("a@school.example")) == ["s"]
    engine.restore_questions(["q"], "Administrator")
    assert other.season_forecast(SEASON)["total"] == 4
    assert ids(other.due("b@school.example")) == ["q", "s"]


def test_who_is_left_out_after_many_retirements_still_counts_as_cached(
    manager: Site, engine: Engine
) -> None:
    """The changes of two schedules are all that one forecast makes."""
    engine.create_partition(SEASON)
    manager.sql(f"DELETE FROM {TRACKER} WHERE season = %s", [SEASON])
    for number in range(6):
        manager.add(f"s{number}@school.example", [Record("q"), Record("r")])
        engine.rehydrate(f"s{number}@school.example", SEASON)
    manager.sql(
        "INSERT INTO memora_retired (question_id, version, is_retired) "
        "SELECT CONCAT('x', seq), 2, 1 FROM seq_1_to_150000"
    )
    engine.retire_questions(["q"], "Administrator")
    for sampled in (2, 4, 6):
        forecast = engine.season_forecast(SEASON)
        counted = forecast["sampled_students"], forecast["cached_students"], forecast["total"]
        assert counted == (sampled, 6, 6)
