"""Frappe stores naive dates in the site's own time zone; the score is still Unix time."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memora._engine import RateLimited
from tests.conftest import clean_site
from tests.support.site_under_test import (
    PLAYER,
    SEASON,
    TRACKER,
    Record,
    Servers,
    Site,
    ids,
    session,
)

ZONES = [
    "UTC",
    "Asia/Amman",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Apia",
]
ELSEWHERE = "Asia/Amman, its servers elsewhere"
MINUTE = timedelta(minutes=1)


@pytest.fixture(params=[*ZONES, ELSEWHERE])
def zoned(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Site]:
    """A clean site in a time zone; also one whose MariaDB and whose processes are in other ones."""
    if request.param != ELSEWHERE:
        yield clean_site(Site(servers, servers.database.database, request.param))
        return
    before = os.environ.get("TZ")
    set_time_zones(servers, "+09:00", "America/New_York")
    try:
        yield clean_site(Site(servers, servers.database.database, "Asia/Amman"))
    finally:
        servers.heal()
        set_time_zones(servers, "SYSTEM", before)


def set_time_zones(servers: Servers, database: str, process: str | None) -> None:
    """The zones of MariaDB, for new connections, and of this process."""
    root = servers.database.connect(user="root", password="", database=None)
    with root as connection, connection.cursor() as cursor:
        cursor.execute("SET GLOBAL time_zone = %s", (database,))
    os.environ.pop("TZ", None)
    if process is not None:
        os.environ["TZ"] = process
    time.tzset()


def unix(naive: datetime, zone: str) -> float:
    """Unix time of a naive date: the earlier of two readings, the later side of a gap."""
    return naive.replace(tzinfo=ZoneInfo(zone), fold=0).timestamp()


def test_due_is_due_in_the_zone_of_the_site(zoned: Site) -> None:
    engine = zoned.engine()
    zoned.add(PLAYER, [Record("past", due_in=-MINUTE), Record("ahead", due_in=MINUTE)])
    for _ in range(2):
        assert ids(engine.due(PLAYER)) == ["past"]
    zoned.servers.cache.kill()
    assert ids(engine.due(PLAYER)) == ["past"]


def test_dates_are_shown_as_frappe_writes_them(zoned: Site) -> None:
    engine = zoned.engine()
    zoned.add(PLAYER, [Record("q", reviewed_in=timedelta(days=-2))])
    row = zoned.rows()["q"]
    for _ in range(2):
        (question,) = engine.due(PLAYER)["questions"]
        assert question["next_review_date"] == f"{row['next_review_date']:%Y-%m-%d %H:%M:%S}"
        assert question["last_review_date"] == f"{row['last_review_date']:%Y-%m-%d %H:%M:%S}"


def test_an_answer_is_dated_in_the_zone_of_the_site(zoned: Site) -> None:
    engine = zoned.engine()
    before = zoned.now().replace(microsecond=0)
    engine.submit(PLAYER, session_data=session("q"))
    after = zoned.now()
    score = engine.cache_scores(PLAYER, SEASON)["q"]
    engine.drain()
    row = zoned.rows()["q"]
    assert before <= row["last_review_date"] <= after
    assert row["next_review_date"] == row["last_review_date"].replace(microsecond=0) + timedelta(
        days=1
    )
    assert score == unix(row["next_review_date"], zoned.time_zone)
    assert abs(row["answered_at_us"] / 1e6 - unix(row["last_review_date"], zoned.time_zone)) < 1
    engine.cache_clear(PLAYER, SEASON)
    engine.rehydrate(PLAYER, SEASON)
    assert engine.cache_scores(PLAYER, SEASON)["q"] == score


@settings(max_examples=60)
@given(
    st.lists(st.datetimes(datetime(2020, 1, 1), datetime(2037, 12, 31)), min_size=1, max_size=30)
)
def test_every_date_has_the_right_score(zoned: Site, dates: list[datetime]) -> None:
    check_scores(zoned, dates)


@pytest.mark.parametrize(
    ("zone", "change"),
    [
        # Jordan changed its clocks at midnight, until 2022.
        ("Asia/Amman", datetime(2021, 3, 26, 0)),
        ("Asia/Amman", datetime(2021, 10, 29, 0)),
        ("America/New_York", datetime(2026, 3, 8, 2)),
        ("America/New_York", datetime(2026, 11, 1, 1)),
        ("Australia/Lord_Howe", datetime(2026, 4, 5, 2)),
        ("Australia/Lord_Howe", datetime(2026, 10, 4, 2)),
        ("Europe/Berlin", datetime(2026, 3, 29, 2)),
        ("Europe/Berlin", datetime(2026, 10, 25, 2)),
    ],
)
def test_every_minute_around_a_change_of_clocks_has_the_right_score(
    servers: Servers, zone: str, change: datetime
) -> None:
    site = clean_site(Site(servers, servers.database.database, zone))
    check_scores(site, [change + number * MINUTE for number in range(-130, 130)])


def check_scores(site: Site, dates: list[datetime]) -> None:
    """These dates in the table have the scores that Python's own time zones give."""
    engine = site.engine()
    site.sql(f"DELETE FROM {TRACKER}")
    site.add(PLAYER, [Record(f"q{number:03}") for number in range(len(dates))])
    for number, date in enumerate(dates):
        site.sql(
            f"UPDATE {TRACKER} SET next_review_date = %s WHERE question_id = %s",
            (date, f"q{number:03}"),
        )
    engine.rehydrate(PLAYER, SEASON)
    expected = {
        f"q{number:03}": float(int(unix(date, site.time_zone))) for number, date in enumerate(dates)
    }
    assert engine.cache_scores(PLAYER, SEASON) == expected


