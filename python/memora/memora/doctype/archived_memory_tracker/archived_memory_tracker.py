"""A record of a season that is over: never changed, except for eligible_for_deletion."""

from __future__ import annotations

from frappe.model.document import Document


class ArchivedMemoryTracker(Document):
    pass
