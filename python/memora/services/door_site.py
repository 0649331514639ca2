"""What the door (`memora.wsgi`) knows of a site, for a second, and what it reads of a session.

Frappe itself says what holds for the site: each second a process lets one student's call of the
site through, and notes then, while Frappe is still connected to the site, what Frappe has just used
for it: its configuration, hooks and settings. So nothing here reads a configuration in Frappe's
stead, and what changes is seen within a second; a changed file at once.
"""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

import frappe
import redis
from frappe.sessions import get_expiry_in_seconds
from frappe.utils import cint, now_datetime

from memora._engine import Engine, MemoraError
from memora.services.door_frappe import followed_version
from memora.services.door_rules import COMMANDS, SiteUnknown, ToFrappe, Version
from memora.services.engine import engine
from memora.services.leeches import has_hook
from memora.services.question_cards import loader_without_request
from memora.site_engine import cache_sentinel

if TYPE_CHECKING:
    from memora._engine import DueAnswer

KNOWN_SECONDS: Final = 1.0
# Frappe's own (frappe.app.init_request).
LARGEST_FILE: Final = 25 * 1024 * 1024
SILENT_REDIS: Final = "redis_cache does not answer"
RECORDER_OFF: Final = (None, False)
# Where redis-py connects if a URL does not say it.
DEFAULT_PLACE: Final = {"host": "localhost", "port": 6379, "path": "", "db": 0}

# The files of a configuration, as they are.
Stamp = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True)
class Site:
    """What holds for a site until `until` (time.monotonic), or until its files change."""

    version: Version
    engine: Engine
    # The hook srs_question_loader; refusal: it needs Frappe.
    loader: Callable[..., Any] | None
    loader_needs_request: bool
    # The hook srs_leech is told by Frappe.
    has_leech_hook: bool
    allows_other_origins: bool
    most_bytes: int
    expiry: int
    language: str
    # Of the site's clock over UTC.
    offset: timedelta
    hooks_length: int
    files: tuple[str, ...]
    stamp: Stamp
    until: float

    def is_known(self) -> bool:
        """Whether what is noted still holds."""
        return time.monotonic() < self.until and self.stamp == stamp_of(self.files)

    def now(self) -> datetime:
        """The time of the site's clock, as Frappe writes it: naive."""
        return datetime.now(timezone.utc).replace(tzinfo=None) + self.offset


@dataclass(frozen=True)
class Seen:
    """What Redis has of a session: its record, Frappe 15's last update of it, and its user.

    `due`: the questions that are due for this user, if they were read.
    """

    record: Any
    last_update: Any
    user_document: Mapping[str, Any] | None
    due: DueAnswer | None


def note_site(started: float) -> Site:
    """What holds for the present site. Called while Frappe is connected to it.

    Args:
        started: when the call began in which Frappe read it (time.monotonic).

    Raises:
        ToFrappe: the door cannot answer for this site.
    """
    conf = frappe.local.conf
    version = followed_version(conf)
    if version is None:
        raise ToFrappe("a Frappe that the door was not compared with: see docs/door.md")
    check_cache(conf)
    # Before Frappe's hooks are looked at: a later change is a change. Nobody's session: the rest is
    # of no use.
    try:
        hooks_length = engine().frappe_session("", "")["hooks_length"]
    except MemoraError as error:
        raise ToFrappe(SILENT_REDIS) from error
    check_site(conf, version)
    files = (
        os.path.join(frappe.local.sites_path, "common_site_config.json"),
        os.path.join(frappe.local.site_path, "site_config.json"),
    )
    stamp = stamp_of(files)
    loader, loader_needs_request = loader_without_request()
    utc = datetime.now(timezone.utc).replace(tzinfo=None)
    return Site(
        version=version,
        engine=engine(),
        loader=loader,
        loader_needs_request=loader_needs_request,
        has_leech_hook=has_hook(),
        allows_other_origins=bool(conf.allow_cors),
        most_bytes=cint(conf.get("max_file_size")) or LARGEST_FILE,
        expiry=get_expiry_in_seconds(),
        language=_language(conf),
        offset=timedelta(seconds=round((now_datetime() - utc).total_seconds())),
        hooks_length=hooks_length,
        files=files,
        stamp=stamp,
        until=started + KNOWN_SECONDS,
    )


