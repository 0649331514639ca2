"""Questions that the site has retired, or a student has suspended: no read shows them."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta, timezone
from pathlib import Path

import pytest

from memora._engine import (
    Engine,
    InvalidInput,
    RateLimited,
    SeasonUnavailable,
    ServiceUnavailable,
)
from tests.consistency.test_drain import drain_all
from tests.support.cluster import Cluster
from tests.support.servers import wait_until
from tests.support.site_under_test import (
    BELIEVING,
    BY_SUBJECT,
    IMPATIENT,
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

PLAYERS = (PLAYER, "basim@school.example", "dina@school.example")
BY = "teacher@school.example"
NAMES = [f"q{number}" for number in range(12)]
SUBJECT, TOPIC = SUBJECTS[0], TOPICS[0]


@dataclass
class School:
    """What the students of a site should be shown."""

    due: dict[str, dict[str, bool]]
    retired: set[str] = field(default_factory=set)
    suspended: dict[str, set[str]] = field(default_factory=lambda: {p: set() for p in PLAYERS})

    def expected(self, player: str) -> set[str]:
        """The due questions of a student."""
        hidden = self.retired | self.suspended[player]
        return {name for name, is_due in self.due[player].items() if is_due} - hidden


def fill(site: Site, players: tuple[str, ...] = PLAYERS) -> School:
    """Each student has all questions: the even ones of a subject and a topic, all due but the last
    two."""
    site.add_users(*players)
    for player in players:
        site.add(
            player,
            [
                Record(
                    name,
                    timedelta(hours=5 if name in NAMES[-2:] else number - 20),
                    subject=SUBJECT if number % 2 == 0 else None,
                    topic=TOPIC if number % 2 == 0 else None,
                )
                for number, name in enumerate(NAMES)
            ],
        )
    return School({player: {name: name not in NAMES[-2:] for name in NAMES} for player in players})


def check(engine: Engine, school: School, player: str) -> None:
    """Every way to read says what is expected."""
    expected = school.expected(player)
    hidden = school.retired | school.suspended[player]
    evens = set(NAMES[::2])
    found = engine.due(player, limit=50)
    assert (set(ids(found)), found["total_due"]) == (expected, len(expected))
    of_subject = engine.due(player, limit=50, subject=SUBJECT)
    assert set(ids(of_subject)) == expected & evens
    assert of_subject["total_due"] == len(expected & evens)
    of_topic = engine.due(player, topic=TOPIC)
    assert expected & evens <= set(ids(of_topic)) <= evens - hidden
    assert of_topic["total_due"] == len(expected & evens)
    assert {one["question_id"] for one in engine.due_in_season(player, SEASON, 50)} == expected
    engine.due(player)
    assert {name for name, _ in engine.cache_due(player, SEASON, 50)} == expected
    assert engine.cache_count_due(player, SEASON) == len(expected)
    assert not hidden & engine.cache_scores(player, SEASON).keys()
    safe = engine.due_as_in_safe_mode(player, SEASON)
    assert safe["total_due"] == len(expected)
    assert set(ids(safe)) <= expected


def evict(site: Site, choice: random.Random, player: str) -> None:
    """Remove one of the keys that the cache has of a student."""
    site.cache.delete(site.key(choice.choice((*SCHEDULE, BY_SUBJECT)), player))


def live(
    site: Site,
    engines: list[Engine],
    choice: random.Random,
    steps: int,
    evicted: Callable[[str], None],
) -> None:
    """Whatever is done in whatever order by whichever process, each read is right."""
    school = fill(site)
    for engine in engines:
        for player in PLAYERS:
            check(engine, school, player)
    for _ in range(steps):
        engine, player = choice.choice(engines), choice.choice(PLAYERS)
        some = choice.sample(NAMES, choice.randrange(1, 4))
        match choice.randrange(8):
            case 0:
                assert engine.retire_questions(some, BY) == len({*some} - school.retired)
                school.retired |= {*some}
            case 1:
                assert engine.restore_questions(some, BY) == len({*some} & school.retired)
                school.retired -= {*some}
            case 2:
                is_new = some[0] not in school.suspended[player]
                assert engine.suspend_question(player, some[0]) == is_new
                school.suspended[player].add(some[0])
            case 3:
                was = some[0] in school.suspended[player]
                assert engine.resume_question(player, some[0]) == was
                school.suspended[player].discard(some[0])
            case 4:
                # An answer to a hidden question counts, and does not show it.
                told = engine.submit(player, session_data=session(*some))
                school.due[player] |= dict.fromkeys(some, False)
                assert told["remaining_items"] == len(school.expected(player))
            case 5:
                date = site.now().timestamp() - 60
                engine.set_states(player, SEASON, [(name, 2, date, None, None) for name in some])
                school.due[player] |= dict.fromkeys(some, True)
            case 6:
                evicted(player)
            case 7:
                engine.drain()
        check(choice.choice(engines), school, choice.choice(PLAYERS))
    drain_all(site, engines[0])
    report = engines[0].reconcile(SEASON)
    assert (report["missing"], report["wrong_date"], report["wrong_state"]) == (0, 0, 0)
    engines[0].rebuild(SEASON)
    for player in PLAYERS:
        check(engines[-1], school, player)
        # Nothing was lost: restored and resumed, all is there.
        for name in [*school.suspended[player]]:
            engines[0].resume_question(player, name)
    if school.retired:
        engines[0].restore_questions([*school.retired], BY)
    shown = School(school.due)
    for player in PLAYERS:
        check(engines[-1], shown, player)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_hidden_and_shown_each_read_is_right(site: Site, seed: int) -> None:
    choice = random.Random(seed)
    live(
        site,
        [site.engine(), site.engine()],
        choice,
        60,
        lambda player: evict(site, choice, player),
    )


@pytest.fixture(scope="module")
def started_cluster() -> Iterator[Cluster]:
    """Three masters for the tests of this file."""
    memory = Path("/dev/shm")
    with Cluster(3, parent=memory if memory.is_dir() else None) as cluster:
        yield cluster


@pytest.mark.parametrize("seed", range(2))
def test_and_on_a_cluster(site: Site, started_cluster: Cluster, seed: int) -> None:
    started_cluster.empty()
    engines = [site.engine(**started_cluster.settings) for _ in range(2)]
    choice = random.Random(seed)

    def clear(player: str) -> None:
        engines[0].cache_clear(player, SEASON)

    live(site, engines, choice, 40, clear)


# -- the site retires questions
# ------------------------------------------------------------------------------
@pytest.mark.engines(**BELIEVING)
def test_schedules_stay_warm_and_get_what_has_changed_on_their_next_read(site: Site) -> None:
    players = tuple(f"student{number}@school.example" for number in range(20))
    fill(site, players)
    one, two = site.engine(), site.engine()
    for engine in (one, two):
        for player in players:
            assert engine.due(player)["total_due"] == 10
    stamps = {player: site.cache.hget(site.key("srs-detail", player), "") for player in players}
    assert one.retire_questions(["q0", "q1", "not a question of anybody"], BY) == 3
    # Each process looks up what is retired, once.
    for engine in (one, two):
        assert engine.due(players[0])["total_due"] == 8
    with site.counting() as costs:
        for player in players[1:]:
            assert two.due(player)["total_due"] == 8
    # It asks, is told that the schedule is behind, hides the questions, and asks again.
    assert (costs[0].statements, costs[0].cache_round_trips) == (0, 3 * (len(players) - 1))
    with site.counting() as costs:
        for player in players:
            assert one.due(player)["total_due"] == 8
    assert (costs[0].statements, costs[0].cache_round_trips) == (0, len(players))
    assert one.restore_questions(["q1"], BY) == 1
    assert [two.due(player)["total_due"] for player in players] == [9] * len(players)
    # None was loaded again.
    for player, stamp in stamps.items():
        assert site.cache.hget(site.key("srs-detail", player), "") == stamp
        assert site.cache.zscore(site.key("srs", player), "q0") == float("inf")
        due_at = site.rows(player)["q1"]["next_review_date"]
        assert site.cache.zscore(site.key("srs", player), "q1") == pytest.approx(
            due_at.replace(tzinfo=timezone.utc).timestamp(), abs=1
        )


def test_records_stay_as_they_are_and_answers_count(site: Site, engine: Engine) -> None:
    fill(site, (PLAYER,))
    before = site.rows()
    engine.due(PLAYER)
    engine.retire_questions(["q0", "q2"], BY)
    assert "q0" not in ids(engine.due(PLAYER))
    # It was given on a phone before.
    engine.submit(PLAYER, session_data=session("q0"))
    engine.drain()
    after = site.rows()
    assert after["q0"]["stability"] == before["q0"]["stability"] + 1
    assert {name: row for name, row in after.items() if name != "q0"} == {
        name: row for name, row in before.items() if name != "q0"
    }
    engine.restore_questions(["q0", "q2"], BY)
    found = {one["question_id"] for one in engine.due(PLAYER, limit=50)["questions"]}
    assert "q2" in found
    assert "q0" not in found


def test_a_question_of_an_answer_may_be_retired_already(site: Site, engine: Engine) -> None:
    fill(site, (PLAYER,))
    engine.retire_questions(["new"], BY)
    engine.due(PLAYER)
    engine.submit(PLAYER, session_data=session("new", is_correct=False, subject=SUBJECT))
    assert site.cache.zscore(site.key("srs", PLAYER), "new") == float("inf")
    engine.set_states(PLAYER, SEASON, [("new", 1, site.now().timestamp() - 60, None, None)])
    for query in ({}, {"subject": SUBJECT}, {"topic": TOPIC}):
        assert "new" not in ids(engine.due(PLAYER, limit=50, **query))
    engine.cache_add(PLAYER, SEASON, [("new", 1.0), ("q11", 1.0)])
    assert ids(engine.due(PLAYER))[0] == "q11"
    engine.restore_questions(["new"], BY)
    assert {"new", "q11"} <= {*ids(engine.due(PLAYER, limit=50))}


@pytest.mark.parametrize("is_suspended", [False, True])
def test_a_season_without_cache_and_a_cache_that_is_down(
    site: Site, engine: Engine, is_suspended: bool
) -> None:
    school = fill(site, (PLAYER,))

    def hide() -> None:
        if is_suspended:
            engine.suspend_question(PLAYER, "q0")
        else:
            engine.retire_questions(["q0"], BY)

    site.sql("UPDATE `tabGame Subscription Season` SET enable_redis = 0")
    engine.season_changed()
    assert engine.due(PLAYER)["total_due"] == 10
    hide()
    for query in ({}, {"subject": SUBJECT}, {"topic": TOPIC}):
        assert "q0" not in ids(engine.due(PLAYER, limit=50, **query))
    told = engine.submit(PLAYER, session_data=session("q1"))
    assert told["remaining_items"] == 8
    site.servers.cache.kill()
    for query in ({}, {"subject": SUBJECT}, {"topic": TOPIC}):
        assert "q0" not in ids(engine.due(PLAYER, limit=50, **query))
    site.sql("UPDATE `tabGame Subscription Season` SET enable_redis = 1")
    found = engine.due(PLAYER, limit=50)
    assert (found["source"], found["total_due"]) == ("safe_mode", 8)
    assert "q0" not in ids(found)
    assert engine.submit(PLAYER, session_data=session("q2"))["remaining_items"] == 7
    assert school.due


@pytest.mark.parametrize("wrong", [[], [""], ["a", " b"], ["x" * 141], ["q"] * 1_001])
def test_what_is_no_list_of_questions_changes_nothing(engine: Engine, wrong: list[str]) -> None:
    with pytest.raises(InvalidInput, match="Nothing was changed"):
        engine.retire_questions(wrong, BY)
    assert engine.retired_questions()["total"] == 0


def test_the_retired_questions_are_listed_with_who_and_when(site: Site, engine: Engine) -> None:
    engine.retire_questions(["a", "b"], BY)
    engine.retire_questions(["b", "Q", "q", "q'); --"], "head@school.example")
    engine.restore_questions(["a", "q"], BY)
    found = engine.retired_questions(0, 2)
    assert found["total"] == 3
    listed = found["questions"] + engine.retired_questions(2, 2)["questions"]
    assert {one["question_id"]: one["retired_by"] for one in listed} == {
        "b": BY,
        "Q": "head@school.example",
        "q'); --": "head@school.example",
    }
    assert all(one["retired_at"][:10] == site.now().strftime("%Y-%m-%d") for one in listed)


@pytest.mark.parametrize("is_slow", [False, True])
def test_no_process_shows_it_once_it_is_retired(site: Site, wires: Wires, is_slow: bool) -> None:
    """Readers look up the season again and again, one of them over a slow wire, so that it
    remembers what it has read for a while."""
    school = fill(site)
    slow = site.engine(**wires.settings)
    readers = [site.engine(), slow, site.engine()]
    for reader in readers:
        check(reader, school, PLAYER)
    if is_slow:
        wires.to["cache"].delay(3)
    is_over, faults = threading.Event(), list[str]()
    retired: frozenset[str] = frozenset()
    lock = threading.Lock()
    shown = [0] * len(readers)

    def read(place: int) -> None:
        choice = random.Random(place)
        while not is_over.is_set():
            player = choice.choice(PLAYERS)
            with lock:
                since = retired
            found = shown_to(readers[place], player)
            if found is None:
                continue
            with lock:
                # Retired before the read, and after it.
                if found & since & retired:
                    faults.append(f"{found & since & retired} was shown")
            shown[place] += 1
            if choice.random() < 0.2:
                site.cache.delete(site.key("srs-season"))

    writer, choice = site.engine(), random.Random(7)
    with ThreadPoolExecutor(len(readers)) as threads:
        reading = [threads.submit(read, place) for place in range(len(readers))]
        try:
            for _ in range(40):
                some = choice.sample(NAMES[:10], 3)
                with lock:
                    known = retired - {*some}
                    retired = known
                if choice.random() < 0.5:
                    writer.restore_questions(some, BY)
                else:
                    writer.retire_questions(some, BY)
                    with lock:
                        retired = known | {*some}
                    for reader in readers[::2]:
                        assert not retired & (shown_to(reader, PLAYER) or set())
            # On a busy machine some have not come to read yet.
            assert wait_until(lambda: all(shown) or any(one.done() for one in reading))
        finally:
            is_over.set()
        for one in reading:
            one.result()
    assert faults == []


def shown_to(reader: Engine, player: str) -> set[str] | None:
    """The questions that a student is shown. None if the season changes faster than the process can
    look it up, and Safe Mode has no room."""
    try:
        return {*ids(reader.due(player, limit=50))}
    except RateLimited:
        return None


does_not_reach = pytest.mark.parametrize(
    "how",
    [
        "refuse",
        pytest.param(
            "hang", marks=pytest.mark.engines(redis_timeout_ms=IMPATIENT["redis_timeout_ms"])
        ),
    ],
)


@does_not_reach
def test_a_process_that_does_not_reach_the_cache_retires_for_all(
    site: Site, engine: Engine, wires: Wires, how: str
) -> None:
    school = fill(site)
    apart = site.engine(**wires.settings)
    for process in (engine, apart):
        check(process, school, PLAYER)
    generation = site.cache.get(site.key("srs-generation"))
    getattr(wires.to["cache"], how)()
    apart.retire_questions(["q0"], BY)
    assert "q0" not in ids(engine.due(PLAYER, limit=50))
    # The students' schedules are as they were.
    assert site.cache.get(site.key("srs-generation")) == generation
    assert site.cache.zscore(site.key("srs", PLAYERS[1]), "q0") != float("inf")
    assert engine.due(PLAYERS[1])["source"] == "cache"
    apart.restore_questions(["q0"], BY)
    assert "q0" in ids(engine.due(PLAYER, limit=50))
    wires.to["cache"].mend()
    apart.retire_questions(["q1"], BY)
    for process in (engine, apart):
        assert "q1" not in ids(process.due(PLAYER, limit=50))


def test_without_mariadb_nothing_is_retired(site: Site, engine: Engine, wires: Wires) -> None:
    school = fill(site)
    apart = site.engine(**wires.settings)
    for player in PLAYERS:
        check(apart, school, player)
    wires.to["database"].refuse()
    with pytest.raises(ServiceUnavailable):
        apart.retire_questions(["q0"], BY)
    with pytest.raises(ServiceUnavailable):
        apart.suspend_question(PLAYER, "q0")
    # Others continue, and it learns from the cache what they have hidden.
    engine.retire_questions(["q1"], BY)
    school.retired = {"q1"}
    check(engine, school, PLAYER)
    found = apart.due(PLAYER, limit=50)
    assert ({*ids(found)}, found["source"]) == (school.expected(PLAYER), "cache")
    # Of a schedule that is behind, too.
    found = apart.due(PLAYERS[1], limit=50)
    assert ({*ids(found)}, found["source"]) == (school.expected(PLAYERS[1]), "cache")
    # Nobody has told the cache since: it must not show what it knew.
    engine.retire_questions(["q2"], BY)
    with pytest.raises(ServiceUnavailable):
        apart.due(PLAYER)


def test_a_cache_that_comes_back_older_shows_nothing_retired(site: Site) -> None:
    school = fill(site)
    engine = site.engine()
    check(engine, school, PLAYER)
    site.cache.save()
    engine.retire_questions(["q0"], BY)
    engine.suspend_question(PLAYER, "q1")
    school.retired, school.suspended[PLAYER] = {"q0"}, {"q1"}
    check(engine, school, PLAYER)
    # It was killed, and has loaded what it had before.
    site.servers.cache.kill()
    site.servers.cache.start()
    assert site.cache.zscore(site.key("srs", PLAYER), "q0") != float("inf")
    for process in (engine, site.engine()):
        for player in PLAYERS:
            assert "q0" not in ids(process.due(player, limit=50))
        assert "q1" not in ids(process.due(PLAYER, limit=50))


def test_a_database_that_was_restored_has_what_it_had(site: Site, engine: Engine) -> None:
    school = fill(site)
    engine.retire_questions(["q0"], BY)
    backup = site.sql("SELECT * FROM memora_retired")
    engine.retire_questions(["q1"], BY)
    school.retired = {"q0", "q1"}
    check(engine, school, PLAYER)
    site.sql("DELETE FROM memora_retired")
    for row in backup:
        site.sql("INSERT INTO memora_retired VALUES (%s, %s, %s, %s, %s)", [*row.values()])
    # The next change has another version than the one that is lost.
    engine.retire_questions(["q2"], BY)
    school.retired = {"q0", "q2"}
    engine.cache_clear(PLAYER, SEASON)
    check(engine, school, PLAYER)


# -- a student suspends questions
# ----------------------------------------------------------------------------
@does_not_reach
def test_a_process_that_does_not_reach_the_cache_suspends_for_all(
    site: Site, engine: Engine, wires: Wires, how: str
) -> None:
    school = fill(site)
    apart = site.engine(**wires.settings)
    for process in (engine, apart):
        check(process, school, PLAYER)
    generation = site.cache.get(site.key("srs-generation"))
    getattr(wires.to["cache"], how)()
    apart.suspend_question(PLAYER, "q0")
    assert "q0" not in ids(engine.due(PLAYER, limit=50))
    apart.resume_question(PLAYER, "q0")
    assert "q0" in ids(engine.due(PLAYER, limit=50))
    assert site.cache.get(site.key("srs-generation")) == generation


def test_a_suspended_question_stays_so_in_the_next_season(site: Site, engine: Engine) -> None:
    fill(site, (PLAYER,))
    engine.suspend_question(PLAYER, "q0")
    other = "SEASON-2027"
    site.insert(
        "Game Subscription Season", name=other, season_name=other, start_date="2026-06-01",
        end_date="2027-06-01", is_active=0, enable_redis=1, partition_created=1,
    )  # fmt: skip
    site.add(PLAYER, [Record("q0"), Record("q1")], other)
    assert engine.due_ids_in_season(PLAYER, other, 50)[0] == ["q1"]
    engine.resume_question(PLAYER, "q0")
    assert engine.due_ids_in_season(PLAYER, other, 50)[0] == ["q0", "q1"]


def test_a_suspended_question_that_an_app_puts_back_into_the_cache_stays_hidden(
    site: Site, engine: Engine
) -> None:
    fill(site, (PLAYER,))
    engine.suspend_question(PLAYER, "q0")
    assert "q0" not in ids(engine.due(PLAYER, limit=50))
    engine.cache_remove(PLAYER, SEASON, "q0")
    engine.cache_add(PLAYER, SEASON, [("q0", 1.7e9), ("q1", 1.7e9)])
    assert {"q0", "q1"} & set(ids(engine.due(PLAYER, limit=50))) == {"q1"}
    engine.resume_question(PLAYER, "q0")
    assert {"q0", "q1"} <= set(ids(engine.due(PLAYER, limit=50)))


def test_only_a_question_of_the_student_can_be_suspended(site: Site, engine: Engine) -> None:
    fill(site, (PLAYER,))
    for wrong in ("of nobody", "", "q0 "):
        with pytest.raises(InvalidInput, match="Nothing was"):
            engine.suspend_question(PLAYER, wrong)
    with pytest.raises(InvalidInput, match="no such question"):
        engine.suspend_question(PLAYERS[1], "q0")
    # One that waits in the journal is the student's.
    engine.submit(PLAYER, session_data=session("new"))
    assert engine.suspend_question(PLAYER, "new")
    assert not engine.suspend_question(PLAYER, "new")
    assert [one["question_id"] for one in engine.suspended_questions(PLAYER)] == ["new"]
    site.sql("UPDATE `tabGame Subscription Season` SET is_active = 0")
    engine.season_changed()
    with pytest.raises(SeasonUnavailable):
        engine.suspend_question(PLAYER, "q0")
    assert engine.resume_question(PLAYER, "new")
    assert engine.suspended_questions(PLAYER) == []


def test_answers_meanwhile_neither_show_what_is_hidden_nor_are_lost(site: Site) -> None:
    school = fill(site)
    engines = [site.engine() for _ in range(4)]
    for engine in engines:
        check(engine, school, PLAYER)
    is_over = threading.Event()
    answered = [0] * 3

    def answer(number: int) -> None:
        choice = random.Random(number)
        while not is_over.is_set():
            name, player = choice.choice(NAMES[:10]), PLAYERS[number]
            engines[number].submit(player, session_data=session(name, is_correct=False))
            date = site.now().timestamp() - 60
            engines[number].set_states(player, SEASON, [(name, 2, date, None, None)])
            answered[number] += 1

    choice = random.Random(3)
    with ThreadPoolExecutor(3) as threads:
        answering = [threads.submit(answer, number) for number in range(3)]
        try:
            # Each has begun before anything is hidden.
            assert wait_until(lambda: all(answered) or any(one.done() for one in answering))
            for _ in range(60):
                player, name = choice.choice(PLAYERS), choice.choice(NAMES[:10])
                match choice.randrange(4):
                    case 0:
                        engines[3].retire_questions([name], BY)
                        school.retired.add(name)
                    case 1:
                        engines[3].restore_questions([name], BY)
                        school.retired.discard(name)
                    case 2:
                        engines[3].suspend_question(player, name)
                        school.suspended[player].add(name)
                    case 3:
                        engines[3].resume_question(player, name)
                        school.suspended[player].discard(name)
                for one in PLAYERS:
                    hidden = school.retired | school.suspended[one]
                    assert not hidden & {*ids(engines[3].due(one, limit=50))}
        finally:
            is_over.set()
        for task in answering:
            task.result()
    for player in PLAYERS:
        for engine in engines:
            check(engine, school, player)
    drain_all(site, engines[0])
    for player in PLAYERS:
        check(engines[0], school, player)
