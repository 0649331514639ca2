"""How many questions are due on each of the next days: as a model in Python counts them."""

from __future__ import annotations

import random
from collections import Counter
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import pytest

from memora._engine import Engine, InvalidInput, ServiceUnavailable
from tests.conftest import clean_site
from tests.consistency.test_registration import second_cache
from tests.students.test_due import MINUTE, overdue
from tests.support.servers import Redis
from tests.support.site_under_test import (
    BELIEVING,
    PLAYER,
    SCHEDULE,
    SEASON,
    TRACKER,
    Record,
    Servers,
    Site,
    session,
)

if TYPE_CHECKING:
    from memora._engine import Forecast

__all__ = ["second_cache"]

DAY: Final = timedelta(days=1)
# Two of them change their clocks in each year, one of these at midnight.
ZONES: Final = ("UTC", "Africa/Cairo", "America/New_York", "Asia/Kolkata")
WHOLE_YEAR: Final = 365
NOTHING: Final = {"total": 0, "overdue": 0, "due_now": 0}


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)


def dates_around(now: datetime, rng: random.Random) -> list[datetime]:
    """Naive dates: random ones, and the first and the last second of each day; none of them is so
    near to now that it could pass meanwhile."""
    today = midnight(now.date())
    found = [now + rng.uniform(-40, 400) * DAY for _ in range(200)]
    found += [today + days * DAY for days in range(WHOLE_YEAR + 2)]
    found += [today + days * DAY - timedelta(seconds=1) for days in range(WHOLE_YEAR + 2)]
    seconds = (moment.replace(microsecond=0) for moment in found)
    return [moment for moment in seconds if abs(moment - now) > 2 * MINUTE]


def set_dates(site: Site, dates: list[datetime], player: str = PLAYER) -> None:
    """The student's only records, with these dates as Frappe stores them."""
    site.add(player, [Record(f"q{number:04}") for number in range(len(dates))])
    cases = " ".join("WHEN %s THEN %s" for _ in dates)
    values = [part for number, moment in enumerate(dates) for part in (f"q{number:04}", moment)]
    site.sql(
        f"UPDATE {TRACKER} SET next_review_date = CASE question_id {cases} END WHERE player = %s",
        [*values, player],
    )


def model(now: datetime, zone: str, dates: list[datetime], days: int) -> dict[str, Any]:
    """The forecast that these naive dates should give."""
    today = now.date()
    # Python reads a date of a gap as the time zone did before it: on the same day.
    due = Counter(max(moment.date(), today) for moment in dates)
    listed = [today + number * DAY for number in range(days)]
    present = now.replace(tzinfo=ZoneInfo(zone)).timestamp()
    unix = (moment.replace(tzinfo=ZoneInfo(zone), fold=0).timestamp() for moment in dates)
    return {
        "days": [{"date": str(day), "due": due[day]} for day in listed],
        "total": sum(due[day] for day in listed),
        "overdue": sum(moment.date() < today for moment in dates),
        "due_now": sum(moment <= present for moment in unix),
        "season": SEASON,
        "is_degraded": False,
    }


def due_today(site: Site, count: int, prefix: str = "q") -> list[Record]:
    """Records that are due since this day began, whatever its time is."""
    now = site.now()
    since = midnight(now.date()) - now
    return [Record(f"{prefix}{number:03}", since) for number in range(count)]


def due_by_day(forecast: Forecast) -> list[int]:
    return [day["due"] for day in forecast["days"]]


@pytest.mark.parametrize("zone", ZONES)
def test_a_forecast_is_what_a_model_counts(servers: Servers, zone: str) -> None:
    site = clean_site(Site(servers, servers.database.database, zone))
    engine, rng = site.engine(), random.Random(zone)
    now = site.now()
    dates = dates_around(now, rng)
    set_dates(site, dates)

    def check(days: int) -> None:
        # The day may have changed since the last forecast.
        while (forecast := engine.forecast(PLAYER, days))["days"][0]["date"] != str(
            site.now().date()
        ):
            pass
        assert forecast == model(site.now(), zone, dates, days)

    # Cold, then warm.
    for days in (30, 1, 7, WHOLE_YEAR):
        check(days)
    assert engine.latency()["all"]["cold read"]["count"] == 1
    for family in SCHEDULE:
        site.cache.delete(site.key(family, PLAYER))
        check(30)
    site.sql("UPDATE `tabGame Subscription Season` SET enable_redis = 0")
    engine.season_changed()
    for days in (1, WHOLE_YEAR):
        check(days)
    assert engine.latency()["all"]["database read"]["count"] == 2


@pytest.mark.parametrize("questions", [1, 127, 1000])
def test_due_now_is_what_a_review_session_counts(
    site: Site, engine: Engine, questions: int
) -> None:
    """Redis keeps small and large schedules in different forms."""
    rng = random.Random(questions)
    records = [
        Record(f"q{number}", due_in=rng.uniform(-30, 30) * DAY) for number in range(questions)
    ]
    site.add(PLAYER, records)
    for _ in range(2):
        forecast = engine.forecast(PLAYER)
        assert forecast["due_now"] == engine.due(PLAYER)["total_due"]
        assert due_by_day(forecast) == due_by_day(engine.forecast(PLAYER, days=60))[:30]
    assert engine.forecast(PLAYER, days=40)["total"] == questions


def test_an_answer_moves_its_question_to_another_day(site: Site, engine: Engine) -> None:
    site.add(PLAYER, overdue(3))
    before = engine.forecast(PLAYER, days=3)
    assert (before["due_now"], before["total"]) == (3, 3)
    engine.submit(PLAYER, session_data=session("q000", "new"))
    # Answers that wait in the journal are seen by other processes, cold and warm, as well.
    for clear in (False, True):
        if clear:
            engine.cache_clear(PLAYER, SEASON)
        for process in (engine, site.engine()):
            after = process.forecast(PLAYER, days=9)
            assert (after["due_now"], after["total"]) == (2, 4)
            assert sorted(due_by_day(after)[1:]) == [0] * 6 + [1, 1]


