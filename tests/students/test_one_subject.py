"""Reads of one subject and of one topic from a warm cache: always what the records say."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from memora._engine import Engine
from tests.support.servers import wait_until
from tests.support.site_under_test import (
    BELIEVING,
    BY_SUBJECT,
    PLAYER,
    SCHEDULE,
    SEASON,
    SUBJECTS,
    TOPICS,
    Record,
    Site,
    ids,
    session,
)
from tests.support.wire import Wires

SUBJECT_WIDTH = 2**39
OTHERS = ("7,Science", "Science|Plants", "é|\U0001f600:*", "S" * 140, "-1", "nan")


def found(engine: Engine, query: dict[str, str]) -> tuple[object, int]:
    """What is due; the questions of a topic in no order."""
    answer = engine.due(PLAYER, limit=50, **query)
    return (sorted(ids(answer)) if "topic" in query else answer["questions"], answer["total_due"])


def know_all(engine: Engine) -> None:
    """Let the cache know all subjects and topics, and the student's schedule."""
    for name in SUBJECTS:
        engine.due(PLAYER, subject=name)
    for name in TOPICS:
        engine.due(PLAYER, topic=name)


def check(site: Site, engine: Engine, wanted: list[dict[str, str]]) -> None:
    """The warm cache says of each what the records say."""
    with site.counting() as costs:
        warm = [found(engine, query) for query in wanted]
    assert costs[0].statements == 0
    for query, answer in zip(wanted, warm, strict=True):
        engine.cache_clear(PLAYER, SEASON)
        assert found(engine, query) == answer, query


@pytest.mark.engines(**BELIEVING)
@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_answered_it_is_what_the_records_say(
    site: Site, engine: Engine, seed: int
) -> None:
    choice = random.Random(seed)
    for name in OTHERS:
        site.insert("Game Subject", name=name)
        site.insert("Game Topic", name=name)
    subjects, topics = [None, *SUBJECTS, *OTHERS], [None, *TOPICS, *OTHERS]
    names = [f"q{number:02}" for number in range(40)]
    site.add(
        PLAYER,
        [
            Record(
                name,
                timedelta(minutes=choice.randrange(-9, 9)),
                subject=choice.choice(subjects),
                topic=choice.choice(topics),
            )
            for name in choice.sample(names, 30)
        ],
    )
    wanted = [{"subject": name} for name in subjects if name]
    wanted += [{"topic": name} for name in topics if name]
    for query in wanted:
        engine.due(PLAYER, **query)  # type: ignore[arg-type]
    for _ in range(12):
        subject, topic = choice.choice(subjects), choice.choice(topics)
        some = choice.sample(names, choice.randrange(1, 6))
        if choice.random() < 0.5:
            sent = session(*some, is_correct=False, subject=subject or "", topic=topic or "")
            engine.submit(PLAYER, session_data=sent)
        else:
            date = site.now().timestamp() + choice.randrange(-900, 900)
            engine.set_states(PLAYER, SEASON, [(name, 2, date, subject, topic) for name in some])
        if choice.random() < 0.3:
            engine.drain()
    # An answer makes due in days, beyond what is seen: so that more of them are.
    date = site.now().timestamp() - 60
    engine.set_states(
        PLAYER, SEASON, [(name, 2, date, None, None) for name in choice.sample(names, 20)]
    )
    check(site, engine, wanted)


@pytest.mark.engines(**BELIEVING)
def test_a_state_moves_questions_to_another_subject_and_topic(site: Site, engine: Engine) -> None:
    site.add(
        PLAYER,
        [
            Record(name, subject="Science", topic="Plants")
            for name in ("stays", "moves", "moves there and back")
        ],
    )
    engine.due(PLAYER)
    past = site.now().timestamp() - 60
    for subject, topic, names in (
        ("Arabic", "Fractions", ["moves", "new", "moves there and back"]),
        ("Science", "Plants", ["moves there and back"]),
    ):
        engine.set_states(PLAYER, SEASON, [(name, 2, past, subject, topic) for name in names])
    know_all(engine)
    with site.counting() as costs:
        assert sorted(ids(engine.due(PLAYER, subject="Arabic"))) == ["moves", "new"]
        assert set(ids(engine.due(PLAYER, subject="Science"))) == {"moves there and back", "stays"}
        assert set(ids(engine.due(PLAYER, topic="Fractions"))) == {"moves", "new"}
        assert set(ids(engine.due(PLAYER, topic="Plants"))) == {"moves there and back", "stays"}
    assert costs[0].statements == 0


