"""The log of answers: what was answered, when, and which state it counted on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest

from memora._engine import Engine, EngineFault, InvalidInput
from memora.services import srs_archiver
from tests.administrators.test_archive import STUDENTS, old
from tests.administrators.test_replay import obstacle
from tests.consistency.test_drain import age_written, drain_all, raw
from tests.consistency.test_older_database import forgotten
from tests.support.site_under_test import (
    PLAYER,
    SEASON,
    TRACKER,
    Record,
    Site,
    session,
)

if TYPE_CHECKING:
    from memora._engine import LoggedAnswer

__all__ = ["obstacle", "old"]

App = Callable[..., None]
AUDIT: Final = "`tabMemory Review Audit`"


UNKNOWN: Final[dict[str, Any]] = {
    "memory_stability_before": None,
    "memory_difficulty_before": None,
    "lapses_before": None,
}


def memory_before(site: Site, question: str) -> dict[str, Any]:
    """The present memory, as the log shows it with the next answer."""
    row = site.rows(PLAYER)[question]
    return {name: float(row[name.removesuffix("_before")]) for name in UNKNOWN}


def brief(answers: Iterable[LoggedAnswer]) -> list[tuple[str, bool, int | None]]:
    """What was answered, whether right, and the rung before."""
    return [
        (answer["question_id"], answer["is_correct"], answer["stability_before"])
        for answer in answers
    ]


def all_answers(engine: Engine, player: str = PLAYER, limit: int = 50) -> Iterator[LoggedAnswer]:
    """All answers, read page by page."""
    after = None
    while page := engine.answers(player, SEASON, limit=limit, after=after):
        assert len(page) <= limit
        yield from page
        after = page[-1]["job_id"]


def logs(site: Site) -> dict[str, bytes | None]:
    """What the audit records have, by job id."""
    return {
        row["name"]: row["_answer_log"]
        for row in site.sql(f"SELECT name, _answer_log FROM {AUDIT} ORDER BY name")
    }


def test_an_answer_is_there_with_everything_that_was_seen(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record("old", stability=2)])
    begun = int(time.time())
    given = [
        {"question_id": "new", "is_correct": False, "time_spent_ms": 700},
        {"question_id": "old", "is_correct": True},
    ]
    first = engine.submit(PLAYER, session_data=json.dumps({"answers": given}))
    assert engine.answers(PLAYER, SEASON) == []
    engine.drain()
    remembered = memory_before(site, "old")
    rated = [{"question_id": "old", "quality": 2, "response_time_ms": 20_000}]
    second = engine.submit(PLAYER, responses=json.dumps(rated))
    lesson = [{"question_id": "taught", "attempts_count": 3, "duration_ms": 1_000}]
    third = engine.rate(PLAYER, json.dumps(lesson))
    engine.drain()
    found = engine.answers(PLAYER, SEASON)
    seen = {"quality": None, "attempts": None, "is_counted": True, "season": SEASON} | UNKNOWN
    jobs = [answer["persistence_job_id"] for answer in (first, first, second, third)]
    expected: list[dict[str, Any]] = [
        {"question_id": "new", "is_correct": False, "duration_ms": 700, "stability_before": None},
        {"question_id": "old", "is_correct": True, "duration_ms": 3_000, "stability_before": 2},
        {"question_id": "old", "is_correct": False, "duration_ms": 20_000, "quality": 2}
        | {"stability_before": 3}
        | remembered,
        {"question_id": "taught", "is_correct": False, "duration_ms": 1_000, "attempts": 3}
        | {"stability_before": None},
    ]
    times = [answer["answered_at"] for answer in found]
    assert found == [
        seen | one | {"job_id": job, "answered_at": at}
        for one, job, at in zip(expected, jobs, times, strict=True)
    ]
    assert sorted(times) == times
    assert begun <= times[0] <= times[-1] <= time.time()


def test_a_memory_is_told_once_a_submission(site: Site, engine: Engine) -> None:
    engine.submit(PLAYER, session_data=session("q", is_correct=False))
    engine.drain()
    remembered = memory_before(site, "q")
    assert remembered["lapses_before"] == 1
    engine.submit(PLAYER, session_data=session("r", "q", "q"))
    engine.drain()
    for answer, expected in zip(
        engine.answers(PLAYER, SEASON), [UNKNOWN, UNKNOWN, remembered, UNKNOWN], strict=True
    ):
        assert expected.items() <= answer.items()


def test_several_answers_to_a_question_follow_each_other(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record("q", stability=1)])
    engine.submit(PLAYER, session_data=session("q", "r", "q"))
    engine.submit(PLAYER, session_data=session("q", "r", is_correct=False))
    engine.submit(PLAYER, session_data=session("q"))
    engine.drain()
    assert brief(engine.answers(PLAYER, SEASON)) == [
        ("q", True, 1), ("r", True, None), ("q", True, 2),
        ("q", False, 3), ("r", False, 1),
        ("q", True, 1),
    ]  # fmt: skip


def test_pages_have_everything_once_and_whole_submissions(site: Site, engine: Engine) -> None:
    expected = []
    for number in range(120):
        asked = [f"q{number}:{place}" for place in range(1 + number % 7)]
        engine.submit(PLAYER, session_data=session(*asked))
        expected += asked
    engine.submit("other@school.example", session_data=session("q"))
    engine.drain()
    assert [answer["question_id"] for answer in all_answers(engine)] == expected
    assert [answer["question_id"] for answer in all_answers(engine, limit=10_000)] == expected
    page = engine.answers(PLAYER, SEASON, limit=50)
    of_last = [answer for answer in page if answer["job_id"] == page[-1]["job_id"]]
    assert len(of_last) == 1 + int(page[-1]["question_id"].split(":")[0][1:]) % 7


def test_answers_of_a_time_are_found(site: Site, engine: Engine) -> None:
    engine.submit(PLAYER, session_data=session("first"))
    time.sleep(1.1)
    engine.submit(PLAYER, session_data=session("second"))
    engine.drain()
    first, second = (answer["answered_at"] for answer in engine.answers(PLAYER, SEASON))

    def of(since: float | None, until: float | None) -> list[str]:
        found = engine.answers(PLAYER, SEASON, since=since, until=until)
        return [answer["question_id"] for answer in found]

    assert of(first, None) == ["first", "second"]
    assert of(second, None) == ["second"]
    assert of(None, second) == ["first"]
    assert of(first, second + 1) == ["first", "second"]
    assert of(second + 1, None) == of(None, first) == of(second + 86_400, None) == []


def test_only_the_students_own_of_the_season(site: Site, engine: Engine, old: str) -> None:
    engine.submit(PLAYER, session_data=session("q"))
    engine.drain()
    for player in (PLAYER.upper(), PLAYER.replace("a", "á"), f"{PLAYER} ", "%"):
        assert engine.answers(player, None) == []
    assert engine.answers(PLAYER, old) == []
    assert [one["season"] for one in engine.answers(PLAYER, None)] == [SEASON]


@pytest.mark.parametrize(
    "wrong", [{"limit": 49}, {"limit": 10_001}, {"since": -1.0}, {"until": float("nan")}]
)
def test_what_cannot_be_asked_is_refused(engine: Engine, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        engine.answers(PLAYER, SEASON, **wrong)


@pytest.mark.parametrize(
    ("log", "reason"), [(b"\x02\x00", "version 2"), (b"\x01\x04", "flags 0x04"), (b"", "cut off")]
)
def test_a_log_that_cannot_be_read_is_told(
    site: Site, engine: Engine, log: bytes, reason: str
) -> None:
    job = engine.submit(PLAYER, session_data=session("q"))["persistence_job_id"]
    engine.drain()
    site.sql(f"UPDATE {AUDIT} SET _answer_log = %s", (log,))
    with pytest.raises(EngineFault, match=f"{job} cannot be read: .*{reason}"):
        engine.answers(PLAYER, SEASON)


# -- what the answers counted on -----------------------------------------------------------------
def test_an_answer_that_is_computed_again_has_the_state_that_it_counted_on(
    site: Site, engine: Engine
) -> None:
    """An entry of the second journal is computed without the first."""
    site.add(PLAYER, [Record("q", stability=1)])
    engine.submit(PLAYER, session_data=session("q"))
    site.servers.journal.kill()
    blind = site.engine()
    blind.submit(PLAYER, session_data=session("q", "q"))
    site.servers.journal.start()
    after = site.engine()
    drain_all(site, after)
    assert site.rows()["q"]["stability"] == 4
    assert brief(after.answers(PLAYER, SEASON)) == [("q", True, 1), ("q", True, 2), ("q", True, 3)]


def test_an_edit_that_came_after_an_answer_is_told(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record("q", stability=1), Record("r", stability=1)])
    engine.submit(PLAYER, session_data=session("q", "r"))
    site.sql(
        f"UPDATE {TRACKER} SET stability = 4, modified_by = 'Administrator', "
        "answered_at_us = %s WHERE question_id = 'q'",
        (time.time_ns() // 1_000 + 1_000_000,),
    )
    engine.drain()
    assert site.rows()["q"]["stability"] == 4
    found = engine.answers(PLAYER, SEASON)
    assert brief(found) == [("q", True, None), ("r", True, 1)]
    assert [answer["is_counted"] for answer in found] == [False, True]


def test_states_that_were_set_are_no_answers_but_counted_on(site: Site, engine: Engine) -> None:
    engine.set_states(PLAYER, SEASON, [("q", 3, time.time() + 86_400, None, None)])
    job = engine.submit(PLAYER, session_data=session("q"))["persistence_job_id"]
    engine.drain()
    assert brief(engine.answers(PLAYER, SEASON)) == [("q", True, 3)]
    found = logs(site)
    assert found.pop(job) is not None
    assert list(found.values()) == [None]


def test_what_was_set_aside_is_in_the_log_as_it_was_given(
    site: Site, engine: Engine, obstacle: Callable[[], None]
) -> None:
    engine.submit(PLAYER, session_data=session("bad", "good", "bad"))
    assert engine.drain()["set_aside"] == 1
    given = [("bad", True, None), ("good", True, None), ("bad", True, 1)]
    assert brief(engine.answers(PLAYER, SEASON)) == given
    obstacle()
    engine.replay()
    engine.submit(PLAYER, session_data=session("bad"))
    engine.drain()
    assert brief(engine.answers(PLAYER, SEASON)) == [*given, ("bad", True, 2)]


def test_what_could_not_be_read_has_its_log_once_it_is_replayed(site: Site, engine: Engine) -> None:
    """As after an entry of a newer memora."""
    job = engine.submit(PLAYER, session_data=session("q", "q"))["persistence_job_id"]
    stream = site.key("srs-journal")
    ((_, fields),) = site.journal.xrange(stream)
    payload = fields["entry"]
    site.journal.flushall()
    site.insert(
        "Poison Review", name=f"{job}-0", player=PLAYER, season=SEASON, job_id=job,
        payload=payload, set_aside_at=site.now(),
    )  # fmt: skip
    assert engine.replay()["replayed"] == 1
    assert brief(engine.answers(PLAYER, SEASON)) == [("q", True, None), ("q", True, 1)]


# -- once, and the same ---------------------------------------------------------------------------
def test_a_drain_that_is_repeated_logs_nothing_again(site: Site, engine: Engine) -> None:
    engine.submit(PLAYER, session_data=session("q"))
    stream = site.key("srs-journal")
    dump = raw(site).dump(stream)
    engine.drain()
    found = engine.answers(PLAYER, SEASON)
    raw(site).restore(stream, 0, dump, replace=True)
    engine.drain()
    assert engine.answers(PLAYER, SEASON) == found


def test_what_an_older_database_lacks_is_logged_the_same(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record("q", stability=1)])
    engine.due(PLAYER)
    with forgotten(site):
        engine.submit(PLAYER, session_data=session("q", "q", "r"))
        engine.submit(PLAYER, session_data=session("q", is_correct=False))
        engine.drain()
        before = engine.answers(PLAYER, SEASON), logs(site)
    assert engine.answers(PLAYER, SEASON) == []
    age_written(site)
    assert engine.drain()["written_again"] == 2
    assert (engine.answers(PLAYER, SEASON), logs(site)) == before


# -- with its season and its student --------------------------------------------------------------
def test_it_stays_readable_when_the_season_is_archived(
    site: Site, app: App, engine: Engine, old: str
) -> None:
    student = STUDENTS[3]
    site.sql("UPDATE `tabGame Subscription Season` SET is_active = (name = %s)", (old,))
    late = site.engine()
    late.submit(student, session_data=session("q001"))
    late.drain()
    late.submit(student, session_data=session("q001"))
    site.sql("UPDATE `tabGame Subscription Season` SET is_active = (name <> %s)", (old,))
    (before,) = brief(engine.answers(student, old))
    srs_archiver.SRSArchiver().archive_season(old)
    # The one that waited counts in the archive.
    drain_all(site, engine)
    found = brief(engine.answers(student, old))
    assert found[0] == before
    assert [question for question, _, _ in found] == ["q001", "q001"]
    assert found[1][2] == min(4, (before[2] or 0) + 1)


def test_it_is_found_by_an_index_of_the_student(site: Site) -> None:
    site.sql(
        f"INSERT INTO {AUDIT} (name, creation, modified, answered_at, player, season, _answer_log) "
        "SELECT CONCAT(LPAD(HEX(1795000000000 + seq * 1000), 12, '0'), '7000'), NOW(6), NOW(6), "
        "FROM_UNIXTIME(1795000000 + seq), "
        "CONCAT('student', seq %% 500), %s, x'01000000' FROM seq_1_to_50000",
        (SEASON,),
    )
    site.sql(f"ANALYZE TABLE {AUDIT}")
    with site.listening() as statements:
        engine = site.engine()
        for season in (SEASON, None):
            for since in (None, 1_795_040_000.0):
                engine.answers("student7", season, since=since)
    selects = [
        text for text in dict.fromkeys(statements) if "_answer_log, COALESCE(_replaced" in text
    ]
    assert len(selects) >= 4
    for select in selects:
        (plan,) = site.sql(f"EXPLAIN {select}")
        assert (plan["key"], plan["type"]) in (("player", "ref"), ("player", "range"))
        assert int(plan["rows"]) <= 200
