"""All data of a student: exported or erased."""

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
    """All data of a student, with the student's name."""

    player: str


@frappe.whitelist(methods=["POST"])
@frappe_errors(for_students=False)
def export_student(player: str | None = None) -> Export:
    """All data of a student (GDPR 15). For Memora Managers.

    Answers that wait in the journal are saved first. POST only, because names must not appear in
    logs.

    Returns: player; answers, as `Engine.answers` has them; and by DocType the records, live and
        archived, the audit records, the Poison Reviews and the suspended questions, each with all
        its fields.

    Raises:
        frappe.ValidationError: answers that wait cannot be saved now.
        frappe.DoesNotExistError: no user has this name, and no data was saved under it.
    """
    frappe.only_for(MANAGERS)
    player = as_student(player)
    return {"player": player, **export(player)}


@frappe.whitelist(methods=["POST"])
@frappe_errors(for_students=False)
def forget_student(player: str | None = None, confirm: str | None = None) -> Forgotten:
    """Erase all data of a student (GDPR 17).

    For Memora Managers. Erases records, archived or not, audit records, Poison Reviews, waiting
    answers and schedules. The user stays and can then be deleted; a user who answers again begins
    as a new student.

    Args:
        player: the name of the User, or any other name under which answers were saved.
        confirm: the same name.

    Returns: how many were erased: records, archived_records, audit_records, poison_reviews,
        waiting_submissions.

    Raises:
        frappe.ValidationError: not confirmed, or a season is being archived now.
        frappe.DoesNotExistError: no user has this name, and no data was saved under it.
        ReviewsUnavailable: a server is down. Calling it again continues.
    """
    frappe.only_for(MANAGERS)
    player = as_student(player)
    if confirm != player:
        shown = html.escape(player[:140])
        throw(
            _(
                "All data of {0} will be erased and cannot be restored. To confirm, set confirm to "
                "the same name."
            ).format(shown)
        )
    return forget(player)
