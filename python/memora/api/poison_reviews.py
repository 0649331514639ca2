"""Records that could not be saved: listed, saved after all, or given up."""

from __future__ import annotations

from datetime import datetime
from typing import Final, TypedDict

import frappe
from frappe import _

from memora.api.arguments import as_names, as_required_text, as_whole_number
from memora.api.jobs import queued
from memora.services import poison_reviews
from memora.services.engine import engine
from memora.services.errors import frappe_errors, throw
from memora.services.monitor import POISON, WAITING
from memora.services.poison_reviews import MOST_AT_ONCE, Dismissal
from memora.services.roles import MANAGERS

LONGEST_PAGE: Final = 500


class PoisonReview(TypedDict):
    """An acknowledged record that could not be saved, and why."""

    name: str
    player: str | None
    season: str | None
    question_id: str | None
    job_id: str | None
    set_aside_at: datetime | None
    reason: str | None


class PoisonReviews(TypedDict):
    """A page of Poison Reviews, and their total number."""

    poison_reviews: list[PoisonReview]
    total: int


class Replay(TypedDict):
    """How many Poison Reviews were saved, were not, and are unknown."""

    replayed: int
    failed: int
    unknown: int


class QueuedReplay(Replay):
    """A replay in the background: nothing is done yet."""

    job: str


@frappe.whitelist(methods=["GET", "POST"])
@frappe_errors(for_students=False)
def get_poison_reviews(limit: int | str = 50, start: int | str = 0) -> PoisonReviews:
    """Acknowledged records that could not be saved and wait for an administrator, newest first.

    For Memora Managers.

    Args:
        limit: how many at most, 1 to 500.
        start: how many to skip.

    Returns: poison_reviews [{name, player, season, question_id, job_id, set_aside_at, reason}], and
        total, which counts past the limit.
    """
    frappe.only_for(MANAGERS)
    found = frappe.get_all(
        POISON,
        filters=WAITING,
        fields=list(PoisonReview.__annotations__),
        order_by="set_aside_at desc, name desc",
        limit=as_whole_number("limit", limit, 1, LONGEST_PAGE),
        limit_start=as_whole_number("start", start, 0),
    )
    return {"poison_reviews": found, "total": frappe.db.count(POISON, WAITING)}


@frappe.whitelist(methods=["POST"])
@frappe_errors(for_students=False)
def replay_poison_reviews(names: str | list[str] | None = None) -> Replay | QueuedReplay:
    """Save records that were set aside, once the obstacle is removed.

    For Memora Managers. A newer state of a record stays. A record that still cannot be saved keeps
    waiting, with its new reason.

    Args:
        names: names of at most 500 Poison Reviews, as a list or as JSON; by default, all that wait.

    Returns: replayed, failed, and unknown: no Poison Review has that name, or it was replayed
        before. If more than 500 wait, they are replayed in the background: the three are 0 then,
        and job is the SRS Job.

    Raises:
        frappe.ValidationError: too many names.
        ReviewsUnavailable: the queue of background jobs is down.
    """
    frappe.only_for(MANAGERS)
    listed = as_some_names(names)
    if listed is None and poison_reviews.waiting() > MOST_AT_ONCE:
        job = queued(poison_reviews.request_replay())
        return {"replayed": 0, "failed": 0, "unknown": 0, "job": job}
    report = engine().replay(listed)
    return {
        "replayed": report["replayed"],
        "failed": report["failed"],
        "unknown": report["unknown"],
    }


@frappe.whitelist(methods=["POST"])
@frappe_errors(for_students=False)
def dismiss_poison_reviews(
    names: str | list[str] | None = None, reason: str | None = None
) -> Dismissal:
    """Give up records that were set aside: they are kept, with the reason, but no longer wait.

    For Memora Managers. A dismissed record can still be replayed by its name.

    Args:
        names: names of at most 500 Poison Reviews, as a list or as JSON.
        reason: why they need not be saved.

    Returns: dismissed, and unknown: no Poison Review of that name waits.

    Raises:
        frappe.ValidationError: names or reason are missing, or there are too many names.
    """
    frappe.only_for(MANAGERS)
    reason = as_required_text("reason", reason)
    listed = as_some_names(names)
    if listed is None:
        throw(_("{0} is missing").format("names"))
    return poison_reviews.dismiss(listed, reason)


def as_some_names(names: object) -> list[str] | None:
    """Names of up to the allowed number of documents; None for None and an empty form field."""
    listed = as_names("names", names)
    if listed and len(listed) > MOST_AT_ONCE:
        throw(_("At most {0} names at a time, not {1}.").format(MOST_AT_ONCE, len(listed)))
    return listed
