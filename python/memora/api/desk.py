"""The calls of the workspace Memora: the numbers of its cards, and its charts.

Frappe passes arguments of a card or a chart; they are not used.
"""

from __future__ import annotations

from typing import Any

import frappe

from memora.services import desk
from memora.services.desk import Chart, Number
from memora.services.errors import frappe_errors
from memora.services.roles import MONITOR_READERS


@frappe.whitelist(methods=["GET", "POST"])
@frappe_errors(for_students=False)
def students_active_today(**_arguments: Any) -> Number | str:
    """How many students had answers saved today. For Memora Managers and Memora Teachers."""
    frappe.only_for(MONITOR_READERS)
    return desk.students_active_today()


@frappe.whitelist(methods=["GET", "POST"])
@frappe_errors(for_students=False)
def answers_today(**_arguments: Any) -> Number | str:
    """How many answers were saved today. For Memora Managers and Memora Teachers."""
    frappe.only_for(MONITOR_READERS)
    return desk.answers_today()


@frappe.whitelist(methods=["GET", "POST"])
@frappe_errors(for_students=False)
def reviews_due(**_arguments: Any) -> Number:
    """How many reviews are due, of all students. For Memora Managers and Memora Teachers."""
    frappe.only_for(MONITOR_READERS)
    return desk.reviews_due()


@frappe.whitelist(methods=["GET", "POST"])
@frappe_errors(for_students=False)
def backlog(**_arguments: Any) -> Number:
    """How many submissions wait to be saved. For Memora Managers and Memora Teachers."""
    frappe.only_for(MONITOR_READERS)
    return desk.backlog()


@frappe.whitelist(methods=["GET", "POST"])
@frappe_errors(for_students=False)
def waiting_poison_reviews(**_arguments: Any) -> Number:
    """How many Poison Reviews wait. For Memora Managers and Memora Teachers."""
    frappe.only_for(MONITOR_READERS)
    return desk.waiting_poison_reviews()


@frappe.whitelist(methods=["GET", "POST"])
@frappe_errors(for_students=False)
def calls_of_students(**_arguments: Any) -> Chart:
    """Reads and submissions by hour. For Memora Managers and Memora Teachers."""
    frappe.only_for(MONITOR_READERS)
    return desk.calls_of_students()


@frappe.whitelist(methods=["GET", "POST"])
@frappe_errors(for_students=False)
def time_to_answer(**_arguments: Any) -> Chart:
    """How long students waited, by hour. For Memora Managers and Memora Teachers."""
    frappe.only_for(MONITOR_READERS)
    return desk.time_to_answer()
