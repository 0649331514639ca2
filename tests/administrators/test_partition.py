"""The table on disk: keys, collation, partitions; idempotent, from any state."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count

import pymysql
import pytest

from memora._engine import Engine, EngineFault, InvalidInput, ServiceUnavailable
from tests.frappe_standin import create_tables
from tests.support.servers import wait_until
from tests.support.site_under_test import PLAYER, SEASON, TRACKER, Record, Site, session
from tests.support.wire import Wires

numbers = count(2100)
TABLE = "tabPlayer Memory Tracker"


def new_season() -> str:
    """A season that no other test uses."""
    return f"SEASON-{next(numbers)}"


def partition_of(site: Site, season: str) -> str:
    """Name of the partition that the season's rows are in."""
    found = site.sql(
        "SELECT PARTITION_NAME AS name FROM information_schema.PARTITIONS "
        "WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s",
        (TABLE,),
    )
    names = [
        str(row["name"])
        for row in found
        if site.sql(
            f"SELECT 1 FROM {TRACKER} PARTITION (`{row['name']}`) WHERE season = %s LIMIT 1",
            (season,),
        )
    ]
    assert len(names) == 1
    return names[0]


@pytest.fixture
def fresh_tables(site: Site) -> Iterator[Site]:
    """The tables as Frappe makes them, before memora prepared them."""
    drop_tables(site)
    with site.servers.database.connect(database=site.name) as connection:
        create_tables(connection)
    site.insert(
        "Game Subscription Season", name=SEASON, season_name=SEASON, is_active=1, enable_redis=1
    )
    yield site
    drop_tables(site)
    with site.servers.database.connect(database=site.name) as connection:
        create_tables(connection)
    site.engine().prepare_storage()


def test_what_the_doctypes_lack_is_told_before_anything_is_changed(fresh_tables: Site) -> None:
    """For example, an app may bring its own DocTypes."""
    site = fresh_tables
    site.sql("DROP TABLE `tabMemory Review Audit`")
    site.sql(f"ALTER TABLE {TRACKER} DROP COLUMN topic, MODIFY answered_at_us INT")
    site.sql("ALTER TABLE `tabGame Subscription Season` DROP COLUMN enable_redis")
    before = site.sql("SHOW TABLES")
    with pytest.raises(EngineFault) as raised:
        site.engine().prepare_storage()
    for lack in (
        "there is no Memory Review Audit",
        "Player Memory Tracker lacks topic (Data), answered_at_us (Int with the length 20, "
        "and not int)",
        "Game Subscription Season lacks enable_redis (Int)",
    ):
        assert lack in str(raised.value)
    assert "Archived Memory Tracker" not in str(raised.value)
    assert site.sql("SHOW TABLES") == before


def drop_tables(site: Site) -> None:
    for row in site.sql("SHOW TABLES"):
        site.sql(f"DROP TABLE `{next(iter(row.values()))}`")


# -- partitions ---------------------------------------------------------------------------------
def test_a_partition_is_made_once(site: Site, engine: Engine) -> None:
    season = new_season()
    assert not engine.partition_exists(season)
    assert engine.create_partition(season)
    assert engine.partition_exists(season)
    assert not engine.create_partition(season)
    assert not site.engine().create_partition(season)


def test_rows_move_out_of_the_default_partition(site: Site, engine: Engine) -> None:
    season, other = new_season(), new_season()
    for name in (season, other):
        site.add(PLAYER, [Record("q"), Record("r")], season=name)
    assert {partition_of(site, season), partition_of(site, other)} == {"p_default"}
    engine.create_partition(season)
    assert partition_of(site, season) != "p_default"
    assert partition_of(site, other) == "p_default"
    for name in (season, other):
        assert sorted(site.rows(season=name)) == ["q", "r"]
    assert site.sql(f"CHECK TABLE {TRACKER}")[0]["Msg_text"] == "OK"


