"""Draining the journal: every answer arrives once, despite crashes and unwritable entries."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import pytest
import redis

from memora._engine import Engine, MemoraError, ServiceUnavailable
from tests.servers.test_fork import kill
from tests.support.site_under_test import (
    PLAYER,
    SCHEDULE,
    SEASON,
    TRACKER,
    Record,
    Site,
    ids,
    session,
)

# A Redis of any version has more than this.
FULL: Final = "100kb"
# The report of a drain that finds nothing.
NOTHING: Final = {
    "submissions": 0, "answers": 0, "set_aside": 0, "written_again": 0, "remaining": 0,
}  # fmt: skip


def audits(site: Site) -> dict[str, dict[str, object]]:
    """The audit records by job id."""
    return {row["name"]: row for row in site.sql("SELECT * FROM `tabMemory Review Audit`")}


def test_what_gathered_over_all_students_is_written(site: Site, engine: Engine) -> None:
    players = [f"student{number}@school.example" for number in range(40)]
    jobs = {
        player: engine.submit(player, session_data=session("p", "q", "r")) for player in players
    }
    status = engine.journal_status()
    assert (status["backlog"], site.waiting()) == (40, 40)
    report = engine.drain()
    assert report == NOTHING | {"submissions": 40, "answers": 120}
    for player in players:
        assert sorted(site.rows(player)) == ["p", "q", "r"]
    found = audits(site)
    assert set(found) == {answer["persistence_job_id"] for answer in jobs.values()}
    for player, answer in jobs.items():
        audit = found[answer["persistence_job_id"]]
        assert (audit["player"], audit["season"], audit["answers"]) == (player, SEASON, 3)
        assert audit["checksum"]
        assert audit["answered_at"] <= audit["persisted_at"]  # type: ignore[operator]
    assert engine.drain() == NOTHING
    assert engine.journal_status()["backlog"] == 0


def test_many_states_of_a_student_are_written_in_their_name(site: Site, engine: Engine) -> None:
    """More than are sent at a time."""
    questions = [f"q{number:04}" for number in range(2_500)]
    for first in range(0, len(questions), 50):
        for submitted in (
            session("twice", *questions[first : first + 49]),
            session("twice", questions[first + 49], subject="Science"),
        ):
            engine.submit(PLAYER, submitted)
            # Sooner, the next order would be ahead of the clock (`Head::next_order`), and so would
            # its microseconds: nothing is dated later than now.
            time.sleep(0.002)
    assert engine.drain() == NOTHING | {"submissions": 100, "answers": 2_600}
    rows = site.rows()
    assert sorted(rows) == [*questions, "twice"]
    assert len({row["name"] for row in rows.values()}) == len(rows)
    for row in rows.values():
        assert {row["player"], row["owner"], row["modified_by"]} == {PLAYER}
        assert row["creation"] == row["modified"] == row["last_review_date"]
    assert {rows[name]["subject"] for name in questions[49::50]} == {"Science"}
    assert {audit["owner"] for audit in audits(site).values()} == {PLAYER}
    assert all(audit["creation"] == audit["persisted_at"] for audit in audits(site).values())


def test_a_drain_that_died_after_its_commit_is_repeated_without_effect(
    site: Site, engine: Engine
) -> None:
    """Restoring the journal from before the drain simulates a drain that died before removing its
    entries."""
    site.add(PLAYER, [Record("q", stability=0)])
    job = engine.submit(PLAYER, session_data=session("q", "r"))["persistence_job_id"]
    stream = site.key("srs-journal")
    dump = raw(site).dump(stream)
    engine.drain()
    rows, found = site.rows(), audits(site)
    raw(site).restore(stream, 0, dump, replace=True)
    assert engine.persistence_status(PLAYER, job) in ("pending", "persisted")
    report = engine.drain()
    assert (report["submissions"], report["remaining"]) == (1, 0)
    assert (site.rows(), set(audits(site))) == (rows, set(found))
    assert engine.persistence_status(PLAYER, job) == "persisted"


def test_an_older_answer_never_overwrites_a_newer_one(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record("q", stability=0)])
    engine.submit(PLAYER, session_data=session("q"))
    old = raw(site).dump(site.key("srs-journal"))
    engine.submit(PLAYER, session_data=session("q", duration_ms=1))
    engine.drain()
    newer = site.rows()
    assert newer["q"]["stability"] == 3
    raw(site).restore(site.key("srs-journal"), 0, old, replace=True)
    engine.drain()
    assert site.rows() == newer
    assert len(audits(site)) == 2


@pytest.mark.parametrize("of_older_version", [False, True])
def test_nothing_of_a_student_stays_in_the_journal_once_it_is_saved(
    site: Site, engine: Engine, of_older_version: bool
) -> None:
    """Whatever students do in a season, and however many there are."""
    for number in range(3):
        for player in (PLAYER, "other@school.example"):
            engine.submit(player, session_data=session("q", f"r{number}"))
    if of_older_version:
        site.journal.hset(site.key("srs-pending", PLAYER), "id", "1-1")
    engine.drain()
    assert engine.journal_status()["saved_lately"] == 6
    age_written(site)
    engine.drain()
    assert [key for key in site.journal.keys("*") if PLAYER in key or "other@" in key] == []
    assert not site.journal.exists(site.key("srs-tokens"))
    assert engine.journal_status()["saved_lately"] == 0


def test_what_waits_does_not_expire(site: Site, engine: Engine) -> None:
    """Older versions let a student's pending hash expire."""
    pending = site.key("srs-pending", PLAYER)
    site.journal.hset(pending, "head", "1")
    site.journal.expire(pending, 1000)
    engine.submit(PLAYER, session_data=session("q"))
    assert site.journal.ttl(pending) == -1
    engine.submit("other@school.example", session_data=session("q"))
    site.journal.delete(site.key("srs-drain-queued"))
    assert engine.drain()["submissions"] == 2
    age_written(site)
    engine.drain()
    assert not site.journal.exists(pending)


