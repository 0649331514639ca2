"""A rebuild, reconciliation, archive or deletion of a season, from its request to its end."""

from __future__ import annotations

from datetime import timedelta

import frappe
from frappe.model.document import Document
from frappe.utils import now_datetime


class SRSJob(Document):
    @staticmethod
    def clear_old_logs(days: int = 365) -> None:
        """Frappe's Log Settings call this once a day."""
        frappe.db.delete("SRS Job", {"modified": ("<", now_datetime() - timedelta(days=days))})
