"""Seasons that are over: archived, and deleted years later."""

from __future__ import annotations

from typing import Literal, TypedDict

import frappe
from frappe import _

from memora.api.arguments import as_text, check_confirmed
from memora.api.documents import as_season
from memora.api.jobs import queued
from memora.services.errors import frappe_errors, throw
from memora.services.partition_manager import SEASON
from memora.services.roles import MANAGERS
from memora.services.site_time import site_time
from memora.services.srs_archiver import SRSArchiver, request_archive, request_deletion


class RequestedArchive(TypedDict):
    """A requested archive and its SRS Job, which is None if the season is archived already."""

    season: str
    status: Literal["started", "completed"]
    job: str | None
    job_id: str | None
    records_archived: int
    cache_keys_deleted: int


class ArchiveState(TypedDict):
    """The progress of a season's archive. Times are in the site's time zone."""

    season: str
    status: Literal["Not Archived", "Archiving", "Archived"]
    step: Literal["copying", "verifying", "freeing", "clearing", "done"] | None
    done: int
    total: int
    percent: float
    is_running: bool
    started_at: str | None
    finished_at: str | None


class QueuedDeletion(TypedDict):
    """A deletion, of all seasons if none is named, and its SRS Job."""

    season: str | None
    status: Literal["queued"]
    job: str


@frappe.whitelist(methods=["POST"])
@frappe_errors(for_students=False)
def archive_season(
    season: str | None = None, confirm: bool | int | str = False
) -> RequestedArchive:
    """Archive a season in the background, or continue an archive.

    For Memora Managers. Its records move to Archived Memory Tracker and cannot be moved back.

    Args:
        season: name of a season that is not active.
        confirm: must be true.

    Returns: season; status: started, or completed when it is archived already; job, and job_id: the
        SRS Job, None when it is archived; records_archived: all of them when it is completed, 0
        before; cache_keys_deleted: 0, because the job deletes them. An archive that is queued or
        running is not queued again; one whose process died continues.

    Raises:
        frappe.ValidationError: not confirmed, or the season is active.
        frappe.DoesNotExistError: there is no such season.
        ReviewsUnavailable: the queue of background jobs is down.
    """
    frappe.only_for(MANAGERS)
    season = as_season(season)
    check_confirmed(
        confirm,
        _("The records of {0} move to the archive and cannot be moved back.").format(season),
    )
    is_active, status = frappe.db.get_value(SEASON, season, ["is_active", "archive_status"])
    if status == "Archived":
        archived = SRSArchiver().get_status(season)
        return requested("completed", season, None, archived["done"] if archived else 0)
    if is_active:
        throw(_("{0} is active: end it first, then archive it.").format(season))
    return requested("started", season, queued(request_archive(season)))


def requested(
    status: Literal["started", "completed"], season: str, job: str | None, records: int = 0
) -> RequestedArchive:
    """The answer to a request for an archive."""
    return {
        "season": season,
        "status": status,
        "job": job,
        "job_id": job,
        "records_archived": records,
        "cache_keys_deleted": 0,
    }


@frappe.whitelist(methods=["GET", "POST"])
@frappe_errors(for_students=False)
def get_archive_status(season: str | None = None) -> ArchiveState:
    """The progress of a season's archive. For Memora Managers.

    Returns: season; status: Not Archived, Archiving or Archived; step: copying, verifying, freeing,
        clearing or done, None before; done and total records of this step (while copying, total is
        an estimate; at the end both are the number archived); percent; is_running: whether a
        process works on it now; started_at and finished_at in the site's time zone, or None.

    Raises:
        frappe.DoesNotExistError: there is no such season.
    """
    frappe.only_for(MANAGERS)
    season = as_season(season)
    status = SRSArchiver().get_status(season)
    if status is None:
        return {
            "season": season, "status": "Not Archived", "step": None, "done": 0, "total": 0,
            "percent": 0.0, "is_running": False, "started_at": None, "finished_at": None,
        }  # fmt: skip
    is_done = status["step"] == "done"
    percent = 100.0 if is_done else 100.0 * status["done"] / max(status["total"], 1)
    return {
        "season": status["season"],
        "status": "Archived" if is_done else "Archiving",
        "step": status["step"],
        "done": status["done"],
        "total": status["total"],
        "percent": round(percent, 1),
        "is_running": status["is_running"],
        "started_at": site_time(status["started_at"]),
        "finished_at": site_time(status["finished_at"]),
    }


@frappe.whitelist(methods=["POST"])
@frappe_errors(for_students=False)
def delete_eligible_archived_records(
    season: str | None = None, confirm: bool | int | str = False
) -> QueuedDeletion:
    """Delete, in the background, the archived records that are flagged as eligible for deletion.

    For Memora Managers, who are notified of the number. Deleted records cannot be restored.

    Args:
        season: delete only records of this season; by default, of all.
        confirm: must be true.

    Returns: season; status: queued; job: the SRS Job, as for archive_season. It can be cancelled.

    Raises:
        frappe.ValidationError: not confirmed.
        frappe.DoesNotExistError: there is no such season.
        ReviewsUnavailable: the queue of background jobs is down.
    """
    frappe.only_for(MANAGERS)
    season = as_season(season) if as_text("season", season) else None
    check_confirmed(confirm, _("The flagged archived records are deleted and cannot be restored."))
    return {
        "season": season,
        "status": "queued",
        "job": queued(request_deletion(season)),
    }
