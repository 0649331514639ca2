"""Every statement about records, as MariaDB plans it: one partition, an index, nothing sorted."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any, Final

import pytest

from memora._engine import Engine
from memora.services import players
from tests import frappe_standin as frappe
from tests.administrators.test_archive import ARCHIVE, STUDENTS, ended_season, old
from tests.administrators.test_partition import new_season
from tests.administrators.test_replay import obstacle
from tests.consistency.test_drain import drain_all
from tests.consistency.test_second_journal import give_back, take_away
from tests.support.site_under_test import SEASON, TRACKER, Record, Site, session

__all__ = ["obstacle", "old"]

App = Callable[..., None]

QUESTIONS: Final = [f"q{number:03}" for number in range(100)]
STUDENT: Final = STUDENTS[7]
# The requests of students, each by another student.
QUERIES: Final = dict(
    zip(STUDENTS, ({}, {"subject": "Science"}, {"topic": "Plants"}), strict=False)
)

READS: Final = re.compile(
    r"\s*(SELECT|UPDATE|DELETE|INSERT\b.*\bSELECT)\b", re.IGNORECASE | re.DOTALL
)
# A table of records and its alias. In quotes instead, INFORMATION_SCHEMA is asked about it.
SOURCE: Final = re.compile(r"(`tab\w+ Memory Tracker`)(?: PARTITION \(.*?\))?(?: AS (\w+))?")
VALUE: Final = re.compile(r"'(?:[^'\\]|\\.|'')*'|\b\d+\b|`SEASON-[\w-]+`")
# How MariaDB comes to a few rows of a large table, best first.
FEW_ROWS: Final = ("const", "eq_ref", "ref", "range")


@pytest.fixture(autouse=True)
def full(site: Site, old: str) -> None:
    """The active season and the old one have 40 students of 100 records each, and MariaDB knows."""
    for student in STUDENTS:
        site.add(student, [Record(name, subject="Science", topic="Plants") for name in QUESTIONS])
    site.sql(f"ANALYZE TABLE {TRACKER}, {ARCHIVE}")


@contextmanager
def listening(site: Site) -> Iterator[list[str]]:
    """Collect the statements about records that the body has MariaDB run."""
    statements: list[str] = []
    with site.listening() as all_statements:
        yield statements
    # The default partition is almost empty: it is scanned for rows that are there by mistake.
    said = [text for text in dict.fromkeys(all_statements) if "PARTITION (p_default)" not in text]
    statements += [text for text in said if READS.match(text) and SOURCE.search(text)]


def check(site: Site, statements: list[str], kinds: int) -> None:
    """There are at least this many kinds of statements, and each reads only what it needs."""
    planned: dict[str, bool] = {}
    faults = []
    for statement in statements:
        plan = plan_of(site, statement)
        faults += [f"{problem}: {row}" for row in plan for problem in problems(row)]
        kind = kind_of(statement)
        planned[kind] = planned.get(kind, False) or bool(plan)
    assert faults == []
    assert len(planned) >= kinds, planned
    # If no row can match, MariaDB makes no plan.
    assert [kind for kind, is_planned in planned.items() if not is_planned] == []


def plan_of(site: Site, statement: str) -> list[dict[str, Any]]:
    """The rows of EXPLAIN about tables of records."""
    tables = {alias or table.strip("`"): table for table, alias in SOURCE.findall(statement)}
    found = site.sql(f"EXPLAIN PARTITIONS {statement}")
    return [
        row | {"of": tables[row["table"]], "statement": statement}
        for row in found
        if row["table"] in tables
    ]


def problems(row: dict[str, Any]) -> list[str]:
    """What is wrong with a row of EXPLAIN."""
    partitions, extra = str(row["partitions"] or ""), str(row["Extra"])
    # In the partition of a season, every record is of the season: the first one will do.
    takes_any = row["type"] == "index" and str(row["statement"]).endswith(" limit 1")
    wrong = {
        "no index": row["key"] is None,
        "many rows": row["type"] not in FEW_ROWS and not takes_any,
        "a sort": "Using filesort" in extra,
        "a temporary table": "Using temporary" in extra,
        "not one partition": row["of"] == TRACKER and (not partitions or "," in partitions),
    }
    return [problem for problem, is_so in wrong.items() if is_so]


def kind_of(statement: str) -> str:
    """A statement without its values."""
    return re.sub(r"\?(, ?\?)+", "?", VALUE.sub("?", statement))


# -- the check itself
# -------------------------------------------------------------------------------
def test_careless_statements_are_found_out(site: Site) -> None:
    of_student = f"player = '{STUDENT}' AND season = '{SEASON}'"
    conditions = {
        of_student: set(),
        "stability = 3": {"no index", "many rows", "not one partition"},
        f"season = '{SEASON}'": {"no index", "many rows"},
        f"player = '{STUDENT}'": {"not one partition"},
        f"player = '{STUDENT}' AND season IN ('{SEASON}', 'SEASON-1900')": {"not one partition"},
        f"{of_student} ORDER BY stability": {"a sort"},
        f"{of_student} GROUP BY stability": {"a sort", "a temporary table"},
    }
    with listening(site) as statements:
        for condition in conditions:
            site.sql(f"SELECT stability FROM {TRACKER} WHERE {condition}")
    found = [
        {problem for row in plan_of(site, statement) for problem in problems(row)}
        for statement in statements
    ]
    assert found == list(conditions.values())
    with pytest.raises(AssertionError):
        check(site, statements, kinds=1)
    with pytest.raises(AssertionError):
        check(site, statements[:1], kinds=2)


def test_statements_that_differ_in_their_values_are_of_one_kind(site: Site) -> None:
    with listening(site) as statements:
        for players in ([STUDENT], STUDENTS[:2], ["it's", "\\'", "5"]):
            marks = ", ".join(["%s"] * len(players))
            site.sql(
                f"SELECT * FROM {TRACKER} WHERE season = %s AND player IN ({marks})",
                (SEASON, *players),
            )
    assert len(statements) == 3
    assert len({kind_of(statement) for statement in statements}) == 1


# -- students read
# ----------------------------------------------------------------------------------
def test_reads_through_the_cache(site: Site, old: str) -> None:
    with listening(site) as statements:
        engine = site.engine()
        for _ in range(2):
            for student, query in QUERIES.items():
                assert engine.due(student, limit=20, **query)["source"] == "cache"
        engine.rehydrate(STUDENT, old)
        engine.due_in_season(STUDENTS[8], old)
    check(site, statements, kinds=1)


def test_reads_in_safe_mode(site: Site, engine: Engine) -> None:
    engine.submit(STUDENT, session_data=session("q001"))
    site.servers.cache.kill()
    with listening(site) as statements:
        engine = site.engine()
        for student, query in [*QUERIES.items(), (STUDENT, {})]:
            assert engine.due(student, limit=20, **query)["source"] == "safe_mode"
        engine.due_in_season(STUDENT, SEASON)
    check(site, statements, kinds=5)


def test_reads_of_a_season_without_cache(site: Site, engine: Engine) -> None:
    site.sql("UPDATE `tabGame Subscription Season` SET enable_redis = 0")
    engine.submit(STUDENT, session_data=session("q001"))
    with listening(site) as statements:
        engine = site.engine()
        for student, query in [*QUERIES.items(), (STUDENT, {})]:
            assert engine.due(student, limit=20, **query)["source"] == "database"
    check(site, statements, kinds=5)


# -- students answer
# --------------------------------------------------------------------------------
def test_answers_through_the_journal(site: Site) -> None:
    with listening(site) as statements:
        engine = site.engine()
        job = engine.submit(STUDENT, session_data=session("q001", "new"))["persistence_job_id"]
        site.add_users(STUDENT)
        engine.rate(STUDENT, '[{"question_id": "q002", "attempts_count": 2}]')
        engine.drain()
        assert engine.persistence_status(STUDENT, job) == "persisted"
    assert site.rows(STUDENT)["q001"]["stability"] == 3
    check(site, statements, kinds=1)


def test_answers_while_the_journal_is_away(site: Site) -> None:
    site.servers.journal.kill()
    with listening(site) as statements:
        engine = site.engine()
        engine.submit(STUDENT, session_data=session("q001", "new"))
        engine.submit(STUDENT, session_data=session(*QUESTIONS[:50]))
        give_back(site)
        drain_all(site, site.engine())
    assert site.rows(STUDENT)["q001"]["stability"] == 4
    check(site, statements, kinds=2)


def test_answers_while_both_redis_servers_are_away(site: Site, engine: Engine) -> None:
    engine.submit(STUDENT, session_data=session("q001"))
    with listening(site) as statements:
        take_away(site, "kill")
        site.engine().submit(STUDENT, session_data=session("q001", "q002"))
        give_back(site)
        drain_all(site, site.engine())
    assert site.rows(STUDENT)["q001"]["stability"] == 4
    check(site, statements, kinds=2)


def test_poison_reviews(site: Site, obstacle: Callable[[], None]) -> None:
    site.insert("User", name=STUDENT)
    with listening(site) as statements:
        engine = site.engine()
        engine.submit(STUDENT, session_data=session("bad", "q001"))
        assert engine.drain()["set_aside"] == 1
        obstacle()
        assert engine.replay()["replayed"] == 1
        engine.due(STUDENT)
    check(site, statements, kinds=1)


# -- seasons come and go
# ----------------------------------------------------------------------------
def test_partitions_are_made_without_a_query(site: Site, old: str) -> None:
    with listening(site) as statements:
        engine = site.engine()
        engine.create_partition(new_season())
        assert engine.prepare_storage() == []
        assert old in [partition["name"] for partition in engine.partitions()]
    assert statements == []


def test_a_season_is_archived(site: Site, old: str) -> None:
    other = ended_season(site)
    with listening(site) as statements:
        engine = site.engine()
        assert engine.archive(old)["done"] == len(STUDENTS) * len(QUESTIONS)
        assert engine.archive_status(old)
    # Its partition was dropped; that of the other season has the same size.
    check(site, [statement.replace(old, other) for statement in statements], kinds=6)


def test_answers_that_come_too_late_for_their_season(site: Site, engine: Engine) -> None:
    engine.submit(STUDENT, session_data=session("q001"))
    take_away(site, "kill")
    site.engine().submit(STUDENT, session_data=session("q001"))
    give_back(site)
    site.sql("UPDATE `tabGame Subscription Season` SET is_active = 0")
    site.engine().archive(SEASON)
    with listening(site) as statements:
        drain_all(site, site.engine())
    key = (SEASON, STUDENT, "q001")
    (row,) = site.sql(
        f"SELECT stability FROM {ARCHIVE} WHERE season = %s AND player = %s AND question_id = %s",
        key,
    )
    assert row["stability"] == 4
    check(site, statements, kinds=1)


def test_what_is_old_is_flagged_and_deleted(site: Site, engine: Engine, old: str) -> None:
    other = ended_season(site)
    for season in (old, other):
        engine.archive(season, share=1.0)

    def stop(_news: object) -> None:
        raise KeyboardInterrupt

    with listening(site) as statements:
        engine = site.engine()
        assert engine.flag_for_deletion(time.time() + 2 * 86400, 60) == 2 * len(STUDENTS) * len(
            QUESTIONS
        )
        engine.delete_flagged(old)
        with pytest.raises(KeyboardInterrupt):
            engine.delete_flagged(progress=stop)
    # Most records of the other season are still there.
    check(site, [statement.replace(old, other) for statement in statements], kinds=6)


# -- the app's own questions
# ------------------------------------------------------------------------
@pytest.mark.parametrize("doctype", ["User", "Game Subscription Season"])
def test_whether_there_are_records(
    site: Site, app: App, engine: Engine, old: str, doctype: str
) -> None:
    """Asked before a user or a season is deleted: of the table, and of the archive."""
    archived = ended_season(site)
    engine.archive(archived, share=1.0)
    with listening(site) as statements:
        for name in [STUDENT, "nobody@school.example"] if doctype == "User" else [old, archived]:
            with suppress(frappe.LinkExistsError):
                players.check_no_records(SimpleNamespace(doctype=doctype, name=name))
    # The archived season has no records in the table any more.
    check(site, [statement.replace(archived, old) for statement in statements], kinds=2)
