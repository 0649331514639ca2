"""A journal with a replica: acknowledged answers survive its promotion."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from memora._engine import Engine, OutcomeUnknown
from tests.consistency.test_drain import kept
from tests.consistency.test_replaced_journal import news_of
from tests.support.sentinel import Replica
from tests.support.servers import free_port, wait_until
from tests.support.site_under_test import (
    BELIEVING,
    PLAYER,
    SEASON,
    TRACKER,
    Record,
    Site,
    ids,
    session,
)


@pytest.fixture
def replica(site: Site) -> Iterator[Replica]:
    """A replica of the journal."""
    with Replica(site.servers.journal, "journal") as replica:
        assert wait_until(replica.follows)
        yield replica


@pytest.fixture
def careful(site: Site, replica: Replica) -> Engine:
    """An engine that asks the replica; the student has three questions, and their schedule is
    cached."""
    site.add(PLAYER, [Record(name, stability=1) for name in ("q", "r", "s")])
    engine = site.engine(journal_replicas=1)
    assert len(ids(engine.due(PLAYER))) == 3
    return engine


def test_what_the_replica_has_is_in_the_journal_alone(site: Site, careful: Engine) -> None:
    careful.submit(PLAYER, session_data=session("q"))
    assert (site.waiting(), kept(site)) == (1, [])


def test_what_it_lacks_is_kept_in_mariadb_too_and_counts_once(
    site: Site, replica: Replica, careful: Engine
) -> None:
    replica.pause()
    jobs = [careful.submit(PLAYER, session_data=session("q")) for _ in range(2)]
    assert kept(site) == [job["persistence_job_id"] for job in jobs]
    status = careful.journal_status()
    assert (site.waiting(), status["kept_in_database"], status["backlog"]) == (2, 2, 2)
    # It is no outage: the journal still takes entries.
    assert careful.outage_news() == []
    for job in jobs:
        assert careful.persistence_status(PLAYER, job["persistence_job_id"]) == "pending"
    careful.cache_clear(PLAYER, SEASON)
    assert ids(careful.due(PLAYER)) == ["r", "s"]
    replica.resume()
    assert wait_until(lambda: careful.journal_status()["durable"])
    careful.drain()
    assert (site.waiting(), kept(site), site.rows()["q"]["stability"]) == (0, [], 3)


def test_what_the_replica_could_not_be_asked_for_may_be_saved_all_the_same(
    site: Site, replica: Replica
) -> None:
    """The journal has taken it, but refuses WAIT, because the user lacks the right. MariaDB is
    down."""
    site.add(PLAYER, [Record("q", stability=1)])
    server = site.servers.journal
    site.journal.acl_setuser(
        "weak", enabled=True, nopass=True, categories=["+@all"], commands=["-wait"], keys=["*"]
    )
    try:
        url = f"redis://weak:any@{server.host}:{server.port}/{server.database}"
        weak = site.engine(journal_replicas=1, journal_url=url, **BELIEVING)
        assert ids(weak.due(PLAYER)) == ["q"]
        site.servers.database.kill()
        with pytest.raises(OutcomeUnknown):
            weak.submit(PLAYER, session_data=session("q"))
    finally:
        site.servers.heal()
        site.journal.acl_deluser("weak")
    assert site.waiting() == 1
    site.engine(journal_replicas=1).drain()
    assert site.rows()["q"]["stability"] == 2


def test_nothing_is_lost_when_it_is_promoted(site: Site, replica: Replica, careful: Engine) -> None:
    careful.submit(PLAYER, session_data=session("q"))
    site.servers.journal.pause()
    try:
        replica.client().replicaof("NO", "ONE")
    finally:
        site.servers.journal.resume()
    # Some processes stay with the old primary, others use the new one: each sees the other's
    # answers.
    follower = site.engine(journal_replicas=1, journal_url=replica.url)
    careful.submit(PLAYER, session_data=session("r"))
    follower.submit(PLAYER, session_data=session("r"))
    careful.submit(PLAYER, session_data=session("r"))
    for engine in (careful, follower):
        engine.cache_clear(PLAYER, SEASON)
        assert ids(engine.due(PLAYER)) == ["s"]
    follower.drain()
    assert {name: row["stability"] for name, row in site.rows().items()} == {"q": 2, "r": 4, "s": 1}
    careful.drain()
    assert {name: row["stability"] for name, row in site.rows().items()} == {"q": 2, "r": 4, "s": 1}


@pytest.mark.parametrize(("asked", "news"), [(1, []), (0, [("journal", "restarted")])])
def test_a_failover_is_told_only_where_nobody_asked_the_replica(
    site: Site, replica: Replica, asked: int, news: list[tuple[str, str]]
) -> None:
    """MariaDB has acknowledged answers that the replica lacks."""
    # Its uptime is known in whole seconds.
    assert wait_until(lambda: replica.client().info("server")["uptime_in_seconds"] > 2)
    engine = site.engine(journal_replicas=asked)
    engine.submit(PLAYER, session_data=session("q"))
    engine.drain()
    replica.client().replicaof("NO", "ONE")
    follower = site.engine(journal_replicas=asked, journal_url=replica.url)
    follower.submit(PLAYER, session_data=session("q"))
    follower.drain()
    assert news_of(follower) == news


def test_a_restart_is_told_though_the_replica_is_asked(site: Site, replica: Replica) -> None:
    """The replica loses what the primary's disk has lost."""
    assert wait_until(lambda: site.journal.info("server")["uptime_in_seconds"] > 0)
    engine = site.engine(journal_replicas=1)
    engine.submit(PLAYER, session_data=session("q"))
    engine.drain()
    site.servers.journal.kill()
    site.servers.journal.start()
    assert wait_until(replica.follows)
    other = site.engine(journal_replicas=1)
    other.drain()
    assert news_of(other) == [("journal", "restarted")]


