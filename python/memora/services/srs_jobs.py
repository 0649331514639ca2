"""SRS Jobs: what is done to a season as a whole, from its request to its end, for administrators to see.

The engine does the work and lets one process at a time do it; here is what is told of it. A job whose process
was killed cannot say so: nobody holds the engine's lock for it then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final, Literal, TypeVar

import frappe
from frappe import _
from frappe.utils import now_datetime
from frappe.utils.background_jobs import is_job_enqueued
from frappe.utils.synchronization import filelock

from memora._engine import InvalidInput, MemoraError
from memora.services.background import LONG_SECONDS, queue_answers
from memora.services.engine import engine
from memora.services.partition_manager import SEASON

JOB: Final = "SRS Job"
# What forms and the SRS Monitor listen to.
EVENT: Final = "memora_job"
ROOM: Final = f"doctype:{JOB}"
NEWS_SECONDS: Final = 0.5
# A process that was not heard of for so long, and does not hold the lock, is dead.
SILENT_SECONDS: Final = 60

# Of done and total records, and what else the engine tells.
News = TypeVar("News", bound=Mapping[str, Any])
Kind = Literal["Rebuild", "Reconciliation", "Archive"]
CANCELLABLE: Final = ("Rebuild", "Reconciliation")
FIELDS: Final = (
    "name", "kind", "season", "status", "requested_by", "started_at", "finished_at", "done", "total",
    "message", "modified", "cancel_requested",
)  # fmt: skip
FOUND: Final = (
    "sample_size", "students", "records", "missing", "ghost", "wrong_date", "wrong_state", "half_filled",
    "corrected", "unsettled", "void", "offered", "percent_differing", "percent_low", "percent_high",
)  # fmt: skip


class JobCancelled(Exception):
    """An administrator has cancelled the job."""


class Work:
    """A job that runs: what it tells of itself, and to whom it listens."""

    def __init__(self, name: str) -> None:
        self.name: Final = name
        self.next_news = 0.0

    def tell(self, done: int, total: int) -> None:
        """Tell how far it is, twice a second; cheap otherwise.

        Raises:
            JobCancelled: it shall end.
        """
        if time.monotonic() < self.next_news:
            return
        self.next_news = time.monotonic() + NEWS_SECONDS
        try:
            self._save(done=done, total=total)
            cancelled = frappe.db.get_value(JOB, self.name, "cancel_requested")
        except Exception as error:
            # The work itself goes on.
            frappe.logger("memora").warning(f"nobody could be told of SRS Job {self.name}: {error}")
            return
        publish(self.name)
        if cancelled:
            raise JobCancelled

    def telling(self, progress: Callable[[News], object] | None) -> Callable[[News], None]:
        """What the engine is to call after each piece of work: it tells here, and `progress`."""

        def tell(news: News) -> None:
            self.tell(news["done"], news["total"])
            if progress:
                progress(news)

        return tell

    def begin(self) -> None:
        """Note the start, unless it was cancelled while it waited.

        Raises:
            JobCancelled: so it was.
        """
        if frappe.db.get_value(JOB, self.name, "cancel_requested"):
            raise JobCancelled
        self._save(status="Running", started_at=now_datetime())
        publish(self.name)

    def end(self, status: str, message: str, **found: Any) -> None:
        """Note the end, and what was found."""
        self._save(status=status, message=message, finished_at=now_datetime(), **found)
        publish(self.name)

    def _save(self, **values: Any) -> None:
        frappe.db.set_value(JOB, self.name, values)
        frappe.db.commit()


@contextmanager
def at_work(kind: Kind, season: str, name: str | None = None, **values: Any) -> Iterator[Work]:
    """Do a job: what happens in the body is told in its SRS Job. Commits.

    The body calls `Work.tell`, and `Work.end` with status "Done" at its end.

    Args:
        kind: what it is.
        season: of which season.
        name: the SRS Job, where it was requested; else a new one is made.
        values: more fields of a new one.

    Raises:
        JobCancelled: an administrator has cancelled it.
        memora._engine.MemoraError: it failed; so it is told, too.
    """
    work = Work(name or new_job(kind, season, **values))
    try:
        work.begin()
        yield work
    except (JobCancelled, KeyboardInterrupt):
        work.end("Cancelled", _("It was cancelled. What was done until then stays."))
        raise
    except MemoraError as error:
        work.end("Failed", str(error))
        raise
    except BaseException as error:
        work.end("Interrupted", f"{type(error).__name__}: {error}")
        raise


def new_job(kind: Kind, season: str, **values: Any) -> str:
    """Note that a job is wanted. Commits. Returns the SRS Job's name.

    Raises:
        memora._engine.InvalidInput: there is no such season.
    """
    if not frappe.db.exists(SEASON, season):
        raise InvalidInput(f"There is no season {season}.")
    job = {"doctype": JOB, "kind": kind, "season": season, "status": "Queued", **values}
    name = frappe.get_doc(job).insert(ignore_permissions=True).name
    frappe.db.commit()
    return str(name)


def request_job(kind: Kind, season: str, method: str, **values: Any) -> str | None:
    """Queue a job, unless it is queued or running already.

    Args:
        kind: what it is.
        season: of which season.
        method: takes `season` and `job`.
        values: more fields of the SRS Job.

    Returns: the SRS Job's name; None when the queue of background jobs is down.
    """
    if not queue_answers():
        return None
    # Of two who ask at once, one waits, and finds the other's job.
    with filelock(f"memora-{kind}-{season}"):
        # What others have committed since this transaction began.
        frappe.db.commit()
        for status in ("Running", "Queued"):
            known = frappe.db.get_value(JOB, {"kind": kind, "season": season, "status": status})
            if known and (is_queued(known) if status == "Queued" else engine().is_running(kind, season)):
                return str(known)
        name = new_job(kind, season, requested_by=frappe.session.user, **values)
        frappe.enqueue(
            method, queue="long", timeout=LONG_SECONDS, job_id=_rq_job(name), season=season, job=name
        )
    publish(name)
    return name


def is_queued(name: str) -> bool:
    """Whether a job still waits for a worker; a queue that was purged, or lost its memory, forgot it."""
    return bool(is_job_enqueued(_rq_job(name)))


def _rq_job(name: str) -> str:
    return f"memora_{name}"


def cancel(name: str) -> None:
    """Have a job end at the next safe place; one that waits never begins. Commits."""
    frappe.db.set_value(JOB, name, "cancel_requested", 1)
    if frappe.db.get_value(JOB, name, "status") == "Queued":
        now = now_datetime()
        frappe.db.set_value(JOB, name, {"status": "Cancelled", "finished_at": now})
    frappe.db.commit()
    publish(name)


def get_job(name: str, with_findings: bool = True) -> dict[str, Any]:
    """A job as administrators see it: its fields, and `percent`."""
    fields = [*FIELDS, *(FOUND if with_findings else ())]
    return _shown(dict(zip(fields, frappe.db.get_value(JOB, name, fields), strict=True)))


def latest_jobs(most: int, **filters: Any) -> list[dict[str, Any]]:
    """The jobs that were requested last, newest first."""
    rows = frappe.get_all(
        JOB, filters=filters, fields=[*FIELDS, *FOUND], order_by="creation desc", limit=most
    )
    return [_shown(dict(row)) for row in rows]


def mark_interrupted() -> None:
    """Note which jobs' processes are dead (hourly)."""
    for job in frappe.get_all(JOB, filters={"status": "Running"}, fields=list(FIELDS)):
        if _is_dead(job):
            frappe.db.set_value(JOB, job["name"], {"status": "Interrupted", "finished_at": job["modified"]})
    lately = now_datetime() - timedelta(seconds=SILENT_SECONDS)
    waiting = frappe.get_all(JOB, filters={"status": "Queued", "modified": ("<", lately)}, pluck="name")
    if waiting and queue_answers():
        for name in waiting:
            if not is_queued(name):
                frappe.db.set_value(JOB, name, "status", "Interrupted")
    frappe.db.commit()


def publish(name: str) -> None:
    """Tell those who look on. Who cannot be told asks: the work goes on."""
    try:
        frappe.publish_realtime(EVENT, get_job(name, with_findings=False), room=ROOM)
    except Exception as error:
        frappe.logger("memora").warning(f"news of SRS Job {name} could not be published: {error}")


def _shown(job: dict[str, Any]) -> dict[str, Any]:
    if job["status"] == "Running" and _is_dead(job):
        job["status"] = "Interrupted"
    is_done = job["status"] == "Done"
    job["percent"] = 100.0 if is_done else round(min(100.0, 100.0 * job["done"] / max(job["total"], 1)), 1)
    for field in ("started_at", "finished_at", "modified"):
        job[field] = job[field] and str(job[field])
    return job


def _is_dead(job: dict[str, Any]) -> bool:
    is_silent = job["modified"] < now_datetime() - timedelta(seconds=SILENT_SECONDS)
    return is_silent and not engine().is_running(job["kind"], job["season"])
