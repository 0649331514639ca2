"""How one subject of a season is scheduled: a row of the season's table."""

from __future__ import annotations

from frappe.model.document import Document


class SeasonSubjectLadder(Document):
    subject: str
    fast_seconds: float | None
    slow_seconds: float | None
    ladder_days: str | None
    scheduler: str | None
    desired_retention: float | None
    longest_interval_days: int | None
    fsrs_parameters: str | None
