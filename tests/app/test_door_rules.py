"""What the door may answer: Frappe's rules (memora.services.door_rules)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from io import BytesIO
from typing import Any

import pytest

from memora.services import door_rules as rules
from memora.services.door_rules import VERSION_15, VERSION_16, ToFrappe
from tests.app.door_requests import READ, STATUS, SUBMIT

SID = "0123456789abcdef" * 3
NOW = datetime(2026, 9, 1, 8)
HOURS_240 = 240 * 3600


def environ(**changes: Any) -> dict[str, Any]:
    """A student's call as gunicorn gives it; a change to None leaves a key out."""
    usual = {
        "PATH_INFO": READ,
        "REQUEST_METHOD": "GET",
        "QUERY_STRING": "",
        "SERVER_NAME": "x",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(),
        "HTTP_COOKIE": f"sid={SID}; user_id=a%40b.example",
        **changes,
    }
    return {name: value for name, value in usual.items() if value is not None}


def posted(body: bytes, content_type: str = "application/json", **changes: Any) -> dict[str, Any]:
    return environ(
        REQUEST_METHOD="POST",
        CONTENT_TYPE=content_type,
        CONTENT_LENGTH=str(len(body)),
        **{"wsgi.input": BytesIO(body)},
        **changes,
    )


def data(**changes: Any) -> dict[str, Any]:
    """A session's data as Frappe keeps it."""
    return {
        "user": "a@b.example",
        "last_updated": "2026-09-01 07:59:00.000001",
        "session_expiry": "240:00:00",
        "csrf_token": "token",
        **changes,
    }


def refusal(ask: Callable[[], object]) -> str:
    with pytest.raises(ToFrappe) as refused:
        ask()
    return refused.value.reason


def test_a_student_s_call() -> None:
    call = rules.as_call(environ())
    assert (call.name, call.session_id) == ("get_review_session", SID)
    assert rules.as_call(posted(b"{}", PATH_INFO=SUBMIT)).name == "submit_review_session"
    # Frappe makes ids of 56 characters; other versions longer or shorter ones.
    assert rules.as_call(environ(HTTP_COOKIE=f"sid={'f' * 56}")).session_id == "f" * 56


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"REQUEST_METHOD": "PUT"}, "another HTTP method"),
        ({"REQUEST_METHOD": "HEAD"}, "another HTTP method"),
        ({"PATH_INFO": SUBMIT}, "another HTTP method"),
        ({"SCRIPT_NAME": "/x"}, "another HTTP method"),
        # Before anything else is looked at, and also beside JSON, which would count alone.
        ({"QUERY_STRING": "cmd=x", "HTTP_COOKIE": None}, "other arguments"),
        ({"QUERY_STRING": "limit=5&frappe"}, "other arguments"),
        ({"QUERY_STRING": "limi%74=5"}, "other arguments"),
        ({"QUERY_STRING": "limit=5;cmd=x&cmd=x"}, "other arguments"),
        ({"HTTP_AUTHORIZATION": "token a:b"}, "an Authorization header"),
        ({"HTTP_AUTHORIZATION": ""}, "an Authorization header"),
        ({"HTTP_UPGRADE": "websocket"}, "an Upgrade header"),
        ({"HTTP_TRANSFER_ENCODING": "chunked"}, "a body of unknown length"),
        ({"HTTP_COOKIE": None}, "no session cookie"),
        ({"HTTP_COOKIE": "user_id=a"}, "no session cookie"),
        ({"HTTP_COOKIE": f"SID={SID}"}, "no session cookie"),
        ({"HTTP_COOKIE": "sid=Guest"}, "a session cookie that Frappe did not make"),
        ({"HTTP_COOKIE": f"sid={SID}%41"}, "a session cookie that Frappe did not make"),
        ({"HTTP_COOKIE": f"sid={SID}; sid=Guest"}, "a session cookie that Frappe did not make"),
        ({"HTTP_COOKIE": f"sid=Guest; sid={SID}"}, "a session cookie that Frappe did not make"),
        ({"HTTP_COOKIE": f"sid={SID}; x=\xe9"}, "cookies that are not ASCII"),
    ],
)
def test_another_call_is_frappe_s(changes: dict[str, Any], reason: str) -> None:
    assert refusal(lambda: rules.as_call(environ(**changes))) == reason


