"""Galera: two nodes that both take writes, from processes of one site, and what befalls nodes."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pymysql
import pytest

from memora._engine import Engine, MemoraError, OutcomeUnknown, ServiceUnavailable
from tests import frappe_standin
from tests.conftest import clean_site
from tests.servers.test_binlog_format import content, live_through
from tests.support.expectation import stability_after_answers
from tests.support.galera import GaleraNode
from tests.support.servers import wait_until
from tests.support.site_under_test import IMPATIENT, PLAYER, SEASON, TRACKER, Servers, Site, session

STUDENTS = 40
SECONDS = 12.0
QUESTIONS = 20


class Load:
    """Students of a site who answer, each through the node of their process, while drains of both
    nodes write."""

    def __init__(self, sites: list[Site]) -> None:
        self.sites = sites
        self.stop = threading.Event()
        self.answers: dict[str, list[tuple[str, bool]]] = {}
        self.unsettled: set[tuple[str, str]] = set()
        self.longest = 0.0

    def study(self, number: int) -> None:
        """Answer one question after the other, right three times out of four."""
        engine, player = self.sites[number % len(self.sites)].engine(), f"p{number}@school.example"
        given = self.answers[player]
        done = time.monotonic()
        while not self.stop.is_set():
            question = f"q{len(given) * 7 % QUESTIONS}"
            is_correct = (len(given) + number) % 4 > 0
            try:
                engine.submit(player, session_data=session(question, is_correct=is_correct))
            except OutcomeUnknown:
                self.unsettled.add((player, question))
                continue
            except MemoraError:
                continue
            given.append((question, is_correct))
            self.longest = max(self.longest, time.monotonic() - done)
            done = time.monotonic()

    def drain(self, site: Site) -> None:
        """As a background job does it, again and again."""
        while not self.stop.is_set():
            with suppress(MemoraError):
                site.engine().drain(1.0)

    def run(self, fault: Callable[[], object]) -> None:
        """Let all that happen together with a fault."""
        self.answers = {f"p{number}@school.example": [] for number in range(STUDENTS)}
        self.sites[0].add_users(*self.answers)
        work = [lambda number=number: self.study(number) for number in range(STUDENTS)]
        work += [lambda site=site: self.drain(site) for site in self.sites]
        threads = [threading.Thread(target=one) for one in work]
        for thread in threads:
            thread.start()
        try:
            deadline = time.monotonic() + SECONDS
            while time.monotonic() < deadline:
                fault()
        finally:
            self.stop.set()
            for thread in threads:
                thread.join()

    def judge(self, engine: Engine) -> Counter[str]:
        """Drain what is left, and compare the table with what was acknowledged."""
        site, found = self.sites[0], Counter[str]()
        site.abandon_taken()
        assert engine.drain(60.0)["remaining"] == 0
        for player, given in self.answers.items():
            rows = site.rows(player)
            found["acknowledged"] += len(given)
            for question in {question for question, _ in given}:
                if (player, question) in self.unsettled:
                    continue
                are_correct = [is_correct for name, is_correct in given if name == question]
                expected = [
                    stability_after_answers(0, *are_correct[:count])
                    for count in range(len(are_correct) + 1)
                ]
                stands = rows[question]["stability"] if question in rows else None
                if stands is None:
                    found["lost"] += 1
                elif stands != expected[-1]:
                    found["undone" if stands in expected else "doubled"] += 1
        return found


@pytest.fixture
def nodes() -> Iterator[list[GaleraNode]]:
    with GaleraNode() as first, GaleraNode([first]) as second, GaleraNode([first]) as third:
        first.others.append(second)
        yield [first, second, third]


@pytest.fixture
def sites(servers: Servers, nodes: list[GaleraNode]) -> list[Site]:
    """A site, as processes see it that use the one node or the other."""
    with nodes[0].connect() as connection:
        frappe_standin.create_tables(connection)
    sites = [
        Site(replace(servers, database=node), node.database, limits=IMPATIENT) for node in nodes[:2]
    ]
    sites[0].engine().prepare_storage()
    clean_site(sites[0])
    return sites


def alter(site: Site) -> None:
    """Let ALTERs come in the way of whatever is being written."""
    for table in (TRACKER, "`tabMemory Review Audit`"):
        with suppress(pymysql.MySQLError):
            site.sql(f"ALTER TABLE {table} COMMENT = '{time.monotonic()}'")
    time.sleep(0.05)


@pytest.mark.parametrize("fault", ["none", "alter table", "a node is killed"])
def test_two_nodes_under_load(sites: list[Site], nodes: list[GaleraNode], fault: str) -> None:
    """Nothing that was acknowledged is lost, counted twice or undone."""
    load, was_killed = Load(sites), threading.Event()

    def strike() -> None:
        if fault == "alter table":
            alter(sites[0])
        elif fault == "a node is killed" and not was_killed.is_set():
            time.sleep(SECONDS / 3)
            nodes[1].kill()
            was_killed.set()
        else:
            time.sleep(0.1)

    load.run(strike)
    found = load.judge(sites[0].engine())
    print(
        f"| Galera, two nodes | {fault} | {found['acknowledged']} | {found['lost']} | "
        f"{found['doubled']} | {found['undone']} | {load.longest:.1f} s |"
    )
    assert found["acknowledged"] > STUDENTS
    assert (found["lost"], found["doubled"], found["undone"]) == (0, 0, 0)


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
