"""How a season schedules: training FSRS, and a simulation of each scheduler."""

from __future__ import annotations

from typing import Literal, TypedDict

import frappe

from memora.api.documents import as_season
from memora.api.jobs import queued
from memora.services import training
from memora.services.errors import frappe_errors
from memora.services.roles import MANAGERS
from memora.services.scheduler_report import ReportOfSeason, scheduler_report


class QueuedTraining(TypedDict):
    """A training, and its SRS Job."""

    season: str
    status: Literal["queued"]
    job: str


@frappe.whitelist(methods=["POST"])
@frappe_errors(for_students=False)
def request_training(season: str | None = None) -> QueuedTraining:
    """Train FSRS on the answers of a season, in the background. For Memora Managers.

    It trains for the season, and for each subject with a row of its own. New parameters are used
    only if they predict the newest fifth of the answers better, which training does not see.

    Returns: season; status: queued; job: the SRS Job, for get_job and cancel_job. A training that
        is queued or running is not queued again.

    Raises:
        frappe.DoesNotExistError: there is no such season.
        ReviewsUnavailable: the queue of background jobs is down.
    """
    frappe.only_for(MANAGERS)
    season = as_season(season)
    return {"season": season, "status": "queued", "job": queued(training.request_training(season))}


@frappe.whitelist(methods=["GET", "POST"])
@frappe_errors(for_students=False)
def get_scheduler_report(season: str | None = None) -> ReportOfSeason:
    """What the ladder as it is set, and FSRS, would do to a student of a season.

    For Memora Managers. The simulation takes about a second, however large the season is.

    Returns: season; message: what the estimate is made from; answers: how many of the season's
        newest were read; right: their share, and fast and slow: shares of the right ones, from 0
        to 1; is_assumed: there are too few answers, so an ordinary student is assumed; is_trained:
        the student remembers as the season's trained parameters say, otherwise as FSRS's defaults;
        questions and days of the season; students: how many were simulated; ways [{retention
        (None: the ladder), weeks: the mean reviews a day of each, reviews_a_day, busiest_day,
        right: 0 to 1, known: questions on the day after the last}].

    Raises:
        frappe.DoesNotExistError: there is no such season.
    """
    frappe.only_for(MANAGERS)
    return scheduler_report(as_season(season))
