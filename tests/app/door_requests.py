"""Requests for the door and for Frappe, and whether their answers are the same.

For `tests/app/door_differential.py`. Nothing here knows Frappe, so `make test` tests it.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import quote, urlencode

REVIEWS: Final = "/api/method/memora.api.reviews."
READ: Final = f"{REVIEWS}get_review_session"
SUBMIT: Final = f"{REVIEWS}submit_review_session"
STATUS: Final = f"{REVIEWS}get_persistence_status"
FORECAST: Final = f"{REVIEWS}get_forecast"
QUESTIONS: Final = 40
# Twins are asked one after the other.
APART_SECONDS: Final = 30.0
JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
# Parts that differ in any two answers: times, memory addresses, and random names.
OWN: Final = (
    "persistence_job_id",
    "job_id",
    "exc",
    "exception",
    "_exc_source",
    "traceback",
    "__frappe_exc_id",
)


@dataclass
class Twin:
    """One of two students with equal records and sessions: one asks Frappe, one the door."""

    user: str
    sid: str
    csrf_token: str | None
    full_name: str = ""
    job_id: str = "none"
    # Names of submissions are new in each run.
    run: str = "run"

    def filled(self, text: str) -> str:
        """A text of a request with this student's values."""
        values = {
            "{sid}": self.sid,
            "{csrf}": self.csrf_token or "",
            "{user}": quote(self.user),
            "{name}": quote(self.full_name),
            "{job}": self.job_id,
            "{run}": self.run,
        }
        for name, value in values.items():
            text = text.replace(name, value)
        return text


@dataclass(frozen=True)
class Asked:
    """A request, with placeholders for the values of the student who sends it."""

    kind: str
    http_method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    def headers_of(self, twin: Twin) -> dict[str, str]:
        """The headers as this student sends them."""
        return {name: twin.filled(value) for name, value in self.headers.items()}

    def body_of(self, twin: Twin) -> bytes | None:
        """The body as this student sends it."""
        if self.body is None:
            return None
        return twin.filled(self.body.decode("latin-1")).encode("latin-1")


