"""What a student was told, written down before and after each submission, and what the table may
then have.

The ledger is a file that outlives its writer. A submission that was begun but has no ending, or
ended in an error, may count or not; an acknowledged one counts, in its order. One that is undone
gives its questions the states from before. From that follow the possible states of each question,
by the rules in `tests.support.expectation` and `tests.support.fsrs`.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from tests.support import fsrs
from tests.support.expectation import (
    DAYS_AFTER_ANSWER,
    DAYS_AFTER_LESSON,
    stability_after_answer,
    stability_after_lesson,
)

DAY: Final = 86400
# Clocks are read before and after a call, states are dated in whole seconds.
SECOND: Final = 1.0
# Each submission whose outcome is unknown may double the possible memories of a question. With more
# possible states than this, memories are no longer compared.
MOST_STATES: Final = 64
RETENTION: Final = 0.9
LONGEST_DAYS: Final = 365
# When a question is due that is as if it had never been asked.
NEVER_YEAR: Final = 2200


@dataclass(frozen=True)
class Moment:
    """Some time between two times, Unix seconds."""

    earliest: float
    latest: float

    def has(self, unix: float) -> bool:
        """Whether it can be this time."""
        return self.earliest - SECOND <= unix <= self.latest + SECOND


@dataclass(frozen=True)
class Remembered:
    """What is remembered of a question: FSRS's two numbers, None before the first answer; and how
    often it was wrong."""

    memory: fsrs.Memory | None = None
    lapses: int = 0

    def fits(self, row: Mapping[str, Any]) -> bool:
        """Whether a row of the table has this, up to what the engine's single precision leaves."""
        expected = self.memory or (0.0, 0.0)
        found = float(row["memory_stability"]), float(row["memory_difficulty"])
        return row["lapses"] == self.lapses and all(
            abs(one - other) <= 0.001 + other / 1000
            for one, other in zip(found, expected, strict=True)
        )

    def after(self, days: int, rung: int, grade: int) -> Remembered:
        """This after an answer, so many days after the one before; `rung` is from before it."""
        known = self.memory or (fsrs.of_rung(DAYS_AFTER_ANSWER[rung]) if rung else None)
        after = fsrs.after(known, days, grade)
        rounded = fsrs.Memory(round(after.stability, 4), round(after.difficulty, 4))
        return Remembered(rounded, self.lapses + (grade == fsrs.AGAIN))


@dataclass(frozen=True)
class State:
    """A possible state of a question: last answered at one time, due days after another.

    What is remembered may be anything if it is None; then the days are those that it can be least.
    """

    stability: int
    answered: Moment | None
    due_since: Moment
    days: int
    remembered: Remembered | None = Remembered()
    # By FSRS: the ledger's double precision may round to another day.
    is_about: bool = False

    def may_be_due(self, now: float) -> bool:
        """Whether it can be due at this time."""
        return self.due_since.earliest + self.days * DAY - SECOND <= now

    def must_be_due(self, now: float) -> bool:
        """Whether it is due at this time in any case."""
        if self.is_about and self.remembered is None:
            return False
        return self.due_since.latest + self.days * DAY + SECOND <= now

    def fits(self, row: Mapping[str, Any]) -> bool:
        """Whether a row of the table (dates in UTC) is in this state."""
        if math.isinf(self.due_since.earliest):
            # The first answer was undone.
            found = row["stability"], row["last_review_date"], row["next_review_date"].year
            return found == (0, None, NEVER_YEAR)
        if row["stability"] != self.stability or (self.answered is None) != (
            row["last_review_date"] is None
        ):
            return False
        if self.remembered is None:
            return self.is_about or self.has_date(row, self.days)
        around = (-1, 0, 1) if self.is_about else (0,)
        is_date = any(self.has_date(row, self.days + more) for more in around)
        return is_date and self.remembered.fits(row)

    def has_date(self, row: Mapping[str, Any], days: int) -> bool:
        """Whether a row was answered then, and is due so many days later."""
        due = unix(row["next_review_date"])
        if not self.due_since.has(due - days * DAY):
            return False
        if self.answered is None:
            return True
        last = unix(row["last_review_date"])
        # If the answer itself set the date, it is exactly this many days later, to the second.
        return self.answered.has(last) and (
            self.due_since != self.answered or due == int(last) + days * DAY
        )


