"""A student's review sessions.

The player is always the session's user. Annotations are not evaluated here, so Frappe does not
check arguments by type: `memora.api.arguments` does, with messages for students.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

import frappe
from frappe import _

from memora._engine import OutcomeUnknown, ServiceUnavailable
from memora.api.arguments import (
    as_days,
    as_limit,
    as_player,
    as_question_id,
    as_required_text,
    as_text,
)
from memora.api.student_calls import (
    Answers,
    DueRead,
    Forecast,
    PersistenceStatus,
    Submission,
    Taken,
    as_answers,
    as_submission,
    as_wanted,
    persistence_status,
)
from memora.services.engine import engine
from memora.services.errors import ReviewsUnavailable, frappe_errors, throw
from memora.services.question_cards import DueCards, due_cards, load_cards, with_cards
from memora.services.srs_persistence import follow_up

if TYPE_CHECKING:
    from memora._engine import DueAnswer, SubmitAnswer, SuspendedQuestion
    from memora.services.question_cards import Wanted


class NoForecast(Forecast):
    """The forecast while no season is active: nothing is due, and a message for the student."""

    message: str


class NoReviewSession(DueCards):
    """The session while no season is active: no questions, and a message for the student."""

    message: str


class Suspension(TypedDict):
    """A question of the student, and whether it is asked."""

    question_id: str
    is_suspended: bool


class SuspendedQuestions(TypedDict):
    """All questions that the student has suspended."""

    questions: list[SuspendedQuestion]


@frappe.whitelist(methods=["GET", "POST"])
@frappe_errors()
def get_review_session(
    subject: str | None = None, topic_id: str | None = None, limit: int | str = 20
) -> DueCards | NoReviewSession:
    """The student's due questions, most overdue first.

    Args:
        subject: only questions of this Game Subject.
        topic_id: focus mode: only questions of this Game Topic. The topic's size, not the limit,
            decides how many.
        limit: at most this many questions, 1 to 50.

    Returns: questions, total_due (also past the limit), is_degraded (Safe Mode: at most 10
        questions), season; and message when no season is active.

    Raises:
        frappe.ValidationError: there is no such subject or topic (`error_code` says which of the
            two), or limit is out of range.
        frappe.TooManyRequestsError: Safe Mode has no room; `retry_after` is in seconds.
        ReviewsUnavailable: neither the cache nor MariaDB can be read.
    """
    player, wanted = as_player(frappe.session.user), as_wanted(subject, topic_id, limit)
    due = due_cards(engine(), load_cards, player, wanted, _due_read(player, wanted))
    if due["season"] is not None:
        return due
    return {**due, "message": nothing_to_review()}


def _due_read(player: str, wanted: Wanted) -> DueAnswer | None:
    """What the door has read for these arguments, if this request came through it."""
    read: DueRead | None = _of_door(DueRead.ENVIRON)
    if read is None or (read.player, read.wanted) != (player, wanted):
        return None
    return read.answer


def _of_door(name: str) -> Any:
    """What the door hands over with this request under a name; None without it."""
    environ = getattr(getattr(frappe.local, "request", None), "environ", None)
    return environ.get(name) if environ else None


@frappe.whitelist(methods=["GET", "POST"])
@frappe_errors()
def get_forecast(days: int | str = 30) -> Forecast | NoForecast:
    """How many of the student's questions are due on each of the next days.

    Args:
        days: 1 to 365 days of the site's time zone; the first is today.

    Returns: days [{date: YYYY-MM-DD, due}], total of all of them; overdue: due since an earlier
        day, and part of today's; due_now: the overdue ones and today's until now, as total_due of
        get_review_session; is_degraded: the last answers may be missing; season; and message when
        no season is active.

    Raises:
        frappe.ValidationError: days is out of range.
        ReviewsUnavailable: a server is down, or the cache is in Safe Mode.
    """
    player, wanted = as_player(frappe.session.user), as_days(days)
    try:
        forecast: Forecast = engine().forecast(player, wanted)
    except ServiceUnavailable as error:
        frappe.flags.disable_traceback = True
        frappe.logger("memora").error(f"no forecast for {player}: {error}")
        message = _("Your forecast is not available right now. Please try again in a minute.")
        throw(message, ReviewsUnavailable)
    if forecast["season"] is not None:
        return forecast
    return {**forecast, "message": nothing_to_review()}


def nothing_to_review() -> str:
    """The message for students when no season is active."""
    return str(_("No season is active at the moment, so there is nothing to review."))


@frappe.whitelist(methods=["POST"])
@frappe_errors()
def submit_review_session(
    session_data: str | dict[str, Any] | None = None,
    responses: str | list[Any] | None = None,
    submission_id: str | int | None = None,
) -> Submission:
    """Take the answers of a review session: exactly one of the two forms, at most 50 answers.

    Args:
        session_data: {answers: [{question_id, is_correct, time_spent_ms | duration_ms,
            answered_at}], session_meta: {subject, topic}, total_combo, completion_time_ms}.
        responses: [{question_id, quality, response_time_ms, answered_at}], quality 0 to 5, right
            from 3 on. In both forms, answered_at is the time in UTC by the device's clock, ISO 8601
            or Unix seconds, at most 2 minutes ahead and 30 days ago; by default, now.
        submission_id: the client's own name for this submission, at most 64 characters; by default
            the header Idempotency-Key. A submission that is sent again within 30 days is answered
            as the first time, and counts once.

    Returns: status, processed, xp_earned, persistence_job_id, remaining_items,
        new_stability_counts; leeches: the ids of questions that reached srs_leech_lapses wrong
        answers with it. By then the answers are durable, and the next read shows them.

    Raises:
        frappe.ValidationError: the input or the season cannot be used; nothing was saved.
        ReviewsUnavailable: a server is down; the message says if the answers may have been saved.
    """
    player = as_player(frappe.session.user)
    request = getattr(frappe.local, "request", None)
    header = frappe.get_request_header("Idempotency-Key") if request else None
    answers = as_answers(header, session_data, responses, submission_id)
    submitted = _submit(player, answers)
    follow_up(submitted, player)
    return as_submission(submitted)


def _submit(player: str, answers: Answers) -> SubmitAnswer:
    """Ask the engine to take answers, unless the door has asked it already for this request."""
    taken: Taken | None = _of_door(Taken.ENVIRON)
    if taken is None:
        return Taken(engine(), player, answers).result()
    if (taken.player, taken.answers) != (player, answers):
        # A session never changes its user, so this is a defect.
        raise OutcomeUnknown("the door took other answers for this request")
    return taken.result()


@frappe.whitelist(methods=["GET", "POST"])
@frappe_errors()
def get_persistence_status(job_id: str | None = None) -> PersistenceStatus:
    """Whether a submission of the student is in the database.

    Args:
        job_id: the persistence_job_id that submit_review_session returned.

    Returns: job_id; status: pending, persisted or failed (administrators were notified);
        is_undone: the student has undone it.

    Raises:
        frappe.ValidationError: the job_id is missing.
        frappe.DoesNotExistError: no submission of this student has it.
    """
    player = as_player(frappe.session.user)
    job_id = as_required_text("job_id", job_id)
    status = persistence_status(engine(), player, job_id)
    if status is None:
        throw(_("You have no such review session."), frappe.DoesNotExistError)
    return status


@frappe.whitelist(methods=["POST"])
@frappe_errors()
def suspend_question(question_id: str | int | None = None) -> Suspension:
    """Suspend a question of the student: once this returns, it is not due until it is resumed.

    It is suspended in all seasons. Its record stays, and answers to it count. A question that is
    suspended already stays so.

    Args:
        question_id: a question that the student has in the active season.

    Returns: question_id, and is_suspended: True.

    Raises:
        frappe.ValidationError: the student has no such question, or no season is active.
    """
    player = as_player(frappe.session.user)
    question_id = as_question_id("question_id", question_id)
    engine().suspend_question(player, question_id)
    return {"question_id": question_id, "is_suspended": True}


@frappe.whitelist(methods=["POST"])
@frappe_errors()
def resume_question(question_id: str | int | None = None) -> Suspension:
    """Resume a question that the student has suspended: it is due when it was due before.

    A question that is not suspended stays so.

    Args:
        question_id: the question.

    Returns: question_id, and is_suspended: False.
    """
    player = as_player(frappe.session.user)
    question_id = as_question_id("question_id", question_id)
    engine().resume_question(player, question_id)
    return {"question_id": question_id, "is_suspended": False}


@frappe.whitelist(methods=["GET", "POST"])
@frappe_errors()
def get_suspended_questions() -> SuspendedQuestions:
    """The questions that the student has suspended, in the order of their ids.

    Returns: questions [{question_id, suspended_at}].
    """
    return {"questions": engine().suspended_questions(as_player(frappe.session.user))}


@frappe_errors()
def get_reviews_safe_mode(
    user: str, season: str, limit: int | str = 10, subject: str | None = None
) -> list[dict[str, Any]]:
    """The questions that a read in Safe Mode would show, most overdue first: at most 10.

    For the site's own code: it cannot be called over HTTP. It reads MariaDB even while the cache
    works, and does not count as a read of Safe Mode:
    `memora.api.utils.SafeModeManager.check_rate_limit` says whether there is room for one.

    Args:
        user: the student, a User.
        season: name of a season, active or not.
        limit: at most this many questions, 1 to 50; more than 10 are never returned.
        subject: only questions of this Game Subject.
    """
    player, wanted = as_player(user), as_text("subject", subject)
    found = engine().due_as_in_safe_mode(
        player, as_required_text("season", season), as_limit(limit), wanted
    )
    due, _retired = with_cards(found, player, load_cards)
    return due["questions"]
