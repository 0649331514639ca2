"""How well a student remembers a question: kept beside the rung, whatever path an answer takes."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Final

import pytest

from memora._engine import Engine, EngineFault
from tests.administrators.test_archive import STUDENTS, old
from tests.consistency.test_drain import drain_all
from tests.consistency.test_overtaken import blind
from tests.consistency.test_steps import die_between_journal_and_cache
from tests.support import fsrs
from tests.support.site_under_test import BELIEVING, PLAYER, SEASON, TRACKER, Record, Site, session

__all__ = ["blind", "old"]

MARK: Final = 2**52
COLUMNS: Final = ("memory_stability", "memory_difficulty", "lapses")


def memory(site: Site, question: str = "q", player: str = PLAYER) -> fsrs.Memory:
    """What the table has, which has no more than four places."""
    row = site.rows(player)[question]
    numbers = row["memory_stability"], row["memory_difficulty"]
    for number in numbers:
        assert number == number.quantize(Decimal("0.0001"))
    return fsrs.Memory(*map(float, numbers))


def agree(one: fsrs.Memory, other: fsrs.Memory | None) -> bool:
    return other is not None and all(
        mine == pytest.approx(theirs, rel=2e-5, abs=2e-4)
        for mine, theirs in zip(one, other, strict=True)
    )


def offline(question: str, *answers: tuple[int, int]) -> str:
    """Answers of a quality, each given so many days ago."""
    now = datetime.now(timezone.utc)
    given = [
        {
            "question_id": question,
            "quality": quality,
            "answered_at": (now - timedelta(days=ago)).isoformat(),
        }
        for quality, ago in answers
    ]
    return json.dumps(given)


def cached(site: Site, player: str = PLAYER) -> dict[str, str]:
    return {
        name: detail
        for name, detail in site.cache.hgetall(site.key("srs-detail", player)).items()
        if name and not name.startswith("\0")
    }


def as_before(site: Site, player: str = PLAYER) -> None:
    """Make a cached schedule one of a memora without memories."""
    schedule, details = site.key("srs", player), site.key("srs-detail", player)
    marker = site.cache.zscore(schedule, "")
    assert marker is not None
    assert marker >= MARK
    site.cache.zadd(schedule, {"": marker - MARK})
    for name, detail in cached(site, player).items():
        order, colon, rest = detail.partition(":")
        if colon:
            site.cache.hset(details, name, order + rest[rest.index(",") :])


def differing(engine: Engine) -> int:
    found = engine.reconcile(SEASON, sample=None)
    assert found["records"] > 0
    return found["missing"] + found["ghost"] + found["wrong_date"] + found["wrong_state"]


def test_each_answer_moves_it(site: Site, engine: Engine) -> None:
    """Three answers of one call: two days apart, then on one day."""
    answers = ((4, 9), (5, 7), (0, 1), (3, 1))
    engine.submit(PLAYER, responses=offline("q", *answers))
    engine.drain()
    expected, last = None, 0
    for quality, ago in answers:
        grade = fsrs.grade_of_answer(quality >= 3, quality, 3000)
        expected, last = fsrs.after(expected, last - ago, grade), ago
    assert agree(memory(site), expected)
    assert site.rows()["q"]["lapses"] == 1


@pytest.mark.parametrize(
    ("duration_ms", "grade"), [(1000, fsrs.EASY), (3000, fsrs.GOOD), (9000, fsrs.HARD)]
)
def test_the_time_that_it_took_is_the_grade(
    site: Site, engine: Engine, duration_ms: int, grade: int
) -> None:
    engine.submit(PLAYER, session_data=session("q", duration_ms=duration_ms))
    engine.drain()
    assert agree(memory(site), fsrs.after(None, 0, grade))


def test_a_lesson_moves_it_too(site: Site, engine: Engine) -> None:
    site.add_users(PLAYER)
    interactions = [
        {"question_id": "q", "duration_ms": 1000, "attempts_count": 1},
        {"question_id": "r", "duration_ms": 1000, "attempts_count": 3},
    ]
    engine.rate(PLAYER, json.dumps(interactions))
    engine.drain()
    assert agree(memory(site), fsrs.after(None, 0, fsrs.EASY))
    assert agree(memory(site, "r"), fsrs.after(None, 0, fsrs.AGAIN))
    assert [site.rows()[name]["lapses"] for name in "qr"] == [0, 1]


def test_a_record_of_before_begins_from_its_rung(site: Site, engine: Engine) -> None:
    site.add(
        PLAYER,
        [
            Record("q", stability=3, reviewed_in=timedelta(days=-9)),
            Record("never", stability=0),
            Record("imported", stability=3),
        ],
    )
    assert set(engine_memories(site)) == {(0.0, 0.0)}
    engine.submit(PLAYER, session_data=session("q", "never", "imported"))
    engine.drain()
    assert agree(memory(site), fsrs.after(fsrs.of_rung(7), 9, fsrs.GOOD))
    assert agree(memory(site, "never"), fsrs.after(None, 0, fsrs.GOOD))
    # When it was answered is unknown, so it counts as due today.
    assert agree(memory(site, "imported"), fsrs.after(fsrs.of_rung(7), 7, fsrs.GOOD))


def engine_memories(site: Site) -> list[fsrs.Memory]:
    return [memory(site, name) for name in site.rows()]


def test_the_stage_of_an_atom_keeps_its_own(site: Site, engine: Engine) -> None:
    engine.submit(PLAYER, session_data=session("s"))
    engine.submit(PLAYER, session_data=session("s:1", is_correct=False))
    engine.drain()
    assert agree(memory(site, "s"), fsrs.after(None, 0, fsrs.GOOD))
    assert agree(memory(site, "s:1"), fsrs.after(None, 0, fsrs.AGAIN))


def test_what_is_loaded_is_what_was_shown(site: Site, engine: Engine) -> None:
    """So the result of the next answer does not depend on the cache."""
    for _ in range(3):
        engine.submit(PLAYER, session_data=session("q", "r"))
        engine.submit(PLAYER, session_data=session("q", is_correct=False))
    shown = cached(site)
    engine.drain()
    engine.cache_clear(PLAYER, SEASON)
    engine.due(PLAYER)
    assert cached(site) == shown
    assert differing(engine) == 0
    # Every answer's own.
    assert all(":" in detail for detail in shown.values())


def test_an_answer_computed_again_counts_on_the_memory_that_stands(
    site: Site, engine: Engine, blind: Engine
) -> None:
    """Its process does not know of an answer that is written already."""
    site.add(PLAYER, [Record("q", stability=1, reviewed_in=timedelta(days=-2))])
    believing = site.engine(**BELIEVING)
    die_between_journal_and_cache(site, believing)
    assert blind.drain()["remaining"] == 0
    believing.submit(PLAYER, session_data=session("q", is_correct=False))
    assert blind.drain()["remaining"] == 0
    first = fsrs.after(fsrs.of_rung(1), 2, fsrs.GOOD)
    assert agree(memory(site), fsrs.after(first, 0, fsrs.AGAIN))
    assert site.rows()["q"]["lapses"] == 1


def test_without_a_cache_it_is_the_same(site: Site, engine: Engine) -> None:
    engine.submit(PLAYER, session_data=session("q"))
    site.servers.cache.stop()
    engine.submit(PLAYER, session_data=session("q", is_correct=False))
    engine.drain()
    expected = fsrs.after(fsrs.after(None, 0, fsrs.GOOD), 0, fsrs.AGAIN)
    assert agree(memory(site), expected)


def test_states_that_are_set_leave_it(site: Site, engine: Engine) -> None:
    engine.submit(PLAYER, session_data=session("q", is_correct=False))
    engine.set_states(PLAYER, SEASON, [("q", 4, 4_000_000_000.0, None, None)])
    engine.drain()
    assert site.rows()["q"]["stability"] == 4
    assert agree(memory(site), fsrs.after(None, 0, fsrs.AGAIN))
    assert site.rows()["q"]["lapses"] == 1


# -- beside an older memora --------------------------------------------------------------------


@pytest.mark.engines(**BELIEVING)
def test_a_schedule_of_before_is_read_and_is_not_wrong(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record("q"), Record("r")])
    engine.submit(PLAYER, session_data=session("q"))
    engine.drain()
    as_before(site)
    with site.counting() as costs:
        assert engine.due(PLAYER)["total_due"] == 1
    (cost,) = costs
    assert cost.selects == 0
    assert differing(engine) == 0
    # An answer counts on the memories that the table has.
    engine.submit(PLAYER, session_data=session("q", "r"))
    marker = site.cache.zscore(site.key("srs", PLAYER), "")
    assert marker is not None
    assert marker >= MARK


@pytest.mark.parametrize("by_fsrs", [False, True])
def test_an_answer_on_a_schedule_of_an_older_memora_counts_on_the_tables_memory(
    site: Site, engine: Engine, by_fsrs: bool
) -> None:
    if by_fsrs:
        site.sql(
            "UPDATE `tabGame Subscription Season` SET scheduling = %s",
            ('{"ladder": {"fsrs": {"retention": 0.9, "longest_days": 365}}}',),
        )
        engine.season_changed()
    engine.submit(PLAYER, session_data=session("q", is_correct=False))
    engine.drain()
    engine.cache_clear(PLAYER, SEASON)
    engine.submit(PLAYER, session_data=session("q"))
    engine.drain()
    expected = [site.rows()["q"][column] for column in COLUMNS]
    assert expected[2] == 1
    # The same again, but an older memora has cached the schedule in between.
    site.sql(f"DELETE FROM {TRACKER}")
    site.cache.flushall()
    engine.submit(PLAYER, session_data=session("q", is_correct=False))
    engine.drain()
    as_before(site)
    assert engine.due(PLAYER)["total_due"] == 0
    engine.submit(PLAYER, session_data=session("q"), submission_id="a")
    engine.drain()
    assert [site.rows()["q"][column] for column in COLUMNS] == expected
    engine.undo(PLAYER, "a")
    engine.drain()
    wrong = fsrs.after(None, 0, fsrs.AGAIN)
    assert agree(memory(site), wrong)
    assert site.rows()["q"]["lapses"] == 1


def test_an_older_memora_takes_a_schedule_with_memories_for_a_void_one(
    site: Site, engine: Engine
) -> None:
    """It compares the marker with the generation, and reads the details only if they are equal."""
    engine.submit(PLAYER, session_data=session("q"))
    generation = (site.cache.get(site.key("srs-generation")) or "").partition("|")[0]
    assert site.cache.zscore(site.key("srs", PLAYER), "") == int(generation) + MARK
    engine.cache_clear(PLAYER, SEASON)
    engine.due(PLAYER)
    assert site.cache.zscore(site.key("srs", PLAYER), "") == int(generation) + MARK


def test_an_answer_that_an_older_memora_took_leaves_it(site: Site, engine: Engine) -> None:
    engine.submit(PLAYER, session_data=session("q", is_correct=False))
    engine.drain()
    before = memory(site)
    # Into the second journal, where it can be changed.
    site.servers.journal.stop()
    engine.submit(PLAYER, session_data=session("q"))
    site.servers.journal.start()
    (row,) = site.sql("SELECT entry FROM memora_journal")
    wire: dict[str, Any] = json.loads(row["entry"])
    assert len(wire.pop("d")) == len(wire.pop("e")) == 1
    site.sql("UPDATE memora_journal SET entry = %s", (json.dumps(wire),))
    engine = site.engine()
    engine.cache_clear(PLAYER, SEASON)
    engine.due(PLAYER)
    shown = cached(site)
    drain_all(site, engine)
    assert site.rows()["q"]["stability"] == 2
    assert memory(site) == before
    engine.cache_clear(PLAYER, SEASON)
    engine.due(PLAYER)
    assert cached(site) == shown


# -- the table ---------------------------------------------------------------------------------


def test_the_columns_are_added_at_once_and_partitions_can_be_exchanged(
    site: Site, engine: Engine, old: str
) -> None:
    """As `bench migrate` adds them: no row is written, and the archive works on such a table."""
    engine.submit(PLAYER, session_data=session("q"))
    drops = ", ".join(f"DROP COLUMN {name}" for name in COLUMNS)
    site.sql(f"ALTER TABLE {TRACKER} {drops}")
    site.sql(f"ALTER TABLE `tabArchived Memory Tracker` {drops}")
    with pytest.raises(EngineFault, match=r"lacks memory_stability \(Float\)"):
        engine.prepare_storage()
    added = (
        "ADD COLUMN memory_stability DECIMAL(21,9) NOT NULL DEFAULT 0, "
        "ADD COLUMN memory_difficulty DECIMAL(21,9) NOT NULL DEFAULT 0, "
        "ADD COLUMN lapses INT(11) NOT NULL DEFAULT 0"
    )
    site.sql(f"ALTER TABLE {TRACKER} {added}, ALGORITHM=INSTANT")
    site.sql(f"ALTER TABLE `tabArchived Memory Tracker` {added}, ALGORITHM=INSTANT")
    assert engine.prepare_storage() == []
    drain_all(site, engine)
    assert agree(memory(site), fsrs.after(None, 0, fsrs.GOOD))
    archived = engine.archive(old)
    assert archived["done"] == 4_000
    site.insert("Game Subscription Season", name="SEASON-2031", season_name="SEASON-2031")
    site.add(STUDENTS[0], [Record("stray")], season="SEASON-2031")
    assert engine.create_partition("SEASON-2031")
    assert list(site.rows(STUDENTS[0], "SEASON-2031")) == ["stray"]


def test_memories_are_archived(site: Site, engine: Engine) -> None:
    engine.submit(PLAYER, session_data=session("q", is_correct=False))
    engine.drain()
    before = memory(site)
    site.sql("UPDATE `tabGame Subscription Season` SET is_active = 0")
    engine.season_changed()
    engine.archive(SEASON)
    (row,) = site.sql("SELECT * FROM `tabArchived Memory Tracker`")
    assert fsrs.Memory(float(row["memory_stability"]), float(row["memory_difficulty"])) == before
    assert row["lapses"] == 1
