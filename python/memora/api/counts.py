"""The number of records: for users who may read them."""

from __future__ import annotations

from typing import Any, Final

import frappe
from frappe.client import get_count as frappe_get_count

GUARDED: Final = (
    "Player Memory Tracker", "Archived Memory Tracker", "Memory Review Audit", "Poison Review",
    "SRS Job",
)  # fmt: skip


@frappe.whitelist()
def get_count(
    doctype: str, filters: Any = None, debug: Any = False, cache: Any = False
) -> int | None:
    """Replaces `frappe.client.get_count` (hook override_whitelisted_methods).

    Frappe 15's own does not check permissions; Frappe 16's does. With its filters any student could
    learn what others have answered, and each call would read a large table from end to end.

    Args:
        doctype: which documents.
        filters: which of them.
        debug: as Frappe's.
        cache: as Frappe's.

    Returns: how many; None if Frappe 16 was asked for a limit and gave up counting.

    Raises:
        frappe.PermissionError: the user may not read this DocType, and it is one of memora's, or
            this is Frappe 16.
    """
    if doctype in GUARDED:
        frappe.has_permission(doctype, "read", throw=True)
    count: int | None = frappe_get_count(doctype, filters, debug, cache)
    return count
