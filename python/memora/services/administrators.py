"""Messages to the people who run the site."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import frappe
from frappe.desk.doctype.notification_log.notification_log import enqueue_create_notification
from frappe.translate import get_user_lang, print_language
from frappe.utils import now

from memora.services.background import queue_answers
from memora.services.roles import managers


def alert_administrators(
    write: Callable[[], tuple[str, str]], link: str, is_good: bool = False
) -> None:
    """Notify all Memora Managers and System Managers, in the Desk and by e-mail if they want that.

    They read it in their own languages. While the queue that sends e-mails is down, it appears only
    in the Desk. Raises nothing. The log (logs/memora.log) has each notification in English, even if
    it could not be sent.

    Args:
        write: returns the subject (one line) and the message (what to do) in the language of the
            session.
        link: where to look, a path in the Desk.
        is_good: nothing is wrong; it is logged as information, not as an error.
    """
    logger = frappe.logger("memora")
    try:
        with print_language("en"):
            (logger.info if is_good else logger.error)(" ".join(write()))
        everybody = managers()
        reaches_queue = everybody and queue_answers()
        for language, names in _by_language(everybody or ["Administrator"]).items():
            with print_language(language):
                subject, message = write()
            notification = {
                "type": "Alert",
                "subject": subject,
                "email_content": message,
                "link": link,
            }
            if reaches_queue:
                enqueue_create_notification(names, notification)
            else:
                _notify_in_desk(names, notification)
    except Exception as error:
        frappe.logger("memora").error(f"administrators could not be notified: {error}")


def _by_language(names: list[str]) -> dict[str, list[str]]:
    """Users by the language that they read."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(get_user_lang(name), []).append(name)
    return found


def _notify_in_desk(names: list[str], notification: dict[str, Any]) -> None:
    """Write the notifications without their hooks, which would wait for the queue."""
    # In a student's call, an uncommitted notification would be rolled back. A transaction that
    # others began is theirs to commit.
    is_own = not frappe.db.transaction_writes
    fields = ["name", "creation", "modified", "owner", "modified_by", "for_user", *notification]
    same = [now(), now(), "Administrator", "Administrator"]
    rows = [
        [frappe.generate_hash(length=10), *same, name, *notification.values()] for name in names
    ]
    frappe.db.bulk_insert("Notification Log", fields, rows)
    if is_own:
        frappe.db.commit()
