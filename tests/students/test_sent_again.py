"""A submission with a key that is sent again: it is answered as the first time, and counts once."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from datetime import datetime, timedelta, timezone
from typing import Any, Final

import pytest

from memora._engine import (
    Engine,
    InvalidInput,
    MemoraError,
    SeasonUnavailable,
    ServiceUnavailable,
)
from tests.consistency.test_drain import audits, drain_all, kept
from tests.servers.test_read_only import read_only
from tests.support.servers import wait_until
from tests.support.site_under_test import PLAYER, SEASON, Record, Servers, Site, ids, session

KEY: Final = "lesson 7 🦉"
# Fields that clients do not get: how a submission was taken.
HOW: Final = ("drain_wanted", "is_first")


def stabilities(site: Site, player: str = PLAYER) -> dict[str, int]:
    return {name: row["stability"] for name, row in site.rows(player).items()}


@pytest.fixture
def student(site: Site) -> Site:
    """A student with three due questions."""
    site.add(PLAYER, [Record(name, stability=1) for name in ("p", "q", "r")])
    return site


def given(answer: Mapping[str, Any]) -> dict[str, Any]:
    """What a client is told."""
    return {name: value for name, value in answer.items() if name not in HOW}


def nothing(_site: Site) -> None:
    pass


def drained(site: Site) -> None:
    drain_all(site, site.engine())


def long_saved(site: Site) -> None:
    """It was saved so long ago that the journal knows nothing of it."""
    drained(site)
    site.journal.flushall()


def journal_lost(site: Site) -> None:
    """It was saved, and both Redis were emptied."""
    drained(site)
    site.journal.flushall()
    site.cache.flushall()


def cache_lost(site: Site) -> None:
    site.cache.flushall()


@pytest.mark.parametrize(
    "meanwhile",
    [nothing, drained, long_saved, journal_lost, cache_lost],
    ids=lambda do: do.__name__,
)
def test_it_is_answered_as_the_first_time(student: Site, meanwhile: Callable[[Site], None]) -> None:
    engine = student.engine()
    first = engine.submit(PLAYER, session_data=session("p", "q"), submission_id=KEY)
    meanwhile(student)
    for process in (engine, student.engine()):
        again = process.submit(PLAYER, session_data=session("p", "q"), submission_id=KEY)
        assert given(again) == given(first)
        assert ids(process.due(PLAYER)) == ["r"]
    drained(student)
    assert stabilities(student) == {"p": 2, "q": 2, "r": 1}
    assert len(audits(student)) == 1
    assert engine.persistence_status(PLAYER, first["persistence_job_id"]) == "persisted"


@pytest.mark.parametrize("is_first", [True, False], ids=["first", "again"])
def test_an_outage_of_the_cache(student: Site, is_first: bool) -> None:
    """One of the two is sent while the cache is down; `remaining_items` is told alike."""
    one, other = student.engine(), student.engine()

    def send(engine: Engine, is_away: bool) -> dict[str, Any]:
        with read_only(student, "cache") if is_away else nullcontext():
            taken = engine.submit(PLAYER, session_data=session("p", "q"), submission_id=KEY)
            return given(taken)

    first = send(one, is_first)
    assert send(other, not is_first) == first
    assert first["remaining_items"] == 1
    drained(student)
    assert stabilities(student) == {"p": 2, "q": 2, "r": 1}
    assert wait_until(lambda: ids(other.due(PLAYER)) == ["r"])


@pytest.mark.parametrize("is_saved", [False, True])
def test_an_outage_of_the_journal(servers: Servers, student: Site, is_saved: bool) -> None:
    """A saved one is answered; the outcome of others is unknown until the journal is back."""
    engine = student.engine()
    first = given(engine.submit(PLAYER, session_data=session("p"), submission_id=KEY))
    if is_saved:
        drained(student)
    servers.journal.kill()
    for process in (engine, student.engine()):
        with pytest.raises(ServiceUnavailable):
            process.submit(PLAYER, session_data=session("q"), submission_id="new")
        if is_saved:
            told = process.submit(PLAYER, session_data=session("p"), submission_id=KEY)
            assert given(told) == first
            continue
        with pytest.raises(ServiceUnavailable):
            process.submit(PLAYER, session_data=session("p"), submission_id=KEY)
    # Answers without a key are taken.
    engine.submit(PLAYER, session_data=session("r"))
    servers.journal.start()
    assert wait_until(lambda: is_taken(engine))
    told = engine.submit(PLAYER, session_data=session("p"), submission_id=KEY)
    assert given(told) == first
    drained(student)
    assert stabilities(student) == {"p": 2, "q": 2, "r": 2}


def test_what_could_not_be_taken_now_was_taken_before(student: Site) -> None:
    """The journal has it, and by now no season is active."""
    engine = student.engine()
    first = given(engine.submit(PLAYER, session_data=session("p"), submission_id=KEY))
    student.sql("UPDATE `tabGame Subscription Season` SET is_active = 0")
    engine.season_changed()
    again = engine.submit(PLAYER, session_data=session("p"), submission_id=KEY)
    assert given(again) == first
    with pytest.raises(SeasonUnavailable):
        engine.submit(PLAYER, session_data=session("p"), submission_id="new")


def test_an_erased_students_key_is_used_up(student: Site) -> None:
    engine = student.engine()
    engine.submit(PLAYER, session_data=session("p"), submission_id=KEY)
    engine.forget(PLAYER)
    assert student.sql("SELECT _told FROM `tabMemory Review Audit`") == [{"_told": None}]
    with pytest.raises(InvalidInput, match="were saved before"):
        engine.submit(PLAYER, session_data=session("p"), submission_id=KEY)


def test_a_hidden_question_remains_for_nobody(student: Site) -> None:
    engine = student.engine()
    engine.suspend_question(PLAYER, "p")
    at_once = json.dumps([{"question_id": "p", "attempts_count": 2}])
    told = engine.rate(PLAYER, at_once)
    assert told["remaining_items"] == engine.due(PLAYER)["total_due"] == 2


def test_other_answers_need_another_key(student: Site) -> None:
    engine = student.engine()
    engine.submit(PLAYER, session_data=session("p"), submission_id=KEY)
    for state in (nothing, drained, journal_lost):
        state(student)
        with pytest.raises(InvalidInput, match="was used for other answers"):
            engine.submit(PLAYER, session_data=session("q"), submission_id=KEY)
    lesson = json.dumps([{"question_id": "p", "duration_ms": 3000}])
    with pytest.raises(InvalidInput, match="was used for other answers"):
        engine.rate(PLAYER, lesson, submission_id=KEY)
    engine.submit("somebody@school.example", session_data=session("q"), submission_id=KEY)
    engine.submit(PLAYER, session_data=session("q"), submission_id=KEY + "b")
    drained(student)
    assert stabilities(student) == {"p": 2, "q": 2, "r": 1}
    assert stabilities(student, "somebody@school.example") == {"q": 1}


@pytest.mark.parametrize("key", ["", "k" * 65, "é" * 65])
def test_a_key_has_1_to_64_characters(engine: Engine, key: str) -> None:
    with pytest.raises(InvalidInput, match="1 to 64 characters"):
        engine.submit(PLAYER, session_data=session("p"), submission_id=key)


def test_the_longest_key_is_taken(site: Site, engine: Engine) -> None:
    for key in ("é" * 64, "🦉" * 64, "a:b|*?'\"\\\n\x00"):
        engine.submit(PLAYER, session_data=session("p"), submission_id=key)
        engine.submit(PLAYER, session_data=session("p"), submission_id=key)
    drained(site)
    assert len(audits(site)) == 3


def test_a_lesson_has_a_key_as_well(site: Site, engine: Engine) -> None:
    interactions = json.dumps([{"question_id": "p", "duration_ms": 1000}])
    first = engine.rate(PLAYER, interactions, submission_id=KEY)
    assert given(engine.rate(PLAYER, interactions, submission_id=KEY)) == given(first)
    drained(site)
    assert len(audits(site)) == 1


def test_at_the_same_moment_one_counts(student: Site) -> None:
    engines = [student.engine() for _ in range(4)]
    for number in range(20):

        def send(engine: Engine, number: int = number) -> dict[str, Any]:
            key = f"{number}"
            return given(engine.submit(PLAYER, session_data=session("p"), submission_id=key))

        with ThreadPoolExecutor(len(engines)) as threads:
            told = list(threads.map(send, engines))
        assert all(one == told[0] for one in told)
    drained(student)
    assert len(audits(student)) == 20


@pytest.mark.parametrize("is_drained_between", [False, True])
def test_a_journal_that_comes_back_has_it_too(student: Site, is_drained_between: bool) -> None:
    """It is moved into `memora_journal`, after the submission was taken again."""
    engine = student.engine()
    engine.submit(PLAYER, session_data=session("q"), submission_id="before")
    engine.submit(PLAYER, session_data=session("p"), submission_id=KEY)
    (last,) = student.journal.xrevrange(student.key("srs-journal"), count=1)
    text = last[1]["entry"]
    student.journal.flushall()
    student.cache.flushall()
    engine.submit(PLAYER, session_data=session("q"), submission_id="before")
    engine.submit(PLAYER, session_data=session("p"), submission_id=KEY)
    if is_drained_between:
        drained(student)
    student.sql(
        "INSERT INTO `memora_journal` (token, player, season, kept_at_us, entry) "
        "VALUES (%s, %s, %s, %s, %s)",
        (json.loads(text)["t"], PLAYER, SEASON, int(time.time() * 1e6), text),
    )
    # Computed from the entry in MariaDB, which does not count.
    student.cache.flushall()
    reader = student.engine()
    reader.due(PLAYER)
    reader.submit(PLAYER, session_data=session("p"))
    drained(student)
    assert stabilities(student) == {"p": 3, "q": 2, "r": 1}
    assert kept(student) == []


def test_nobody_can_tell_while_mariadb_is_away(student: Site) -> None:
    engine = student.engine()
    first = engine.submit(PLAYER, session_data=session("p"), submission_id=KEY)
    with read_only(student, "database"):
        # The journal still has it.
        again = engine.submit(PLAYER, session_data=session("p"), submission_id=KEY)
        assert given(again) == given(first)
        with pytest.raises(ServiceUnavailable):
            engine.submit(PLAYER, session_data=session("q"), submission_id="new")
    assert wait_until(lambda: is_taken(engine))
    drained(student)
    assert stabilities(student) == {"p": 2, "q": 2, "r": 1}


def is_taken(engine: Engine) -> bool:
    with suppress(MemoraError):
        engine.submit(PLAYER, session_data=session("q"), submission_id="new")
        return True
    return False


def test_what_is_saved_is_not_doubled_by_an_older_database(student: Site) -> None:
    engine = student.engine()
    first = engine.submit(PLAYER, session_data=session("p"), submission_id=KEY)
    drained(student)
    # The database lost its last commit; the journal still has it.
    student.sql("DELETE FROM `tabMemory Review Audit`")
    student.sql("UPDATE `tabPlayer Memory Tracker` SET stability = 1, answered_at_us = 0")
    assert given(
        student.engine().submit(PLAYER, session_data=session("p"), submission_id=KEY)
    ) == given(first)
    drained(student)
    assert stabilities(student)["p"] == 2
    assert len(audits(student)) == 1


# -- when answers were given --------------------------------------------------------------------
def offline(*answers: tuple[str, bool, timedelta]) -> str:
    """Answers, each with how long ago it was given."""
    now = datetime.now(timezone.utc)
    return json.dumps(
        {
            "answers": [
                {
                    "question_id": name,
                    "is_correct": is_correct,
                    "answered_at": (now - ago).isoformat(),
                }
                for name, is_correct, ago in answers
            ]
        }
    )


def test_dates_come_from_when_it_was_given(student: Site) -> None:
    hours = timedelta(hours=1)
    engine = student.engine()
    engine.submit(
        PLAYER,
        session_data=offline(("p", True, 48 * hours), ("p", False, 72 * hours), ("q", True, hours)),
        submission_id=KEY,
    )
    drained(student)
    rows, now = student.rows(), student.now()
    # Wrong three days ago, then right two days ago.
    assert rows["p"]["stability"] == 2
    for name, ago, days in (("p", 48 * hours, 3), ("q", hours, 3)):
        assert abs(rows[name]["last_review_date"] - (now - ago)) < timedelta(minutes=5)
        due = rows[name]["last_review_date"] + timedelta(days=days)
        assert rows[name]["next_review_date"] == due.replace(microsecond=0)
    assert ids(engine.due(PLAYER)) == ["r"]


@pytest.mark.parametrize(
    ("ago", "reason"),
    [(timedelta(minutes=-3), "in the future"), (timedelta(days=31), "30 days ago")],
)
def test_what_nobody_can_believe_is_refused(student: Site, ago: timedelta, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        student.engine().submit(PLAYER, session_data=offline(("p", True, ago)))
    drained(student)
    assert not audits(student)


def test_a_device_a_minute_ahead_answers_now(student: Site) -> None:
    before = student.now()
    student.engine().submit(PLAYER, session_data=offline(("p", True, timedelta(minutes=-1))))
    drained(student)
    assert student.rows()["p"]["last_review_date"] <= student.now()
    assert student.rows()["p"]["last_review_date"] >= before.replace(microsecond=0)


def test_batches_in_any_order_lose_no_answer(student: Site) -> None:
    """Each answer counts, in the order of arrival, and no date moves back."""
    chance = random.Random(21)
    engine, newest = student.engine(), timedelta(days=99)
    for number in range(12):
        ago = timedelta(hours=chance.randrange(1, 600))
        newest = min(newest, ago)
        text = offline(("p", True, ago))
        for _ in range(chance.randrange(1, 4)):
            engine.submit(PLAYER, session_data=text, submission_id=str(number))
        if chance.random() < 0.3:
            drained(student)
        if chance.random() < 0.3:
            student.cache.flushall()
    drained(student)
    row = student.rows()["p"]
    assert row["stability"] == 4
    assert abs(row["last_review_date"] - (student.now() - newest)) < timedelta(minutes=5)
    assert len(audits(student)) == 12
