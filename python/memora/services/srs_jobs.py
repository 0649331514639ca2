"""SRS Jobs: work on a whole season, from request to end, for administrators to see.

The engine does the work, in one process at a time; this module reports on it. A process that was
killed cannot report that: no process holds the engine's lock for its job then, but RQ says for
hours that the job has started. Within two minutes a job that must finish is queued again; any other
is marked as interrupted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any, Final, Literal, TypedDict, TypeVar, cast

import frappe
from frappe import _
from frappe.translate import get_user_lang, print_language
from frappe.utils import now_datetime
from frappe.utils.background_jobs import get_job as get_rq_job
from frappe.utils.synchronization import filelock

from memora._engine import InvalidInput, MemoraError, SeasonUnavailable
from memora.services.background import LONG_SECONDS, queue_answers
from memora.services.engine import engine
from memora.services.partition_manager import SEASON

JOB: Final = "SRS Job"
# The event that forms and the SRS Monitor listen to.
EVENT: Final = "memora_job"
ROOM: Final = f"doctype:{JOB}"
NEWS_SECONDS: Final = 0.5
# A process that was silent for this long, and does not hold the lock, is dead.
SILENT_SECONDS: Final = 60

# Called with done and total records, and what else the engine reports.
Progress = TypeVar("Progress", bound=Mapping[str, Any])
Kind = Literal[
    "Rebuild",
    "Reconciliation",
    "Archive",
    "Deletion",
    "Replay",
    "Training",
    "Demo Data",
    "Demo Data Removal",
]
Status = Literal["Queued", "Running", "Done", "Cancelled", "Failed", "Interrupted"]
CANCELLABLE: Final = (
    "Rebuild",
    "Reconciliation",
    "Deletion",
    "Replay",
    "Training",
    "Demo Data",
    "Demo Data Removal",
)
# The engine has no lock for these kinds: a job runs as long as it reports.
WITHOUT_LOCK: Final = ("Demo Data", "Demo Data Removal")
# Jobs that must finish even if processes are killed, and their background jobs.
CONTINUED: Final = {
    "Archive": "memora.services.srs_archiver.archive_in_background",
    "Deletion": "memora.services.srs_archiver.delete_in_background",
}
UNFINISHED: Final = ("in", ("Queued", "Running"))


class Course(TypedDict):
    """The course of an SRS Job; times are text in the site's time zone."""

    name: str
    kind: Kind
    season: str | None
    status: Status
    requested_by: str | None
    started_at: str | None
    finished_at: str | None
    done: int
    total: int
    message: str | None
    modified: str
    cancel_requested: int


class Findings(TypedDict, total=False):
    """The result of a reconciliation: see `memora._engine.Reconciliation`."""

    sample_size: int
    students: int
    records: int
    missing: int
    ghost: int
    wrong_date: int
    wrong_state: int
    half_filled: int
    corrected: int
    unsettled: int
    void: int
    offered: int
    percent_differing: float
    percent_low: float
    percent_high: float


class Job(Course, Findings):
    """An SRS Job as administrators see it."""

    percent: float


FIELDS: Final = tuple(Course.__annotations__)
FOUND: Final = tuple(Findings.__annotations__)


class JobCancelled(Exception):
    """An administrator has cancelled the job."""


class Work:
    """A running job: it reports its progress, and learns whether it is cancelled.

    A job without a request gets its name when its work begins, so a call that the engine refuses
    leaves no SRS Job.
    """

    def __init__(self, name: str | None, make_job: Callable[[], str]) -> None:
        self.name = name
        self.make_job: Final = make_job
        self.next_news = 0.0

    def report_progress(self, done: int, total: int, step: str = "") -> None:
        """Report the progress, at most twice a second; other calls do nothing.

        Args:
            done: how many records are done.
            total: about how many there are.
            step: the present step, if the job has several.

        Raises:
            JobCancelled: an administrator has cancelled it.
        """
        if time.monotonic() < self.next_news:
            return
        self.next_news = time.monotonic() + NEWS_SECONDS
        try:
            if not self.name:
                self.begin()
            self._save(done=done, total=total, message=step)
            cancelled = frappe.db.get_value(JOB, self.name, "cancel_requested")
        except Exception as error:
            # The work itself continues.
            frappe.logger("memora").warning(f"SRS Job {self.name} could not report: {error}")
            return
        self._publish()
        if cancelled:
            raise JobCancelled

    def progress_callback(
        self, on_progress: Callable[[Progress], object] | None
    ) -> Callable[[Progress], None]:
        """The engine's callback after each piece of work: it reports, and calls `on_progress`."""

        def report(progress: Progress) -> None:
            self.report_progress(progress["done"], progress["total"])
            if on_progress:
                on_progress(progress)

        return report

    def begin(self) -> None:
        """Note the start.

        Raises:
            JobCancelled: it was cancelled while it waited.
        """
        self.name = self.name or self.make_job()
        if frappe.db.get_value(JOB, self.name, "cancel_requested"):
            raise JobCancelled
        self._save(status="Running", started_at=now_datetime())
        self._publish()

    def end(self, status: str, message: str, **found: Any) -> None:
        """Note the end, and what was found."""
        if not self.name:
            self.begin()
        self._save(status=status, message=message, finished_at=now_datetime(), **found)
        self._publish()

    def _save(self, **values: Any) -> None:
        frappe.db.set_value(JOB, self.name, values)
        frappe.db.commit()

    def _publish(self) -> None:
        if self.name:
            publish(self.name)


