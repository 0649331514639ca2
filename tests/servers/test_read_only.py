"""A server that is demoted: it answers, takes nothing, and its address may lead to another one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Final, Literal

import pytest

from memora._engine import Engine, MemoraError, OutcomeUnknown, ServiceUnavailable
from tests.consistency.test_alone import called, check_warm
from tests.consistency.test_drain import audits, drain_all, kept
from tests.support.servers import Redis, wait_until
from tests.support.site_under_test import PLAYER, Record, Site, ids, session
from tests.support.wire import Wires

# No server listens there.
DEAD_PORT: Final = 1
CLASSMATES: Final = [f"classmate{number}@school.example" for number in range(20)]
Role = Literal["cache", "journal"]


@contextmanager
def read_only(site: Site, *names: str) -> Iterator[None]:
    """These servers take no writes; existing connections stay."""
    with ExitStack() as ends:
        for name in names:
            if name == "database":
                cursor = ends.enter_context(
                    ends.enter_context(site.servers.database.connect_as_root()).cursor()
                )
                cursor.execute("SET GLOBAL read_only = 1")
                ends.callback(cursor.execute, "SET GLOBAL read_only = 0")
            else:
                client = ends.enter_context(getattr(site.servers, name).client())
                client.execute_command("REPLICAOF", "127.0.0.1", DEAD_PORT)
                ends.callback(client.execute_command, "REPLICAOF", "NO", "ONE")
        yield


@pytest.fixture
def known(site: Site, engine: Engine) -> Engine:
    """An engine that has all its connections; the student has three due questions."""
    site.add(PLAYER, [Record(name, stability=1) for name in ("p", "q", "r")])
    engine.due(PLAYER)
    engine.submit("somebody@school.example", session_data=session("q"))
    engine.drain()
    engine.rehydrate("somebody@school.example", "SEASON-2026")
    return engine


@pytest.mark.parametrize("names", [("cache",), ("journal",), ("cache", "journal")], ids=called)
def test_answers_are_taken_while_a_redis_takes_nothing(
    site: Site, known: Engine, names: tuple[str, ...]
) -> None:
    other = site.engine()
    other.due(PLAYER)
    with read_only(site, *names):
        known.submit(PLAYER, session_data=session("p"))
        found = other.due(PLAYER)
        assert ids(found) == ["q", "r"]
        other.submit(PLAYER, session_data=session("p", "q"))
        assert (len(kept(site)), site.waiting()) == ((2, 0) if "journal" in names else (0, 2))
    drain_all(site, site.engine())
    assert {name: row["stability"] for name, row in site.rows().items()} == {"p": 3, "q": 2, "r": 1}
    for process in (known, other):
        assert wait_until(lambda process=process: is_cached(process))  # type: ignore[misc]
        assert ids(process.due(PLAYER)) == ["r"]


def is_cached(process: Engine) -> bool:
    """Whether the process reads the student's schedule from the cache again."""
    with suppress(MemoraError):
        return process.due(PLAYER)["source"] == "cache"
    return False


def test_what_both_servers_refused_was_not_saved(site: Site, known: Engine) -> None:
    """As a rule the database was looked at just before, so the submission comes to the append."""
    for _ in range(5):
        known.due(PLAYER)
        with (
            read_only(site, "journal", "database"),
            pytest.raises(ServiceUnavailable) as refused,
        ):
            known.submit(PLAYER, session_data=session("p"))
        assert not isinstance(refused.value, OutcomeUnknown)
        assert wait_until(lambda: is_cached(known))
    assert (site.waiting(), kept(site)) == (0, [])


def test_a_journal_that_takes_nothing_is_not_drained(site: Site, known: Engine) -> None:
    known.submit(PLAYER, session_data=session("p"))
    with read_only(site, "journal"), pytest.raises(ServiceUnavailable):
        known.drain()
    drain_all(site, known)
    assert site.rows()["p"]["stability"] == 2


def test_a_database_that_takes_nothing_is_no_fault_of_anybodys(site: Site, known: Engine) -> None:
    with read_only(site, "database"):
        taken = known.submit(PLAYER, session_data=session("p"))
        assert ids(known.due(PLAYER)) == ["q", "r"]
        with pytest.raises(ServiceUnavailable):
            known.drain(seconds=0.1)
        assert known.persistence_status(PLAYER, taken["persistence_job_id"]) == "pending"
        site.servers.journal.kill()
        # No place is left that takes it; neither the student nor memora is at fault.
        with pytest.raises(ServiceUnavailable):
            known.submit(PLAYER, session_data=session("q"))
    site.servers.heal()
    drain_all(site, site.engine())
    assert {name: row["stability"] for name, row in site.rows().items()} == {"p": 2, "q": 1, "r": 1}
    assert set(audits(site)) >= {taken["persistence_job_id"]}


def test_a_database_that_takes_nothing_does_not_say_what_is_persisted(
    site: Site, known: Engine
) -> None:
    """Another, which may lack it, took its place."""
    job = known.submit(PLAYER, session_data=session("p"))["persistence_job_id"]
    known.drain()
    with read_only(site, "database"), pytest.raises(ServiceUnavailable):
        known.persistence_status(PLAYER, job)
    assert wait_until(lambda: is_persisted(known, job))


