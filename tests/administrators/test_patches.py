"""Cleaning records from before memora's keys: the right ones stay, even after kills."""

from __future__ import annotations

import importlib
import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import pymysql.cursors
import pytest

import memora
from memora._engine import Engine, InvalidInput, MemoraError
from tests.administrators.test_archive import ARCHIVE
from tests.administrators.test_partition import drop_tables, fresh_tables
from tests.frappe_standin import create_tables
from tests.servers.test_fork import check, fork, kill
from tests.support.servers import wait_until
from tests.support.site_under_test import PLAYER, SEASON, TRACKER, Site, session

__all__ = ["fresh_tables"]

Rows = dict[str, dict[str, Any]]

OTHER_SEASON: Final = "SEASON-2025"
# As many as a season of a school has; tests that kill runs use fewer.
MANY: Final = 200_000
FEW: Final = 20_000


@pytest.fixture
def unclean(fresh_tables: Site) -> Site:
    """The tables as Frappe makes them. In the small one, half of the records are of others'
    questions."""
    fill(fresh_tables, FEW, originals=FEW // 2)
    return fresh_tables


def fill(site: Site, count: int, originals: int, table: str = TRACKER) -> None:
    """Add records: a tenth has no season; those after the originals repeat their questions.

    Of these, 3 of 14 only look alike: another case, a space at the end. Times are often equal, or
    missing.
    """
    is_second = f"seq > {originals}"
    columns = {
        # Names of one question's records differ only in what all collations sort alike.
        "name": "CONCAT(ELT(1 + MOD(k, 4), '', 'Ä', 'أمل', '😀'), LEFT(MD5(seq), 16))",
        "creation": one_of("'2025-01-01'", "'2025-01-02'"),
        "modified": one_of("NULL", "'2025-03-01'", "'2025-03-01 00:00:00.000001'"),
        "modified_by": "CONCAT('by', seq)",
        "owner": "CONCAT('owner', seq)",
        "player": f"IF({is_second} AND MOD(seq, 14) = 2, UPPER(player), player)",
        "season": "CASE WHEN MOD(seq, 20) = 0 THEN NULL WHEN MOD(seq, 10) = 0 THEN '' "
        f"WHEN MOD(k, 4) = 0 THEN '{OTHER_SEASON}' ELSE '{SEASON}' END",
        "question_id": f"CASE WHEN {is_second} AND MOD(seq, 14) = 0 THEN CONCAT('Q', k) "
        f"WHEN {is_second} AND MOD(seq, 14) = 1 THEN CONCAT('q', k, ' ') ELSE CONCAT('q', k) END",
        "stability": "MOD(seq, 5)",
        "next_review_date": "'2025-05-01' + INTERVAL MOD(seq, 90) DAY",
        "last_review_date": one_of("'2025-04-01'", "'2025-04-02'", "NULL"),
        "subject": "'Science'",
        "answered_at_us": one_of("0", "999999999999999", "1750000000000000"),
        "_comments": "CONCAT('[', seq, ']')",
    }
    site.sql(
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(columns.values())} FROM "
        "(SELECT seq, k, CONCAT('student', MOD(k, 500), '@school.example') AS player FROM "
        f"(SELECT seq, IF({is_second}, 1 + MOD(seq * seq, {originals}), seq) AS k "
        f"FROM seq_1_to_{count}) AS numbers) AS students"
    )


def one_of(*values: str) -> str:
    """One of these for each record, at random but always the same."""
    seed = "".join(values).replace("'", "")
    return f"ELT(1 + MOD(CRC32(CONCAT(seq, '{seed}')), {len(values)}), {', '.join(values)})"


def rows_of(site: Site, table: str = TRACKER) -> Rows:
    """All records by their names, each value as MariaDB writes it."""
    connection = site.servers.database.connect(
        database=site.name, conv={}, cursorclass=pymysql.cursors.DictCursor
    )
    with connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table}")
        return {row["name"]: row for row in cursor.fetchall()}


def survivors(rows: Rows, season: str = SEASON) -> Rows:
    """The records that must be left: with a season, and the newest of each student, season and
    question."""
    newest: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in rows.values():
        row = row | {"season": row["season"] or season}
        key = (row["player"], row["season"], row["question_id"])
        if key not in newest or age(row) > age(newest[key]):
            newest[key] = row
    return {row["name"]: row for row in newest.values()}


def age(row: dict[str, Any]) -> tuple[int | str, ...]:
    times = (row[name] or "" for name in ("modified", "last_review_date", "creation"))
    return (int(row["answered_at_us"]), *times, row["name"])


def without_season(rows: Rows) -> int:
    return sum(not row["season"] for row in rows.values())


