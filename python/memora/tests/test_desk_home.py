"""The workspace and what it shows, as Frappe's own code reads it for each role; demo data."""

from __future__ import annotations

import os
from typing import Any, Final
from unittest.mock import patch

import frappe
from frappe.apps import get_apps
from frappe.desk.desktop import get_desktop_page
from frappe.desk.doctype.dashboard_chart_source.dashboard_chart_source import get_config

from memora.services import demo_data
from memora.services.engine import engine
from memora.services.roles import MANAGER, MANAGERS, METRICS, SYSTEM_MANAGER, TEACHER
from memora.services.seasons import active_seasons
from memora.tests import who_may
from memora.tests.case import TRACKER, ReviewTestCase, insert, remove_users

OF_ROLE: Final = {
    role: f"memora-test-desk-{role.lower().replace(' ', '-')}@example.com"
    for role in (SYSTEM_MANAGER, MANAGER, TEACHER, METRICS)
}


class TestWorkspace(ReviewTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        for role, name in OF_ROLE.items():
            insert("User", email=name, first_name=role, send_welcome_email=0).add_roles(role)
        frappe.db.commit()
        cls.addClassCleanup(remove_users)
        onboarding = frappe.db.get_single_value("System Settings", "enable_onboarding")
        frappe.db.set_single_value("System Settings", "enable_onboarding", 1)
        cls.addClassCleanup(
            frappe.db.set_single_value, "System Settings", "enable_onboarding", onboarding
        )

    def page(self, role: str) -> dict[str, Any]:
        """The names of what the workspace shows in the Desk, by kind."""
        frappe.set_user(OF_ROLE[role])
        asked = frappe.as_json({"name": "Memora", "title": "Memora", "public": 1})
        page = frappe.parse_json(frappe.as_json(get_desktop_page(asked)))
        return {
            "cards": {link["link_to"] for card in page["cards"]["items"] for link in card["links"]},
            "charts": {chart["chart_name"] for chart in page["charts"]["items"]},
            "numbers": {each["number_card_name"] for each in page["number_cards"]["items"]},
            "shortcuts": {each["link_to"] for each in page["shortcuts"]["items"]},
            "steps": [
                step["name"] for each in page["onboardings"]["items"] for step in each["items"]
            ],
        }

    def test_a_manager_sees_all_of_it(self) -> None:
        for role in MANAGERS:
            page = self.page(role)
            self.assertEqual(page["cards"], {*who_may.DOCTYPES, *who_may.PAGES}, role)
            self.assertEqual(page["charts"], set(who_may.CHARTS), role)
            self.assertEqual(page["numbers"], set(who_may.CARDS), role)
            self.assertEqual(len(page["shortcuts"]), 4, role)

    def test_a_teacher_sees_what_they_may_read(self) -> None:
        page = self.page(TEACHER)
        readable = {doctype for doctype, roles in who_may.DOCTYPES.items() if TEACHER in roles}
        self.assertEqual(page["cards"], readable | {"srs-monitor"})
        self.assertEqual(page["charts"], set(who_may.CHARTS))
        self.assertEqual(page["numbers"], set(who_may.CARDS) - {"Poison Reviews Waiting"})

    def test_the_onboarding_is_for_managers(self) -> None:
        onboarding = frappe.get_doc("Module Onboarding", "Memora")
        self.assertEqual(len(onboarding.get_steps()), 4)
        self.assertEqual(set(onboarding.get_allowed_roles()), set(MANAGERS))
        for step in onboarding.get_steps():
            target = step.reference_document or step.path
            kind = "DocType" if step.reference_document else "Page"
            self.assertTrue(frappe.db.exists(kind, target), step.name)

    def test_the_tile_is_for_those_who_have_a_role(self) -> None:
        for role, user in OF_ROLE.items():
            frappe.set_user(user)
            # Frappe 16 caches them for a request.
            frappe.local.request_cache.clear()
            tiles = [app["route"] for app in get_apps() if app["name"] == "memora"]
            self.assertEqual(bool(tiles), role != METRICS, role)

    def test_charts_have_their_scripts(self) -> None:
        for name in who_may.CHARTS:
            source = frappe.db.get_value("Dashboard Chart", name, "source")
            self.assertIn("memora.api.desk.", get_config(source))

    def test_assets_are_linked(self) -> None:
        link = os.path.join(frappe.local.sites_path, "assets", "memora", "images", "memora.svg")
        self.assertTrue(os.path.exists(link))


class TestDemoData(ReviewTestCase):
    """With two students, because Frappe takes long to make a User."""

    def setUp(self) -> None:
        super().setUp()
        frappe.set_user("Administrator")
        self.assertEqual(demo_data._like("User", f"%@{demo_data.DOMAIN}"), [], "remove demo data")
        few = patch.object(demo_data, "STUDENTS", demo_data.STUDENTS[:2])
        few.start()
        self.addCleanup(few.stop)
        self.addCleanup(demo_data.remove)

    def test_it_is_made_once_and_removed_whole(self) -> None:
        # The tests' own season is active.
        with self.assertRaises(frappe.ValidationError):
            demo_data.check_can_be_made()
        demo_data.check_can_be_made(force=True)
        made = demo_data.make()
        season = str(made["season"])
        self.assertEqual((made["students"], active_seasons()[0]), (2, season))
        self.assertGreater(made["records"], 100)
        records = frappe.get_all(TRACKER, {"season": season}, ["name", "next_review_date"])
        self.assertEqual(demo_data.make(), made)
        self.assertEqual(
            frappe.get_all(TRACKER, {"season": season}, ["name", "next_review_date"]), records
        )
        # Cache and table agree.
        found = engine().reconcile(season, None)
        self.assertEqual((found["missing"], found["ghost"], found["wrong_date"]), (0, 0, 0))
        self.assertEqual(demo_data.remove()["records"], made["records"])
        for doctype in ("User", "Game Subject", "Game Topic", "Game Subscription Season"):
            for pattern in (
                f"%@{demo_data.DOMAIN}",
                f"{demo_data.PREFIX}%",
                f"%{demo_data.SUFFIX}",
            ):
                self.assertEqual(demo_data._like(doctype, pattern), [])
        self.assertFalse(frappe.db.exists(TRACKER, {"season": season}))
        self.assertFalse(frappe.db.exists("Memory Review Audit", {"season": season}))

    def test_what_was_interrupted_goes_on(self) -> None:
        made = demo_data.make()
        name = f"{demo_data.STUDENTS[1].lower()}@{demo_data.DOMAIN}"
        # As if the process had died with half of a student's answers.
        frappe.db.set_value("User", name, "bio", None)
        frappe.db.delete(TRACKER, {"player": name, "question_id": ("like", "%-1%")})
        frappe.db.commit()
        self.assertEqual(demo_data.make(), made)

    def test_a_season_in_which_somebody_has_answered_stays(self) -> None:
        season = str(demo_data.make()["season"])
        self.addCleanup(demo_data.remove)
        record = self.add_record("q", season=season)
        demo_data.remove()
        self.assertEqual(frappe.db.get_value("Game Subscription Season", season, "is_active"), 0)
        self.assertTrue(frappe.db.exists(TRACKER, {"season": season, "question_id": "q"}))
        frappe.db.delete(TRACKER, {"name": record.name})
        frappe.db.commit()