@dataclass(frozen=True)
class Answered:
    """An answer, as a client sees it."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


COOKIES: Final = (
    "sid={sid}; system_user=no; full_name={name}; user_id={user}; user_image=; user_lang=en"
)
STRANGE_COOKIES: Final = (
    "",
    "sid={sid}",
    "sid=",
    "sid=Guest",
    "sid=guest; user_id={user}",
    'sid="{sid}"; user_id={user}',
    "sid= {sid} ; user_id={user}",
    "sid=%7B{sid}; user_id={user}",
    "sid={sid}0; user_id={user}",
    "sid=0{sid}",
    "SID={sid}; user_id={user}",
    "sid={sid}; sid=Guest; user_id={user}",
    "sid=Guest; sid={sid}; user_id={user}",
    "sid={sid}; user_id=Administrator; full_name=x",
    "sid=0123456789abcdef0123456789abcdef0123456789abcdef01234567; user_id={user}",
    "a;b;=c;sid={sid};;user_id={user};",
    "sid={sid}, user_id={user}",
    "sid={sid}\t; user_id={user}; preferred_language=ar; user_lang=ar",
    "sid={sid}; full_name=\xe9; user_id={user}",
    "sid={sid}; user_image=/files/a.png; system_user=yes; user_id={user}",
)
STRANGE_HEADERS: Final[tuple[Mapping[str, str], ...]] = (
    {"Authorization": "token a:b"},
    {"Authorization": "Basic YTpi"},
    {"Authorization": "Bearer abc"},
    {"Authorization": "nothing"},
    {"Authorization": ""},
    {"Origin": "https://elsewhere.example"},
    {"Referer": "https://elsewhere.example/x", "Origin": "null"},
    {"X-Forwarded-For": "203.0.113.7, 10.0.0.1"},
    {"X-Requested-With": "XMLHttpRequest"},
    {"Accept": "text/html"},
    {"Accept": "application/json", "Accept-Language": "ar"},
    {"Connection": "Upgrade", "Upgrade": "websocket"},
    {"Connection": "keep-alive, Upgrade", "Upgrade": "h2c"},
    {"Content-Encoding": "gzip"},
    {"X-Frappe-Request-Id": "abc"},
    {"X-HTTP-Method-Override": "DELETE"},
    {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "other.example"},
    {"X-Frappe-Site-Name": "no-such-site.localhost"},
    {"X-Frappe-Site-Name": ""},
    {"X-Frappe-CSRF-Token": "wrong"},
    {"X-Frappe-CSRF-Token": ""},
    {"If-None-Match": "*", "Range": "bytes=0-10"},
    {"Expect": "100-continue"},
    {"Cookie2": "x", "Forwarded": "for=1.2.3.4"},
    {"User-Agent": ""},
)
STRANGE_PATHS: Final = (
    READ + "/", READ + "/more", READ.replace("/api", "/api/v1"), READ.replace("/api", "/api/v2"),
    READ.replace("reviews", "%72eviews"), READ.replace("/api", "//api"), READ.upper(), READ + "%00",
    READ.replace("reviews", "srs"), READ + ";x=1", "/api/method/frappe.ping", "/api/method/ping",
    "/api/method/frappe.auth.get_logged_user", f"{REVIEWS}get_suspended_questions",
    "/api/method/memora.api.srs.get_cache_status", "/api/resource/Nothing", "/api/method/",
    "/x/.." + READ, READ + "?", "/api/method/memora.wsgi.application",
)  # fmt: skip
STRANGE_QUERIES: Final = (
    "cmd=frappe.auth.get_logged_user", "sid=Guest", "sid={sid}", "_lang=ar", "csrf_token={csrf}",
    "limit=5&limit=50", "limit=%00", "limit=1&_=17", "subject=%ff%fe", "limit=+7", "x=1",
    "limit=5;subject=x", "usr=a&pwd=b", "data=1", "limit", "limit=&subject=&topic_id=", "%", "&&&",
    "ignore_permissions=1", "flags=1", "limit=5#x", "doctype=User",
)  # fmt: skip
STRANGE_BODIES: Final = (
    (JSON, b"{"), (JSON, b"[]"), (JSON, b"[1]"), (JSON, b"null"), (JSON, b"1"), (JSON, b'"x"'),
    (JSON, b'{"limit": NaN}'), (JSON, b'{"limit": 5, "limit": 6}'), (JSON, b'{"cmd": "ping"}'),
    (JSON, b'{"sid": "Guest"}'), (JSON, b'{"limit": 1e400}'), (JSON, b"\xff\xfe"), (JSON, b""),
    (JSON, b'{"_": 1, "limit": 3}'), (JSON, b'{"limit": 3} '), (JSON, b'\xef\xbb\xbf{"limit": 3}'),
    (JSON, b'{"subject": "\\ud800"}'), (JSON, b'{"limit": 3.0}'), (JSON, b'{"limit": "3"}'),
    (JSON, b'{"limit": [3]}'), (JSON, b"{}"), (JSON, b'{"_lang": "ar"}'),
    (JSON, b"[" * 3000), (JSON, b'{"subject": "' + b"x" * 70_000 + b'"}'),
    ("application/json; charset=utf-8", b'{"limit": 3}'), ("application/json;charset=latin-1",
    b'{"subject": "\xe9"}'), ("text/plain", b'{"limit": 3}'), ("application/vnd.api+json",
    b'{"limit": 3}'), (FORM, b"limit=3"), (FORM, b"limit=3&csrf_token={csrf}"), (FORM, b"%%%"),
    (FORM, b"limit=3&limit=4&_=5"), (FORM, b"subject=%E9"), ("multipart/form-data; boundary=x",
    b"--x\r\nContent-Disposition: form-data; name=limit\r\n\r\n3\r\n--x--\r\n"), ("", b"limit=3"),
    ("APPLICATION/JSON", b'{"limit": 4}'), ("application/json, text/plain", b'{"limit": 4}'),
)  # fmt: skip


def generated(choice: random.Random) -> Asked:
    """A request: half of them as students' clients send them, the others strange in some way."""
    asked = _usual(choice)
    if choice.random() < 0.5:
        return asked
    change = choice.choice(
        (
            _cookies,
            _cookies,
            _cookies,
            _headers,
            _headers,
            _path,
            _query,
            _body,
            _body,
            _token,
            _verb,
        )
    )
    return change(asked, choice)


