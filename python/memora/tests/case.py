"""Shared by the app's tests: a season, a subject, a topic and a student, made for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, Final, NamedTuple
from unittest.mock import patch

import frappe
from frappe.tests.utils import FrappeTestCase
from frappe.utils import get_test_client, now_datetime
from frappe.utils.background_jobs import get_job

from memora.services.engine import engine
from memora.services.partition_manager import check_partition_exists, create_season_partition

SEASON: Final = "SEASON-1999-APPTEST"
# One that has ended.
OLD: Final = "SEASON-1998-APPTEST"
SUBJECT: Final = "Memora Test Subject"
TOPIC: Final = "Memora Test Topic"
STUDENT: Final = "memora-test-student@example.com"
SECRET: Final = "memora-test-secret"
# These tests made every user with such a name.
USERS: Final = "memora-test-%@example.com"
TRACKER: Final = "Player Memory Tracker"
ARCHIVED: Final = "Archived Memory Tracker"
SEASON_DOCTYPE: Final = "Game Subscription Season"
# No test is about timeouts, and the machine may be busy with something else.
PATIENT: Final = {"srs_redis_timeout_ms": 5_000, "srs_database_timeout_ms": 20_000}
OWN_RECORDS: Final = (TRACKER, ARCHIVED, "Memory Review Audit", "Poison Review", "SRS Job")
# What Frappe makes for users and keeps when they are deleted, and notifications: DocType, field,
# value.
TRACES: Final = (
    ("Contact", "email_id", USERS),
    ("Contact Email", "email_id", USERS),
    ("DefaultValue", "parent", USERS),
    ("Deleted Document", "deleted_name", USERS),
    ("Notification Log", "for_user", USERS),
    ("Notification Log", "subject", "%-APPTEST%"),
    ("Notification Log", "subject", "memora test %"),
)


class Answer(NamedTuple):
    """A response: the status, the JSON (otherwise the text, as `text`) and the headers."""

    status: int
    data: dict[str, Any]
    headers: Any


class ReviewTestCase(FrappeTestCase):
    """The engine has connections of its own, so all data is committed, and removed at the end."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        patience = patch("frappe.get_site_config", patient(frappe.get_site_config))
        patience.start()
        cls.addClassCleanup(patience.stop)
        frappe.local.conf.update(PATIENT)
        remove_test_data()
        cls.addClassCleanup(remove_test_data)
        insert("Game Subject", subject_name=SUBJECT)
        insert("Game Topic", topic_name=TOPIC, subject=SUBJECT)
        insert(
            "User",
            email=STUDENT,
            first_name="Amal",
            send_welcome_email=0,
            api_key=STUDENT,
            api_secret=SECRET,
        )
        # Of several active seasons the one that began last counts.
        today = now_datetime().date()
        dates = {"start_date": today, "end_date": today + timedelta(days=90)}
        insert(SEASON_DOCTYPE, season_name=SEASON, is_active=1, **dates)
        create_season_partition(SEASON)

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(frappe.set_user, "Administrator")
        self.addCleanup(forget_records)
        frappe.set_user(STUDENT)

    def add_user(self, name: str) -> Any:
        """Make a user, who is removed after the test, even if renamed."""
        self.addCleanup(remove_users, STUDENT)
        return insert("User", email=name, first_name="Mona", send_welcome_email=0)

    def add_record(self, question_id: str, **values: Any) -> Any:
        """A record of the student, due for an hour."""
        due = now_datetime() - timedelta(hours=1)
        values = {
            "player": STUDENT,
            "season": SEASON,
            "next_review_date": due,
            "stability": 2,
        } | values
        return insert(TRACKER, question_id=question_id, **values)

    def request(
        self, verb: str, method: str, user: str | None = STUDENT, **arguments: Any
    ) -> Answer:
        """Call a method over HTTP, as the student or as nobody."""
        return self.request_with({}, verb, method, user, **arguments)

    def request_with(
        self,
        headers: Mapping[str, str],
        verb: str,
        method: str,
        user: str | None = STUDENT,
        **arguments: Any,
    ) -> Answer:
        """The same with more headers."""
        headers = {
            "X-Frappe-Site-Name": frappe.local.site,
            "Accept": "application/json",
            **headers,
        }
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


