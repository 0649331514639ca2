"""The cache of a season: loaded again, or compared with the database."""

from __future__ import annotations

from typing import Literal, TypedDict

import frappe

from memora.api.arguments import as_text, as_whole_number
from memora.api.documents import as_cached_season
from memora.api.jobs import queued
from memora.services.errors import frappe_errors
from memora.services.roles import MANAGERS
from memora.services.srs_reconciliation import (
    SAMPLE_SIZE,
    request_reconciliation,
    seasons_to_reconcile,
)
from memora.services.srs_redis_manager import request_rebuild


class QueuedRebuild(TypedDict):
    """A rebuild, and the SRS Job that tells of it."""

    season: str
    status: Literal["queued"]
    job: str


class QueuedReconciliations(TypedDict):
    """Reconciliations, and the SRS Jobs that tell of them."""

    status: Literal["queued"]
    jobs: list[str]


@frappe.whitelist(methods=["POST"])
@frappe_errors(for_students=False)
def rebuild_season_cache(season: str | None = None) -> QueuedRebuild:
    """Load all schedules of a season into the cache again, in the background. For Memora Managers.

    Students read and answer meanwhile.

    Returns: season; status: queued; job: the SRS Job, for get_job and cancel_job. One that is
        queued or running already is not queued again.

    Raises:
        frappe.ValidationError: the season does not use the cache, or is archived.
        frappe.DoesNotExistError: there is no such season.
        ReviewsUnavailable: the queue of background jobs is down.
    """
    frappe.only_for(MANAGERS)
    season = as_cached_season(season)
    return {
        "season": season,
        "status": "queued",
        "job": queued(request_rebuild(season)),
    }


@frappe.whitelist(methods=["POST"])
@frappe_errors(for_students=False)
def trigger_reconciliation(
    sample_size: int | str = SAMPLE_SIZE, season: str | None = None
) -> QueuedReconciliations:
    """Compare cached schedules with the database and correct them, in the background.

    For Memora Managers.

    Args:
        sample_size: students who have about so many records, drawn at random; 0: all that are
            cached.
        season: one that uses the cache; without it each that does.

    Returns: status: queued; jobs: the SRS Jobs, one a season.

    Raises: as rebuild_season_cache.
    """
    frappe.only_for(MANAGERS)
    size = as_whole_number("sample_size", sample_size, 0)
    seasons = [as_cached_season(season)] if as_text("season", season) else seasons_to_reconcile()
    jobs = [queued(request_reconciliation(name, size)) for name in seasons]
    return {"status": "queued", "jobs": jobs}
