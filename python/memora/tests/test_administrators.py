"""Administrators' notifications and actions, on a real site."""

from __future__ import annotations

import json
import time
from functools import partial

import frappe
from frappe import _

from memora.api.srs import dismiss_poison_reviews, get_poison_reviews, replay_poison_reviews
from memora.services import outages
from memora.services.administrators import alert_administrators
from memora.tests.case import SEASON, STUDENT, TRACKER, ReviewTestCase, insert

LIST = "memora.api.srs.get_poison_reviews"
REPLAY = "memora.api.srs.replay_poison_reviews"
NOWHERE = "redis://127.0.0.1:1"


def written(subject: str) -> tuple[str, str]:
    """A notification."""
    return subject, "Nothing to do."


class TestPoisonReviews(ReviewTestCase):
    def set_aside(self, question_id: str) -> str:
        """A record as the drain sets it aside; its name."""
        now = int(time.time())
        payload = json.dumps([question_id, 3, now + 7 * 86400, now, now * 1_000_000, None, None])
        values = {
            "player": STUDENT,
            "season": SEASON,
            "question_id": question_id,
            "payload": payload,
        }
        document = insert("Poison Review", job_id=f"{now}-0", reason="a test", **values)
        return str(document.name)

    def test_an_administrator_lists_and_replays_them(self) -> None:
        names = [self.set_aside("q1"), self.set_aside("q2")]
        frappe.set_user("Administrator")
        found = get_poison_reviews(limit=500)
        self.assertLessEqual(set(names), {row["name"] for row in found["poison_reviews"]})
        self.assertGreaterEqual(found["total"], 2)
        self.assertEqual(
            replay_poison_reviews(json.dumps(names)), {"replayed": 2, "failed": 0, "unknown": 0}
        )
        self.assertEqual(replay_poison_reviews(names), {"replayed": 0, "failed": 0, "unknown": 2})
        frappe.db.rollback()
        key = {"player": STUDENT, "season": SEASON, "question_id": "q2"}
        self.assertEqual(frappe.db.get_value(TRACKER, key, "stability"), 3)
        self.assertTrue(frappe.db.get_value("Poison Review", names[0], "replayed_at"))

    def test_an_administrator_dismisses_them(self) -> None:
        name = self.set_aside("q1")
        frappe.set_user("Administrator")
        told = dismiss_poison_reviews([name], "The question was deleted.")
        self.assertEqual(told, {"dismissed": 1, "unknown": 0})
        frappe.db.commit()
        dismissed = frappe.get_doc("Poison Review", name)
        self.assertEqual(dismissed.dismissal_reason, "The question was deleted.")
        self.assertEqual(dismissed.dismissed_by, "Administrator")
        self.assertNotIn(
            name, {row["name"] for row in get_poison_reviews(limit=500)["poison_reviews"]}
        )

    def test_a_student_does_not(self) -> None:
        name = self.set_aside("q1")
        for verb, method in (("GET", LIST), ("POST", LIST), ("POST", REPLAY), ("GET", REPLAY)):
            for user in (STUDENT, None):
                self.assertEqual(self.request(verb, method, user).status, 403)
        self.assertFalse(frappe.db.get_value("Poison Review", name, "replayed_at"))


class TestAlerts(ReviewTestCase):
    def notified(self, subject: str) -> list[str]:
        """Who was notified."""
        frappe.db.rollback()
        users: list[str] = frappe.get_all(
            "Notification Log", {"subject": subject}, pluck="for_user"
        )
        return users

    def test_system_managers_are_notified(self) -> None:
        for queue in (frappe.local.conf.redis_queue, NOWHERE):
            manager = f"memora-test-manager-{frappe.generate_hash(length=8)}@example.com"
            user = self.add_user(manager)
            user.add_roles("System Manager")
            frappe.db.commit()
            subject = f"memora test {frappe.generate_hash()}"
            before, frappe.local.conf.redis_queue = frappe.local.conf.redis_queue, queue
            try:
                alert_administrators(partial(written, subject), "/app")
            finally:
                frappe.local.conf.redis_queue = before
            frappe.db.commit()
            self.assertIn(manager, self.notified(subject))
            self.assertNotIn(STUDENT, self.notified(subject))

    def test_each_is_notified_in_their_own_language(self) -> None:
        subject = f"memora test {frappe.generate_hash()}"
        managers = {}
        for language in ("ar", "en"):
            name = f"memora-test-{language}-{frappe.generate_hash(length=8)}@example.com"
            user = self.add_user(name)
            user.language = language
            user.save()
            user.add_roles("System Manager")
            managers[name] = language
        frappe.db.commit()
        before = frappe.local.lang
        alert_administrators(lambda: (f"{subject} {frappe.local.lang}", _("All Seasons")), "/app")
        self.assertEqual(frappe.local.lang, before)
        frappe.db.commit()
        for name, language in managers.items():
            self.assertIn(name, self.notified(f"{subject} {language}"))

    def test_without_an_outage_the_minutes_job_tells_nothing(self) -> None:
        before = frappe.db.count("Notification Log")
        outages.watch()
        frappe.db.rollback()
        self.assertEqual(frappe.db.count("Notification Log"), before)
