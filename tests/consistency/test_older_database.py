"""MariaDB turns out to be an older one of itself: a replica that was behind took over, or a crash
took its last commits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from memora._engine import Engine
from tests.consistency.test_drain import FULL, NOTHING, age_written, audits
from tests.support.servers import wait_until
from tests.support.site_under_test import PLAYER, SEASON, TRACKER, Record, Site, ids, session

OTHERS: Final = [f"classmate{number}@school.example" for number in range(30)]


@contextmanager
def forgotten(site: Site, player: str | None = None) -> Iterator[None]:
    """Undo what is written within: everything, or this student's."""
    tables = (TRACKER, "`tabMemory Review Audit`")
    before = {table: site.sql(f"SELECT * FROM {table}") for table in tables}
    yield
    for table, rows in before.items():
        site.sql(f"DELETE FROM {table} WHERE %s IS NULL OR player = %s", (player, player))
        for row in rows:
            if player is None or row["player"] == player:
                columns = ", ".join(f"`{name}`" for name in row)
                values = ", ".join(["%s"] * len(row))
                site.sql(f"INSERT INTO {table} ({columns}) VALUES ({values})", [*row.values()])


@pytest.fixture
def student(site: Site, engine: Engine) -> Engine:
    """The student has two due questions, both once right before."""
    site.add(PLAYER, [Record("q", stability=1), Record("r", stability=1)])
    assert ids(engine.due(PLAYER)) == ["q", "r"]
    return engine


@pytest.mark.parametrize("reads_from", ["cache", "database", "safe mode"])
def test_a_read_shows_what_the_database_lacks(site: Site, student: Engine, reads_from: str) -> None:
    with forgotten(site):
        job = student.submit(PLAYER, session_data=session("q"))["persistence_job_id"]
        student.drain()
    if reads_from == "database":
        site.sql("UPDATE `tabGame Subscription Season` SET enable_redis = 0")
    site.cache.flushall()
    if reads_from == "safe mode":
        site.servers.cache.kill()
    assert ids(student.due(PLAYER)) == ["r"]
    assert student.persistence_status(PLAYER, job) == "pending"
    site.servers.heal()
    assert student.drain()["written_again"] == 1
    assert student.persistence_status(PLAYER, job) == "persisted"
    assert {name: row["stability"] for name, row in site.rows().items()} == {"q": 2, "r": 1}
    assert student.drain() == NOTHING


def test_reconciliation_and_rebuild_find_nothing_to_differ(site: Site, student: Engine) -> None:
    with forgotten(site):
        student.submit(PLAYER, session_data=session("q"))
        student.drain()
    report = student.reconcile("SEASON-2026")
    assert (report["students"], report["corrected"], report["percent_differing"]) == (1, 0, 0)
    assert ids(student.due(PLAYER)) == ["r"]
    student.rebuild("SEASON-2026")
    assert student.due(PLAYER)["source"] == "cache"
    assert ids(student.due(PLAYER)) == ["r"]


def many_more(engine: Engine) -> None:
    """So many other answers are written that a drain checks no earlier one."""
    for player in OTHERS:
        engine.submit(player, session_data=session("q"))
    engine.drain()


def test_an_answer_counts_after_the_one_that_it_was_computed_from(
    site: Site, student: Engine
) -> None:
    """A drain may reach it first."""
    with forgotten(site, PLAYER):
        lost = student.submit(PLAYER, session_data=session("q"))["persistence_job_id"]
        student.drain()
        many_more(student)
    again = student.submit(PLAYER, session_data=session("q"))["persistence_job_id"]
    report = student.drain()
    assert (report["submissions"], report["remaining"]) == (1, 0)
    assert site.rows()["q"]["stability"] == 3
    assert {lost, again} <= set(audits(site))


def test_nothing_is_let_go_that_is_not_there(site: Site, student: Engine) -> None:
    with forgotten(site, PLAYER):
        lost = student.submit(PLAYER, session_data=session("q"))["persistence_job_id"]
        student.drain()
        many_more(student)
    age_written(site)
    assert student.drain()["written_again"] == 1
    assert lost in audits(site)
    assert site.rows()["q"]["stability"] == 2
    # What was written only now is kept again.
    assert student.journal_status()["saved_lately"] == 1


def test_what_the_pending_submissions_do_not_lead_to_is_let_go(site: Site, student: Engine) -> None:
    """For example, they were evicted, or an administrator removed them."""
    student.submit(PLAYER, session_data=session("q"))
    student.drain()
    age_written(site)
    site.journal.delete(site.key("srs-pending", PLAYER))
    site.journal.config_resetstat()
    drain = threading.Thread(target=student.drain)
    drain.start()
    wait_until(lambda: not drain.is_alive() or scripts_run(site) > 1_000)
    left = site.journal.xlen(site.key("srs-written"))
    # This ends a drain that would loop forever.
    site.journal.delete(site.key("srs-written"))
    drain.join()
    assert (left, scripts_run(site) < 10) == (0, True)


