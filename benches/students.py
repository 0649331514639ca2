"""Processes that read and answer as students do, for benches beside them."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Final

from benches import dataset
from benches.workplace import Workplace

from memora._engine import Engine, MemoraError  # isort: skip

READERS: Final = 4
WRITERS: Final = 2
# Each process has its own students, so the answers of one do not reduce what another reads.
SHARE_OF_STUDENTS: Final = READERS + WRITERS
# Between two calls of a process; two cores must do for everything, and not be busy without an
# archiver.
READ_REST_SECONDS: Final = 0.005
WRITE_REST_SECONDS: Final = 0.02
# One read in this many is of a student who is not cached.
COLD: Final = 4
ANSWERS: Final = 10
SUBMITS_A_DRAIN: Final = 50
FORK: Final = multiprocessing.get_context("fork")
SEED: Final = 2026
ACTIVE: Final = dataset.Shape(students=1000, questions=200, order="time")


@dataclass
class Calls:
    """When every call began and how many milliseconds it took, by kind; how many were not served as
    usual.

    `busy` and `stolen` are the shares of the cores' time that this machine's processes, and other
    machines on the same cores, had meanwhile.
    """

    made: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    failed: Counter[str] = field(default_factory=Counter)
    busy: float = 0.0
    stolen: float = 0.0

    def time(self, kind: str, call: Callable[[], bool]) -> None:
        """Make a call that says whether it went as usual."""
        start = time.perf_counter()
        try:
            is_usual = call()
        except MemoraError:
            is_usual = False
        self.made[kind].append((start, (time.perf_counter() - start) * 1000))
        self.failed[kind] += not is_usual

    def add(self, others: Calls) -> None:
        """Those of another process, too."""
        for kind, made in others.made.items():
            self.made[kind] += made
        self.failed += others.failed

    def times(self, kind: str) -> list[float]:
        """Milliseconds of the calls of a kind."""
        return [ms for _start, ms in self.made[kind]]

    def within(self, spans: Sequence[tuple[float, float]]) -> Calls:
        """The calls that began in one of these spans of time."""
        calls = Calls(failed=self.failed, busy=self.busy, stolen=self.stolen)
        for kind, made in self.made.items():
            calls.made[kind] = [
                (start, ms)
                for start, ms in made
                if any(since <= start < until for since, until in spans)
            ]
        return calls


Work = Callable[[Engine, list[str], random.Random, int, Calls], None]
"""One call of a process. Gets the engine, its students, its random choice, how many calls came
before, and the place for times."""


def read(
    engine: Engine, players: list[str], choice: random.Random, count: int, calls: Calls
) -> None:
    """A read of a student who is cached, or is not."""
    player = choice.choice(players)
    kind = "warm read" if count % COLD else "cold read"
    if kind == "cold read":
        engine.cache_clear(player, dataset.SEASON)
    calls.time(kind, lambda: not engine.due(player)["is_degraded"])


def write(
    engine: Engine, players: list[str], choice: random.Random, count: int, calls: Calls
) -> None:
    """A submission, and now and then a drain."""
    sent = dataset.session_data(dataset.answers(choice, ANSWERS, ACTIVE.questions))
    player = choice.choice(players)
    calls.time("submit", lambda: bool(engine.submit(player, sent)["persistence_job_id"]))
    if count % SUBMITS_A_DRAIN == SUBMITS_A_DRAIN - 1:
        calls.time("drain", lambda: engine.drain(1.0)["set_aside"] == 0)


def serve(place: Workplace, work: Work, number: int, pipe: Connection) -> None:
    """Work of a process: warm up, wait for the start signal, then work until the stop signal."""
    engine, choice, calls = place.engine(), random.Random(f"{SEED} {number}"), Calls()
    players = [dataset.player(each) for each in range(number, ACTIVE.students, SHARE_OF_STUDENTS)]
    for player in players:
        engine.due(player)
    pipe.send("ready")
    pipe.recv()
    for count in range(10**9):
        work(engine, players, choice, count, calls)
        if pipe.poll(READ_REST_SECONDS if work is read else WRITE_REST_SECONDS):
            break
    pipe.send(calls)


@dataclass(frozen=True)
class Child:
    """A forked process, and the pipe to it."""

    process: BaseProcess
    pipe: Connection

    def report(self) -> Any:
        """What it reports.

        Raises:
            EOFError: it failed; what happened is on standard error.
        """
        return self.pipe.recv()


def fork(work: Callable[[Connection], None]) -> Child:
    """Run work in a child, which ends with this process."""
    ours, theirs = FORK.Pipe()

    def begin() -> None:
        # Otherwise it would not see the end of the pipe when this process is killed.
        ours.close()
        work(theirs)

    process = FORK.Process(target=begin, daemon=True)
    process.start()
    theirs.close()
    return Child(process, ours)


def outcome_of(work: Callable[[Connection], None]) -> Any:
    """Run work in a child; what it reports."""
    child = fork(work)
    try:
        return child.report()
    finally:
        child.process.join()
