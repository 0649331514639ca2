"""Rows that others have locked, and transactions that come in each other's way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final

import pymysql.cursors
import pytest

from memora._engine import Engine, MemoraError, OutcomeUnknown, ServiceUnavailable
from tests.conftest import clean_site, emptied, started_servers
from tests.consistency.test_alone import PAIRS, called, cut_off, process
from tests.consistency.test_drain import NOTHING, audits, drain_all, kept
from tests.soak.run import SNAPSHOT_ISOLATION
from tests.students.test_rehydrate import together
from tests.support.expectation import stability_after_answers
from tests.support.servers import wait_until
from tests.support.site_under_test import PLAYER, SEASON, TRACKER, Record, Servers, Site, session
from tests.support.wire import Wires

OTHERS: Final = [f"other{number}@school.example" for number in range(20)]
# A lock of a range of rows also locks the gaps at its ends: up to these students, who do nothing.
NEIGHBOURS: Final = ["aaa@school.example", "amam@school.example"]
# What another program's transaction does to a student's record `q`.
STRANGERS: Final = {
    "reads": f"SELECT 1 FROM {TRACKER} "
    "WHERE player = %s AND season = %s AND question_id = 'q' FOR UPDATE",
    "shares": f"SELECT 1 FROM {TRACKER} WHERE player = %s AND season = %s LOCK IN SHARE MODE",
    "writes": f"UPDATE {TRACKER} SET topic = 'Plants' WHERE player = %s AND season = %s",
    "adds": f"INSERT INTO {TRACKER} (name, player, season, question_id) "
    "VALUES ('stranger', %s, %s, 'new')",
}


@contextmanager
def locked(site: Site, does: str, player: str = PLAYER) -> Iterator[pymysql.Connection[Any]]:
    """A stranger's open transaction, which is rolled back at the end."""
    with site.servers.database.connect(database=site.name, autocommit=False) as stranger:
        with stranger.cursor() as cursor:
            cursor.execute(STRANGERS[does], (player, SEASON))
        yield stranger
        stranger.rollback()


def waits_for_a_lock(site: Site) -> bool:
    """Whether a transaction waits for a row that another has locked."""
    return site.servers.database.status("Innodb_row_lock_current_waits") > 0


def stabilities(site: Site, players: list[str], question: str = "q") -> set[int | None]:
    """The stabilities that a question of these students has."""
    found = (site.rows(player).get(question) for player in players)
    return {None if row is None else row["stability"] for row in found}


def check_each_counted(site: Site, tokens: list[str]) -> None:
    """Every submission has been written, once."""
    assert len(set(tokens)) == len(tokens)
    assert set(audits(site)) == set(tokens)


# -- a stranger's lock
# ------------------------------------------------------------------------------
@pytest.mark.parametrize("does", STRANGERS)
@pytest.mark.parametrize("place", ["journal", "table"])
def test_a_drain_leaves_what_a_stranger_has_locked_and_writes_the_rest(
    site: Site, engine: Engine, does: str, place: str
) -> None:
    for player in (PLAYER, *OTHERS, *NEIGHBOURS):
        site.add(player, [Record("q", stability=1)])
    if place == "table":
        site.servers.journal.kill()
    tokens = {
        player: engine.submit(player, session_data=session("q", "new"))["persistence_job_id"]
        for player in (PLAYER, *OTHERS)
    }
    site.servers.heal()
    assert len(kept(site)) == (len(tokens) if place == "table" else 0)
    drain = site.engine()
    with locked(site, does):
        assert drain.drain()["remaining"] == 1
        assert (stabilities(site, OTHERS), stabilities(site, OTHERS, "new")) == ({2}, {1})
        assert drain.persistence_status(PLAYER, tokens[PLAYER]) == "pending"
        # Students who answer meanwhile are written too.
        for player in OTHERS:
            engine.submit(player, session_data=session("q"))
        site.abandon_taken()
        assert site.engine().drain()["remaining"] == 1
        assert stabilities(site, OTHERS) == {3}
    drain_all(site, site.engine())
    assert (stabilities(site, [PLAYER]), stabilities(site, [PLAYER], "new")) == ({2}, {1})
    assert drain.persistence_status(PLAYER, tokens[PLAYER]) == "persisted"
    assert len(audits(site)) == 2 * len(OTHERS) + 1


