"""The journal's Redis made durable: its settings in the running server and in its file.

It works for a server on this machine with a configuration file, such as a stock bench's
redis_queue. The running server is changed first: a server that starts with `appendonly yes` but
without an append-only file starts empty.
"""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Literal, NoReturn

import frappe
import redis
from frappe import _

from memora.services.errors import ReviewsUnavailable, throw
from memora.site_engine import JOURNAL_URL, queue_sentinel, queue_url

Fsync = Literal["always", "everysec"]
# A setting, and a server's default for it.
DEFAULTS: Final = {
    "appendonly": "no",
    "appendfsync": "everysec",
    "no-appendfsync-on-rewrite": "no",
    "maxmemory-policy": "noeviction",
}
REMARK: Final = "# By bench memora make-durable: answers of students survive a crash of this Redis."
# The file that `bench setup redis` writes from bench's template.
BENCH_FILE: Final = "redis_queue.conf"
# A fork of a large server takes long.
REPLY_SECONDS: Final = 30
POLL_SECONDS: Final = 0.1


@dataclass(frozen=True)
class Change:
    """A setting that must change. `now` is None if the file does not name it."""

    name: str
    now: str | None
    wanted: str


@dataclass(frozen=True)
class Plan:
    """What must change for the journal to be durable, in the running server and in its file."""

    address: str
    file: Path
    wanted: Mapping[str, str]
    live: tuple[Change, ...]
    in_file: tuple[Change, ...]

    @property
    def is_rewritten_by_bench(self) -> bool:
        """Whether `bench setup redis` writes the file from its template, without our lines."""
        return self.file.name == BENCH_FILE


def plan(fsync: Fsync) -> Plan:
    """Find out what must change. Changes nothing.

    Args:
        fsync: when answers reach the disk; a server that is set to "always" stays so.

    Raises:
        frappe.ValidationError: the server cannot be changed from here; the message says what to do
            by hand.
    """
    with _journal(fsync) as client:
        file = _check_server(client, fsync)
        found = {name: _setting(client, name) for name in DEFAULTS}
        address = _address(client)
    wanted = {
        "appendonly": "yes",
        "appendfsync": "always" if found["appendfsync"] == "always" else fsync,
        "no-appendfsync-on-rewrite": "no",
        "maxmemory-policy": "noeviction",
    }
    named = _directives(_read(file))
    # The file may include others, which are not read.
    assumed = {} if "include" in named else DEFAULTS
    return Plan(
        address,
        file,
        wanted,
        live=tuple(
            Change(name, found[name], value)
            for name, value in wanted.items()
            if found[name] != value
        ),
        in_file=tuple(
            Change(name, named.get(name), value)
            for name, value in wanted.items()
            if named.get(name, assumed.get(name)) != value
        ),
    )


def make_durable(planned: Plan, fsync: Fsync) -> None:
    """Change what was planned, and wait until the journal is on disk.

    Writes the new file beside the old one, changes the running server, then replaces the file: an
    interrupted run can be repeated.

    Args:
        planned: what `plan` returned.
        fsync: as for `plan`.

    Raises:
        frappe.ValidationError: Redis refused, and has its old settings again; or the file could not
            be written.
    """
    with _journal(fsync) as client:
        try:
            with _prepared(planned.file, planned.wanted) as replace_file:
                _set_live(client, planned.live)
                if planned.in_file:
                    replace_file()
        except OSError as error:
            message = _("{0} could not be written: {1}. Run the command again.")
            throw(message.format(planned.file, error))


def _set_live(client: redis.Redis[Any], changes: Iterable[Change]) -> None:
    done: list[Change] = []
    # appendonly comes last, so the other settings apply from the first write.
    for change in sorted(changes, key=lambda change: change.name == "appendonly"):
        done.append(change)
        try:
            client.config_set(change.name, change.wanted)
            if change.name == "appendonly":
                _wait_for_file(client)
        except redis.ResponseError as error:
            for undone in reversed(done):
                with suppress(redis.ResponseError):
                    client.config_set(undone.name, str(undone.now))
            message = _(
                "redis_queue could not set {0} to {1}, and has its old settings: {2}. "
                "See its log, and check that its disk has space and that it may write to its "
                "folder."
            )
            throw(message.format(change.name, change.wanted, error))


