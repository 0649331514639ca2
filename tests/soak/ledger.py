"""What a student was told, written down before and after each submission, and what the table may
then have.

The ledger is a file that outlives its writer. A submission that was begun but has no ending, or
ended in an error, may count or not; an acknowledged one counts, in its order. One that is undone
gives its questions the states from before. From that follow the possible states of each question,
by the rules in `tests.support.expectation`.
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

from tests.support.expectation import (
    DAYS_AFTER_ANSWER,
    DAYS_AFTER_LESSON,
    stability_after_answer,
    stability_after_lesson,
)

DAY: Final = 86400
# Clocks are read before and after a call, states are dated in whole seconds.
SECOND: Final = 1.0
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
class State:
    """A possible state of a question: last answered at one time, due days after another."""

    stability: int
    answered: Moment | None
    due_since: Moment
    days: int

    def may_be_due(self, now: float) -> bool:
        """Whether it can be due at this time."""
        return self.due_since.earliest + self.days * DAY - SECOND <= now

    def must_be_due(self, now: float) -> bool:
        """Whether it is due at this time in any case."""
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
        due = unix(row["next_review_date"])
        if not self.due_since.has(due - self.days * DAY):
            return False
        if self.answered is None:
            return True
        last = unix(row["last_review_date"])
        # If the answer itself set the date, it is exactly this many days later, to the second.
        return self.answered.has(last) and (
            self.due_since != self.answered or due == int(last) + self.days * DAY
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

    def after(self, state: State, moment: Moment) -> State:
        """The state after this answer."""
        if self.attempts is None:
            stability = stability_after_answer(state.stability, self.is_correct, self.duration_ms)
            return State(stability, moment, moment, DAYS_AFTER_ANSWER[stability])
        stability = stability_after_lesson(self.attempts, self.duration_ms)
        return State(stability, moment, moment, DAYS_AFTER_LESSON[stability])

    def as_json(self) -> dict[str, Any]:
        """As the engine takes it."""
        if self.attempts is None:
            fields = {"is_correct": self.is_correct, "duration_ms": self.duration_ms}
        else:
            fields = {"attempts_count": self.attempts, "duration_ms": self.duration_ms}
        return {"question_id": self.question_id, **fields}


@dataclass
class Undoable:
    """An acknowledged submission: the states from before, and whether they were changed since."""

    before: dict[str, set[State]]
    changed: bool = False
    perhaps_changed: bool = False


class Ledger:
    """The ledger of one student; what other processes have written is read when it is asked for."""

    def __init__(self, path: Path, states: Mapping[str, State]) -> None:
        self.path: Final = path
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
            self.states[name] |= states

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
                self.states[name] |= states
        others = {job: other for job, other in self.undoable.items() if job != job_id}
        self._change(undone.before.keys(), is_sure, others)
        if is_sure:
            self.acknowledged.append(line["job_id"])
            self.undone.add(job_id)
        self.perhaps_undone.add(job_id)

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
        after = self.states[name] = {answer.after(state, moment) for state in self.states[name]}
        stage = name.partition(":")[0]
        if stage != name and stage in self.states:
            self.states[stage] = {
                replace(state, due_since=atom.due_since, days=atom.days)
                for state in self.states[stage]
                for atom in after
            }

    def _write(self, line: Mapping[str, Any]) -> None:
        # One write, so that a writer that is killed leaves whole lines.
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(file, json.dumps(line).encode() + b"\n")
        finally:
            os.close(file)
