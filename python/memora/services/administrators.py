"""Messages to the people who run the site."""

from __future__ import annotations

from typing import Any

import frappe
from frappe.desk.doctype.notification_log.notification_log import enqueue_create_notification
from frappe.utils import now

from memora.services.background import queue_answers
from memora.services.roles import managers


def alert_administrators(subject: str, message: str, link: str, is_good: bool = False) -> None:
    """Notify all Memora Managers and System Managers, in the Desk and by e-mail if they want that.

    While the queue is down, which sends the e-mails, only in the Desk. Raises nothing: what cannot
    be told is in the log (logs/memora.log), as everything told here is.

    Args:
        subject: one line.
        message: what to do.
        link: where to look, a path in the Desk.
        is_good: nothing is wrong; the log has no error then.
    """
    logger = frappe.logger("memora")
    (logger.info if is_good else logger.error)(f"{subject} {message}")
    notification = {"type": "Alert", "subject": subject, "email_content": message, "link": link}
    try:
        names = managers()
        if names and queue_answers():
            enqueue_create_notification(names, notification)
        else:
            _notify_in_desk(names or ["Administrator"], notification)
    except Exception as error:
        frappe.logger("memora").error(f"administrators could not be notified: {error}")


def _notify_in_desk(names: list[str], notification: dict[str, Any]) -> None:
    """Write the notifications without their hooks, which would wait for the queue."""
    # In a student's call, what is not committed here is rolled back; what others have begun is
    # theirs.
    is_own = not frappe.db.transaction_writes
    fields = ["name", "creation", "modified", "owner", "modified_by", "for_user", *notification]
    same = [now(), now(), "Administrator", "Administrator"]
    rows = [
        [frappe.generate_hash(length=10), *same, name, *notification.values()] for name in names
    ]
    frappe.db.bulk_insert("Notification Log", fields, rows)
    if is_own:
        frappe.db.commit()
