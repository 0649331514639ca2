"""Seasons: which of them students see, and the present state of each."""

from __future__ import annotations

from typing import TypedDict

import frappe

from memora.api.arguments import as_days, as_text
from memora.api.documents import as_cached_season, as_season
from memora.services.errors import frappe_errors
from memora.services.roles import MONITOR_READERS
from memora.services.season_forecast import SeasonForecast, season_forecast
from memora.services.season_summary import SeasonSummary, season_summary
from memora.services.seasons import active_seasons


class ActiveSeasons(TypedDict):
    """The season whose questions students see, and the other active seasons."""

    seen: str | None
    unseen: list[str]


@frappe.whitelist(methods=["GET", "POST"])
@frappe_errors(for_students=False)
def get_active_seasons() -> ActiveSeasons:
    """Which season students see, and which others are active.

    For Memora Managers and Memora Teachers.

    Returns: seen: the season whose questions students see, None if no season is active; unseen:
        other active seasons, which no student sees, because students see only one.
    """
    frappe.only_for(MONITOR_READERS)
    active = active_seasons()
    return {"seen": active[0] if active else None, "unseen": active[1:]}


@frappe.whitelist(methods=["GET", "POST"])
@frappe_errors(for_students=False)
def get_season_summary(season: str | None = None) -> SeasonSummary:
    """The present state of a season, in milliseconds however large it is.

    For Memora Managers and Memora Teachers.

    Returns: season; seen_season: the one that students see; is_seen: whether it is this one;
        records, students and disk_mb of its partition, None if it has no partition (an archived
        season has only records: those in the archive); are_records_estimated,
        are_students_estimated; cached_students and cached_mb, None while the cache cannot be
        reached; archive {step, done, total, is_running, started_at, finished_at}, None before;
        jobs: the last three, as get_job.

    Raises:
        frappe.DoesNotExistError: there is no such season.
    """
    frappe.only_for(MONITOR_READERS)
    return season_summary(as_season(season))


@frappe.whitelist(methods=["GET", "POST"])
@frappe_errors(for_students=False)
def get_season_forecast(season: str | None = None, days: int | str = 30) -> SeasonForecast:
    """About how many reviews of a season are due on each of the next days.

    For Memora Managers and Memora Teachers. It takes milliseconds however large the season is: it
    reads the cached schedules of at most 400 random students.

    Args:
        season: a season that uses the cache; by default, the one that students see.
        days: 1 to 365 days of the site's time zone; the first is today.

    Returns: days [{date: YYYY-MM-DD, due}], total of all of them, and overdue, which is part of
        today's: estimates for all students of the season, or, if there are more than 1,000, for
        those who are cached; sampled_students, cached_students, students (None: more than 1,000);
        message: what the estimate covers and is made from, or why there are no days; season, None
        if no season is active.

    Raises:
        frappe.ValidationError: the season does not use the cache, or is archived; days is out of
            range.
        frappe.DoesNotExistError: there is no such season.
        ReviewsUnavailable: the cache is down.
    """
    frappe.only_for(MONITOR_READERS)
    wanted = as_days(days)
    if as_text("season", season) is None:
        season = next(iter(active_seasons()), None)
    return season_forecast(season and as_cached_season(season), wanted)
