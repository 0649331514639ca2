"""The monitor's figures in Prometheus' text format, by Prometheus' own library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

from memora._engine import MemoraError
from memora.services.engine import engine
from memora.services.monitor import (
    MEGABYTE,
    PERSISTENCE,
    Health,
    cache_status,
    discrepancies,
)
from memora.services.scheduler import scheduler_status

if TYPE_CHECKING:
    from prometheus_client import Metric

    from memora._engine import Latency

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


def metrics_text() -> str:
    """The site's metrics now."""
    registry = CollectorRegistry()
    registry.register(_Site())
    return generate_latest(registry).decode()


class _Site(Collector):
    """Asks the servers whenever Prometheus asks."""

    def describe(self) -> list[Metric]:
        """Nothing: registering must not ask the servers."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every metric."""
        status = cache_status()
        yield from _gauges(status)
        yield _by_season(
            "cached_schedules", "Students whose schedule is cached", status["keys_by_season"]
        )
        memory = {name: size * MEGABYTE for name, size in status["memory_mb_by_season"].items()}
        yield _by_season("cached_schedules_bytes", "Memory of cached schedules, estimated", memory)
        latest = {each["season"]: each["percent"] / 100 for each in discrepancies()}
        yield _by_season(
            "discrepancy_ratio",
            "Share of cached records that the last reconciliation found wrong",
            latest,
        )
        yield from _latency()


def _gauges(status: Health) -> Iterator[Metric]:
    journal = status["journal"]
    scheduler = scheduler_status()
    for name, meaning, value in (
        ("cache_up", "1 when redis_cache answers", status["redis_connected"]),
        ("safe_mode", "1 while reads come from MariaDB, few a minute", status["is_safe_mode"]),
        (
            "cache_memory_bytes",
            "Memory that redis_cache uses",
            (status["memory_used_mb"] or 0) * MEGABYTE,
        ),
        ("journal_up", "1 when redis_queue answers", journal["reachable"]),
        (
            "journal_durable",
            "1 when no setting of redis_queue puts unsaved answers at risk",
            journal["durable"],
        ),
        ("backlog_submissions", "Submissions that are not in MariaDB yet", status["backlog"]),
        ("backlog_age_seconds", "Age of the oldest of them", status["backlog_age_seconds"]),
        (
            "scheduler_running",
            "1 when Frappe's scheduler does what is due each minute",
            scheduler["state"] == "running",
        ),
        (
            "poison_reviews",
            "Records set aside that wait for an administrator",
            status["poison_reviews"],
        ),
    ):
        yield GaugeMetricFamily(f"memora_{name}", meaning, value=float(value))


def _by_season(name: str, meaning: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"memora_{name}", meaning, labels=["season"])
    for season, value in values.items():
        family.add_metric([season], value)
    return family


def _latency() -> Iterator[Metric]:
    meaning = "How long students' calls took in the engine, since redis_cache was empty"
    calls = HistogramMetricFamily("memora_call_seconds", meaning, labels=["call"])
    meaning = "How long acknowledged submissions waited to be in MariaDB, since then"
    persistence = HistogramMetricFamily("memora_persistence_seconds", meaning)
    try:
        found = engine().latency()["all"]
    except MemoraError:
        found = {}
    for name, call in found.items():
        seconds = call["sum_ms"] / 1e3
        if name == PERSISTENCE:
            persistence.add_metric([], _buckets(call), sum_value=seconds)
        else:
            calls.add_metric([name], _buckets(call), sum_value=seconds)
    yield calls
    yield persistence


def _buckets(call: Latency) -> list[tuple[str, float]]:
    bounds = [_bound(milliseconds) for milliseconds, _count in call["buckets"]]
    counts = accumulate(count for _milliseconds, count in call["buckets"])
    return list(zip(bounds, counts, strict=True))


def _bound(milliseconds: float) -> str:
    return "+Inf" if milliseconds == float("inf") else f"{milliseconds / 1e3:g}"
