"""Erasing a student, and exporting all data of one, with the stand-in for frappe."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from memora import hooks
from memora._engine import Engine, InvalidInput, ServiceUnavailable
from memora.api import srs
from memora.commands import memora
from memora.services import srs_archiver
from tests import frappe_standin as frappe
from tests.administrators.test_archive import STUDENTS, old
from tests.support.servers import wait_until
from tests.support.site_under_test import PLAYER, SEASON, TRACKER, Record, Site, ids, session
from tests.support.wire import Wires

__all__ = ["old"]

App = Callable[..., None]

MANAGER = frappe.MANAGER
# A student of the old season, with archived records.
STUDENT = STUDENTS[3]
NEIGHBOUR = STUDENTS[4]


@pytest.fixture
def erased(site: Site, app: App, old: str, engine: Engine) -> Site:
    """A site where STUDENT and NEIGHBOUR have data everywhere."""
    srs_archiver.SRSArchiver().archive_season(old)
    site.add_users(STUDENT, NEIGHBOUR)
    site.sql(f"ALTER TABLE {TRACKER} ADD CONSTRAINT no_bad CHECK (question_id <> 'bad')")
    try:
        for player in (STUDENT, NEIGHBOUR):
            site.add(player, [Record("q"), Record("r")])
            engine.submit(player, session_data=session("bad", "new"))
        assert engine.drain()["set_aside"] == 2
    finally:
        site.sql(f"ALTER TABLE {TRACKER} DROP CONSTRAINT no_bad")
    for player in (STUDENT, NEIGHBOUR):
        site.sql("INSERT INTO memora_unshown (player, season) VALUES (%s, %s)", (player, SEASON))
        site.sql("INSERT INTO memora_safe_mode_read (player, read_at_us) VALUES (%s, 1)", (player,))
        srs.process_srs_batch(player, [{"question_id": "lesson", "attempts_count": 1}])
        engine.suspend_question(player, "q")
    frappe.local.db.rollback()
    app(user=MANAGER)
    return site


def everything(site: Site, player: str) -> dict[str, int]:
    """How much there is of a student: rows by table, and keys with the name, or with an entry of
    theirs."""
    found: dict[str, int] = {}
    columns = site.sql(
        "SELECT table_name AS name, column_name AS of FROM information_schema.columns "
        "WHERE table_schema = %s AND table_name <> 'tabUser' "
        "AND data_type IN ('varchar', 'text', 'longtext')",
        (site.name,),
    )
    for column in columns:
        condition = f"`{column['of']}` LIKE %s"
        (row,) = site.sql(
            f"SELECT COUNT(*) AS count FROM `{column['name']}` WHERE {condition}", (f"%{player}%",)
        )
        if row["count"]:
            found[column["name"]] = max(found.get(column["name"], 0), row["count"])
    for redis in (site.cache, site.journal):
        for key in redis.keys("*"):
            kind = redis.type(key)  # type: ignore[no-untyped-call]
            text = key
            if kind == "stream":
                text += str(redis.xrange(key))
            elif kind == "set":
                text += str(redis.smembers(key))
            elif kind == "zset":
                text += str(redis.zrange(key, 0, -1))
            elif kind == "hash":
                text += str(redis.hgetall(key))
            if player in text:
                found[key.partition("|")[2].partition(":")[0]] = 1
    return found


def test_nothing_is_left_of_an_erased_student(erased: Site, engine: Engine) -> None:
    before, others = everything(erased, STUDENT), everything(erased, NEIGHBOUR)
    assert len(before) > 8
    report = srs.forget_student(STUDENT, confirm=STUDENT)
    assert report == {
        "records": 3, "archived_records": 100, "audit_records": 1, "poison_reviews": 1,
        "waiting_submissions": 1,
    }  # fmt: skip
    # The order that voids earlier computations, for ten minutes.
    left = everything(erased, STUDENT)
    assert set(left) == {"srs-pending"}
    # Nor in the audit records that keep a drain from writing what it has in hand.
    logged = erased.sql("SELECT player FROM `tabMemory Review Audit` WHERE _answer_log IS NOT NULL")
    assert logged == [{"player": NEIGHBOUR}]
    assert engine.answers(STUDENT, None) == []
    assert all(erased.journal.ttl(key) <= 600 for key in erased.journal.keys(f"*{STUDENT}*"))
    assert everything(erased, NEIGHBOUR) == others
    engine.drain()
    assert everything(erased, STUDENT) == left
    assert engine.due(STUDENT)["total_due"] == 0
    assert srs.forget_student(STUDENT, confirm=STUDENT)["records"] == 0


def test_an_erased_user_can_be_deleted(erased: Site) -> None:
    with pytest.raises(frappe.LinkExistsError, match=f"memora forget {STUDENT}"):
        frappe.delete_doc("User", STUDENT)
    srs.forget_student(STUDENT, confirm=STUDENT)
    frappe.local.db.rollback()
    frappe.delete_doc("User", STUDENT)


@pytest.mark.parametrize("confirm", [None, "", "1", NEIGHBOUR, STUDENT.upper()])
def test_it_must_be_confirmed_with_the_name(erased: Site, confirm: str | None) -> None:
    with pytest.raises(frappe.ValidationError, match="the same name"):
        srs.forget_student(STUDENT, confirm=confirm)
    assert len(erased.rows(STUDENT)) == 3


def test_a_name_in_another_case_is_told(erased: Site) -> None:
    for call in (srs.export_student, lambda name: srs.forget_student(name, confirm=name)):
        with pytest.raises(frappe.ValidationError, match=STUDENT):
            call(STUDENT.upper())


def test_a_name_that_nobody_has_is_told(erased: Site) -> None:
    """A mistyped name does not look like a student who was erased."""
    for call in (srs.export_student, lambda name: srs.forget_student(name, confirm=name)):
        with pytest.raises(frappe.DoesNotExistError, match="no user nobody@school"):
            call("nobody@school.example")


@pytest.mark.parametrize("command", ["export", "forget"])
def test_the_commands_tell_it_too(erased: Site, command: str) -> None:
    refused = run(erased, command, STUDENT.upper(), *(["--yes"] if command == "forget" else []))
    assert refused.exit_code == 1
    assert f"a user {STUDENT}" in refused.output


@pytest.mark.parametrize("other", [STUDENT.upper(), STUDENT.replace("e", "é"), f"{STUDENT} "])
def test_a_name_that_mariadb_takes_for_the_same_is_anothers(
    erased: Site, engine: Engine, other: str
) -> None:
    before = everything(erased, STUDENT)
    assert set(engine.forget(other).values()) == {0}
    assert everything(erased, STUDENT) == before


def test_only_managers_may(erased: Site, app: App) -> None:
    app(user=STUDENT)
    with pytest.raises(frappe.PermissionError):
        srs.forget_student(STUDENT, confirm=STUDENT)
    with pytest.raises(frappe.PermissionError):
        srs.export_student(STUDENT)


# -- what comes in meanwhile
# ------------------------------------------------------------------------------
def test_an_answer_after_it_starts_again(erased: Site, engine: Engine) -> None:
    engine.due(STUDENT)
    erased.engine().forget(STUDENT)
    # Like the others, this process must not use the earlier schedule.
    engine.submit(STUDENT, session_data=session("q"))
    engine.drain()
    assert {question: row["stability"] for question, row in erased.rows(STUDENT).items()} == {
        "q": 1
    }


def test_a_drain_that_has_the_answers_in_hand_writes_nothing_of_them(
    erased: Site, engine: Engine
) -> None:
    """It died before it wrote; another takes them over after the student was erased."""
    stream = erased.key("srs-journal")
    erased.journal.xreadgroup("drain", "dead", {stream: ">"})
    taken = erased.journal.xrange(stream)
    assert len(taken) == 2
    engine.forget(STUDENT)
    # As if that drain had read them before.
    for _, fields in taken:
        if fields["player"] == STUDENT:
            erased.journal.xadd(stream, fields)
    erased.abandon_taken()
    engine.drain()
    assert erased.rows(STUDENT) == {}
    assert erased.waiting() == 0
    assert "lesson" in erased.rows(NEIGHBOUR)


def test_an_answer_of_the_very_moment_is_erased_or_starts_again(site: Site, engine: Engine) -> None:
    """Each question is answered once: at stability 4 it stays there, of a new student it gets 1."""
    site.add(PLAYER, [Record(f"q{number}", stability=4) for number in range(240)])
    engine.due(PLAYER)
    is_over, is_forgotten = threading.Event(), threading.Event()

    def answer(first: int) -> int:
        own = site.engine()
        for number in range(first, 240, 4):
            # However fast the machine is, some are given after it.
            assert number < 200 or is_forgotten.wait(60)
            # Four at a time conflict; refused answers are given again.
            while True:
                with suppress(ServiceUnavailable):
                    own.submit(PLAYER, session_data=session(f"q{number}"))
                    break
        return first

    def drain() -> None:
        own = site.engine()
        while not is_over.is_set():
            own.drain()

    with ThreadPoolExecutor(6) as threads:
        draining = threads.submit(drain)
        try:
            answering = [threads.submit(answer, first) for first in range(4)]
            wait_until(
                lambda: len(site.sql("SELECT name FROM `tabMemory Review Audit`")) >= 20, 30.0
            )
            forgotten = engine.forget(PLAYER)
            is_forgotten.set()
            assert [one.result() for one in answering] == [0, 1, 2, 3]
        finally:
            is_forgotten.set()
            is_over.set()
        draining.result()
    engine.drain()
    left = site.rows()
    assert forgotten["records"] >= 240 - len(left)
    assert {f"q{number}" for number in range(200, 240)} <= set(left)
    assert {row["stability"] for row in left.values()} == {1}
    seen = site.engine().due_in_season(PLAYER, SEASON, limit=50)
    assert {question["stability"] for question in seen} <= {1}


def test_what_was_computed_from_records_of_a_fast_clock_is_void(
    site: Site, engine: Engine, wires: Wires
) -> None:
    """A host whose clock is ahead has left such an order; a concurrent answer knows it."""
    ahead = int((time.time() + 300) * 1_000_000)
    site.add(PLAYER, [Record("q", stability=3, answered_at_us=ahead)])
    slow = site.engine(**wires.settings, redis_timeout_ms=60_000)
    slow.due(PLAYER)
    wires.to["journal"].hang()
    thread = threading.Thread(
        target=slow.submit, args=(PLAYER,), kwargs={"session_data": session("q")}
    )
    thread.start()
    # It has asked the cache and waits for the journal.
    thread.join(0.3)
    engine.forget(PLAYER)
    wires.to["journal"].mend()
    thread.join()
    engine.drain()
    assert site.rows()["q"]["stability"] == 1


def test_answers_in_the_table_go_too(site: Site, app: App, engine: Engine) -> None:
    site.servers.journal.kill()
    engine.submit(PLAYER, session_data=session("q"))
    with pytest.raises(ServiceUnavailable):
        engine.forget(PLAYER)
    site.servers.journal.start()
    report = site.engine().forget(PLAYER)
    assert report["waiting_submissions"] == 1
    site.engine().drain()
    assert (site.rows(), site.sql("SELECT * FROM memora_journal")) == ({}, [])


@pytest.mark.parametrize("server", ["cache", "journal"])
def test_a_server_that_is_down_leaves_everything(erased: Site, server: str) -> None:
    getattr(erased.servers, server).kill()
    with pytest.raises(ServiceUnavailable):
        erased.engine().forget(STUDENT)
    assert len(erased.rows(STUDENT)) == 3


def test_what_is_being_archived_would_come_back(erased: Site, engine: Engine) -> None:
    with (
        erased.servers.database.connect(database=erased.name) as archiver,
        archiver.cursor() as cursor,
    ):
        cursor.execute(
            "SELECT GET_LOCK(CONCAT('memora-archive|', %s, '|', DATABASE()), 0)", (SEASON,)
        )
        with pytest.raises(InvalidInput, match="archive of SEASON"):
            engine.forget(STUDENT)
    assert len(erased.rows(STUDENT)) == 3


# -- export, commands, Frappe's own requests
# ---------------------------------------------------------------
def test_a_student_is_given_everything(erased: Site, old: str) -> None:
    found = srs.export_student(STUDENT)
    assert {name: len(rows) for name, rows in found.items() if name != "player"} == {
        "Player Memory Tracker": 4, "Archived Memory Tracker": 100, "Memory Review Audit": 2,
        "Poison Review": 1, "Suspended Question": 1, "answers": 3,
    }  # fmt: skip
    suspended = found.pop("Suspended Question")
    assert [one["question_id"] for one in suspended] == ["q"]
    # Waiting answers were saved first.
    assert {row["question_id"] for row in found["Player Memory Tracker"]} == {
        "q",
        "r",
        "new",
        "lesson",
    }
    assert {row["season"] for row in found["Archived Memory Tracker"]} == {old}
    of_doctypes = [name for name in found if name not in ("player", "answers")]
    assert {row["player"] for name in of_doctypes for row in found[name]} == {STUDENT}
    assert [answer["question_id"] for answer in found["answers"]] == ["bad", "new", "lesson"]
    json.dumps(found, default=str)


def run(site: Site, *arguments: str, given: str = "") -> Any:
    return CliRunner().invoke(
        memora, arguments, obj=SimpleNamespace(sites=[site.name]), input=given
    )


def test_the_commands(erased: Site) -> None:
    exported = run(erased, "export", STUDENT)
    assert len(json.loads(exported.output)["Player Memory Tracker"]) == 4
    assert run(erased, "forget", STUDENT, given="n\n").exit_code == 1
    done = run(erased, "forget", STUDENT, "--json", "--yes")
    assert json.loads(done.output)["records"] == 4
    assert (
        "Erased: 0 records; of the archive: 0 records"
        in run(erased, "forget", STUDENT, given="y\n").output
    )


def test_frappes_deletion_erases_before_it_makes_anonymous(erased: Site) -> None:
    steps = [
        SimpleNamespace(document_type=one["doctype"], status="Pending")
        for one in hooks.user_data_fields
    ]
    request: Any = frappe.Document({"doctype": "Personal Data Deletion Request", "email": STUDENT})
    frappe.run_hooks(request, "on_update")
    assert len(erased.rows(STUDENT)) == 3
    request.deletion_steps = steps
    frappe.run_hooks(request, "on_update")
    assert erased.rows(STUDENT) == {}


def test_frappes_requests_know_every_doctype_of_a_student() -> None:
    with_player = {
        path.parent.name
        for path in frappe.DOCTYPES.glob("*/*.json")
        if any(field["fieldname"] == "player" for field in json.loads(path.read_text())["fields"])
    }
    known = {str(one["doctype"]).lower().replace(" ", "_") for one in hooks.user_data_fields}
    # Frappe has no index to find a student in the archive by.
    assert known == with_player - {"archived_memory_tracker"}


def test_what_a_process_that_died_has_left_is_erased_too(site: Site, engine: Engine) -> None:
    """Records where no statement finds them come back when the next partition is made."""
    season = "SEASON-1990"
    site.insert("Game Subscription Season", name=season, season_name=season)
    site.add(PLAYER, [Record("q")], season)
    site.sql(f"ALTER TABLE {TRACKER} ADD PARTITION (PARTITION `{season}` VALUES IN ('{season}'))")
    engine.forget(PLAYER)
    engine.create_partition(season)
    assert site.rows(PLAYER, season) == {}


def test_what_was_written_under_an_old_name_is_erased_too(
    site: Site, app: App, engine: Engine
) -> None:
    """Otherwise a database without its audit record would count as an older one."""
    new = "amal.new@school.example"
    engine.submit(PLAYER, session_data=session("q"))
    engine.drain()
    frappe.rename_doc("User", PLAYER, new)
    frappe.local.db.commit()
    assert set(site.rows(new)) == {"q"}
    engine.forget(new)
    assert site.journal.xlen(site.key("srs-written")) == 0
    engine.drain()
    for name in (PLAYER, new):
        assert site.rows(name) == {}
        assert ids(engine.due(name)) == []
    assert engine.outage_news() == []


def test_the_log_is_given_whole_however_many_pages_it_has(
    site: Site, app: App, engine: Engine
) -> None:
    given = [f"q{number:04}" for number in range(1_200)]
    for first in range(0, len(given), 50):
        engine.submit(PLAYER, session_data=session(*given[first : first + 50]))
    app(user=MANAGER)
    found = srs.export_student(PLAYER)
    assert [answer["question_id"] for answer in found["answers"]] == given
