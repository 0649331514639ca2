"""Messages to the people who run the site."""

from __future__ import annotations

from frappe.desk.doctype.notification_log.notification_log import enqueue_create_notification
from frappe.utils.user import get_system_managers


def alert_administrators(subject: str, message: str, link: str) -> None:
    """Notify all System Managers, in the Desk and as they have chosen by e-mail.

    Args:
        subject: one line.
        message: what to do.
        link: where to look, a path in the Desk.
    """
    notification = {"type": "Alert", "subject": subject, "email_content": message, "link": link}
    enqueue_create_notification(get_system_managers(only_name=True), notification)
