"""Answers given while both Redis servers are out of reach, with earlier ones still in the
journal."""

from __future__ import annotations

import json
import threading

import pytest

from memora._engine import Engine, MemoraError, OutcomeUnknown
from tests.administrators.test_archive import waits_for
from tests.conftest import ENDS
from tests.consistency.test_drain import drain_all, kept, raw
from tests.support.expectation import DAYS_AFTER_ANSWER
from tests.support.servers import wait_until
from tests.support.site_under_test import (
    IMPATIENT_WITH_REDIS,
    PATIENT,
    PLAYER,
    SEASON,
    Record,
    Site,
    ids,
    session,
)
from tests.support.wire import Wires


@pytest.fixture
def climbing(site: Site) -> Site:
    """A student with a stage, one of its atoms, and a question, whose records all have stability
    1."""
    site.add(PLAYER, [Record(name, stability=1) for name in ("q", "r", "stage", "stage:1")])
    return site


def take_away(site: Site, how: str) -> None:
    """Both Redis servers die or hang."""
    for server in (site.servers.cache, site.servers.journal):
        getattr(server, how)()


def give_back(site: Site) -> None:
    """Both servers are up again."""
    site.servers.heal()


def check(site: Site, **stabilities: int) -> None:
    """The table has these stabilities, and matching dates."""
    rows = site.rows()
    found = {name: rows[name]["stability"] for name in stabilities}
    assert found == stabilities
    for name, stability in stabilities.items():
        days = (
            rows[name]["next_review_date"] - rows[name]["last_review_date"].replace(microsecond=0)
        ).days
        assert days == DAYS_AFTER_ANSWER[stability]


@pytest.mark.parametrize("how", ENDS)
def test_they_count_on_top_of_what_waits_in_the_journal(climbing: Site, how: str) -> None:
    engine = climbing.engine()
    engine.submit(PLAYER, session_data=session("q", "r"))
    take_away(climbing, how)
    taken = climbing.engine().submit(PLAYER, session_data=session("q"))
    assert kept(climbing) == [taken["persistence_job_id"]]
    # Nothing is written behind the drain's back.
    assert climbing.rows()["q"]["stability"] == 1
    give_back(climbing)
    drain_all(climbing, climbing.engine())
    check(climbing, q=3, r=2)


def test_a_read_or_an_answer_before_the_drain_knows_of_both(climbing: Site) -> None:
    climbing.engine().submit(PLAYER, session_data=session("q"))
    take_away(climbing, "kill")
    climbing.engine().submit(PLAYER, session_data=session("q"))
    give_back(climbing)
    engine = climbing.engine()
    assert engine.submit(PLAYER, session_data=session("q"))["new_stability_counts"]["4"] == 1
    drain_all(climbing, engine)
    check(climbing, q=4)


def test_a_wrong_answer_stays_wrong(climbing: Site) -> None:
    climbing.engine().submit(PLAYER, session_data=session("q"))
    take_away(climbing, "kill")
    climbing.engine().submit(PLAYER, session_data=session("q", is_correct=False))
    climbing.engine().submit(PLAYER, session_data=session("q"))
    give_back(climbing)
    drain_all(climbing, climbing.engine())
    check(climbing, q=2)


def test_a_stage_follows_its_atom(climbing: Site) -> None:
    climbing.engine().submit(PLAYER, session_data=session("stage:1"))
    take_away(climbing, "kill")
    climbing.engine().submit(PLAYER, session_data=session("stage:1"))
    give_back(climbing)
    drain_all(climbing, climbing.engine())
    check(climbing, **{"stage:1": 3})
    rows = climbing.rows()
    assert rows["stage"]["next_review_date"] == rows["stage:1"]["next_review_date"]
    assert (rows["stage"]["stability"], rows["stage"]["last_review_date"]) == (1, None)


def test_a_drain_that_is_repeated_changes_nothing(climbing: Site) -> None:
    climbing.engine().submit(PLAYER, session_data=session("q"))
    climbing.engine().submit(PLAYER, session_data=session("q"))
    stream = climbing.key("srs-journal")
    both = raw(climbing).dump(stream)
    raw(climbing).xtrim(stream, maxlen=1)
    last = raw(climbing).dump(stream)
    raw(climbing).restore(stream, 0, both, replace=True)
    take_away(climbing, "kill")
    climbing.engine().submit(PLAYER, session_data=session("q", duration_ms=7000))
    give_back(climbing)
    drain_all(climbing, climbing.engine())
    check(climbing, q=3)
    # A dead drain's entries can come after younger ones, and twice.
    for dump in (both, last, both):
        raw(climbing).restore(stream, 0, dump, replace=True)
        climbing.engine().drain()
        check(climbing, q=3)


