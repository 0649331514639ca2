"""What the site's own code calls in the course of lessons, and what administrators call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import frappe

from memora.api.arguments import as_json, as_names, as_player, as_text, as_whole_number
from memora.services.engine import engine
from memora.services.errors import frappe_errors
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
