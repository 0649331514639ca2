"""The load: many students, several processes, each student served by the first free process.

A process that serves a student holds a lock on their ledger, which the system releases when the
process dies. Every read is compared with what the student was told before.
"""

from __future__ import annotations

import fcntl
import json
import math
import mmap
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

from memora._engine import Engine, InvalidInput, MemoraError, RateLimited, ServiceUnavailable
from tests.soak.ledger import (
    LONGEST_DAYS,
    RETENTION,
    Given,
    Ledger,
    Moment,
    State,
    unix,
)
from tests.support.clocks import Clock, TrueTime
from tests.support.site_under_test import SEASON, TRACKER, Record, Site

FROM_THE_START: Final = ("stage", *(f"q{number}" for number in range(9)))
ADDED_LATER: Final = ("stage:1", "stage:2", "new1", "new2")
QUESTIONS: Final = FROM_THE_START + ADDED_LATER
FIRST_DUE: Final = datetime(2026, 1, 1)
FIRST: Final = State(2, None, Moment(unix(FIRST_DUE), unix(FIRST_DUE)), 0)
NEVER: Final = State(0, None, Moment(math.inf, math.inf), 0)
BY_FSRS: Final = json.dumps(
    {
        "ladder": {
            "fast_ms": 2000,
            "slow_ms": 6000,
            "days": [1, 3, 7, 14],
            "fsrs": {"retention": RETENTION, "longest_days": LONGEST_DAYS},
        }
    }
)
MOST_SHOWN: Final = 50
SAFE_MODE_SHOWN: Final = 10
# The share of submissions that have a key.
WITH_KEY: Final = 0.6


# Clocks of processes are at most this many seconds ahead of the true time, or behind.
MOST_WRONG: Final = 300.0
MOST_PLACES: Final = 32


class Count(IntEnum):
    """The counters of each process, and so of all."""

    ACKNOWLEDGED = 0
    ERRORS = 1
    READS = 2
    DEGRADED = 3
    # Reads that lack an acknowledged answer, and say that they are degraded.
    BEHIND = 4
    FROM_CACHE = 5
    RATE_LIMITED = 6
    UNREAD = 7
    VIOLATIONS = 8
    # Submissions that were sent again, and answered as the first time.
    SENT_AGAIN = 9
    UNDONE = 10
    # Those that could not be undone, because of something newer.
    NOT_UNDONE = 11


class Board:
    """What all processes of a load share: whether it is over, and each one's counters.

    Each process writes only to its own place, so that none can die with a lock.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(8 * (1 + MOST_PLACES * len(Count))))
        with path.open("r+b") as file:
            self._numbers: Final = memoryview(mmap.mmap(file.fileno(), 0)).cast("q")

    @property
    def is_over(self) -> bool:
        """Whether all must end."""
        return bool(self._numbers[0])

    @is_over.setter
    def is_over(self, value: bool) -> None:
        self._numbers[0] = value

    def count(self, place: int, what: Count, number: int) -> None:
        """Count for the process at a place, in that process."""
        self._numbers[1 + place * len(Count) + what] += number

    def of(self, place: int) -> list[int]:
        """What the processes at a place have counted."""
        first = 1 + place * len(Count)
        return list(self._numbers[first : first + len(Count)])


@dataclass(frozen=True)
class Sent:
    """A submission that has a key, and what the student was told."""

    player: str
    is_lesson: bool
    listed: list[dict[str, Any]]
    key: str | None
    told: dict[str, Any] | None = None

    def send(self, engine: Engine) -> dict[str, Any]:
        """Send it, perhaps again."""
        if self.is_lesson:
            text = json.dumps(self.listed)
            taken = engine.rate(self.player, text, submission_id=self.key)
        else:
            text = json.dumps({"answers": self.listed})
            taken = engine.submit(self.player, session_data=text, submission_id=self.key)
        # An older engine knows of no leeches.
        untold = ("drain_wanted", "is_first", "leeches")
        return {name: value for name, value in taken.items() if name not in untold}


class Students:
    """Their ledgers in one folder, and what all processes share.

    Args:
        folder: of the ledgers.
        number: how many students.
        place: of this process among those of the load; the last one is for who watches them.
        since: what the process that started this one has as `time.since`.
    """

    def __init__(
        self, folder: Path, number: int, place: int = MOST_PLACES - 1, since: float | None = None
    ) -> None:
        self.folder: Final = folder
        # It is there if FSRS makes the dates.
        self.by_fsrs: Final = folder / "by-fsrs"
        self.number: Final = number
        self.names: Final = [f"student{place}@school.example" for place in range(number)]
        self.place: Final = place
        self.time: Final = TrueTime(since)
        self.board: Final = Board(folder / "board")
        self.own_clock: Final = self.clock(place)
        self._ledgers: Final[dict[str, Ledger]] = {}
        self.sent: Final[dict[str, list[Sent]]] = defaultdict(list)

    @property
    def counts(self) -> list[int]:
        """What all processes have counted."""
        return [sum(counts) for counts in zip(*map(self.board.of, range(MOST_PLACES)), strict=True)]

    def clock(self, place: int) -> Clock:
        """The wall clock of the processes at a place."""
        return Clock(self.folder / f"clock{place}")

    def enter(self, site: Site) -> None:
        """Give every student their questions and an empty ledger."""
        for player in self.names:
            self.path(player).touch()
            site.add_users(player)
            site.add(player, [Record(name) for name in FROM_THE_START])
        site.sql(f"UPDATE {TRACKER} SET next_review_date = %s", (FIRST_DUE,))
        if self.by_fsrs.exists():
            site.sql("UPDATE `tabGame Subscription Season` SET scheduling = %s", (BY_FSRS,))

    def path(self, player: str) -> Path:
        """Where a student's ledger is."""
        return self.folder / f"{player}.jsonl"

    def ledger(self, player: str) -> Ledger:
        """A student's ledger as this process knows it."""
        if player not in self._ledgers:
            states = {name: NEVER if name in ADDED_LATER else FIRST for name in QUESTIONS}
            by_fsrs = player if self.by_fsrs.exists() else None
            self._ledgers[player] = Ledger(self.path(player), states, by_fsrs)
        return self._ledgers[player]

    def count(self, what: Count, number: int = 1) -> None:
        """Count for this process."""
        self.board.count(self.place, what, number)

    def violated(self, player: str, what: str) -> None:
        """Write down what must never happen."""
        self.count(Count.VIOLATIONS)
        with (self.folder / "violations.txt").open("a") as file:
            file.write(f"{self.time.now():.3f} place {self.place} {player}: {what}\n")

    def violations(self) -> str:
        """All of it."""
        path = self.folder / "violations.txt"
        return path.read_text() if path.exists() else ""

    @contextmanager
    def one(self, names: list[str], choice: random.Random) -> Iterator[str | None]:
        """Take a random one of these students; None if another process serves that student now."""
        player = choice.choice(names)
        with self.path(player).open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
                return
            ledger = self.ledger(player)
            ledger.read()
            ledger.settle(self.time.now(), MOST_WRONG)
            yield player


