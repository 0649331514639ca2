"""An acknowledged record that could not be written; the engine sets it aside with the reason."""

from __future__ import annotations

from frappe.model.document import Document


class PoisonReview(Document):
    pass
