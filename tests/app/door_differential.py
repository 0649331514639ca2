"""Compares the door with Frappe on a real bench: the same requests in the same states.

    cd sites && PYTHONPATH=CLONE ../env/bin/python -m tests.app.door_differential --site SITE \\
        --frappe http://127.0.0.1:8001 --door http://127.0.0.1:8002 --requests 10000

For a site for tests only: it changes users, sessions, settings and the site's configuration, and
puts them back. Start two servers in the bench's folder `sites` before:

    ../env/bin/gunicorn -b 127.0.0.1:8001 -w 1 frappe.app:application --preload
    ../env/bin/gunicorn -b 127.0.0.1:8002 -w 1 memora.wsgi:application --preload

Two students have equal records and equal sessions. Each request goes to Frappe as the one and to
the door as the other. Status, JSON, cookies and the headers that matter must be the same, and so
must what the requests changed. At the end it says how many the door answered, and of which Frappe.
"""

from __future__ import annotations

import argparse
import http.client
import pickle
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import frappe
from frappe.installer import update_site_config
from frappe.utils import now_datetime
from frappe.utils.password import update_password

from memora.services.door_counts import door_counts
from memora.services.door_frappe import fingerprint_of_frappe
from memora.services.engine import engine
from tests.app.door_requests import QUESTIONS, Answered, Asked, Twin, differences, generated

PASSWORD: Final = "Green-door-40"
SEASON: Final = "SEASON-2026-DOOR"
SUBJECT: Final = "Door Science"
TOPIC: Final = "Door Topic"
# Longer than the door believes what it knows of a site.
SEEN_SECONDS: Final = 1.15
SHOWN: Final = 15
AT_ONCE: Final = 4
IN_SITE_STATE: Final = 30

Twins = tuple[Twin, Twin]


# -- the students ---------------------------------------------------------------------------------
class Students:
    """Both twins: their users, records and sessions."""

    def __init__(self, url: str) -> None:
        self.names: Final = ("door-frappe@example.com", "door-door@example.com")
        self._records: list[dict[str, Any]] = []
        self._templates: list[tuple[str, dict[str, Any]]] = []
        self._run: Final = frappe.generate_hash()[:8]
        make_lessons()
        for name in self.names:
            self._make(name)
            self._templates.append(log_in(url, name))
        self.twins: Twins = self.logged_in()

    def _make(self, name: str) -> None:
        if not frappe.db.exists("User", name):
            user = {"doctype": "User", "email": name, "first_name": "Nur", "send_welcome_email": 0}
            frappe.get_doc(user).insert(ignore_permissions=True)
            frappe.db.commit()
        self.restore(name)
        update_password(name, PASSWORD)
        frappe.db.commit()
        engine().forget(name)
        now = now_datetime()
        due = [(f"door-{number:03}", 1 + number % 4, number) for number in range(QUESTIONS)]
        states: list[tuple[str, int, float, str | None, str | None]] = [
            (question, stability, (now - timedelta(hours=number)).timestamp(), SUBJECT, TOPIC)
            for question, stability, number in due
        ]
        engine().set_states(name, SEASON, states)
        engine().drain(10.0)

    def restore(self, name: str) -> None:
        """Give a user back what a state changed."""
        kept = {
            "enabled": 1,
            "restrict_ip": "",
            "language": "en",
            "first_name": "Nur",
            "user_image": "",
            "last_name": "of " + name.split("@")[0],
        }
        frappe.db.set_value("User", name, kept)
        frappe.db.commit()
        frappe.clear_document_cache("User", name)
        frappe.cache.hdel("redirect_after_login", name)

    def logged_in(self) -> Twins:
        """New sessions of both, as a login makes them."""
        first, second = map(self._log_in, self.names, self._templates)
        return first, second

    def _log_in(self, name: str, template: tuple[str, dict[str, Any]]) -> Twin:
        old, record = template
        sid, token = frappe.generate_hash(), frappe.generate_hash()
        now = frappe.utils.now()
        record = pickle.loads(pickle.dumps(record))
        record["sid"] = sid
        record["data"] |= {"csrf_token": token, "last_updated": now}
        frappe.local.cache.clear()
        rows = frappe.db.sql("select sid from tabSessions where user = %s", name)
        for (former,) in rows:
            if former != old:
                frappe.db.sql("delete from tabSessions where sid = %s", former)
                frappe.cache.hdel("session", former)
        text = frappe.as_json(record["data"]) if is_16() else str(dict(record["data"]))
        frappe.db.sql(
            "insert into tabSessions (sid, user, lastupdate, sessiondata, status) "
            "values (%s, %s, %s, %s, 'Active')",
            (sid, name, now, text),
        )
        frappe.db.commit()
        frappe.cache.hset("session", sid, record)
        frappe.cache.hset("last_db_session_update", sid, now)
        full_name = " ".join(
            filter(None, frappe.db.get_value("User", name, ["first_name", "last_name"]))
        )
        # The page that a student has open read the user before.
        frappe.get_cached_doc("User", name)
        return Twin(name, sid, token, full_name, run=self._run)


