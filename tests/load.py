"""The load: many students, several processes, each student served by whichever process comes first.

A process that serves a student holds a lock on his ledger, which the system lets go when the process is
killed. Every read is compared with what the student was told before.
"""

from __future__ import annotations

import fcntl
import json
import math
import multiprocessing
import os
import random
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

from memora._engine import Engine, InvalidInput, MemoraError, RateLimited, ServiceUnavailable
from tests.ledger import Given, Ledger, Moment, State, unix
from tests.site_under_test import SEASON, TRACKER, Record, Site

FROM_THE_START: Final = ("stage", *(f"q{number}" for number in range(9)))
ADDED_LATER: Final = ("stage:1", "stage:2", "new1", "new2")
QUESTIONS: Final = FROM_THE_START + ADDED_LATER
FIRST_DUE: Final = datetime(2026, 1, 1)
FIRST: Final = State(2, None, Moment(unix(FIRST_DUE), unix(FIRST_DUE)), 0)
NEVER: Final = State(0, None, Moment(math.inf, math.inf), 0)
MOST_SHOWN: Final = 50
SAFE_MODE_SHOWN: Final = 10


class Count(IntEnum):
    """What is counted over all processes."""

    ACKNOWLEDGED = 0
    ERRORS = 1
    READS = 2
    DEGRADED = 3
    # Without the journal nobody can read what waits in it: such reads say that they are not whole.
    BEHIND = 4
    VIOLATIONS = 5


class Students:
    """Their ledgers in one folder, and what all processes share."""

    def __init__(self, folder: Path, number: int) -> None:
        self.folder: Final = folder
        self.names: Final = [f"student{place}@school.example" for place in range(number)]
        self.counts: Final = multiprocessing.Array("q", len(Count))
        self.is_over: Final = multiprocessing.Value("b", False)
        self._ledgers: Final[dict[str, Ledger]] = {}

    def enter(self, site: Site) -> None:
        """Give every student his questions and an empty ledger."""
        for player in self.names:
            self.path(player).touch()
            site.add(player, [Record(name) for name in FROM_THE_START])
        site.sql(f"UPDATE {TRACKER} SET next_review_date = %s", (FIRST_DUE,))

    def path(self, player: str) -> Path:
        """Where a student's ledger is."""
        return self.folder / f"{player}.jsonl"

    def ledger(self, player: str) -> Ledger:
        """A student's ledger as this process knows it."""
        if player not in self._ledgers:
            states = {name: NEVER if name in ADDED_LATER else FIRST for name in QUESTIONS}
            self._ledgers[player] = Ledger(self.path(player), states)
        return self._ledgers[player]

    def count(self, what: Count, number: int = 1) -> None:
        """Count over all processes."""
        with self.counts.get_lock():
            self.counts[what] += number

    def violated(self, player: str, what: str) -> None:
        """Write down what must never happen."""
        self.count(Count.VIOLATIONS)
        with (self.folder / "violations.txt").open("a") as file:
            file.write(f"{time.time():.3f} {os.getpid()} {player}: {what}\n")

    def violations(self) -> str:
        """All of it."""
        path = self.folder / "violations.txt"
        return path.read_text() if path.exists() else ""

    @contextmanager
    def one(self, choice: random.Random) -> Iterator[str | None]:
        """Take a student whom no other process serves now; None when the one looked for is busy."""
        player = choice.choice(self.names)
        with self.path(player).open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
                return
            ledger = self.ledger(player)
            ledger.read()
            ledger.settle(time.time())
            yield player


def answer(students: Students, engine: Engine, player: str, choice: random.Random) -> None:
    """One submission, written down before and after."""
    ledger = students.ledger(player)
    names = choice.sample(QUESTIONS, choice.randint(1, 4))
    is_lesson = choice.random() < 0.4
    given = [
        Given(
            name,
            is_correct=choice.random() < 0.7,
            duration_ms=choice.choice([1000, 3000, 7000]),
            attempts=choice.choice([1, 2, 2]) if is_lesson else None,
        )
        for name in names
    ]
    ledger.begin(time.time(), given)
    listed = [each.as_json() for each in given]
    try:
        if is_lesson:
            taken = engine.rate(player, json.dumps(listed))
        else:
            taken = engine.submit(player, session_data=json.dumps({"answers": listed}))
    except ServiceUnavailable:
        ledger.end(time.time(), "error")
        students.count(Count.ERRORS)
    except InvalidInput as fault:
        ledger.end(time.time(), "refused")
        students.violated(player, f"a good submission was refused: {fault}")
    except MemoraError as fault:
        ledger.end(time.time(), "error")
        students.violated(player, f"a submission failed with {fault!r}")
    else:
        ledger.end(time.time(), "ack", taken["persistence_job_id"])
        students.count(Count.ACKNOWLEDGED)
    ledger.read()


