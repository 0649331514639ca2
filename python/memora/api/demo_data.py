"""Demo data, from the Desk: made and removed in the background."""

from __future__ import annotations

from typing import TypedDict

import frappe

from memora.api.arguments import is_true
from memora.api.jobs import queued
from memora.services import demo_data
from memora.services.errors import frappe_errors
from memora.services.roles import MANAGERS


class QueuedDemoData(TypedDict):
    """The SRS Job that makes or removes demo data."""

    job: str


@frappe.whitelist(methods=["POST"])
@frappe_errors(for_students=False)
def make_demo_data(force: bool | int | str = False) -> QueuedDemoData:
    """Make a season with students who have answered for a month. For Memora Managers.

    Demo data that exists already stays.

    Args:
        force: make it even if another season is active. Students then see the demo season.

    Returns: job: the SRS Job. A job that is queued or running is not queued again.

    Raises:
        frappe.ValidationError: another season is active.
        ReviewsUnavailable: the queue of background jobs is down.
    """
    frappe.only_for(MANAGERS)
    return {"job": queued(demo_data.request(is_true(force)))}


@frappe.whitelist(methods=["POST"])
@frappe_errors(for_students=False)
def clear_demo_data() -> QueuedDemoData:
    """Remove all demo data: season, students, records, subjects and topics. For Memora Managers.

    Returns: as make_demo_data.

    Raises:
        frappe.ValidationError: demo data is being made.
        ReviewsUnavailable: the queue of background jobs is down.
    """
    frappe.only_for(MANAGERS)
    return {"job": queued(demo_data.request_removal())}