def unix(date: datetime) -> float:
    """Unix time of a naive date in UTC."""
    return date.replace(tzinfo=timezone.utc).timestamp()


@dataclass(frozen=True)
class Given:
    """One answer: in a review session, or (`attempts`) in a lesson."""

    question_id: str
    is_correct: bool = True
    duration_ms: int = 3000
    attempts: int | None = None

    def after(self, state: State, moment: Moment, by_fsrs: str | None) -> set[State]:
        """The states that there can be after this answer: several where it is not known on which
        day it was given.

        Args:
            state: the one before it.
            moment: when it was given.
            by_fsrs: the student, if FSRS makes the dates.
        """
        if self.attempts is None:
            stability = stability_after_answer(state.stability, self.is_correct, self.duration_ms)
            days = DAYS_AFTER_ANSWER[stability]
            grade = fsrs.grade_of_answer(self.is_correct, None, self.duration_ms)
        else:
            stability = stability_after_lesson(self.attempts, self.duration_ms)
            days, grade = DAYS_AFTER_LESSON[stability], stability
        after = State(stability, moment, moment, days)
        if state.remembered is None:
            days = days if by_fsrs is None else 1
            return {replace(after, days=days, remembered=None, is_about=by_fsrs is not None)}
        known = state.remembered
        possible = {
            known.after(between, state.stability, grade) for between in days_since(state, moment)
        }
        if by_fsrs is None:
            return {replace(after, remembered=remembered) for remembered in possible}
        return {
            replace(
                after, days=self.days(remembered, by_fsrs), remembered=remembered, is_about=True
            )
            for remembered in possible
        }

    def days(self, remembered: Remembered, player: str) -> int:
        """Days until the next review, by FSRS."""
        assert remembered.memory is not None
        return fsrs.days(remembered.memory, RETENTION, LONGEST_DAYS, player, self.question_id)

    def as_json(self) -> dict[str, Any]:
        """As the engine takes it."""
        if self.attempts is None:
            fields = {"is_correct": self.is_correct, "duration_ms": self.duration_ms}
        else:
            fields = {"attempts_count": self.attempts, "duration_ms": self.duration_ms}
        return {"question_id": self.question_id, **fields}


