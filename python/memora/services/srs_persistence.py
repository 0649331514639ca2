"""Writes acknowledged answers from the journal or `memora_journal` to the records."""

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
from memora.services.ladders import MOST_RUNGS
from memora.services.leeches import report_leeches
from memora.services.outages import report_outages
from memora.services.scheduler import mend_schedule
from memora.services.site_time import unix_time

if TYPE_CHECKING:
    from memora._engine import DrainReport, SubmitAnswer

DRAIN_JOB: Final = "memora.services.srs_persistence.persist_review_batch"
# Well under the 300 seconds that RQ allows a job of this queue.
QUEUE: Final = "short"
DRAIN_SECONDS: Final = 60.0
# For a caller that waits.
DRAIN_NOW_SECONDS: Final = 5.0
LOAD_JOB: Final = "memora.services.srs_persistence.load_recent_students"
LOAD_QUEUE: Final = "long"
# The share of the time in which a warm-up works; readers do not notice it.
LOAD_SHARE: Final = 0.2


# The engine refuses what the season's ladders have no rung for.
STABILITIES: Final = tuple(map(str, range(MOST_RUNGS + 1)))

# A state for `memora._engine.Engine.set_states`.
State = tuple[str, int, float, str | None, str | None]


class Acknowledgement(TypedDict):
    """What a caller gets once answers are durable.

    `new_stability_counts` has a key for each rung: "1" to "4", or up to "6". `leeches`: the ids of
    questions that reached srs_leech_lapses wrong answers with this submission.
    """

    status: Literal["success"]
    processed: int
    persistence_job_id: str
    remaining_items: int
    new_stability_counts: dict[str, int]
    leeches: list[str]


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
    """Write what waits in the journal to MariaDB, or these answers of a student.

    Without arguments it is the background job that drains the journal. With arguments it is for the
    site's own code, which has computed the new states: see `persist_answers`.

    Returns: with arguments, how many questions; otherwise what the drain did, or None if a server
        was down. Nothing is lost then, and the next drain continues.
    """
    if responses is None and user is None and season is None:
        return drain(DRAIN_SECONDS)
    return persist_answers(responses, user, season)


@frappe_errors(for_students=False)
def persist_answers(responses: object, user: object, season: object) -> int:
    """Write a student's answers whose new states the caller has computed.

    They enter the journal like every answer: once this returns they are durable, the next read
    shows them, and each counts exactly once, after all earlier answers of the student. Then the
    journal is drained for five seconds at most, so they are usually in MariaDB at once; if it is
    busy, a minute later. The caller's writes are neither committed nor rolled back; a transaction
    that has only read ends, so that the caller sees the answers.

    Args:
        responses: [{question_id, new_stability from 0 to the highest rung of the season's ladders
            (4), new_next_review_date, subject?, topic?}], perhaps as JSON. A date without a time
            zone is in the site's. Without a subject or topic, the question keeps its own. Of
            several answers to one question the last counts.
        user: a User.
        season: name of a season that is not archived, active or not.

    Returns: how many questions.

    Raises:
        frappe.ValidationError: an answer, the user or the season cannot be used; nothing was saved.
        ReviewsUnavailable: a server is down. Of more than 50 answers some may be saved: send all
        again, which changes nothing for those.
    """
    states = as_states(responses)
    if not isinstance(user, str) or not isinstance(season, str):
        raise InvalidInput("Nothing was saved: user and season must be names.")
    count = engine().set_states(user, season, states) if states else 0
    if count:
        drain(DRAIN_NOW_SECONDS)
        if not frappe.db.transaction_writes:
            frappe.db.commit()
    return count


def as_states(responses: object) -> list[State]:
    """Convert answers for the engine.

    Raises:
        InvalidInput: an answer cannot be used.
    """
    if isinstance(responses, str):
        try:
            responses = json.loads(responses)
        except (ValueError, RecursionError):
            raise InvalidInput("Nothing was saved: responses is not JSON.") from None
    if not isinstance(responses, list | tuple):
        raise InvalidInput("Nothing was saved: responses must be a list of answers.")
    states = []
    for place, answer in enumerate(responses, start=1):
        try:
            states.append(as_state(answer))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else error
            raise InvalidInput(f"Nothing was saved: answer {place}: {reason}.") from error
    return states


