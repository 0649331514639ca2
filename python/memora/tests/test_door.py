"""The door in front of Frappe (memora.wsgi), in front of this Frappe."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.cookies import SimpleCookie
from typing import Any, Final, NamedTuple
from unittest.mock import patch

import frappe
from frappe.app import application
from frappe.sessions import clear_sessions
from frappe.utils.password import update_password
from werkzeug.test import Client

from memora.services.door_frappe import COMPARED, fingerprint_of_frappe
from memora.services.door_rules import VERSION_15, VERSION_16
from memora.services.engine import engine
from memora.tests.case import SEASON, STUDENT, ReviewTestCase
from memora.wsgi import Door

PASSWORD: Final = "Green-door-40"
READ: Final = "memora.api.reviews.get_review_session"
SUBMIT: Final = "memora.api.reviews.submit_review_session"
TOKEN: Final = "memora-test-token"


class Told(NamedTuple):
    """An answer: status, JSON, the names of its cookies, and whether the door gave it."""

    status: int
    data: Any
    cookies: list[str]
    is_door: bool

    def same(self) -> tuple[int, Any, list[str]]:
        """The parts that must be the same whether the door or Frappe answers."""
        return self.status, self.data, self.cookies


class TestDoor(ReviewTestCase):
    """Calls in a session that Frappe made, through the door and without it."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        # Of a Frappe that it was not compared with, this is a small comparison.
        version = VERSION_16 if hasattr(frappe, "client_cache") else VERSION_15
        compared = patch.dict(COMPARED, {fingerprint_of_frappe(): version})
        compared.start()
        cls.addClassCleanup(compared.stop)
        update_password(STUDENT, PASSWORD)
        frappe.db.commit()

    def setUp(self) -> None:
        super().setUp()
        # What the door knows of the site, it knows for a second: a machine can be slower.
        for place in ("memora.services.door_site", "memora.wsgi"):
            patience = patch(f"{place}.KNOWN_SECONDS", 60.0)
            patience.start()
            self.addCleanup(patience.stop)
        self.asked_frappe = 0
        self.door = Door(self._ask_frappe)
        self.add_record("due")
        body = {"usr": STUDENT, "pwd": PASSWORD}
        cookies = SimpleCookie()
        for value in self._send(application, "login", body, {})[2]:
            cookies.load(value)
        self.sid = cookies["sid"].value
        self.cookies = "; ".join(f"{name}={one.coded_value}" for name, one in cookies.items())
        self.set_record(csrf_token=TOKEN)
        # The first call through the door is Frappe's, which says what holds for the site.
        self.through_door(READ)

    def set_record(self, **values: Any) -> None:
        """Change what Redis has of the session."""
        frappe.local.cache.clear()
        record = frappe.cache.hget("session", self.sid)
        record["data"].update(values)
        frappe.cache.hset("session", self.sid, record)

    def set_user(self, **values: Any) -> None:
        """Change the student, and change it back after the test."""
        old = frappe.db.get_value("User", STUDENT, list(values), as_dict=True)
        self.addCleanup(self._save_user, old)
        self._save_user(values)

    def _save_user(self, values: Any) -> None:
        frappe.db.set_value("User", STUDENT, dict(values))
        frappe.db.commit()

    def _ask_frappe(self, environ: Any, start_response: Any) -> Any:
        self.asked_frappe += 1
        return application(environ, start_response)

    def _send(
        self, where: Any, method: str, body: Any, headers: dict[str, str]
    ) -> tuple[int, Any, list[str]]:
        headers = {
            "X-Frappe-Site-Name": frappe.local.site,
            "Accept": "application/json",
            **headers,
        }

        def send() -> tuple[int, Any, list[str]]:
            with closing(
                Client(where, use_cookies=False).open(
                    f"/api/method/{method}",
                    method="GET" if body is None else "POST",
                    json=body,
                    headers=headers,
                )
            ) as answer:
                data = answer.get_json(silent=True)
                return answer.status_code, data, answer.headers.getlist("Set-Cookie")

        # Frappe keeps the present site and user for each thread.
        with ThreadPoolExecutor(1) as threads:
            return threads.submit(send).result()

    def ask(self, where: Any, method: str, body: Any, headers: dict[str, str]) -> Told:
        """Call a method with the student's session."""
        before = self.asked_frappe
        headers = {"Cookie": self.cookies, "X-Frappe-CSRF-Token": TOKEN} | headers
        status, data, cookies = self._send(where, method, body, headers)
        names = sorted(value.partition("=")[0] for value in cookies)
        return Told(status, data, names, where is self.door and self.asked_frappe == before)

    def through_door(self, method: str, body: Any = None, **headers: str) -> Told:
        """The same, through the door."""
        return self.ask(self.door, method, body, headers)

    def check_same(self, method: str, body: Any = None, **headers: str) -> Told:
        """Ask both; the answers, but for the text of a traceback, must be the same."""
        by_door = self.through_door(method, body, **headers)
        by_frappe = self.ask(application, method, body, headers)
        for told in (by_door, by_frappe):
            for name in ("exc", "_server_messages"):
                told.data.pop(name, None)
        self.assertEqual(by_door.same(), by_frappe.same())
        return by_door

    def test_it_answers_a_student_as_frappe_does(self) -> None:
        told = self.check_same(READ)
        self.assertEqual((told.status, told.is_door), (200, True))
        self.assertEqual(told.data["message"]["total_due"], 1)
        for method, body in (
            (f"{READ}?limit=1", None),
            (READ, {"limit": "5"}),
            ("memora.api.reviews.get_forecast?days=7", None),
        ):
            self.assertTrue(self.check_same(method, body).is_door)

    def test_it_takes_answers_once(self) -> None:
        answer = {"question_id": "due", "quality": 5, "response_time_ms": 3000}
        job_ids = []
        for _ in range(3):
            told = self.through_door(SUBMIT, {"responses": [answer]})
            self.assertEqual((told.status, told.data["message"]["processed"]), (200, 1))
            job_ids.append(told.data["message"]["persistence_job_id"])
        self.assertTrue(told.is_door)
        status = self.check_same(f"memora.api.reviews.get_persistence_status?job_id={job_ids[-1]}")
        self.assertEqual(status.status, 200)
        engine().drain()
        frappe.db.rollback()
        audits = frappe.get_all("Memory Review Audit", {"season": SEASON, "player": STUDENT})
        self.assertEqual(sorted(job_ids), sorted(each["name"] for each in audits))

    def test_a_session_that_ended_is_not_let_in(self) -> None:
        self.assertTrue(self.through_door(READ).is_door)
        clear_sessions(STUDENT, force=True)
        self.assertEqual(self.check_same(READ).status, 403)

    def test_a_password_that_logs_others_out(self) -> None:
        update_password(STUDENT, PASSWORD, logout_all_sessions=True)
        frappe.db.commit()
        self.assertEqual(self.check_same(READ).status, 403)

    def test_a_student_who_is_disabled_is_frappe_s(self) -> None:
        self.set_user(enabled=0)
        self.assertFalse(self.check_same(READ).is_door)

    def test_restricted_addresses_are_frappe_s(self) -> None:
        self.set_user(restrict_ip="10.9.9.9")
        told = self.check_same(READ)
        self.assertNotEqual(told.status, 200)

    def test_a_wrong_token_is_frappe_s(self) -> None:
        for token in ("", "wrong"):
            told = self.check_same(READ, {"limit": 1}, **{"X-Frappe-CSRF-Token": token})
            self.assertEqual((told.status, told.is_door), (400, False))

    def test_nobody_is_nobody(self) -> None:
        for cookies in ("", "sid=Guest", f"sid={self.sid[:-1]}"):
            told = self.check_same(READ, None, Cookie=cookies)
            self.assertEqual((told.status, told.is_door), (403, False))

    def test_what_it_refuses_it_does_not_log(self) -> None:
        # In a thread without a site, Frappe logs to the bench's own frappe.log, for instance that
        # it cannot translate. What Frappe logs of the same call has the site.
        with self.assertNoLogs(frappe.logger(allow_site=False)):
            for method, body in (
                (f"{READ}?limit=51", None),
                (f"{READ}?limit=many", None),
                ("memora.api.reviews.get_forecast?days=0", None),
                ("memora.api.reviews.get_persistence_status", None),
                (SUBMIT, {"responses": "{"}),
            ):
                told = self.through_door(method, body)
                self.assertEqual((told.status, told.is_door), (417, False))
                self.assertIn("exc_type", told.data)

    def test_an_old_session_is_extended_by_frappe(self) -> None:
        then = str(frappe.utils.add_to_date(frappe.utils.now(), minutes=-11))
        self.set_record(last_updated=then)
        frappe.cache.hset("last_db_session_update", self.sid, then)
        self.assertEqual(self.through_door(READ)[0::3], (200, False))
        # Frappe 16 extends it after the answer, which may be a moment later.
        frappe.local.cache.clear()
        record = frappe.cache.hget("session", self.sid)
        self.assertNotEqual(str(record["data"]["last_updated"]), then)
        # It has also written to the user, whom it caches again in the next call.
        self.through_door(READ)
        self.assertTrue(self.through_door(READ).is_door)
