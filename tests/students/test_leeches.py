"""A question that a student keeps answering wrongly: told once, by the answer that makes it one."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from memora._engine import Engine, InvalidInput
from tests.consistency.test_drain import drain_all
from tests.students.test_sent_again import given
from tests.support.site_under_test import PLAYER, Record, Site, session

KEY: Final = "session 7"


def wrong(*questions: str) -> str:
    return session(*questions, is_correct=False)


def leeches(engine: Engine, *questions: str, **more: Any) -> list[str]:
    """What a submission of wrong answers to these questions is told."""
    return engine.submit(PLAYER, session_data=wrong(*questions), **more)["leeches"]


def lesson(*questions: str, attempts: int = 2) -> str:
    return json.dumps([{"question_id": name, "attempts_count": attempts} for name in questions])


@pytest.fixture
def student(site: Site) -> Site:
    """A student with a question that was answered right once, and one never answered."""
    site.add(PLAYER, [Record("q", stability=1), Record("r", stability=0)])
    return site


@pytest.mark.parametrize("is_saved", [False, True], ids=["from the cache", "from the records"])
def test_the_eighth_wrong_answer_is_told(student: Site, is_saved: bool) -> None:
    engine = student.engine()
    for _ in range(7):
        assert leeches(engine, "q") == []
        right = engine.submit(PLAYER, session_data=session("q"))
        assert right["leeches"] == []
    if is_saved:
        drain_all(student, engine)
        student.cache.flushall()
    assert leeches(engine, "q") == ["q"]
    # The ninth, and a right one.
    assert leeches(engine, "q") == []
    assert engine.submit(PLAYER, session_data=session("q"))["leeches"] == []
    drain_all(student, engine)
    assert student.rows()["q"]["lapses"] == 9


def test_the_site_says_after_how_many(student: Site) -> None:
    none, third = student.engine(leech_lapses=0), student.engine(leech_lapses=3)
    assert [leeches(third, "q") for _ in range(4)] == [[], [], ["q"], []]
    assert [leeches(none, "r") for _ in range(9)] == [[]] * 9
    with pytest.raises(InvalidInput, match="leech_lapses is 0 to 1000, not 1001"):
        student.engine(leech_lapses=1001)
    assert leeches(student.engine(leech_lapses=1000), "r") == []


def test_several_are_told_in_the_order_of_their_ids(student: Site) -> None:
    engine = student.engine(leech_lapses=2)
    assert leeches(engine, "r", "q", "other") == []
    # One of them twice, and one that is new.
    assert leeches(engine, "r", "q", "new", "r") == ["q", "r"]
    assert leeches(engine, "new", "new", "other") == ["new", "other"]


@pytest.mark.parametrize("is_saved", [False, True])
def test_sent_again_it_is_told_again(student: Site, is_saved: bool) -> None:
    """In the same words, even by a process that reports no leeches, and the answers count once."""
    engine = student.engine(leech_lapses=2)
    assert leeches(engine, "q", "r") == []
    taken = engine.submit(PLAYER, session_data=wrong("r", "q", "new"), submission_id=KEY)
    assert (taken["leeches"], taken["is_first"]) == (["q", "r"], True)
    if is_saved:
        drain_all(student, engine)
        student.journal.flushall()
    for process in (engine, student.engine(leech_lapses=0)):
        again = process.submit(PLAYER, session_data=wrong("r", "q", "new"), submission_id=KEY)
        assert (given(again), again["is_first"]) == (given(taken), False)
    drain_all(student, engine)
    assert [student.rows()[name]["lapses"] for name in ("q", "r", "new")] == [2, 2, 1]


def test_fifty_long_ones_are_told_again_from_the_records(site: Site) -> None:
    """The column for an acknowledgement has only 255 characters."""
    engine = site.engine(leech_lapses=1)
    names = [f"{number:02}" + "🦉" * 138 for number in range(50)]
    assert leeches(engine, *names, submission_id=KEY) == names
    drain_all(site, engine)
    site.journal.flushall()
    assert leeches(site.engine(), *names, submission_id=KEY) == names
    assert {row["lapses"] for row in site.rows().values()} == {1}


def test_a_lesson_with_several_attempts_is_a_wrong_answer(student: Site) -> None:
    engine = student.engine(leech_lapses=2)
    assert engine.rate(PLAYER, lesson("q", "r"))["leeches"] == []
    assert engine.rate(PLAYER, lesson("q", "r", attempts=1))["leeches"] == []
    assert engine.rate(PLAYER, lesson("r", "q"))["leeches"] == ["q", "r"]


def test_what_was_undone_did_not_count(student: Site) -> None:
    engine = student.engine(leech_lapses=2)
    assert leeches(engine, "q") == []
    assert leeches(engine, "q", submission_id=KEY) == ["q"]
    engine.undo(PLAYER, KEY)
    assert leeches(engine, "q") == ["q"]


@pytest.mark.parametrize("server", ["cache", "journal"])
def test_without_a_server(student: Site, server: str) -> None:
    engine = student.engine(leech_lapses=2)
    assert leeches(engine, "q") == []
    drain_all(student, engine)
    getattr(student.servers, server).kill()
    assert [leeches(engine, "q") for _ in range(2)] == [["q"], []]


@pytest.mark.parametrize("is_saved", [False, True], ids=["it waits", "it is saved"])
def test_what_was_undone_is_told_again_when_it_is_reached_again(
    student: Site, is_saved: bool
) -> None:
    engine = student.engine(leech_lapses=2)
    assert leeches(engine, "q") == []
    assert leeches(engine, "q", submission_id=KEY) == ["q"]
    if is_saved:
        drain_all(student, engine)
    engine.undo(PLAYER, KEY)
    # Sent again, the submission is answered as the first time.
    assert leeches(engine, "q", submission_id=KEY) == ["q"]
    assert leeches(engine, "q") == ["q"]
    assert leeches(engine, "q") == []
    drain_all(student, engine)
    assert student.rows()["q"]["lapses"] == 3
