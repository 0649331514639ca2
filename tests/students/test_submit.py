"""Submitting answers: both forms, the ladder, what the next read shows, what is refused."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memora._engine import Engine, InvalidInput, SeasonUnavailable
from tests.consistency.test_drain import kept
from tests.support.expectation import (
    DAYS_AFTER_ANSWER,
    DAYS_AFTER_LESSON,
    DEFAULT_DURATION_MS,
    stability_after_answer,
    stability_after_lesson,
)
from tests.support.servers import wait_until
from tests.support.site_under_test import (
    BELIEVING,
    IMPATIENT_WITH_REDIS,
    PLAYER,
    SEASON,
    Record,
    Site,
    ids,
    session,
)

players = (f"student{number}@school.example" for number in count())
durations = st.one_of(
    st.none(), st.sampled_from([0, 1, 1999, 2000, 2001, 5999, 6000, 6001]), st.integers(0, 600_000)
)


def effective(duration_ms: int | None) -> int:
    return DEFAULT_DURATION_MS if duration_ms is None else duration_ms


def check_row(row: dict[str, Any], stability: int, days: int) -> None:
    """The row has this stability, and its next review comes `days` after the last, at the same
    time."""
    assert row["stability"] == stability
    assert row["next_review_date"] == row["last_review_date"].replace(microsecond=0) + timedelta(
        days=days
    )


# -- the ladder ---------------------------------------------------------------------------------
@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.booleans(), durations, st.booleans()),
        min_size=1,
        max_size=50,
    )
)
def test_session_data_climbs_the_ladder(
    site: Site, engine: Engine, cases: list[tuple[int, bool, int | None, bool]]
) -> None:
    player = next(players)
    site.add(player, [Record(f"q{place}", stability=case[0]) for place, case in enumerate(cases)])
    answers = []
    for place, (_, is_correct, duration_ms, is_time_spent) in enumerate(cases):
        answer: dict[str, object] = {"question_id": f"q{place}", "is_correct": is_correct}
        if duration_ms is not None:
            answer["time_spent_ms" if is_time_spent else "duration_ms"] = duration_ms
        answers.append(answer)
    before = site.now().replace(microsecond=0)
    taken = engine.submit(player, session_data=json.dumps({"answers": answers}))
    after = site.now()
    engine.drain()
    expected = [stability_after_answer(case[0], case[1], effective(case[2])) for case in cases]
    rows = site.rows(player)
    for place, stability in enumerate(expected):
        row = rows[f"q{place}"]
        check_row(row, stability, DAYS_AFTER_ANSWER[stability])
        assert before <= row["last_review_date"] <= after
    assert (taken["processed"], taken["correct"]) == (len(cases), sum(case[1] for case in cases))
    assert taken["new_stability_counts"] == {
        str(step): expected.count(step) for step in (1, 2, 3, 4)
    }
    assert (taken["remaining_items"], taken["season"]) == (0, SEASON)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5), durations), min_size=1, max_size=50)
)
def test_responses_climb_the_ladder(
    site: Site, engine: Engine, cases: list[tuple[int, int, int | None]]
) -> None:
    player = next(players)
    site.add(player, [Record(f"q{place}", stability=case[0]) for place, case in enumerate(cases)])
    responses = [
        {"question_id": f"q{place}", "quality": quality}
        | ({} if duration_ms is None else {"response_time_ms": duration_ms})
        for place, (_, quality, duration_ms) in enumerate(cases)
    ]
    taken = engine.submit(player, responses=json.dumps(responses))
    engine.drain()
    rows = site.rows(player)
    for place, (stability, quality, duration_ms) in enumerate(cases):
        expected = stability_after_answer(stability, quality >= 3, effective(duration_ms))
        check_row(rows[f"q{place}"], expected, DAYS_AFTER_ANSWER[expected])
    assert taken["correct"] == sum(quality >= 3 for _, quality, _ in cases)


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(1, 5), durations, st.booleans()),
        min_size=1,
        max_size=50,
    )
)
def test_lessons_rate(
    site: Site, engine: Engine, cases: list[tuple[int, int, int | None, bool]]
) -> None:
    player = next(players)
    site.add_users(player)
    known = [
        Record(f"q{place}", stability=case[0]) for place, case in enumerate(cases) if place % 2
    ]
    site.add(player, known)
    interactions = []
    for place, (_, attempts, duration_ms, is_time_spent) in enumerate(cases):
        interaction: dict[str, object] = {"question_id": f"q{place}", "attempts_count": attempts}
        if duration_ms is not None:
            interaction["time_spent_ms" if is_time_spent else "duration_ms"] = duration_ms
        interactions.append(interaction)
    engine.rate(player, json.dumps(interactions), subject="Science", topic="Plants")
    engine.drain()
    rows = site.rows(player)
    assert len(rows) == len(cases)
    for place, (_, attempts, duration_ms, _) in enumerate(cases):
        expected = stability_after_lesson(attempts, effective(duration_ms))
        row = rows[f"q{place}"]
        check_row(row, expected, DAYS_AFTER_LESSON[expected])
        assert (row["subject"], row["topic"]) == ("Science", "Plants")


def test_a_lesson_brings_questions_in(site: Site, engine: Engine) -> None:
    interactions = [
        {"question_id": "hard", "attempts_count": 3},
        {"question_id": "easy", "duration_ms": 100},
    ]
    engine.rate(PLAYER, json.dumps(interactions), subject="Science")
    answer = engine.due(PLAYER)
    assert (ids(answer), answer["total_due"]) == (["hard"], 1)
    assert answer["questions"][0]["subject"] == "Science"


# -- stage and atom -----------------------------------------------------------------------------
def test_an_atom_moves_its_stage_to_the_same_date(site: Site, engine: Engine) -> None:
    site.add(
        PLAYER,
        [
            Record("stage", stability=3),
            Record("stage:atom", stability=1),
            Record("other", stability=3),
        ],
    )
    engine.submit(PLAYER, session_data=session("stage:atom"))
    assert ids(engine.due(PLAYER)) == ["other"]
    engine.drain()
    rows = site.rows()
    assert rows["stage"]["next_review_date"] == rows["stage:atom"]["next_review_date"]
    assert (rows["stage"]["stability"], rows["stage:atom"]["stability"]) == (3, 2)


def test_an_atom_without_a_stage_makes_none(site: Site, engine: Engine) -> None:
    engine.submit(PLAYER, session_data=session("stage:atom"))
    engine.drain()
    assert list(site.rows()) == ["stage:atom"]


# -- what the next read shows -------------------------------------------------------------------
@pytest.mark.parametrize("is_warm", [True, False])
def test_the_next_read_shows_the_new_dates_in_every_process(
    site: Site, engine: Engine, is_warm: bool
) -> None:
    site.add(PLAYER, [Record(f"q{place}", stability=1) for place in range(30)])
    other = site.engine()
    if is_warm:
        assert [process.due(PLAYER)["total_due"] for process in (engine, other)] == [30, 30]
    taken = engine.submit(PLAYER, session_data=session(*(f"q{place}" for place in range(10))))
    assert (taken["remaining_items"], site.rows()["q0"]["stability"]) == (20, 1)
    for process in (engine, other):
        answer = process.due(PLAYER, limit=50)
        assert answer["total_due"] == 20
        assert not {f"q{place}" for place in range(10)} & set(ids(answer))
    engine.drain()
    assert engine.due(PLAYER)["total_due"] == 20


def test_answers_of_one_student_leave_others_alone(site: Site, engine: Engine) -> None:
    for player in (PLAYER, "other@school.example"):
        site.add(player, [Record("q")])
    engine.submit(PLAYER, session_data=session("q"))
    engine.drain()
    assert engine.due("other@school.example")["total_due"] == 1
    assert site.rows("other@school.example")["q"]["stability"] == 2


def test_a_season_without_the_cache_takes_answers_and_shows_them(
    site: Site, engine: Engine
) -> None:
    site.add(PLAYER, [Record("q"), Record("r")])
    site.sql("UPDATE `tabGame Subscription Season` SET enable_redis = 0")
    engine.season_changed()
    engine.submit(PLAYER, session_data=session("q"))
    assert ids(engine.due(PLAYER)) == ["r"]
    engine.drain()
    assert ids(engine.due(PLAYER)) == ["r"]
    assert site.rows()["q"]["stability"] == 3


@pytest.mark.engines(**BELIEVING)
def test_a_warm_submission_takes_no_sql(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record(f"q{place}") for place in range(1000)])
    engine.due(PLAYER)
    answers = [
        session(*(f"q{place}" for place in range(first, first + 50)), subject="Science")
        for first in (0, 50)
    ]
    engine.submit(PLAYER, session_data=answers[0])
    with site.counting() as costs:
        engine.submit(PLAYER, session_data=answers[1])
    (cost,) = costs
    assert (cost.selects, cost.statements) == (0, 0)
    assert cost.journal_round_trips <= 2
    assert cost.cache_round_trips <= 3


# -- what is refused, and saves nothing ---------------------------------------------------------
def refused(site: Site, engine: Engine, match: str, **forms: str) -> None:
    """This submission is refused as invalid, and leaves no trace."""
    due = engine.due(PLAYER)
    with pytest.raises(InvalidInput, match=match):
        engine.submit(PLAYER, **forms)
    assert site.waiting() == 0
    assert engine.due(PLAYER) == due


def test_fifty_answers_are_taken_and_51_refused(site: Site, engine: Engine) -> None:
    names = [f"q{place}" for place in range(51)]
    site.add(PLAYER, [Record(name) for name in names])
    refused(site, engine, "50", session_data=session(*names))
    responses = json.dumps([{"question_id": name, "quality": 5} for name in names])
    refused(site, engine, "50", responses=responses)
    assert engine.submit(PLAYER, session_data=session(*names[:50]))["processed"] == 50


def test_exactly_one_form_is_asked_for(site: Site, engine: Engine) -> None:
    refused(site, engine, "session_data")
    refused(site, engine, "session_data", session_data=session("q"), responses="[]")


@pytest.mark.parametrize(
    "meta", [{"subject": "Alchemy"}, {"topic": "Alchemy"}, {"subject": "science"}]
)
def test_subject_and_topic_must_exist(site: Site, engine: Engine, meta: dict[str, Any]) -> None:
    site.add(PLAYER, [Record("q")])
    refused(site, engine, "(?i)alchemy|science", session_data=session("q", **meta))
    with pytest.raises(InvalidInput):
        engine.rate(PLAYER, json.dumps([{"question_id": "q"}]), **meta)


def test_a_subject_counts_from_the_moment_it_exists_until_it_is_gone(
    site: Site, engine: Engine
) -> None:
    data = session("q", subject="Chemistry")
    with pytest.raises(InvalidInput):
        engine.submit(PLAYER, session_data=data)
    site.insert("Game Subject", name="Chemistry")
    engine.submit(PLAYER, session_data=data)
    site.sql("DELETE FROM `tabGame Subject` WHERE name = 'Chemistry'")
    engine.links_changed()
    with pytest.raises(InvalidInput):
        engine.submit(PLAYER, session_data=data)


def test_new_questions_get_subject_and_topic(site: Site, engine: Engine) -> None:
    engine.submit(PLAYER, session_data=session("q", subject="Science", topic="Plants"))
    engine.drain()
    row = site.rows()["q"]
    assert (row["subject"], row["topic"], row["stability"]) == ("Science", "Plants", 1)


def test_a_student_tracks_at_most_so_many_questions(site: Site) -> None:
    engine = site.engine(max_questions=10)
    site.add(PLAYER, [Record(f"q{place}") for place in range(9)])
    engine.submit(PLAYER, session_data=session("q0", "tenth"))
    for process in (engine, site.engine(max_questions=10)):
        with pytest.raises(InvalidInput, match="10"):
            process.submit(PLAYER, session_data=session("q1", "eleventh"))
        with pytest.raises(InvalidInput, match="10"):
            process.rate(PLAYER, json.dumps([{"question_id": "eleventh"}]))
    assert engine.submit(PLAYER, session_data=session("q1", "tenth"))["processed"] == 2
    engine.drain()
    assert len(site.rows()) == 10


def test_without_an_active_season_nothing_is_taken(site: Site, engine: Engine) -> None:
    engine.due(PLAYER)
    site.sql("UPDATE `tabGame Subscription Season` SET is_active = 0")
    engine.season_changed()
    with pytest.raises(SeasonUnavailable, match="season"):
        engine.submit(PLAYER, session_data=session("q"))
    assert site.waiting() == 0


# -- one student in several windows -------------------------------------------------------------
def test_answers_from_several_windows_add_up(site: Site) -> None:
    site.add(PLAYER, [Record("q", stability=0)])
    windows = [site.engine() for _ in range(4)]
    for window in windows:
        window.submit(PLAYER, session_data=session("q"))
    windows[0].drain()
    assert site.rows()["q"]["stability"] == 4
    assert len(site.sql("SELECT name FROM `tabMemory Review Audit`")) == 4


def test_only_one_submission_wants_a_drain(site: Site, engine: Engine) -> None:
    wants = [engine.submit(PLAYER, session_data=session("q"))["drain_wanted"] for _ in range(5)]
    assert wants == [True, False, False, False, False]
    engine.drain()
    assert engine.submit(PLAYER, session_data=session("q"))["drain_wanted"]


@pytest.mark.engines(**IMPATIENT_WITH_REDIS)
def test_a_journal_that_took_it_after_all_counts_once(site: Site) -> None:
    """The journal hangs, takes the submission when it wakes up, and that is drained: still one
    step."""
    engine = site.engine()
    site.add(PLAYER, [Record("q", stability=1)])
    engine.due(PLAYER)
    site.servers.journal.pause()
    try:
        answer = engine.submit(PLAYER, session_data=session("q"))
    finally:
        site.servers.journal.resume()
    assert kept(site) == [answer["persistence_job_id"]]
    assert wait_until(lambda: engine.journal_status()["reachable"])
    engine.drain()
    assert site.rows()["q"]["stability"] == 2
    assert engine.persistence_status(PLAYER, answer["persistence_job_id"]) == "persisted"
    engine.cache_clear(PLAYER, SEASON)
    assert engine.submit(PLAYER, session_data=session("q"))["new_stability_counts"]["3"] == 1
