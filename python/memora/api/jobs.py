"""SRS Jobs: their progress, and how to cancel them."""

from __future__ import annotations

import frappe
from frappe import _

from memora.api.documents import as_job
from memora.services import srs_jobs
from memora.services.errors import ReviewsUnavailable, frappe_errors, throw
from memora.services.roles import MANAGERS, MONITOR_READERS
from memora.services.srs_jobs import Job


@frappe.whitelist(methods=["GET", "POST"])
@frappe_errors(for_students=False)
def get_job(job: str | None = None) -> Job:
    """The progress and the result of an SRS Job. For Memora Managers and Memora Teachers.

    Returns: name, kind, season (None: all); status: Queued, Running, Done, Cancelled, Failed, or
        Interrupted: its process died, and no other continues it; requested_by, started_at,
        finished_at; done and total records (total is an estimate while it runs), percent; message;
        of a reconciliation also what it found.

    Raises:
        frappe.DoesNotExistError: there is no such job.
    """
    frappe.only_for(MONITOR_READERS)
    return srs_jobs.get_job(as_job(job))


@frappe.whitelist(methods=["POST"])
@frappe_errors(for_students=False)
def cancel_job(job: str | None = None) -> Job:
    """Cancel an SRS Job of any kind but an archive: it ends within two seconds.

    For Memora Managers. What was done stays valid. A job that has ended does not change.

    Returns: as get_job.

    Raises:
        frappe.ValidationError: it is an archive, which must finish once it has begun.
        frappe.DoesNotExistError: there is no such job.
    """
    frappe.only_for(MANAGERS)
    job = as_job(job)
    found = srs_jobs.get_job(job)
    if found["kind"] not in srs_jobs.CANCELLABLE:
        throw(_("An archive cannot be cancelled: once begun, it must finish."))
    if found["status"] in ("Queued", "Running"):
        srs_jobs.cancel(job)
    return srs_jobs.get_job(job)


def queued(job: str | None) -> str:
    """The name of the SRS Job that was queued.

    Raises:
        ReviewsUnavailable: background jobs cannot be queued.
    """
    if job is None:
        throw(
            _(
                "Background jobs cannot be queued: check that redis_queue runs. Nothing was "
                "started."
            ),
            ReviewsUnavailable,
        )
    return job
