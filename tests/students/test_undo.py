"""A submission that is undone: its questions are as before it, and its answers do not count."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any, Final

import pytest

from memora._engine import (
    Engine,
    InvalidInput,
    MemoraError,
    SeasonUnavailable,
    ServiceUnavailable,
)
from tests.administrators.test_replay import obstacle
from tests.consistency.test_drain import audits, drain_all, kept, tolerant
from tests.consistency.test_older_database import forgotten
from tests.servers.test_read_only import read_only
from tests.students.test_sent_again import given, stabilities
from tests.support.servers import wait_until
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

__all__ = ["obstacle"]

KEY: Final = "lesson 7 🦉"
NEVER: Final = datetime(2200, 1, 1)
FACTS: Final = (
    "stability",
    "next_review_date",
    "last_review_date",
    "subject",
    "topic",
    "memory_stability",
    "memory_difficulty",
    "lapses",
)


@pytest.fixture
def student(site: Site) -> Site:
    """A student with three due questions, one of which is a stage."""
    ago = timedelta(days=-4)
    site.add(PLAYER, [Record(name, stability=2, reviewed_in=ago) for name in ("p", "q", "stage")])
    return site


def facts(site: Site) -> dict[str, list[Any]]:
    """What the table has of each question, but orders; dates to the second."""

    def whole(fact: object) -> object:
        return fact.replace(microsecond=0) if isinstance(fact, datetime) else fact

    return {name: [whole(row[fact]) for fact in FACTS] for name, row in site.rows().items()}


def states(engine: Engine) -> list[Any]:
    """What the student sees."""
    found = engine.due(PLAYER)
    return [found["questions"], found["total_due"]]


def submit(engine: Engine, *names: str, key: str = KEY) -> dict[str, Any]:
    return given(engine.submit(PLAYER, session_data=session(*names), submission_id=key))


def refused(engine: Engine, code: str, key: str = KEY) -> None:
    with pytest.raises(InvalidInput, match="Nothing was undone") as refusal:
        engine.undo(PLAYER, key)
    assert refusal.value.code == f"memora.{code}"


def nothing(_site: Site) -> None:
    """It waits in the journal."""


def drained(site: Site) -> None:
    drain_all(site, site.engine())


def long_saved(site: Site) -> None:
    """The journal knows nothing of it any more."""
    drained(site)
    site.journal.flushall()


def both_replaced(site: Site) -> None:
    drained(site)
    site.journal.flushall()
    site.cache.flushall()


def cache_lost(site: Site) -> None:
    site.cache.flushall()


def half_drained(site: Site) -> None:
    """A drain died after its commit."""
    stream = site.key("srs-journal")
    entries = site.journal.xrange(stream)
    pending, tokens = site.key("srs-pending", PLAYER), site.key("srs-tokens")
    before = site.journal.hgetall(pending), site.journal.hgetall(tokens)
    drained(site)
    for _, fields in entries:
        site.journal.xadd(stream, fields)
    ids = [name for name, _ in site.journal.xrange(stream)]
    old = [name for name, _ in entries]
    renamed = dict(zip(old, ids, strict=True))
    site.journal.delete(pending, tokens)
    site.journal.hset(pending, mapping={renamed.get(k, k): v for k, v in before[0].items()})
    site.journal.hset(tokens, mapping={k: renamed.get(v, v) for k, v in before[1].items()})


def in_the_table(site: Site) -> None:
    """It was moved into `memora_journal`."""
    ((_, fields),) = site.journal.xrange(site.key("srs-journal"))
    token = json.loads(fields["entry"])["t"]
    site.journal.flushall()
    site.cache.flushall()
    site.sql(
        "INSERT INTO `memora_journal` (token, player, season, kept_at_us, entry) "
        "VALUES (%s, %s, %s, 1, %s)",
        (token, PLAYER, SEASON, fields["entry"]),
    )


MEANWHILE: Final = [
    nothing, drained, long_saved, both_replaced, cache_lost, half_drained, in_the_table,
]  # fmt: skip


@pytest.mark.parametrize("meanwhile", MEANWHILE, ids=lambda do: do.__name__)
def test_everything_is_as_before(student: Site, meanwhile: Callable[[Site], None]) -> None:
    engine = student.engine()
    before, seen = facts(student), states(engine)
    first = submit(engine, "p", "new", "stage:1")
    meanwhile(student)
    undone = engine.undo(PLAYER, KEY)
    assert (undone["undone"], undone["xp_taken_back"]) == (3, first["xp_earned"]) == (3, 30)
    assert undone["remaining_items"] == 3
    for process in (engine, student.engine()):
        assert states(process) == seen
        assert given(process.undo(PLAYER, KEY)) == given(undone)
        assert process.is_undone(PLAYER, first["persistence_job_id"])
        # The client that sends it again is answered as the first time.
        assert submit(process, "p", "new", "stage:1") == first
    drained(student)
    after = facts(student)
    for name in ("new", "stage:1"):
        assert after.pop(name) == [0, NEVER, None, None, None, 0, 0, 0]
    assert after == before
    assert kept(student) == []
    student.cache.flushall()
    for process in (engine, student.engine()):
        assert states(process) == seen
        assert given(process.undo(PLAYER, KEY)) == given(undone)
        assert process.is_undone(PLAYER, first["persistence_job_id"])
        assert submit(process, "p", "new", "stage:1") == first
    jobs = [first["persistence_job_id"], undone["persistence_job_id"]]
    assert [engine.persistence_status(PLAYER, job) for job in jobs] == ["persisted"] * 2
    assert sorted(audits(student)) == sorted(jobs)
    answers = engine.answers(PLAYER, SEASON)
    assert [answer["is_counted"] for answer in answers] == [False] * 3
    report = engine.reconcile(SEASON)
    assert report["percent_differing"] == 0


@pytest.mark.parametrize("meanwhile", [nothing, drained], ids=lambda do: do.__name__)
def test_the_next_answers_count_on_what_was_before(
    student: Site, meanwhile: Callable[[Site], None]
) -> None:
    engine = student.engine()
    submit(engine, "p", "new")
    meanwhile(student)
    engine.undo(PLAYER, KEY)
    engine.submit(PLAYER, session_data=session("p", "new", subject="Arabic"))
    drained(student)
    assert stabilities(student) == {"p": 3, "q": 2, "stage": 2, "new": 1}
    assert student.rows()["new"]["subject"] == "Arabic"
    counted = [(a["question_id"], a["is_counted"]) for a in engine.answers(PLAYER, SEASON)]
    assert counted == [("p", False), ("new", False), ("p", True), ("new", True)]


def test_the_subject_that_it_brought_is_gone(student: Site) -> None:
    engine = student.engine()
    student.sql(f"UPDATE {TRACKER} SET subject = 'Science' WHERE question_id = 'q'")
    for meanwhile in (nothing, drained):
        text = session("p", "q", subject="Arabic", topic="Plants")
        engine.submit(PLAYER, session_data=text, submission_id=meanwhile.__name__)
        meanwhile(student)
        engine.undo(PLAYER, meanwhile.__name__)
        drained(student)
        found = {name: (row["subject"], row["topic"]) for name, row in student.rows().items()}
        assert found == {"p": (None, None), "q": ("Science", None), "stage": (None, None)}


@pytest.mark.parametrize("meanwhile", [nothing, drained], ids=lambda do: do.__name__)
def test_something_newer_stands(student: Site, meanwhile: Callable[[Site], None]) -> None:
    """Nothing of the whole submission is undone."""
    engine, other_device = student.engine(), student.engine()
    submit(engine, "p", "q")
    meanwhile(student)
    submit(other_device, "q", key="other")
    refused(engine, "changed_since")
    meanwhile(student)
    refused(engine, "changed_since")
    # The newer one can be undone, but what it undid stays changed.
    other_device.undo(PLAYER, "other")
    refused(engine, "changed_since")
    drained(student)
    assert stabilities(student) == {"p": 3, "q": 3, "stage": 2}
    assert all(a["is_counted"] for a in engine.answers(PLAYER, SEASON)[:2])


def test_another_submission_of_other_questions_stays(student: Site) -> None:
    engine = student.engine()
    submit(engine, "p")
    submit(engine, "q", key="other")
    engine.undo(PLAYER, KEY)
    drained(student)
    assert stabilities(student) == {"p": 2, "q": 3, "stage": 2}


def test_a_stage_that_moved_since_is_newer(student: Site) -> None:
    engine = student.engine()
    submit(engine, "stage:1")
    submit(engine, "stage:2", key="other")
    refused(engine, "changed_since")


@pytest.mark.parametrize("meanwhile", [nothing, drained], ids=lambda do: do.__name__)
def test_an_edit_stands(student: Site, meanwhile: Callable[[Site], None]) -> None:
    # Orders may be a little ahead of the clock, and the edit is after them.
    edit = (
        f"UPDATE {TRACKER} SET stability = 4, modified_by = 'Administrator', "
        "answered_at_us = UNIX_TIMESTAMP(NOW(6)) * 1000000 + 1000000 WHERE question_id = 'p'"
    )
    engine = student.engine()
    submit(engine, "p")
    meanwhile(student)
    student.sql(edit)
    student.cache.flushall()
    refused(engine, "changed_since")
    drained(student)
    # After the undoing, before it is saved.
    submit(engine, "q", "stage", key="other")
    meanwhile(student)
    engine.undo(PLAYER, "other")
    student.sql(edit.replace("'p'", "'q'"))
    drained(student)
    assert stabilities(student) == {"p": 4, "q": 4, "stage": 2}


@pytest.mark.parametrize("meanwhile", [nothing, long_saved], ids=lambda do: do.__name__)
def test_only_ones_own(student: Site, meanwhile: Callable[[Site], None]) -> None:
    engine = student.engine()
    first = submit(engine, "p")
    meanwhile(student)
    for player, key in ((PLAYER, "other"), ("somebody@school.example", KEY)):
        with pytest.raises(InvalidInput, match="no such submission") as refusal:
            engine.undo(player, key)
        assert refusal.value.code == "memora.unknown_submission"
    assert not engine.is_undone("somebody@school.example", first["persistence_job_id"])
    assert not engine.is_undone(PLAYER, first["persistence_job_id"])


@pytest.mark.parametrize("is_saved", [False, True])
def test_ten_minutes(student: Site, is_saved: bool) -> None:
    engine = student.engine()
    submit(engine, "p", key="first")
    submit(engine, "q")
    before = engine.undo(PLAYER, "first")
    age(student, 601, is_saved)
    refused(engine, "too_late_to_undo")
    # What was undone in time stays so.
    assert given(engine.undo(PLAYER, "first")) == given(before)
    drained(student)
    assert stabilities(student) == {"p": 2, "q": 3, "stage": 2}


def age(site: Site, seconds: int, is_saved: bool) -> None:
    """Let the last submission be older: its entry, or what was noted of it."""
    stream, pending = site.key("srs-journal"), site.key("srs-pending", PLAYER)
    entries = site.journal.xrange(stream)
    _, fields = entries[1]
    entry = json.loads(fields["entry"])
    at, order = entry["o"]
    entry["o"] = [at - seconds * 1_000_000, order]
    following = entries[2:]
    site.journal.xdel(stream, *[name for name, _ in entries[1:]])
    site.journal.hdel(pending, *[name for name, _ in entries[1:]])
    for text in [json.dumps(entry), *(fields["entry"] for _, fields in following)]:
        renamed = site.journal.xadd(stream, {**fields, "entry": text})
        site.journal.hset(pending, renamed, "")
        site.journal.hset(site.key("srs-tokens"), json.loads(text)["t"], renamed)
    if is_saved:
        long_saved(site)


def test_a_lesson_is_undone_and_had_earned_nothing(student: Site) -> None:
    engine = student.engine()
    for meanwhile in (nothing, drained):
        lesson = json.dumps([{"question_id": "taught", "attempts_count": 1}])
        engine.rate(PLAYER, lesson, submission_id=meanwhile.__name__)
        meanwhile(student)
        assert engine.undo(PLAYER, meanwhile.__name__)["xp_taken_back"] == 0
    drained(student)
    assert student.rows()["taught"]["stability"] == 0
    assert engine.forecast(PLAYER, 365)["total"] == 3


def test_without_a_key_nothing_is_undone(student: Site) -> None:
    engine = student.engine()
    told = engine.submit(PLAYER, session_data=session("p"))
    refused(engine, "unknown_submission", told["persistence_job_id"])


@pytest.mark.parametrize("meanwhile", [nothing, drained], ids=lambda do: do.__name__)
def test_an_outage_of_the_journal(
    servers: Servers, student: Site, meanwhile: Callable[[Site], None]
) -> None:
    """Whether something newer is there is unknown."""
    engine = student.engine()
    submit(engine, "p")
    meanwhile(student)
    servers.journal.kill()
    for process in (engine, student.engine()):
        with pytest.raises(ServiceUnavailable):
            process.undo(PLAYER, KEY)
    servers.journal.start()
    assert wait_until(lambda: is_undone(engine))
    drained(student)
    assert stabilities(student) == {"p": 2, "q": 2, "stage": 2}


def is_undone(engine: Engine) -> bool:
    try:
        engine.undo(PLAYER, KEY)
    except ServiceUnavailable:
        return False
    return True


@pytest.mark.parametrize("name", ["cache", "database"])
def test_an_outage_of_another_server(student: Site, name: str) -> None:
    engine = student.engine()
    seen = states(engine)
    submit(engine, "p")
    with read_only(student, name):
        if name == "cache":
            engine.undo(PLAYER, KEY)
        else:
            with pytest.raises(ServiceUnavailable):
                engine.undo(PLAYER, KEY)
    assert wait_until(lambda: is_undone(engine))
    assert wait_until(lambda: states(student.engine()) == seen)
    drained(student)
    assert stabilities(student) == {"p": 2, "q": 2, "stage": 2}


def test_an_answer_that_waits_in_mariadb_is_newer(servers: Servers, student: Site) -> None:
    """A process without the journal has taken it meanwhile."""
    engine = student.engine()
    submit(engine, "p")
    servers.journal.kill()
    student.engine().submit(PLAYER, session_data=session("p"))
    servers.journal.start()
    refusals = set()

    def is_refused() -> bool:
        with pytest.raises(MemoraError) as refusal:
            engine.undo(PLAYER, KEY)
        refusals.add(refusal.value.code)
        return refusal.value.code == "memora.changed_since"

    assert wait_until(is_refused)
    drained(student)
    assert stabilities(student)["p"] == 4


def test_an_older_database(student: Site) -> None:
    """It lacks the submission, its undoing, or both."""
    engine = student.engine()
    seen = states(engine)
    with forgotten(student):
        submit(engine, "p", "new")
        drained(student)
    engine.undo(PLAYER, KEY)
    assert states(student.engine()) == seen
    with forgotten(student):
        drained(student)
    student.cache.flushall()
    assert states(student.engine()) == seen
    drained(student)
    assert stabilities(student) == {"p": 2, "q": 2, "stage": 2, "new": 0}
    assert [answer["is_counted"] for answer in engine.answers(PLAYER, SEASON)] == [False] * 2
    assert len(audits(student)) == 2


def test_at_the_same_moment_one_undoes(student: Site) -> None:
    engines = [student.engine() for _ in range(4)]
    for number in range(10):
        submit(engines[0], "p", key=f"{number}")
        with ThreadPoolExecutor(len(engines)) as threads:
            told = list(
                threads.map(
                    lambda engine, key=f"{number}": given(engine.undo(PLAYER, key)), engines
                )
            )
        assert all(one == told[0] for one in told)
    drained(student)
    assert stabilities(student)["p"] == 2
    assert len(audits(student)) == 20


def test_a_race_with_another_device(student: Site) -> None:
    """The other's answer counts, before the undoing or after it; acknowledged is what holds."""
    engine, other = student.engine(), student.engine()
    expected = 2
    for number in range(30):
        submit(engine, "p", key=f"{number}")
        with ThreadPoolExecutor(2) as threads:
            answered = threads.submit(
                other.submit, PLAYER, session_data=session("p", is_correct=number % 3 != 0)
            )
            outcome = threads.submit(engine.undo, PLAYER, f"{number}")
            answered.result()
            refusal = outcome.exception()
            assert refusal is None or getattr(refusal, "code", "") == "memora.changed_since"
        before = expected if refusal is None else min(4, expected + 1)
        expected = 1 if number % 3 == 0 else min(4, before + 1)
        if number % 5 == 0:
            drained(student)
        assert (
            engine.submit(PLAYER, session_data=session("p", duration_ms=7000))[
                "new_stability_counts"
            ][str(expected)]
            == 1
        ), number
    drained(student)
    assert stabilities(student)["p"] == expected