def test_a_student_with_a_locked_record_and_poison_holds_up_nobody(
    site: Site, engine: Engine
) -> None:
    """Their answers are tried one by one, for the poison, and there the lock is met."""
    for player in (PLAYER, *OTHERS, *NEIGHBOURS):
        site.add(player, [Record("q", stability=1)])
    site.sql(f"ALTER TABLE {TRACKER} ADD CONSTRAINT no_poison CHECK (question_id <> 'a poison')")
    try:
        for question in ("q", "a poison", "q"):
            engine.submit(PLAYER, session_data=session(question))
        for player in OTHERS:
            engine.submit(player, session_data=session("q"))
        with locked(site, "writes"):
            assert site.engine().drain()["remaining"] == 3
            assert stabilities(site, OTHERS) == {2}
        drain_all(site, site.engine())
    finally:
        site.sql(f"ALTER TABLE {TRACKER} DROP CONSTRAINT no_poison")
    assert stabilities(site, [PLAYER]) == {3}
    assert [
        row["question_id"] for row in site.sql("SELECT question_id FROM `tabPoison Review`")
    ] == ["a poison"]


@pytest.mark.parametrize("does", STRANGERS)
@pytest.mark.parametrize("is_journal_there", [True, False])
def test_no_submission_is_refused_for_a_strangers_lock(
    site: Site, engine: Engine, does: str, is_journal_there: bool
) -> None:
    for player in (PLAYER, *OTHERS):
        site.add(player, [Record("q", stability=1)])
        engine.due(player)
    if not is_journal_there:
        site.servers.journal.kill()
    tokens: list[str] = []

    def answer(players: list[str]) -> None:
        for player in players * 5:
            tokens.append(engine.submit(player, session_data=session("q"))["persistence_job_id"])

    with locked(site, does):
        together(
            partial(answer, [PLAYER]), *(partial(answer, OTHERS[part::4]) for part in range(4))
        )
        site.servers.heal()
    drain_all(site, site.engine())
    assert stabilities(site, [PLAYER, *OTHERS]) == {4}
    check_each_counted(site, tokens)