def as_state(answer: Mapping[str, Any]) -> State:
    """Convert one answer. Raises KeyError, TypeError, ValueError or OverflowError."""
    if not isinstance(answer, Mapping):
        raise TypeError("an answer must be a mapping")
    question_id, stability = answer["question_id"], answer["new_stability"]
    if isinstance(question_id, int) and not isinstance(question_id, bool):
        question_id = str(question_id)
    if not isinstance(question_id, str):
        raise TypeError("question_id must be text or a whole number")
    # Forms send text. 1.5 and True are refused.
    if isinstance(stability, bool) or str(stability) not in STABILITIES:
        raise ValueError(f"new_stability must be a whole number from 0 to {MOST_RUNGS}")
    date = answer["new_next_review_date"]
    if not isinstance(date, datetime | str | int | float) or isinstance(date, bool) or date == "":
        raise TypeError("new_next_review_date must be a date")
    names = [answer.get(field) or None for field in ("subject", "topic")]
    if not all(name is None or isinstance(name, str) for name in names):
        raise TypeError("subject and topic must be names")
    subject, topic = names
    return question_id, int(str(stability)), unix_time(date), subject, topic


def drain(seconds: float) -> DrainReport | None:
    """Write what waits in the journal, for about this many seconds; None if a server was down."""
    try:
        report = engine().drain(seconds)
    except ServiceUnavailable as error:
        frappe.logger("memora").error(f"answers wait in the journal: {error}")
        return None
    report_outages()
    # Another drain has taken what remains.
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


def follow_up(submitted: SubmitAnswer, player: str) -> None:
    """Queue the jobs that follow a durable submission: a drain if wanted, and news of leeches."""
    if submitted["drain_wanted"]:
        request_drain()
    report_leeches(submitted, player)


def acknowledgement(submitted: SubmitAnswer) -> Acknowledgement:
    """The answer to a durable submission."""
    return {
        "status": "success",
        "processed": submitted["processed"],
        "persistence_job_id": submitted["persistence_job_id"],
        "remaining_items": submitted["remaining_items"],
        "new_stability_counts": submitted["new_stability_counts"],
        "leeches": submitted["leeches"],
    }


def request_drain() -> None:
    """Queue the drain job. If the queue is down, the safety net drains within a minute.

    The engine asks for one job at a time, so the job needs no id. Frappe's `deduplicate` would drop
    a request that arrives while a drain is ending, and its answers would wait.
    """
    enqueue_now_or_never(DRAIN_JOB, QUEUE)


def drain_overdue() -> None:
    """Do the work that the scheduler missed, and wake its resting jobs (background job)."""
    persist_review_batch()
    mend_schedule()


def drain_safety_net() -> None:
    """Drain what is left in the journal, even if its jobs were lost (every minute).

    When no student answers any more, this also removes lately saved answers from the journal, or
    saves them again. Renamed students get the answers that arrived under their old names.
    """
    journal = engine().journal_status()
    if journal["backlog"] or journal["saved_lately"]:
        persist_review_batch()
    try:
        engine().carry_renamed()
    except ServiceUnavailable as error:
        frappe.logger("memora").error(f"answers under old names wait: {error}")


def watch_cache() -> None:
    """Load the students of the last day again after the cache was emptied (every minute)."""
    try:
        was_emptied = engine().check_cache()
    except ServiceUnavailable as error:
        frappe.logger("memora").info(f"cannot check whether the cache was emptied: {error}")
        return
    if was_emptied:
        enqueue_now_or_never(LOAD_JOB, LOAD_QUEUE, timeout=LONG_SECONDS)


def load_recent_students() -> None:
    """Cache the schedules of the students who answered in the last day (background job)."""
    try:
        count = engine().load_recent_students(LOAD_SHARE)
    except ServiceUnavailable as error:
        frappe.logger("memora").error(f"students are loaded at their first reads: {error}")
        return
    if count:
        frappe.logger("memora").info(
            f"the cache had been emptied: {count:,} students were loaded again"
        )