def test_what_they_do_not_lead_to_is_kept_again_if_the_database_lacks_it(
    site: Site, student: Engine
) -> None:
    with forgotten(site):
        student.submit(PLAYER, session_data=session("q"))
        student.drain()
    site.journal.delete(site.key("srs-pending", PLAYER))
    assert student.drain()["written_again"] == 1
    # They lead to it again, and it is kept from then on.
    [(place, fields)] = site.journal.xrange(site.key("srs-written"))
    pending = site.journal.hgetall(site.key("srs-pending", PLAYER))
    assert pending == {fields["id"]: f"{place} {fields['token']}"}
    assert student.drain() == NOTHING


def test_a_drain_whose_time_is_over_lets_go_of_the_rest_the_next_time(
    site: Site, engine: Engine
) -> None:
    """It is as many as others wait for at a time, and one."""
    for number in range(101):
        engine.submit(f"student{number}@school.example", session_data=session("q"))
    engine.drain()
    age_written(site)
    engine.drain(seconds=0)
    assert engine.journal_status()["saved_lately"] == 1
    engine.drain(seconds=0)
    assert engine.journal_status()["saved_lately"] == 0


def scripts_run(site: Site) -> int:
    """How many scripts the journal has run since its statistics were reset."""
    return int(site.journal.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"])


@pytest.mark.parametrize("is_old", [False, True])
def test_what_a_lock_keeps_from_being_written_again_is_not_told_of(
    site: Site, student: Engine, is_old: bool
) -> None:
    with forgotten(site):
        student.submit(PLAYER, session_data=session("q"))
        student.drain()
    if is_old:
        age_written(site)
    with site.servers.database.connect(database=site.name, autocommit=False) as other:
        other.cursor().execute(f"SELECT * FROM {TRACKER} FOR UPDATE")
        assert student.drain()["written_again"] == 0
    assert older_news(student) == []
    assert student.drain()["written_again"] == 1
    assert older_news(student) == [1]
    assert site.rows()["q"]["stability"] == 2


def older_news(engine: Engine) -> list[int]:
    """How many submissions the database lacked, as reported."""
    return [news["submissions"] for news in engine.outage_news() if news["event"] == "older"]


def test_one_that_is_kept_twice_counts_once(site: Site, student: Engine) -> None:
    """Its process sent it again, because the reply was lost and a drain had removed it."""
    with forgotten(site):
        student.submit(PLAYER, session_data=session("q"))
        student.drain()
    [(_, fields)] = site.journal.xrange(site.key("srs-written"))
    fields["id"] = "1-1"
    place = site.journal.xadd(site.key("srs-written"), fields)
    site.journal.hset(site.key("srs-pending", PLAYER), "1-1", f"{place} {fields['token']}")
    student.cache_clear(PLAYER, SEASON)
    again = student.submit(PLAYER, session_data=session("q"))
    assert again["new_stability_counts"]["3"] == 1
    report = student.drain()
    assert (report["submissions"], report["answers"]) == (1, 2)
    assert site.rows()["q"]["stability"] == 3


@pytest.mark.parametrize("is_early", [False, True])
def test_what_was_written_long_ago_is_in_the_database(
    site: Site, student: Engine, is_early: bool
) -> None:
    """No drain let go of it, and its audit record was cleared meanwhile."""
    student.submit(PLAYER, session_data=session("q"))
    student.drain()
    age_written(site, minutes=2 * 24 * 60)
    site.sql("DELETE FROM `tabMemory Review Audit`")
    student.cache_clear(PLAYER, SEASON)
    again = student.submit(PLAYER, session_data=session("q"))
    assert again["new_stability_counts"]["3"] == 1
    if is_early:
        # It was computed from a removed record: what was kept is checked too.
        site.sql(f"DELETE FROM {TRACKER}")
    report = student.drain()
    assert (report["submissions"], report["written_again"]) == (1, 0)
    assert site.rows()["q"]["stability"] == 3
    assert student.journal_status()["saved_lately"] == 1


def test_a_journal_that_is_full_keeps_nothing_that_is_saved(site: Site, student: Engine) -> None:
    student.drain()
    student.submit(PLAYER, session_data=session("q"))
    site.journal.config_set("maxmemory", FULL)
    try:
        assert student.drain()["remaining"] == 0
        assert student.journal_status()["saved_lately"] == 0
    finally:
        site.journal.config_set("maxmemory", "0")
    assert site.rows()["q"]["stability"] == 2
    assert site.journal.keys("*srs-pending*") == []
