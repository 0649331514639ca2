"""Answers that version 0.1 left on their way are taken over."""

from __future__ import annotations

import json
import time

import pytest

from memora._engine import Engine, EngineFault
from tests.consistency.test_drain import drain_all, kept
from tests.support.site_under_test import PLAYER, SEASON, TRACKER, Record, Site, session

OLD_TABLE = """CREATE TABLE `memora_blind_answer` (
    player VARCHAR(140) NOT NULL, season VARCHAR(140) NOT NULL, changed_at_us BIGINT NOT NULL,
    answers LONGTEXT NOT NULL, PRIMARY KEY (player, season))
    ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"""
SECOND = 1_000_000


def old_state(name: str, stability: int, order: int) -> list[object]:
    """A state as version 0.1 wrote it."""
    seconds = order // SECOND
    return [name, stability, seconds + 86_400, seconds, order, None, None]


def old_entry(site: Site, *states: list[object]) -> None:
    """Append an entry of version 0.1 to the stream."""
    entry = {"player": PLAYER, "season": SEASON, "answers": json.dumps(states)}
    job = site.journal.xadd(site.key("srs-journal"), entry)
    head = max(int(str(state[4])) for state in states)
    pending: dict[str | bytes, bytes | float | int | str]
    pending = {"head": head, "token": f"1-2-3={job}", "id": str(job), str(job): ""}
    site.journal.hset(site.key("srs-pending", PLAYER), mapping=pending)


def test_entries_of_the_stream_are_read_drained_and_built_upon(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record("q", stability=1), Record("r", stability=1)])
    old_entry(site, old_state("q", 2, time.time_ns() // 1000))
    assert engine.due(PLAYER)["total_due"] == 1
    assert engine.submit(PLAYER, session_data=session("q"))["new_stability_counts"]["3"] == 1
    drain_all(site, engine)
    rows = site.rows()
    assert {name: rows[name]["stability"] for name in rows} == {"q": 3, "r": 1}
    assert site.sql("SELECT COUNT(*) AS n FROM `tabMemory Review Audit`")[0]["n"] == 2
    # An entry of version 0.1 has no answers.
    (logged,) = engine.answers(PLAYER, SEASON)
    assert (logged["question_id"], logged["stability_before"]) == ("q", 2)


def test_blind_answers_count_on_top_of_what_waits_in_the_stream(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record("q", stability=1), Record("r", stability=1)])
    now = time.time_ns() // 1000
    # Both Redis servers were down after this one: it waits.
    old_entry(site, old_state("q", 2, now - 60 * SECOND))
    order = now - 30 * SECOND
    right = {"Review": {"is_correct": True, "duration_ms": 3000}}
    given = [{"question_id": name, "observed": right} for name in ("q", "new")]
    submission = {"answers": given, "subject": None, "topic": None}
    blind = {
        "base": [old_state("q", 1, 0)],
        "submissions": [
            {"answered_at_us": order, "attempted_at_us": order - 1, "submission": submission}
        ],
    }
    site.add(PLAYER, [Record("new", stability=1, answered_at_us=order)])
    site.sql(
        f"UPDATE {TRACKER} SET stability = 2, answered_at_us = %s WHERE question_id = 'q'", (order,)
    )
    site.sql(f"UPDATE {TRACKER} SET modified_by = player")
    site.sql(OLD_TABLE)
    answers = (PLAYER, SEASON, order, json.dumps(blind))
    site.sql("INSERT INTO `memora_blind_answer` VALUES (%s, %s, %s, %s)", answers)
    assert any("memora_blind_answer" in change for change in engine.prepare_storage())
    assert len(kept(site)) == 1
    assert engine.prepare_storage() == []
    drain_all(site, engine)
    rows = site.rows()
    assert {name: rows[name]["stability"] for name in rows} == {"q": 3, "r": 1, "new": 1}
    # They count on what waited in the stream.
    logged = engine.answers(PLAYER, SEASON)
    assert [(one["question_id"], one["stability_before"]) for one in logged] == [
        ("q", 2),
        ("new", None),
    ]
    assert {one["answered_at"] for one in logged} == {order // SECOND}
    days = (
        rows["q"]["next_review_date"] - rows["q"]["last_review_date"].replace(microsecond=0)
    ).days
    assert days == 7


# -- the log of answers ----------------------------------------------------------------------------
LOG_COLUMN = (
    "SELECT COLUMN_NAME AS name, EXTRA AS extra FROM information_schema.COLUMNS WHERE "
    "TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'tabMemory Review Audit' AND EXTRA <> '' ORDER BY 1"
)


def test_audit_records_are_given_a_log_at_once(site: Site, engine: Engine) -> None:
    """However many there are: MariaDB changes no row of them."""
    engine.submit(PLAYER, session_data=session("before"))
    engine.drain()
    site.sql("ALTER TABLE `tabMemory Review Audit` DROP COLUMN `_answer_log`")
    engine.submit(PLAYER, session_data=session("meanwhile"))
    # A drain that comes before `bench migrate`: the answers wait.
    with pytest.raises(EngineFault, match="run bench migrate"):
        engine.drain()
    assert (site.waiting(), site.sql("SELECT name FROM `tabPoison Review`")) == (1, [])
    instant = "SHOW GLOBAL STATUS LIKE 'Innodb_instant_alter_column'"
    before = int(site.sql(instant)[0]["Value"])
    (change,) = engine.prepare_storage()
    assert "log of answers" in change
    assert int(site.sql(instant)[0]["Value"]) == before + 1
    assert engine.prepare_storage() == []
    assert site.sql(LOG_COLUMN) == [
        {"name": name, "extra": "INVISIBLE"} for name in ("_answer_log", "_replaced", "_told")
    ]
    drain_all(site, engine)
    # What was written before has none.
    assert [one["question_id"] for one in engine.answers(PLAYER, SEASON)] == ["meanwhile"]


def test_a_process_of_before_writes_audit_records_without_a_log(site: Site, engine: Engine) -> None:
    """Several hosts are not upgraded at the same moment."""
    site.insert("Memory Review Audit", name="0" * 32, player=PLAYER, season=SEASON, answers=1)
    engine.submit(PLAYER, session_data=session("q"))
    engine.drain()
    assert [one["question_id"] for one in engine.answers(PLAYER, SEASON)] == ["q"]


def test_frappe_meets_no_bytes_of_it(site: Site, engine: Engine) -> None:
    engine.submit(PLAYER, session_data=session("q"))
    engine.drain()
    (row,) = site.sql("SELECT * FROM `tabMemory Review Audit`")
    assert "_answer_log" not in row
    json.dumps(row, default=str)
