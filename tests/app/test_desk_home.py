"""The workspace: it leads to everything, and its numbers cost little."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from memora import hooks
from memora.api import desk, reviews, srs
from memora.services import desk as services
from tests import frappe_standin as frappe
from tests.support.site_under_test import PLAYER, SEASON, Record, Site

App = Callable[..., None]
PACKAGE = Path(str(hooks.__file__)).parent
MODULE = PACKAGE / "memora"


def documents(kind: str) -> dict[str, dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in MODULE.glob(f"{kind}/*/*.json")]
    return {each["name"]: each for each in found if not each.get("istable")}


@pytest.fixture
def manager(app: App) -> None:
    app(user=frappe.MANAGER)


def test_the_workspace_leads_to_every_doctype_and_page() -> None:
    workspace = documents("workspace")["Memora"]
    linked = {link["link_to"] for link in workspace["links"] if link["type"] == "Link"}
    assert linked == documents("doctype").keys() | documents("page").keys()


def test_the_sidebar_of_frappe_16_begins_with_the_workspace() -> None:
    first, *others = json.loads((PACKAGE / "workspace_sidebar/memora.json").read_text())["items"]
    assert (first["link_type"], first["link_to"]) == ("Workspace", "Memora")
    assert {item["link_to"] for item in others} == (
        documents("doctype").keys() | documents("page").keys()
    )


def test_all_that_the_workspace_shows_is_there() -> None:
    workspace = documents("workspace")["Memora"]
    blocks = json.loads(workspace["content"])
    shown = {
        kind: {block["data"][key] for block in blocks if block["type"] == kind}
        for kind, key in (
            ("number_card", "number_card_name"),
            ("chart", "chart_name"),
            ("shortcut", "shortcut_name"),
            ("card", "card_name"),
            ("onboarding", "onboarding_name"),
        )
    }
    assert shown["number_card"] == documents("number_card").keys()
    # The Desk finds a chart by its label.
    assert shown["chart"] == {each["label"] for each in workspace["charts"]}
    linked = {each["chart_name"] for each in workspace["charts"]}
    assert linked == documents("dashboard_chart").keys()
    assert shown["onboarding"] == documents("module_onboarding").keys()
    assert shown["shortcut"] == {each["label"] for each in workspace["shortcuts"]}
    breaks = {link["label"] for link in workspace["links"] if link["type"] == "Card Break"}
    assert shown["card"] == breaks


def test_frappe_16_keeps_each_filter_of_a_shortcut() -> None:
    """If the first has five elements, its `cleanup_filters` drops the last filter."""
    for shortcut in documents("workspace")["Memora"]["shortcuts"]:
        filters = json.loads(shortcut.get("stats_filter", "[]"))
        assert all(len(each) == 4 for each in filters)


def test_the_desk_of_frappe_16_has_the_tile_after_an_upgrade_too() -> None:
    """Frappe 16 makes one from the hook only at an install."""
    icon = json.loads((PACKAGE / "desktop_icon/memora.json").read_text())
    (tile,) = hooks.add_to_apps_screen
    assert (icon["app"], icon["icon_type"], icon["standard"]) == (tile["name"], "App", 1)
    assert (icon["label"], icon["link"], icon["logo_url"]) == (
        tile["title"],
        tile["route"],
        tile["logo"],
    )


def test_each_card_and_chart_has_its_method() -> None:
    called = {card["method"] for card in documents("number_card").values()}
    for source in documents("dashboard_chart_source"):
        place = source.lower().replace(" ", "_")
        script = (MODULE / "dashboard_chart_source" / place / f"{place}.js").read_text()
        assert f'chart_sources["{source}"]' in script
        called |= set(re.findall(r'method: "(.+)"', script))
    whitelisted = {
        f"{function.__module__}.{function.__name__}"
        for function in frappe.allowed_http_methods_for_whitelisted_func
    }
    assert called == {path for path in whitelisted if path.startswith("memora.api.desk.")}


def test_the_onboarding_has_its_four_steps() -> None:
    steps = documents("onboarding_step")
    (onboarding,) = documents("module_onboarding").values()
    assert [step["step"] for step in onboarding["steps"]] == [
        "Make the Journal Durable",
        "Make the First Season",
        "Bring In the First Question",
        "Read the First Review",
    ]
    for step in onboarding["steps"]:
        found = steps[step["step"]]
        leads_to = found.get("path") or found.get("reference_document")
        assert leads_to in documents("doctype").keys() | documents("page").keys()


def test_searching_for_memora_finds_every_doctype() -> None:
    script = (PACKAGE / "public/js/search.js").read_text()
    listed = re.search(r"DOCTYPES = \[(.*?)\]", script, re.DOTALL)
    assert listed
    assert set(re.findall(r'"(.+?)"', listed[1])) == documents("doctype").keys()


def test_what_hooks_name_under_assets_is_there() -> None:
    (tile,) = hooks.add_to_apps_screen
    for path in (hooks.app_logo_url, tile["logo"], *hooks.app_include_js):
        assert (PACKAGE / "public" / path.removeprefix("/assets/memora/")).is_file(), path
    logo = PACKAGE / "public" / hooks.app_logo_url.removeprefix("/assets/memora/")
    # Without a size of its own an SVG is not shown in the Desk's bar.
    assert {"width", "height", "viewBox"} <= ET.parse(logo).getroot().attrib.keys()


def test_the_web_server_finds_what_is_public(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frappe.local, "sites_path", str(tmp_path), raising=False)
    # A bench whose assets were never built has no folder for them.
    services.link_assets()
    assert not list(tmp_path.iterdir())
    (tmp_path / "assets").mkdir()
    link = tmp_path / "assets/memora"
    # An older Python had the package elsewhere.
    link.symlink_to(tmp_path / "gone")
    for _ in range(2):
        services.link_assets()
        assert link.resolve() == (PACKAGE / "public").resolve()


def test_the_tile_is_for_those_who_have_a_role(app: App) -> None:
    for role, is_shown in (
        ("Memora Teacher", True),
        ("Memora Manager", True),
        ("System Manager", True),
        ("Memora Metrics", False),
    ):
        frappe.recorded.roles[PLAYER] = [role]
        assert services.is_for_user() == is_shown, role


def test_the_numbers_of_a_day(site: Site, manager: None) -> None:
    site.add(PLAYER, [Record("q"), Record("r")])
    assert desk.reviews_due(filters="[]") == {"value": 2, "fieldtype": "Int"}
    frappe.set_user(PLAYER)
    for name in ("q", "new"):
        reviews.submit_review_session(responses=[{"question_id": name, "quality": 5}])
    frappe.set_user(frappe.MANAGER)
    assert desk.backlog()["value"] == 2
    assert desk.answers_today()["value"] == 0
    frappe.recorded.run_jobs()
    # The transaction that looked before would see nothing new.
    frappe.local.db.commit()
    assert desk.backlog()["value"] == 0
    assert (desk.answers_today()["value"], desk.students_active_today()["value"]) == (2, 1)
    assert desk.reviews_due()["value"] == 1


def test_what_is_retired_is_not_due(site: Site, manager: None) -> None:
    site.add(PLAYER, [Record("q"), Record("r"), Record("s")])
    srs.retire_questions(["q", "r"])
    assert desk.reviews_due()["value"] == 1
    srs.restore_questions(["q"])
    # The transaction that looked before would see nothing new.
    frappe.local.db.commit()
    assert desk.reviews_due()["value"] == 2


def test_what_was_saved_yesterday_is_not_of_today(site: Site, manager: None) -> None:
    yesterday = site.now() - timedelta(days=1)
    site.insert("Memory Review Audit", name="a", player=PLAYER, answers=7, modified=yesterday)
    assert desk.answers_today()["value"] == 0


def test_of_a_big_day_and_a_big_season_a_part_is_looked_at(
    site: Site, manager: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "SUBMISSIONS", 3)
    monkeypatch.setattr(services, "RECORDS", 3)
    for number in range(4):
        site.insert(
            "Memory Review Audit",
            name=f"a{number}",
            player=f"p{number}",
            answers=2,
            modified=site.now(),
        )
    assert (desk.students_active_today(), desk.answers_today()) == (
        "\u20663+\u2069",
        "\u20666+\u2069",
    )
    site.add(PLAYER, [Record(f"q{number}") for number in range(10)])
    frappe.local.db.commit()
    # The engine's estimate of the season's records may be wrong, but not below the number counted.
    assert desk.reviews_due()["value"] >= 3


def test_without_a_season_nothing_is_due(site: Site, manager: None) -> None:
    site.sql("DELETE FROM `tabGame Subscription Season`")
    assert desk.reviews_due()["value"] == 0


def test_poison_reviews_lead_to_their_list(site: Site, manager: None) -> None:
    site.insert("Poison Review", name="p", player=PLAYER, season=SEASON)
    number = desk.waiting_poison_reviews()
    assert (number["value"], number["route"]) == (1, ["List", "Poison Review"])
    assert number["route_options"]["replayed_at"] == ["is", "not set"]


def test_the_charts_have_24_hours(site: Site, manager: None) -> None:
    site.add(PLAYER, [Record("q")])
    frappe.set_user(PLAYER)
    reviews.get_review_session()
    reviews.submit_review_session(responses=[{"question_id": "q", "quality": 5}])
    frappe.set_user(frappe.MANAGER)
    for chart in (desk.calls_of_students(chart_name="Calls of Students"), desk.time_to_answer()):
        assert len(set(chart["labels"])) == 24
        assert [len(each["values"]) for each in chart["datasets"]] == [24, 24]


def test_the_charts_are_empty_while_the_cache_is_away(site: Site, manager: None) -> None:
    site.servers.cache.kill()
    for chart in (desk.calls_of_students(), desk.time_to_answer()):
        assert {value for each in chart["datasets"] for value in each["values"]} == {0}
