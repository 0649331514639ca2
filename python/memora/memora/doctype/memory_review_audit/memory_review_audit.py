"""Links acknowledged answers to persisted ones; the engine writes it with the answers."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import frappe
from frappe.model.document import Document
from frappe.utils import now_datetime

AUDIT: Final = "Memory Review Audit"
# Deleted in pieces of this size, each a transaction, so that students do not wait.
AT_A_TIME: Final = 5_000
# Answers of the last day in redis_queue without an audit record are saved again (`written.rs`).
LEAST_DAYS: Final = 2
# How long a submission with a key is recognised when it is sent again (`sent_again.rs`).
KEY_DAYS: Final = 30


class MemoryReviewAudit(Document):
    @staticmethod
    def clear_old_logs(days: int = 365) -> None:
        """Delete audit records older than this many days. Commits.

        Two days always stay, and 30 days of submissions with a key. Frappe's Log Settings call it
        once a day.
        """
        for is_keyed, least_days in (("not like", LEAST_DAYS), ("like", KEY_DAYS)):
            before = now_datetime() - timedelta(days=max(days, least_days))
            old = {"modified": ("<", before), "name": (is_keyed, "key-%")}
            while names := frappe.get_all(
                AUDIT, filters=old, pluck="name", order_by="modified asc", limit=AT_A_TIME
            ):
                frappe.db.delete(AUDIT, {"name": ("in", names)})
                frappe.db.commit()
