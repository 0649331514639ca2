"""What the site's own code calls in the course of lessons, and what administrators call."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

import frappe
from frappe import _

from memora.api.arguments import (
    as_json,
    as_names,
    as_player,
    as_required_text,
    as_text,
    as_whole_number,
    check_confirmed,
)
from memora.services.engine import engine
from memora.services.errors import ReviewsUnavailable, frappe_errors, refuse
from memora.services.partition_manager import SEASON
from memora.services.site_time import site_time
from memora.services.srs_archiver import SRSArchiver, request_archive, request_deletion
from memora.services.srs_persistence import request_drain

if TYPE_CHECKING:
    from memora._engine import ReplayReport, SubmitAnswer

ADMINISTRATOR: Final = "System Manager"
POISON: Final = "Poison Review"
LONGEST_PAGE: Final = 500


@frappe_errors()
def process_srs_batch(
    user: str, interactions: Sequence[Mapping[str, Any]], subject: str | None = None, topic: str | None = None
) -> dict[str, Any]:
    """Take a lesson's interactions: they bring its questions into the student's reviews.

    For the site's lesson code only, which knows the student: it cannot be called over HTTP.

    Args:
        user: the student.
        interactions: at most 50 of {question_id, duration_ms | time_spent_ms, attempts_count}.
        subject: Game Subject of these questions.
        topic: Game Topic of these questions.

    Returns: status, processed, persistence_job_id, remaining_items, new_stability_counts.
    """
    interactions_json = as_json("interactions", list(interactions)) or "[]"
    submitted = engine().rate(
        as_player(user), interactions_json, as_text("subject", subject), as_text("topic", topic)
    )
    return acknowledgement(submitted)


def acknowledgement(submitted: SubmitAnswer) -> dict[str, Any]:
    """What the caller is told of a submission that is durable; queues the drain where one is wanted."""
    if submitted["drain_wanted"]:
        request_drain()
    return {
        "status": "success",
        "processed": submitted["processed"],
        "persistence_job_id": submitted["persistence_job_id"],
        "remaining_items": submitted["remaining_items"],
        "new_stability_counts": submitted["new_stability_counts"],
    }


@frappe.whitelist(methods=["GET", "POST"])
@frappe_errors()
def get_poison_reviews(limit: int | str = 50, start: int | str = 0) -> dict[str, Any]:
    """Acknowledged records that could not be saved and were not replayed yet, newest first.

    For System Managers.

    Args:
        limit: most of them, 1 to 500.
        start: how many to pass over.

    Returns: poison_reviews [{name, player, season, question_id, job_id, set_aside_at, reason}], and total,
        which counts past the limit.
    """
    frappe.only_for(ADMINISTRATOR)
    filters = {"replayed_at": ("is", "not set")}
    fields = ["name", "player", "season", "question_id", "job_id", "set_aside_at", "reason"]
    found = frappe.get_all(
        POISON,
        filters=filters,
        fields=fields,
        order_by="set_aside_at desc, name desc",
        limit_page_length=as_whole_number("limit", limit, 1, LONGEST_PAGE),
        limit_start=as_whole_number("start", start, 0),
    )
    return {"poison_reviews": found, "total": frappe.db.count(POISON, filters)}


@frappe.whitelist(methods=["POST"])
@frappe_errors()
def replay_poison_reviews(names: str | list[str] | None = None) -> ReplayReport:
    """Save records after all that were set aside, once what was in their way is gone.

    For System Managers. A newer state of a record stays as it is. What still cannot be saved keeps
    waiting, with its new reason.

    Args:
        names: names of Poison Reviews, as a list or as JSON; without it all that wait.

    Returns: replayed, failed, and unknown: no Poison Review of that name, or replayed before.
    """
    frappe.only_for(ADMINISTRATOR)
    return engine().replay(as_names("names", names))


@frappe.whitelist(methods=["POST"])
@frappe_errors()
def archive_season(season: str, confirm: bool | int | str = False) -> dict[str, str]:
    """Archive a season in the background, or go on with what was begun.

    For System Managers. Its records move to Archived Memory Tracker and cannot be moved back.

    Args:
        season: name of a season that is not active.
        confirm: has to be true.

    Returns: season, and status: queued, or Archived when it is.

    Raises:
        frappe.ValidationError: not confirmed, or the season is active.
        frappe.DoesNotExistError: there is no such season.
        ReviewsUnavailable: the queue of background jobs is down.
    """
    frappe.only_for(ADMINISTRATOR)
    season = as_season(season)
    check_confirmed(
        confirm, _("The records of {0} move to the archive and cannot be moved back.").format(season)
    )
    is_active, status = frappe.db.get_value(SEASON, season, ["is_active", "archive_status"])
    if status == "Archived":
        return {"season": season, "status": status}
    if is_active:
        refuse(_("{0} is active: end it first, then archive it.").format(season))
    if not request_archive(season):
        refuse_without_queue()
    return {"season": season, "status": "queued"}


@frappe.whitelist(methods=["GET", "POST"])
@frappe_errors()
def get_archive_status(season: str) -> dict[str, Any]:
    """How far a season is on its way to the archive.

    For System Managers.

    Returns: season; status: Not Archived, Archiving or Archived; step: copying, verifying, freeing, clearing
        or done, None before; done and total records of this step (while copying, total is an estimate; at the
        end both are what was archived); percent; is_running, whether a process is at it now; started_at and
        finished_at in the site's time zone, or None.
    """
    frappe.only_for(ADMINISTRATOR)
    season = as_season(season)
    status = SRSArchiver().get_status(season)
    if status is None:
        return {
            "season": season, "status": "Not Archived", "step": None, "done": 0, "total": 0, "percent": 0.0,
            "is_running": False, "started_at": None, "finished_at": None,
        }  # fmt: skip
    is_done = status["step"] == "done"
    percent = 100.0 if is_done else 100.0 * status["done"] / max(status["total"], 1)
    return {
        **status,
        "status": "Archived" if is_done else "Archiving",
        "percent": round(percent, 1),
        "started_at": site_time(status["started_at"]),
        "finished_at": site_time(status["finished_at"]),
    }


@frappe.whitelist(methods=["POST"])
@frappe_errors()
def delete_eligible_archived_records(
    season: str | None = None, confirm: bool | int | str = False
) -> dict[str, str | None]:
    """Delete, in the background, the archived records that are flagged as eligible for deletion.

    For System Managers, who are notified of how many it were. They cannot be had back.

    Args:
        season: only of this season; without it of all.
        confirm: has to be true.

    Returns: season, and status: queued.

    Raises:
        frappe.ValidationError: not confirmed.
        frappe.DoesNotExistError: there is no such season.
        ReviewsUnavailable: the queue of background jobs is down.
    """
    frappe.only_for(ADMINISTRATOR)
    season = as_season(season) if as_text("season", season) else None
    check_confirmed(confirm, _("Archived records that are flagged are deleted and cannot be had back."))
    if not request_deletion(season):
        refuse_without_queue()
    return {"season": season, "status": "queued"}


def as_season(season: object) -> str:
    """The name of a season that exists.

    Raises:
        frappe.DoesNotExistError: there is none of this name.
    """
    name = as_required_text("season", season)
    # MariaDB would find it in lower case, too.
    if frappe.db.exists(SEASON, name) != name:
        refuse(_("There is no season {0}.").format(html.escape(name[:60])), frappe.DoesNotExistError)
    return name


def refuse_without_queue() -> NoReturn:
    """Say that nothing was begun, since background jobs cannot be queued."""
    refuse(
        _("Background jobs cannot be queued: check that redis_queue runs. Nothing was begun."),
        ReviewsUnavailable,
    )
