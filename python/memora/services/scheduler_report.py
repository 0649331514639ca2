"""What each way to schedule would do to a season, before one is chosen."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, TypedDict

import frappe
from frappe import _
from frappe.utils import getdate

from memora.services.counting import answers
from memora.services.engine import engine
from memora.services.partition_manager import SEASON

if TYPE_CHECKING:
    from memora._engine import ReportedWay


class ReportOfSeason(TypedDict):
    """`memora._engine.SchedulerReport`, the season, and what the estimate is made from."""

    season: str
    message: str
    answers: int
    is_assumed: bool
    right: float
    fast: float
    slow: float
    questions: int
    days: int
    students: int
    is_trained: bool
    ways: list[ReportedWay]


def scheduler_report(season: str) -> ReportOfSeason:
    """What the ladder as it is set, and FSRS, would do to a student of a season, in about a second.

    Args:
        season: the name of one that exists.

    Raises:
        memora._engine.MemoraError: MariaDB is down.
    """
    start, end, parameters = frappe.db.get_value(
        SEASON, season, ["start_date", "end_date", "fsrs_parameters"]
    )
    day_after = getdate(end) + timedelta(days=1)
    days = (day_after - getdate(start)).days
    found = engine().scheduler_report(season, days, f"{day_after} 00:00:00")
    if found["is_assumed"]:
        message = _(
            "The season has too few answers yet: an ordinary student is assumed, who answers a "
            "fifth at once and a sixth slowly."
        )
    else:
        message = _("Estimated from the last {0} of the season.").format(answers(found["answers"]))
    return {"season": season, "message": message, "is_trained": bool(parameters), **found}
