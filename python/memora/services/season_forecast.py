"""About how many reviews of a season are due on each of the next days, for administrators."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from frappe import _

from memora.services.counting import students
from memora.services.engine import engine

if TYPE_CHECKING:
    from memora._engine import DueOnDay


class SeasonForecast(TypedDict):
    """Reviews due a day, estimated for the students of a season: see `memora._engine`.

    Without a cached student there are no days. `message` says what the estimate covers and is made
    from, or why there is none.
    """

    season: str | None
    days: list[DueOnDay]
    total: int
    overdue: int
    sampled_students: int
    cached_students: int
    students: int | None
    message: str


def season_forecast(season: str | None, days: int) -> SeasonForecast:
    """The forecast of a season, in milliseconds however large it is.

    Args:
        season: the name of one that uses the cache; None: no season is active.
        days: 1 to 365; the first is today.

    Raises:
        memora._engine.MemoraError: the cache or MariaDB is down.
    """
    if season is None:
        return {
            "season": None,
            "days": [],
            "total": 0,
            "overdue": 0,
            "sampled_students": 0,
            "cached_students": 0,
            "students": 0,
            "message": _("No season is active: no student has anything to review."),
        }
    found = engine().season_forecast(season, days)
    sampled = found["sampled_students"]
    if sampled:
        message = basis(sampled, found["cached_students"], found["students"])
        return {**found, "season": season, "message": message}
    text = _("No student of {0} is cached yet, and a forecast is made from those.")
    return {**found, "season": season, "days": [], "message": text.format(season)}


def basis(sampled: int, cached: int, all_students: int | None) -> str:
    """A sentence that says which students an estimate covers, and is made from."""
    if all_students is None:
        text = _("Estimated for {0} who are cached, from the schedules of {1} of them.")
        return str(text).format(students(cached), f"{sampled:,}")
    text = _("Estimated for {0}, from the schedules of {1} of {2} who are cached.")
    return str(text).format(students(all_students), f"{sampled:,}", f"{cached:,}")