@contextmanager
def at_work(
    kind: Kind, season: str | None, name: str | None = None, **values: Any
) -> Iterator[Work]:
    """Run a job: its SRS Job reports what happens in the body. Commits.

    The body calls `Work.report_progress`, and `Work.end` with status "Done" at its end. Messages
    are in the language of the user who requested the job.

    Args:
        kind: the kind of job.
        season: the season; None: all.
        name: the SRS Job of a request; by default, a new one is made once the work begins, or if a
            server is down.
        values: more fields of a new SRS Job.

    Raises:
        JobCancelled: an administrator has cancelled it.
        memora._engine.MemoraError: it failed; the SRS Job says so, unless it was refused.
    """
    work = Work(name, partial(new_job, kind, season, **values))
    with print_language(language_of(name)) if name else nullcontext():
        try:
            check_exists(season)
            if name:
                work.begin()
            yield work
        except (JobCancelled, KeyboardInterrupt):
            if work.name:
                work.end("Cancelled", _("It was cancelled. What was done until then stays."))
            raise
        except MemoraError as error:
            if work.name or not isinstance(error, InvalidInput | SeasonUnavailable):
                work.end("Failed", str(error))
            raise
        except BaseException as error:
            if work.name:
                work.end("Interrupted", f"{type(error).__name__}: {error}")
            raise


def language_of(name: str) -> str:
    """The language of a job's messages: that of the user who requested it, or the site's."""
    return str(get_user_lang(frappe.db.get_value(JOB, name, "requested_by") or "Administrator"))


def check_exists(season: str | None) -> None:
    """Check that a season has exactly this name: MariaDB ignores case.

    Raises:
        memora._engine.InvalidInput: there is no such season.
    """
    if season and frappe.db.exists(SEASON, season) != season:
        raise InvalidInput(f"There is no season {season}.")


def new_job(kind: Kind, season: str | None, **values: Any) -> str:
    """Request a job. Commits. Returns the SRS Job's name.

    Raises:
        memora._engine.InvalidInput: there is no such season.
    """
    check_exists(season)
    job = {"doctype": JOB, "kind": kind, "season": season, "status": "Queued", **values}
    name = frappe.get_doc(job).insert(ignore_permissions=True).name
    frappe.db.commit()
    return str(name)


def request_job(kind: Kind, season: str | None, method: str, **values: Any) -> str | None:
    """Queue a job unless it is queued or runs. A job whose process died is queued again.

    Args:
        kind: the kind of job.
        season: the season; None: all.
        method: a function's path; it takes `season` and `job`.
        values: more fields of the SRS Job; `requested_by` is the session's user unless it is among
            them.

    Returns: the SRS Job's name; None if the queue of background jobs is down.
    """
    if not queue_answers():
        return None
    # Of two concurrent requests, one waits and finds the other's job.
    with filelock(_lock_name(kind, season)):
        # To see what others have committed since this transaction began.
        frappe.db.commit()
        for job in unfinished(kind=kind, season=season or ("is", "not set")):
            if kind in CONTINUED:
                if _is_dead(job):
                    _queue_again(job)
                return str(job["name"])
            if is_queued(job["name"]) if job["status"] == "Queued" else _is_running(job):
                return str(job["name"])
        name = new_job(kind, season, **{"requested_by": frappe.session.user, **values})
        _enqueue(method, season, name)
    publish(name)
    return name


def unfinished(**filters: Any) -> list[dict[str, Any]]:
    """The jobs that are queued or run, or whose process died a moment ago, oldest first."""
    wanted = {"status": UNFINISHED, **filters}
    return list(frappe.get_all(JOB, filters=wanted, fields=list(FIELDS), order_by="creation asc"))


