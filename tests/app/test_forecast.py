"""A student's forecast, as clients call for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from memora.api import reviews
from tests import frappe_standin as frappe
from tests.students.test_due import overdue
from tests.students.test_forecast import DAY, due_today
from tests.support.site_under_test import BELIEVING, PLAYER, SEASON, Record, Site

App = Callable[..., None]


@pytest.mark.engines(**BELIEVING)
def test_a_student_is_told_what_is_due_on_each_day(site: Site, app: App) -> None:
    site.add(PLAYER, [Record("late", -2 * DAY), *due_today(site, 1), Record("next", DAY)])
    site.add("other@school.example", overdue(9))
    forecast = reviews.get_forecast(days="3")
    assert forecast.keys() == {"season", "days", "total", "overdue", "due_now", "is_degraded"}
    days = [site.now().date() + number * DAY for number in range(3)]
    assert [day["date"] for day in forecast["days"]] == [str(day) for day in days]
    assert [day["due"] for day in forecast["days"]] == [2, 1, 0]
    assert (forecast["total"], forecast["overdue"]) == (3, 1)
    assert forecast["due_now"] == reviews.get_review_session()["total_due"] == 2
    assert (forecast["season"], forecast["is_degraded"]) == (SEASON, False)
    assert len(reviews.get_forecast()["days"]) == 30
    with site.counting() as costs:
        reviews.get_forecast()
    assert costs[0].statements == 0
    assert costs[0].cache_round_trips + costs[0].journal_round_trips <= 2


@pytest.mark.parametrize("days", [0, 366, -1, "many", None, 2.5, True, "", [5]])
def test_days_out_of_range_are_refused(app: App, days: Any) -> None:
    with pytest.raises(frappe.ValidationError, match="days must be a whole number from 1 to 365"):
        reviews.get_forecast(days=days)


def test_without_a_season_there_is_a_message(site: Site, app: App) -> None:
    site.sql("UPDATE `tabGame Subscription Season` SET is_active = 0")
    forecast = reviews.get_forecast(days=2)
    assert (forecast["season"], forecast["total"], len(forecast["days"])) == (None, 0, 2)
    assert "No season is active" in forecast["message"]


def test_in_safe_mode_a_student_is_asked_to_wait(
    site: Site, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.servers.cache.kill()
    with pytest.raises(frappe.ValidationError, match="forecast is not available") as refusal:
        reviews.get_forecast()
    assert getattr(refusal.value, "http_status_code", 0) == 503
    assert reviews.get_review_session()["is_degraded"]
    monkeypatch.setattr(frappe.local, "lang", "ar", raising=False)
    with pytest.raises(frappe.ValidationError, match="توقعات مراجعاتك"):
        reviews.get_forecast()


def test_a_guest_is_asked_to_log_in(app: App) -> None:
    app(user="Guest")
    with pytest.raises(frappe.PermissionError):
        reviews.get_forecast()