@pytest.mark.engines(**IMPATIENT_WITH_REDIS)
def test_what_a_hanging_journal_takes_after_all_counts_once(climbing: Site) -> None:
    engine = climbing.engine()
    engine.due(PLAYER)
    climbing.servers.cache.kill()
    engine.submit(PLAYER, session_data=session("r"))
    # The connection is open, so the server will take what is sent now once it continues.
    climbing.servers.journal.pause()
    taken = engine.submit(PLAYER, session_data=session("q"))
    assert kept(climbing) == [taken["persistence_job_id"]]
    give_back(climbing)
    assert wait_until(lambda: engine.journal_status()["reachable"])
    assert engine.submit(PLAYER, session_data=session("r"))["new_stability_counts"]["3"] == 1
    drain_all(climbing, engine)
    check(climbing, q=2, r=3)


def test_nothing_is_kept_of_them_for_long(climbing: Site, engine: Engine) -> None:
    engine.submit(PLAYER, session_data=session("q"))
    take_away(climbing, "kill")
    climbing.engine().submit(PLAYER, session_data=session("q"))
    give_back(climbing)
    assert len(kept(climbing)) == 1
    drain_all(climbing, engine)
    assert kept(climbing) == []

    def is_forgotten() -> bool:
        climbing.engine().due(PLAYER)
        return climbing.sql("SELECT * FROM `memora_unshown`") == []

    # The next reader looks whose schedules lack an answer.
    assert wait_until(is_forgotten)


def test_with_the_journal_alone_away_the_cache_knows(climbing: Site, engine: Engine) -> None:
    engine.submit(PLAYER, session_data=session("q"))
    climbing.servers.journal.kill()
    engine.submit(PLAYER, session_data=session("q"))
    give_back(climbing)
    drain_all(climbing, climbing.engine())
    check(climbing, q=3)
    assert ids(climbing.engine().due(PLAYER)) == ["r", "stage", "stage:1"]


def test_more_entries_than_a_statement_has_room_for(climbing: Site, engine: Engine) -> None:
    """A script, or a school day without the database: all wait, and all are written."""
    engine.submit(PLAYER, session_data=session("q"))
    ((_id, entry),) = climbing.journal.xrange(climbing.key("srs-journal"))
    text, token = entry["entry"], json.loads(entry["entry"])["t"]
    copies = (text.replace(token, f"copy{number}-{token}") for number in range(70_000))
    rows = [
        (f"copy{number}-{token}", PLAYER, SEASON, 0, copy) for number, copy in enumerate(copies)
    ]
    sql = (
        "INSERT INTO `memora_journal` (token, player, season, kept_at_us, entry) "
        "VALUES (%s, %s, %s, %s, %s)"
    )
    with climbing.servers.database.connect(database=climbing.name) as connection:
        connection.cursor().executemany(sql, rows)
    other = "other@school.example"
    engine.submit(other, session_data=session("q"))
    report = climbing.engine(**PATIENT).drain(seconds=300.0)
    assert (report["remaining"], report["set_aside"]) == (0, 0)
    assert climbing.rows()["q"]["stability"] == 4
    assert climbing.rows(other)["q"]["stability"] == 1


def test_answers_whose_predecessors_are_gone_do_not_wait_for_each_other(
    climbing: Site, engine: Engine
) -> None:
    """All were computed from records that a script has removed: one drain writes them all."""
    names = [f"n{number}" for number in range(12)]
    for name in names:
        engine.submit(PLAYER, session_data=session(name))
    drain_all(climbing, engine)
    for name in names:
        engine.submit(PLAYER, session_data=session(name))
    take_away(climbing, "kill")
    engine = climbing.engine()
    for name in names:
        engine.submit(PLAYER, session_data=session(name))
    climbing.sql("DELETE FROM `tabPlayer Memory Tracker` WHERE question_id LIKE 'n%'")
    give_back(climbing)
    assert wait_until(lambda: engine.journal_status()["reachable"])
    climbing.engine().drain()
    assert kept(climbing) == []
    assert climbing.engine().journal_status()["backlog"] == 0


def test_an_answer_that_was_kept_though_nobody_could_say_so_is_not_called_unsaved(
    climbing: Site,
) -> None:
    """Only the reply of the second journal is lost: a student who is told that nothing was saved
    answers again."""
    with Wires(climbing.servers) as wires:
        engine = climbing.engine(**wires.settings, database_timeout_ms=3_000)
        engine.due(PLAYER)
        climbing.servers.journal.kill()
        engine.submit(PLAYER, session_data=session("r"))
        with (
            climbing.servers.database.connect(database=climbing.name) as other,
            other.cursor() as cursor,
        ):
            cursor.execute("LOCK TABLES `memora_journal` WRITE")
            outcome: list[Exception] = []

            def answer() -> None:
                try:
                    engine.submit(PLAYER, session_data=session("q"))
                except MemoraError as error:
                    outcome.append(error)

            thread = threading.Thread(target=answer)
            thread.start()
            # Its statement has arrived, and waits for the table.
            assert wait_until(lambda: waits_for(climbing, "INSERT INTO `memora_journal`"))
            wires.to["database"].hang()
            cursor.execute("UNLOCK TABLES")
            thread.join()
        wires.to["database"].mend()
    assert [type(error) for error in outcome] == [OutcomeUnknown]
