"""Which seasons there are for students."""

from __future__ import annotations

from typing import TypedDict

import frappe

from memora.services.errors import frappe_errors
from memora.services.roles import MONITOR_READERS
from memora.services.seasons import active_seasons


class ActiveSeasons(TypedDict):
    """The season whose questions students see, and active ones that nobody sees."""

    seen: str | None
    unseen: list[str]


@frappe.whitelist(methods=["GET", "POST"])
@frappe_errors(for_students=False)
def get_active_seasons() -> ActiveSeasons:
    """Which season students see, and which others are active.

    For Memora Managers and Memora Teachers.

    Returns: seen: the season whose questions students see, None without an active one; unseen:
        active, too, and seen by nobody, since one active season counts.
    """
    frappe.only_for(MONITOR_READERS)
    active = active_seasons()
    return {"seen": active[0] if active else None, "unseen": active[1:]}