def test_what_waits_of_a_student_who_was_erased_does_not_expire(site: Site, engine: Engine) -> None:
    """It came between the two times that a student is erased; one from before is let go."""
    pending = site.key("srs-pending", PLAYER)
    engine.submit(PLAYER, session_data=session("q"))
    engine.drain()
    age_written(site)
    [old] = site.journal.hgetall(pending)
    engine.submit(PLAYER, session_data=session("q"))
    # As erasing leaves it, at the end.
    site.journal.hset(pending, "void", "600")
    site.journal.hdel(pending, "token")
    engine.drain()
    assert old not in site.journal.hgetall(pending)
    assert site.journal.ttl(pending) == -1
    age_written(site)
    engine.drain()
    # Only the order that voids earlier computations is left, for as long as erasing set.
    assert set(site.journal.hgetall(pending)) == {"head", "void"}
    assert site.journal.ttl(pending) > 0


def test_an_answer_that_does_not_know_what_was_saved_meanwhile_counts_after_it(
    site: Site, engine: Engine
) -> None:
    """The journal can no longer tell that it came too late, but its lineage can."""
    site.add(PLAYER, [Record("q", stability=1)])
    engine.due(PLAYER)
    schedule = {name: raw(site, "cache").dump(site.key(name, PLAYER)) for name in SCHEDULE}
    engine.submit(PLAYER, session_data=session("q"))
    engine.drain()
    for name, dump in schedule.items():
        raw(site, "cache").restore(site.key(name, PLAYER), 0, dump, replace=True)
    engine.submit(PLAYER, session_data=session("q"))
    engine.drain()
    assert site.rows()["q"]["stability"] == 3
    assert engine.due(PLAYER)["total_due"] == 0


def test_an_entry_with_bytes_that_are_no_text_keeps_no_drain_from_others(
    site: Site, engine: Engine
) -> None:
    engine.submit(PLAYER, session_data=session("q"))
    [(_, fields)] = site.journal.xrange(site.key("srs-journal"))
    strange = json.dumps(json.loads(fields["entry"]) | {"t": "0" * 12})
    raw(site, "journal").xadd(
        site.key("srs-journal"), {"player": b"\xff", "season": SEASON, "entry": strange}
    )
    for name in ("r", "s"):
        engine.submit(PLAYER, session_data=session(name))
        assert engine.drain()["remaining"] == 0
    assert site.rows().keys() == {"q", "r", "s"}