def _enqueue(method: str, season: str | None, name: str) -> None:
    # RQ's job of an earlier try would make the new try look dead.
    if earlier := get_rq_job(_rq_job(name)):
        earlier.delete()
    frappe.enqueue(
        method, queue="long", timeout=LONG_SECONDS, job_id=_rq_job(name), season=season, job=name
    )


def _queue_again(job: Mapping[str, Any]) -> None:
    frappe.db.set_value(JOB, job["name"], "status", "Queued")
    frappe.db.commit()
    _enqueue(CONTINUED[job["kind"]], job["season"], job["name"])
    publish(job["name"])


def is_queued(name: str) -> bool:
    """Whether a job still waits for a worker, or was given to one just now.

    A queue that was purged, or lost its data, does not have it. A job that a worker took a minute
    ago, and that has not reported that it runs, died with the worker, whatever RQ says.
    """
    job = get_rq_job(_rq_job(name))
    status = job and job.get_status()
    if status == "started":
        lately = datetime.now(timezone.utc) - timedelta(seconds=SILENT_SECONDS)
        return bool(job.started_at and job.started_at.replace(tzinfo=timezone.utc) > lately)
    return bool(status == "queued")


def _rq_job(name: str) -> str:
    return f"memora_{name}"


def cancel(name: str) -> None:
    """Cancel a job: it ends at the next safe place, or never begins if it waits. Commits."""
    frappe.db.set_value(JOB, name, "cancel_requested", 1)
    if frappe.db.get_value(JOB, name, "status") == "Queued":
        now = now_datetime()
        frappe.db.set_value(JOB, name, {"status": "Cancelled", "finished_at": now})
    frappe.db.commit()
    publish(name)


def get_job(name: str, with_findings: bool = True) -> Job:
    """A job as administrators see it."""
    fields = [*FIELDS, *(FOUND if with_findings else ())]
    return _shown(dict(zip(fields, frappe.db.get_value(JOB, name, fields), strict=True)))


def latest_jobs(most: int, **filters: Any) -> list[Job]:
    """The jobs that were requested last, newest first."""
    rows = frappe.get_all(
        JOB, filters=filters, fields=[*FIELDS, *FOUND], order_by="creation desc", limit=most
    )
    return [_shown(dict(row)) for row in rows]


def look_after_jobs() -> None:
    """Queue dead jobs again if they must finish; interrupt the others (every minute)."""
    lately = now_datetime() - timedelta(seconds=SILENT_SECONDS)
    silent = unfinished(modified=("<", lately))
    # The queue does not answer: ask again in a minute.
    if not silent or not queue_answers():
        return
    for job in silent:
        with filelock(_lock_name(job["kind"], job["season"])):
            # See what others have committed meanwhile: a request may have queued it again.
            frappe.db.commit()
            if not (still := unfinished(name=job["name"])) or not _is_dead(still[0]):
                continue
            if job["kind"] in CONTINUED:
                _queue_again(job)
            else:
                over = {"status": "Interrupted", "finished_at": job["modified"]}
                frappe.db.set_value(JOB, job["name"], over)
                frappe.db.commit()
                publish(job["name"])


def _lock_name(kind: str, season: str | None) -> str:
    return f"memora-{kind}-{season or 'all'}"


def publish(name: str) -> None:
    """Publish the progress. If that fails, clients poll, and the work continues."""
    try:
        frappe.publish_realtime(EVENT, get_job(name, with_findings=False), room=ROOM)
    except Exception as error:
        frappe.logger("memora").warning(f"news of SRS Job {name} could not be published: {error}")


def _shown(job: dict[str, Any]) -> Job:
    if job["status"] == "Running" and _is_dead(job):
        job["status"] = "Queued" if job["kind"] in CONTINUED else "Interrupted"
    is_done = job["status"] == "Done"
    job["percent"] = (
        100.0 if is_done else round(min(100.0, 100.0 * job["done"] / max(job["total"], 1)), 1)
    )
    for field in ("started_at", "finished_at", "modified"):
        job[field] = job[field] and str(job[field])
    return cast(Job, job)


def _is_dead(job: Mapping[str, Any]) -> bool:
    """Whether no process works, or will work, on a job; known a minute after its last report."""
    if job["modified"] >= now_datetime() - timedelta(seconds=SILENT_SECONDS):
        return False
    if job["status"] == "Queued":
        return not is_queued(job["name"])
    return not _is_running(job)


def _is_running(job: Mapping[str, Any]) -> bool:
    if job["kind"] in WITHOUT_LOCK:
        return bool(job["modified"] >= now_datetime() - timedelta(seconds=SILENT_SECONDS))
    return engine().is_running(job["kind"], job["season"] or "")
