"""What Frappe itself does with a student's data: download, erase, rename and delete the user."""

from __future__ import annotations

import json
from unittest.mock import patch

import frappe
from frappe.website.doctype.personal_data_download_request.personal_data_download_request import (
    get_user_data,
)

from memora.api.srs import export_student, forget_student
from memora.tests.case import SEASON, STUDENT, TRACKER, ReviewTestCase, insert, remove_user

LEAVER = "memora-test-leaver@example.com"


class TestPersonalData(ReviewTestCase):
    def setUp(self) -> None:
        super().setUp()
        frappe.set_user("Administrator")
        self.addCleanup(remove_user, LEAVER)
        remove_user(LEAVER)
        insert("User", email=LEAVER, first_name="Huda", send_welcome_email=0)
        self.add_record("q", player=LEAVER)
        self.add_record("q")

    def records(self, player: str) -> int:
        frappe.db.rollback()
        return int(frappe.db.count(TRACKER, {"player": player, "season": SEASON}))

    def test_the_download_has_the_records(self) -> None:
        (record,) = json.loads(get_user_data(LEAVER))[TRACKER]
        self.assertEqual((record["question_id"], record["player"]), ("q", LEAVER))
        self.assertEqual(export_student(LEAVER)[TRACKER][0]["name"], record["name"])

    def test_the_deletion_erases_them(self) -> None:
        with patch("frappe.sendmail"):
            request = insert("Personal Data Deletion Request", email=LEAVER)
            self.addCleanup(remove_user, request.name)
            self.addCleanup(frappe.db.commit)
            self.addCleanup(frappe.delete_doc, request.doctype, request.name, force=True)
            request.db_set("status", "Pending Approval")
            request._anonymize_data()
            frappe.db.commit()
        self.assertEqual(
            [self.records(name) for name in (LEAVER, request.name, STUDENT)], [0, 0, 1]
        )
        self.assertTrue(frappe.db.exists("User", request.name))

    def test_an_erased_student_can_be_deleted(self) -> None:
        with self.assertRaises(frappe.LinkExistsError):
            frappe.delete_doc("User", LEAVER)
        frappe.db.rollback()
        self.assertEqual(forget_student(LEAVER, confirm=LEAVER)["records"], 1)
        frappe.db.rollback()
        frappe.delete_doc("User", LEAVER)
        frappe.db.commit()
        self.assertEqual([self.records(name) for name in (LEAVER, STUDENT)], [0, 1])
