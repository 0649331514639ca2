"""`memora.wsgi:application`: a door in front of Frappe for students' calls. Off by default.

A process manager starts it in place of `frappe.app:application`, and clients see the same site.
Calls of students with a live session are answered here, without the milliseconds that Frappe takes
for each request. Everything else, and everything uncertain, is left to Frappe: it gets the request
untouched, and answers as if there were no door. docs/door.md lists every step of Frappe's, and how
the door does it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import unquote

import frappe
from frappe.app import application as frappe_application
from frappe.utils.response import json_handler

from memora._engine import MemoraError
from memora.api.arguments import as_days, as_required_text
from memora.api.student_calls import (
    Answers,
    DueRead,
    PersistenceStatus,
    Submission,
    Taken,
    as_answers,
    as_submission,
    as_wanted,
    persistence_status,
)
from memora.services.door_counts import ANSWERED, Counts
from memora.services.door_frappe import fingerprint_of_frappe
from memora.services.door_rules import (
    NO_TRACE,
    STUDENT_CALLS,
    Call,
    SessionOfFrappe,
    SiteUnknown,
    ToFrappe,
    as_call,
    check_csrf_token,
    check_session,
    check_user,
    cookies_of_answer,
    read_arguments,
    read_body,
)
from memora.services.door_site import KNOWN_SECONDS, Site, note_site, see_session
from memora.services.leeches import has_news
from memora.services.question_cards import DueCards, cards_of, due_cards, retired_ones

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from memora._engine import DueAnswer, Engine, Question

# The parts of a request that name its site (frappe.app.init_request) or affect its cookies.
SiteKey = tuple[str | None, str | None, str]
# A client can name a site in many ways.
MOST_KEYS: Final = 256
# How long, and of how many sessions, it is remembered that their calls are Frappe's: otherwise each
# would first take the time of reading the session here.
FRAPPES_SECONDS: Final = 10.0
MOST_FRAPPES: Final = 4096
NOT_ASKED: Final = "once a second, Frappe is asked what holds for the site"
FAULT: Final = "an error of the door: see logs/memora.log"

# How this Frappe reads JSON (make_form_dict), and writes it (as_json).
loads: Final[Callable[[str], Any]] = getattr(sys.modules["frappe.app"], "orjson", json).loads
to_json: Final = json.JSONEncoder(default=json_handler, separators=(",", ":")).encode
orjson_dumps: Final[Any] = getattr(sys.modules["frappe.utils.response"], "orjson_dumps", None)

Answer = tuple[list[tuple[str, str]], bytes]
_InSeason = TypeVar("_InSeason", bound=Mapping[str, Any])


class Door:
    """A WSGI application in front of Frappe's.

    Args:
        behind: Frappe's application, which answers everything else.
    """

    def __init__(self, behind: WSGIApplication) -> None:
        self._frappe: Final = behind
        # For each way in which requests name a site: its facts, or why the door is shut.
        self._sites: Final[dict[SiteKey, Site | str]] = {}
        self._noted_at: Final[dict[SiteKey, float]] = {}
        self._counts: Final[dict[SiteKey, Counts]] = {}
        # Sessions whose calls are Frappe's: until when (time.monotonic), and why.
        self._frappes: Final[dict[str, tuple[float, str]]] = {}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, or let Frappe answer it."""
        if environ.get("PATH_INFO") not in STUDENT_CALLS:
            return self._frappe(environ, start_response)
        key = _key(environ)
        started = time.monotonic()
        try:
            headers, body = self._answer(environ, key)
        except ToFrappe as why:
            self._count(key, why.reason)
        except Exception as error:
            self._count(key, FAULT)
            _log(error)
        else:
            self._count(key, ANSWERED)
            start_response("200 OK", headers)
            return [body]
        return self._ask_frappe(environ, start_response, key, started)

    def _answer(self, environ: WSGIEnvironment, key: SiteKey) -> Answer:
        """The answer to a call that is certainly a student's.

        Raises:
            ToFrappe: Frappe must answer the call.
        """
        call = as_call(environ)
        site = self._sites.get(key)
        if isinstance(site, str) and not self._is_old(key):
            raise ToFrappe(site)
        if not isinstance(site, Site) or not site.is_known():
            raise ToFrappe(NOT_ASKED)
        if site.allows_other_origins and "HTTP_ORIGIN" in environ:
            raise ToFrappe("a call from another origin")
        until, reason = self._frappes.get(call.session_id, (0.0, ""))
        if time.monotonic() < until:
            raise ToFrappe(reason)
        body = read_body(environ, site.most_bytes)
        arguments = read_arguments(environ, body, call, loads)
        ask = _prepared(site, call, arguments, environ)
        user_hint = unquote(call.cookies.get("user_id", ""))
        try:
            seen = see_session(site, call.session_id, user_hint, ask.limit)
        except SiteUnknown:
            self._sites.pop(key, None)
            raise
        try:
            player, data = check_session(
                seen.record, seen.last_update, site.now(), site.expiry, site.version
            )
            user = check_user(seen.user_document, player)
        except SessionOfFrappe as why:
            if len(self._frappes) >= MOST_FRAPPES:
                self._frappes.clear()
            self._frappes[call.session_id] = (time.monotonic() + FRAPPES_SECONDS, why.reason)
            raise
        check_csrf_token(environ, data, call.http_method)
        try:
            body = _body(ask.answer(player, seen.due))
        except MemoraError as error:
            raise ToFrappe(f"the engine: {error.code}") from error
        secure = environ.get("wsgi.url_scheme") == "https"
        told = {"expiry": site.expiry, "language": site.language}
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        if site.version.major >= 16:
            headers.append(("Cache-Control", NO_TRACE))
        headers += [
            ("Set-Cookie", value)
            for value in cookies_of_answer(call, player, user, site.version, told, secure)
        ]
        return headers, body

    def _ask_frappe(
        self,
        environ: WSGIEnvironment,
        start_response: StartResponse,
        key: SiteKey,
        started: float,
    ) -> Iterable[bytes]:
        """Let Frappe answer, and note the facts of its site unless they are known."""
        known = self._sites.get(key)
        if isinstance(known, str) and not self._is_old(key):
            return self._frappe(environ, start_response)
        if isinstance(known, Site) and known.is_known():
            return self._frappe(environ, start_response)
        statuses: list[str] = []

        def note_status(status: str, headers: Any, *more: Any) -> Any:
            statuses.append(status)
            return start_response(status, headers, *more)

        answer = self._frappe(environ, note_status)
        # Frappe stays connected to the site until its answer is closed.
        try:
            self._note(key, started, "".join(statuses[:1]))
        except Exception as error:
            self._sites.pop(key, None)
            _log(error)
        return answer

    def _note(self, key: SiteKey, started: float, status: str) -> None:
        # A refused caller is not worth the time: a later call notes the site.
        if not getattr(frappe.local, "initialised", False) or status.startswith("4"):
            return
        if key not in self._sites and len(self._sites) >= MOST_KEYS:
            for known in (self._sites, self._noted_at, self._counts):
                known.clear()
        try:
            site: Site | str = note_site(started)
        except ToFrappe as why:
            site = why.reason
        if isinstance(site, Site) and status != "200 OK":
            # Frappe failed, perhaps because of the way in which the call names the site.
            return
        self._noted_at[key] = started
        self._sites[key] = site
        self._counts.setdefault(key, Counts()).tell()

    def _is_old(self, key: SiteKey) -> bool:
        return time.monotonic() > self._noted_at.get(key, 0.0) + KNOWN_SECONDS

    def _count(self, key: SiteKey, name: str) -> None:
        counts = self._counts.get(key)
        if counts is not None:
            counts.add(name)


