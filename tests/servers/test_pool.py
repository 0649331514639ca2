"""Connections that a process keeps: not more than it may, and no dead ones."""

from __future__ import annotations

import os
import threading

import pytest

from tests.support.servers import wait_until
from tests.support.site_under_test import PLAYER, TRACKER, Record, Site, ids, session

THREADS = 100
# Of a pool; there is one for the look whether the cache may be believed, too.
MOST_CONNECTIONS = 16
PROCESSES = 20


def connections(site: Site, state: str = "%") -> int:
    """The site's connections to MariaDB that are in a state, except for the one that asks."""
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
    engine = site.engine(connection_idle_seconds=1)
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


def test_a_process_that_makes_no_call_any_more_holds_no_connection(site: Site) -> None:
    site.add(PLAYER, [Record("q"), Record("r")])
    others = connections(site)
    ends, is_over = os.pipe()
    children = [process_that_calls_once(site, ends, is_over) for _ in range(PROCESSES)]
    try:
        assert wait_until(lambda: connections(site) <= others)
    finally:
        os.close(is_over)
        os.close(ends)
        endings = [os.waitpid(child, 0)[1] for child in children]
    # All have called, and were there to the end.
    assert endings == [0] * PROCESSES


def process_that_calls_once(site: Site, ends: int, is_over: int) -> int:
    """Start a process that reads and answers once, and then waits for a pipe to be closed. Returns
    when it has done so: its process id."""
    called, has_called = os.pipe()
    child = os.fork()
    if child == 0:
        ending = 1
        try:
            os.close(is_over)
            engine = site.engine(connection_idle_seconds=1)
            engine.due(PLAYER)
            engine.submit(PLAYER, session_data=session("q"))
            os.close(has_called)
            os.read(ends, 1)
            ending = 0
        finally:
            os._exit(ending)
    os.close(has_called)
    os.read(called, 1)
    os.close(called)
    return child


def test_a_hundred_threads_make_no_more_connections_than_they_may(site: Site) -> None:
    """All try to read from MariaDB while it hangs: those without a connection wait."""
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