@contextmanager
def _journal(fsync: Fsync) -> Iterator[redis.Redis[Any]]:
    """A client of the journal's Redis; a server that does not answer is reported in one line."""
    secret_conf = frappe.local.conf
    if not secret_conf.get(JOURNAL_URL) and queue_sentinel(secret_conf):
        _refuse(
            _("Sentinel decides which server is redis_queue: set each of its servers by hand."),
            fsync,
        )
    secret_url = secret_conf.get(JOURNAL_URL) or queue_url(secret_conf)
    client: redis.Redis[Any] = redis.Redis.from_url(
        secret_url,
        decode_responses=True,
        socket_timeout=REPLY_SECONDS,
        socket_connect_timeout=REPLY_SECONDS,
    )
    with client:
        try:
            yield client
        except (redis.ConnectionError, redis.TimeoutError) as error:
            throw(_("redis_queue does not answer: {0}").format(error), ReviewsUnavailable)


def _check_server(client: redis.Redis[Any], fsync: Fsync) -> Path:
    """Check that the server can be changed from here. Returns its configuration file."""
    address = _address(client)
    server: Mapping[str, Any] = client.info()
    if not _is_on_this_machine(client):
        _refuse(_("redis_queue ({0}) is on another machine: set it there.").format(address), fsync)
    if server.get("role") == "slave":
        _refuse(_("redis_queue ({0}) is a replica: name its primary.").format(address), fsync)
    if server["run_id"] == _run_of_cache():
        throw(
            _(
                "redis_cache and redis_queue are one Redis, and bench build empties redis_cache. "
                "Give redis_queue a server of its own first."
            )
        )
    try:
        # Sets the present value, to learn whether CONFIG SET is allowed.
        client.config_set("appendfsync", _setting(client, "appendfsync"))
        folder, port = _setting(client, "dir"), _setting(client, "port")
    except redis.ResponseError as error:
        _refuse(
            _("redis_queue ({0}) does not allow CONFIG SET: {1}.").format(address, error),
            fsync,
        )
    if not server.get("config_file"):
        _refuse(
            _(
                "redis_queue ({0}) runs without a configuration file, so a restart would forget "
                "what is set. Start it with one."
            ).format(address),
            fsync,
        )
    file = Path(os.path.realpath(server["config_file"]))
    if not file.is_file() or not os.path.isdir(folder) or not _fits(file, folder, port):
        _refuse(
            _(
                "The file that redis_queue ({0}) names, {1}, is not here, or belongs to another "
                "server: redis_queue may run in a container, or with options on its command line."
            ).format(address, file),
            fsync,
        )
    if not may_replace(file):
        _refuse(
            _("{0}, the file of redis_queue ({1}), is not writable for this user.").format(
                file, address
            ),
            fsync,
        )
    return file


def _refuse(why: str, fsync: Fsync) -> NoReturn:
    by_hand = _(
        "Nothing was changed. By hand: send it CONFIG SET appendfsync {0}, then CONFIG SET "
        "appendonly yes, wait until INFO persistence says aof_rewrite_in_progress:0, then write "
        "'appendonly yes' and 'appendfsync {0}' into its configuration file."
    )
    throw(f"{why} {by_hand.format(fsync)}")


def _is_on_this_machine(client: redis.Redis[Any]) -> bool:
    """Whether a connection to the server stays on this machine."""
    place = client.connection_pool.connection_kwargs
    if "host" not in place:
        return True
    # The server has just answered.
    with closing(socket.create_connection((place["host"], place["port"]), REPLY_SECONDS)) as one:
        return is_this_machine(one.getsockname()[0], one.getpeername()[0])