def clean(engine: Engine) -> None:
    """The engine's work in `bench migrate`."""
    engine.give_season(SEASON)
    engine.remove_duplicates()
    engine.prepare_storage()


def state(site: Site, table: str = TRACKER) -> list[dict[str, Any]]:
    """The table's definition and a sum over its rows."""
    return [*site.sql(f"SHOW CREATE TABLE {table}"), *site.sql(f"CHECKSUM TABLE {table}")]


def check_is_clean(site: Site, expected: Rows) -> None:
    """The table has its shape and exactly these rows, each in its partition; nothing is left to
    do."""
    assert rows_of(site) == expected
    assert site.sql(f"CHECK TABLE {TRACKER}")[0]["Msg_text"] == "OK"
    before, engine = state(site), site.engine()
    assert not engine.has_records_without_season()
    assert (engine.give_season(SEASON), engine.remove_duplicates()) == (0, 0)
    assert engine.prepare_storage() == []
    assert state(site) == before
    assert "PRIMARY KEY (`player`,`season`,`question_id`)" in before[0]["Create Table"]
    seasons = {row["name"] for row in site.sql("SELECT name FROM `tabGame Subscription Season`")}
    assert {partition["name"] for partition in engine.partitions()} == {"p_default", *seasons}
    assert leftovers(site) == []


def leftovers(site: Site) -> list[str]:
    """Files of half-made tables."""
    return [path.name for path in (site.servers.database.data / site.name).glob("#sql*")]