def test_a_body_can_be_read_again() -> None:
    sent = posted(b'{"limit": 3}')
    assert rules.read_body(sent, 1000) == b'{"limit": 3}'
    assert sent["wsgi.input"].read() == b'{"limit": 3}'
    too_short = posted(b"{}") | {"CONTENT_LENGTH": "9"}
    assert refusal(lambda: rules.read_body(too_short, 1000)) == "a body that ended too early"
    assert too_short["wsgi.input"].read() == b"{}"


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (environ(CONTENT_LENGTH="2"), "a GET with a body"),
        (posted(b"x" * 70_000), "a large body"),
        (posted(b"x" * 1001), "a large body"),
        (posted(b"") | {"CONTENT_LENGTH": ""}, "a body of unknown length"),
        (posted(b"") | {"CONTENT_LENGTH": "-1"}, "a body of unknown length"),
        (posted(b"") | {"CONTENT_LENGTH": "\u0663"}, "a body of unknown length"),
        (posted(b"") | {"CONTENT_LENGTH": "9" * 9000}, "a body of unknown length"),
        (posted(b"{}", "text/plain"), "another content type"),
        (posted(b"{}", "application/vnd.api+json"), "another content type"),
        (posted(b"{}", "multipart/form-data; boundary=x"), "another content type"),
    ],
)
def test_another_body_is_not_read(sent: dict[str, Any], reason: str) -> None:
    stream = sent["wsgi.input"]
    assert refusal(lambda: rules.read_body(sent, 1000)) == reason
    assert stream.tell() == 0


def read_arguments(sent: dict[str, Any]) -> dict[str, Any]:
    body = rules.read_body(sent, 1000)
    return rules.read_arguments(sent, body, rules.as_call(sent))


def test_arguments_are_read_as_frappe_reads_them() -> None:
    assert read_arguments(environ()) == {}
    assert read_arguments(environ(QUERY_STRING="limit=5&limit=6&_=17")) == {"limit": "5"}
    assert read_arguments(posted(b'{"limit": 5, "_": 1}')) == {"limit": 5}
    # JSON, if there is any, is all that counts.
    assert read_arguments(posted(b'{"limit": 5}', QUERY_STRING="subject=x&_=y")) == {"limit": 5}
    form = posted(b"limit=5", "application/x-www-form-urlencoded", QUERY_STRING="limit=4&subject=x")
    assert read_arguments(form) == {"limit": "5", "subject": "x"}


@pytest.mark.parametrize(
    "sent",
    [
        environ(QUERY_STRING="cmd=frappe.ping"),
        environ(QUERY_STRING="sid=Guest"),
        environ(QUERY_STRING="_lang=ar"),
        environ(QUERY_STRING="job_id=x"),
        posted(b'{"csrf_token": "token"}'),
        posted(b"[]"),
        posted(b"1"),
        posted(b"{"),
        posted(b"\xff"),
        environ(PATH_INFO=STATUS, QUERY_STRING="limit=1"),
    ],
)
def test_arguments_with_another_meaning_are_frappe_s(sent: dict[str, Any]) -> None:
    assert refusal(lambda: read_arguments(sent)) in ("other arguments", "JSON that cannot be read")


def check_session(version: Any = VERSION_15, update: Any = "same", **changes: Any) -> Any:
    record = {"data": data(**changes)}
    if update == "same":
        update = record["data"]["last_updated"]
    return rules.check_session(record, update, NOW, HOURS_240, version)


def ago(seconds: float) -> str:
    return str(NOW - timedelta(seconds=seconds))


def test_a_live_session() -> None:
    assert check_session()[0] == "a@b.example"
    assert check_session(last_updated=ago(599))[0] == "a@b.example"
    assert check_session(VERSION_16, None, last_updated=NOW - timedelta(minutes=9))
    # A clock that is behind.
    assert check_session(last_updated=ago(-60))
    assert check_session(session_expiry=None)


