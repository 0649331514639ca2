"""MariaDB as a node of Galera: one that rolls back a transaction silently."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pymysql
import pytest

from memora._engine import ServiceUnavailable
from tests import frappe_standin
from tests.conftest import clean_site
from tests.consistency.test_drain import drain_all
from tests.support.galera import GaleraNode
from tests.support.servers import wait_until
from tests.support.site_under_test import PATIENT, TRACKER, Servers, Site, session


@pytest.fixture
def node() -> Iterator[GaleraNode]:
    with GaleraNode() as node:
        yield node


@pytest.fixture
def galera(servers: Servers, node: GaleraNode) -> Site:
    """A site whose MariaDB is the only node of a Galera cluster."""
    with node.connect() as connection:
        frappe_standin.create_tables(connection)
    site = Site(replace(servers, database=node), node.database, limits=PATIENT)
    site.engine().prepare_storage()
    return clean_site(site)


def test_a_drain_beside_an_alter_table_loses_nothing(galera: Site) -> None:
    """ALTER TABLE ends the transactions that are in its way."""
    engine, stop, alters = galera.engine(), threading.Event(), 0
    players = [f"p{number}@school.example" for number in range(20)]
    galera.add_users(*players)

    def alter() -> None:
        nonlocal alters
        with galera.servers.database.connect() as connection, connection.cursor() as cursor:
            while not stop.is_set():
                for table in (TRACKER, "`tabMemory Review Audit`"):
                    with suppress(pymysql.MySQLError):
                        alters += cursor.execute(f"ALTER TABLE {table} COMMENT = '{alters}'") == 0
                    time.sleep(0.01)

    def drain() -> None:
        while not stop.is_set():
            with suppress(ServiceUnavailable):
                galera.engine().drain(1.0)

    threads = [threading.Thread(target=work) for work in (alter, drain, drain)]
    for thread in threads:
        thread.start()
    try:
        for question in range(30):
            for player in players:
                engine.submit(player, session_data=session(f"q{question}", f"r{question}"))
            # However fast the machine is, the table is altered while answers come in.
            assert wait_until(lambda: 2 * alters > question)  # noqa: B023
        # Some of it is written by then, in spite of the ALTERs.
        assert wait_until(lambda: len(galera.rows(players[0])) > 0)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    drain_all(galera, engine)
    for player in players:
        assert len(galera.rows(player)) == 60
