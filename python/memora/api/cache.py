"""The cache of a season: loaded again, or compared with the database."""

from __future__ import annotations

from typing import Literal, TypedDict

import frappe
from frappe import _

from memora._engine import InvalidInput
from memora.api.arguments import as_text, as_whole_number
from memora.api.documents import as_cached_season
from memora.api.jobs import queued
from memora.services import srs_reconciliation
from memora.services.engine import engine
from memora.services.errors import ReviewsUnavailable, frappe_errors, throw
from memora.services.roles import MANAGERS
from memora.services.srs_reconciliation import (
    LARGEST_SAMPLE,
    REQUEST_SECONDS,
    SAMPLE_SIZE,
    SMALLEST_SAMPLE,
    Report,
    TookTooLong,
    reconcile_at_once,
    seasons_to_reconcile,
)
from memora.services.srs_redis_manager import request_rebuild


class StartedRebuild(TypedDict):
    """A rebuild, its SRS Job, and about how many records it loads."""

    season: str
    status: Literal["started"]
    job: str
    job_id: str
    estimated_records: int


class QueuedReconciliations(TypedDict):
    """Reconciliations, and their SRS Jobs."""

    status: Literal["queued"]
    jobs: list[str]


@frappe.whitelist(methods=["POST"])
@frappe_errors(for_students=False)
def rebuild_season_cache(season: str | None = None) -> StartedRebuild:
    """Load all schedules of a season into the cache again, in the background. For Memora Managers.

    Students can read and answer meanwhile.

    Returns: season; status: started; job, and job_id: the SRS Job, for get_job and cancel_job;
        estimated_records: MariaDB's estimate, 0 while the season has no partition. A rebuild that
        is queued or running is not queued again.

    Raises:
        frappe.ValidationError: the season does not use the cache, or is archived.
        frappe.DoesNotExistError: there is no such season.
        ReviewsUnavailable: the queue of background jobs is down.
    """
    frappe.only_for(MANAGERS)
    season = as_cached_season(season)
    estimated = engine().estimated_records(season)
    job = queued(request_rebuild(season))
    return {
        "season": season,
        "status": "started",
        "job": job,
        "job_id": job,
        "estimated_records": estimated,
    }


@frappe.whitelist(methods=["POST"])
@frappe_errors(for_students=False)
def trigger_reconciliation(
    sample_size: int | str = SAMPLE_SIZE, season: str | None = None
) -> Report | QueuedReconciliations:
    """Compare cached schedules with the database, correct them, and return what was found.

    For Memora Managers.

    Args:
        sample_size: compare random students who together have about this many records: 100 to
            100,000 of each season. More, or 0 for all that are cached, is done in the background.
        season: a season that uses the cache; by default, all of them.

    Returns: sample_size: how many records were compared; discrepancies_found; discrepancy_rate,
        from 0 to 1; auto_corrected; alert_triggered: so much differed that administrators were
        notified; seasons: the result of each. In the background: as request_reconciliation.

    Raises:
        ReviewsUnavailable: another process is reconciling, or it took longer than 20 seconds; what
            was corrected by then stays. Otherwise as rebuild_season_cache.
    """
    frappe.only_for(MANAGERS)
    size = as_whole_number("sample_size", sample_size, 0)
    if size == 0 or size > LARGEST_SAMPLE:
        return queue_reconciliations(size, as_cached_seasons(season))
    if size < SMALLEST_SAMPLE:
        throw(
            _("A sample has at least {0} records. To compare all, give 0 as sample_size.").format(
                SMALLEST_SAMPLE
            )
        )
    seasons = as_cached_seasons(season)
    try:
        return reconcile_at_once(size, seasons)
    except TookTooLong:
        throw(
            _(
                "The comparison was not done in {0} seconds. What was corrected stays. Give a "
                "smaller sample_size, or call request_reconciliation, which does it in the "
                "background."
            ).format(round(REQUEST_SECONDS)),
            ReviewsUnavailable,
        )
    except InvalidInput:
        if not any(engine().is_running("Reconciliation", name) for name in seasons):
            raise
        throw(
            _("Another process is reconciling now. Try again when it is done."),
            ReviewsUnavailable,
        )


@frappe.whitelist(methods=["POST"])
@frappe_errors(for_students=False)
def request_reconciliation(
    sample_size: int | str = SAMPLE_SIZE, season: str | None = None
) -> QueuedReconciliations:
    """Compare cached schedules with the database and correct them, in the background.

    For Memora Managers.

    Args:
        sample_size: compare random students who together have about this many records; 0: all that
            are cached.
        season: a season that uses the cache; by default, all of them.

    Returns: status: queued; jobs: the SRS Jobs, one a season.

    Raises: as rebuild_season_cache.
    """
    frappe.only_for(MANAGERS)
    size = as_whole_number("sample_size", sample_size, 0)
    return queue_reconciliations(size, as_cached_seasons(season))


def queue_reconciliations(size: int, seasons: list[str]) -> QueuedReconciliations:
    """Queue a reconciliation of each of these seasons.

    Raises:
        ReviewsUnavailable: the queue of background jobs is down.
    """
    jobs = [queued(srs_reconciliation.request_reconciliation(name, size)) for name in seasons]
    return {"status": "queued", "jobs": jobs}


def as_cached_seasons(season: object) -> list[str]:
    """The named season; without a name, all seasons that use the cache."""
    return [as_cached_season(season)] if as_text("season", season) else seasons_to_reconcile()