def look(students: Students, engine: Engine, player: str) -> bool:
    """One read, compared with the ledger. False: it was not answered."""
    before = time.time()
    try:
        found = engine.due(player, limit=MOST_SHOWN)
    except (ServiceUnavailable, RateLimited):
        return False
    except MemoraError as fault:
        students.violated(player, f"a read failed with {fault!r}")
        return False
    after = time.time()
    students.count(Count.READS)
    wrong = differences(students.ledger(player), found, before, after)
    if found["is_degraded"]:
        students.count(Count.DEGRADED)
    if wrong and not found["is_whole"]:
        students.count(Count.BEHIND)
    elif wrong:
        students.violated(player, f"a read from {found['source']} is wrong: {'; '.join(wrong)}")
    return True


def differences(ledger: Ledger, found: Any, before: float, after: float) -> list[str]:
    """What an answer shows that nobody told the student, and what it lacks."""
    wrong = []
    shown = {question["question_id"]: question for question in found["questions"]}
    for name, question in shown.items():
        states = [state for state in ledger.states[name] if state.may_be_due(after)]
        if not any(state.stability == question["stability"] for state in states):
            wrong.append(f"{name} is shown with stability {question['stability']}: {ledger.states[name]}")
    surely = [n for n, states in ledger.states.items() if all(state.must_be_due(before) for state in states)]
    perhaps = [n for n, states in ledger.states.items() if any(state.may_be_due(after) for state in states)]
    if not len(surely) <= found["total_due"] <= len(perhaps):
        wrong.append(f"total_due is {found['total_due']}, not {len(surely)} to {len(perhaps)}")
    if len(shown) < found["total_due"] and not (found["is_degraded"] and len(shown) == SAFE_MODE_SHOWN):
        wrong.append(f"{len(shown)} of {found['total_due']} are shown")
    return wrong


def serve(students: Students, engine: Engine, seed: object) -> None:
    """What a web process does until all is over: answers, reads, and now and then something else."""
    choice = random.Random(repr(seed))
    while not students.is_over.value:
        with students.one(choice) as player:
            if player is None:
                continue
            kind = choice.random()
            if kind < 0.55:
                answer(students, engine, player, choice)
            elif kind < 0.97 or not interfere(engine, choice.choice(students.names), choice):
                look(students, engine, player)
        # Leave the servers some of the two cores.
        time.sleep(choice.random() * 0.01)


def interfere(engine: Engine, player: str, choice: random.Random) -> bool:
    """Load or drop the cache of any student, whoever serves him at the moment."""
    try:
        if choice.random() < 0.5:
            engine.rehydrate(player, SEASON)
        else:
            engine.cache_clear(player, SEASON)
    except MemoraError:
        return False
    return True


def drain(students: Students, engine: Engine, _seed: object) -> None:
    """What a background worker does until all is over."""
    while not students.is_over.value:
        try:
            engine.drain(5.0)
        except ServiceUnavailable:
            pass
        except MemoraError as fault:
            students.violated("drain", repr(fault))
        time.sleep(0.1)


class Crew:
    """Processes that can be killed, paused and replaced; each makes an engine of its own."""

    def __init__(self, students: Students, new_engine: Callable[[], Engine], seed: int) -> None:
        self.students: Final = students
        self.new_engine: Final = new_engine
        self.seed: Final = seed
        self.jobs: Final[list[Callable[[Students, Engine, object], None]]] = []
        self.processes: Final[list[int]] = []
        self._started = 0

    def hire(self, job: Callable[[Students, Engine, object], None], number: int) -> None:
        """Start processes for a job."""
        for _ in range(number):
            self.jobs.append(job)
            self.processes.append(self._start(job))

    def places(self, job: Callable[[Students, Engine, object], None]) -> list[int]:
        """The places of the processes with a job."""
        return [place for place, has in enumerate(self.jobs) if has is job]

    def kill(self, place: int) -> None:
        """End a process as a crash does."""
        os.kill(self.processes[place], signal.SIGKILL)
        os.waitpid(self.processes[place], 0)

    def replace(self, place: int) -> None:
        """Start a new process in the place of a killed one."""
        self.processes[place] = self._start(self.jobs[place])

    def pause(self, place: int) -> None:
        """Freeze a process."""
        os.kill(self.processes[place], signal.SIGSTOP)

    def resume(self, place: int) -> None:
        """Let a frozen process go on."""
        os.kill(self.processes[place], signal.SIGCONT)

    def dismiss(self) -> None:
        """Let all end in good order."""
        self.students.is_over.value = True
        for process in self.processes:
            os.waitpid(process, 0)
        self.processes.clear()

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        for place in range(len(self.processes)):
            self.kill(place)

    def _start(self, job: Callable[[Students, Engine, object], None]) -> int:
        self._started += 1
        child = os.fork()
        if child:
            return child
        try:
            job(self.students, self.new_engine(), (self.seed, self._started))
        except BaseException:
            self.students.violated("a process", traceback.format_exc())
        finally:
            os._exit(0)
