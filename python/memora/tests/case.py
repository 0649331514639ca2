"""What the app's tests share: a season, a subject, a topic and a student, made for them and removed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, Final, NamedTuple

import frappe
from frappe.tests.utils import FrappeTestCase
from frappe.utils import get_test_client, now_datetime

from memora.services.partition_manager import create_season_partition

SEASON: Final = "SEASON-1999-APPTEST"
SUBJECT: Final = "Memora Test Subject"
TOPIC: Final = "Memora Test Topic"
STUDENT: Final = "memora-test-student@example.com"
SECRET: Final = "memora-test-secret"
TRACKER: Final = "Player Memory Tracker"
OWN_RECORDS: Final = (TRACKER, "Memory Review Audit", "Poison Review")


class Answer(NamedTuple):
    """What a request got: the status, the JSON (else the text, as `text`) and the headers."""

    status: int
    data: dict[str, Any]
    headers: Any


class ReviewTestCase(FrappeTestCase):
    """The engine has connections of its own, so all data is committed, and removed at the end."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        remove_test_data()
        cls.addClassCleanup(remove_test_data)
        insert("Game Subject", subject_name=SUBJECT)
        insert("Game Topic", topic_name=TOPIC, subject=SUBJECT)
        insert(
            "User", email=STUDENT, first_name="Amal", send_welcome_email=0, api_key=STUDENT, api_secret=SECRET
        )
        # Of several active seasons the one that began last counts.
        today = now_datetime().date()
        dates = {"start_date": today, "end_date": today + timedelta(days=90)}
        insert("Game Subscription Season", season_name=SEASON, is_active=1, **dates)
        create_season_partition(SEASON)

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(frappe.set_user, "Administrator")
        self.addCleanup(forget_records)
        frappe.set_user(STUDENT)

    def add_record(self, question_id: str, **values: Any) -> Any:
        """A record of the student, due for an hour."""
        due = now_datetime() - timedelta(hours=1)
        values = {"player": STUDENT, "season": SEASON, "next_review_date": due, "stability": 2} | values
        return insert(TRACKER, question_id=question_id, **values)

    def request(self, verb: str, method: str, user: str | None = STUDENT, **arguments: Any) -> Answer:
        """Call a method over HTTP, as the student or as nobody."""
        headers = {"X-Frappe-Site-Name": frappe.local.site, "Accept": "application/json"}
        if user:
            headers["Authorization"] = f"token {user}:{SECRET}"
        carried: dict[str, Any] = {"query_string" if verb == "GET" else "json": arguments}

        def send() -> Answer:
            client = get_test_client(use_cookies=False)
            response = client.open(f"/api/method/{method}", method=verb, headers=headers, **carried)
            data = response.get_json(silent=True) or {"text": response.get_data(as_text=True)}
            return Answer(response.status_code, data, response.headers)

        # Frappe keeps the present site and user for each thread.
        with ThreadPoolExecutor(1) as threads:
            return threads.submit(send).result()


def insert(doctype: str, **values: Any) -> Any:
    """Insert a document and commit."""
    document = frappe.get_doc({"doctype": doctype, **values}).insert(ignore_permissions=True)
    frappe.db.commit()
    return document


def forget_records() -> None:
    """Remove the records of the season, from the cache too."""
    from memora.services.engine import engine

    frappe.db.rollback()
    engine().drain(10.0)
    for doctype in OWN_RECORDS:
        frappe.db.delete(doctype, {"season": SEASON})
    frappe.db.commit()
    engine().cache_clear(STUDENT, SEASON)


def remove_test_data() -> None:
    """Remove whatever these tests made, also in a run that was killed."""
    frappe.set_user("Administrator")
    forget_records()
    for doctype in (TRACKER, "Archived Memory Tracker"):
        frappe.db.delete(doctype, {"player": STUDENT})
    frappe.db.commit()
    for doctype, name in (
        ("Game Subscription Season", SEASON),
        ("Game Topic", TOPIC),
        ("Game Subject", SUBJECT),
        ("User", STUDENT),
    ):
        frappe.delete_doc(doctype, name, ignore_permissions=True, delete_permanently=True)
    frappe.db.commit()
    if SEASON in frappe.db.sql(f"show create table `tab{TRACKER}`")[0][1]:
        frappe.db.sql_ddl(f"alter table `tab{TRACKER}` drop partition `{SEASON}`")
