"""One process that reaches only some servers, beside others that reach all."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Final

import pytest

from memora._engine import Engine, RateLimited, ServiceUnavailable
from tests.consistency.test_drain import drain_all
from tests.students.test_rehydrate import together
from tests.support.expectation import stability_after_answers
from tests.support.processes import AnyEngine
from tests.support.site_under_test import (
    IMPATIENT,
    OF_A_SCHOOL,
    PLAYER,
    TOPICS,
    Record,
    Site,
    ids,
    session,
)
from tests.support.wire import Wires

# Two answers to one question, one after the other.
PAIRS: Final = [(True, True), (True, False), (False, True), (False, False)]
PATIENCE: Final = {
    "cache": "redis_timeout_ms",
    "journal": "redis_timeout_ms",
    "database": "database_timeout_ms",
}
BOTH: Final = ("cache", "journal")
TROUBLES: Final = [
    (lost, how)
    for lost in (("cache",), ("journal",), BOTH, ("database",))
    for how in ("refuse", "hang")
]
BYSTANDERS: Final = [f"bystander{number}@school.example" for number in range(30)]


def called(value: object) -> str | None:
    """Several servers, or answers, in the name of a test."""
    return " and ".join(str(one) for one in value) if isinstance(value, tuple) else None


def process(site: Site, wires: Wires, lost: tuple[str, ...] = (), how: str = "refuse") -> Engine:
    """A process on wires, with short timeouts."""
    hanging = [PATIENCE[name] for name in lost if how == "hang"]
    return site.engine(**wires.settings, **{name: IMPATIENT[name] for name in hanging})


@contextmanager
def cut_off(site: Site, wires: Wires, lost: tuple[str, ...], how: str) -> Iterator[None]:
    """The process on these wires does not reach some servers; all others do."""
    with ExitStack() as ends:
        for name in lost:
            if how == "no room":
                # Existing connections stay.
                client = getattr(site, name)
                ends.callback(
                    client.config_set, "maxclients", client.config_get("maxclients")["maxclients"]
                )
                client.config_set("maxclients", 1)
                wires.to[name].cut()
            else:
                getattr(wires.to[name], how)()
                ends.callback(wires.to[name].mend)
        yield


def add(site: Site, *players: str, stability: int = 2) -> None:
    """Students with two due questions, one of them in a topic."""
    for player in players:
        site.add(player, [Record("q", stability=stability, topic=TOPICS[0]), Record("r")])


def shown(engine: Engine, player: str) -> int:
    """The stability that a student's question has, due or not, for certain."""
    found = engine.due(player, topic=TOPICS[0])
    assert not found["is_degraded"]
    (question,) = found["questions"]
    return question["stability"]


def answer(engine: AnyEngine, player: str, is_correct: bool) -> int:
    """Answer the question; the stability that it has then."""
    counts = engine.submit(player, session_data=session("q", is_correct=is_correct))[
        "new_stability_counts"
    ]
    (stability,) = (int(name) for name, count in counts.items() if count)
    return stability


def answer_all(engine: Engine, answers: dict[str, bool]) -> None:
    """Students answer at once."""
    together(
        *(partial(answer, engine, player, is_correct) for player, is_correct in answers.items())
    )


def check_saved(site: Site, expected: dict[str, int]) -> None:
    """The table gets these stabilities, and every process shows them."""
    drain_all(site, site.engine())
    assert {player: site.rows(player)["q"]["stability"] for player in expected} == expected
    reader = site.engine()
    assert {player: shown(reader, player) for player in expected} == expected


def check_warm(site: Site, engine: Engine, players: list[str]) -> None:
    """The students' schedules are read from the cache, which is believed, and cost no SQL but
    looks."""
    with site.listening() as statements:
        answers = [engine.due(player) for player in players]
    assert [answer["total_due"] for answer in answers] == [2] * len(players)
    assert {(answer["source"], answer["is_degraded"]) for answer in answers} == {("cache", False)}
    # A new connection asks for settings, from no table.
    selects = [text for text in statements if text.startswith("SELECT") and " FROM " in text]
    # A process that finds two caches in use notes it.
    looks = ("memora_belief", "memora_registration", "memora_unshown", "memora_outage")
    assert [text for text in selects if not any(name in text for name in looks)] == []


# -- what it answers counts, and what others answer
# -------------------------------------------------
@pytest.mark.parametrize(("lost", "how"), [*TROUBLES, (BOTH, "no room")], ids=called)
def test_answers_count_in_their_order_whoever_comes_first(
    site: Site, wires: Wires, lost: tuple[str, ...], how: str
) -> None:
    """Two answers of each student, one of them by the process that is alone."""
    alone_first = {f"alone{number}@school.example": pair for number, pair in enumerate(PAIRS)}
    alone_second = {f"healthy{number}@school.example": pair for number, pair in enumerate(PAIRS)}
    pairs = alone_first | alone_second
    expected = {player: stability_after_answers(2, *pair) for player, pair in pairs.items()}
    add(site, *pairs)
    healthy, alone = site.engine(), process(site, wires, lost, how)
    for player in pairs:
        assert healthy.due(player)["total_due"] == alone.due(player)["total_due"] == 2
    with cut_off(site, wires, lost, how):
        answer_all(alone, {player: pair[0] for player, pair in alone_first.items()})
        for player, pair in alone_first.items():
            assert ids(healthy.due(player)) == ["r"]
            assert shown(healthy, player) == stability_after_answers(2, pair[0])
            assert answer(healthy, player, pair[1]) == expected[player]
        for player, pair in alone_second.items():
            answer(healthy, player, pair[0])
            with suppress(RateLimited):
                found = alone.due(player)
                assert ids(found) == ["r"] or found["is_degraded"]
        answer_all(alone, {player: pair[1] for player, pair in alone_second.items()})
        assert {player: shown(healthy, player) for player in pairs} == expected
    check_saved(site, expected)


