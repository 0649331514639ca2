"""Connections that a process keeps: not more than it may, and none that is gone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.servers import wait_until
from tests.support.site_under_test import PLAYER, TRACKER, Record, Site, ids, session

THREADS = 100
# Of a pool; there is one for the look whether the cache may be believed, too.
MOST_CONNECTIONS = 16


@contextmanager
def closing_idle_connections(site: Site) -> Iterator[None]:
    """MariaDB closes connections that were idle for a second."""
    with site.servers.database.connect_as_root() as root, root.cursor() as cursor:
        cursor.execute("SELECT @@GLOBAL.wait_timeout")
        ((before,),) = cursor.fetchall()
        cursor.execute("SET GLOBAL wait_timeout = 1")
        try:
            yield
        finally:
            cursor.execute("SET GLOBAL wait_timeout = %s", (before,))


def connections(site: Site, state: str = "%") -> int:
    """The site's connections to MariaDB that are in a state, but for the one that asks."""
    sql = (
        "SELECT COUNT(*) AS count FROM information_schema.PROCESSLIST "
        "WHERE user = SUBSTRING_INDEX(CURRENT_USER(), '@', 1) AND id <> CONNECTION_ID() "
        "AND COALESCE(state, '') LIKE %s"
    )
    return int(site.sql(sql, (state,))[0]["count"])


def test_a_connection_that_mariadb_closed_costs_nobody_an_error(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.add(PLAYER, [Record("q"), Record("r")])
    others = connections(site)
    with closing_idle_connections(site):
        engine = site.engine()
        assert ids(engine.due(PLAYER)) == ["q", "r"]
        engine.submit(PLAYER, session_data=session("q"))
        engine.drain()
        for question in ("q", "r"):
            assert wait_until(lambda: connections(site) <= others)
            site.cache.flushall()
            engine.submit(PLAYER, session_data=session(question))
            assert engine.drain()["remaining"] == 0
    assert {row["stability"] for row in site.rows().values()} == {3, 4}
    assert "does not answer" not in caplog.text


def test_a_hundred_threads_make_no_more_connections_than_they_may(site: Site) -> None:
    """All want to read from MariaDB while it lets nobody: those without a connection wait."""
    players = [f"student{number}@school.example" for number in range(THREADS)]
    for player in players:
        site.add(player, [Record("q")])
    engine = site.engine(database_timeout_ms=60_000, redis_timeout_ms=60_000)
    answers: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda player=player: answers.append(ids(engine.due(player))))
        for player in players
    ]
    with (
        site.servers.database.connect(database=site.name) as other,
        site.servers.database.connect_as_root() as root,
        other.cursor() as cursor,
        root.cursor() as status,
    ):
        cursor.execute(f"LOCK TABLES {TRACKER} WRITE")
        others = connections(site)
        status.execute("FLUSH STATUS")
        for thread in threads:
            thread.start()
        assert wait_until(lambda: connections(site, "Waiting for%") >= MOST_CONNECTIONS)
        assert answers == []
        cursor.execute("UNLOCK TABLES")
        for thread in threads:
            thread.join()
        status.execute("SHOW GLOBAL STATUS LIKE 'Max_used_connections'")
        ((_, most),) = status.fetchall()
    assert answers == [["q"]] * THREADS
    # Those of two pools, and three of the test's own.
    assert int(most) - others <= 2 * MOST_CONNECTIONS + 3
