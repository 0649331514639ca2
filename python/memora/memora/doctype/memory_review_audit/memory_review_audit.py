"""Ties what was acknowledged to a student to what was persisted; the engine writes it with the answers."""

from __future__ import annotations

from frappe.model.document import Document


class MemoryReviewAudit(Document):
    pass
