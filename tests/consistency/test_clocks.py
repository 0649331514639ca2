"""Wrong wall clocks: they decide only dates."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from memora._engine import Engine
from tests.consistency.test_alone import PAIRS, answer, called, check_saved, cut_off, process, shown
from tests.consistency.test_drain import drain_all
from tests.support.clocks import Clock, ClockedEngine, build_library
from tests.support.expectation import DAYS_AFTER_ANSWER, stability_after_answers
from tests.support.servers import wait_until
from tests.support.site_under_test import (
    PLAYER,
    SEASON,
    TOPICS,
    TRACKER,
    Record,
    Site,
    ids,
    session,
)
from tests.support.wire import Wires

HOUR: Final = 3600.0
YEAR: Final = 365 * 24 * HOUR
MINUTE: Final = timedelta(minutes=1)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gives a process its own clock."""
    return build_library(tmp_path_factory.mktemp("clock"))


@pytest.fixture
def host(site: Site, library: Path, tmp_path: Path) -> Iterator[ClockedEngine]:
    """A host whose clock can be set."""
    with ClockedEngine(site.plain_settings(), Clock(tmp_path / "clock"), library) as host:
        yield host


def add(site: Site, *players: str) -> None:
    """Students with two due questions, one of them in a topic."""
    for player in players:
        site.add(player, [Record("q", stability=2, topic=TOPICS[0]), Record("r", stability=2)])


def check_dates(site: Site, player: str, question: str, since: datetime) -> None:
    """The question was answered just now, and is due again when its stability says."""
    row = site.rows(player)[question]
    assert since - MINUTE <= row["last_review_date"] <= site.now() + MINUTE
    interval = row["next_review_date"] - row["last_review_date"].replace(microsecond=0)
    assert interval.days == DAYS_AFTER_ANSWER[row["stability"]]


# -- a clock that was wrong once
# --------------------------------------------------------------------
@pytest.mark.parametrize("offset", [YEAR, HOUR, -YEAR])
@pytest.mark.parametrize("is_drained", [True, False])
def test_answers_after_one_by_a_wrong_clock_have_the_dates_of_today(
    site: Site, engine: Engine, host: ClockedEngine, offset: float, is_drained: bool
) -> None:
    pairs = {f"student{number}@school.example": pair for number, pair in enumerate(PAIRS)}
    add(site, *pairs)
    host.clock.set(offset)
    for player, pair in pairs.items():
        assert answer(host, player, pair[0]) == stability_after_answers(2, pair[0])
    if is_drained:
        engine.drain()
    since = site.now()
    for player, pair in pairs.items():
        assert answer(engine, player, pair[1]) == stability_after_answers(2, *pair)
        engine.submit(player, session_data=session("r", is_correct=pair[1]))
        assert ids(engine.due(player)) == []
    engine.drain()
    for player, pair in pairs.items():
        rows = site.rows(player)
        assert rows["q"]["stability"] == stability_after_answers(2, *pair)
        assert rows["r"]["stability"] == stability_after_answers(2, pair[1])
        for question in ("q", "r"):
            check_dates(site, player, question, since)
    # It counts on: the wrong one is right again by now.
    host.clock.set(0.0)
    for player, pair in pairs.items():
        assert answer(host, player, True) == stability_after_answers(2, *pair, True)
    engine.drain()
    for player in pairs:
        check_dates(site, player, "q", since)


@pytest.mark.parametrize("lost", [(), ("journal",), ("cache",), ("cache", "journal")], ids=called)
def test_a_record_of_the_future_dates_no_other(
    site: Site, engine: Engine, lost: tuple[str, ...]
) -> None:
    """The journal of a host whose clock was a year ahead."""
    add(site, PLAYER)
    future = int((datetime.now().timestamp() + YEAR) * 1_000_000)
    site.sql(f"UPDATE {TRACKER} SET answered_at_us = %s WHERE question_id = 'r'", (future,))
    engine.due(PLAYER)
    since = site.now()
    for name in lost:
        getattr(site.servers, name).kill()
    for is_correct in (True, False, True):
        answer(engine, PLAYER, is_correct)
    site.servers.heal()
    drain_all(site, site.engine())
    assert site.rows()["q"]["stability"] == stability_after_answers(2, True, False, True)
    check_dates(site, PLAYER, "q", since)


