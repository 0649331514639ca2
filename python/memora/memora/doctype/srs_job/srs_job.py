"""A background job of memora, such as a rebuild or an archive, from its request to its end."""

from __future__ import annotations

from datetime import timedelta

import frappe
from frappe.model.document import Document
from frappe.utils import now_datetime


class SRSJob(Document):
    @staticmethod
    def clear_old_logs(days: int = 365) -> None:
        """Delete jobs older than this many days. Frappe's Log Settings call it once a day."""
        frappe.db.delete("SRS Job", {"modified": ("<", now_datetime() - timedelta(days=days))})
