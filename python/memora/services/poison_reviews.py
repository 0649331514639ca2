"""Poison Reviews: replayed once the obstacle is removed, or dismissed for a reason."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, TypedDict

import frappe
from frappe import _
from frappe.utils import now_datetime

from memora._engine import MemoraError
from memora.services.administrators import alert_administrators
from memora.services.counting import counted
from memora.services.engine import after_commit, engine
from memora.services.messages import translated
from memora.services.monitor import POISON, WAITING
from memora.services.srs_jobs import JobCancelled, at_work, request_job

if TYPE_CHECKING:
    from memora._engine import Engine, ReplayReport

REPLAY_JOB: Final = "memora.services.poison_reviews.replay_in_background"
LINK: Final = "/app/poison-review"
# More than this are replayed in the background: a caller would wait for seconds.
MOST_AT_ONCE: Final = 500


class Dismissal(TypedDict):
    """How many Poison Reviews were dismissed, and how many are unknown or do not wait."""

    dismissed: int
    unknown: int


def waiting() -> int:
    """How many Poison Reviews wait for an administrator."""
    return int(frappe.db.count(POISON, WAITING))


def replay_all(
    job: str | None = None, on_progress: Callable[[ReplayReport], object] | None = None
) -> ReplayReport:
    """Replay all that wait, as an SRS Job. Commits.

    Args:
        job: the SRS Job of the request; by default, a new one.
        on_progress: called after each piece of work; an exception from it ends the work.

    Raises:
        JobCancelled: an administrator has cancelled it.
        memora._engine.MemoraError: another process is replaying, or MariaDB is down.
    """
    with at_work("Replay", None, job) as work:
        report = engine().replay(None, work.progress_callback(on_progress))
        work.end("Done", summary(report), done=report["done"], total=report["total"])
    return report


def request_replay() -> str | None:
    """Queue the replay of all that wait. Returns the SRS Job; None if the queue is down."""
    return request_job("Replay", None, REPLAY_JOB)


def replay_in_background(season: None = None, job: str | None = None) -> None:
    """Replay all that wait, and tell administrators the result (background job)."""
    try:
        report = replay_all(job)
    except JobCancelled:
        return
    except MemoraError as error:
        cause = str(error)
        alert_administrators(
            lambda: (
                _("Not all Poison Reviews could be replayed"),
                _(
                    "Those that were replayed are saved. Replay the others again. The cause: {0}"
                ).format(translated(cause)),
            ),
            LINK,
        )
        return
    alert_administrators(
        lambda: (_("Poison Reviews were replayed"), summary(report)),
        LINK,
        is_good=not report["failed"],
    )


def dismiss(names: list[str], reason: str) -> Dismissal:
    """Give up records that wait: they are kept, with the reason. Does not commit.

    Their students' next reads show what the table has.
    """
    dismissed = 0
    for name in names:
        # This waits for a concurrent replay; a later one finds the record dismissed.
        found = frappe.db.get_value(
            POISON, {"name": name, **WAITING}, ["player", "season"], for_update=True
        )
        if not found:
            continue
        values = {
            "dismissed_at": now_datetime(),
            "dismissed_by": frappe.session.user,
            "dismissal_reason": reason,
        }
        frappe.db.set_value(POISON, name, values)
        after_commit(partial(_forget_cache, *found))
        dismissed += 1
    return {"dismissed": dismissed, "unknown": len(names) - dismissed}


def _forget_cache(player: str | None, season: str | None, engine: Engine) -> None:
    if player and season:
        engine.cache_clear(player, season)


def summary(report: ReplayReport) -> str:
    """The result of a replay, in a sentence."""
    parts = (
        counted(report["replayed"], _("1 was saved"), _("{0} were saved")),
        _("{0} still cannot be saved").format(f"{report['failed']:,}"),
        counted(report["unknown"], _("1 is unknown"), _("{0} are unknown")),
    )
    return str(_("{0}, {1}, {2}.").format(*parts))
