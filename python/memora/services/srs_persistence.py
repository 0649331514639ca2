"""Acknowledged answers on their way from the journal or `memora_journal` to the records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypedDict

import frappe
from frappe import _

from memora._engine import ServiceUnavailable
from memora.services.administrators import alert_administrators
from memora.services.background import LONG_SECONDS, enqueue_now_or_never
from memora.services.counting import counted
from memora.services.engine import engine
from memora.services.outages import report_outages
from memora.services.scheduler import mend_schedule

if TYPE_CHECKING:
    from memora._engine import DrainReport, SubmitAnswer

DRAIN_JOB: Final = "memora.services.srs_persistence.persist_review_batch"
# Well under the 300 seconds that RQ gives a job of this queue.
QUEUE: Final = "short"
DRAIN_SECONDS: Final = 60.0
LOAD_JOB: Final = "memora.services.srs_persistence.load_recent_students"
LOAD_QUEUE: Final = "long"
# Of the time: readers do not notice it.
LOAD_SHARE: Final = 0.2


class Acknowledgement(TypedDict):
    """What the caller is told of answers that are durable. The counts have the keys "1" to "4"."""

    status: Literal["success"]
    processed: int
    persistence_job_id: str
    remaining_items: int
    new_stability_counts: dict[str, int]


def persist_review_batch() -> DrainReport | None:
    """Write what has gathered in the journal to MariaDB (background job).

    Returns: what was done; None when a server was down. Nothing is lost then, and the next drain
        goes on.
    """
    try:
        report = engine().drain(DRAIN_SECONDS)
    except ServiceUnavailable as error:
        frappe.logger("memora").error(f"answers wait in the journal: {error}")
        return None
    report_outages()
    # A drain that found nothing to take leaves what remains to whoever has taken it.
    if report["submissions"] and report["remaining"]:
        request_drain()
    if report["set_aside"]:
        alert_administrators(
            counted(
                report["set_aside"],
                _("1 review record could not be saved and was set aside"),
                _("{0} review records could not be saved and were set aside"),
            ),
            _("The list of Poison Reviews shows them and the reason, and can replay them."),
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
    who were renamed of late are given what came under their old names.
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
