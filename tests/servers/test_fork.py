"""Frappe preloads and forks: an engine works on both sides of a fork, and in many threads."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable

import pytest

from memora._engine import Engine
from tests.support.site_under_test import PLAYER, SEASON, TRACKER, Record, Site, ids, session

CHILDREN = 8
THREADS = 32
FORKS = 1000
# Nothing here takes a tenth of it; a child that hangs is ended by then, and fails.
LONGEST_SECONDS = 300


def fork(work: Callable[[], None]) -> int:
    """Run work in a child process; its process id."""
    child = os.fork()
    if child:
        return child
    code = 1
    signal.alarm(LONGEST_SECONDS)
    try:
        work()
        code = 0
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(code)


def kill(child: int) -> None:
    """End a child as a crash does."""
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def check(children: list[int]) -> None:
    """All children ended well."""
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * len(
        children
    )


def work_as(engine: Engine, player: str, rounds: int = 10) -> None:
    """Read and answer; every read shows exactly what this student answered so far."""
    for number in range(rounds):
        answer = engine.due(player, limit=50)
        assert answer["total_due"] == rounds - number
        first = ids(answer)[0]
        assert first.startswith(player)
        engine.submit(player, session_data=session(first))
    assert engine.due(player)["total_due"] == 0


def add(site: Site, players: list[str], rounds: int = 10) -> None:
    for player in players:
        site.add(player, [Record(f"{player}-{number}") for number in range(rounds)])


def test_an_engine_that_was_used_before_a_fork_works_after_it(site: Site, engine: Engine) -> None:
    players = [f"student{number}@school.example" for number in range(CHILDREN + 1)]
    add(site, players)
    engine.due(PLAYER)
    engine.submit(PLAYER, session_data=session("before"))
    engine.drain()
    children = [fork(lambda player=player: work_as(engine, player)) for player in players[1:]]  # type: ignore[misc]
    work_as(engine, players[0])
    check(children)
    engine.drain()
    for player in players:
        assert {row["stability"] for row in site.rows(player).values()} == {3}


def test_a_thousand_forks(site: Site, engine: Engine) -> None:
    """The parent keeps using its connections while its children come and go, as RQ's workers do."""
    players = [f"student{number}@school.example" for number in range(FORKS)]
    add(site, [*players, PLAYER], rounds=1)
    engine.due(PLAYER)
    engine.submit(PLAYER, session_data=session("before"))
    engine.drain()
    for first in range(0, FORKS, CHILDREN):
        children = [
            fork(lambda player=player: work_as(engine, player, rounds=1))  # type: ignore[misc]
            for player in players[first : first + CHILDREN]
        ]
        assert ids(engine.due(PLAYER)) == [f"{PLAYER}-0"]
        check(children)
    engine.drain()
    found = site.sql(
        f"SELECT player, question_id, stability FROM {TRACKER} WHERE player LIKE 'student%%'"
    )
    assert sorted((row["player"], row["question_id"], row["stability"]) for row in found) == sorted(
        (player, f"{player}-0", 3) for player in players
    )
    assert len(site.sql("SELECT name FROM `tabMemory Review Audit`")) == FORKS + 1


def test_no_child_repeats_what_another_process_made_up(site: Site, engine: Engine) -> None:
    """Generations of the cache and tokens are random: concurrent children draw others than each
    other and their parent."""

    def make_up() -> None:
        site.cache.flushall()
        engine.check_cache()
        token = engine.submit(PLAYER, session_data=session("q"))["persistence_job_id"]
        site.journal.rpush("made up", str(site.cache.get(site.key("srs-generation"))), token)

    make_up()
    for _ in range(CHILDREN):
        check([fork(make_up)])
    make_up()
    made_up = site.journal.lrange("made up", 0, -1)
    assert len(set(made_up)) == len(made_up) == 2 * (CHILDREN + 2)


def test_children_have_connections_of_their_own(site: Site, engine: Engine) -> None:
    """The parent's connections do not change, whatever its children send."""
    add(site, [f"student{number}@school.example" for number in range(CHILDREN)])
    parent = "parent@school.example"
    add(site, [parent])
    # Objects of earlier tests close their connections at any time.
    others = connections(site)
    work_as(engine, parent)
    engine.drain()
    assert engine.cache_available()
    assert engine.journal_status()["reachable"]
    assert not engine.partition_exists("SEASON-1900")
    before = {
        server: {name: said for name, said in found.items() if name not in others[server]}
        for server, found in connections(site).items()
    }
    # The engine's last commands; the test's own clients say CLIENT LIST.
    assert {"ping", "info"} <= {command for command, _ in before["redis"].values()}

    def child(player: str) -> None:
        work_as(engine, player)
        engine.drain()
        own = connections(site)
        # It speaks to each server on other connections than the parent.
        assert {name.split()[0] for name in own["redis"].keys() - before["redis"].keys()} == {
            "cache",
            "journal",
        }
        assert all(own["redis"].get(name) == said for name, said in before["redis"].items())
        assert before["database"].keys() < own["database"].keys()

    for number in range(CHILDREN):
        check([fork(lambda number=number: child(f"student{number}@school.example"))])  # type: ignore[misc]
    after = connections(site)
    assert all(after["redis"].get(name) == said for name, said in before["redis"].items())
    assert before["database"].keys() <= after["database"].keys()
    assert engine.due(parent)["total_due"] == 0