def is_16() -> bool:
    """Whether the sessions are those of Frappe 16."""
    return hasattr(frappe, "client_cache")


def log_in(url: str, name: str) -> tuple[str, dict[str, Any]]:
    """Log in over HTTP; the session's id and its record."""
    body = f"usr={name}&pwd={PASSWORD}".encode()
    asked = Asked("login", "POST", "/api/method/login", {"Content-Type": FORM}, body)
    answered = send(url, asked, Twin(name, "", None))
    cookies = [value for key, value in answered.headers if key.lower() == "set-cookie"]
    sid = next(value for value in cookies if value.startswith("sid="))[4:].split(";")[0]
    frappe.local.cache.clear()
    record = frappe.cache.hget("session", sid)
    if not record:
        raise SystemExit(f"{name} cannot log in: HTTP {answered.status} {answered.body[:300]!r}")
    return sid, record


def make_lessons() -> None:
    """The season, the subject and the topic of the records."""
    today = now_datetime().date()
    for document in (
        {"doctype": "Game Subject", "subject_name": SUBJECT},
        {"doctype": "Game Topic", "topic_name": TOPIC, "subject": SUBJECT},
        {
            "doctype": "Game Subscription Season",
            "season_name": SEASON,
            "is_active": 1,
            "start_date": today,
            "end_date": today + timedelta(days=30),
        },
    ):
        name = document.get("season_name") or document.get("topic_name") or document["subject_name"]
        if not frappe.db.exists(document["doctype"], name):
            frappe.get_doc(document).insert(ignore_permissions=True)
            frappe.db.commit()