def patient(get_site_config: Callable[..., Any]) -> Callable[..., Any]:
    """Frappe's function, with PATIENT added: each request reads the configuration again."""

    def read(*arguments: Any, **options: Any) -> Any:
        return frappe._dict(get_site_config(*arguments, **options) | PATIENT)

    return read


def insert(doctype: str, **values: Any) -> Any:
    """Insert a document and commit."""
    document = frappe.get_doc({"doctype": doctype, **values}).insert(ignore_permissions=True)
    frappe.db.commit()
    return document


def remove(doctype: str, name: str) -> None:
    """Delete a document permanently, if there is one, and commit."""
    frappe.delete_doc(doctype, name, force=True, ignore_permissions=True, delete_permanently=True)
    frappe.db.commit()


def save_answers(drain: Callable[[], object] | None = None) -> None:
    """Save all answers of the season, also those that a worker of the bench is about to save.

    Args:
        drain: what saves them; by default the engine.
    """
    drain = drain or engine().drain
    users = users_of_tests()
    until = time.monotonic() + 60
    drain()
    while any(engine().has_waiting_answers(user, [SEASON]) for user in users):
        if time.monotonic() > until:
            raise TimeoutError("The answers of these tests are not saved, for a minute.")
        time.sleep(0.05)
        drain()


def users_of_tests() -> list[str]:
    """The users that these tests have made."""
    frappe.db.rollback()
    users: list[str] = frappe.get_all("User", {"name": ("like", USERS)}, pluck="name")
    frappe.db.rollback()
    return users


def forget_records() -> None:
    """Remove the season's records, and what the engine knows of these tests' users."""
    save_answers()
    # Answers of the last minutes that were only deleted in the table would count as lost and come
    # back.
    for user in {STUDENT, *users_of_tests()}:
        engine().forget(user)
    for doctype in OWN_RECORDS:
        frappe.db.delete(doctype, {"season": SEASON})
    frappe.db.commit()
    engine().cache_clear(STUDENT, SEASON)


def remove_user(name: str) -> None:
    """Remove a user with all records, if there is one, and commit."""
    from memora.services.engine import engine

    frappe.db.rollback()
    engine().forget(name)
    frappe.delete_doc("User", name, ignore_missing=True, force=True, ignore_permissions=True)
    frappe.db.commit()


def remove_users(kept: str | None = None) -> None:
    """Remove the users that these tests have made, but one, and their records."""
    frappe.set_user("Administrator")
    forget_records()
    users = [user for user in users_of_tests() if user != kept]
    for user in users:
        for doctype in (TRACKER, ARCHIVED, "Poison Review"):
            frappe.db.delete(doctype, {"player": user})
    frappe.db.commit()
    for user in users:
        remove("User", user)


def remove_test_data() -> None:
    """Remove all that these tests made, also in a run that failed or was killed."""
    remove_users()
    remove("Game Topic", TOPIC)
    remove("Game Subject", SUBJECT)
    for season in (SEASON, OLD):
        remove_season(season)
    for doctype, field, value in TRACES:
        frappe.db.delete(doctype, {field: ("like", value)})
    frappe.db.commit()


def remove_season(season: str) -> None:
    """Remove a season, its records, its jobs and what is known of its archive."""
    frappe.set_user("Administrator")
    frappe.db.rollback()
    for name in frappe.get_all("SRS Job", {"season": season}, pluck="name"):
        # Otherwise a worker would run it without its season, and notify administrators.
        job = get_job(f"memora_{name}")
        if job and job.is_queued:
            job.delete()
    for doctype in OWN_RECORDS:
        frappe.db.delete(doctype, {"season": season})
    frappe.db.commit()
    remove(SEASON_DOCTYPE, season)
    engine().forget_archive(season)
    if check_partition_exists(season):
        frappe.db.sql_ddl(f"alter table `tab{TRACKER}` drop partition `{season}`")