def test_today_is_the_day_of_the_site(zoned: Site) -> None:
    """Focus mode: all were reviewed on the site's present day, though some of them on another day
    in UTC."""
    engine = zoned.engine()
    midnight = zoned.now().replace(hour=0, minute=0, second=0, microsecond=0)
    since = midnight - zoned.now()
    records = [
        Record(
            f"q{number}",
            MINUTE,
            3,
            topic="Plants",
            reviewed_in=since + (zoned.now() - midnight) * number / 20,
        )
        for number in range(20)
    ]
    yesterday = [Record("old", MINUTE, 3, topic="Plants", reviewed_in=since - MINUTE)]
    zoned.add(PLAYER, records)
    assert len({tuple(ids(engine.due(PLAYER, topic="Plants"))) for _ in range(20)}) > 1
    zoned.add(PLAYER, yesterday)
    engine.cache_clear(PLAYER, SEASON)
    picks = {tuple(ids(engine.due(PLAYER, topic="Plants"))) for _ in range(5)}
    assert len(picks) == 1
    assert picks.pop()[0] == "old"


@pytest.mark.parametrize("zoned", [ELSEWHERE], indirect=True)
def test_safe_mode_waits_right_on_servers_elsewhere(zoned: Site) -> None:
    with zoned.servers.database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT @@session.time_zone")
        assert cursor.fetchone() == ("+09:00",)
    assert time.localtime().tm_zone in ("EST", "EDT")
    zoned.servers.cache.kill()
    assert zoned.engine().due(PLAYER)["source"] == "safe_mode"
    with pytest.raises(RateLimited) as refusal:
        zoned.engine().due(PLAYER)
    assert 1 <= refusal.value.args[1] <= 30


def test_an_answer_in_the_hour_that_clocks_repeat_keeps_its_time(servers: Servers) -> None:
    site = clean_site(Site(servers, servers.database.database, "America/New_York"))
    engine = site.engine()
    # 01:30 for the first and for the second time.
    for name, hour in (("first", 5), ("second", 6)):
        at = int(datetime(2026, 11, 1, hour, 30, tzinfo=timezone.utc).timestamp())
        review = [name, 1, at + 86_400, at, at * 1_000_000 + 5, None, None]
        entry = {"player": PLAYER, "season": SEASON, "answers": json.dumps([review])}
        site.journal.xadd(site.key("srs-journal"), entry)
        engine.drain()
        engine.rehydrate(PLAYER, SEASON)
        assert (
            site.cache.hget(site.key("srs-detail", PLAYER), name)
            == f"0,1,{at + 86_400},{at},{at}000005,"
        )
