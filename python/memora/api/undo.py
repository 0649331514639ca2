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
# How long a student waits at most for the drain that makes an undoing certain, and how long the
# call waits before it asks again.
LONGEST_WAIT_SECONDS: Final = 2.0
LOOK_SECONDS: Final = 0.05


class Undoing(TypedDict):
    """What was undone: how many answers, and the XP that they had earned."""

    status: Literal["success"]
    undone: int
    xp_taken_back: int
    persistence_job_id: str
    remaining_items: int


@frappe.whitelist(methods=["POST"])
@frappe_errors()
def undo_last_submission(submission_id: str | int | None = None) -> Undoing:
    """Undo a submission of the student: each of its questions is as it was before.

    Possible for ten minutes, unless one of its questions was answered again or changed since. A
    repeated call returns what the first one did. If the submission itself is sent again, it is
    answered as the first time, and does not count again.

    Args:
        submission_id: the name that the client gave the submission.

    Returns: status, undone (how many answers), xp_taken_back (what the submission had earned),
        persistence_job_id of the undoing, remaining_items. By then it is durable, and the next read
        shows it.

    Raises:
        frappe.ValidationError: it is too late, or a question has changed since; `error_code` says
            which of the two.
        frappe.DoesNotExistError: the student has no such submission.
        ReviewsUnavailable: a server is down, or answers of the student are being saved. The
            submission may be undone already: calling again tells.
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
        frappe.logger("memora").error(f"the outcome of an undoing of {player} is unknown: {error}")
        # An undoing is certain once it is saved.
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
    """Undo a submission; wait for a drain if the undoing is certain only once it is saved."""
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
