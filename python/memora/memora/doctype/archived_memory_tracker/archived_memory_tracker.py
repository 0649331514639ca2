"""A record of a season that is over. Only eligible_for_deletion can change: all else is set only
once.
"""

from __future__ import annotations

from frappe.model.document import Document


class ArchivedMemoryTracker(Document):
    pass