def _key(environ: WSGIEnvironment) -> SiteKey:
    return (
        environ.get("HTTP_HOST"),
        environ.get("HTTP_X_FRAPPE_SITE_NAME"),
        environ.get("wsgi.url_scheme", ""),
    )


@dataclass(frozen=True)
class Ask:
    """What a call asks, before it is known who asks it.

    `answer` takes the player, and what is due for them if that was read with the session. It asks
    the engine for the rest, and returns what Frappe's method would. `limit`: the most due questions
    to read with the session; None: none.
    """

    answer: Callable[[str, DueAnswer | None], Mapping[str, Any]]
    limit: int | None = None


def _prepared(
    site: Site, call: Call, arguments: Mapping[str, Any], environ: WSGIEnvironment
) -> Ask:
    """What a call asks with these arguments.

    Raises:
        ToFrappe: the arguments are refused, or Frappe must answer the call for another reason.
    """
    try:
        # Without a language, frappe.throw translates nothing. Otherwise it would look for a site,
        # and log that there is none.
        frappe.local.lang = ""
        return _asked(site, call, arguments, environ)
    except ToFrappe:
        raise
    except Exception as error:
        raise ToFrappe("arguments that are refused") from error
    finally:
        # This also removes what frappe.throw has set in this thread.
        frappe.destroy()