# -- the right result
# -------------------------------------------------------------------------------
def test_200_000_records_are_cleaned(fresh_tables: Site) -> None:
    site, engine = fresh_tables, fresh_tables.engine()
    site.insert("Game Subscription Season", name=OTHER_SEASON, season_name=OTHER_SEASON)
    fill(site, MANY, originals=MANY * 15 // 16)
    before = rows_of(site)
    expected = survivors(before)
    duplicates = MANY - len(expected)
    assert (len(before), without_season(before)) == (MANY, MANY // 10)
    assert MANY * 4 // 100 < duplicates < MANY * 6 // 100
    given: list[int] = []
    removed: list[int] = []
    assert engine.has_records_without_season()
    assert engine.give_season(SEASON, given.append) == MANY // 10
    assert engine.remove_duplicates(removed.append) == duplicates
    assert engine.prepare_storage()
    for told, total in ((given, MANY // 10), (removed, duplicates)):
        assert told == sorted(told)
        assert (told[-1], len(told) > 1) == (total, True)
    check_is_clean(site, expected)


def test_duplicates_may_go_first(unclean: Site) -> None:
    """Duplicates that show only once they have a season are removed the next time."""
    engine, expected = unclean.engine(), survivors(rows_of(unclean))
    engine.remove_duplicates()
    left = rows_of(unclean)
    assert len(left) > len(expected)
    assert without_season(left) == FEW // 10
    clean(engine)
    check_is_clean(unclean, expected)


def test_the_archive_is_cleaned_too(fresh_tables: Site) -> None:
    site, engine = fresh_tables, fresh_tables.engine()
    fill(site, 3000, originals=2000)
    fill(site, 2000, originals=1000, table=ARCHIVE)
    site.sql(
        f"UPDATE {ARCHIVE} SET archived_at = creation, eligible_for_deletion = MOD(stability, 2)"
    )
    tables = {table: rows_of(site, table) for table in (TRACKER, ARCHIVE)}
    expected = {table: survivors(rows) for table, rows in tables.items()}
    given: list[int] = []
    removed: list[int] = []
    assert engine.give_season(SEASON, given.append) == given[-1] == 300 + 200
    total = 3000 + 2000 - sum(map(len, expected.values()))
    assert engine.remove_duplicates(removed.append) == removed[-1] == total
    assert (given, removed) == (sorted(given), sorted(removed))
    engine.prepare_storage()
    assert rows_of(site, ARCHIVE) == expected[ARCHIVE]
    before = state(site, ARCHIVE)
    assert "PRIMARY KEY (`season`,`player`,`question_id`)" in before[0]["Create Table"]
    check_is_clean(site, expected[TRACKER])
    assert state(site, ARCHIVE) == before


@pytest.mark.parametrize("season", [None, ""])
@pytest.mark.parametrize("doctype", ["Player Memory Tracker", "Archived Memory Tracker"])
def test_one_record_without_a_season_is_found(
    fresh_tables: Site, doctype: str, season: str | None
) -> None:
    engine = fresh_tables.engine()
    assert not engine.has_records_without_season()
    fresh_tables.insert(doctype, name="a", player=PLAYER, season=season, question_id="q")
    assert engine.has_records_without_season()
    assert engine.give_season(SEASON) == 1
    assert not engine.has_records_without_season()


def test_records_without_a_student_or_a_question_are_no_duplicates(fresh_tables: Site) -> None:
    """An administrator must check them."""
    site, engine = fresh_tables, fresh_tables.engine()
    for number, (player, question) in enumerate(
        [(None, "q"), ("", "q"), (PLAYER, None), (PLAYER, "")] * 2
    ):
        site.insert(
            "Player Memory Tracker",
            name=f"n{number}",
            player=player,
            season=SEASON,
            question_id=question,
        )
    before = rows_of(site)
    assert engine.remove_duplicates() == 0
    assert rows_of(site) == before


def test_a_name_that_no_season_has_is_not_given(unclean: Site) -> None:
    before, engine = state(unclean), unclean.engine()
    for name in (
        "",
        "2026",
        "season-2026",
        "SEASON-26",
        "SEASON-2026-a",
        "SEASON-2026'",
        "SEASON-2026\n",
    ):
        with pytest.raises(InvalidInput):
            engine.give_season(name)
    assert state(unclean) == before


def test_the_patches_in_the_order_that_frappe_runs_them(
    unclean: Site, app: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    expected = survivors(rows_of(unclean))
    lines = (Path(memora.__file__).parent / "patches.txt").read_text().split()
    patches = [importlib.import_module(line) for line in lines if line.startswith("memora.")]
    assert len(patches) == 4
    for patch in patches:
        patch.execute()
    told = capsys.readouterr().out
    assert f"{FEW // 10:,} records without a season" in told
    assert f"{FEW - len(expected):,} duplicates" in told
    for patch in patches:
        patch.execute()
    assert capsys.readouterr().out == ""
    check_is_clean(unclean, expected)


def test_students_go_on_where_they_were(unclean: Site) -> None:
    clean(unclean.engine())
    player = "student7@school.example"
    known = unclean.rows(player)
    engine = unclean.engine()
    assert engine.due(player)["total_due"] == len(known)
    engine.submit(player, session_data=session("q7"))
    engine.drain()
    assert unclean.rows(player)["q7"]["stability"] == min(known["q7"]["stability"] + 1, 4)
    assert unclean.rows(player).keys() == known.keys()


# -- partitions of an earlier version
# -----------------------------------------------------------------
LAYOUTS: Final = {
    "names of its own": "PARTITION p_2025 VALUES IN ('SEASON-2025'), PARTITION p_2026 VALUES IN "
    "('SEASON-2026'), PARTITION p_none VALUES IN ('')",
    "a default of its own": "PARTITION p_2025 VALUES IN ('SEASON-2025'), PARTITION p_rest DEFAULT",
    "our default": "PARTITION p_default DEFAULT, PARTITION p_2026 VALUES IN ('SEASON-2026')",
    "two seasons in one": "PARTITION p_default DEFAULT, "
    "PARTITION `SEASON-2026` VALUES IN ('SEASON-2026', 'SEASON-2025')",
    "ours": "PARTITION p_default DEFAULT, PARTITION `SEASON-2026` VALUES IN ('SEASON-2026')",
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_other_partitions_become_ours(fresh_tables: Site, layout: str) -> None:
    fill(fresh_tables, 3000, originals=2000)
    partition(fresh_tables, layout)
    before = rows_of(fresh_tables)
    assert len(before) == 3000
    clean(fresh_tables.engine())
    check_is_clean(fresh_tables, survivors(before))


def partition(site: Site, layout: str) -> None:
    """As an earlier version did it."""
    site.sql(f"UPDATE {TRACKER} SET season = '' WHERE season IS NULL")
    site.sql(
        f"ALTER TABLE {TRACKER} MODIFY season VARCHAR(140) NOT NULL, DROP PRIMARY KEY, "
        f"ADD PRIMARY KEY (name, season) PARTITION BY LIST COLUMNS(season) ({LAYOUTS[layout]})"
    )


@pytest.mark.parametrize("others", ["one record", "a duplicate"])
def test_a_name_that_two_seasons_have_is_of_two_records(fresh_tables: Site, others: str) -> None:
    """With the earlier version's key (name, season) they may."""
    site = fresh_tables
    partition(site, "a default of its own")
    add = partial(site.insert, "Player Memory Tracker", player=PLAYER, question_id="q")
    for season in (SEASON, OTHER_SEASON):
        add(name="a", season=season, answered_at_us=1)
    add(name="b", season=SEASON, answered_at_us=2)
    if others == "a duplicate":
        add(name="b", season=OTHER_SEASON, answered_at_us=2)
    clean(site.engine())
    found = site.sql(f"SELECT season, name FROM {TRACKER} ORDER BY season")
    assert [(row["season"], row["name"]) for row in found] == [
        (OTHER_SEASON, "a" if others == "one record" else "b"),
        (SEASON, "b"),
    ]


# -- killed
# -----------------------------------------------------------------------------------------
def cleaner(site: Site) -> Callable[[], None]:
    """Cleans in a child process until all is done, it is killed, or MariaDB is."""

    def work() -> None:
        with suppress(MemoraError):
            clean(site.engine())

    return work


def is_altering(site: Site) -> bool:
    """Whether MariaDB is at the ALTER TABLE of the live table."""
    found = site.sql(
        "SELECT info FROM information_schema.PROCESSLIST WHERE info LIKE 'ALTER TABLE%%'"
    )
    return any("Player Memory Tracker" in str(row["info"]) for row in found)


@pytest.mark.parametrize(("step", "pieces"), [("give_season", 3), ("remove_duplicates", 2)])
def test_killed_between_two_pieces_it_goes_on(unclean: Site, step: str, pieces: int) -> None:
    before = rows_of(unclean)
    told: list[int] = []

    def die(done: int) -> None:
        told.append(done)
        if len(told) == pieces:
            os.kill(os.getpid(), signal.SIGKILL)

    def work() -> None:
        engine = unclean.engine()
        engine.give_season(SEASON, die if step == "give_season" else None)
        engine.remove_duplicates(die)

    child = fork(work)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    half, expected = rows_of(unclean), survivors(before)
    assert len(expected) < len(half) or without_season(half)
    assert survivors(half) == expected
    clean(unclean.engine())
    check_is_clean(unclean, expected)


def test_what_the_caller_raises_comes_out_and_it_goes_on(unclean: Site) -> None:
    engine, expected = unclean.engine(), survivors(rows_of(unclean))

    def stop(_done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.give_season(SEASON, stop)
    with pytest.raises(KeyboardInterrupt):
        engine.remove_duplicates(stop)
    assert 0 < without_season(rows_of(unclean)) < FEW // 10
    clean(engine)
    check_is_clean(unclean, expected)


def test_killed_while_the_table_is_altered_it_goes_on(unclean: Site) -> None:
    """MariaDB does not notice and finishes the ALTER; other processes wait for it."""
    expected = survivors(rows_of(unclean))
    child = fork(cleaner(unclean))
    assert wait_until(lambda: is_altering(unclean))
    kill(child)
    clean(unclean.engine())
    check_is_clean(unclean, expected)


@pytest.mark.parametrize("first", ["is killed", "continues"])
def test_two_prepare_the_table_at_once(unclean: Site, first: str) -> None:
    expected = survivors(rows_of(unclean))
    engine = unclean.engine()
    engine.give_season(SEASON)
    engine.remove_duplicates()

    def prepare() -> None:
        unclean.engine().prepare_storage()

    child = fork(prepare)
    assert wait_until(lambda: is_altering(unclean))
    if first == "is killed":
        kill(child)
    try:
        engine.prepare_storage()
    finally:
        if first == "continues":
            check([child])
    check_is_clean(unclean, expected)


def test_killed_at_random_moments_it_ends_right(fresh_tables: Site) -> None:
    """Some runs finish, and must also be right."""
    site, choice = fresh_tables, random.Random(7)
    make_again(site)
    expected = survivors(rows_of(site))
    for _ in range(6):
        child = fork(cleaner(site))
        time.sleep(choice.uniform(0.0, 0.6))
        kill(child)
    clean(site.engine())
    check_is_clean(site, expected)


def test_mariadb_is_killed_while_records_are_cleaned(fresh_tables: Site) -> None:
    """Not while it alters the table: docs/operating.md says what that can do to a partitioned
    one."""
    site, choice = fresh_tables, random.Random(8)
    make_again(site)
    expected = survivors(rows_of(site))

    def work() -> None:
        with suppress(MemoraError):
            site.engine().give_season(SEASON)
            site.engine().remove_duplicates()

    for _ in range(3):
        child = fork(work)
        time.sleep(choice.uniform(0.0, 0.5))
        crash(site, child)
    clean(site.engine())
    check_is_clean(site, expected)


def crash(site: Site, child: int) -> None:
    """MariaDB crashes and is started again; the child has ended meanwhile."""
    site.servers.database.kill()
    check([child])
    site.servers.database.start()


def make_again(site: Site) -> None:
    """Unclean tables again."""
    drop_tables(site)
    with site.servers.database.connect(database=site.name) as connection:
        create_tables(connection)
    site.insert(
        "Game Subscription Season", name=SEASON, season_name=SEASON, is_active=1, enable_redis=1
    )
    fill(site, FEW, originals=FEW // 2)
