"""One site on the private servers, as a test sees it: its tables, its keys, its engines."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import pymysql.cursors
import redis

from memora._engine import Engine, Settings
from tests.support.servers import MariaDB, Redis

if TYPE_CHECKING:
    from memora._engine import DueAnswer

SEASON: Final = "SEASON-2026"
PLAYER: Final = "amal@school.example"
SUBJECTS: Final = ("Mathematics", "Science", "Arabic")
TOPICS: Final = ("Fractions", "Plants")
# What a cached schedule is in.
SCHEDULE: Final = ("srs", "srs-detail")
# The sorted set by subject, which the first read of a subject makes.
BY_SUBJECT: Final = "srs-subject"
TRACKER: Final = "`tabPlayer Memory Tracker`"

# The settings of engines under test. A busy machine is no outage, so they wait long,
PATIENT: Final = {"redis_timeout_ms": 5_000, "database_timeout_ms": 20_000}
# but if servers hang, they wait little: longer than a busy machine needs for an answer.
IMPATIENT: Final = {"redis_timeout_ms": 400, "database_timeout_ms": 1_000}
# As a school's by default.
OF_A_SCHOOL: Final = {"redis_timeout_ms": 150, "database_timeout_ms": 700}
IMPATIENT_WITH_REDIS: Final = {"redis_timeout_ms": IMPATIENT["redis_timeout_ms"]}
# One look whether the cache may be believed serves the whole test: it is not among the statements
# counted.
BELIEVING: Final = {"trust_lease_ms": 10_000}


@dataclass(frozen=True)
class Servers:
    """The private servers of a test session."""

    cache: Redis
    journal: Redis
    database: MariaDB

    def heal(self) -> None:
        """Restart what a test stopped or froze."""
        for server in (self.cache, self.journal, self.database):
            if server.is_running():
                server.resume()
            server.start()


@dataclass(frozen=True)
class Record:
    """A row for the live table; times are relative to now.

    Args:
        due_in: until the next review; negative is overdue.
        reviewed_in: the last review, negative; None for never.
    """

    question_id: str
    due_in: timedelta = timedelta(hours=-1)
    stability: int = 2
    subject: str | None = None
    topic: str | None = None
    reviewed_in: timedelta | None = None
    answered_at_us: int = 0


@dataclass(frozen=True)
class Cost:
    """What calls cost the servers."""

    selects: int
    statements: int
    cache_round_trips: int
    journal_round_trips: int


class Site:
    """A site: `name` is its database and the prefix of its keys.

    Args:
        servers: where it is.
        name: see above.
        time_zone: IANA name.
        limits: arguments of `Settings` that its engines are made with.
    """

    def __init__(
        self,
        servers: Servers,
        name: str,
        time_zone: str = "UTC",
        limits: Mapping[str, int] = PATIENT,
    ) -> None:
        self.servers: Final = servers
        self.name: Final = name
        self.time_zone: Final = time_zone
        self.limits: Final = dict(limits)
        self.cache: Final[redis.Redis[str]] = servers.cache.client()
        self.journal: Final[redis.Redis[str]] = servers.journal.client()
        self.is_settled = False

    # -- the engine -------------------------------------------------------------------------
    def settings(self, **changes: Any) -> Settings:
        """The site's settings, some of them changed."""
        return Settings(**(self.plain_settings() | changes))

    def plain_settings(self) -> dict[str, Any]:
        """The arguments of `Settings`."""
        return {
            "site": self.name,
            "cache_url": self.servers.cache.url,
            "journal_url": self.servers.journal.url,
            "time_zone": self.time_zone,
            **self.servers.database.settings,
            "database_name": self.name,
            **self.limits,
        }

    def engine(self, **changes: Any) -> Engine:
        """A new engine, as another process of the site would have."""
        return Engine(self.settings(**changes))

    # -- the database -----------------------------------------------------------------------
    def sql(self, statement: str, values: Sequence[object] = ()) -> list[dict[str, Any]]:
        """Run a statement on a connection of its own; its rows."""
        connection = self.servers.database.connect(
            database=self.name,
            cursorclass=pymysql.cursors.DictCursor,
            init_command="SET time_zone = '+00:00'",
        )
        with connection, connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall())

    def add_users(self, *names: str) -> None:
        """Insert users; existing ones stay."""
        for name in names:
            self.sql("INSERT IGNORE INTO `tabUser` (name, email) VALUES (%s, %s)", (name, name))

    def insert(self, doctype: str, **values: object) -> None:
        """Insert one document, its standard fields filled in."""
        row = {
            "creation": datetime.now(),
            "modified": datetime.now(),
            "owner": "Administrator",
        } | values
        columns = ", ".join(f"`{column}`" for column in row)
        marks = ", ".join(["%s"] * len(row))
        self.sql(f"INSERT INTO `tab{doctype}` ({columns}) VALUES ({marks})", list(row.values()))

    def add(self, player: str, records: Iterable[Record], season: str = SEASON) -> None:
        """Insert records into the live table in bulk."""
        now = self.now()
        rows = [
            (
                f"{player}|{season}|{record.question_id}"[-140:], now, now, player, season,
                record.question_id, record.stability, now + record.due_in,
                None if record.reviewed_in is None else now + record.reviewed_in,
                record.subject, record.topic, record.answered_at_us,
            )
            for record in records
        ]  # fmt: skip
        with (
            self.servers.database.connect(database=self.name) as connection,
            connection.cursor() as cursor,
        ):
            cursor.executemany(
                f"INSERT INTO {TRACKER} (name, creation, modified, player, season, question_id, "
                "stability, next_review_date, last_review_date, subject, topic, answered_at_us) "
                "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                rows,
            )

    def rows(self, player: str = PLAYER, season: str = SEASON) -> dict[str, dict[str, Any]]:
        """A student's rows of the live table by question."""
        found = self.sql(
            f"SELECT * FROM {TRACKER} WHERE player = %s AND season = %s", (player, season)
        )
        return {row["question_id"]: row for row in found}

    def now(self) -> datetime:
        """The present as Frappe stores it on this site."""
        return datetime.now(ZoneInfo(self.time_zone)).replace(tzinfo=None)

    # -- the Redis servers --------------------------------------------------------------------
    def key(self, family: str, player: str | None = None, season: str = SEASON) -> str:
        """The name of a key of the site or of a student."""
        return f"{self.name}|{family}" + (f":{player}:{season}" if player is not None else "")

    def waiting(self) -> int:
        """Submissions in the journal."""
        return self.journal.xlen(self.key("srs-journal"))

    def abandon_taken(self) -> None:
        """Age the entries that dead drains took, so that the next drain takes them over now."""
        stream = self.key("srs-journal")
        if not self.journal.exists(stream) or not self.journal.xinfo_groups(stream):  # type: ignore[no-untyped-call]
            return
        taken = self.journal.xpending_range(stream, "drain", min="-", max="+", count=10_000)
        for entry in taken:
            owner, name = entry["consumer"], entry["message_id"]
            idle = {"idle": 86_400_000, "justid": True}
            self.journal.xclaim(stream, "drain", owner, 0, [name], **idle)  # type: ignore[no-untyped-call]

    def clients(self) -> list[int]:
        """How many connections each Redis has."""
        asked = (client.info("clients") for client in (self.cache, self.journal))
        return [int(about["connected_clients"]) for about in asked]

    def settle(self) -> None:
        """Let objects of earlier tests close their connections, which Redis counts as reads."""
        gc.collect()
        before: list[int] = []
        while (now := self.clients()) != before:
            before = now
            time.sleep(0.1)
        self.is_settled = True

    @contextmanager
    def counting(self) -> Iterator[list[Cost]]:
        """Count the body's load on the servers; the list has one item at the end."""
        if not self.is_settled:
            self.settle()
        costs: list[Cost] = []
        with (
            self.servers.database.connect(database=self.name) as connection,
            connection.cursor() as cursor,
        ):

            def status() -> list[int]:
                # Not `Questions`, which also counts late goodbyes of closed connections.
                cursor.execute("SHOW GLOBAL STATUS LIKE 'Com\\_%'")
                found = {name: int(value) for name, value in cursor.fetchall()}
                own = ("Com_show_status", "Com_admin_commands")
                statements = sum(count for name, count in found.items() if name not in own)
                return [found["Com_select"], statements, *reads(self.cache), *reads(self.journal)]

            status()
            before = status()
            yield costs
            after = status()
        # Asking is itself two reads of each Redis.
        selects, statements, cache, told, journal, _ = (
            new - old for new, old in zip(after, before, strict=True)
        )
        costs.append(Cost(selects, statements, cache - 2 - bool(told), journal - 2))

    @contextmanager
    def listening(self) -> Iterator[list[str]]:
        """Note the statements that MariaDB runs in the body; they are in the list at its end.

        They have their values if they were prepared in the body, too: let it make its own engines.
        """
        statements: list[str] = []
        with self.servers.database.connect_as_root() as root, root.cursor() as cursor:
            cursor.execute("TRUNCATE mysql.general_log")
            cursor.execute("SET GLOBAL log_output = 'TABLE', general_log = ON")
            try:
                yield statements
            finally:
                cursor.execute("SET GLOBAL general_log = OFF, log_output = 'FILE'")
            cursor.execute(
                "SELECT argument FROM mysql.general_log WHERE command_type IN ('Query', 'Execute')"
            )
            statements.extend(str(argument) for (argument,) in cursor.fetchall())


