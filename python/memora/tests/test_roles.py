"""Roles on a real site: who may call what over HTTP, and what they may do with documents."""

from __future__ import annotations

from typing import Any, Final

import frappe
from frappe.core.doctype.page.page import Page

from memora.services.administrators import alert_administrators
from memora.services.roles import MANAGER, METRICS, TEACHER, create_roles
from memora.tests import who_may
from memora.tests.case import SECRET, SUBJECT, ReviewTestCase, insert, remove_users

OF_ROLE: Final = {
    role: f"memora-test-{role.lower().replace(' ', '-')}@example.com"
    for role in who_may.EVERY_ROLE
    if role != who_may.GUEST
}


class TestRoles(ReviewTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        for role, name in OF_ROLE.items():
            user = insert(
                "User", email=name, first_name=role, send_welcome_email=0, api_key=name,
                api_secret=SECRET,
            )  # fmt: skip
            if role != who_may.STUDENT:
                user.add_roles(role)
        frappe.db.commit()
        cls.addClassCleanup(remove_users)

    def setUp(self) -> None:
        super().setUp()
        frappe.set_user("Administrator")

    def methods(self) -> dict[str, Any]:
        who_may.import_everything()
        return {
            f"{function.__module__}.{function.__name__}": function
            for function in frappe.whitelisted
            if function.__module__.startswith("memora.")
        }

    def test_every_method_has_a_decision_and_keeps_to_it(self) -> None:
        methods = self.methods()
        self.assertEqual(methods.keys(), who_may.METHODS.keys())
        for path, function in methods.items():
            verbs = frappe.allowed_http_methods_for_whitelisted_func[function]
            arguments = who_may.ARGUMENTS.get(path, {})
            allowed = []
            for role in who_may.EVERY_ROLE:
                if path in who_may.NOT_TRIED and role in who_may.METHODS[path]:
                    allowed.append(role)
                    continue
                answer = self.request(
                    "GET" if "GET" in verbs else "POST", path, OF_ROLE.get(role), **arguments
                )
                self.assertIn(answer.status, (200, 403, 404, 417), (path, role, answer.data))
                if answer.status != 403:
                    allowed.append(role)
            self.assertEqual(set(allowed), set(who_may.METHODS[path]), path)

    def test_every_doctype_has_a_decision_and_keeps_to_it(self) -> None:
        doctypes = frappe.get_all("DocType", {"module": "Memora", "istable": 0}, pluck="name")
        self.assertEqual(set(doctypes), who_may.DOCTYPES.keys())
        for doctype in doctypes:
            for role, user in {**OF_ROLE, who_may.GUEST: "Guest"}.items():
                found = [
                    ptype
                    for ptype in who_may.PERMISSIONS
                    if frappe.has_permission(doctype, ptype, user=user)
                ]
                allowed = who_may.DOCTYPES[doctype].get(role, "").split()
                self.assertEqual(found, allowed, (doctype, role))

    def test_every_page_has_a_decision_and_keeps_to_it(self) -> None:
        pages = frappe.get_all("Page", {"module": "Memora"}, pluck="name")
        self.assertEqual(set(pages), who_may.PAGES.keys())
        for name in pages:
            page: Page = frappe.get_doc("Page", name)
            for role, user in {**OF_ROLE, who_may.GUEST: "Guest"}.items():
                frappe.set_user(user)
                self.assertEqual(
                    bool(page.is_permitted()), role in who_may.PAGES[name], (name, role)
                )

    def test_only_managers_and_teachers_have_the_desk(self) -> None:
        create_roles()
        access = {
            role: frappe.db.get_value("Role", role, "desk_access")
            for role in (MANAGER, TEACHER, METRICS)
        }
        self.assertEqual(access, {MANAGER: 1, TEACHER: 1, METRICS: 0})
        kinds = {role: frappe.db.get_value("User", OF_ROLE[role], "user_type") for role in access}
        self.assertEqual(
            kinds, {MANAGER: "System User", TEACHER: "System User", METRICS: "Website User"}
        )

    def test_a_migrate_keeps_what_a_site_has_set_in_a_role(self) -> None:
        frappe.db.set_value("Role", METRICS, "two_factor_auth", 1)
        self.addCleanup(frappe.db.rollback)
        create_roles()
        self.assertEqual(frappe.db.get_value("Role", METRICS, "two_factor_auth"), 1)

    def test_a_teacher_edits_a_topic_over_http(self) -> None:
        for role, status in ((TEACHER, 200), (METRICS, 403), (who_may.STUDENT, 403)):
            answer = self.request(
                "POST", "frappe.client.set_value", OF_ROLE[role], doctype="Game Subject",
                name=SUBJECT, fieldname="subject_name", value=SUBJECT,
            )  # fmt: skip
            self.assertEqual(answer.status, status, role)

    def test_memora_managers_are_told(self) -> None:
        subject = f"memora test {frappe.generate_hash()}"
        alert_administrators(lambda: (subject, "Nothing to do."), "/app")
        frappe.db.commit()
        told = frappe.get_all("Notification Log", {"subject": subject}, pluck="for_user")
        self.assertIn(OF_ROLE[MANAGER], told)
        self.assertNotIn(OF_ROLE[TEACHER], told)
