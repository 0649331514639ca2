"""The SRS Monitor's forecast in a real browser."""

from __future__ import annotations

from typing import Final

import pytest

from tests import frappe_standin as frappe
from tests.app.test_desk_page import Browser, Desk, browser, desk
from tests.students.test_forecast import DAY, due_today
from tests.support.site_under_test import PLAYER, SEASON, Record, Site

__all__ = ["browser", "desk"]

CARD: Final = ".srs-forecast"
CHART: Final = f"{CARD} .srs-chart"
OTHER: Final = "SEASON-2025"


def bars(name: str, *values: int) -> str:
    """A row of bars of the next 30 days, as the stand-in shows it."""
    return f"{name}: " + " ".join(str(value) for value in (*values, *[0] * (30 - len(values))))


def test_the_forecast_of_the_season_that_students_see(site: Site, browser: Browser) -> None:
    site.engine().create_partition(SEASON)
    site.add(PLAYER, [Record("late", -3 * DAY), *due_today(site, 2), Record("next", DAY)])
    site.add("other@school.example", [Record("later", 2 * DAY)])
    browser.open("page", "srs-monitor")
    browser.sees(CARD, "Forecast", f"No student of {SEASON} is cached yet")
    browser.sees_no(CHART)
    # Only while there is no forecast, each poll asks for one.
    site.engine().rehydrate(PLAYER, SEASON)
    browser.sees(f"{CARD} .srs-summary", "About 8 reviews in 30 days, 2 of them overdue.")
    browser.sees(
        f"{CARD} .srs-summary", "Estimated for 2 students, from the schedules of 1 of 1 who are"
    )
    browser.sees(CHART, bars("Overdue", 2), bars("Due on This Day", 4, 2))
    browser.sees_no(f"{CARD} select")
    browser.run("memora.forecast.Card.PAUSE_MS = 100")
    site.engine().rehydrate("other@school.example", SEASON)
    browser.sees(CHART, bars("Overdue", 1), bars("Due on This Day", 2, 1, 1))


def test_another_season_is_chosen(site: Site, browser: Browser) -> None:
    site.insert(
        "Game Subscription Season", name=OTHER, season_name=OTHER, start_date="2025-01-01",
        end_date="2025-12-31", is_active=0, enable_redis=1,
    )  # fmt: skip
    for season, count in ((SEASON, 1), (OTHER, 5)):
        site.add(PLAYER, due_today(site, count), season=season)
        site.engine().rehydrate(PLAYER, season)
    browser.open("page", "srs-monitor")
    browser.sees(CHART, bars("Due on This Day", 1))
    browser.choose(CARD, OTHER)
    browser.sees(CHART, bars("Due on This Day", 5))


def test_what_cannot_be_forecast_is_said(site: Site, browser: Browser) -> None:
    site.add(PLAYER, [Record("far", 90 * DAY)])
    site.engine().rehydrate(PLAYER, SEASON)
    browser.open("page", "srs-monitor")
    browser.sees(f"{CARD} .srs-summary", "About 0 reviews in 30 days")
    browser.sees_no(CHART)
    browser.run("memora.forecast.Card.PAUSE_MS = 100")
    site.servers.cache.kill()
    browser.sees(CARD, "This cannot be done now", "redis_cache")
    site.servers.cache.start()
    site.sql("UPDATE `tabGame Subscription Season` SET enable_redis = 0")
    browser.sees(CARD, "No season uses the cache.")


@pytest.mark.parametrize("role", ["Memora Manager", "Memora Teacher"])
def test_teachers_see_it_too(site: Site, browser: Browser, role: str) -> None:
    frappe.recorded.roles[frappe.MANAGER] = [role]
    site.add(PLAYER, due_today(site, 3))
    site.engine().rehydrate(PLAYER, SEASON)
    browser.open("page", "srs-monitor")
    browser.sees(CHART, bars("Due on This Day", 3))


def test_it_is_told_in_arabic(site: Site, browser: Browser, desk: Desk) -> None:
    desk.language = "ar"
    site.add(PLAYER, due_today(site, 3))
    site.engine().rehydrate(PLAYER, SEASON)
    browser.open("page", "srs-monitor")
    browser.sees(CARD, "التوقعات", "المراجعات", "المستحقة في هذا اليوم")
