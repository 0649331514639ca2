"""Seasons: which of them students see, and the present state of each."""

from __future__ import annotations

from typing import TypedDict

import frappe

from memora.api.documents import as_season
from memora.services.errors import frappe_errors
from memora.services.roles import MONITOR_READERS
from memora.services.season_summary import SeasonSummary, season_summary
from memora.services.seasons import active_seasons


class ActiveSeasons(TypedDict):
    """The season whose questions students see, and active ones that nobody sees."""

    seen: str | None
    unseen: list[str]


@frappe.whitelist(methods=["GET", "POST"])
@frappe_errors(for_students=False)
def get_active_seasons() -> ActiveSeasons:
    """Which season students see, and which others are active.

    For Memora Managers and Memora Teachers.

    Returns: seen: the season whose questions students see, None without an active one; unseen:
        other active seasons, which nobody sees, because students see only one.
    """
    frappe.only_for(MONITOR_READERS)
    active = active_seasons()
    return {"seen": active[0] if active else None, "unseen": active[1:]}


@frappe.whitelist(methods=["GET", "POST"])
@frappe_errors(for_students=False)
def get_season_summary(season: str | None = None) -> SeasonSummary:
    """The present state of a season, in milliseconds however large it is.

    For Memora Managers and Memora Teachers.

    Returns: season; is_seen, and seen_season, the one that students see; records, students and
        disk_mb of its partition, None without one (of an archived season only records: those in the
        archive); are_records_estimated, are_students_estimated; cached_students and cached_mb, None
        while the cache cannot be reached; archive {step, done, total, is_running, started_at,
        finished_at}, None before; jobs: the last three, as get_job.

    Raises:
        frappe.DoesNotExistError: there is no such season.
    """
    frappe.only_for(MONITOR_READERS)
    return season_summary(as_season(season))