def test_a_newer_row_in_the_table_stands(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record("q", stability=0)])
    engine.submit(PLAYER, session_data=session("q"))
    future = (int(time.time()) + 3600) * 1_000_000
    site.sql(f"UPDATE {TRACKER} SET stability = 4, answered_at_us = %s", (future,))
    before = site.rows()
    engine.drain()
    assert site.rows() == before


def test_the_newest_of_many_answers_to_one_question_is_written(site: Site, engine: Engine) -> None:
    for is_correct in (True, True, True, False):
        engine.submit(PLAYER, session_data=session("q", is_correct=is_correct))
    engine.drain()
    assert site.rows()["q"]["stability"] == 1
    assert len(audits(site)) == 4


# -- poison -------------------------------------------------------------------------------------
def poison(site: Site, engine: Engine) -> dict[str, str]:
    """Entries that cannot be written, between good ones; job ids by what is wrong."""
    engine.submit(PLAYER, session_data=session("good1"))
    # In the first version's form, which has no token of its own.
    payload = json.dumps(
        [
            [
                "good1",
                1,
                int(time.time()) + 86400,
                int(time.time()),
                time.time_ns() // 1000,
                None,
                None,
            ]
        ]
    )
    good = {"player": PLAYER, "season": SEASON, "answers": payload}
    entries: dict[str, dict[str, str]] = {
        "no json": good | {"answers": "{{{"},
        "other json": good | {"answers": '{"a": 1}'},
        "no answers": {"player": PLAYER, "season": SEASON},
        "no player": {"season": SEASON, "answers": payload},
        "long player": good | {"player": "x" * 200},
        "long season": good | {"season": "SEASON-2026-" + "A" * 200},
        "long question": good | {"answers": payload.replace("good1", "q" * 200)},
        "nothing of ours": {"hello": "world"},
    }
    names = {
        what: str(site.journal.xadd(site.key("srs-journal"), fields))
        for what, fields in entries.items()
    }
    engine.submit(PLAYER, session_data=session("good2"))
    return names


def test_poison_is_set_aside_with_its_reason_and_blocks_nothing(site: Site, engine: Engine) -> None:
    names = poison(site, engine)
    report = engine.drain()
    assert (report["remaining"], report["set_aside"]) == (0, len(names))
    assert sorted(site.rows()) == ["good1", "good2"]
    found = site.sql("SELECT * FROM `tabPoison Review`")
    assert {row["job_id"] for row in found} == set(names.values())
    for row in found:
        assert row["name"].startswith(row["job_id"] + "-")
        assert row["reason"]
        assert row["replayed_at"] is None
    by_job = {row["job_id"]: row for row in found}
    assert by_job[names["no json"]]["payload"] == "{{{"
    assert json.loads(by_job[names["long question"]]["payload"])["i"] == ["q" * 200]
    assert engine.persistence_status(PLAYER, names["long question"]) == "failed"
    assert engine.persistence_status(PLAYER, names["no json"]) == "failed"
    assert engine.persistence_status("other@school.example", names["no json"]) is None


def test_poison_that_is_met_again_is_set_aside_once(site: Site, engine: Engine) -> None:
    names = poison(site, engine)
    dump = raw(site).dump(site.key("srs-journal"))
    engine.drain()
    raw(site).restore(site.key("srs-journal"), 0, dump, replace=True)
    engine.drain()
    assert len(site.sql("SELECT name FROM `tabPoison Review`")) == len(names)


def test_reads_do_not_stumble_over_poison(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record("q")])
    poison(site, engine)
    site.cache.flushall()
    assert ids(engine.due(PLAYER)) == ["q"]


# -- servers and processes that die -------------------------------------------------------------
def test_answers_wait_while_the_database_is_down(site: Site, engine: Engine) -> None:
    engine.due(PLAYER)
    site.servers.database.kill()
    taken = engine.submit(PLAYER, session_data=session("q"))
    with pytest.raises(MemoraError):
        engine.drain(seconds=0.1)
    assert site.waiting() == 1
    site.servers.database.start()
    drain_all(site, engine)
    assert site.rows()["q"]["stability"] == 1
    assert engine.persistence_status(PLAYER, taken["persistence_job_id"]) == "persisted"