def test_a_drain_leaves_what_waits_for_a_table_that_a_stranger_has_locked(
    site: Site, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """It waits for the table once, and for none of the students by themselves."""
    for player in OTHERS:
        engine.submit(player, session_data=session("q"))
    reports: list[object] = []
    drain = threading.Thread(target=lambda: reports.append(site.engine().drain(seconds=0)))
    with site.servers.database.connect(database=site.name) as stranger:
        stranger.cursor().execute(f"LOCK TABLES {TRACKER} READ")
        drain.start()
        is_over = wait_until(lambda: not drain.is_alive())
    drain.join()
    assert is_over
    assert reports == [NOTHING | {"remaining": len(OTHERS)}]
    [warning] = [text for text in caplog.messages if "wait" in text]
    assert warning.startswith(f"answers of {len(OTHERS)} students wait")
    drain_all(site, site.engine())
    assert stabilities(site, OTHERS) == {1}


def test_a_drain_asks_nothing_more_of_a_server_that_failed_it(site: Site, engine: Engine) -> None:
    """It reports why it failed, not how the next statement did."""
    engine.submit(PLAYER, session_data=session("q"))
    site.sql(
        f"CREATE TRIGGER demoted BEFORE INSERT ON {TRACKER} FOR EACH ROW "
        "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1290, MESSAGE_TEXT = 'demoted'"
    )
    try:
        with site.listening() as statements, pytest.raises(ServiceUnavailable, match="demoted"):
            site.engine().drain(seconds=0)
    finally:
        site.sql("DROP TRIGGER demoted")
    assert [text for text in statements if text.startswith("SET SESSION innodb")] == []
    drain_all(site, site.engine())
    assert stabilities(site, [PLAYER]) == {1}


# -- a drain beside others
# --------------------------------------------------------------------------
@pytest.mark.parametrize("pair", PAIRS, ids=called)
def test_an_answer_that_comes_in_while_a_drain_is_held_up_counts(
    site: Site, wires: Wires, pair: tuple[bool, bool]
) -> None:
    """A process that reaches neither Redis takes it while the drain's transaction is open."""
    first = "another@school.example"
    for player in (first, PLAYER):
        site.add(player, [Record("q", stability=2)])
    engine, alone = site.engine(), process(site, wires)
    engine.submit(first, session_data=session("q"))
    engine.submit(PLAYER, session_data=session("q", is_correct=pair[0]))
    drain = threading.Thread(target=site.engine().drain)
    with (
        cut_off(site, wires, ("cache", "journal"), "refuse"),
        locked(site, "reads", first) as stranger,
    ):
        drain.start()
        assert wait_until(lambda: waits_for_a_lock(site) or not drain.is_alive())
        answers = threading.Thread(
            target=alone.submit,
            args=(PLAYER,),
            kwargs={"session_data": session("q", is_correct=pair[1])},
        )
        answers.start()
        # It is safe now, and acknowledged once no process believes the student's cached schedule.
        assert wait_until(lambda: bool(kept(site)) or not answers.is_alive())
        stranger.rollback()
        drain.join()
        answers.join()
    drain_all(site, site.engine())
    assert stabilities(site, [PLAYER]) == {stability_after_answers(2, *pair)}
    assert stabilities(site, [first]) == {3}


@pytest.mark.parametrize("lost", [("journal",), ("cache", "journal")], ids=called)
def test_nobody_is_refused_on_a_first_school_day_without_the_journal(
    site: Site, engine: Engine, lost: tuple[str, ...]
) -> None:
    """All are new, so their rows are in the same gap."""
    threads, students, questions = 16, 25, [f"q{number:02}" for number in range(20)]
    engine.due(PLAYER)
    for name in lost:
        getattr(site.servers, name).kill()
    tokens: list[str] = []

    def answer(thread: int) -> None:
        for student in range(students):
            taken = engine.submit(
                f"new{thread}-{student}@school.example", session_data=session(*questions)
            )
            tokens.append(taken["persistence_job_id"])

    together(*(partial(answer, thread) for thread in range(threads)))
    site.servers.heal()
    drain_all(site, site.engine())
    check_each_counted(site, tokens)
    found = site.sql(
        f"SELECT COUNT(*) AS n, MIN(stability) AS least, MAX(stability) AS most FROM {TRACKER}"
    )
    assert found == [{"n": threads * students * len(questions), "least": 1, "most": 1}]


@pytest.fixture(scope="module")
def isolated_servers() -> Iterator[Servers]:
    """MariaDB refuses to lock what has changed since a transaction's snapshot, as it does from
    11.6.2 on."""
    with started_servers(extra=[SNAPSHOT_ISOLATION]) as servers:
        yield servers


@pytest.fixture
def isolated(isolated_servers: Servers) -> Iterator[Site]:
    """A clean site there."""
    with emptied(isolated_servers):
        yield clean_site(Site(isolated_servers, isolated_servers.database.database))


@pytest.mark.parametrize("lost", [(), ("journal",), ("cache", "journal")], ids=called)
def test_snapshot_isolation_refuses_nobody(isolated: Site, lost: tuple[str, ...]) -> None:
    """Several windows of one student and, if the journal is up, concurrent drains."""
    isolated.add(PLAYER, [Record("q", stability=1), Record("r", stability=1)])
    windows = [isolated.engine() for _ in range(4)]
    for window in windows:
        window.due(PLAYER)
    for name in lost:
        getattr(isolated.servers, name).kill()
    tokens: list[str] = []
    is_over = threading.Event()

    def answer(window: Engine) -> None:
        for _ in range(25):
            tokens.append(
                window.submit(PLAYER, session_data=session("q", "r"))["persistence_job_id"]
            )

    def drain() -> None:
        drains = isolated.engine()
        while not is_over.is_set():
            drains.drain(seconds=1.0)

    drains = [] if lost else [drain, drain]

    def answer_in_all_windows() -> None:
        try:
            together(*(partial(answer, window) for window in windows))
        finally:
            is_over.set()

    together(answer_in_all_windows, *drains)
    isolated.servers.heal()
    drain_all(isolated, isolated.engine())
    check_each_counted(isolated, tokens)
    assert {row["stability"] for row in isolated.rows().values()} == {4}


# -- a statement that somebody ends
# ------------------------------------------------------------------
@pytest.mark.parametrize("ends", ["QUERY", "CONNECTION"])
def test_a_statement_that_an_administrator_ends_is_one_to_try_again(
    site: Site, engine: Engine, ends: str
) -> None:
    """It waits for another program, for a student whose answer is kept but cannot be shown."""
    site.add(PLAYER, [Record("q", stability=2)])
    engine.due(PLAYER)
    for name in ("cache", "journal"):
        getattr(site.servers, name).kill()
    faults: list[MemoraError] = []

    def answer() -> None:
        try:
            engine.submit(PLAYER, session_data=session("q"))
        except MemoraError as fault:
            faults.append(fault)

    with site.servers.database.connect(database=site.name, autocommit=False) as stranger:
        with stranger.cursor() as cursor:
            cursor.execute("SELECT 1 FROM memora_belief FOR UPDATE")
        student = threading.Thread(target=answer)
        student.start()
        while student.is_alive():
            for (number,) in waiting_statements(site):
                end_statement(site, ends, number)
    student.join()
    assert [type(fault) for fault in faults] == [OutcomeUnknown]
    site.servers.heal()
    drain_all(site, site.engine())
    assert stabilities(site, [PLAYER]) == {3}


def waiting_statements(site: Site) -> list[tuple[int]]:
    """The connections that wait for a lock."""
    with site.servers.database.connect_as_root() as root, root.cursor() as cursor:
        cursor.execute(
            "SELECT trx_mysql_thread_id FROM information_schema.INNODB_TRX "
            "WHERE trx_state = 'LOCK WAIT'"
        )
        return list(cursor.fetchall())


def end_statement(site: Site, ends: str, number: int) -> None:
    """Kill a connection or its statement, if it still exists."""
    with (
        site.servers.database.connect_as_root() as root,
        root.cursor() as cursor,
        suppress(pymysql.err.OperationalError),
    ):
        cursor.execute(f"KILL {ends} %s", (number,))


# -- limits that a site sets for all its connections
# ---------------------------------------------------
def test_a_global_limit_for_statements_does_not_end_work_in_the_background(
    site: Site, engine: Engine
) -> None:
    """An administrator's, against careless reports, is shorter than a drain's statement."""
    site.sql(f"CREATE TRIGGER slow BEFORE INSERT ON {TRACKER} FOR EACH ROW DO SLEEP(0.3)")
    with site.servers.database.connect_as_root() as root, root.cursor() as cursor:
        cursor.execute("SET GLOBAL max_statement_time = 0.1")
        try:
            engine.submit(PLAYER, session_data=session("q"))
            drained = site.engine().drain()
        finally:
            cursor.execute("SET GLOBAL max_statement_time = 0")
            site.sql("DROP TRIGGER slow")
    assert (drained["submissions"], drained["set_aside"], drained["remaining"]) == (1, 0, 0)
    assert stabilities(site, [PLAYER]) == {1}
