"""Whether the door (`memora.wsgi`) may answer a call: Frappe's rules, without Frappe.

Everything here is decided from the call, what Redis has of its session, and what Frappe said of the
site. docs/door.md has each step with its place in Frappe's source. Whatever is not certain raises
`ToFrappe`, and Frappe answers the call as if there were no door.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from http.cookies import CookieError
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote

from werkzeug.http import dump_cookie, parse_cookie
from werkzeug.wrappers import Request

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

METHOD_PATH: Final = "/api/method/"
# The methods that the door knows, by their paths, with Frappe's HTTP methods and their arguments.
STUDENT_CALLS: Final = {
    f"{METHOD_PATH}memora.api.reviews.{name}": (name, http_methods, arguments)
    for name, http_methods, arguments in (
        ("get_review_session", ("GET", "POST"), ("subject", "topic_id", "limit")),
        ("get_forecast", ("GET", "POST"), ("days",)),
        ("submit_review_session", ("POST",), ("session_data", "responses", "submission_id")),
        ("get_persistence_status", ("GET", "POST"), ("job_id",)),
    )
}
COMMANDS: Final = tuple(path.removeprefix(METHOD_PATH) for path in STUDENT_CALLS)
# A submission of 50 answers is a tenth of it.
LARGEST_BODY: Final = 65_536
# As Frappe makes them (frappe.generate_hash).
SESSION_ID: Final = re.compile(r"[0-9a-zA-Z]{32,128}")
JSON: Final = ("application/json", "application/json; charset=utf-8")
FORM: Final = (
    "application/x-www-form-urlencoded",
    "application/x-www-form-urlencoded; charset=utf-8",
)
# Headers with which Frappe, or werkzeug below it, does something else than for a browser's session.
UNUSUAL_HEADERS: Final = {
    "HTTP_AUTHORIZATION": "an Authorization header",
    "HTTP_UPGRADE": "an Upgrade header",
    "HTTP_TRANSFER_ENCODING": "a body of unknown length",
    "HTTP_CONTENT_ENCODING": "a Content-Encoding header",
}
OTHER_ARGUMENTS: Final = "other arguments"
UPDATED_EVERY: Final = 600
NO_TRACE: Final = "no-store,no-cache,must-revalidate,max-age=0"


class ToFrappe(Exception):
    """The call is Frappe's. Has the reason, as `bench memora door` shows it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason: Final = reason


class SessionOfFrappe(ToFrappe):
    """So are the next calls of this session."""


class SiteUnknown(ToFrappe):
    """What the process knows of the site no longer holds."""


@dataclass(frozen=True)
class Version:
    """What differs between the versions of Frappe, for a student's call.

    The hooks are those of Frappe itself that do nothing while what they are for is switched off.
    """

    major: int
    before_request: frozenset[str]
    after_request: frozenset[str]
    has_session_update_hash: bool
    tells_cookies_once: bool


_HOOKS: Final = frozenset(
    ("frappe.recorder.record", "frappe.monitor.start", "frappe.rate_limiter.apply")
)
_AFTER: Final = frozenset(("frappe.monitor.stop", "memora.services.errors.set_retry_after"))
VERSION_15: Final = Version(15, _HOOKS, _AFTER, True, False)
VERSION_16: Final = Version(
    16,
    _HOOKS | {"frappe.integrations.oauth2.set_cors_for_privileged_requests"},
    _AFTER,
    False,
    True,
)


@dataclass(frozen=True)
class Call:
    """A student's call, before anything is known of its session."""

    name: str
    http_method: str
    arguments: tuple[str, ...]
    cookies: Mapping[str, str]
    session_id: str


@dataclass(frozen=True)
class User:
    """What Frappe reads of a User for each call."""

    user_type: str | None
    full_name: str
    user_image: str
    language: str | None


