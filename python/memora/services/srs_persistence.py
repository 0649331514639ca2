"""Acknowledged answers on their way from the journal or `memora_journal` to the records."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict, overload

import frappe
from frappe import _

from memora._engine import InvalidInput, ServiceUnavailable
from memora.services.administrators import alert_administrators
from memora.services.background import LONG_SECONDS, enqueue_now_or_never
from memora.services.counting import counted
from memora.services.engine import engine
from memora.services.errors import frappe_errors
from memora.services.outages import report_outages
from memora.services.scheduler import mend_schedule
from memora.services.site_time import unix_time

if TYPE_CHECKING:
    from memora._engine import DrainReport, SubmitAnswer

DRAIN_JOB: Final = "memora.services.srs_persistence.persist_review_batch"
# Well under the 300 seconds that RQ gives a job of this queue.
QUEUE: Final = "short"
DRAIN_SECONDS: Final = 60.0
# For a caller who waits.
DRAIN_NOW_SECONDS: Final = 5.0
LOAD_JOB: Final = "memora.services.srs_persistence.load_recent_students"
LOAD_QUEUE: Final = "long"
# Of the time: readers do not notice it.
LOAD_SHARE: Final = 0.2


STABILITIES: Final = ("0", "1", "2", "3", "4")

# As `memora._engine.Engine.set_states` takes one.
State = tuple[str, int, float, str | None, str | None]


class Acknowledgement(TypedDict):
    """What the caller is told of answers that are durable. The counts have the keys "1" to "4"."""

    status: Literal["success"]
    processed: int
    persistence_job_id: str
    remaining_items: int
    new_stability_counts: dict[str, int]


@overload
def persist_review_batch() -> DrainReport | None: ...


@overload
def persist_review_batch(
    responses: str | Sequence[Mapping[str, Any]], user: str, season: str
) -> int: ...


def persist_review_batch(
    responses: str | Sequence[Mapping[str, Any]] | None = None,
    user: str | None = None,
    season: str | None = None,
) -> DrainReport | int | None:
    """Write what has gathered in the journal to MariaDB, or these answers of a student.

    Without arguments it is the background job that drains the journal. With them it is for the
    site's own code, which has computed what the answers led to: see `persist_answers`.

    Returns: with arguments, how many were written; else what the drain did, None when a server was
        down. Nothing is lost then, and the next drain goes on.
    """
    if responses is None and user is None and season is None:
        return drain(DRAIN_SECONDS)
    return persist_answers(responses, user, season)


@frappe_errors(for_students=False)
def persist_answers(responses: object, user: object, season: object) -> int:
    """Write answers of a student whose new states the caller has computed.

    They go into the journal like every answer: once this returns they are durable, the next read
    shows them, and each counts exactly once, after all that the student had answered before. Then
    the journal is drained for some seconds at most. So they are in MariaDB as a rule; where it is
    busy, a minute later. What the caller's transaction has written is neither committed nor rolled
    back; if it has only read, it ends, so that it sees them.

    Args:
        responses: [{question_id, new_stability from 0 to 4, new_next_review_date, subject?,
            topic?}], perhaps as JSON. A date without a time zone is in the site's. Without a
            subject or topic, the question keeps its own. Of several of one question the last
            counts.
        user: a User.
        season: name of a season that is not archived, active or not.

    Returns: how many questions.

    Raises:
        frappe.ValidationError: an answer, the user or the season cannot be used; nothing was saved.
        ReviewsUnavailable: a server is down. Of more than 50 answers some may be saved: give all
        again, which changes nothing for them.
    """
    states = as_states(responses)
    if not isinstance(user, str) or not isinstance(season, str):
        raise InvalidInput("Nothing was saved: user and season are names.")
    count = engine().set_states(user, season, states) if states else 0
    if count:
        drain(DRAIN_NOW_SECONDS)
        if not frappe.db.transaction_writes:
            frappe.db.commit()
    return count


def as_states(responses: object) -> list[State]:
    """Answers as the engine takes them.

    Raises:
        InvalidInput: one cannot be used.
    """
    if isinstance(responses, str):
        try:
            responses = json.loads(responses)
        except (ValueError, RecursionError):
            raise InvalidInput("Nothing was saved: responses is no JSON.") from None
    if not isinstance(responses, list | tuple):
        raise InvalidInput("Nothing was saved: responses is a list of answers.")
    states = []
    for place, answer in enumerate(responses, start=1):
        try:
            states.append(as_state(answer))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else error
            raise InvalidInput(f"Nothing was saved: answer {place}: {reason}.") from error
    return states


def as_state(answer: Mapping[str, Any]) -> State:
    """One of them."""
    if not isinstance(answer, Mapping):
        raise TypeError("an answer is a mapping")
    question_id, stability = answer["question_id"], answer["new_stability"]
    if isinstance(question_id, int) and not isinstance(question_id, bool):
        question_id = str(question_id)
    if not isinstance(question_id, str):
        raise TypeError("question_id is text or a whole number")
    # Text, too, as forms send it; 1.5 and True are none.
    if isinstance(stability, bool) or str(stability) not in STABILITIES:
        raise ValueError("new_stability is a whole number from 0 to 4")
    date = answer["new_next_review_date"]
    if not isinstance(date, datetime | str | int | float) or isinstance(date, bool) or date == "":
        raise TypeError("new_next_review_date is a date")
    names = [answer.get(field) or None for field in ("subject", "topic")]
    if not all(name is None or isinstance(name, str) for name in names):
        raise TypeError("subject and topic are names")
    subject, topic = names
    return question_id, int(str(stability)), unix_time(date), subject, topic


def drain(seconds: float) -> DrainReport | None:
    """Write what has gathered in the journal, for so long at most; None when a server was down."""
    try:
        report = engine().drain(seconds)
    except ServiceUnavailable as error:
        frappe.logger("memora").error(f"answers wait in the journal: {error}")
        return None
    report_outages()
    # A drain that found nothing to take leaves what remains to the drain that has taken it.
    if report["submissions"] and report["remaining"]:
        request_drain()
    if report["set_aside"]:
        alert_administrators(
            lambda: (
                counted(
                    report["set_aside"],
                    _("1 review record could not be saved and was set aside"),
                    _("{0} review records could not be saved and were set aside"),
                ),
                _("The list of Poison Reviews shows them and the reason, and can replay them."),
            ),
            link="/app/poison-review",
        )
    return report


def acknowledge(submitted: SubmitAnswer) -> Acknowledgement:
    """What the caller is told of a durable submission; queues the drain where one is wanted."""
    if submitted["drain_wanted"]:
        request_drain()
    return {
        "status": "success",
        "processed": submitted["processed"],
        "persistence_job_id": submitted["persistence_job_id"],
        "remaining_items": submitted["remaining_items"],
        "new_stability_counts": submitted["new_stability_counts"],
    }


def request_drain() -> None:
    """Queue the drain job. If the queue is down, the safety net drains within a minute.

    The engine asks for one job at a time, so the job has no id of its own. With Frappe's
    `deduplicate` a request that comes while a drain is ending would be dropped, and its answers
    would wait.
    """
    enqueue_now_or_never(DRAIN_JOB, QUEUE)


def drain_overdue() -> None:
    """Do what the scheduler did not do, and wake its resting jobs (background job)."""
    persist_review_batch()
    mend_schedule()


def drain_safety_net() -> None:
    """Drain what is left in the journal, whatever became of the jobs for it (every minute).

    So what was saved lately is let go of, or saved again, where nobody answers any more. Students
    who were renamed lately are given what came under their old names.
    """
    journal = engine().journal_status()
    if journal["backlog"] or journal["saved_lately"]:
        persist_review_batch()
    try:
        engine().carry_renamed()
    except ServiceUnavailable as error:
        frappe.logger("memora").error(f"answers under old names wait: {error}")


def watch_cache() -> None:
    """Have the students of the last day loaded again once the cache was emptied (every minute)."""
    try:
        was_emptied = engine().check_cache()
    except ServiceUnavailable as error:
        frappe.logger("memora").info(f"it is not known whether the cache was emptied: {error}")
        return
    if was_emptied:
        enqueue_now_or_never(LOAD_JOB, LOAD_QUEUE, timeout=LONG_SECONDS)


def load_recent_students() -> None:
    """Cache the schedules of those who answered in the last day (background job)."""
    try:
        count = engine().load_recent_students(LOAD_SHARE)
    except ServiceUnavailable as error:
        frappe.logger("memora").error(f"students are left to their first reads: {error}")
        return
    if count:
        frappe.logger("memora").info(
            f"the cache had been emptied: {count:,} students were loaded again"
        )
