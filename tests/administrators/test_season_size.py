"""How large a season is: exact while it is small, about right when it is not, and soon known."""

from __future__ import annotations

import pytest

from memora._engine import Engine
from tests.support.site_under_test import PLAYER, SEASON, TRACKER, Record, Site


def add_many(site: Site, students: int, questions: int) -> None:
    """Every third student has only half of the questions."""
    # MariaDB estimates by all pages, not by 20 of them, and only when it is asked.
    site.sql(f"ALTER TABLE {TRACKER} STATS_SAMPLE_PAGES = 10000, STATS_AUTO_RECALC = 0")
    site.sql(
        f"INSERT INTO {TRACKER} (name, player, season, question_id) "
        "SELECT CONCAT(s.seq, '-', q.seq), CONCAT('s', LPAD(s.seq, 5, '0')), %s, q.seq "
        f"FROM seq_1_to_{students} s JOIN seq_1_to_{questions} q "
        f"ON s.seq %% 3 > 0 OR q.seq <= {questions // 2}",
        (SEASON,),
    )
    site.sql(f"ANALYZE TABLE {TRACKER}")


def test_a_small_season_is_counted(site: Site, engine: Engine) -> None:
    engine.create_partition(SEASON)
    site.add(PLAYER, [Record("q"), Record("r")])
    site.add("other@school.example", [Record("q")])
    size = engine.season_size(SEASON)
    assert size is not None
    assert (size["records"], size["students"]) == (3, 2)
    assert not size["are_records_estimated"]
    assert not size["are_students_estimated"]
    assert size["bytes"] > 0


def test_a_large_season_is_estimated(site: Site, engine: Engine) -> None:
    engine.create_partition(SEASON)
    add_many(site, 2_000, 12)
    size = engine.season_size(SEASON)
    assert size is not None
    assert size["are_records_estimated"]
    assert size["are_students_estimated"]
    assert size["records"] == pytest.approx(20_000, rel=0.3)
    assert size["students"] == pytest.approx(2_000, rel=0.3)


def test_no_more_is_read_of_a_larger_season(site: Site, engine: Engine) -> None:
    engine.create_partition(SEASON)

    def rows_read() -> int:
        def handled() -> int:
            found = site.sql("SHOW GLOBAL STATUS LIKE 'Handler_read%'")
            return sum(int(row["Value"]) for row in found)

        before = handled()
        engine.season_size(SEASON)
        return handled() - before

    add_many(site, 1_500, 24)
    rows_read()
    small = rows_read()
    site.sql(f"DELETE FROM {TRACKER}")
    add_many(site, 4_500, 24)
    assert rows_read() < 1.2 * small


def test_few_students_of_a_large_season_are_counted(site: Site, engine: Engine) -> None:
    engine.create_partition(SEASON)
    add_many(site, 30, 500)
    size = engine.season_size(SEASON)
    assert size is not None
    assert size["are_records_estimated"]
    assert not size["are_students_estimated"]
    assert size["students"] == 30


@pytest.mark.parametrize("season", ["SEASON-1999", SEASON.lower(), "p_default", "`", ""])
def test_what_has_no_partition_has_no_size(site: Site, engine: Engine, season: str) -> None:
    engine.create_partition(SEASON)
    assert engine.season_size(season) is None