def _asked(site: Site, call: Call, arguments: Mapping[str, Any], environ: WSGIEnvironment) -> Ask:
    """As `_prepared`; arguments that cannot be used raise exceptions of any kind."""
    engine = site.engine
    if call.name == "get_review_session":
        wanted, load = as_wanted(**arguments), _loader(site)
        limit, subject, topic = wanted

        def read(player: str, due: DueAnswer | None) -> DueCards:
            """What is due. It is read once, whether the door or Frappe finishes the call."""
            found = due or engine.due(player, *wanted)
            environ[DueRead.ENVIRON] = DueRead(player, wanted, found)
            return _in_season(due_cards(engine, load, player, wanted, found))

        return Ask(read, limit if subject is None and topic is None else None)
    if call.name == "get_forecast":
        days = as_days(arguments.get("days", 30))
        return Ask(lambda player, _due: _in_season(engine.forecast(player, days)))
    if call.name == "get_persistence_status":
        job_id = as_required_text("job_id", arguments.get("job_id"))
        return Ask(lambda player, _due: _status(engine, player, job_id))
    answers = as_answers(environ.get("HTTP_IDEMPOTENCY_KEY"), **arguments)
    return Ask(lambda player, _due: _submit(site, player, answers, environ))


def _in_season(answer: _InSeason) -> _InSeason:
    if answer["season"] is None:
        raise ToFrappe("no season is active")
    return answer


def _status(engine: Engine, player: str, job_id: str) -> PersistenceStatus:
    status = persistence_status(engine, player, job_id)
    if status is None:
        raise ToFrappe("a submission that the student does not have")
    return status


def _submit(site: Site, player: str, answers: Answers, environ: WSGIEnvironment) -> Submission:
    """Take answers. The engine is asked once, whether the door or Frappe finishes the call."""
    taken = environ[Taken.ENVIRON] = Taken(site.engine, player, answers)
    if not taken.is_acknowledged():
        raise ToFrappe("a submission that was not acknowledged")
    submitted = taken.result()
    if submitted["drain_wanted"]:
        raise ToFrappe("a submission after which a drain is queued")
    if site.has_leech_hook and has_news(submitted):
        raise ToFrappe("a submission of which the hook srs_leech is told")
    return as_submission(submitted)


def _loader(site: Site) -> Callable[..., dict[str, dict[str, Any]]]:
    if site.loader_needs_request:
        raise ToFrappe("the srs_question_loader needs a request: see docs/lessons.md")
    loader = site.loader

    def load(questions: list[Question], user: str, season: str | None) -> dict[str, dict[str, Any]]:
        if loader is None or not questions:
            return {}
        ids = [question["question_id"] for question in questions]
        try:
            cards = cards_of(loader, ids, {"user": user, "season": season})
        except Exception as error:
            raise ToFrappe("the srs_question_loader failed") from error
        if retired_ones(cards):
            raise ToFrappe("retired questions")
        return cards

    return load


def _body(message: Mapping[str, Any]) -> bytes:
    """The JSON of an answer (frappe.utils.response.as_json)."""
    told = {"message": message}
    if orjson_dumps:
        # Frappe 16.
        return bytes(orjson_dumps(told, default=json_handler, decode=False))
    return to_json(told).encode()


def _log(error: Exception) -> None:
    """Log a fault of the door's own; if Frappe's logger fails too, print it."""
    try:
        frappe.logger("memora").error("the door failed, and Frappe answers", exc_info=error)
    except Exception:
        print(f"memora: the door failed, and Frappe answers: {error!r}")


# Reading Frappe's source takes a moment, so it is done before the process manager forks.
fingerprint_of_frappe()
application: Final = Door(frappe_application)