def test_each_season_has_a_partition_of_its_own(site: Site, engine: Engine) -> None:
    seasons = [new_season(), f"{new_season()}-A_B"]
    for season in seasons:
        engine.create_partition(season)
        site.add(PLAYER, [Record("q")], season=season)
    assert len({partition_of(site, season) for season in seasons}) == 2


def test_one_process_makes_it_when_many_try(site: Site) -> None:
    season = new_season()
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: site.engine().create_partition(season), range(8)))
    assert sorted(made) == [False] * 7 + [True]


def test_seasons_that_begin_at_once_all_get_theirs(site: Site) -> None:
    seasons = [new_season() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda season: site.engine().create_partition(season), seasons))
    assert made == [True] * 8
    assert all(site.engine().partition_exists(season) for season in seasons)


def test_hundreds_of_seasons(site: Site, engine: Engine) -> None:
    """Each has its partition, and a student of one of them touches no other."""
    seasons = [new_season() for _ in range(200)]
    for season in seasons:
        engine.create_partition(season)
        site.add(PLAYER, [Record(season)], season=season)
    try:
        assert {partition["name"] for partition in engine.partitions()} >= {
            *seasons,
            SEASON,
            "p_default",
        }
        for season in seasons[::50]:
            assert [
                question["question_id"] for question in engine.due_in_season(PLAYER, season)
            ] == [season]
            (plan,) = site.sql(
                f"EXPLAIN PARTITIONS SELECT * FROM {TRACKER} WHERE player = %s AND season = %s",
                (PLAYER, season),
            )
            assert plan["partitions"] == season
    finally:
        names = ", ".join(f"`{season}`" for season in seasons)
        site.sql(f"ALTER TABLE {TRACKER} DROP PARTITION {names}")


def test_a_new_partition_holds_up_nobody(site: Site, engine: Engine) -> None:
    """A long transaction blocks it; later statements do not wait for the two."""
    season = new_season()
    site.add(PLAYER, [Record("q")])
    holder = site.servers.database.connect(database=site.name, autocommit=False)
    with holder, holder.cursor() as cursor, ThreadPoolExecutor(1) as pool:
        cursor.execute(f"SELECT COUNT(*) FROM {TRACKER}")
        made = pool.submit(site.engine().create_partition, season)
        try:
            for _ in range(50):
                engine.cache_clear(PLAYER, SEASON)
                assert engine.due(PLAYER)["total_due"] == 1
            assert not made.done()
        finally:
            # Otherwise a failure would wait for the partition, and that for this.
            holder.commit()
        assert made.result()
    assert engine.partition_exists(season)


@pytest.mark.parametrize(
    "name",
    ["", "2026", "season-2026", "SEASON-26", "SEASON-2026-", "SEASON-2026-a",
     "SEASON-2026'); DROP TABLE x; --", "SEASON-2026`", "SEASON-2026\n", "SEASON-2026-" + "A" * 200,
     "SEASON-٢٠٢٦"],
)  # fmt: skip
def test_what_is_no_name_of_a_season_is_refused(engine: Engine, name: str) -> None:
    with pytest.raises(InvalidInput):
        engine.create_partition(name)
    assert not engine.partition_exists(name)


# -- the shape ----------------------------------------------------------------------------------
def test_the_shape_of_the_table(site: Site) -> None:
    index: dict[str, list[str]] = {}
    for row in site.sql(f"SHOW INDEX FROM {TRACKER}"):
        index.setdefault(row["Key_name"], []).append(row["Column_name"])
    assert index["PRIMARY"] == ["player", "season", "question_id"]
    assert index["player_season_next_review_date"] == ["player", "season", "next_review_date"]
    assert index["name"] == ["name"]
    assert "modified" not in index
    definition = str(site.sql(f"SHOW CREATE TABLE {TRACKER}")[0]["Create Table"])
    assert "PARTITION BY LIST  COLUMNS(`season`)" in definition
    assert "utf8mb4_nopad_bin" in definition


def test_preparing_twice_changes_nothing(site: Site, engine: Engine) -> None:
    before = site.sql(f"SHOW CREATE TABLE {TRACKER}")
    assert engine.prepare_storage() == []
    assert site.sql(f"SHOW CREATE TABLE {TRACKER}") == before


