"""A place to measure in: private servers, memora's app on a site of its own, the opponents beside
it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import pymysql

from benches import dataset, plain_python
from benches.report import Report, number
from tests import frappe_standin
from tests.support.servers import MariaDB, Redis

for place in frappe_standin.PLACES:
    sys.modules[place] = frappe_standin

from memora._engine import Engine, Settings  # noqa: E402

IN_TIME_MS: Final = 300_000


@dataclass(frozen=True)
class Workplace:
    """The servers, and an open connection to the site's database."""

    cache: Redis
    journal: Redis
    database: MariaDB
    connection: pymysql.Connection[Any]

    @property
    def site_config(self) -> dict[str, Any]:
        """As in site_config.json."""
        server = self.database
        return {
            "db_name": server.database,
            "db_user": server.user,
            "db_password": server.password,
            "db_host": server.host,
            "db_port": server.port,
            "redis_cache": self.cache.server_url,
            "redis_queue": self.journal.url,
        }

    def log_in(self, user: str) -> None:
        """Make the site the present one in this thread, and this student its user."""
        frappe_standin.make_present(self.site_config, user=user)

    def engine(self, database: str | None = None, **changes: Any) -> Engine:
        """A new engine of the site, or of another one whose database is `database`."""
        plain = (
            self.database.settings | {"database_name": database or self.database.database} | changes
        )
        return Engine(
            Settings(
                site=plain["database_name"],
                cache_url=self.cache.url,
                journal_url=self.journal.url,
                **plain,
            )
        )

    def opponents(self) -> dict[str, plain_python.PlainPython]:
        """The plain-Python ways by name, each with connections of its own."""
        return {
            name: way(self.database.connect(), self.cache.client(), dataset.SEASON)
            for name, way in OPPONENTS.items()
        }


def show_persistence(report: Report, engine: Engine) -> None:
    """How long acknowledged submissions waited to be in MariaDB, and whether it was not too long.

    After submissions and drains.
    """
    waited = engine.latency()["all"]["persistence"]
    in_time = sum(count for bound, count in waited["buckets"] if bound <= IN_TIME_MS)
    p50, p99 = waited["p50_ms"] / 1e3, waited["p99_ms"] / 1e3
    report.add(
        f"{waited['count']:,} submissions waited to be in MariaDB: p50 {number(p50)} s, "
        f"p99 {number(p99)} s."
    )
    report.claim(
        "submissions that were in MariaDB within five minutes, %",
        100 * in_time / waited["count"],
        at_least=99,
    )


OPPONENTS: Final = {"good Python": plain_python.GoodPython, "row by row": plain_python.RowByRow}


@contextmanager
def open_workplace(buffer_pool: str = "1G", is_compressed: bool = False) -> Iterator[Workplace]:
    """Start the servers and prepare a site without records; all of it is gone at the end.

    Args:
        buffer_pool: innodb_buffer_pool_size.
        is_compressed: MariaDB compresses the pages of all tables, where disk is short.
    """
    extra = ["--innodb-compression-default=ON"] if is_compressed else []
    with ExitStack() as stack:
        cache = stack.enter_context(Redis("cache"))
        # Every acknowledged answer is on disk: what memora calls durable without a warning.
        journal = stack.enter_context(Redis("journal", appendfsync="always"))
        database = stack.enter_context(MariaDB(buffer_pool, innodb_log_file_size="1G", extra=extra))
        connection = stack.enter_context(database.connect())
        place = Workplace(cache, journal, database, connection)
        place.log_in("Administrator")
        prepare_site(place, database.database)
        with connection.cursor() as cursor:
            cursor.execute(plain_python.CREATE_TABLE)
            cursor.execute(plain_python.CREATE_VERSION_TABLE)
        yield place


def add_site(place: Workplace, database: str) -> None:
    """A site of its own on the same servers."""
    with place.connection.cursor() as cursor:
        cursor.execute(
            f"CREATE DATABASE `{database}` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci"
        )
    prepare_site(place, database)


def prepare_site(place: Workplace, database: str) -> None:
    """The tables, an active season, subjects and topics, and memora's storage."""
    with place.database.connect(database=database) as connection, connection.cursor() as cursor:
        frappe_standin.create_tables(connection)
        cursor.execute(
            "INSERT INTO `tabGame Subscription Season` (name, season_name, start_date, end_date, "
            "is_active, enable_redis) VALUES (%s, %s, '2026-01-01', '2027-12-31', 1, 1)",
            (dataset.SEASON, dataset.SEASON),
        )
        cursor.executemany(
            "INSERT INTO `tabGame Subject` (name, subject_name) VALUES (%s, %s)",
            [(subject, subject) for subject in dataset.SUBJECTS],
        )
        cursor.executemany(
            "INSERT INTO `tabGame Topic` (name, topic_name, subject) VALUES (%s, %s, %s)",
            [(topic, topic, subject) for topic, subject in dataset.topics()],
        )
    place.engine(database).prepare_storage()