@pytest.mark.parametrize("family", [*SCHEDULE, BY_SUBJECT])
@pytest.mark.parametrize("query", [{}, {"subject": "Science"}, {"topic": "Plants"}])
def test_answers_to_what_is_left_of_a_schedule_are_shown(
    site: Site, engine: Engine, family: str, query: dict[str, str]
) -> None:
    """If any key is evicted before a submission, no student gets half of a schedule."""
    site.add(PLAYER, [Record(name, subject="Science", topic="Plants") for name in ("q", "r")])
    engine.due(PLAYER)
    engine.due(PLAYER, subject="Science")
    site.cache.delete(site.key(family, PLAYER))
    engine.submit(PLAYER, session_data=session("q", "new", subject="Science", topic="Plants"))
    for _ in range(2):
        answer = engine.due(PLAYER, **query)  # type: ignore[arg-type]
        assert answer["total_due"] == 1
        assert set(ids(answer)) - {"q", "new"} == {"r"}


@pytest.mark.parametrize("is_shown_by_it", [False, True])
def test_a_schedule_of_the_version_before_is_right(
    site: Site, engine: Engine, is_shown_by_it: bool
) -> None:
    """It has no order by subject, and its details no topics; or it changed those of this one."""
    site.add(PLAYER, [Record(name, subject="Science", topic="Plants") for name in ("q", "r")])
    engine.due(PLAYER)
    engine.due(PLAYER, subject="Science")
    details = site.key("srs-detail", PLAYER)
    if is_shown_by_it:
        head = site.cache.hget(details, "") or ""
        order, rest = head.strip().split(":", 1)
        pipeline = site.cache.pipeline()
        pipeline.hset(details, "", f"{int(order) + 5}:{rest}".rjust(65))
        for name in ("q", "r"):
            pipeline.zadd(site.key("srs", PLAYER), {name: 99_000_000_000})
        pipeline.execute()
    else:
        site.cache.hdel(details, "\0", "\0Plants")
        site.cache.delete(site.key("srs-subject", PLAYER))
        assert engine.due(PLAYER)["source"] == "cache"
    for wanted in ({"subject": "Science"}, {"topic": "Plants"}):
        answer = engine.due(PLAYER, **wanted)  # type: ignore[arg-type]
        assert (sorted(ids(answer)), answer["total_due"]) == (["q", "r"], 2)
    engine.submit(PLAYER, session_data=session("q"))
    assert ids(engine.due(PLAYER, subject="Science")) == ["r"]


@pytest.mark.engines(**BELIEVING)
def test_a_date_that_is_set_by_hand_stays_in_its_subject(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record(name, subject=name) for name in SUBJECTS])
    site.add(PLAYER, [Record(f"none {number}") for number in range(2)])
    know_all(engine)
    for date in (0.0, 99_999_999_999.0, 1.0):
        engine.cache_add(PLAYER, SEASON, [("Science", date), ("not cached", date)])
        with site.counting() as costs:
            found = {name: ids(engine.due(PLAYER, subject=name)) for name in SUBJECTS}
        assert costs[0].statements == 0
        is_due = date < 1e10
        assert found == {name: [name] if is_due or name != "Science" else [] for name in SUBJECTS}
    assert engine.cache_remove(PLAYER, SEASON, "Science")
    assert ids(engine.due(PLAYER, subject="Science")) == []
    assert ids(engine.due(PLAYER, subject="Arabic")) == ["Arabic"]


def test_a_question_that_is_set_by_hand_gets_its_subject_with_an_answer(
    site: Site, engine: Engine
) -> None:
    site.add(PLAYER, [Record("known", subject="Science", topic="Plants")])
    engine.due(PLAYER)
    past = site.now().timestamp() - 60
    engine.cache_add(PLAYER, SEASON, [("new", past)])
    sent = session("new", is_correct=False, subject="Arabic", topic="Plants")
    engine.submit(PLAYER, session_data=sent)
    engine.cache_add(PLAYER, SEASON, [("new", past)])
    for _ in range(2):
        assert ids(engine.due(PLAYER, subject="Arabic")) == ["new"]
        assert set(ids(engine.due(PLAYER, topic="Plants"))) == {"new", "known"}


