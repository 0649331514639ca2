"""Training FSRS on the answers of a season, and storing the result."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, TypedDict

import frappe
from frappe import _
from frappe.utils import now

from memora._engine import MemoraError
from memora.services.administrators import alert_administrators
from memora.services.counting import answers
from memora.services.engine import engine
from memora.services.messages import translated
from memora.services.partition_manager import SEASON
from memora.services.srs_jobs import JobCancelled, at_work, request_job

if TYPE_CHECKING:
    from collections.abc import Callable

    from memora._engine import FitOfAnswers, Training, TrainingProgress

TRAIN_JOB: Final = "memora.services.training.train_in_background"
# As in `src/rules/training.rs`.
FEWEST_PREDICTED: Final = 1_000
# Digits of parameters and figures that are kept.
DIGITS: Final = 6
TRIES: Final = 3


class KeptTraining(TypedDict):
    """How well parameters predict, as stored in the season: see `memora._engine.Training`."""

    subject: str | None
    answers: int
    predicted: int
    held_out: int
    before: FitOfAnswers | None
    after: FitOfAnswers | None
    is_used: bool


class LastTraining(TypedDict):
    """The field `fsrs_training` of a season, as JSON; `at` is in the site's time zone."""

    at: str
    found: list[KeptTraining]


def train_season(
    season: str,
    job: str | None = None,
    on_progress: Callable[[TrainingProgress], object] | None = None,
    share: float = 1.0,
) -> list[Training]:
    """Train FSRS on a season's answers, and use the parameters that predict better. Commits.

    It trains for the season, and for each subject with a row of its own. The figures are stored in
    the season's field `fsrs_training`.

    Args:
        season: its name, archived or not.
        job: the SRS Job of the request.
        on_progress: called after each piece of work; an exception from it ends the work.
        share: of the time in which MariaDB is read.

    Raises:
        JobCancelled: an administrator has cancelled it; nothing has changed.
        memora._engine.MemoraError: another process is training, or MariaDB is down.
    """
    with at_work("Training", season, job) as work:
        steps = {"reading": _("Reading answers"), "computing": _("Computing")}

        def report(progress: TrainingProgress) -> None:
            work.report_progress(progress["done"], progress["total"], steps[progress["step"]])
            if on_progress:
                on_progress(progress)

        found = engine().train(season, report, share)
        _keep(season, found)
        count = sum(each["answers"] for each in found)
        work.end("Done", summary(found), done=count, total=count)
    return found


def train_in_background(season: str, job: str | None = None) -> None:
    """Train FSRS on a season's answers (background job); a failure is reported."""
    try:
        train_season(season, job)
    except JobCancelled:
        pass
    except MemoraError as error:
        cause = str(error)
        alert_administrators(
            lambda: (
                _("FSRS could not be trained on the answers of {0}").format(season),
                _("The parameters stay as they are. The cause: {0}").format(translated(cause)),
            ),
            "/app/srs-job",
        )


def train_weekly() -> None:
    """Train FSRS for each active season with `train_weekly` set (weekly)."""
    wanted = {"train_weekly": 1, "is_active": 1, "archive_status": ("is", "not set")}
    for season in frappe.get_all(SEASON, filters=wanted, pluck="name"):
        train_in_background(str(season))


def request_training(season: str) -> str | None:
    """Queue a training. Returns the SRS Job; None if the queue is down."""
    return request_job("Training", season, TRAIN_JOB)


def _keep(season: str, found: list[Training]) -> None:
    """Write the result into the season, as its form does. Commits.

    If somebody saves the season at the same moment, it is read and written again.
    """
    # To see what others have committed since this transaction began.
    frappe.db.commit()
    for remaining in reversed(range(TRIES)):
        try:
            document = frappe.get_doc(SEASON, season)
            rows = {row.subject: row for row in document.subject_ladders or []}
            for each in found:
                place = document if each["subject"] is None else rows.get(each["subject"])
                if place and each["parameters"] and each["is_better"]:
                    numbers = [round(number, DIGITS) for number in each["parameters"]]
                    place.fsrs_parameters = json.dumps(numbers)
            kept: LastTraining = {"at": now(), "found": [_kept(each) for each in found]}
            document.fsrs_training = json.dumps(kept)
            document.flags.memora_training = True
            document.save(ignore_permissions=True)
            frappe.db.commit()
            return
        except frappe.TimestampMismatchError:
            frappe.db.rollback()
            if not remaining:
                raise


def _kept(found: Training) -> KeptTraining:
    return {
        "subject": found["subject"],
        "answers": found["answers"],
        "predicted": found["predicted"],
        "held_out": found["held_out"],
        "before": _rounded(found["before"]),
        "after": _rounded(found["after"]),
        "is_used": found["is_better"],
    }


def _rounded(fit: FitOfAnswers | None) -> FitOfAnswers | None:
    return fit and {
        "log_loss": round(fit["log_loss"], DIGITS),
        "rmse_of_bins": round(fit["rmse_of_bins"], DIGITS),
        "auc": round(fit["auc"], DIGITS),
    }


def summary(found: list[Training]) -> str:
    """The result, in a sentence or two for the season and for each subject."""
    return " ".join(_summary(each) for each in found)


def _summary(found: Training) -> str:
    before, after = found["before"], found["after"]
    if not before or not after:
        text = _(
            "Too few answers to train on: {0} of {1} that are needed. Nothing has changed."
        ).format(f"{found['predicted']:,}", f"{FEWEST_PREDICTED:,}")
    else:
        values = (
            f"{before['log_loss']:.4f}",
            f"{after['log_loss']:.4f}",
            answers(found["held_out"]),
        )
        text = (
            _(
                "The log loss falls from {0} to {1} on {2} that training did not see: the new "
                "parameters are used."
            )
            if found["is_better"]
            else _(
                "The log loss would change from {0} to {1} on {2} that training did not see: the "
                "parameters stay."
            )
        ).format(*values)
    return f"{found['subject']}: {text}" if found["subject"] else str(text)