def test_a_retired_question_is_due_on_no_day(site: Site, engine: Engine) -> None:
    site.add(PLAYER, overdue(3))
    engine.retire(PLAYER, SEASON, {"q001"})
    for _ in range(2):
        assert engine.forecast(PLAYER, days=WHOLE_YEAR)["total"] == 2
        engine.cache_clear(PLAYER, SEASON)


@pytest.mark.parametrize("days", [0, 366, 1000])
def test_days_out_of_range_are_refused(engine: Engine, days: int) -> None:
    with pytest.raises(InvalidInput, match="days is 1 to 365"):
        engine.forecast(PLAYER, days=days)


# -- cost ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("days", [30, WHOLE_YEAR])
@pytest.mark.engines(**BELIEVING)
def test_a_warm_forecast_takes_no_sql_and_one_round_trip(
    site: Site, engine: Engine, days: int
) -> None:
    records = [Record(f"q{number}", due_in=number / 4 * DAY) for number in range(1000)]
    site.add(PLAYER, records)
    engine.forecast(PLAYER, days=days)
    engine.forecast(PLAYER, days=days)
    with site.counting() as costs:
        engine.forecast(PLAYER, days=days)
    (cost,) = costs
    assert (cost.selects, cost.statements) == (0, 0)
    assert (cost.cache_round_trips, cost.journal_round_trips) == (1, 0)


# -- what is down, and seasons ------------------------------------------------------------------
def test_without_the_journal_a_cold_forecast_is_degraded(site: Site, engine: Engine) -> None:
    site.add(PLAYER, overdue(5))
    engine.forecast("other@school.example")
    site.servers.journal.kill()
    forecast = engine.forecast(PLAYER)
    assert (forecast["total"], forecast["is_degraded"]) == (5, True)


@pytest.mark.parametrize("is_known", [True, False])
def test_safe_mode_has_no_forecast_and_keeps_its_room_for_questions(
    site: Site, engine: Engine, is_known: bool
) -> None:
    site.add(PLAYER, overdue(20))
    if is_known:
        engine.forecast(PLAYER)
    site.servers.cache.kill()
    with pytest.raises(ServiceUnavailable) as refusal:
        engine.forecast(PLAYER)
    assert refusal.value.code == "memora.cache_unavailable"
    answer = engine.due(PLAYER)
    assert (answer["source"], len(answer["questions"])) == ("safe_mode", 10)


def test_a_season_without_the_cache_has_a_forecast_while_the_cache_is_down(
    site: Site, engine: Engine
) -> None:
    site.add(PLAYER, overdue(5))
    site.sql("UPDATE `tabGame Subscription Season` SET enable_redis = 0")
    engine.season_changed()
    site.servers.cache.kill()
    forecast = engine.forecast(PLAYER)
    assert (forecast["total"], forecast["is_degraded"]) == (5, False)


def test_a_process_with_another_cache_counts_in_the_database(
    site: Site,
    engine: Engine,
    second_cache: Redis,
) -> None:
    site.add(PLAYER, due_today(site, 3))
    assert engine.forecast(PLAYER)["total"] == 3
    there = site.engine(cache_url=second_cache.url)
    assert there.forecast(PLAYER)["total"] == 3
    engine.submit(PLAYER, session_data=session("q000", "new"))
    # Neither shows what the other one has missed.
    assert there.forecast(PLAYER)["total"] == engine.forecast(PLAYER)["total"] == 4
    assert there.forecast(PLAYER)["due_now"] == engine.forecast(PLAYER)["due_now"] == 2


@pytest.mark.parametrize("change", ["is_active = 0", "archive_status = 'Archived'"])
@pytest.mark.parametrize("is_cache_there", [True, False])
def test_without_an_active_season_nothing_is_due(
    site: Site, engine: Engine, change: str, is_cache_there: bool
) -> None:
    site.add(PLAYER, overdue(5))
    engine.forecast(PLAYER)
    site.sql(f"UPDATE `tabGame Subscription Season` SET {change}")
    engine.season_changed()
    if not is_cache_there:
        site.servers.cache.kill()
    forecast = engine.forecast(PLAYER, days=3)
    assert due_by_day(forecast) == [0, 0, 0]
    assert {name: forecast[name] for name in NOTHING} == NOTHING  # type: ignore[literal-required]
    assert (forecast["season"], forecast["is_degraded"]) == (None, False)


def test_the_next_season_counts_once_the_season_is_archived(site: Site, engine: Engine) -> None:
    site.insert(
        "Game Subscription Season", name="SEASON-2025", season_name="SEASON-2025",
        start_date="2025-01-01", end_date="2025-12-31", is_active=1, enable_redis=1,
    )  # fmt: skip
    site.add(PLAYER, overdue(5))
    site.add(PLAYER, overdue(2), season="SEASON-2025")
    assert engine.forecast(PLAYER)["total"] == 5
    # No process is told: loading records finds it.
    site.sql(
        "UPDATE `tabGame Subscription Season` SET archive_status = 'Archived' WHERE name = %s",
        [SEASON],
    )
    site.sql("INSERT INTO memora_archive (season, step) VALUES (%s, 'copying')", [SEASON])
    engine.cache_clear(PLAYER, SEASON)
    forecast = engine.forecast(PLAYER)
    assert (forecast["season"], forecast["total"]) == ("SEASON-2025", 2)
