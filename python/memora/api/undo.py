"""A student's last submission, undone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Literal, TypedDict

import frappe
from frappe import _

from memora._engine import InvalidInput, ServiceUnavailable
from memora.api.arguments import as_player, as_required_text
from memora.services.engine import engine
from memora.services.errors import ReviewsUnavailable, frappe_errors, throw
from memora.services.srs_persistence import request_drain

if TYPE_CHECKING:
    from memora._engine import UndoAnswer

UNKNOWN: Final = "memora.unknown_submission"
NOT_CERTAIN: Final = "memora.undoing_not_certain"
# So long a student waits for the drain that makes an undoing certain, and for each look whether it
# has.
LONGEST_WAIT_SECONDS: Final = 2.0
LOOK_SECONDS: Final = 0.05


class Undoing(TypedDict):
    """What was undone, and what the student may be told."""

    status: Literal["success"]
    undone: int
    xp_taken_back: int
    persistence_job_id: str
    remaining_items: int


@frappe.whitelist(methods=["POST"])
@frappe_errors()
def undo_last_submission(submission_id: str | int | None = None) -> Undoing:
    """Undo a submission of the student: each of its questions is as it was before.

    Within ten minutes, and as long as none of its questions was answered again or changed since.
    Undone twice, it is answered as the first time. Sent again, the submission is answered as the
    first time, too, and does not count again.

    Args:
        submission_id: the name that the client gave the submission.

    Returns: status, undone (how many answers), xp_taken_back (what the submission had earned),
        persistence_job_id of the undoing, remaining_items. By then it is durable, and the next read
        shows it.

    Raises:
        frappe.ValidationError: it is too late, or something newer is there; `error_code` says which
            of the two.
        frappe.DoesNotExistError: the student has no such submission.
        ReviewsUnavailable: a server is down, or what came in between is being saved. It may be
            undone by then: calling it again tells.
    """
    player = as_player(frappe.session.user)
    if isinstance(submission_id, int) and not isinstance(submission_id, bool):
        submission_id = str(submission_id)
    name = as_required_text("submission_id", submission_id)
    try:
        undone = _undo(player, name)
    except InvalidInput as error:
        if error.code != UNKNOWN:
            raise
        frappe.flags.disable_traceback = True
        frappe.local.response["error_code"] = error.code
        throw(_("Nothing was undone: you have no such submission."), frappe.DoesNotExistError)
    except ServiceUnavailable as error:
        frappe.flags.disable_traceback = True
        frappe.logger("memora").error(f"nobody can tell whether {player} can undo: {error}")
        # What is saved is certain.
        request_drain()
        message = _("Your answers cannot be undone right now. Please try again in a minute.")
        throw(message, ReviewsUnavailable)
    if undone["drain_wanted"]:
        request_drain()
    return {
        "status": "success",
        "undone": undone["undone"],
        "xp_taken_back": undone["xp_taken_back"],
        "persistence_job_id": undone["persistence_job_id"],
        "remaining_items": undone["remaining_items"],
    }


def _undo(player: str, name: str) -> UndoAnswer:
    """Undo it, and wait for a drain if only what is saved is certain."""
    deadline = time.monotonic() + LONGEST_WAIT_SECONDS
    is_drain_queued = False
    while True:
        try:
            return engine().undo(player, name)
        except ServiceUnavailable as error:
            if error.code != NOT_CERTAIN or time.monotonic() >= deadline:
                raise
        if not is_drain_queued:
            request_drain()
            is_drain_queued = True
        time.sleep(LOOK_SECONDS)