def test_the_database_itself_refuses_a_second_row(site: Site) -> None:
    site.add(PLAYER, [Record("q")])
    with pytest.raises(pymysql.IntegrityError):
        site.add(PLAYER, [Record("q")])
    site.add(PLAYER, [Record("Q"), Record("q ")])
    assert len(site.rows()) == 3


def test_a_fresh_table_is_prepared(fresh_tables: Site) -> None:
    site, engine = fresh_tables, fresh_tables.engine()
    assert engine.prepare_storage()
    assert engine.prepare_storage() == []
    assert engine.partition_exists(SEASON)
    engine.submit(PLAYER, session_data=session("q"))
    engine.drain()
    assert list(site.rows()) == ["q"]
    assert partition_of(site, SEASON) != "p_default"


def test_a_table_with_rows_is_prepared_and_keeps_them(fresh_tables: Site) -> None:
    site = fresh_tables
    site.add(PLAYER, [Record(f"q{number}") for number in range(100)])
    site.add(PLAYER, [Record("old")], season="SEASON-2020")
    before = [site.rows(), site.rows(season="SEASON-2020")]
    site.engine().prepare_storage()
    assert [site.rows(), site.rows(season="SEASON-2020")] == before
    assert partition_of(site, "SEASON-2020") == "p_default"


def test_what_a_migration_added_is_taken_back(site: Site, engine: Engine) -> None:
    """Frappe's schema sync may bring its index on `modified` back."""
    site.sql(f"ALTER TABLE {TRACKER} ADD KEY modified (modified)")
    assert len(engine.prepare_storage()) == 1
    assert engine.prepare_storage() == []


def test_all_tables_of_ours_have_a_primary_key(site: Site) -> None:
    """Replicas and nodes of Galera, which receive rows, find them by their key.

    One table had none.
    """
    site.sql("ALTER TABLE memora_safe_mode_read DROP COLUMN id")
    site.engine().prepare_storage()
    without = site.sql(
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() "
        "AND TABLE_NAME LIKE 'memora%' AND TABLE_NAME NOT IN (SELECT TABLE_NAME FROM "
        "information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() AND INDEX_NAME = 'PRIMARY')"
    )
    assert without == []


@pytest.mark.parametrize("dirt", ["duplicate", "no season"])
def test_rows_that_fit_no_primary_key_are_not_thrown_away(fresh_tables: Site, dirt: str) -> None:
    site = fresh_tables
    site.add(PLAYER, [Record("q")])
    season = SEASON if dirt == "duplicate" else None
    site.insert(
        "Player Memory Tracker", name="second", player=PLAYER, season=season, question_id="q"
    )
    with pytest.raises(EngineFault):
        site.engine().prepare_storage()
    assert site.sql(f"SELECT COUNT(*) AS n FROM {TRACKER}")[0]["n"] == 2


def test_the_table_takes_no_record_without_a_season(site: Site) -> None:
    with pytest.raises(pymysql.err.IntegrityError, match="'season' cannot be null"):
        site.insert("Player Memory Tracker", name="q", player=PLAYER, season=None, question_id="q")


def test_a_missing_table_is_explained(fresh_tables: Site) -> None:
    fresh_tables.sql(f"DROP TABLE {TRACKER}")
    with pytest.raises(EngineFault, match=r"there is no Player Memory Tracker\. .* install"):
        fresh_tables.engine().prepare_storage()
    with fresh_tables.servers.database.connect(database=fresh_tables.name) as connection:
        drop_tables(fresh_tables)
        create_tables(connection)


# -- records of a season that has no partition yet
# ---------------------------------------------------
def strays(site: Site, season: str) -> int:
    """Records of the season that no statement that names it finds."""
    found = site.sql(
        f"SELECT COUNT(*) AS n FROM {TRACKER} PARTITION (p_default) WHERE CONCAT(season, '') = %s",
        (season,),
    )
    return int(found[0]["n"])