class Spell:
    """A stretch of time, by the clock of this process: it need not be true, and may jump
    meanwhile."""

    def __init__(self, students: Students) -> None:
        self._time: Final = students.time
        self._clock: Final = students.own_clock
        self._changes: Final = self._clock.changes
        self.began: Final = self._time.now()

    def moment(self) -> Moment:
        """From its beginning until now: what a date in it can be."""
        # Servers and neighbours with true clocks have a say in some dates.
        offsets = [0.0, *self._clock.offsets_since(self._changes)]
        return Moment(self.began + min(offsets), self._time.now() + max(offsets))


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
    spell = Spell(students)
    ledger.begin(spell.began, given)
    key = f"{choice.getrandbits(64):x}" if choice.random() < WITH_KEY else None
    sent = Sent(player, is_lesson, [each.as_json() for each in given], key)
    try:
        taken = insist(sent, engine, choice)
    except ServiceUnavailable:
        ledger.end(spell.moment(), "error")
        students.count(Count.ERRORS)
    except InvalidInput as fault:
        ledger.end(spell.moment(), "refused")
        students.violated(player, f"a good submission was refused: {fault}")
    except MemoraError as fault:
        ledger.end(spell.moment(), "error")
        students.violated(player, f"a submission failed with {fault!r}")
    else:
        ledger.end(spell.moment(), "ack", taken["persistence_job_id"])
        students.count(Count.ACKNOWLEDGED)
        if key:
            students.sent[player] = [*students.sent[player][-9:], replace(sent, told=taken)]
            if choice.random() < 1 / 3:
                again(students, engine, player, choice)
    ledger.read()


def insist(sent: Sent, engine: Engine, choice: random.Random) -> dict[str, Any]:
    """Send a submission; again after an error, if it has a key, as a phone would."""
    for _ in range(choice.randint(0, 3) if sent.key else 0):
        with suppress(ServiceUnavailable):
            return sent.send(engine)
        time.sleep(choice.random() * 0.3)
    return sent.send(engine)


def again(students: Students, engine: Engine, player: str, choice: random.Random) -> None:
    """Send a submission again that was acknowledged, perhaps long ago: nothing changes."""
    if not students.sent[player]:
        return
    sent = choice.choice(students.sent[player])
    try:
        told = sent.send(engine)
    except ServiceUnavailable:
        return
    except MemoraError as fault:
        students.violated(player, f"a submission that was sent again failed with {fault!r}")
        return
    students.count(Count.SENT_AGAIN)
    if told != sent.told:
        students.violated(player, f"sent again, it was answered {told}, not {sent.told}")