def check_cache(conf: Any) -> None:
    """Check that the engine reads sessions from the redis_cache that Frappe uses.

    Frappe uses one for all sites: what the first site of the process names.

    Args:
        conf: of the present site.

    Raises:
        ToFrappe: it does not.
    """
    pool = frappe.cache.connection_pool
    if type(pool) is not redis.ConnectionPool or cache_sentinel(conf):
        raise ToFrappe("redis_cache behind Sentinel")
    if _place(redis.ConnectionPool.from_url(conf.redis_cache)) != _place(pool):
        raise ToFrappe("a redis_cache of the site's own, which Frappe does not use")


def _place(pool: redis.ConnectionPool) -> tuple[object, ...]:
    """Where a pool's connections lead: the kind, the server and the number of its database."""
    secret_options = DEFAULT_PLACE | pool.connection_kwargs
    return pool.connection_class, *(secret_options[name] for name in DEFAULT_PLACE)


def check_site(conf: Any, version: Version) -> None:
    """Check that nothing is switched on for the site that a student's call must go through.

    Raises:
        ToFrappe: something is.
    """
    setting = frappe.get_system_settings
    hooks = frappe.get_hooks()
    scripts = _server_scripts()
    reasons = {
        "maintenance or read-only mode": conf.maintenance_mode or frappe.flags.read_only,
        "a rate limit of the site": conf.rate_limit,
        "Frappe's monitor is on": conf.monitor,
        "Frappe's request log is on": conf.enable_frappe_logger or setting("log_api_requests"),
        "developer mode": conf.developer_mode or getattr(frappe, "_dev_server", 0),
        "Frappe's telemetry": conf.pulse_api_key,
        "users may have one session": cint(conf.deny_multiple_sessions)
        or cint(setting("deny_multiple_sessions")),
        "hooks of another app for each request": not (
            set(hooks.get("before_request", ())) <= version.before_request
            and set(hooks.get("after_request", ())) <= version.after_request
            and not hooks.get("auth_hooks")
        ),
        "another method in place of memora's": any(
            hooks.get("override_whitelisted_methods", {}).get(command) or command in scripts
            for command in COMMANDS
        ),
    }
    for reason, holds in reasons.items():
        if holds:
            raise ToFrappe(reason)


def _server_scripts() -> Mapping[str, str]:
    from frappe.core.doctype.server_script.server_script_utils import get_server_script_map

    scripts: Mapping[str, str] = get_server_script_map().get("_api", {})
    return scripts


def _language(conf: Any) -> str:
    """The language of users who have chosen none (frappe.translate.get_user_lang)."""
    return frappe.get_system_settings("language") or conf.lang or "en"


def stamp_of(files: tuple[str, ...]) -> Stamp:
    """What changes with each change of the files."""
    return tuple(map(_stamp, files))


def _stamp(file: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def see_session(site: Site, session_id: str, user_hint: str, limit: int | None = None) -> Seen:
    """Read a session and its user, as Frappe would for a call now. One round trip, or two.

    Args:
        site: whose session.
        session_id: of the cookie.
        user_hint: who the session's user may be, so that one round trip is enough. It is not
            believed: what was read of another user is dropped.
        limit: the most due questions to read at the same time; None: none.

    Raises:
        ToFrappe: Redis does not answer, or the site has changed since it was noted.
    """
    try:
        found = site.engine.frappe_session(session_id, user_hint, limit)
        record = _loads(found["record"])
        user = _user_of(record)
        due = found["due"] if user == user_hint else None
        if user is not None and user != user_hint:
            found = site.engine.frappe_session(session_id, user)
            record = _loads(found["record"])
    except MemoraError as error:
        raise SiteUnknown(SILENT_REDIS) from error
    if found["hooks_length"] != site.hooks_length:
        raise SiteUnknown("hooks that have changed")
    if _loads(found["recorder"]) not in RECORDER_OFF:
        raise ToFrappe("Frappe's recorder is on")
    if found["redirect"] is not None:
        raise ToFrappe("a redirection after the login")
    # Without a session, nobody's document is looked at, whomever the cookie names.
    document = None if user is None else _fields(found["user"])
    return Seen(record, _loads(found["last_update"]), document, due)


def _loads(pickled: bytes | None) -> Any:
    """A value of Frappe's cache. Frappe itself unpickles the same ones for each call."""
    return None if pickled is None else pickle.loads(pickled)


def _user_of(record: Any) -> str | None:
    data = record.get("data") if isinstance(record, dict) else None
    user = data.get("user") if isinstance(data, dict) else None
    return user if isinstance(user, str) else None


def _fields(pickled: bytes | None) -> Mapping[str, Any] | None:
    """The fields of a document of Frappe's cache."""
    return None if pickled is None else vars(_loads(pickled))