def test_a_drain_waits_for_the_database_to_come_back(site: Site, engine: Engine) -> None:
    engine.submit(PLAYER, session_data=session("q"))
    site.servers.database.kill()
    drained = threading.Thread(target=engine.drain, args=(60.0,))
    drained.start()
    site.servers.database.start()
    drained.join()
    assert list(site.rows()) == ["q"]


def test_without_the_journal_there_is_nothing_to_drain(site: Site, engine: Engine) -> None:
    site.servers.journal.kill()
    with pytest.raises(ServiceUnavailable):
        engine.drain()


def kept(site: Site) -> list[str]:
    """The submissions that wait in the second journal, in MariaDB."""
    return [row["token"] for row in site.sql("SELECT token FROM `memora_journal` ORDER BY id")]


def test_a_full_journal_takes_nothing_more_and_is_drained(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record("q", stability=1), Record("r", stability=1)])
    engine.submit(PLAYER, session_data=session("q"))
    engine.drain()
    engine.submit(PLAYER, session_data=session("q"))
    site.journal.config_set("maxmemory", FULL)
    try:
        taken = engine.submit(PLAYER, session_data=session("r"))
        assert kept(site) == [taken["persistence_job_id"]]
        assert site.engine().due(PLAYER)["total_due"] == 0
        assert engine.drain()["remaining"] == 0
    finally:
        site.journal.config_set("maxmemory", "0")
    assert {name: row["stability"] for name, row in site.rows().items()} == {"q": 3, "r": 2}


def test_the_journal_survives_a_crash_of_its_server(site: Site, engine: Engine) -> None:
    taken = [engine.submit(PLAYER, session_data=session(f"q{number}")) for number in range(20)]
    site.servers.journal.kill()
    site.servers.journal.start()
    drain_all(site, site.engine())
    assert len(site.rows()) == 20
    assert set(audits(site)) == {answer["persistence_job_id"] for answer in taken}


def test_a_crash_of_the_database_loses_nothing_and_doubles_nothing(
    site: Site, engine: Engine
) -> None:
    acknowledged: dict[str, str] = {}
    for number in range(200):
        player = f"student{number}@school.example"
        acknowledged[player] = engine.submit(player, session_data=session("p", "q"))[
            "persistence_job_id"
        ]
    drains = threading.Thread(target=lambda: tolerant(lambda: engine.drain(seconds=30.0)))
    drains.start()
    time.sleep(random.random() * 0.05)
    site.servers.database.kill()
    site.servers.database.start()
    drains.join()
    drain_all(site, engine)
    assert set(audits(site)) == set(acknowledged.values())
    assert all(sorted(site.rows(player)) == ["p", "q"] for player in acknowledged)


def test_killed_drains_lose_nothing_and_double_nothing(site: Site, engine: Engine) -> None:
    acknowledged: list[str] = []
    for number in range(6):
        for student in range(100):
            player = f"student{student}@school.example"
            taken = engine.submit(player, session_data=session("fixed", f"q{number}"))
            acknowledged.append(taken["persistence_job_id"])
        kill_a_drain(site, after=random.random() * 0.05)
        site.abandon_taken()
    drain_all(site, engine)
    assert set(audits(site)) == set(acknowledged)
    assert len(acknowledged) == len(audits(site)) == 600
    for student in range(100):
        rows = site.rows(f"student{student}@school.example")
        assert sorted(rows) == ["fixed", *(f"q{number}" for number in range(6))]
        # Six right answers of 3 s from nothing: 1, 2, 3, 4, 4, 4.
        assert rows["fixed"]["stability"] == 4


