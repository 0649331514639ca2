"""The arguments and the answers of students' calls.

For Frappe's methods (`memora.api.reviews`) and the door (`memora.wsgi`). Arguments are as a client
sends them; `frappe.throw` refuses those that cannot be used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Literal, TypedDict

from memora._engine import MemoraError
from memora.api.arguments import as_json, as_limit, as_submission_id, as_text
from memora.services.srs_persistence import Acknowledgement, acknowledgement

if TYPE_CHECKING:
    from memora._engine import DueAnswer, DueOnDay, Engine, SubmitAnswer
    from memora.services.question_cards import Wanted


class Forecast(TypedDict):
    """How many questions of a student are due on each day, the first of which is today."""

    days: list[DueOnDay]
    total: int
    overdue: int
    due_now: int
    is_degraded: bool
    season: str | None


class Submission(Acknowledgement):
    """The answer to a review session whose answers are durable."""

    xp_earned: int


class PersistenceStatus(TypedDict):
    """Whether a submission is in the database."""

    job_id: str
    status: Literal["pending", "persisted", "failed"]
    is_undone: bool


def as_wanted(subject: object = None, topic_id: object = None, limit: object = 20) -> Wanted:
    """The limit, subject and topic of get_review_session's arguments."""
    return as_limit(limit), as_text("subject", subject), as_text("topic_id", topic_id)


@dataclass(frozen=True)
class DueRead:
    """What is due for a student, as the door has read it.

    The door hands it to Frappe where Frappe must finish the call. Frappe's method must not read
    again: Safe Mode has room for one read of a student.
    """

    # As `Taken.ENVIRON`.
    ENVIRON: ClassVar = "memora.due"

    player: str
    wanted: Wanted
    answer: DueAnswer


@dataclass(frozen=True)
class Answers:
    """A submission, as the engine takes it."""

    session_data: str | None
    responses: str | None
    submission_id: str | None


def as_answers(
    header: str | None,
    session_data: object = None,
    responses: object = None,
    submission_id: object = None,
) -> Answers:
    """The submission of these arguments, and of the header Idempotency-Key."""
    data, listed = as_json("session_data", session_data), as_json("responses", responses)
    return Answers(data, listed, as_submission_id(submission_id, header))


class Taken:
    """A submission that the engine was asked to take, and the outcome.

    The door hands it to Frappe where Frappe must finish the call. Frappe's method must not ask the
    engine again: the same answers, if they have no key, would count twice.
    """

    # The key of a WSGI environment. No client can set it: headers are keys that begin with HTTP_.
    ENVIRON: Final = "memora.taken"

    def __init__(self, engine: Engine, player: str, answers: Answers) -> None:
        self.player: Final = player
        self.answers: Final = answers
        self._submitted: SubmitAnswer | None = None
        self._error: MemoraError | None = None
        try:
            self._submitted = engine.submit(
                player, answers.session_data, answers.responses, answers.submission_id
            )
        except MemoraError as error:
            self._error = error

    def is_acknowledged(self) -> bool:
        """Whether the answers are durable, as far as the engine knows."""
        return self._submitted is not None

    def result(self) -> SubmitAnswer:
        """What the engine returned.

        Raises:
            MemoraError: what it raised.
        """
        if self._submitted is None:
            raise self._error or MemoraError("a submission without an outcome")
        return self._submitted


def as_submission(submitted: SubmitAnswer) -> Submission:
    """The answer to a durable submission of a review session."""
    return {**acknowledgement(submitted), "xp_earned": submitted["xp_earned"]}


def persistence_status(engine: Engine, player: str, job_id: str) -> PersistenceStatus | None:
    """Whether a submission is in the database; None: the student has none with this job_id."""
    status = engine.persistence_status(player, job_id)
    if status is None:
        return None
    return {"job_id": job_id, "status": status, "is_undone": engine.is_undone(player, job_id)}
