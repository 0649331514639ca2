"""A record of a season that is over: set once, all but eligible_for_deletion."""

from __future__ import annotations

from frappe.model.document import Document


class ArchivedMemoryTracker(Document):
    pass