def _usual(choice: random.Random) -> Asked:
    kind = choice.choice(("read", "read", "read", "submit", "submit", "status", "forecast"))
    if kind == "submit":
        return _post("submit", SUBMIT, _submission(choice), choice)
    if kind == "status":
        return _get(
            kind,
            f"{STATUS}?job_id={choice.choice(('{job}', '{job}', '{job}', '{job}', 'unknown', ''))}",
        )
    if kind == "forecast":
        query = choice.choice(("", "?days=7", "?days=365", "?days=2", "?days=x", "?days=1&_=9"))
        return _get(kind, FORECAST + query)
    given: dict[str, Any] = {}
    if choice.random() < 0.6:
        given["limit"] = choice.choice((1, 5, 20, 30, 50, "7", " 8", 0, "x"))
    if choice.random() < 0.3:
        given["subject"] = choice.choice(("Door Science", "Door Science", "", "No <b>&\u0645"))
    if choice.random() < 0.1:
        given["topic_id"] = choice.choice(("Door Topic", "No Such Topic"))
    if choice.random() < 0.2:
        return _post(kind, READ, given, choice)
    return _get(kind, f"{READ}?{urlencode(given)}" if given else READ)


def _get(kind: str, path: str) -> Asked:
    return Asked(kind, "GET", path, {"Cookie": COOKIES, "Accept": JSON})


def _post(kind: str, path: str, given: Mapping[str, Any], choice: random.Random) -> Asked:
    headers = {"Cookie": COOKIES, "Accept": JSON, "X-Frappe-CSRF-Token": "{csrf}"}
    if choice.random() < 0.3:
        texts = {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in given.items()
        }
        headers["Content-Type"] = FORM
        return Asked(kind, "POST", path, headers, urlencode(texts, safe="{}").encode())
    headers["Content-Type"] = JSON
    return Asked(kind, "POST", path, headers, json.dumps(given).encode())


def _submission(choice: random.Random) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if choice.random() < 0.3:
        # Perhaps sent before: then with the same answers.
        name = f"sent-{choice.randrange(200)}"
        given["submission_id"] = f"{{run}}-{name}"
        choice = random.Random(name if choice.random() < 0.9 else choice.random())
    count = choice.choice((1, 3, 10, 20, 50, 50, 50, 51, 0))
    numbers = [choice.randrange(QUESTIONS) for _ in range(count)]
    if choice.random() < 0.5:
        responses = [
            {
                "question_id": f"door-{number:03}",
                "quality": choice.randrange(7 if count == 3 else 6),
                "response_time_ms": choice.choice((900, 3000, 9000)),
            }
            for number in numbers
        ]
        given["responses"] = responses
    else:
        answers = [
            {
                "question_id": f"door-{number:03}",
                "is_correct": choice.random() < 0.7,
                "time_spent_ms": choice.choice((900, 3000, 9000)),
            }
            for number in numbers
        ]
        given["session_data"] = {"answers": answers, "total_combo": choice.randrange(5)}
    return given


def _cookies(asked: Asked, choice: random.Random) -> Asked:
    return _with(asked, "cookies", {"Cookie": choice.choice(STRANGE_COOKIES)})


def _headers(asked: Asked, choice: random.Random) -> Asked:
    if asked.kind == "submit" and choice.random() < 0.4:
        key = choice.choice(("{run}-sent-1", '"{run}-sent-2"', "", "\xe9", "x" * 65, '{run}"'))
        return _with(asked, "key", {"Idempotency-Key": key})
    return _with(asked, "headers", choice.choice(STRANGE_HEADERS))


def _path(asked: Asked, choice: random.Random) -> Asked:
    return Asked("path", asked.http_method, choice.choice(STRANGE_PATHS), asked.headers, asked.body)


def _query(asked: Asked, choice: random.Random) -> Asked:
    mark = "&" if "?" in asked.path else "?"
    path = asked.path + mark + choice.choice(STRANGE_QUERIES)
    return Asked("query", asked.http_method, path, asked.headers, asked.body)


def _body(asked: Asked, choice: random.Random) -> Asked:
    content_type, body = choice.choice(STRANGE_BODIES)
    headers = {**asked.headers, "X-Frappe-CSRF-Token": "{csrf}", "Content-Type": content_type}
    return Asked("body", choice.choice(("POST", "POST", "GET")), asked.path, headers, body)


def _token(asked: Asked, choice: random.Random) -> Asked:
    asked = asked if asked.http_method == "POST" else _post("read", READ, {"limit": 3}, choice)
    headers = dict(asked.headers)
    token = choice.choice((None, "", "wrong", "{csrf}x", " {csrf} ", "{sid}"))
    del headers["X-Frappe-CSRF-Token"]
    if token is not None:
        headers["X-Frappe-CSRF-Token"] = token
    return Asked("token", "POST", asked.path, headers, asked.body)