@pytest.mark.engines(**BELIEVING)
def test_a_subject_that_the_student_has_nothing_of(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record("q", subject="Science", topic="Plants")])
    for player in (PLAYER, "new@school.example"):
        for wanted in ({"subject": "Arabic"}, {"topic": "Fractions"}):
            engine.due(player, **wanted)  # type: ignore[arg-type]
            with site.counting() as costs:
                answer = engine.due(player, **wanted)  # type: ignore[arg-type]
            assert (ids(answer), answer["total_due"], answer["source"]) == ([], 0, "cache")
            assert costs[0].statements == 0


@pytest.mark.parametrize("count", [8_191, 8_192])
def test_a_student_with_thousands_of_subjects(site: Site, engine: Engine, count: int) -> None:
    """More than the order by subject has numbers for: each read of one takes all questions then."""
    names = [f"Subject {number}" for number in range(count)]
    for name in (names[0], names[-1]):
        site.insert("Game Subject", name=name)
    site.add(PLAYER, [Record(f"q{name}", subject=name) for name in names])
    engine.due(PLAYER)
    for name in (names[0], names[-1], names[0]):
        assert ids(engine.due(PLAYER, subject=name)) == [f"q{name}"]
    engine.submit(PLAYER, session_data=session("another", is_correct=False, subject="Arabic"))
    past = site.now().timestamp() - 60
    engine.due(PLAYER)
    engine.cache_add(PLAYER, SEASON, [("another", past)])
    assert engine.due(PLAYER)["total_due"] == count + 1
    for name in (names[0], names[-1]):
        assert ids(engine.due(PLAYER, subject=name)) == [f"q{name}"]


def reads_of_all(site: Site) -> int:
    """How often all details of a student were read."""
    return int(site.cache.info("commandstats").get("cmdstat_hgetall", {"calls": 0})["calls"])


@pytest.mark.engines(**BELIEVING)
def test_the_first_read_of_a_subject_arranges_the_questions(site: Site, engine: Engine) -> None:
    """Students who never ask for one cost nothing for it."""
    site.add(PLAYER, [Record(name, subject=name) for name in SUBJECTS])
    by_subject = site.key(BY_SUBJECT, PLAYER)
    know_all(engine)
    engine.rehydrate(PLAYER, SEASON)
    engine.submit(PLAYER, session_data=session("new", subject="Science"))
    assert not site.cache.exists(by_subject)
    for is_first in (True, False):
        with site.counting() as costs:
            assert ids(engine.due(PLAYER, subject="Science")) == ["Science"]
        assert costs[0].statements == 0
        assert (costs[0].cache_round_trips == 1) is not is_first
        assert 0 < site.cache.ttl(by_subject) <= site.cache.ttl(site.key("srs", PLAYER))
    engine.rehydrate(PLAYER, SEASON)
    assert not site.cache.exists(by_subject)


@pytest.mark.parametrize("change", ["submission", "date", "load"])
@pytest.mark.engines(**BELIEVING)
def test_what_changes_a_schedule_meanwhile_keeps_it_from_being_arranged(
    site: Site, engine: Engine, change: str
) -> None:
    site.add(PLAYER, [Record(name, subject=name) for name in SUBJECTS])
    other = site.engine()
    with Wires(site.servers) as wires:
        slow = site.engine(**wires.settings)
        for one in (slow, other):
            assert len(ids(one.due(PLAYER))) == len(SUBJECTS)
        before = reads_of_all(site)
        wires.to["cache"].delay(100)
        with ThreadPoolExecutor() as threads:
            reading = threads.submit(slow.due, PLAYER, subject="Science")
            # It has read all questions, and has not arranged them yet.
            assert wait_until(lambda: reads_of_all(site) > before)
            if change == "submission":
                other.submit(PLAYER, session_data=session("Science"))
            elif change == "date":
                other.cache_add(PLAYER, SEASON, [("Science", 99_999_999_999.0)])
            else:
                other.rehydrate(PLAYER, SEASON)
            reading.result()
    left = ["Science"] if change == "load" else []
    for _ in range(2):
        assert ids(other.due(PLAYER, subject="Science")) == left


def test_no_two_subjects_share_a_range(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record(name, subject=name) for name in SUBJECTS] + [Record("none")])
    engine.due(PLAYER)
    engine.due(PLAYER, subject="Science")
    scores = dict(site.cache.zrange(site.key("srs-subject", PLAYER), 0, -1, withscores=True))
    numbers = {-scores[f"\0{name}"] for name in SUBJECTS}
    assert numbers == {1, 2, 3}
    for name in SUBJECTS:
        assert scores[name] // SUBJECT_WIDTH == -scores[f"\0{name}"]