def reads(client: redis.Redis[str]) -> tuple[int, int]:
    """How often a Redis read from its connections, without the pings of connections that a busy
    machine left idle for a second. And how many commands reported how long calls took, which a
    process sends in one read every five seconds."""
    counted = client.info("commandstats")
    pings, tellings = (
        int(counted.get(f"cmdstat_{name}", {"calls": 0})["calls"]) for name in ("ping", "hincrby")
    )
    return int(client.info("stats")["total_reads_processed"]) - pings, tellings


def lasting_keys(*servers: redis.Redis[str]) -> set[str]:
    """The keys of these Redis, but those that come and go.

    The notes of looks last for less than a second, the fence of the season until it changes.
    """
    notes = (
        "|srs-looking",
        "|srs-looked",
        "|srs-database-looking",
        "|srs-database-looked",
        "|srs-season-fence",
    )
    return {key for server in servers for key in server.keys("*") if not key.endswith(notes)}


def ids(answer: DueAnswer) -> list[str]:
    """The questions of an answer in their order."""
    return [question["question_id"] for question in answer["questions"]]


def session(
    *question_ids: str, is_correct: bool = True, duration_ms: int = 3000, **meta: str
) -> str:
    """The session form: these questions, all answered alike; `meta` has subject and topic."""
    answers = [
        {"question_id": name, "is_correct": is_correct, "duration_ms": duration_ms}
        for name in question_ids
    ]
    return json.dumps(
        {"answers": answers, "session_meta": meta, "total_combo": 0, "completion_time_ms": 1}
    )