def is_this_machine(begin: str, end: str) -> bool:
    """Whether a connection between two addresses stays here: equal ones, or both loopback."""
    return begin == end or ip_address(end).is_loopback


def _address(client: redis.Redis[Any]) -> str:
    place = client.connection_pool.connection_kwargs
    return f"{place['host']}:{place['port']}" if "host" in place else str(place["path"])


def _run_of_cache() -> str | None:
    """The run of redis_cache's server; None if it cannot be reached."""
    secret_url = frappe.local.conf.redis_cache
    limits: Any = {"socket_timeout": REPLY_SECONDS, "socket_connect_timeout": REPLY_SECONDS}
    try:
        with redis.Redis.from_url(secret_url, decode_responses=True, **limits) as cache:
            return str(cache.info("server")["run_id"])
    except (redis.RedisError, OSError, ValueError):
        return None


def _setting(client: redis.Redis[Any], name: str) -> str:
    return str(client.config_get(name).get(name, ""))


def _wait_for_file(client: redis.Redis[Any]) -> None:
    """Wait until the append-only file has all the server's data.

    Raises:
        redis.ResponseError: it could not be written.
    """
    while True:
        state: Mapping[str, Any] = client.info("persistence")
        is_busy = state["aof_rewrite_in_progress"] or state["rdb_bgsave_in_progress"]
        if "err" in (state["aof_last_bgrewrite_status"], state["aof_last_write_status"]):
            if not is_busy:
                raise redis.ResponseError("the append-only file could not be written")
        elif state["aof_enabled"] and not is_busy and not state["aof_rewrite_scheduled"]:
            return
        time.sleep(POLL_SECONDS)


def _read(file: Path) -> str:
    return file.read_text("utf-8", "surrogateescape")


def _directives(text: str) -> dict[str, str]:
    """The settings of a configuration file; the last line of a setting counts."""
    return {name: value for name, value in map(_directive, text.split("\n")) if name}


def _directive(line: str) -> tuple[str, str]:
    name, *value = line.split(None, 1) or [""]
    return ("", "") if name.startswith("#") else (name.lower(), "".join(value).strip(" \r\n\"'"))


def _fits(file: Path, folder: str, port: str) -> bool:
    """Whether a file belongs to the server with this folder and port."""
    try:
        named = _directives(_read(file))
    except OSError:
        return False
    if "include" not in named:
        named.setdefault("port", "6379")
    of_file = named.get("dir", "")
    is_same_folder = not os.path.isabs(of_file) or os.path.realpath(of_file) == os.path.realpath(
        folder
    )
    return is_same_folder and named.get("port", port) == port


def may_replace(file: Path) -> bool:
    """Whether this user may replace the file by another of the same owner."""
    places = (file, file.parent)
    return os.geteuid() in (0, file.stat().st_uid) and all(
        os.access(place, os.W_OK, effective_ids=True) for place in places
    )


@contextmanager
def _prepared(file: Path, lines: Mapping[str, str]) -> Iterator[Callable[[], None]]:
    """Write a copy of the file with new lines for these settings; yields a call that replaces it.

    All other lines, its owner and its mode stay.
    """
    kept = [
        line
        for line in _read(file).rstrip("\n").split("\n")
        if line.strip() != REMARK and _directive(line)[0] not in lines
    ]
    added = [REMARK, *(f"{name} {value}" for name, value in lines.items())]
    before = file.stat()
    number, name = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)
    try:
        with open(number, "w", encoding="utf-8", errors="surrogateescape", newline="") as ready:
            ready.write("\n".join([*kept, *added, ""]))
            os.fchmod(number, before.st_mode & 0o7777)
            os.fchown(number, before.st_uid, before.st_gid)
            ready.flush()
            os.fsync(number)

        def replace() -> None:
            os.replace(name, file)
            folder = os.open(file.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

        yield replace
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)
