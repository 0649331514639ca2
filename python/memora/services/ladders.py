"""The scheduling settings of a season's form, as the engine reads them."""

from __future__ import annotations

import json
from typing import Final, Protocol

from frappe import _
from frappe.utils import flt

from memora.services.errors import throw
from memora.services.fsrs_settings import (
    LONGEST_INTERVAL_DAYS,
    RETENTION,
    FsrsForm,
    fsrs_of,
    parameters_of,
)

FEWEST_RUNGS: Final = 4
MOST_RUNGS: Final = 6
LONGEST_DAYS: Final = 365
LONGEST_SECONDS: Final = 3600
FAST_SECONDS: Final = 2.0
SLOW_SECONDS: Final = 6.0
DAYS: Final = "1, 3, 7, 14"
DEFAULTS: Final[dict[str, object]] = {
    "fast_seconds": FAST_SECONDS,
    "slow_seconds": SLOW_SECONDS,
    "ladder_days": DAYS,
    "desired_retention": RETENTION,
    "longest_interval_days": LONGEST_INTERVAL_DAYS,
}

Ladder = dict[str, object]


class Form(FsrsForm, Protocol):
    """A season, or a row of its table of subjects."""

    fast_seconds: float | None
    slow_seconds: float | None
    ladder_days: str | None


class SubjectForm(Form, Protocol):
    """A row of the table of subjects."""

    subject: str


class SeasonForm(Form, Protocol):
    """A season."""

    subject_ladders: list[SubjectForm] | None


def fill_cleared(season: SeasonForm) -> None:
    """Give each field that was cleared its default.

    Frappe would save an empty number as 0, which is a different setting.
    """
    for form in (season, *(season.subject_ladders or [])):
        for name, default in DEFAULTS.items():
            if getattr(form, name) in (None, ""):
                setattr(form, name, default)


def scheduling_of(season: SeasonForm) -> str | None:
    """How a season and its subjects schedule, as JSON, or None if everything is the default.

    Raises `frappe.ValidationError` if a setting breaks a rule.
    """
    own = _chosen(season)
    subjects: dict[str, Ladder] = {}
    for row in season.subject_ladders or []:
        if row.subject in subjects:
            throw(_("{0} has two ladders. Remove one of them.").format(row.subject))
        subjects[row.subject] = _chosen(row)
    if not subjects and own == _ladder_of(FAST_SECONDS, SLOW_SECONDS, _days(DAYS)):
        return None
    return json.dumps({"ladder": own, "subjects": subjects}, separators=(",", ":"))


def highest_stability(scheduling: str | None) -> int:
    """How many rungs the longest ladder of a season has, from its field `scheduling`."""
    if not scheduling:
        return FEWEST_RUNGS
    found = json.loads(scheduling)
    return max(len(ladder["days"]) for ladder in (found["ladder"], *found["subjects"].values()))


def _chosen(form: Form) -> Ladder:
    """A ladder, with FSRS's settings if it is chosen, and its parameters if it was trained."""
    chosen = _ladder(form)
    if fsrs := fsrs_of(form):
        chosen["fsrs"] = fsrs
    if parameters := parameters_of(form):
        chosen["parameters"] = parameters
    return chosen


def _ladder(form: Form) -> Ladder:
    fast = FAST_SECONDS if form.fast_seconds is None else flt(form.fast_seconds)
    slow = SLOW_SECONDS if form.slow_seconds is None else flt(form.slow_seconds)
    if not (0 <= fast <= slow <= LONGEST_SECONDS and slow > 0):
        throw(
            _(
                "A slow answer takes more than 0 and at most {0} seconds, and a fast one no longer "
                "than that."
            ).format(LONGEST_SECONDS)
        )
    days = _days(form.ladder_days or DAYS)
    if not FEWEST_RUNGS <= len(days) <= MOST_RUNGS:
        throw(_("A ladder has {0} to {1} rungs.").format(FEWEST_RUNGS, MOST_RUNGS))
    if days[0] < 1 or days[-1] > LONGEST_DAYS or days != sorted(days):
        throw(
            _("Each rung has 1 to {0} days, and no fewer than the rung below it.").format(
                LONGEST_DAYS
            )
        )
    return _ladder_of(fast, slow, days)


def _ladder_of(fast: float, slow: float, days: list[int]) -> Ladder:
    return {"fast_ms": round(fast * 1000), "slow_ms": round(slow * 1000), "days": days}


def _days(text: str) -> list[int]:
    # A person may type the digits and the comma of Arabic.
    parts = [part.strip() for part in text.replace("،", ",").split(",")]
    if not all(part.isdecimal() and len(part) <= 4 for part in parts):
        throw(_("The days of the rungs are whole numbers with commas between them."))
    return [int(part) for part in parts]
