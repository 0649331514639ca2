"""Comparing what is cached with the database, and correcting it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, TypedDict

import frappe
from frappe import _

from memora._engine import MemoraError
from memora.services.administrators import alert_administrators
from memora.services.counting import counted, records, students
from memora.services.engine import engine
from memora.services.messages import translated
from memora.services.partition_manager import SEASON
from memora.services.srs_jobs import FOUND, JOB, JobCancelled, at_work, request_job

if TYPE_CHECKING:
    from collections.abc import Callable

    from memora._engine import Reconciliation

SAMPLE_SIZE: Final = 10_000
# A request compares at most this many; more is done in the background.
SMALLEST_SAMPLE: Final = 100
LARGEST_SAMPLE: Final = 100_000
REQUEST_SECONDS: Final = 20.0
RECONCILE_JOB: Final = "memora.services.srs_reconciliation.reconcile_in_background"


class Report(TypedDict):
    """What was found, over all seasons that were compared.

    sample_size: how many records were compared. discrepancies_found: how many of them differed.
    discrepancy_rate: their share, from 0 to 1. auto_corrected: how many were corrected: all that
    differed. alert_triggered: so much differed that administrators were notified. seasons: the
    result of each.
    """

    sample_size: int
    discrepancies_found: int
    discrepancy_rate: float
    auto_corrected: int
    alert_triggered: bool
    seasons: dict[str, Reconciliation]


class TookTooLong(JobCancelled):
    """A reconciliation took longer than a request may."""


def reconcile_cache_with_database(
    sample_size: int = SAMPLE_SIZE, season: str | None = None
) -> Report:
    """Compare and correct one season's cache, or all that have schedules (daily). Commits.

    Args:
        sample_size: compare random students who together have about this many records; 0: all that
            are cached.
        season: name of a season that uses the cache.

    Returns: what was found in the seasons that did not fail; for the others there are an SRS Job
        and a notification of administrators.
    """
    return report_of(reconcile_seasons(sample_size, season))


def reconcile_at_once(sample_size: int, seasons: list[str]) -> Report:
    """Compare and correct samples of some seasons while a request waits. Commits.

    Args:
        sample_size: as for `reconcile_cache_with_database`, of each season.
        seasons: names of seasons that use the cache.

    Raises:
        TookTooLong: it took longer than 20 seconds. What was corrected by then stays.
        memora._engine.MemoraError: a season does not use the cache, or a server is down.
    """
    until = time.monotonic() + REQUEST_SECONDS

    def check_time(_found: Reconciliation) -> None:
        if time.monotonic() >= until:
            raise TookTooLong

    return report_of(
        {
            name: reconcile_season(name, sample_size=sample_size, on_progress=check_time)
            for name in seasons
        }
    )


def report_of(found: dict[str, Reconciliation]) -> Report:
    """The sum of what was found of some seasons."""
    records = sum(each["records"] for each in found.values())
    differing = sum(
        each[kind]
        for each in found.values()
        for kind in ("missing", "ghost", "wrong_date", "wrong_state")
    )
    return {
        "sample_size": records,
        "discrepancies_found": differing,
        "discrepancy_rate": differing / records if records else 0.0,
        "auto_corrected": differing,
        "alert_triggered": any(each["is_alarming"] for each in found.values()),
        "seasons": found,
    }


def reconcile_seasons(
    sample_size: int = SAMPLE_SIZE, season: str | None = None
) -> dict[str, Reconciliation]:
    """What `reconcile_cache_with_database` finds, by season."""
    found = {}
    for name in [season] if season else _cached_seasons():
        if report := reconcile_in_background(name, sample_size=sample_size):
            found[name] = report
    return found


def reconcile_in_background(
    season: str, job: str | None = None, sample_size: int | None = None
) -> Reconciliation | None:
    """Compare and correct the cache of a season (background job); None if it failed.

    Args:
        season: its name.
        job: the SRS Job of the request, which has the sample size.
        sample_size: as for `reconcile_cache_with_database`.
    """
    try:
        return reconcile_season(season, job, sample_size)
    except JobCancelled:
        return None
    except MemoraError as error:
        cause = str(error)
        alert_administrators(
            lambda: (
                _("{0} could not be reconciled").format(season),
                _("memora tries again tomorrow. The cause: {0}").format(translated(cause)),
            ),
            "/app/srs-monitor",
        )
        return None


def reconcile_season(
    season: str,
    job: str | None = None,
    sample_size: int | None = None,
    on_progress: Callable[[Reconciliation], object] | None = None,
    share: float = 1.0,
) -> Reconciliation:
    """Compare and correct the cache of a season; notify administrators if much differs. Commits.

    Args:
        season: its name.
        job: the SRS Job of the request, which has the sample size.
        sample_size: as for `reconcile_cache_with_database`.
        on_progress: called after each piece of work; an exception from it ends the work.
        share: of the time in which the servers work on it.

    Raises:
        JobCancelled: an administrator has cancelled it.
        memora._engine.MemoraError: the season does not use the cache, or a server is down.
    """
    if job:
        sample_size = frappe.db.get_value(JOB, job, "sample_size")
    elif sample_size is None:
        sample_size = SAMPLE_SIZE
    with at_work("Reconciliation", season, job, sample_size=sample_size) as work:
        found = engine().reconcile(
            season, sample_size or None, work.progress_callback(on_progress), share
        )
        kept = {name: value for name, value in found.items() if name in {"done", "total", *FOUND}}
        work.end("Done", summary(found), **kept)
    if found["offered"]:
        alert_administrators(
            lambda: (
                _("memora: redis_queue had lost answers of {0}").format(season),
                summary(found),
            ),
            "/app/srs-monitor",
        )
    if found["is_alarming"]:
        alert_administrators(
            lambda: (
                _("memora: the cache of {0} differs from the database").format(season),
                _(
                    "{0} memora has corrected it. Find what writes to the records past memora. "
                    "If it happens again, rebuild the cache."
                ).format(summary(found)),
            ),
            "/app/srs-monitor",
        )
    return found


def request_reconciliation(season: str, sample_size: int) -> str | None:
    """Queue a reconciliation. Returns the SRS Job; None if the queue is down."""
    return request_job("Reconciliation", season, RECONCILE_JOB, sample_size=sample_size)


def seasons_to_reconcile() -> list[str]:
    """Seasons that use the cache and are not archived."""
    cached = {"enable_redis": 1, "archive_status": ("is", "not set")}
    return [str(name) for name in frappe.get_all(SEASON, filters=cached, pluck="name")]


def _cached_seasons() -> list[str]:
    """Seasons with cached schedules: the others need no daily job."""
    status = engine().cache_status(seasons_to_reconcile())
    if not status["reachable"]:
        alert_administrators(
            lambda: (
                _("The caches could not be reconciled"),
                _("memora tries again tomorrow. The cause: {0}").format(
                    translated(str(status["cause"]))
                ),
            ),
            "/app/srs-monitor",
        )
    return [name for name, found in status["seasons"].items() if found["students"]]


def summary(found: Reconciliation) -> str:
    """What was found, in a sentence or two."""
    differing = sum(found[name] for name in ("missing", "ghost", "wrong_date", "wrong_state"))
    kinds = (
        counted(found["missing"], _("1 missing"), _("{0} missing")),
        counted(found["ghost"], _("1 ghost"), _("{0} ghosts")),
        counted(found["wrong_date"], _("1 wrong date"), _("{0} wrong dates")),
        counted(found["wrong_state"], _("1 wrong state"), _("{0} wrong states")),
    )
    sentences = [
        counted(
            differing,
            _("1 of {1} of {2} differs: {3}, {4}, {5}, {6}."),
            _("{0} of {1} of {2} differ: {3}, {4}, {5}, {6}."),
            records(found["records"]),
            students(found["students"]),
            *kinds,
        )
    ]
    if found["percent_low"] < found["percent_high"]:
        bounds = f"{found['percent_low']:.3f}", f"{found['percent_high']:.3f}"
        sentences.append(_("Of all records, {0}% to {1}% (95% confidence).").format(*bounds))
    if found["half_filled"]:
        half_filled = counted(
            found["half_filled"],
            _("1 schedule was only half filled."),
            _("{0} schedules were only half filled."),
        )
        sentences.append(half_filled)
    if found["void"]:
        void = counted(
            found["void"],
            _("1 schedule is void, as after an outage of redis_cache: the next read loads it."),
            _(
                "{0} schedules are void, as after an outage of redis_cache: "
                "the next read loads them."
            ),
        )
        sentences.append(void)
    if found["offered"]:
        offered = counted(
            found["offered"],
            _("1 answer was in the cache alone: redis_queue had lost it. It is saved again."),
            _(
                "{0} answers were in the cache alone: redis_queue had lost them. "
                "They are saved again."
            ),
        )
        sentences.append(offered)
    return " ".join(sentences)