def _verb(asked: Asked, choice: random.Random) -> Asked:
    verb = choice.choice(("PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "GET", "POST"))
    return Asked("verb", verb, asked.path, asked.headers, asked.body)


def _with(asked: Asked, kind: str, headers: Mapping[str, str]) -> Asked:
    return Asked(kind, asked.http_method, asked.path, {**asked.headers, **headers}, asked.body)


# -- whether two answers are the same -------------------------------------------------------------
def differences(
    asked: Asked, frappe: Answered, door: Answered, first: Twin, second: Twin
) -> list[str]:
    """What differs between Frappe's answer to the first twin and the door's to the second."""
    found = []
    if frappe.status != door.status:
        danger = door.status == 200
        found.append(
            f"{'ANSWERED WHERE FRAPPE DOES NOT: ' if danger else ''}"
            f"status {frappe.status} and {door.status}"
        )
    values = [_json(answered.body) for answered in (frappe, door)]
    if "topic" in asked.path or b"topic" in (asked.body or b""):
        # Of a topic that was reviewed today, the engine asks questions at random.
        values = [without_questions(value) for value in values]
    found += different_values(values[0], values[1], _names(first, second))
    for name in ("content-type", "cache-control", "location", "allow", "www-authenticate"):
        one, other = _header(frappe, name), _header(door, name)
        if one != other:
            found.append(f"{name}: {one} and {other}")
    cookies = _cookies_of(frappe), _cookies_of(door)
    if _exchanged(cookies[0], _names(first, second)) != cookies[1]:
        found.append(f"cookies: {cookies[0]} and {cookies[1]}")
    return found


def without_questions(value: Any) -> Any:
    """An answer with the number of its questions in their place."""
    with suppress(KeyError, TypeError):
        message = value["message"]
        return {"message": {**message, "questions": len(message["questions"])}}
    return value


def different_values(one: Any, other: Any, names: Mapping[str, str], path: str = "") -> list[str]:
    """Where two values of JSON differ, by their paths.

    Args:
        one: of the first twin.
        other: of the second.
        names: names that belong to the first twin, and the second twin's names for the same things.
        path: of the values.
    """
    if isinstance(one, dict) and isinstance(other, dict):
        found = [
            f"{path}.{name} is in one only: {str((one | other)[name])[:200]}"
            for name in sorted(one.keys() ^ other.keys())
        ]
        for name in one.keys() & other.keys():
            if name not in OWN:
                found += different_values(one[name], other[name], names, f"{path}.{name}")
        return found
    if isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            return [f"{path}: {len(one)} and {len(other)} values"]
        found = []
        for place, pair in enumerate(zip(one, other, strict=True)):
            found += different_values(*pair, names, f"{path}[{place}]")
        return found
    if isinstance(one, str) and isinstance(other, str):
        dates = _date(one), _date(other)
        if dates[0] and dates[1]:
            apart = abs((dates[0] - dates[1]).total_seconds())
            return [] if apart < APART_SECONDS else [f"{path}: {one} and {other}"]
        one = _exchanged(one, names)
        # A tag of Frappe's for each message.
        one, other = (re.sub(r"__frappe_exc_id\W+\w+", "", text) for text in (one, other))
    return [] if one == other and type(one) is type(other) else [f"{path}: {one!r} and {other!r}"]


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        # A page of HTML has a time of its own and tokens.
        return f"{len(body) > 0} no JSON"


def _date(text: str) -> datetime | None:
    if not re.match(r"\d{4}-\d\d-\d\d.\d\d:", text):
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        return None


def _header(answered: Answered, wanted: str) -> list[str]:
    return [value for name, value in answered.headers if name.lower() == wanted]


def _cookies_of(answered: Answered) -> str:
    """Each cookie with its attributes, but when it expires."""
    found = []
    for value in _header(answered, "set-cookie"):
        try:
            cookie = SimpleCookie(value)
        except CookieError:
            found.append(value)
            continue
        for morsel in cookie.values():
            kept = {name: of for name, of in morsel.items() if of and name != "expires"}
            found.append(f"{morsel.key}={morsel.value} {sorted(kept.items(), key=str)}")
    return "\n".join(sorted(found))


def _names(first: Twin, second: Twin) -> dict[str, str]:
    names = {
        first.sid: second.sid,
        quote(first.user): quote(second.user),
        first.user: second.user,
        first.full_name: second.full_name,
        quote(first.full_name): quote(second.full_name),
        first.job_id: second.job_id,
        # Their last names, where a state has changed the first.
        first.full_name.rsplit(" ")[-1]: second.full_name.rsplit(" ")[-1],
    }
    return {name: other for name, other in names.items() if name}


def _exchanged(text: str, names: Mapping[str, str]) -> str:
    for name, other in names.items():
        text = text.replace(name, other)
    return text
