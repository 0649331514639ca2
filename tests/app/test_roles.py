"""Who may call what: each method and each DocType has a decision, and follows it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memora.services.administrators import alert_administrators
from memora.services.roles import MANAGER, METRICS, TEACHER
from memora.tests import who_may
from tests import frappe_standin as frappe
from tests.support.site_under_test import Site

App = Callable[..., None]
PACKAGE = Path(who_may.__file__).parents[1]


def whitelisted() -> dict[str, Callable[..., Any]]:
    who_may.import_everything()
    return {
        f"{function.__module__}.{function.__name__}": function
        for function in frappe.allowed_http_methods_for_whitelisted_func
        if function.__module__.startswith("memora.")
    }


def is_allowed(function: Callable[..., Any], arguments: dict[str, str]) -> bool:
    """Whether a call is not refused because of a missing role; it may fail otherwise."""
    try:
        function(**arguments)
    except frappe.PermissionError:
        return False
    except Exception:
        return True
    return True


@pytest.fixture(params=who_may.EVERY_ROLE)
def role(request: pytest.FixtureRequest, site: Site, app: App) -> str:
    """A role, whose user is logged in."""
    name: str = request.param
    user = "Guest" if name == who_may.GUEST else f"{name}@school.example"
    if user != "Guest":
        site.add_users(user)
    app(user=user)
    frappe.recorded.roles[user] = [name]
    return name


def test_every_method_has_a_decision() -> None:
    assert whitelisted().keys() == who_may.METHODS.keys()


def test_every_method_keeps_to_it(role: str) -> None:
    found = {
        path: is_allowed(function, who_may.ARGUMENTS.get(path, {}))
        for path, function in whitelisted().items()
    }
    assert found == {path: role in roles for path, roles in who_may.METHODS.items()}


def documents(kind: str) -> dict[str, dict[str, Any]]:
    """Without child tables: their rows are read and written with their document."""
    found = [json.loads(path.read_text()) for path in PACKAGE.glob(f"memora/{kind}/*/*.json")]
    return {each["name"]: each for each in found if not each.get("istable")}


def test_every_doctype_has_a_decision_and_keeps_to_it() -> None:
    found = {
        name: {
            rule["role"]: " ".join(ptype for ptype in who_may.PERMISSIONS if rule.get(ptype))
            for rule in doctype["permissions"]
        }
        for name, doctype in documents("doctype").items()
    }
    assert found == who_may.DOCTYPES


def test_every_page_has_a_decision_and_keeps_to_it() -> None:
    found = {
        name: tuple(rule["role"] for rule in page["roles"])
        for name, page in documents("page").items()
    }
    assert found == who_may.PAGES


def test_every_workspace_chart_and_card_has_a_decision() -> None:
    for kind, decided in (("workspace", who_may.WORKSPACES), ("dashboard_chart", who_may.CHARTS)):
        found = {
            name: tuple(rule["role"] for rule in document["roles"])
            for name, document in documents(kind).items()
        }
        assert found == decided
    cards = {name: card["document_type"] for name, card in documents("number_card").items()}
    assert cards == who_may.CARDS


def test_memora_managers_are_told_and_nobody_else(app: App) -> None:
    for role in (MANAGER, TEACHER, METRICS):
        frappe.recorded.roles[f"{role}@school.example"] = [role]
    alert_administrators(lambda: ("A subject", "What to do."), "/app")
    (told,) = frappe.recorded.notifications
    assert told["users"] == [frappe.MANAGER, f"{MANAGER}@school.example"]