def test_students_who_answer_while_a_partition_is_made_find_their_records(
    site: Site, engine: Engine
) -> None:
    season = new_season()
    students = [f"p{number}@school.example" for number in range(20)]
    for student in students:
        site.add(
            student, [Record(f"q{number:04}", stability=3) for number in range(1500)], season=season
        )
    site.sql("UPDATE `tabGame Subscription Season` SET is_active = 0")
    site.insert(
        "Game Subscription Season", name=season, season_name=season, start_date="2026-01-01",
        end_date="2026-12-31", is_active=1, enable_redis=1,
    )  # fmt: skip
    site.cache.flushall()
    process, stop, seen = site.engine(), threading.Event(), set[int]()

    def study() -> None:
        for student in itertools.cycle(students):
            if stop.is_set():
                return
            site.cache.delete(site.key("srs", student, season))
            # A process that waits too long for the table is told so.
            with suppress(ServiceUnavailable):
                seen.add(process.due(student)["total_due"])
            with suppress(ServiceUnavailable):
                process.submit(student, session_data=session("new"))
                process.drain(5.0)

    thread = threading.Thread(target=study)
    thread.start()
    assert wait_until(lambda: bool(seen))
    assert engine.create_partition(season)
    stop.set()
    thread.join()
    assert seen == {1500}
    process.drain()
    assert strays(site, season) == 0
    for student in students:
        assert len(site.rows(student, season)) - 1500 in (0, 1)


def test_a_partition_whose_maker_was_killed_gets_its_rows(site: Site, engine: Engine) -> None:
    season = new_season()
    names = [Record(name, stability=3, answered_at_us=7) for name in ("old", "answered", "late")]
    site.add(PLAYER, names, season=season)
    site.sql(f"ALTER TABLE {TRACKER} ADD PARTITION (PARTITION `{season}` VALUES IN ('{season}'))")
    # No query found them, and students answered.
    site.add(PLAYER, [Record("answered", stability=4, answered_at_us=8)], season=season)
    site.add(PLAYER, [Record("late", stability=1, answered_at_us=6)], season=season)
    reader = site.engine()
    assert reader.rehydrate(PLAYER, season) == 2
    assert strays(site, season) == 3
    assert engine.create_partition(season)
    assert {name: row["stability"] for name, row in site.rows(PLAYER, season).items()} == {
        "old": 3,
        "answered": 4,
        "late": 3,
    }
    assert strays(site, season) == 0
    assert not engine.create_partition(season)
    # Schedules cached without them are void.
    assert len(reader.due_in_season(PLAYER, season)) == 3


def test_a_maker_that_is_cut_off_at_any_step_leaves_nothing_behind(
    site: Site, wires: Wires
) -> None:
    """Whichever reply it misses, reads find all rows, and the next process moves them."""
    database, without = wires.to["database"], new_season()
    site.add(PLAYER, [Record("elsewhere")], season=without)
    for step in count(1):
        season = new_season()
        site.add(PLAYER, [Record("q"), Record("r")], season=season)
        database.swallow_reply(step)
        is_cut = False
        try:
            site.engine(**wires.settings).create_partition(season)
        except ServiceUnavailable:
            is_cut = True
        database.mend()
        for _ in range(2):
            assert sorted(site.rows(PLAYER, season)) == ["q", "r"]
            assert list(site.rows(PLAYER, without)) == ["elsewhere"]
            site.engine().create_partition(season)
        assert strays(site, season) == 0
        # An empty one could be another process's, and stays for an hour.
        for row in site.sql("SHOW TABLES LIKE 'memora\\_moving%'"):
            (table,) = row.values()
            assert site.sql(f"SELECT * FROM `{table}`") == []
            site.sql(f"DROP TABLE `{table}`")
        if not is_cut:
            break
    assert step > 8