def days_since(state: State, moment: Moment) -> set[int]:
    """How many days after a state's last answer a moment can be; never answered: as if it were due
    today."""
    if state.answered is None:
        return {DAYS_AFTER_ANSWER.get(state.stability, 0)}
    earlier = (state.answered.earliest - SECOND, state.answered.latest + SECOND)
    later = (moment.earliest - SECOND, moment.latest + SECOND)
    return {max(0, int(two // DAY - one // DAY)) for one in earlier for two in later}


@dataclass
class Undoable:
    """An acknowledged submission: the states from before, and whether they were changed since."""

    before: dict[str, set[State]]
    changed: bool = False
    perhaps_changed: bool = False


class Ledger:
    """The ledger of one student; what other processes have written is read when it is asked for.

    Args:
        path: of its file.
        states: of the student's questions at the beginning.
        by_fsrs: the student, if FSRS makes the dates.
    """

    def __init__(self, path: Path, states: Mapping[str, State], by_fsrs: str | None = None) -> None:
        self.path: Final = path
        self.by_fsrs: Final = by_fsrs
        self.states: Final = {name: {state} for name, state in states.items()}
        self.acknowledged: Final[list[str]] = []
        # Submissions that may count: all but those that were refused permanently.
        self.begun = 0
        self.undoable: Final[dict[str, Undoable]] = {}
        # Submissions that are undone, and those that may be.
        self.undone: Final[set[str]] = set()
        self.perhaps_undone: Final[set[str]] = set()
        self._open: tuple[float, list[Given] | str] | None = None
        self._offset = 0

    def begin(self, now: float, given: Iterable[Given]) -> None:
        """A submission is about to be sent, at this true time."""
        self._write({"at": now, "given": [list(vars(answer).values()) for answer in given]})

    def begin_undo(self, now: float, job_id: str) -> None:
        """An acknowledged submission is about to be undone, at this true time."""
        self._write({"at": now, "undo": job_id})

    def end(self, moment: Moment, outcome: str, job_id: str = "") -> None:
        """It was acknowledged ("ack"), refused permanently ("refused"), or its outcome is unknown
        ("error").

        Args:
            moment: when, by the clock of the process that sent it, which need not be true.
            outcome: one of these.
            job_id: under which name the engine acknowledged it.
        """
        self._write(
            {"moment": [moment.earliest, moment.latest], "outcome": outcome, "job_id": job_id}
        )

    def read(self) -> None:
        """Catch up with what was written."""
        with self.path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._offset += len(line)
                self._take(json.loads(line))

    def settle(self, now: float, wrong_by: float = 0.0) -> None:
        """A submission that is still open will never have an ending: its process is dead.

        Args:
            now: the true time.
            wrong_by: how far the clock of the dead process may have been from it, in seconds.
        """
        if self._open is not None:
            self.end(Moment(self._open[0] - wrong_by, now + wrong_by), "error")
            self.read()

    def _take(self, line: dict[str, Any]) -> None:
        if "given" in line:
            self._open = (line["at"], [Given(*fields) for fields in line["given"]])
            return
        if "undo" in line:
            self._open = (line["at"], line["undo"])
            return
        assert self._open is not None, f"{self.path} has an ending without a beginning"
        (_, given), self._open = self._open, None
        if isinstance(given, str):
            self._take_undo(given, line)
            return
        if line["outcome"] == "refused":
            return
        self.begun += 1
        before = {name: set(states) for name, states in self.states.items()}
        for answer in given:
            self._apply(answer, Moment(*line["moment"]))
        names = {answer.question_id for answer in given}
        names |= {name.partition(":")[0] for name in names} & self.states.keys()
        is_sure = line["outcome"] == "ack"
        self._change(names, is_sure)
        if is_sure:
            self.acknowledged.append(line["job_id"])
            self.undoable[line["job_id"]] = Undoable({name: before[name] for name in names})
            return
        for name, states in before.items():
            self._add(name, states)

    def _take_undo(self, job_id: str, line: dict[str, Any]) -> None:
        # What was refused in the end may have been kept, and not count.
        self.begun += 1
        undone = self.undoable[job_id]
        if line["outcome"] == "refused" or job_id in self.undone:
            return
        is_sure = line["outcome"] == "ack"
        for name, states in undone.before.items():
            if is_sure and not undone.perhaps_changed:
                self.states[name] = set(states)
            elif not undone.changed:
                self._add(name, states)
        others = {job: other for job, other in self.undoable.items() if job != job_id}
        self._change(undone.before.keys(), is_sure, others)
        if is_sure:
            self.acknowledged.append(line["job_id"])
            self.undone.add(job_id)
        self.perhaps_undone.add(job_id)

    def _add(self, name: str, states: set[State]) -> None:
        self.states[name] |= states
        if len(self.states[name]) > MOST_STATES:
            self.states[name] = {self.any_of(state) for state in self.states[name]}

    def _change(
        self,
        names: Iterable[str],
        is_sure: bool,
        others: Mapping[str, Undoable] | None = None,
    ) -> None:
        for other in (self.undoable if others is None else others).values():
            if not other.before.keys().isdisjoint(names):
                other.changed |= is_sure
                other.perhaps_changed = True

    def _apply(self, answer: Given, moment: Moment) -> None:
        name = answer.question_id
        after = self.states[name] = set().union(
            *(answer.after(state, moment, self.by_fsrs) for state in self.states[name])
        )
        stage = name.partition(":")[0]
        if stage != name and stage in self.states:
            self.states[stage] = {
                self.moved(state, atom) for state in self.states[stage] for atom in after
            }

    def moved(self, stage: State, atom: State) -> State:
        """The state of a stage after an answer to one of its atoms."""
        moved = replace(stage, due_since=atom.due_since, days=atom.days, is_about=atom.is_about)
        is_any = self.by_fsrs is not None and atom.remembered is None
        return replace(moved, remembered=None) if is_any else moved

    def any_of(self, state: State) -> State:
        """A state whose memory is no longer compared."""
        if state.answered is None:
            return state
        days = state.days if self.by_fsrs is None else 1
        return replace(state, days=days, remembered=None)

    def _write(self, line: Mapping[str, Any]) -> None:
        # One write, so that a writer that is killed leaves whole lines.
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(file, json.dumps(line).encode() + b"\n")
        finally:
            os.close(file)