def test_what_was_set_aside_cannot_be_undone(site: Site, obstacle: Callable[[], None]) -> None:
    engine = site.engine()
    submit(engine, "bad", "good")
    assert engine.drain()["set_aside"] == 1
    refused(engine, "cannot_be_undone")
    obstacle()
    engine.replay()
    refused(engine, "cannot_be_undone")


def test_what_an_older_memora_saved_cannot_be_undone(student: Site) -> None:
    engine = student.engine()
    submit(engine, "p")
    drained(student)
    student.sql("UPDATE `tabMemory Review Audit` SET _replaced = NULL")
    refused(engine, "cannot_be_undone")


def test_an_archived_season_stays_as_it_is(student: Site) -> None:
    engine = student.engine()
    submit(engine, "p")
    drained(student)
    student.sql("UPDATE `tabGame Subscription Season` SET is_active = 0")
    engine.season_changed()
    engine.archive(SEASON)
    with pytest.raises(SeasonUnavailable, match="archived"):
        engine.undo(PLAYER, KEY)


def test_undone_before_the_season_was_archived(student: Site) -> None:
    engine = student.engine()
    submit(engine, "p", "new")
    drained(student)
    engine.undo(PLAYER, KEY)
    student.sql("UPDATE `tabGame Subscription Season` SET is_active = 0")
    engine.season_changed()
    tolerant(lambda: engine.archive(SEASON))
    drained(student)
    rows = student.sql("SELECT question_id, stability FROM `tabArchived Memory Tracker`")
    found = {row["question_id"]: row["stability"] for row in rows}
    assert found == {"p": 2, "q": 2, "stage": 2, "new": 0}


