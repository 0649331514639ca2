"""Galera: two nodes that both take writes from processes of one site, and failures of nodes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal

import pymysql
import pytest

from memora._engine import Engine, InvalidInput, ServiceUnavailable
from tests import frappe_standin
from tests.conftest import clean_site
from tests.servers.test_binlog_format import content, live_through
from tests.support.crowd import Crowd
from tests.support.expectation import stability_after_answers
from tests.support.galera import GaleraNode
from tests.support.processes import RemoteEngine
from tests.support.servers import ServerError, wait_until
from tests.support.site_under_test import (
    IMPATIENT,
    PATIENT,
    PLAYER,
    SEASON,
    TRACKER,
    Record,
    Servers,
    Site,
    session,
)

# Of each node.
PROCESSES = 2
SECONDS = 10.0


@pytest.fixture
def nodes() -> Iterator[list[GaleraNode]]:
    with GaleraNode() as first, GaleraNode([first]) as second, GaleraNode([first]) as third:
        first.others.append(second)
        yield [first, second, third]


@pytest.fixture
def sites(servers: Servers, nodes: list[GaleraNode]) -> list[Site]:
    """A site, as processes see it that use either node."""
    with nodes[0].connect() as connection:
        frappe_standin.create_tables(connection)
    sites = [
        Site(replace(servers, database=node), node.database, limits=IMPATIENT) for node in nodes[:2]
    ]
    sites[0].engine().prepare_storage()
    clean_site(sites[0])
    return sites


def alter(site: Site) -> None:
    """Let ALTERs conflict with concurrent writes."""
    for table in (TRACKER, "`tabMemory Review Audit`"):
        with suppress(pymysql.MySQLError):
            site.sql(f"ALTER TABLE {table} COMMENT = '{time.monotonic()}'")
    time.sleep(0.05)


@pytest.mark.parametrize("fault", ["none", "alter table", "a node is killed", "a node hangs"])
def test_two_nodes_under_load(sites: list[Site], nodes: list[GaleraNode], fault: str) -> None:
    """Nothing that was acknowledged is lost, counted twice or undone."""
    crowd = Crowd(
        sites[0],
        [site.engine() for site in sites * PROCESSES],
        [site.engine() for site in sites],
        is_balanced=True,
    )

    def strike() -> None:
        if fault == "alter table":
            deadline = time.monotonic() + SECONDS
            while time.monotonic() < deadline:
                alter(sites[0])
        elif fault == "a node is killed":
            nodes[1].kill()
            # Its processes are led to another one.
            crowd.processes, crowd.drains = crowd.processes[::2], crowd.drains[:1]
        elif fault == "a node hangs":
            nodes[1].pause()
            time.sleep(SECONDS)
            nodes[1].resume()
            assert wait_until(nodes[1].is_synced)

    crowd.live(strike).check(f"Galera, two nodes, {fault}")


def test_a_season_leaves_the_same_on_all_nodes(sites: list[Site], nodes: list[GaleraNode]) -> None:
    def check() -> dict[str, Any]:
        for node in nodes[1:]:
            with node.connect() as connection, connection.cursor() as cursor:
                # It has all of it then.
                cursor.execute("SET wsrep_sync_wait = 1")
                cursor.execute("SELECT 1")
            assert content(node) == content(nodes[0])
        return content(nodes[0])

    live_through(sites[0], check)


def test_an_entry_kept_on_another_node_later_has_a_higher_id(sites: list[Site]) -> None:
    """Entries of `memora_journal` count by their ids; each node gives ids of its own."""
    sites[0].servers.journal.kill()
    for number in range(20):
        engine = sites[number % 2].engine()
        engine.submit(PLAYER, session_data=session("q", is_correct=number % 3 > 0))
    kept = sites[0].sql("SELECT id FROM memora_journal ORDER BY kept_at_us")
    sites[0].servers.journal.start()
    assert [row["id"] for row in kept] == sorted(row["id"] for row in kept)
    sites[1].engine().drain()
    expected = stability_after_answers(0, *[number % 3 > 0 for number in range(20)])
    assert sites[0].rows()["q"]["stability"] == expected


def test_answers_wait_while_a_node_has_lost_the_others(
    sites: list[Site], nodes: list[GaleraNode]
) -> None:
    """It keeps its connections, and takes nothing."""
    site, engine = sites[0], sites[0].engine()

    def is_primary() -> bool:
        with nodes[0].connect_as_root() as connection, connection.cursor() as cursor:
            cursor.execute("SHOW GLOBAL STATUS LIKE 'wsrep_cluster_status'")
            ((_, status),) = cursor.fetchall()
            return str(status) == "Primary"

    assert engine.due(PLAYER)["total_due"] == 0
    for node in nodes[1:]:
        node.kill()
    assert wait_until(lambda: not is_primary())
    with pytest.raises(ServiceUnavailable) as refused:
        engine.rehydrate(PLAYER, SEASON)
    assert refused.value.server == "database"
    engine.submit(PLAYER, session_data=session("q"))
    with suppress(ServiceUnavailable):
        engine.drain(1.0)
    assert site.waiting() == 1
    with nodes[0].connect_as_root() as connection, connection.cursor() as cursor:
        cursor.execute("SET GLOBAL wsrep_provider_options = 'pc.bootstrap=1'")
    assert wait_until(is_primary)
    site.abandon_taken()
    assert wait_until(lambda: engine.drain()["remaining"] == 0)
    assert list(site.rows()) == ["q"]


# -- locks
# ------------------------------------------------------------------------------------
Kind = Literal["Rebuild", "Reconciliation", "Archive", "Deletion"]
JOBS: dict[Kind, Callable[[Engine], object]] = {
    "Rebuild": lambda engine: engine.rebuild(SEASON),
    "Reconciliation": lambda engine: engine.reconcile(SEASON),
    "Archive": lambda engine: engine.archive(SEASON),
    "Deletion": lambda engine: engine.delete_flagged(SEASON),
}


def test_one_process_at_a_time_whichever_node_it_uses(sites: list[Site]) -> None:
    engine, other = (site.engine() for site in sites)
    for number in range(30):
        sites[0].add(f"p{number}@school.example", [Record(f"q{at}") for at in range(40)])
    refused: list[str] = []

    def meet(kind: Kind) -> Callable[[object], None]:
        def meet_there(_: object) -> None:
            if kind in refused:
                return
            refused.append(kind)
            assert other.is_running(kind, SEASON)
            with pytest.raises(InvalidInput, match="another process does the"):
                JOBS[kind](other)

        return meet_there

    engine.rebuild(SEASON, meet("Rebuild"))
    engine.reconcile(SEASON, progress=meet("Reconciliation"))
    for kind in ("Rebuild", "Reconciliation"):
        assert not other.is_running(kind, SEASON)
        JOBS[kind](other)
    sites[0].sql("UPDATE `tabGame Subscription Season` SET is_active = 0")
    engine.archive(SEASON, meet("Archive"))
    engine.delete_flagged(SEASON, meet("Deletion"))
    assert refused == list(JOBS)
    # The transaction that takes one is never committed.
    assert {row["taken"] for row in sites[0].sql("SELECT taken FROM memora_lock")} == {0}


@pytest.mark.parametrize("end", ["the process is killed", "its node is killed", "its node hangs"])
def test_who_is_gone_has_no_lock(sites: list[Site], nodes: list[GaleraNode], end: str) -> None:
    """Within seconds; and a process whose node was down notices."""
    for number in range(300):
        sites[1].add(f"p{number}@school.example", [Record("q")])
    sites[1].sql("UPDATE `tabGame Subscription Season` SET is_active = 0")
    other = sites[1].engine(**PATIENT)

    def is_had() -> bool:
        try:
            return other.archive(SEASON)["done"] == 300
        except InvalidInput:
            return False

    with RemoteEngine(sites[0].plain_settings()) as engine, ThreadPoolExecutor() as pool:
        at_work = pool.submit(engine.archive, SEASON, share=0.0001)
        assert wait_until(lambda: other.is_running("Archive", SEASON) or at_work.done())
        assert not at_work.done()
        if end == "the process is killed":
            engine.kill()
        elif end == "its node is killed":
            nodes[0].kill()
        else:
            nodes[0].pause()
        assert wait_until(is_had)
        if end == "its node hangs":
            nodes[0].resume()
        expected = ServerError if end == "the process is killed" else ServiceUnavailable
        assert isinstance(at_work.exception(), expected)
    archived = sites[1].sql("SELECT COUNT(*) AS count FROM `tabArchived Memory Tracker`")
    assert archived[0]["count"] == 300