def test_drains_and_submissions_at_once(site: Site) -> None:
    players = [f"student{number}@school.example" for number in range(8)]
    rounds = 25
    is_over = threading.Event()
    faults: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except BaseException as fault:
                faults.append(fault)

        return run

    def answer(player: str) -> None:
        engine = site.engine()
        for number in range(rounds):
            engine.submit(player, session_data=session("q", is_correct=number % 2 == 0))

    def drain() -> None:
        engine = site.engine()
        while not is_over.is_set():
            engine.drain(seconds=1.0)

    drains = [threading.Thread(target=guarded(drain)) for _ in range(3)]
    answers = [
        threading.Thread(
            target=guarded(lambda player=player: answer(player))  # type: ignore[misc]
        )
        for player in players
    ]
    for thread in [*drains, *answers]:
        thread.start()
    for thread in answers:
        thread.join()
    is_over.set()
    for thread in drains:
        thread.join()
    assert faults == []
    drain_all(site, site.engine())
    assert len(audits(site)) == len(players) * rounds
    # The last of 25 answers was right, the one before it wrong: 1, then 2.
    assert [site.rows(player)["q"]["stability"] for player in players] == [2] * len(players)


def test_one_student_with_many_that_were_saved_lately_is_looked_at_once(
    site: Site, engine: Engine
) -> None:
    for _ in range(3):
        engine.submit(PLAYER, session_data=session("q"))
    site.journal.config_resetstat()
    engine.drain()
    assert site.journal.info("commandstats")["cmdstat_hvals"]["calls"] == 1


def age_written(site: Site, minutes: int = 10) -> None:
    """Make everything that was written this old."""
    time_ms = int(time.time() * 1_000) - minutes * 60_000
    stream = site.key("srs-written")
    entries = site.journal.xrange(stream)
    site.journal.delete(stream)
    for number, (_, fields) in enumerate(entries, 1):
        site.journal.xadd(stream, fields, id=f"{time_ms}-{number}")
        pending = site.key("srs-pending", fields["player"], fields["season"])
        site.journal.hset(pending, fields["id"], f"{time_ms}-{number} {fields['token']}")
        site.journal.hset(site.key("srs-tokens"), fields["token"], f"w{time_ms}-{number}")


def raw(site: Site, role: str = "journal") -> redis.Redis[bytes]:
    """A client of the journal or the cache that reads bytes, for DUMP and RESTORE."""
    server = getattr(site.servers, role)
    return redis.Redis(host=server.host, port=server.port, db=server.database)


def test_a_journal_that_was_full_from_the_beginning_keeps_nobody_waiting(
    site: Site, engine: Engine
) -> None:
    """It takes no stream, so all answers are in the second journal."""
    site.add(PLAYER, [Record("q", stability=1)])
    site.journal.config_set("maxmemory", FULL)
    try:
        engine.submit(PLAYER, session_data=session("q"))
        assert len(kept(site)) == 1
        assert engine.drain() == NOTHING | {"submissions": 1, "answers": 1}
    finally:
        site.journal.config_set("maxmemory", "0")
    assert site.rows()["q"]["stability"] == 2


def test_a_journal_that_was_full_before_its_first_drain_is_drained(
    site: Site, engine: Engine
) -> None:
    """It has a stream, and takes no group of consumers."""
    site.add(PLAYER, [Record("q", stability=1), Record("r", stability=1)])
    engine.submit(PLAYER, session_data=session("q"))
    site.journal.config_set("maxmemory", FULL)
    try:
        engine.submit(PLAYER, session_data=session("r"))
        assert (site.waiting(), len(kept(site))) == (1, 1)
        assert engine.drain() == NOTHING | {"submissions": 2, "answers": 2}
    finally:
        site.journal.config_set("maxmemory", "0")
    engine.submit(PLAYER, session_data=session("q"))
    assert engine.drain() == NOTHING | {"submissions": 1, "answers": 1}
    assert {name: row["stability"] for name, row in site.rows().items()} == {"q": 3, "r": 2}


def drain_all(site: Site, engine: Engine) -> None:
    """Drain until both journals are empty, including what dead drains took."""
    for _ in range(100):
        with suppress(MemoraError):
            site.abandon_taken()
            if engine.drain(seconds=5.0)["remaining"] == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"{site.waiting()} and {kept(site)} stay in the journals")


def tolerant(work: Callable[[], object]) -> None:
    """Run something that may fail while a server is coming up."""
    with suppress(MemoraError):
        work()


def kill_a_drain(site: Site, after: float) -> None:
    """Start a drain in its own process and kill it after this many seconds."""
    child = os.fork()
    if child == 0:
        try:
            site.engine().drain(seconds=30.0)
        finally:
            os._exit(0)
    time.sleep(after)
    kill(child)
