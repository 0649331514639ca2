"""How the site's reviews do: what the SRS Monitor shows, and programs ask for."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import frappe
from frappe.utils import now_datetime

from memora._engine import ALARMING_PERCENT, MemoraError
from memora.services.engine import engine
from memora.services.partition_manager import SEASON
from memora.services.scheduler import scheduler_status
from memora.services.seasons import active_seasons
from memora.services.site_time import site_time
from memora.services.srs_jobs import JOB, latest_jobs

if TYPE_CHECKING:
    from memora._engine import Latency

POISON: Final = "Poison Review"
# Those that an administrator has to look at.
WAITING: Final = {"replayed_at": ("is", "not set"), "dismissed_at": ("is", "not set")}
MEGABYTE: Final = 1024 * 1024
LATEST_JOBS: Final = 20
# The points of a season's chart. Of many seasons each has fewer, but its last one always.
RECONCILIATIONS: Final = 60
MOST_RECONCILIATIONS: Final = 1_200
RECONCILED_DAYS: Final = 60


def cache_status() -> dict[str, Any]:
    """The cache, the journal and what waits; `memora.api.srs.get_cache_status` describes it."""
    unarchived = {"archive_status": ("is", "not set")}
    seasons = frappe.get_all(SEASON, filters=unarchived, pluck="name", order_by="start_date desc")
    cache = engine().cache_status(seasons)
    journal = engine().journal_status()
    cached = {name: found for name, found in cache["seasons"].items() if found["students"]}
    limit = cache["memory_limit_bytes"]
    return {
        "redis_connected": cache["reachable"],
        "is_safe_mode": cache["is_safe_mode"],
        "cause": cache["cause"],
        "memory_used_mb": _megabytes(cache["memory_bytes"]) if cache["reachable"] else None,
        "memory_limit_mb": _megabytes(limit) if limit else None,
        "maxmemory_policy": cache["maxmemory_policy"],
        "cache_warning": cache["warning"],
        "total_keys": sum(found["students"] for found in cached.values()),
        "keys_by_season": {name: found["students"] for name, found in cached.items()},
        "memory_mb_by_season": {
            name: _megabytes(found["memory_bytes"]) for name, found in cached.items()
        },
        "backlog": journal["backlog"],
        "backlog_age_seconds": round(journal["oldest_age_seconds"], 1),
        "journal": {
            name: journal[name]
            for name in (
                "reachable",
                "durable",
                "warning",
                "appendonly",
                "appendfsync",
                "maxmemory_policy",
                "kept_in_database",
                "is_clock_ahead",
            )
        },
        "poison_reviews": frappe.db.count(POISON, WAITING),
    }


def monitor() -> dict[str, Any]:
    """All that the SRS Monitor shows; `memora.api.srs.get_monitor` describes it."""
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
        "seasons": [{**season, "is_seen": int(season["name"] in seen)} for season in seasons],
    }


def latency() -> dict[str, Any]:
    """How long students' calls took, in the last hour and day; empty while the cache is away."""
    try:
        found = engine().latency()
    except MemoraError:
        return {"calls": [], "series": []}
    return {
        "calls": [{"call": name, **_brief(call)} for name, call in found["last_hour"].items()],
        "series": [
            {
                "at": site_time(slot["began_at"]),
                "calls": {name: _brief(call) for name, call in slot["calls"].items()},
            }
            for slot in found["series"]
        ],
    }


def discrepancies() -> list[dict[str, Any]]:
    """What the last reconciliations of each season found in 60 days, oldest first."""
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


def _brief(call: Latency) -> dict[str, float]:
    return {"count": call["count"], "p50_ms": call["p50_ms"], "p99_ms": call["p99_ms"]}


def _megabytes(count: int) -> float:
    return round(count / MEGABYTE, 2)
