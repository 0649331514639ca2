"""The FSRS settings of a season's form, as the engine reads them."""

from __future__ import annotations

import json
from typing import Final, Protocol, TypedDict

from frappe import _
from frappe.utils import cint, flt

from memora.services.errors import throw

LADDER: Final = "Ladder"
FSRS: Final = "FSRS"
LOWEST_RETENTION: Final = 0.7
HIGHEST_RETENTION: Final = 0.97
RETENTION: Final = 0.9
LONGEST_INTERVAL_DAYS: Final = 365
MOST_INTERVAL_DAYS: Final = 36_500
PARAMETERS: Final = 21
MOST_OF_A_PARAMETER: Final = 3e38


class Fsrs(TypedDict):
    """The settings by which FSRS computes dates."""

    retention: float
    longest_days: int


class FsrsForm(Protocol):
    """A season, or a row of its table of subjects."""

    scheduler: str | None
    desired_retention: float | None
    longest_interval_days: int | None
    fsrs_parameters: str | None


def fsrs_of(form: FsrsForm) -> Fsrs | None:
    """The settings of FSRS; None where dates come from the ladder.

    Raises `frappe.ValidationError` if a setting breaks a rule.
    """
    if (form.scheduler or LADDER) not in (LADDER, FSRS):
        throw(_("The scheduler is {0} or {1}.").format(LADDER, FSRS))
    if form.scheduler != FSRS:
        return None
    retention = (
        RETENTION if form.desired_retention is None else round(flt(form.desired_retention), 4)
    )
    if not LOWEST_RETENTION <= retention <= HIGHEST_RETENTION:
        throw(
            _("The desired retention is from {0} to {1}.").format(
                f"{LOWEST_RETENTION:.2f}", f"{HIGHEST_RETENTION:.2f}"
            )
        )
    given = form.longest_interval_days
    longest = LONGEST_INTERVAL_DAYS if given is None else cint(given)
    if not 1 <= longest <= MOST_INTERVAL_DAYS:
        throw(_("The longest interval is from 1 to {0} days.").format(MOST_INTERVAL_DAYS))
    return {"retention": retention, "longest_days": longest}


def parameters_of(form: FsrsForm) -> list[float] | None:
    """The trained parameters; None where there are none.

    Raises `frappe.ValidationError` if they are not parameters of FSRS.
    """
    if not form.fsrs_parameters:
        return None
    try:
        found = json.loads(form.fsrs_parameters)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or len(found) != PARAMETERS or not all(map(_is_number, found)):
        throw(_("FSRS has {0} parameters: a list of numbers in JSON.").format(PARAMETERS))
    return [float(number) for number in found]


def _is_number(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # The engine computes in single precision.
    return is_number and abs(float(str(value))) < MOST_OF_A_PARAMETER