def undo(students: Students, engine: Engine, player: str, choice: random.Random) -> None:
    """Undo a submission that was acknowledged: its questions are as before, unless others came."""
    if not students.sent[player]:
        return
    sent = choice.choice(students.sent[player][-3:])
    assert sent.key is not None
    assert sent.told is not None
    job_id, ledger = sent.told["persistence_job_id"], students.ledger(player)
    spell, known = Spell(students), ledger.undoable[job_id]
    is_again = job_id in ledger.undone
    ledger.begin_undo(spell.began, job_id)
    try:
        undone = engine.undo(player, sent.key)
    except ServiceUnavailable:
        ledger.end(spell.moment(), "error")
        students.count(Count.ERRORS)
    except InvalidInput as refusal:
        ledger.end(spell.moment(), "refused")
        students.count(Count.NOT_UNDONE)
        if refusal.code != "memora.changed_since" or is_again or not known.perhaps_changed:
            students.violated(player, f"{job_id} was not undone: {refusal}")
    except MemoraError as fault:
        ledger.end(spell.moment(), "error")
        students.violated(player, f"an undoing failed with {fault!r}")
    else:
        ledger.end(spell.moment(), "ack", undone["persistence_job_id"])
        students.count(Count.UNDONE)
        if known.changed and not is_again and job_id not in ledger.perhaps_undone:
            students.violated(player, f"{job_id} was undone, and something newer was there")
        if undone["undone"] != len(sent.listed):
            students.violated(player, f"{undone['undone']} answers of {job_id} were undone")
    ledger.read()


def look(students: Students, engine: Engine, player: str) -> bool:
    """One read, compared with the ledger. False: it was not answered."""
    spell = Spell(students)
    try:
        found = engine.due(player, limit=MOST_SHOWN)
    except RateLimited:
        students.count(Count.RATE_LIMITED)
        return False
    except ServiceUnavailable:
        students.count(Count.UNREAD)
        return False
    except MemoraError as fault:
        students.violated(player, f"a read failed with {fault!r}")
        return False
    moment = spell.moment()
    students.count(Count.READS)
    wrong = differences(students.ledger(player), found, moment)
    if found["source"] == "cache":
        students.count(Count.FROM_CACHE)
    if found["is_degraded"]:
        students.count(Count.DEGRADED)
    if wrong and found["is_degraded"]:
        students.count(Count.BEHIND)
    elif wrong:
        students.violated(player, f"a read from {found['source']} is wrong: {'; '.join(wrong)}")
    return True


def differences(ledger: Ledger, found: Any, moment: Moment) -> list[str]:
    """What a read shows now that it must not, and what it lacks."""
    wrong = []
    before, after = moment.earliest, moment.latest
    shown = {question["question_id"]: question for question in found["questions"]}
    for name, question in shown.items():
        states = [state for state in ledger.states[name] if state.may_be_due(after)]
        if not any(state.stability == question["stability"] for state in states):
            wrong.append(
                f"{name} is shown with stability {question['stability']}: {ledger.states[name]}"
            )
    surely = [
        n
        for n, states in ledger.states.items()
        if all(state.must_be_due(before) for state in states)
    ]
    perhaps = [
        n for n, states in ledger.states.items() if any(state.may_be_due(after) for state in states)
    ]
    if not len(surely) <= found["total_due"] <= len(perhaps):
        wrong.append(f"total_due is {found['total_due']}, not {len(surely)} to {len(perhaps)}")
    if len(shown) < found["total_due"] and not (
        found["is_degraded"] and len(shown) == SAFE_MODE_SHOWN
    ):
        wrong.append(f"{len(shown)} of {found['total_due']} are shown")
    return wrong


def serve(students: Students, engine: Engine, names: list[str], choice: random.Random) -> None:
    """A web process's work until the end: answers, reads, and now and then something else."""
    while not students.board.is_over:
        with students.one(names, choice) as player:
            if player is None:
                continue
            kind = choice.random()
            if kind < 0.5:
                answer(students, engine, player, choice)
            elif kind < 0.6:
                again(students, engine, player, choice)
            elif kind < 0.7:
                undo(students, engine, player, choice)
            elif kind < 0.97 or not interfere(engine, choice.choice(names), choice):
                look(students, engine, player)
        # Leave the servers some of the two cores.
        time.sleep(choice.random() * 0.01)


def attend(students: Students, engine: Engine, names: list[str], choice: random.Random) -> None:
    """A web process's work on a quiet day: reads, and now and then answers."""
    while not students.board.is_over:
        with students.one(names, choice) as player:
            if player is None:
                continue
            if choice.random() < 0.2:
                answer(students, engine, player, choice)
            else:
                look(students, engine, player)
        time.sleep(choice.random() * 0.02)


def interfere(engine: Engine, player: str, choice: random.Random) -> bool:
    """Load or drop the cache of any student, even if another process serves them."""
    try:
        if choice.random() < 0.5:
            engine.rehydrate(player, SEASON)
        else:
            engine.cache_clear(player, SEASON)
    except MemoraError:
        return False
    return True


def drain(students: Students, engine: Engine, _names: list[str], _choice: random.Random) -> None:
    """A background worker's work until the end."""
    while not students.board.is_over:
        try:
            engine.drain(5.0)
        except ServiceUnavailable:
            pass
        except MemoraError as fault:
            students.violated("drain", repr(fault))
        time.sleep(0.1)


Job = Callable[[Students, Engine, list[str], random.Random], None]
JOBS: Final[dict[str, Job]] = {"web": serve, "quiet web": attend, "drain": drain}