def test_a_season_without_a_cache(student: Site) -> None:
    student.sql("UPDATE `tabGame Subscription Season` SET enable_redis = 0")
    engine = student.engine()
    seen = states(engine)
    submit(engine, "p")
    assert ids(engine.due(PLAYER)) == ["q", "stage"]
    engine.undo(PLAYER, KEY)
    assert states(engine) == seen
    drained(student)
    assert states(engine) == seen


def test_an_undoing_has_no_answers(student: Site) -> None:
    engine = student.engine()
    submit(engine, "p", "q")
    engine.undo(PLAYER, KEY)
    drained(student)
    assert sorted(int(str(row["answers"])) for row in audits(student).values()) == [0, 2]


def test_it_is_not_told_twice_what_nobody_knows_any_more(student: Site) -> None:
    engine = student.engine()
    submit(engine, "p")
    engine.undo(PLAYER, KEY)
    drained(student)
    engine.forget(PLAYER)
    refused(engine, "unknown_submission")


def test_one_that_was_saved_and_did_not_count_is_not_told(student: Site) -> None:
    """An older memora has saved the submission again, without what it replaced."""
    engine = student.engine()
    first = submit(engine, "p")
    engine.undo(PLAYER, KEY)
    drained(student)
    student.sql("UPDATE `tabMemory Review Audit` SET _replaced = NULL")
    refused(engine, "changed_since")
    assert not engine.is_undone(PLAYER, first["persistence_job_id"])


def test_what_is_computed_again_is_told_once_it_is_saved(student: Site, servers: Servers) -> None:
    engine = student.engine()
    submit(engine, "p", key="before")
    servers.journal.kill()
    student.cache.flushall()
    student.engine().submit(PLAYER, session_data=session("p"))
    servers.journal.start()
    assert wait_until(lambda: is_submitted(engine))
    with pytest.raises(ServiceUnavailable) as refusal:
        engine.undo(PLAYER, KEY)
    assert refusal.value.code == "memora.undoing_not_certain"
    drained(student)
    engine.undo(PLAYER, KEY)
    drained(student)
    assert stabilities(student)["p"] == 4


def is_submitted(engine: Engine) -> bool:
    try:
        submit(engine, "p")
    except ServiceUnavailable:
        return False
    return True


def test_an_erased_student_leaves_nothing_to_undo(student: Site) -> None:
    engine = student.engine()
    submit(engine, "p")
    drained(student)
    engine.forget(PLAYER)
    assert student.sql("SELECT _replaced FROM `tabMemory Review Audit`") == [{"_replaced": None}]
    refused(engine, "unknown_submission")
