"""The health of the site's reviews, for the SRS Monitor and for programs."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypedDict

import frappe
from frappe.utils import now_datetime

from memora._engine import ALARMING_PERCENT, MemoraError
from memora.services.engine import engine
from memora.services.messages import translated_warning
from memora.services.partition_manager import SEASON
from memora.services.scheduler import SchedulerStatus, scheduler_status
from memora.services.seasons import active_seasons
from memora.services.site_time import site_time
from memora.services.srs_jobs import JOB, Job, latest_jobs

if TYPE_CHECKING:
    from memora._engine import Latency, Replica

POISON: Final = "Poison Review"
# The filter for Poison Reviews that wait for an administrator.
WAITING: Final = {"replayed_at": ("is", "not set"), "dismissed_at": ("is", "not set")}
MEGABYTE: Final = 1024 * 1024
LATEST_JOBS: Final = 20
# The most points of a season's chart, and of all charts together; each season has at least one.
RECONCILIATIONS: Final = 60
MOST_RECONCILIATIONS: Final = 1_200
RECONCILED_DAYS: Final = 60
# The one kind among the engine's latencies that is not a call.
PERSISTENCE: Final = "persistence"
# This share of the submissions should be in MariaDB within this time.
IN_TIME_MS: Final = 300_000
IN_TIME_PERCENT: Final = 99


class JournalHealth(TypedDict):
    """The health of the journal: see `memora._engine.JournalStatus`."""

    reachable: bool
    durable: bool
    warning: str | None
    appendonly: bool
    appendfsync: str
    maxmemory_policy: str
    role: str
    replicas_asked: int
    replicas: list[Replica]
    kept_in_database: int
    saved_lately: int
    is_clock_ahead: bool


class Health(TypedDict):
    """The health of cache and journal, and what waits.

    Memory is that of the whole redis_cache; it is None if the server cannot be reached or has no
    limit. Keys are cached schedules, one for each student and season.
    """

    redis_connected: bool
    is_safe_mode: bool
    cause: str | None
    memory_used_mb: float | None
    memory_limit_mb: float | None
    maxmemory_policy: str
    cache_warning: str | None
    total_keys: int
    keys_by_season: dict[str, int]
    memory_mb_by_season: dict[str, float]
    backlog: int
    backlog_age_seconds: float
    journal: JournalHealth
    poison_reviews: int


class CallLatency(TypedDict):
    """How long calls of one kind took."""

    count: int
    p50_ms: float
    p99_ms: float


class NamedCallLatency(CallLatency):
    """How long calls took, and their kind."""

    call: str


class LatencyPoint(TypedDict):
    """Calls of ten minutes, by kind."""

    at: str | None
    calls: dict[str, CallLatency]


class LatencyChart(TypedDict):
    """Calls of the last hour, and of each ten minutes of a day.

    `saved_in_time_percent`: how many of the submissions that were saved in the last hour were in
    MariaDB within five minutes. None: there was none.
    """

    calls: list[NamedCallLatency]
    series: list[LatencyPoint]
    saved_in_time_percent: float | None


class Discrepancy(TypedDict):
    """The result of a reconciliation: the share of wrong records, with 95% confidence bounds."""

    job: str
    at: str | None
    season: str
    percent: float
    low_percent: float
    high_percent: float
    records: int
    is_sample: bool


class MonitoredSeason(TypedDict):
    """A season; `is_seen`: its questions are what students see."""

    name: str
    is_active: int
    enable_redis: int
    archive_status: str | None
    is_seen: int


class Monitor(TypedDict):
    """All that the SRS Monitor shows."""

    time: str
    status: Health
    scheduler: SchedulerStatus
    latency: LatencyChart
    discrepancies: list[Discrepancy]
    alarming_percent: float
    jobs: list[Job]
    seasons: list[MonitoredSeason]


def cache_status() -> Health:
    """The cache, the journal and what waits."""
    unarchived = {"archive_status": ("is", "not set")}
    seasons = frappe.get_all(SEASON, filters=unarchived, pluck="name", order_by="start_date desc")
    cache = engine().cache_status(seasons)
    journal = engine().journal_status()
    cached = {name: found for name, found in cache["seasons"].items() if found["students"]}
    limit = cache["memory_limit_bytes"]
    return {
        "redis_connected": cache["reachable"],
        "is_safe_mode": cache["is_safe_mode"],
        "cause": translated_warning(cache["cause"]),
        "memory_used_mb": megabytes(cache["memory_bytes"]) if cache["reachable"] else None,
        "memory_limit_mb": megabytes(limit) if limit else None,
        "maxmemory_policy": cache["maxmemory_policy"],
        "cache_warning": translated_warning(cache["warning"]),
        "total_keys": sum(found["students"] for found in cached.values()),
        "keys_by_season": {name: found["students"] for name, found in cached.items()},
        "memory_mb_by_season": {
            name: megabytes(found["memory_bytes"]) for name, found in cached.items()
        },
        "backlog": journal["backlog"],
        "backlog_age_seconds": round(journal["oldest_age_seconds"], 1),
        "journal": {
            "reachable": journal["reachable"],
            "durable": journal["durable"],
            "warning": translated_warning(journal["warning"]),
            "appendonly": journal["appendonly"],
            "appendfsync": journal["appendfsync"],
            "maxmemory_policy": journal["maxmemory_policy"],
            "role": journal["role"],
            "replicas_asked": journal["replicas_asked"],
            "replicas": journal["replicas"],
            "kept_in_database": journal["kept_in_database"],
            "saved_lately": journal["saved_lately"],
            "is_clock_ahead": journal["is_clock_ahead"],
        },
        "poison_reviews": frappe.db.count(POISON, WAITING),
    }


def monitor() -> Monitor:
    """All that the SRS Monitor shows."""
    fields = ["name", "is_active", "enable_redis", "archive_status"]
    seasons = frappe.get_all(SEASON, filters={}, fields=fields, order_by="start_date desc")
    seen = active_seasons()[:1]
    return {
        "time": str(now_datetime()),
        "status": cache_status(),
        "scheduler": scheduler_status(),
        "latency": latency(),
        "discrepancies": discrepancies(),
        "alarming_percent": ALARMING_PERCENT,
        "jobs": latest_jobs(LATEST_JOBS),
        "seasons": [
            {
                "name": season["name"],
                "is_active": season["is_active"],
                "enable_redis": season["enable_redis"],
                "archive_status": season["archive_status"],
                "is_seen": int(season["name"] in seen),
            }
            for season in seasons
        ],
    }


def latency() -> LatencyChart:
    """How long students' calls took, and submissions waited, in the last hour and the last day.

    Empty while the cache is down.
    """
    try:
        found = engine().latency()
    except MemoraError:
        return {"calls": [], "series": [], "saved_in_time_percent": None}
    return {
        "calls": [{"call": name, **_brief(call)} for name, call in found["last_hour"].items()],
        "series": [
            {
                "at": site_time(slot["began_at"]),
                "calls": {name: _brief(call) for name, call in slot["calls"].items()},
            }
            for slot in found["series"]
        ],
        "saved_in_time_percent": _in_time_percent(found["last_hour"].get(PERSISTENCE)),
    }


def _in_time_percent(saved: Latency | None) -> float | None:
    if saved is None:
        return None
    in_time = sum(count for milliseconds, count in saved["buckets"] if milliseconds <= IN_TIME_MS)
    return 100 * in_time / saved["count"]


def discrepancies() -> list[Discrepancy]:
    """The results of each season's last reconciliations within 60 days, oldest first."""
    fields = [
        "name",
        "finished_at",
        "season",
        "percent_differing",
        "percent_low",
        "percent_high",
        "records",
    ]
    done = frappe.get_all(
        JOB,
        filters={
            "kind": "Reconciliation",
            "status": "Done",
            "records": (">", 0),
            "creation": (">", now_datetime() - timedelta(days=RECONCILED_DAYS)),
        },
        fields=fields,
        order_by="creation desc",
    )
    by_season = defaultdict(list)
    for job in done:
        by_season[job["season"]].append(job)
    most = max(1, min(RECONCILIATIONS, MOST_RECONCILIATIONS // max(len(by_season), 1)))
    kept = [job for jobs in by_season.values() for job in jobs[:most]]
    return [
        {
            "job": job["name"],
            "at": job["finished_at"] and str(job["finished_at"]),
            "season": job["season"],
            "percent": job["percent_differing"],
            "low_percent": job["percent_low"],
            "high_percent": job["percent_high"],
            "records": job["records"],
            "is_sample": job["percent_low"] < job["percent_high"],
        }
        for job in sorted(kept, key=lambda job: str(job["finished_at"]))
    ]


def _brief(call: Latency) -> CallLatency:
    return {"count": call["count"], "p50_ms": call["p50_ms"], "p99_ms": call["p99_ms"]}


def megabytes(count: int) -> float:
    """Bytes as megabytes, with two decimals."""
    return round(count / MEGABYTE, 2)