def as_call(environ: WSGIEnvironment) -> Call:
    """The student's call that a request is.

    Raises:
        ToFrappe: it is another one, or not of a browser's session.
    """
    name, http_methods, arguments = STUDENT_CALLS[environ["PATH_INFO"]]
    if environ["REQUEST_METHOD"] not in http_methods or environ.get("SCRIPT_NAME"):
        raise ToFrappe("another HTTP method")
    # Names as they are spelled: before anything that takes longer, so that Frappe gets it soon.
    asked = environ.get("QUERY_STRING")
    if asked and not {pair.partition("=")[0] for pair in asked.split("&")} <= {*arguments, "_"}:
        raise ToFrappe(OTHER_ARGUMENTS)
    for header, reason in UNUSUAL_HEADERS.items():
        if header in environ:
            raise ToFrappe(reason)
    cookies = environ.get("HTTP_COOKIE", "")
    if not cookies.isascii():
        raise ToFrappe("cookies that are not ASCII")
    try:
        parsed = parse_cookie(cookies)
    except (ValueError, CookieError) as error:
        raise ToFrappe("cookies that cannot be read") from error
    session_ids = parsed.getlist("sid")
    if not session_ids:
        raise ToFrappe("no session cookie")
    if len(session_ids) > 1 or not SESSION_ID.fullmatch(session_ids[0]):
        raise ToFrappe("a session cookie that Frappe did not make")
    return Call(name, environ["REQUEST_METHOD"], arguments, parsed, session_ids[0])


def read_body(environ: WSGIEnvironment, most: int) -> bytes:
    """The body of a call. It can be read again: the environment has it as a new stream.

    Raises:
        ToFrappe: it is too large, or of another kind than students' clients send.
    """
    length = environ.get("CONTENT_LENGTH", "")
    if environ["REQUEST_METHOD"] == "GET":
        if length not in ("", "0"):
            raise ToFrappe("a GET with a body")
        return b""
    if not (length.isascii() and length.isdecimal()) or len(length) > len(str(LARGEST_BODY)):
        raise ToFrappe("a body of unknown length")
    if int(length) > min(most, LARGEST_BODY):
        raise ToFrappe("a large body")
    if environ.get("CONTENT_TYPE", "").lower() not in ("", *JSON, *FORM):
        raise ToFrappe("another content type")
    body: bytes = environ["wsgi.input"].read(int(length))
    environ["wsgi.input"] = BytesIO(body)
    if len(body) != int(length):
        raise ToFrappe("a body that ended too early")
    return body


def read_arguments(
    environ: WSGIEnvironment, body: bytes, call: Call, loads: Callable[[str], Any] = json.loads
) -> dict[str, Any]:
    """The arguments of a call, as Frappe reads them (frappe.app.make_form_dict).

    Args:
        environ: of the request.
        body: what `read_body` returned.
        call: what is called.
        loads: as Frappe reads JSON.

    Raises:
        ToFrappe: they cannot be read, or there is one that the method does not have: Frappe gives
            some of those a meaning of their own (cmd, sid, csrf_token, _lang ...).
    """
    given: Any = {}
    if body or environ.get("QUERY_STRING"):
        request = Request({**environ, "wsgi.input": BytesIO(body)}, populate_request=False)
        text = request.get_data(as_text=True)
        if text and request.is_json:
            try:
                given = loads(text)
            except (ValueError, RecursionError) as error:
                raise ToFrappe("JSON that cannot be read") from error
        else:
            given.update(request.args or {})
            given.update(request.form or {})
    if not isinstance(given, dict):
        raise ToFrappe(OTHER_ARGUMENTS)
    # jQuery's, against caches.
    given.pop("_", None)
    if not given.keys() <= set(call.arguments):
        raise ToFrappe(OTHER_ARGUMENTS)
    return given


def check_session(
    record: Any,
    last_update: Any,
    now: datetime,
    default_expiry: int,
    version: Version,
) -> tuple[str, Mapping[str, Any]]:
    """The user of a session that Frappe would resume and leave as it is, and the session's data.

    As frappe.sessions: Session.get_session_data_from_cache, resume and update.

    Args:
        record: what Redis has of the session, None for nothing.
        last_update: when Frappe 15 last wrote it to the database.
        now: naive, in the site's time zone.
        default_expiry: of the site, in seconds.
        version: of Frappe.

    Raises:
        SessionOfFrappe: it has a fixed end.
        ToFrappe: there is none, or Frappe would end it, extend it or read it from the database.
    """
    if not isinstance(record, dict) or not isinstance(data := record.get("data"), dict):
        raise ToFrappe("a session that is not in Redis")
    user = data.get("user")
    if not isinstance(user, str) or user in ("", "Guest"):
        raise ToFrappe("a session of nobody")
    if data.get("session_end"):
        raise SessionOfFrappe("a session with a fixed end")
    age = seconds_since(data.get("last_updated"), now)
    expiry = data.get("session_expiry")
    if age is None or age > (as_seconds(expiry) if expiry else default_expiry):
        raise ToFrappe("a session that has expired")
    if version.has_session_update_hash:
        age, most = seconds_since(last_update, now), UPDATED_EVERY
    else:
        most = int(min(default_expiry / 2, UPDATED_EVERY)) or UPDATED_EVERY
    if age is None or age >= most:
        raise ToFrappe("a session that Frappe extends now")
    return user, data


