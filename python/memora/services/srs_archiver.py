"""Retiring seasons: their records move to the archive, and leave it years later.

The engine does the moving. Whoever is killed is continued: by hand, or by the scheduler within the hour.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import frappe
from frappe import _
from frappe.utils import add_to_date, getdate, now_datetime

from memora._engine import InvalidInput, MemoraError
from memora.services.administrators import alert_administrators
from memora.services.background import enqueue_once
from memora.services.engine import engine
from memora.services.partition_manager import SEASON
from memora.services.site_time import unix_time
from memora.services.srs_jobs import at_work

if TYPE_CHECKING:
    from memora._engine import ArchiveProgress, ArchiveStatus

KEPT_YEARS: Final = 3
# What the season's form listens to.
EVENT: Final = "memora_archive"
NEWS_SECONDS: Final = 0.5
QUIET_SHARE: Final = 0.5

ARCHIVE_JOB: Final = "memora.services.srs_archiver.archive_in_background"
DELETE_JOB: Final = "memora.services.srs_archiver.delete_in_background"


class SRSArchiver:
    """Moves a season's records to Archived Memory Tracker, and tells how far it is."""

    def archive_season(
        self,
        season: str,
        progress: Callable[[ArchiveProgress], object] | None = None,
        share: float = QUIET_SHARE,
    ) -> ArchiveProgress:
        """Archive a season, or go on where an earlier run ended. Commits.

        Args:
            season: name of a season that is not active.
            progress: called some times a second; what it raises ends the work, which can be continued.
            share: of the time that MariaDB is kept at work: half of it students do not notice.

        Returns: step "done", and as done and total how many records were archived.

        Raises:
            memora._engine.MemoraError: it cannot be archived, or a server is down; running it again goes on.
        """
        with at_work("Archive", season) as work:
            try:
                # MariaDB alters no table that a transaction has read.
                frappe.db.commit()
                archived = engine().archive(season, work.telling(progress), share)
            finally:
                # The engine has changed the season.
                frappe.clear_document_cache(SEASON, season)
            records = archived["done"]
            work.end("Done", _("{0} records were moved.").format(f"{records:,}"), done=records, total=records)
        return archived

    def get_status(self, season: str) -> ArchiveStatus | None:
        """How far a season is on its way to the archive; None for one that was never archived."""
        return engine().archive_status(season)

    def delete_eligible(
        self, season: str | None = None, progress: Callable[[int], object] | None = None
    ) -> int:
        """Delete the archived records that are flagged, of one season or of all; how many."""
        frappe.db.commit()
        return engine().delete_flagged(season, progress)


def request_archive(season: str) -> bool:
    """Queue the archiving of a season, unless it is queued or running. False: the queue is down."""
    return enqueue_once(ARCHIVE_JOB, f"memora_archive_{season}", season=season)


def request_deletion(season: str | None) -> bool:
    """Queue the deletion of flagged records. False: the queue is down."""
    return enqueue_once(DELETE_JOB, f"memora_delete_{season or 'all'}", season=season)


def archive_in_background(season: str) -> None:
    """Archive a season, and tell its form how far it is and administrators how it ended (background job)."""
    link = f"/app/game-subscription-season/{season}"
    try:
        archived = SRSArchiver().archive_season(season, _News(season).tell)
    except MemoraError as error:
        _publish(season, {"step": "failed", "message": str(error)})
        if isinstance(error, InvalidInput):
            frappe.logger("memora").error(f"{season} was not archived: {error}")
            return
        alert_administrators(
            _("{0} could not be archived to its end").format(season),
            _("Nothing is lost, and it is continued within the hour. The cause: {0}").format(error),
            link,
        )
        return
    _publish(season, dict(archived))
    alert_administrators(
        _("{0} is archived").format(season),
        _("{0} records were moved.").format(f"{archived['done']:,}"),
        link,
        is_good=True,
    )


def delete_in_background(season: str | None = None) -> None:
    """Delete flagged records, and tell administrators how many (background job)."""
    deleted = SRSArchiver().delete_eligible(season)
    subject = _("{0} archived records were deleted").format(f"{deleted:,}")
    message = _("They were flagged as eligible for deletion, of {0}.").format(season or _("all seasons"))
    alert_administrators(subject, message, "/app/archived-memory-tracker", is_good=True)


def process_auto_archive() -> None:
    """Queue the seasons with auto_archive that have ended and are not active (daily).

    A job of their own each: Frappe ends a scheduled one after minutes.
    """
    today = getdate(now_datetime())
    due = {
        "auto_archive": 1,
        "is_active": 0,
        "end_date": ("<", today),
        "archive_status": ("is", "not set"),
    }
    for season in frappe.get_all(SEASON, filters=due, pluck="name", order_by="end_date asc"):
        request_archive(season)


def resume_archives() -> None:
    """Queue what was begun and is not going on: its worker was killed, or a server was down (hourly)."""
    for season in frappe.get_all(SEASON, filters={"archive_status": "Archiving"}, pluck="name"):
        status = SRSArchiver().get_status(season)
        if status is None or not status["is_running"]:
            request_archive(season)


def flag_eligible_for_deletion() -> int:
    """Flag records that were archived more than three years ago (weekly); how many are newly flagged."""
    frappe.db.commit()
    return engine().flag_for_deletion(unix_time(add_to_date(now_datetime(), years=-KEPT_YEARS)))


class _News:
    """Tells a season's form now and then how far it is."""

    def __init__(self, season: str) -> None:
        self.season = season
        self.next = 0.0

    def tell(self, progress: ArchiveProgress) -> None:
        if time.monotonic() >= self.next:
            self.next = time.monotonic() + NEWS_SECONDS
            _publish(self.season, dict(progress))


def _publish(season: str, news: dict[str, Any]) -> None:
    """Tell the season's form. Who cannot be told asks: the work goes on."""
    try:
        frappe.publish_realtime(EVENT, {"season": season, **news}, doctype=SEASON, docname=season)
    except Exception as error:
        frappe.logger("memora").warning(f"the form of {season} could not be told: {error}")