@pytest.mark.parametrize("version", [VERSION_15, VERSION_16])
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"user": "Guest"}, "a session of nobody"),
        ({"user": None}, "a session of nobody"),
        ({"session_end": "2020-01-01T00:00:00+00:00"}, "a session with a fixed end"),
        ({"last_updated": ago(HOURS_240 + 1)}, "a session that has expired"),
        ({"last_updated": ago(301), "session_expiry": "00:05:00"}, "a session that has expired"),
        ({"session_expiry": "00:05"}, "a session that has expired"),
        ({"session_expiry": 5}, "a session that has expired"),
        ({"last_updated": None}, "a session that has expired"),
        ({"last_updated": "yesterday"}, "a session that has expired"),
        ({"last_updated": "2026-09-01 07:59:00+00:00"}, "a session that has expired"),
        ({"last_updated": ago(600)}, "a session that Frappe extends now"),
    ],
)
def test_a_session_that_ends_or_changes_is_frappe_s(
    version: Any, changes: dict[str, Any], reason: str
) -> None:
    assert refusal(lambda: check_session(version, **changes)) == reason


def test_frappe_15_notes_updates_elsewhere() -> None:
    extends = "a session that Frappe extends now"
    assert refusal(lambda: check_session(VERSION_15, None)) == extends
    assert refusal(lambda: check_session(VERSION_15, ago(601))) == extends
    assert check_session(VERSION_15, ago(10), last_updated=ago(3600))
    assert refusal(lambda: check_session(VERSION_16, None, last_updated=ago(3600))) == extends
    # Frappe 16 extends sessions of five minutes sooner.
    record = {"data": data(last_updated=ago(151))}
    assert rules.check_session(record, None, NOW, 600, VERSION_16)
    assert refusal(lambda: rules.check_session(record, None, NOW, 300, VERSION_16)) == extends


@pytest.mark.parametrize("record", [None, {}, [], "x", {"data": None}, {"data": "x"}])
def test_what_is_no_session_is_frappe_s(record: Any) -> None:
    ask = lambda: rules.check_session(record, None, NOW, HOURS_240, VERSION_15)  # noqa: E731
    assert refusal(ask) == "a session that is not in Redis"


USER = {"name": "a@b.example", "enabled": 1, "user_type": "Website User", "first_name": "Amal"}


def test_a_user() -> None:
    user = rules.check_user(USER | {"last_name": "S", "restrict_ip": ""}, "a@b.example")
    assert (user.user_type, user.full_name, user.user_image) == ("Website User", "Amal S", "")


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (None, "a user whom Frappe has not cached"),
        (USER | {"name": "other@b.example"}, "a user whom Frappe has not cached"),
        (USER | {"enabled": 0}, "a user who is disabled"),
        ({"name": "a@b.example"}, "a user who is disabled"),
        (USER | {"restrict_ip": "10.0.0.1"}, "a user with restricted addresses"),
    ],
)
def test_a_user_that_frappe_must_look_at(document: Any, reason: str) -> None:
    assert refusal(lambda: rules.check_user(document, "a@b.example")) == reason


def test_the_csrf_token() -> None:
    wrong = "a CSRF token that is missing or wrong"
    rules.check_csrf_token(environ(HTTP_X_FRAPPE_CSRF_TOKEN="token"), data(), "POST")
    rules.check_csrf_token(environ(), data(), "GET")
    # Nobody has opened a page of this session.
    rules.check_csrf_token(environ(), data(csrf_token=None), "POST")
    for token in (None, "", "Token", "token "):
        sent = environ(HTTP_X_FRAPPE_CSRF_TOKEN=token)
        assert refusal(partial(rules.check_csrf_token, sent, data(), "POST")) == wrong


def test_the_cookies_of_an_answer() -> None:
    user = rules.User("Website User", "Amal \u0633", "", None)
    site = {"expiry": HOURS_240, "language": "ar"}
    call = rules.as_call(environ())
    name = "a@b.example"
    first = rules.cookies_of_answer(call, name, user, VERSION_15, site, secure=True)
    assert [value.partition("=")[0] for value in first] == [
        "sid", "system_user", "full_name", "user_id", "user_image",
    ]  # fmt: skip
    assert first[0].startswith(f"sid={SID}; Expires=")
    assert first[0].endswith(f"Max-Age={HOURS_240}; Secure; HttpOnly; Path=/; SameSite=Lax")
    assert first[2] == "full_name=Amal%20%D8%B3; Secure; Path=/; SameSite=Lax"
    # Frappe 16 does not tell a browser what it has.
    told = rules.cookies_of_answer(call, name, user, VERSION_16, site, secure=False)
    assert [value.split(";")[0] for value in told[1:]] == [
        "system_user=no", "full_name=Amal%20%D8%B3", "user_lang=ar",
    ]  # fmt: skip