def is_persisted(process: Engine, job: str) -> bool:
    """Whether the database says so that takes the place of the other one."""
    with suppress(ServiceUnavailable):
        return process.persistence_status(PLAYER, job) == "persisted"
    return False


def test_a_connection_to_a_database_that_takes_nothing_is_not_used_again(
    site: Site, known: Engine
) -> None:
    """Its address leads to another server by then."""
    site.servers.journal.kill()
    others, process = connections(site), site.engine()
    process.submit(PLAYER, session_data=session("p"))
    before = connections(site) - others
    assert before
    with read_only(site, "database"), pytest.raises(ServiceUnavailable):
        process.submit(PLAYER, session_data=session("q"))
    # Those that it did not use meanwhile stay. The server takes its time to notice a goodbye.
    assert wait_until(lambda: bool(before - connections(site)))

    def is_taken() -> bool:
        with suppress(ServiceUnavailable):
            return bool(process.submit(PLAYER, session_data=session("q")))
        return False

    assert wait_until(is_taken)
    site.servers.heal()
    drain_all(site, site.engine())
    assert {name: row["stability"] for name, row in site.rows().items()} == {"p": 2, "q": 2, "r": 1}


def connections(site: Site) -> set[int]:
    """All connections to the database."""
    return {int(row["id"]) for row in site.sql("SELECT id FROM information_schema.PROCESSLIST")}


# -- the address leads to another server
# ------------------------------------------------------------
@contextmanager
def failover(site: Site, wires: Wires, role: Role) -> Iterator[Redis]:
    """A replica takes over. The old server continues as its replica, and keeps its connections."""
    old = getattr(site.servers, role)
    with Redis(role) as new, old.client() as of_old, new.client() as of_new:
        for client in (of_old, of_new):
            # A primary waits for more replicas otherwise.
            client.config_set("repl-diskless-sync-delay", 0)
        of_new.replicaof("127.0.0.1", old.port)
        assert wait_until(lambda: of_new.info("replication").get("master_link_status") == "up")
        assert wait_until(lambda: is_level(of_old))
        of_new.replicaof("NO", "ONE")
        of_old.replicaof("127.0.0.1", new.port)
        wires.to[role].lead(new.port)
        assert wait_until(lambda: of_old.info("replication").get("master_link_status") == "up")
        try:
            yield new
        finally:
            of_old.replicaof("NO", "ONE")


def is_level(client: object) -> bool:
    """Whether the replica has all that its primary has."""
    found = client.info("replication")  # type: ignore[attr-defined]
    replica = found.get("slave0")
    return bool(replica) and replica["offset"] == found["master_repl_offset"]


@pytest.fixture
def school(site: Site) -> Iterator[tuple[Wires, Engine, Engine]]:
    """Two processes of one host, with their wires; they have read all students' schedules."""
    for player in (PLAYER, *CLASSMATES):
        site.add(player, [Record("q", stability=1), Record("r", stability=1)])
    with Wires(site.servers) as wires:
        processes = [site.engine(**wires.settings) for _ in range(2)]
        for process in processes:
            for player in (PLAYER, *CLASSMATES):
                process.due(player)
            process.submit("somebody@school.example", session_data=session("q"))
        yield wires, *processes  # type: ignore[misc]


@pytest.mark.parametrize("role", ["cache", "journal"])
def test_the_next_call_goes_where_the_address_leads(
    site: Site, school: tuple[Wires, Engine, Engine], role: Role
) -> None:
    wires, process, other = school
    with failover(site, wires, role) as new, new.client() as of_new:
        assert process.submit(PLAYER, session_data=session("q"))["new_stability_counts"]["2"] == 1
        assert ids(process.due(PLAYER)) == ["r"]
        assert process.submit(PLAYER, session_data=session("q"))["new_stability_counts"]["3"] == 1
        assert other.submit(PLAYER, session_data=session("r"))["new_stability_counts"]["2"] == 1
        for reader in (process, other):
            assert ids(reader.due(PLAYER)) == []
        if role == "journal":
            # None of it was kept as if the journal were down.
            assert kept(site) == []
            assert of_new.xlen(site.key("srs-journal")) == 5
        else:
            assert of_new.exists(site.key("srs", PLAYER))
        assert process.drain()["remaining"] == 0
        assert other.drain()["remaining"] == 0
        assert {name: row["stability"] for name, row in site.rows().items()} == {"q": 3, "r": 2}


def test_who_still_reads_from_a_demoted_cache_voids_nobodys_schedule(
    site: Site, school: tuple[Wires, Engine, Engine]
) -> None:
    wires, stuck, _ = school
    with failover(site, wires, "cache"):
        healthy = site.engine(**wires.settings)
        # It is another run, which must be registered first.
        assert wait_until(lambda: healthy.due(CLASSMATES[0])["source"] == "cache")
        for player in CLASSMATES:
            healthy.due(player)
        for _ in range(5):
            assert ids(stuck.due(PLAYER)) == ["q", "r"]
            check_warm(site, healthy, CLASSMATES)
        stuck.submit(PLAYER, session_data=session("q"))
        check_warm(site, healthy, CLASSMATES)
        assert ids(healthy.due(PLAYER)) == ["r"]