# -- two clocks that differ
# -------------------------------------------------------------------------
@pytest.mark.parametrize("offset", [5.0, -5.0, 300.0, -300.0])
def test_answers_of_hosts_whose_clocks_differ_count_in_their_order(
    site: Site, engine: Engine, host: ClockedEngine, offset: float
) -> None:
    """Each student gives one of two answers while both Redis servers are down."""
    wrong_first = {f"wrong{number}@school.example": pair for number, pair in enumerate(PAIRS)}
    right_first = {f"right{number}@school.example": pair for number, pair in enumerate(PAIRS)}
    add(site, *wrong_first, *right_first)
    host.clock.set(offset)
    for player, pair in wrong_first.items():
        answer(host, player, pair[0])
    for player, pair in right_first.items():
        answer(engine, player, pair[0])
    with taken_away(site):
        for player, pair in wrong_first.items():
            answer(engine, player, pair[1])
        for player, pair in right_first.items():
            answer(host, player, pair[1])
    assert wait_until(lambda: engine.cache_available() and engine.journal_status()["reachable"])
    expected = {
        player: stability_after_answers(2, *pair)
        for player, pair in (wrong_first | right_first).items()
    }
    assert {player: shown(engine, player) for player in expected} == expected
    check_saved(site, expected)


@contextmanager
def taken_away(site: Site) -> Iterator[None]:
    """Both Redis servers die, and come back."""
    for server in (site.servers.cache, site.servers.journal):
        server.kill()
    yield
    site.servers.heal()


# -- clocks of the servers
# --------------------------------------------------------------------------
@pytest.fixture
def server_clocks(
    site: Site, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, Clock]]:
    """The clocks of both Redis servers."""
    clocks = {}
    for name in ("cache", "journal"):
        clocks[name] = Clock(tmp_path / name)
        with monkeypatch.context() as environment:
            for key, value in clocks[name].settings(library).items():
                environment.setenv(key, value)
            getattr(site.servers, name).restart()
    yield clocks
    for name in ("cache", "journal"):
        getattr(site.servers, name).restart()


@pytest.mark.parametrize("lost", [("cache",), ("cache", "journal")], ids=called)
@pytest.mark.parametrize("offset", [HOUR, -HOUR])
def test_a_server_whose_clock_jumps_does_not_keep_old_schedules_believed(
    site: Site,
    wires: Wires,
    server_clocks: dict[str, Clock],
    lost: tuple[str, ...],
    offset: float,
) -> None:
    """Keys in it live longer or shorter than they should."""
    add(site, PLAYER)
    healthy, alone = site.engine(), process(site, wires)
    for reader in (healthy, alone):
        assert reader.due(PLAYER)["total_due"] == 2
    with ExitStack() as ends:
        ends.enter_context(cut_off(site, wires, lost, "refuse"))
        assert healthy.due(PLAYER)["source"] == "cache"
        for clock in server_clocks.values():
            clock.set(offset)
        answer(alone, PLAYER, True)
        assert wait_until(lambda: ids(healthy.due(PLAYER)) == ["r"])
        for reader in (healthy, site.engine()):
            assert shown(reader, PLAYER) == 3
        assert answer(healthy, PLAYER, False) == 1
    check_saved(site, {PLAYER: 1})


@pytest.mark.parametrize("offset", [HOUR, -HOUR])
def test_a_journal_whose_clock_jumps_keeps_the_order(
    site: Site, engine: Engine, server_clocks: dict[str, Clock], offset: float
) -> None:
    """It names its entries by the time."""
    players = {f"student{number}@school.example": pair for number, pair in enumerate(PAIRS)}
    add(site, *players)
    for number in (0, 1):
        for player, pair in players.items():
            answer(engine if number else site.engine(), player, pair[number])
        server_clocks["journal"].set(offset)
        site.cache.flushall()
    check_saved(
        site, {player: stability_after_answers(2, *pair) for player, pair in players.items()}
    )


@pytest.mark.parametrize("offset", [300.0, -300.0])
def test_what_waits_is_as_old_as_the_journal_says(
    site: Site, engine: Engine, library: Path, tmp_path: Path, offset: float
) -> None:
    """A web host whose clock is ahead raises no alarm, and one that is behind misses none."""
    answer(engine, PLAYER, True)
    clock = Clock(tmp_path / "clock")
    clock.set(offset)
    with ClockedEngine(site.plain_settings(), clock, library) as host:
        assert 0 <= host.journal_status()["oldest_age_seconds"] < 100


@pytest.mark.parametrize("offset", [HOUR, -HOUR])
def test_what_a_journal_loses_whose_clock_is_wrong_is_saved_again(
    site: Site, engine: Engine, server_clocks: dict[str, Clock], offset: float
) -> None:
    """The time of a loss is MariaDB's."""
    server_clocks["journal"].set(offset)
    add(site, PLAYER)
    engine.due(PLAYER)
    engine.drain()
    engine.submit(PLAYER, session_data=session("new"))
    engine.drain()
    engine.submit(PLAYER, session_data=session("newer"))
    site.journal.flushall()
    site.servers.journal.restart()
    late = site.engine()
    late.drain()
    assert late.reconcile(SEASON)["offered"] == 1
    drain_all(site, late)
    assert {"new", "newer"} <= set(site.rows())
