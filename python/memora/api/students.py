"""What is kept of a student: all of it shown, or erased."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import frappe
from frappe import _

from memora.api.documents import as_student
from memora.services.errors import frappe_errors, throw
from memora.services.players import KeptRecords, export, forget
from memora.services.roles import MANAGERS

if TYPE_CHECKING:
    from memora._engine import Forgotten


class Export(KeptRecords):
    """All that is kept of a student, whom it names."""

    player: str


@frappe.whitelist(methods=["POST"])
@frappe_errors(for_students=False)
def export_student(player: str | None = None) -> Export:
    """All that is kept of a student (GDPR 15). For Memora Managers.

    Answers that wait in the journal are saved first. POST only: names belong in no log.

    Returns: player, and by DocType the records, live and archived, the audit records and the Poison
        Reviews, each with all its fields.

    Raises:
        frappe.ValidationError: answers that wait cannot be saved now.
        frappe.DoesNotExistError: there is no such user, and nothing is kept of one.
    """
    frappe.only_for(MANAGERS)
    player = as_student(player)
    return {"player": player, **export(player)}


@frappe.whitelist(methods=["POST"])
@frappe_errors(for_students=False)
def forget_student(player: str | None = None, confirm: str | None = None) -> Forgotten:
    """Erase all that is kept of a student (GDPR 17). For Memora Managers.

    Records, archived or not, audit records, Poison Reviews, answers that wait, and schedules. The
    user stays, and can be deleted then: one who answers again begins as a new student.

    Args:
        player: the name of the User, or what answers were saved under that is none.
        confirm: has to be the same.

    Returns: how many there were: records, archived_records, audit_records, poison_reviews,
        waiting_submissions.

    Raises:
        frappe.ValidationError: not confirmed, or a season is being archived just now.
        frappe.DoesNotExistError: there is no such user, and nothing was kept of one.
        ReviewsUnavailable: a server is down. Calling it again continues.
    """
    frappe.only_for(MANAGERS)
    player = as_student(player)
    if confirm != player:
        shown = html.escape(player[:140])
        throw(
            _("All that is kept of {0} will be gone. Confirm it with the same name.").format(shown)
        )
    return forget(player)
