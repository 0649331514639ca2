"""Retiring seasons: their records move to the archive, and are deleted from it years later.

The engine moves them. If a process is killed, `services/srs_jobs.py` lets another one continue
within two minutes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict

import frappe
from frappe import _
from frappe.utils import getdate, now_datetime

from memora._engine import InvalidInput, MemoraError
from memora.services.administrators import alert_administrators
from memora.services.counting import counted
from memora.services.engine import engine
from memora.services.messages import translated
from memora.services.partition_manager import SEASON
from memora.services.srs_jobs import CONTINUED, JobCancelled, at_work, request_job

if TYPE_CHECKING:
    from memora._engine import ArchiveProgress, ArchiveStatus, DeletionProgress

QUIET_SHARE: Final = 0.5
# Well under the 1,500 seconds that Frappe allows a scheduled job.
FLAG_SECONDS: Final = 1_200.0


class Archived(TypedDict):
    """An archive that is done."""

    season: str
    step: Literal["copying", "verifying", "freeing", "clearing", "done"]
    done: int
    total: int
    success: bool
    archived_count: int


class SRSArchiver:
    """Moves a season's records to Archived Memory Tracker, and reports its progress."""

    def archive_season(
        self,
        season: str,
        on_progress: Callable[[ArchiveProgress], object] | None = None,
        share: float = QUIET_SHARE,
        job: str | None = None,
    ) -> Archived:
        """Archive a season, or continue where an earlier run ended. Commits.

        Args:
            season: name of a season that is not active.
            on_progress: called some times a second; an exception from it ends the work, which can
                be continued.
            share: of the time in which MariaDB works on it: students do not notice 0.5.
            job: the SRS Job of the request; by default, a new one.

        Returns: success: True; archived_count: how many records were archived, also as done and
            total; step: "done".

        Raises:
            memora._engine.MemoraError: it cannot be archived, or a server is down; running it again
                continues.
        """
        steps = {
            "copying": _("Copying records"),
            "verifying": _("Comparing records with their copies"),
            "freeing": _("Freeing the partition"),
            "clearing": _("Clearing the cache"),
        }
        with at_work("Archive", season, job) as work:

            def report(progress: ArchiveProgress) -> None:
                step = steps.get(progress["step"], "")
                work.report_progress(progress["done"], progress["total"], step)
                if on_progress:
                    on_progress(progress)

            try:
                # MariaDB alters no table that a transaction has read.
                frappe.db.commit()
                archived = engine().archive(season, report, share)
            finally:
                # The engine has changed the season.
                frappe.clear_document_cache(SEASON, season)
            records = archived["done"]
            work.end(
                "Done",
                _moved(records),
                done=records,
                total=records,
            )
        return {**archived, "success": True, "archived_count": records}

    def get_status(self, season: str) -> ArchiveStatus | None:
        """The progress of a season's archive; None for a season that was never archived."""
        return engine().archive_status(season)

    def delete_eligible(
        self,
        season: str | None = None,
        on_progress: Callable[[DeletionProgress], object] | None = None,
        job: str | None = None,
    ) -> int:
        """Delete the flagged archived records of one season or of all; returns how many. Commits.

        Args:
            season: its name; None: all seasons.
            on_progress: as for `archive_season`.
            job: as for `archive_season`.

        Raises:
            JobCancelled: an administrator has cancelled it; what was deleted stays deleted.
            memora._engine.MemoraError: another process is deleting, or MariaDB is down.
        """
        with at_work("Deletion", season, job) as work:
            frappe.db.commit()
            deleted = engine().delete_flagged(season, work.progress_callback(on_progress))
            message = counted(deleted, _("1 record was deleted."), _("{0} records were deleted."))
            work.end("Done", message, done=deleted, total=deleted)
        return deleted

    def process_auto_archive(self) -> None:
        """As `process_auto_archive` of this module."""
        process_auto_archive()

    def flag_eligible_for_deletion(self) -> int:
        """As `flag_eligible_for_deletion` of this module."""
        return flag_eligible_for_deletion()


def request_archive(season: str, **values: Any) -> str | None:
    """Queue an archive. Returns the SRS Job, which has these values; None if the queue is down."""
    return request_job("Archive", season, CONTINUED["Archive"], **values)


def request_deletion(season: str | None) -> str | None:
    """Queue the deletion of flagged records. Returns the SRS Job; None if the queue is down."""
    return request_job("Deletion", season, CONTINUED["Deletion"])


def archive_in_background(season: str, job: str | None = None) -> None:
    """Archive a season, and notify administrators of the result (background job)."""
    link = f"/app/game-subscription-season/{season}"
    try:
        archived = SRSArchiver().archive_season(season, job=job)
    except MemoraError as error:
        if isinstance(error, InvalidInput):
            frappe.logger("memora").error(f"{season} was not archived: {error}")
            return
        cause = str(error)
        alert_administrators(
            lambda: (
                _("The archive of {0} was interrupted").format(season),
                _("Nothing is lost, and memora continues within the hour. The cause: {0}").format(
                    translated(cause)
                ),
            ),
            link,
        )
        return
    alert_administrators(
        lambda: (_("{0} is archived").format(season), _moved(archived["done"])),
        link,
        is_good=True,
    )


def _moved(records: int) -> str:
    return counted(records, _("1 record was moved."), _("{0} records were moved."))


def delete_in_background(season: str | None = None, job: str | None = None) -> None:
    """Delete flagged records, and notify administrators of the number (background job)."""
    link = "/app/archived-memory-tracker"
    try:
        deleted = SRSArchiver().delete_eligible(season, job=job)
    except JobCancelled:
        return
    except MemoraError as error:
        cause = str(error)
        alert_administrators(
            lambda: (
                _("Not all flagged archived records could be deleted"),
                _("The others stay flagged: delete them again. The cause: {0}").format(
                    translated(cause)
                ),
            ),
            link,
        )
        return
    alert_administrators(
        lambda: (
            counted(
                deleted, _("1 archived record was deleted"), _("{0} archived records were deleted")
            ),
            _("They were flagged as eligible for deletion. Season: {0}.").format(
                season or _("all seasons")
            ),
        ),
        link,
        is_good=True,
    )


def process_auto_archive() -> None:
    """Queue the seasons with auto_archive that have ended and are not active (daily).

    Each gets its own job, because Frappe ends a scheduled job after minutes.
    """
    today = getdate(now_datetime())
    due = {
        "auto_archive": 1,
        "is_active": 0,
        "end_date": ("<", today),
        "archive_status": ("is", "not set"),
    }
    for season in frappe.get_all(SEASON, filters=due, pluck="name", order_by="end_date asc"):
        request_archive(season, requested_by=None)


def resume_archives() -> None:
    """Queue archives that failed because a server was down, or were ended by hand (hourly)."""
    for season in frappe.get_all(SEASON, filters={"archive_status": "Archiving"}, pluck="name"):
        request_archive(season, requested_by=None)


def flag_eligible_for_deletion() -> int:
    """Flag records archived more than three years ago (weekly); returns how many are newly flagged.

    It stops before Frappe's time limit; the next week it continues.
    """
    frappe.db.commit()
    return engine().flag_for_deletion(None, FLAG_SECONDS)
