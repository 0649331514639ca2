"""Which season students see."""

from __future__ import annotations

from typing import Any

import frappe
from frappe.utils import getdate

from memora.services.partition_manager import SEASON


def active_seasons() -> list[str]:
    """Names of the seasons that are active, the one whose questions students see first.

    Students see the one that includes today, otherwise the one that began last: the engine's rule
    (`src/servers/mariadb/seasons.rs`), but with the present transaction's changes.
    """
    found = frappe.get_all(
        SEASON,
        filters={"is_active": 1, "archive_status": ("is", "not set")},
        fields=["name", "start_date", "end_date"],
        order_by="start_date desc, name desc",
    )
    # Sorting is stable: among equals, the one that began last stays first.
    return [str(season["name"]) for season in sorted(found, key=_is_past_or_to_come)]


def _is_past_or_to_come(season: dict[str, Any]) -> bool:
    return not getdate(season["start_date"]) <= getdate() <= getdate(season["end_date"])
