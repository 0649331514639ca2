"""The ladder of one subject of a season: a row of the season's table."""

from __future__ import annotations

from frappe.model.document import Document


class SeasonSubjectLadder(Document):
    subject: str
    fast_seconds: float | None
    slow_seconds: float | None
    ladder_days: str | None
    fsrs_parameters: str | None