def connections(site: Site) -> dict[str, dict[str, tuple[str, str]]]:
    """The engines' connections by their addresses: last command to Redis, host in MariaDB's
    list."""
    redis_connections = {
        f"{role} {entry['addr']}": (entry["cmd"], entry["laddr"])
        for role, client in (("cache", site.cache), ("journal", site.journal))
        for entry in client.client_list()
        if not entry["cmd"].startswith("client")
    }
    processes = site.sql(
        "SELECT id, host FROM information_schema.PROCESSLIST WHERE id <> CONNECTION_ID()"
    )
    return {
        "redis": redis_connections,
        "database": {str(row["id"]): ("", row["host"]) for row in processes},
    }


def test_a_child_may_drop_an_engine_that_it_never_used(site: Site) -> None:
    """Closing inherited connections would end those of the parent."""
    engines = [site.engine()]
    site.add(PLAYER, [Record("q")])
    others = connections(site)["database"].keys()
    engines[0].rehydrate(PLAYER, SEASON)
    engines[0].submit(PLAYER, session_data=session("q"))
    engines[0].drain()
    before = connections(site)["database"].keys() - others
    assert before
    check([fork(engines.clear)])
    engines[0].submit(PLAYER, session_data=session("q"))
    engines[0].drain()
    assert before <= connections(site)["database"].keys()
    assert site.rows()["q"]["stability"] == 4


def test_children_of_children_drain(site: Site, engine: Engine) -> None:
    engine.submit(PLAYER, session_data=session("q"))

    def parent() -> None:
        engine.due(PLAYER)
        check([fork(lambda: print(engine.drain()["remaining"], end=""))])
        assert engine.due(PLAYER)["total_due"] == 0

    check([fork(parent)])
    assert list(site.rows()) == ["q"]
    assert engine.drain()["submissions"] == 0


def test_a_fork_while_other_threads_use_the_engine(site: Site, engine: Engine) -> None:
    add(site, [f"student{number}@school.example" for number in range(CHILDREN)])
    is_over = threading.Event()

    def read() -> None:
        while not is_over.is_set():
            engine.due(PLAYER)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for number in range(CHILDREN):
            player = f"student{number}@school.example"
            check([fork(lambda player=player: work_as(engine, player))])  # type: ignore[misc]
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("where", ["before a fork", "in a child"])
def test_many_threads_share_an_engine(site: Site, engine: Engine, where: str) -> None:
    if where == "in a child":
        engine.due(PLAYER)
        return check([fork(lambda: work_in_threads(site, engine))])
    work_in_threads(site, engine)


def work_in_threads(site: Site, engine: Engine) -> None:
    """Many threads at once, each as a student of its own."""
    players = [f"student{number}@school.example" for number in range(THREADS)]
    add(site, players)
    faults: list[BaseException] = []

    def run(player: str) -> None:
        try:
            work_as(engine, player)
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=run, args=(player,)) for player in players]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    engine.drain()
    assert sum(len(site.rows(player)) for player in players) == THREADS * 10


@pytest.mark.parametrize("server", ["cache", "journal", "database"])
def test_other_threads_run_while_one_waits_for_a_server(site: Site, server: str) -> None:
    """The waiting thread can only continue because this thread also runs: it wakes the server."""
    engine = site.engine(redis_timeout_ms=60_000, database_timeout_ms=60_000)
    site.add(PLAYER, [Record("q")])
    frozen = getattr(site.servers, server)
    frozen.pause()
    answers: list[dict[str, object]] = []
    is_started = threading.Event()

    def read() -> None:
        is_started.set()
        answers.append(dict(engine.due(PLAYER)))

    thread = threading.Thread(target=read)
    thread.start()
    is_started.wait()
    thread.join(0.1)
    frozen.resume()
    thread.join()
    assert (answers[0]["total_due"], answers[0]["is_degraded"]) == (1, False)
