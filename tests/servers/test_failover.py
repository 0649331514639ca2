"""An asynchronous replica of MariaDB takes over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from memora._engine import Engine
from tests import frappe_standin
from tests.conftest import clean_site
from tests.consistency.test_drain import NOTHING, age_written, audits
from tests.support.replica import Pair, started_pair
from tests.support.site_under_test import PLAYER, Record, Servers, Site, ids, session
from tests.support.wire import Wires

OTHER: Final = "other@school.example"


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A primary and its replica."""
    with started_pair() as pair:
        yield pair


def replicated_site(pair: Pair, servers: Servers, limits: dict[str, int]) -> Site:
    """A clean site on them, and on the Redis of other tests."""
    primary = pair.primary
    site = Site(Servers(servers.cache, servers.journal, primary), primary.database, limits=limits)
    with primary.connect() as connection:
        frappe_standin.create_tables(connection)
    site.engine().prepare_storage()
    clean_site(site)
    pair.follow()
    return site


@pytest.fixture
def replicated(pair: Pair, servers: Servers, limits: dict[str, int]) -> Site:
    """A site on them. The student has three questions."""
    site = replicated_site(pair, servers, limits)
    site.add(PLAYER, [Record(name, stability=1) for name in ("p", "q", "r")])
    return site


@pytest.fixture
def wires(replicated: Site) -> Iterator[Wires]:
    """The processes' wire to the primary, or to its replacement."""
    with Wires(replicated.servers) as wires:
        yield wires


@pytest.fixture
def process(replicated: Site, wires: Wires) -> Engine:
    """A process of the site."""
    return replicated.engine(**wires.settings)


def on_replica(site: Site, pair: Pair) -> Site:
    """The site as the replica has it."""
    return Site(Servers(site.servers.cache, site.servers.journal, pair.replica), site.name)


def test_a_replica_that_was_behind_is_given_what_it_lacks(
    replicated: Site, pair: Pair, wires: Wires, process: Engine
) -> None:
    jobs = [process.submit(PLAYER, session_data=session("q"))]
    process.drain()
    pair.wait_until_level()
    pair.fall_behind()
    jobs.append(process.submit(PLAYER, session_data=session("q")))
    process.drain()
    jobs.append(process.submit(PLAYER, session_data=session("r")))
    jobs.append(process.submit(OTHER, session_data=session("q")))
    assert process.drain()["remaining"] == 0
    names = [job["persistence_job_id"] for job in jobs]
    assert set(audits(replicated)) == set(names)
    pair.take_over()
    wires.to["database"].lead(pair.replica.port)
    pair.primary.kill()
    site = on_replica(replicated, pair)
    assert set(audits(site)) == set(names[:1])
    # Nothing shows less than was acknowledged, before anything is written again.
    assert ids(process.due(PLAYER)) == ["p"]
    replicated.cache.flushall()
    assert ids(process.due(PLAYER)) == ["p"]
    assert ids(process.due(OTHER)) == []
    assert process.persistence_status(PLAYER, names[0]) == "persisted"
    assert process.persistence_status(PLAYER, names[1]) == "pending"
    taken = process.submit(PLAYER, session_data=session("q"))
    assert taken["new_stability_counts"]["4"] == 1
    report = process.drain()
    assert (report["submissions"], report["written_again"], report["remaining"]) == (1, 3, 0)
    assert {name: row["stability"] for name, row in site.rows().items()} == {"p": 1, "q": 4, "r": 2}
    assert {name: row["stability"] for name, row in site.rows(OTHER).items()} == {"q": 1}
    assert set(audits(site)) == {*names, taken["persistence_job_id"]}
    assert process.persistence_status(PLAYER, names[1]) == "persisted"
    news = [(one["server"], one["event"], one["submissions"]) for one in process.outage_news()]
    assert ("database", "older", 3) in news
    assert process.drain() == NOTHING


def test_nothing_is_let_go_that_a_demoted_server_alone_has(
    replicated: Site, pair: Pair, wires: Wires, process: Engine
) -> None:
    """A drain is still connected to it."""
    pair.fall_behind()
    process.submit(PLAYER, session_data=session("q"))
    process.drain()
    age_written(replicated)
    pair.demote()
    pair.take_over()
    wires.to["database"].lead(pair.replica.port)
    process.drain()
    site = on_replica(replicated, pair)
    assert site.engine().journal_status()["saved_lately"] == 1
    process.drain()
    assert site.rows()["q"]["stability"] == 2


def test_who_is_still_connected_to_a_demoted_server_leaves_it(
    replicated: Site, pair: Pair, wires: Wires, process: Engine
) -> None:
    """It answers, but will never have the new primary's data."""
    assert ids(process.due(PLAYER)) == ["p", "q", "r"]
    process.rehydrate(OTHER, "SEASON-2026")
    pair.demote()
    pair.wait_until_level()
    pair.take_over()
    wires.to["database"].lead(pair.replica.port)
    site = on_replica(replicated, pair)
    other = site.engine()
    other.submit(PLAYER, session_data=session("q"))
    other.drain()
    # Answers written long ago are kept nowhere else.
    age_written(site)
    other.drain()
    assert other.journal_status()["saved_lately"] == 0
    replicated.cache.flushall()
    assert ids(process.due(PLAYER)) == ["p", "r"]
