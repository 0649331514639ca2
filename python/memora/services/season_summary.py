"""The present state of a season, for administrators: in milliseconds, however large it is."""

from __future__ import annotations

from typing import Final, Literal, TypedDict

from memora.services.engine import engine
from memora.services.monitor import megabytes
from memora.services.seasons import active_seasons
from memora.services.site_time import site_time
from memora.services.srs_jobs import Job, latest_jobs

LATEST_JOBS: Final = 3


class ArchiveSummary(TypedDict):
    """A season that is archived or on its way there; times are in the site's time zone."""

    step: Literal["copying", "verifying", "freeing", "clearing", "done"]
    done: int
    total: int
    is_running: bool
    started_at: str | None
    finished_at: str | None


class SeasonSummary(TypedDict):
    """A season: whether students see it, its size, its last jobs, its archive.

    Records, students and the size on disk are of the season's partition; they are None if it has no
    partition, as in the seconds after the season was made. MariaDB estimates the size on disk, the
    engine that of the cache. An archived season's records are those in the archive. What is cached
    is None while the cache cannot be reached.
    """

    season: str
    is_seen: bool
    seen_season: str | None
    records: int | None
    are_records_estimated: bool
    students: int | None
    are_students_estimated: bool
    disk_mb: float | None
    cached_students: int | None
    cached_mb: float | None
    archive: ArchiveSummary | None
    jobs: list[Job]


def season_summary(season: str) -> SeasonSummary:
    """The present state of a season.

    Args:
        season: the name of one that exists.

    Raises:
        memora._engine.MemoraError: MariaDB is down.
    """
    archive = engine().archive_status(season)
    is_archived = archive is not None and archive["step"] == "done"
    size = None if is_archived else engine().season_size(season)
    cache = engine().cache_status([season])
    cached = cache["seasons"].get(season) if cache["reachable"] else None
    seen = next(iter(active_seasons()), None)
    return {
        "season": season,
        "is_seen": seen == season,
        "seen_season": seen,
        "records": archive["done"] if archive and is_archived else size and size["records"],
        "are_records_estimated": bool(size and size["are_records_estimated"]),
        "students": size and size["students"],
        "are_students_estimated": bool(size and size["are_students_estimated"]),
        "disk_mb": size and megabytes(size["bytes"]),
        "cached_students": cached and cached["students"],
        "cached_mb": cached and megabytes(cached["memory_bytes"]),
        "archive": archive
        and {
            "step": archive["step"],
            "done": archive["done"],
            "total": archive["total"],
            "is_running": archive["is_running"],
            "started_at": site_time(archive["started_at"]),
            "finished_at": site_time(archive["finished_at"]),
        },
        "jobs": latest_jobs(LATEST_JOBS, season=season),
    }