# -- states of a session --------------------------------------------------------------------------
def change_record(twin: Twin, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change what Redis has of a session."""
    frappe.local.cache.clear()
    record = frappe.cache.hget("session", twin.sid)
    frappe.cache.hset("session", twin.sid, change(record))


def aged(seconds: float) -> Callable[[Twin], None]:
    """A session that was used and updated so long ago."""

    def age(twin: Twin) -> None:
        then = str(now_datetime() - timedelta(seconds=seconds))
        change_record(twin, lambda record: with_data(record, last_updated=then))
        frappe.cache.hset("last_db_session_update", twin.sid, then)

    return age


def with_data(record: dict[str, Any], **values: Any) -> dict[str, Any]:
    """A record whose data has other values."""
    record["data"].update(values)
    return record


def user_with(**values: Any) -> Callable[[Twin], None]:
    """A user with other values, saved as an administrator's script does."""

    def change(twin: Twin) -> None:
        frappe.db.set_value("User", twin.user, values)
        frappe.db.commit()

    return change


def log_out(twin: Twin) -> None:
    """Log out everywhere."""
    frappe.sessions.clear_sessions(twin.user, force=True)


def change_password(logs_out: bool) -> Callable[[Twin], None]:
    """A new password."""

    def change(twin: Twin) -> None:
        update_password(twin.user, PASSWORD, logout_all_sessions=logs_out)
        frappe.db.commit()

    return change


def log_out_over_http(twin: Twin) -> None:
    """What the browser does."""
    headers = {"Cookie": "sid={sid}", "X-Frappe-CSRF-Token": "{csrf}"}
    send(URLS[0], Asked("logout", "POST", "/api/method/logout", headers, b""), twin)


def delete_from(table: bool) -> Callable[[Twin], None]:
    """A session that one of the two places has lost."""

    def delete(twin: Twin) -> None:
        if table:
            frappe.db.sql("delete from tabSessions where sid = %s", twin.sid)
            frappe.db.commit()
        else:
            frappe.cache.hdel("session", twin.sid)

    return delete


def no_update_hash(twin: Twin) -> None:
    """Frappe 15 does not know when it updated the session last."""
    frappe.cache.hdel("last_db_session_update", twin.sid)


def redirect(twin: Twin) -> None:
    """Frappe 15 tells it with the next answer."""
    frappe.cache.hset("redirect_after_login", twin.user, "/app/somewhere")


def evict_user(twin: Twin) -> None:
    """Redis has evicted the user's document."""
    frappe.clear_document_cache("User", twin.user)


def record_of(record: Any) -> Callable[[Twin], None]:
    """Something else in the session's place."""
    return lambda twin: change_record(twin, lambda _old: record)


def short_expiry(twin: Twin) -> None:
    """A session that was given less time than the site's settings now give."""
    aged(400)(twin)
    change_record(twin, lambda record: with_data(record, session_expiry="00:05:00"))


OF_SESSION: Final[dict[str, Callable[[Twin], None]]] = {
    "expired": aged(400 * 3600),
    "expires soon": aged(239 * 3600),
    "updated 10 minutes ago": aged(620),
    "updated 9 minutes ago": aged(540),
    "updated in the future": aged(-300),
    "never updated": no_update_hash,
    "without last_updated": lambda twin: change_record(
        twin, lambda record: with_data(record, last_updated=None)
    ),
    "its own short expiry": short_expiry,
    "an expiry without seconds": lambda twin: change_record(
        twin, lambda record: with_data(record, session_expiry="240:00")
    ),
    "without an expiry": lambda twin: change_record(
        twin, lambda record: with_data(record, session_expiry=None)
    ),
    "a fixed end in the past": lambda twin: change_record(
        twin, lambda record: with_data(record, session_end="2020-01-01T00:00:00+00:00")
    ),
    "logged out everywhere": log_out,
    "logged out": log_out_over_http,
    "password changed": change_password(False),
    "password changed, others logged out": change_password(True),
    "disabled": user_with(enabled=0),
    "restricted address": user_with(restrict_ip="10.9.9.9"),
    "restricted to this address": user_with(restrict_ip="127.0.0.1"),
    "another language": user_with(language="ar"),
    "another name": user_with(first_name="Aml\u00e4 \u0623\u0645\u0644; x=1"),
    "an image": user_with(user_image="/files/me and you.png"),
    "a system user": user_with(user_type="System User"),
    "a website user": user_with(user_type="Website User"),
    "not in Redis": delete_from(table=False),
    "not in the table": delete_from(table=True),
    "user not in Redis": evict_user,
    "a redirection": redirect,
    "no CSRF token": lambda twin: change_record(
        twin, lambda record: with_data(record, csrf_token=None)
    ),
    "record of a guest": lambda twin: change_record(
        twin, lambda record: with_data(record, user="Guest")
    ),
    "record of an unknown user": lambda twin: change_record(
        twin, lambda record: with_data(record, user="nobody@example.com")
    ),
    "an empty record": record_of({}),
    "a record without data": record_of({"user": "x"}),
    "a record that is a list": record_of([1]),
}  # fmt: skip


# -- states of the site ---------------------------------------------------------------------------
@contextmanager
def configured(**values: Any) -> Iterator[None]:
    """The site's configuration with these values."""
    for name, value in values.items():
        update_site_config(name, value)
    forget_configuration()
    try:
        yield
    finally:
        for name in values:
            update_site_config(name, "None")
        forget_configuration()


def forget_configuration() -> None:
    """Frappe 16 remembers it for a minute in each process."""
    if is_16():
        frappe.client_cache.erase_persistent_caches()


@contextmanager
def setting(**values: Any) -> Iterator[None]:
    """System Settings with these values."""
    old = {name: frappe.db.get_single_value("System Settings", name) for name in values}
    set_settings(values)
    try:
        yield
    finally:
        set_settings(old)


def set_settings(values: dict[str, Any]) -> None:
    for name, value in values.items():
        frappe.db.set_single_value("System Settings", name, value)
        if name == "session_expiry":
            frappe.db.set_default(name, value)
    frappe.db.commit()
    frappe.clear_document_cache("System Settings", "System Settings")
    frappe.cache.delete_value("defaults")


@contextmanager
def cached(name: str, value: Any) -> Iterator[None]:
    """A value of Frappe's cache."""
    cache = frappe.client_cache if is_16() else frappe.cache
    cache.set_value(name, value)
    try:
        yield
    finally:
        cache.delete_value(name)


@contextmanager
def hooked(**more: Any) -> Iterator[None]:
    """Hooks of another app."""
    frappe.local.cache.clear()
    hooks = dict(frappe.get_hooks())
    for name, value in more.items():
        hooks[name] = value if isinstance(value, dict) else [*hooks.get(name, ()), value]
    with cached("app_hooks", hooks):
        yield


@contextmanager
def without_season() -> Iterator[None]:
    """No season is active."""
    for active in (0, 1):
        season = frappe.get_doc("Game Subscription Season", SEASON)
        season.is_active = active
        season.save(ignore_permissions=True)
        frappe.db.commit()
        if not active:
            yield


READ: Final = "memora.api.reviews.get_review_session"
OF_SITE: Final[dict[str, Callable[[], Any]]] = {
    "maintenance": lambda: configured(maintenance_mode=1),
    "read-only": lambda: configured(maintenance_mode=1, allow_reads_during_maintenance=1),
    "rate limit": lambda: configured(rate_limit={"window": 3600, "limit": 0.000001}),
    "monitor": lambda: configured(monitor=1),
    "recorder": lambda: cached("recorder-intercept", 1),
    "CORS": lambda: configured(allow_cors="*"),
    "CORS of one": lambda: configured(allow_cors=["https://elsewhere.example"]),
    "no CSRF": lambda: configured(ignore_csrf=1),
    "developer mode": lambda: configured(developer_mode=1),
    "request log": lambda: configured(enable_frappe_logger=1),
    "small bodies": lambda: configured(max_file_size=60),
    "one session each, configured": lambda: configured(deny_multiple_sessions=1),
    "one session each": lambda: setting(deny_multiple_sessions=1),
    "sessions of five minutes": lambda: setting(session_expiry="00:05"),
    "another language": lambda: setting(language="ar"),
    "another time zone": lambda: setting(time_zone="America/New_York"),
    "auth hook": lambda: hooked(auth_hooks="frappe.throw"),
    "before_request": lambda: hooked(before_request="frappe.throw"),
    "after_request": lambda: hooked(after_request="memora.tests.test_reviews.cards"),
    "an override": lambda: hooked(override_whitelisted_methods={READ: ["frappe.ping"]}),
    "a server script": lambda: cached(
        "server_script_map", {"_api": {READ: "no-such-script"}, "permission_query": {}}
    ),
    "no season": without_season,
}


# -- asking both ----------------------------------------------------------------------------------
FORM: Final = "application/x-www-form-urlencoded"
URLS: Final[list[str]] = []


def send(url: str, asked: Asked, twin: Twin) -> Answered:
    """Send a request as a student."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    headers = {"Host": SITE[0], **asked.headers_of(twin)}
    body = asked.body_of(twin)
    connection.putrequest(
        asked.http_method, twin.filled(asked.path), skip_host=True, skip_accept_encoding=True
    )
    for name, value in headers.items():
        connection.putheader(name, value)
    if body is not None or asked.http_method in ("POST", "PUT", "PATCH"):
        connection.putheader("Content-Length", str(len(body or b"")))
    connection.endheaders(body)
    try:
        answer = connection.getresponse()
        return Answered(answer.status, tuple(answer.getheaders()), answer.read())
    except (http.client.HTTPException, OSError) as error:
        return Answered(0, (), repr(type(error)).encode())
    finally:
        connection.close()


SITE: Final[list[str]] = []


class Comparison:
    """The run: what was asked in which states, and what differed."""

    def __init__(self, seed: int) -> None:
        self.choice: Final = random.Random(seed)
        self.students: Final = Students(URLS[0])
        self.statuses: Final[Counter[tuple[str, int]]] = Counter()
        self.found: Final[list[str]] = []
        self.asked = 0

    def ask(self, state: str, twins: Twins) -> None:
        """One request to both."""
        asked = generated(self.choice)
        answers = [send(url, asked, twin) for url, twin in zip(URLS, twins, strict=True)]
        self.asked += 1
        self.statuses[state, answers[0].status] += 1
        different = differences(asked, answers[0], answers[1], *twins)
        if different:
            self.found.append(
                f"{state}: {asked.http_method} {asked.path} ({asked.kind}) {dict(asked.headers)} "
                f"{(asked.body or b'')[:80]!r}\n    " + "\n    ".join(different[:6])
            )
            print("\n" + self.found[-1], flush=True)
        for twin, answer in zip(twins, answers, strict=True):
            with suppress(ValueError, KeyError, TypeError, AttributeError):
                twin.job_id = frappe.parse_json(answer.body)["message"]["persistence_job_id"]

    def in_session_state(self) -> None:
        """Some requests, one of the states, and requests after it."""
        twins = self.students.logged_in()
        self.ask("live", twins)
        name = self.choice.choice(list(OF_SESSION))
        for twin in twins:
            OF_SESSION[name](twin)
        for _ in range(AT_ONCE):
            self.ask(name, twins)
        for twin in twins:
            self.students.restore(twin.user)

    def in_site_state(self, name: str) -> None:
        """Requests while the site is in a state, and after it."""
        twins = self.students.logged_in()
        with OF_SITE[name]():
            time.sleep(SEEN_SECONDS)
            # A rate limit lets the first call of a window through.
            send(
                URLS[0],
                Asked("read", "GET", f"/api/method/{READ}", {"Cookie": "sid={sid}"}),
                twins[0],
            )
            for _ in range(IN_SITE_STATE):
                self.ask(name, twins)
        time.sleep(SEEN_SECONDS)
        for _ in range(AT_ONCE):
            self.ask(f"after {name}", self.students.logged_in())

    def live(self, count: int) -> None:
        """Requests of sessions that stay as they are."""
        twins = self.students.logged_in()
        for _ in range(count):
            self.ask("live", twins)

    def what_changed(self) -> None:
        """Compare what all requests have changed in the tables."""
        changed = [changes_of(name) for name in self.students.names]
        if changed[0] != changed[1]:
            for part in changed[0]:
                if changed[0][part] != changed[1][part]:
                    self.found.append(f"{part}: {changed[0][part]} and {changed[1][part]}")
                    print("\n" + self.found[-1], flush=True)


def changes_of(name: str) -> dict[str, Any]:
    """What is in MariaDB of a student."""
    until = time.monotonic() + 30
    while engine().has_waiting_answers(name, [SEASON]) and time.monotonic() < until:
        engine().drain(5.0)
        time.sleep(0.05)
    frappe.db.rollback()
    return {
        "records": frappe.get_all(
            "Player Memory Tracker",
            {"player": name, "season": SEASON},
            ["question_id", "stability", "subject", "topic"],
            order_by="question_id",
            as_list=True,
        ),
        "submissions": frappe.db.count("Memory Review Audit", {"player": name}),
        "sessions": frappe.db.sql("select count(*) from tabSessions where user = %s", name),
    }


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--site", required=True)
    parser.add_argument("--frappe", required=True, help="URL of frappe.app:application")
    parser.add_argument("--door", required=True, help="URL of memora.wsgi:application")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=2026)
    options = parser.parse_args()
    URLS[:], SITE[:] = [options.frappe, options.door], [options.site]
    frappe.init(options.site)
    frappe.connect()
    frappe.cache.delete(frappe.cache.make_key("memora_door"))
    run = Comparison(options.seed)
    start = datetime.now()
    names = list(OF_SITE)
    next_site_state = 0
    while run.asked < options.requests:
        if run.asked >= next_site_state and names:
            run.in_site_state(names.pop(0))
            next_site_state = run.asked + max(60, options.requests // (len(OF_SITE) + 2))
        run.in_session_state()
        run.live(2 * AT_ONCE)
        if run.asked % 100 < 10:
            print(f"\r{run.asked:,} requests", end="", flush=True)
    for name in names:
        run.in_site_state(name)
    run.what_changed()
    # Until the processes tell what they have counted.
    time.sleep(10.5)
    run.live(20)
    report(run, (datetime.now() - start).total_seconds())


def report(run: Comparison, seconds: float) -> None:
    """Say what was asked, what answered, and what differed."""
    counts = door_counts()
    by_state: dict[str, Counter[int]] = {}
    for (state, status), count in run.statuses.items():
        by_state.setdefault(state, Counter())[status] += count
    print(f"\n{run.asked:,} requests to each in {seconds:.0f} s, Frappe {frappe.__version__}")
    for state, statuses in by_state.items():
        print(f"  {state}: {dict(sorted(statuses.items()))}")
    print(f"the door answered {counts['answered']:,}; Frappe behind it:")
    for reason, count in counts["to_frappe"].items():
        print(f"{count:>8,}  {reason}")
    print(f"fingerprint {fingerprint_of_frappe()}")
    print(f"{len(run.found)} differences")
    if counts["answered"] < run.asked / 10:
        print("The door answered less than a tenth: nothing is shown.")
    sys.exit(bool(run.found) or counts["answered"] < run.asked / 10)


if __name__ == "__main__":
    main()