# The ways to find rows outside the table; each gets another season.
CALLERS: dict[str, Callable[[Engine, str], object]] = {
    "the check of each minute": lambda engine, _: engine.check_cache(),
    "a partition": lambda engine, other: engine.create_partition(other),
    "a rebuild": lambda engine, other: engine.rebuild(other),
    "the archive": lambda engine, other: engine.archive(other),
    "a migration": lambda engine, _: engine.prepare_storage(),
    "erasing somebody": lambda engine, _: engine.forget("somebody@school.example"),
}


@pytest.mark.parametrize("caller", CALLERS)
def test_what_was_out_when_mariadb_was_killed_is_read_again(
    site: Site, engine: Engine, caller: str
) -> None:
    """The first one restores it, and voids schedules cached without it."""
    season, other = new_season(), new_season()
    for name in (season, other):
        site.insert(
            "Game Subscription Season", name=name, season_name=name, start_date="2026-01-01",
            end_date="2026-01-02", is_active=0, enable_redis=1,
        )  # fmt: skip
    site.add(PLAYER, [Record("q"), Record("r")], season=season)
    site.add(PLAYER, [Record("q")], season=other)
    moving = "memora_moving_of_before"
    create = str(site.sql(f"SHOW CREATE TABLE {TRACKER}")[0]["Create Table"])
    site.sql(create.split("\n PARTITION BY ")[0].replace(TRACKER, moving, 1))
    site.sql(f"ALTER TABLE {TRACKER} EXCHANGE PARTITION p_default WITH TABLE {moving}")
    assert engine.due_in_season(PLAYER, season) == []
    CALLERS[caller](engine, other)
    assert len(engine.due_in_season(PLAYER, season)) == 2
    assert site.sql(f"SHOW TABLES LIKE '{moving}'") == []


@pytest.mark.parametrize(
    "moment", ["INSERT INTO memora_moving_", "ALTER TABLE", f"INSERT INTO {TRACKER}"]
)
def test_mariadb_is_killed_while_it_moves_rows(site: Site, engine: Engine, moment: str) -> None:
    """It runs several statements; wherever it was killed, the check of each minute restores the
    rows."""
    database, students = site.servers.database, [f"p{number}@school.example" for number in range(4)]
    questions = {f"q{number:04}" for number in range(2_000)}
    without = new_season()

    def kill_there() -> None:
        """Kill MariaDB when it has reached that statement, unless it has run all of them."""
        with database.connect_as_root() as root, root.cursor() as cursor:
            while not made.done():
                cursor.execute("SELECT INFO FROM information_schema.PROCESSLIST")
                if any(str(info).startswith(moment) for (info,) in cursor.fetchall()):
                    database.kill()
                    return

    for student in students:
        site.add(student, [Record(question) for question in questions], without)
    is_killed = False
    while not is_killed:
        season = new_season()
        for student in students:
            site.add(student, [Record(question) for question in questions], season)
        with ThreadPoolExecutor() as pool:
            made = pool.submit(engine.create_partition, season)
            kill_there()
            fault = made.exception()
        # On a fast machine it may have run all by the time that it is killed.
        is_killed = fault is not None
        assert not is_killed or isinstance(fault, ServiceUnavailable)
        database.start()
    reader = site.engine()
    reader.check_cache()
    for _ in range(2):
        for name in (season, without):
            assert all(set(site.rows(student, name)) == questions for student in students)
        reader.create_partition(season)
    assert strays(site, season) == 0
    for row in site.sql("SHOW TABLES LIKE 'memora\\_moving%'"):
        (table,) = row.values()
        assert site.sql(f"SELECT * FROM `{table}`") == []
        site.sql(f"DROP TABLE `{table}`")


def test_a_migration_moves_them_too(site: Site, engine: Engine) -> None:
    season = new_season()
    site.insert("Game Subscription Season", name=season, season_name=season)
    site.add(PLAYER, [Record("q")], season=season)
    site.sql(f"ALTER TABLE {TRACKER} ADD PARTITION (PARTITION `{season}` VALUES IN ('{season}'))")
    assert any(season in line for line in engine.prepare_storage())
    assert set(site.rows(PLAYER, season)) == {"q"}
    assert engine.prepare_storage() == []