def seconds_since(moment: Any, now: datetime) -> float | None:
    """Seconds since a moment, also as text; None if it is none."""
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            return None
    if not isinstance(moment, datetime) or moment.tzinfo is not None:
        return None
    return (now - moment) / timedelta(seconds=1)


@lru_cache(maxsize=64)
def as_seconds(expiry: Any) -> int:
    """Seconds of a session_expiry (frappe.sessions.get_expiry_in_seconds).

    Raises:
        ToFrappe: it is none.
    """
    if not isinstance(expiry, str) or not re.fullmatch(r"\d{1,6}:\d{1,2}:\d{1,2}", expiry):
        raise ToFrappe("a session that has expired")
    hours, minutes, seconds = map(int, expiry.split(":"))
    return hours * 3600 + minutes * 60 + seconds


def check_user(document: Mapping[str, Any] | None, user: str) -> User:
    """What Frappe reads of the session's user (Session.validate_user, validate_ip_address).

    Args:
        document: the fields of the User as Frappe has cached it, None if it has not.
        user: the session's.

    Raises:
        SessionOfFrappe: it may log in from some addresses only.
        ToFrappe: it is not cached, or disabled.
    """
    if document is None or document.get("name") != user:
        raise ToFrappe("a user whom Frappe has not cached")
    if document.get("enabled") != 1:
        raise ToFrappe("a user who is disabled")
    if document.get("restrict_ip"):
        raise SessionOfFrappe("a user with restricted addresses")
    names = (document.get("first_name"), document.get("last_name"))
    return User(
        document.get("user_type"),
        " ".join(name for name in names if name),
        document.get("user_image") or "",
        document.get("language"),
    )


def check_csrf_token(environ: WSGIEnvironment, data: Mapping[str, Any], http_method: str) -> None:
    """Check the token of a call that may change something (HTTPRequest.validate_csrf_token).

    Frappe asks for none while the session has none: nobody has opened a page of it yet.

    Raises:
        ToFrappe: it is missing or wrong. Frappe has other ways to give it, and to do without.
    """
    token = data.get("csrf_token")
    if http_method != "GET" and token and environ.get("HTTP_X_FRAPPE_CSRF_TOKEN") != token:
        raise ToFrappe("a CSRF token that is missing or wrong")


def cookies_of_answer(
    call: Call, user_name: str, user: User, version: Version, site: Mapping[str, Any], secure: bool
) -> list[str]:
    """Values of the Set-Cookie headers (LoginManager.set_user_info, CookieManager).

    Args:
        call: whose answer it is.
        user_name: of the session.
        user: the same.
        version: of Frappe; 16 leaves out what the browser has.
        site: `expiry` of its sessions in seconds, and its `language`.
        secure: whether the call came over https.
    """
    told = {
        "system_user": "no" if user.user_type == "Website User" else "yes",
        "full_name": user.full_name,
        "user_id": user_name,
        "user_image": user.user_image,
    }
    if version.tells_cookies_once:
        told["user_lang"] = user.language or site["language"]
        told = {key: value for key, value in told.items() if not _has(call, key, value)}
    end = _end_of_session_cookie(site["expiry"], secure, int(time.time()))
    values = [f"sid={call.session_id}{end}"]
    return values + [_cookie(key, value, secure) for key, value in told.items()]


@lru_cache(maxsize=64)
def _end_of_session_cookie(expiry: int, secure: bool, _second: int) -> str:
    """What follows the session's id, which needs no quotes. It has the time of its end."""
    cookie = dump_cookie("sid", "", max_age=expiry, secure=secure, httponly=True, samesite="Lax")
    return cookie.removeprefix("sid=")


@lru_cache(maxsize=4096)
def _cookie(key: str, value: str, secure: bool) -> str:
    """A cookie that ends with the browser: most of a student's are as in the call before."""
    return dump_cookie(key, quote(value.encode()), secure=secure, samesite="Lax")


def _has(call: Call, key: str, value: str) -> bool:
    return unquote(call.cookies.get(key, "")) == value