def test_nothing_is_shown_that_nobody_else_has(site: Site, replica: Replica) -> None:
    """A process died once the journal had its entry, before it found that the replica lacked it."""
    site.add(PLAYER, [Record("q", stability=1)])
    replica.pause()
    unasked = site.engine().submit(PLAYER, session_data=session("q"))
    careful = site.engine(journal_replicas=1)
    assert kept(site) == []
    careful.cache_clear(PLAYER, SEASON)
    assert ids(careful.due(PLAYER)) == []
    assert kept(site) == [unasked["persistence_job_id"]]
    replica.resume()
    careful.drain()
    assert (kept(site), site.rows()["q"]["stability"]) == ([], 2)


def test_nothing_is_written_that_a_load_from_the_other_journal_lacks(
    site: Site, replica: Replica
) -> None:
    """A drain has taken such an entry from the old primary, and cannot write it now."""
    site.add(PLAYER, [Record("q", stability=1)])
    replica.pause()
    unasked = site.engine().submit(PLAYER, session_data=session("q"))
    with site.servers.database.connect(database=site.name, autocommit=False) as other:
        other.cursor().execute(f"SELECT * FROM {TRACKER} FOR UPDATE")
        assert site.engine(journal_replicas=1).drain(0.1)["remaining"] == 1
        assert kept(site) == [unasked["persistence_job_id"]]
    replica.resume()
    site.abandon_taken()
    site.engine().drain()
    assert (kept(site), site.waiting(), site.rows()["q"]["stability"]) == ([], 0, 2)


def test_what_is_kept_in_mariadb_once_it_is_written_counts_once(
    site: Site, replica: Replica, careful: Engine
) -> None:
    """A process found it in the journal alone, and a drain was faster."""
    replica.pause()
    careful.submit(PLAYER, session_data=session("q"))
    [row] = site.sql("SELECT * FROM `memora_journal`")
    careful.drain()
    assert kept(site) == []
    columns = ", ".join(row)
    site.sql(f"INSERT INTO `memora_journal` ({columns}) VALUES %s", [tuple(row.values())])
    careful.cache_clear(PLAYER, SEASON)
    assert ids(careful.due(PLAYER)) == ["r", "s"]
    # Right once before, and then.
    again = careful.submit(PLAYER, session_data=session("q"))
    assert again["new_stability_counts"] == {"1": 0, "2": 0, "3": 1, "4": 0}
    careful.drain()
    assert (kept(site), site.rows()["q"]["stability"]) == ([], 3)
    replica.resume()


def test_a_drain_takes_away_what_it_keeps_in_mariadb(site: Site, replica: Replica) -> None:
    site.add(PLAYER, [Record("q", stability=1)])
    replica.pause()
    site.engine().submit(PLAYER, session_data=session("q"))
    report = site.engine(journal_replicas=1).drain()
    # It meets the submission once.
    assert (report["submissions"], report["answers"], kept(site)) == (1, 1, [])
    replica.resume()


@pytest.mark.parametrize("is_late", [False, True])
def test_what_the_cache_was_not_shown_is_read_by_all(
    site: Site, replica: Replica, careful: Engine, is_late: bool
) -> None:
    """A process without the cache tells the journal and its replica, or waits longer."""
    alone = site.engine(journal_replicas=1, cache_url=f"redis://127.0.0.1:{free_port()}")
    if is_late:
        replica.pause()
    alone.submit(PLAYER, session_data=session("q"))
    assert ids(careful.due(PLAYER)) == ["r", "s"]
    replica.resume()


def test_the_status_tells_of_replicas(site: Site, replica: Replica, careful: Engine) -> None:
    # The primary counts those that have acknowledged of late, once a second.
    assert wait_until(lambda: careful.journal_status()["warning"] is None)
    status = careful.journal_status()
    assert (status["role"], status["replicas_asked"], status["durable"]) == ("master", 1, True)
    [found] = status["replicas"]
    assert found["address"] == f"{replica.host}:{replica.port}"
    assert found["is_online"]
    # No process asks it.
    unasked = site.engine().journal_status()
    assert not unasked["durable"]
    assert "srs_journal_replicas to 1" in str(unasked["warning"])
    # It is asked, but dead: the answers that it lacks are still safe.
    replica.kill()
    assert wait_until(lambda: careful.journal_status()["replicas"] == [])
    alone = careful.journal_status()
    assert alone["durable"]
    assert "0 of the 1 replicas" in str(alone["warning"])


def test_a_replica_is_no_journal(site: Site, replica: Replica) -> None:
    status = site.engine(journal_url=replica.url).journal_status()
    assert (status["role"], status["durable"]) == ("slave", False)
    assert "primary" in str(status["warning"])
