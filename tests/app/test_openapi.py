"""docs/openapi.yaml is true: of the code, and of the running app."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

if importlib.util.find_spec("schemathesis") is None:
    pytest.skip("schemathesis wants Python 3.11", allow_module_level=True)

import jsonschema_rs
import schemathesis

import memora
from memora import hooks
from memora.api import srs
from tests import frappe_standin as frappe
from tests.administrators.test_archive import ended_season
from tests.app import api_contract
from tests.app.api_contract import CONFORMANCE, METHODS, Contract, case_of, name_of
from tests.students.test_due import overdue
from tests.support.site_under_test import PLAYER, Site
from tests.support.web_server import served

App = Callable[..., None]

DESCRIPTION = schemathesis.openapi.from_path(str(api_contract.DESCRIPTION)).raw_schema
OF_THE_DESK = ("memora.api.desk.", "memora.api.demo_data.")
PASSWORDS = {PLAYER: "blue horse", frappe.MANAGER: "red horse"}


def paths() -> dict[str, dict[str, Any]]:
    """The description's operations, by path and HTTP method."""
    found: dict[str, dict[str, Any]] = DESCRIPTION["paths"]
    return found


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """The part of the description that a reference names."""
    for name in part.get("$ref", "#").split("/")[1:]:
        part = (DESCRIPTION if name == "components" else part)[name]
    return part


@pytest.fixture
def url(site: Site, app: App) -> Iterator[str]:
    """The app over HTTP, and a site with something to tell."""
    site.add(PLAYER, overdue(60, subject="Science", topic="Plants"))
    site.add_users(frappe.MANAGER)
    site.insert("Poison Review", name="p", player=PLAYER, question_id="q", set_aside_at=site.now())
    frappe.recorded.at_once = True
    frappe.recorded.hooks["after_request"] = [hooks.after_request]
    application = frappe.application(frappe.local.conf, PASSWORDS)
    with served(application) as url:
        yield url


def test_the_app_keeps_to_the_description(site: Site, url: str) -> None:
    student, manager = PASSWORDS.items()
    contract = Contract(api_contract.Site(url, "site", student, manager, ended_season(site)))
    failures = contract.check()
    assert not failures, "\n".join(failures)


def test_outages_are_told_as_described(site: Site, url: str) -> None:
    student, manager = PASSWORDS.items()
    season = ended_season(site)
    contract = Contract(api_contract.Site(url, "site", student, manager, season))
    site.servers.cache.kill()
    site.servers.journal.kill()
    calls: tuple[tuple[str, api_contract.Headers, dict[str, Any], list[int]], ...] = (
        ("get_review_session", contract.log_in(*student), {}, [200, 429]),
        (
            "archive_season",
            contract.log_in(*manager),
            {"season": season, "confirm": True},
            [503, 503],
        ),
    )
    for name, who, given, expected in calls:
        operation = next(each for each in contract.operations if name_of(each) == name)
        for status in expected:
            case = case_of(operation, given)
            answer = case.call(headers=dict(who))
            assert answer.status_code == status
            case.validate_response(answer, checks=list(CONFORMANCE))


def test_every_method_is_described_and_nothing_else() -> None:
    """This includes new methods: adding one requires describing it."""
    for module in pkgutil.walk_packages(memora.__path__, "memora."):
        # Frappe runs those on a bench.
        if not module.name.startswith("memora.tests"):
            importlib.import_module(module.name)
    # The stable paths, whichever file has the code.
    promised = {getattr(srs, name): srs.__name__ for name in srs.__all__}
    whitelisted = {}
    for function, methods in frappe.allowed_http_methods_for_whitelisted_func.items():
        # Other tests bring the stand-in's own, and those of the example.
        if not function.__module__.startswith("memora."):
            continue
        path = promised.get(function, function.__module__)
        whitelisted[f"{METHODS}{path}.{function.__name__}"] = sorted(methods)
    # Methods that only Number Cards, Dashboard Charts and buttons of the Desk call.
    whitelisted = {
        path: methods
        for path, methods in whitelisted.items()
        if not path.startswith(tuple(METHODS + module for module in OF_THE_DESK))
    }
    for instead_of_frappes in hooks.override_whitelisted_methods.values():
        whitelisted.pop(METHODS + instead_of_frappes)
    described = {
        path: sorted(method.upper() for method in methods) for path, methods in paths().items()
    }
    assert whitelisted
    assert described == whitelisted


@pytest.mark.parametrize("path", paths())
def test_arguments_have_the_names_of_the_code(path: str) -> None:
    expected = set(inspect.signature(frappe.get_attr(path.removeprefix(METHODS))).parameters)
    for method, operation in paths()[path].items():
        if method == "get":
            bodies = [
                {"properties": {each["name"]: each for each in operation.get("parameters", [])}}
            ]
        else:
            content = operation.get("requestBody", {}).get("content", {"": {"schema": {}}})
            bodies = [resolved(each["schema"]) for each in content.values()]
        assert [set(body.get("properties", {})) for body in bodies] == [expected] * len(bodies)


def test_examples_are_right() -> None:
    contents = [
        content
        for methods in paths().values()
        for operation in methods.values()
        for part in (operation.get("requestBody", {}), *operation["responses"].values())
        for content in resolved(part).get("content", {}).values()
    ]
    examples = 0
    for content in contents:
        validator = jsonschema_rs.validator_for(
            content["schema"] | {"components": DESCRIPTION["components"]}
        )
        shown = [example["value"] for example in content.get("examples", {}).values()]
        for example in [*shown, content["example"]] if "example" in content else shown:
            validator.validate(example)
            examples += 1
    assert examples > 50