@pytest.mark.parametrize("seed", range(2))
def test_each_answer_counts_in_its_order_whatever_its_process_reaches(
    site: Site, seed: int
) -> None:
    """Each answer goes to another process, and each process lacks another server."""
    choice = random.Random(seed)
    troubles = [((), ""), *choice.sample(TROUBLES, 5)]
    players = [f"student{number}@school.example" for number in range(12)]
    add(site, *players)
    # An answer that is refused may have been taken or not.
    possible = {player: {2} for player in players}
    with ExitStack() as ends:
        processes = []
        for lost, how in troubles:
            wires = ends.enter_context(Wires(site.servers))
            processes.append(process(site, wires, lost, how))
            for player in players:
                processes[-1].due(player)
            ends.enter_context(cut_off(site, wires, lost, how))

        def answer_somewhere(player: str, engine: Engine, is_correct: bool) -> None:
            after = {
                stability_after_answers(stability, is_correct) for stability in possible[player]
            }
            try:
                answer(engine, player, is_correct)
                possible[player] = after
            except ServiceUnavailable:
                possible[player] |= after

        for _ in range(4):
            tasks = [
                (player, choice.choice(processes), choice.random() < 0.6) for player in players
            ]
            together(*(partial(answer_somewhere, *task) for task in tasks))
        found = {player: shown(processes[0], player) for player in players}
    assert [player for player in players if found[player] not in possible[player]] == []
    check_saved(site, found)


@pytest.mark.parametrize("end", ["hang", "refuse", "mend"])
def test_a_journal_that_fails_one_process_between_look_up_and_append(
    site: Site, wires: Wires, end: str
) -> None:
    """Another submission of the same student comes in between."""
    pairs = {f"student{number}@school.example": pair for number, pair in enumerate(PAIRS)}
    add(site, *pairs)
    healthy, alone = site.engine(), site.engine(**wires.settings, redis_timeout_ms=1_500)
    for player in pairs:
        assert healthy.due(player)["total_due"] == alone.due(player)["total_due"] == 2
    wires.to["journal"].hang()
    first = {player: pair[0] for player, pair in pairs.items()}
    thread = threading.Thread(target=answer_all, args=(alone, first))
    thread.start()
    # It has asked the cache and waits for the journal.
    thread.join(0.3)
    for player, pair in pairs.items():
        answer(healthy, player, pair[1])
    getattr(wires.to["journal"], end)()
    thread.join()
    found = {player: shown(healthy, player) for player in pairs}
    for player, (one, other) in pairs.items():
        # They were under way at the same time.
        assert found[player] in {
            stability_after_answers(2, one, other),
            stability_after_answers(2, other, one),
        }
    wires.to["journal"].mend()
    check_saved(site, found)


# -- its trouble is its own
# -------------------------------------------------------------------------
@pytest.mark.parametrize(("lost", "how"), TROUBLES, ids=called)
def test_it_voids_nobody_elses_schedule(
    site: Site, wires: Wires, lost: tuple[str, ...], how: str
) -> None:
    add(site, *BYSTANDERS, PLAYER)
    healthy, alone = site.engine(), process(site, wires, lost, how)
    for player in (*BYSTANDERS, PLAYER):
        healthy.due(player)
        alone.due(player)
    with cut_off(site, wires, lost, how):
        answer(alone, PLAYER, True)
        check_warm(site, healthy, BYSTANDERS)
        assert ids(healthy.due(PLAYER)) == ["r"]


@pytest.mark.parametrize("seconds", [0.25, 1.5])
@pytest.mark.parametrize("stalled", [("cache",), ("journal",), BOTH], ids=called)
def test_a_stall_voids_nobody_elses_schedule(
    site: Site, stalled: tuple[str, ...], seconds: float
) -> None:
    """As Frappe's own commands stall a Redis, for all; one process waits no longer than a school's
    do."""
    add(site, *BYSTANDERS, PLAYER)
    reader, impatient = site.engine(), site.engine(redis_timeout_ms=OF_A_SCHOOL["redis_timeout_ms"])
    for player in (*BYSTANDERS, PLAYER):
        reader.due(player)
    impatient.due(PLAYER)
    timers = [threading.Timer(seconds, getattr(site.servers, name).resume) for name in stalled]
    for name, timer in zip(stalled, timers, strict=True):
        getattr(site.servers, name).pause()
        timer.start()
    impatient.submit(PLAYER, session_data=session("q"))
    for timer in timers:
        timer.join()
    check_warm(site, reader, BYSTANDERS)
    assert ids(reader.due(PLAYER)) == ["r"]
    check_saved(site, {PLAYER: 3})
