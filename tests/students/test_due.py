"""Which questions are due: order, limit, subject, focus mode, and the states of the cache."""

from __future__ import annotations

from datetime import timedelta

import pytest

from memora._engine import Engine, InvalidInput
from tests.support.site_under_test import (
    BELIEVING,
    BY_SUBJECT,
    PLAYER,
    SCHEDULE,
    SEASON,
    TRACKER,
    Record,
    Site,
    ids,
)

MINUTE = timedelta(minutes=1)


def overdue(count: int, prefix: str = "q", **fields: str) -> list[Record]:
    """Records that are due, `prefix000` the most overdue."""
    return [
        Record(f"{prefix}{number:03}", due_in=(number - count) * MINUTE, **fields)  # type: ignore[arg-type]
        for number in range(count)
    ]


def test_most_overdue_come_first_and_the_count_goes_past_the_limit(
    site: Site, engine: Engine
) -> None:
    site.add(PLAYER, [*reversed(overdue(60)), Record("later", due_in=MINUTE)])
    for answer in (engine.due(PLAYER, limit=20), engine.due(PLAYER, limit=20)):
        assert ids(answer) == [f"q{number:03}" for number in range(20)]
        assert answer["total_due"] == 60
        assert (answer["season"], answer["is_degraded"], answer["source"]) == (
            SEASON,
            False,
            "cache",
        )
    assert ids(engine.due(PLAYER)) == ids(engine.due(PLAYER, limit=20))


@pytest.mark.parametrize("limit", [1, 50])
def test_limit_is_kept_cold_and_warm(site: Site, engine: Engine, limit: int) -> None:
    site.add(PLAYER, overdue(60))
    assert [len(engine.due(PLAYER, limit=limit)["questions"]) for _ in range(2)] == [limit, limit]


@pytest.mark.parametrize("limit", [0, 51, 1000])
def test_limit_out_of_range_is_refused(engine: Engine, limit: int) -> None:
    with pytest.raises(InvalidInput, match="limit"):
        engine.due(PLAYER, limit=limit)


def test_a_question_has_all_that_the_table_knows(site: Site, engine: Engine) -> None:
    site.add(
        PLAYER,
        [
            Record("full", -2 * MINUTE, 3, "Science", "Plants", reviewed_in=timedelta(days=-7)),
            Record("bare", -MINUTE, 0),
        ],
    )
    rows = site.rows()
    for _ in range(2):
        full, bare = engine.due(PLAYER)["questions"]
        assert full == {
            "question_id": "full",
            "stability": 3,
            "next_review_date": f"{rows['full']['next_review_date']:%Y-%m-%d %H:%M:%S}",
            "last_review_date": f"{rows['full']['last_review_date']:%Y-%m-%d %H:%M:%S}",
            "subject": "Science",
            "topic": "Plants",
        }
        assert (bare["stability"], bare["last_review_date"]) == (0, None)
        assert (bare["subject"], bare["topic"]) == (None, None)


def test_cold_and_warm_give_the_same_answer(site: Site, engine: Engine) -> None:
    site.add(PLAYER, overdue(30, subject="Science"))
    site.add(PLAYER, [Record(f"ahead{number}", due_in=MINUTE) for number in range(30)])
    assert engine.due(PLAYER) == engine.due(PLAYER)
    engine.cache_clear(PLAYER, SEASON)
    assert engine.due(PLAYER, subject="Science") == engine.due(PLAYER, subject="Science")


# -- subject and focus mode ---------------------------------------------------------------------
def test_subject_filters_before_the_limit(site: Site, engine: Engine) -> None:
    site.add(PLAYER, overdue(60, subject="Science"))
    site.add(PLAYER, [Record("alone", due_in=-MINUTE / 2, subject="Arabic")])
    site.add(
        PLAYER,
        [Record("ahead", due_in=MINUTE, subject="Arabic"), Record("none", due_in=-9 * MINUTE)],
    )
    for _ in range(2):
        answer = engine.due(PLAYER, limit=5, subject="Arabic")
        assert (ids(answer), answer["total_due"]) == (["alone"], 1)
    assert engine.due(PLAYER, limit=5, subject="Science")["total_due"] == 60
    assert ids(engine.due(PLAYER, limit=2, subject="Science")) == ["q000", "q001"]


def test_subjects_are_compared_byte_by_byte(site: Site, engine: Engine) -> None:
    site.add(PLAYER, overdue(3, subject="Science"))
    with pytest.raises(InvalidInput, match='no subject "science"'):
        engine.due(PLAYER, subject="science")


@pytest.mark.parametrize(
    ("in_topic", "expected"),
    [(0, 0), (4, 4), (10, 10), (60, 10), (100, 10), (200, 20), (300, 30), (400, 30)],
)
def test_focus_mode_takes_a_tenth_of_the_topic_but_10_to_30(
    site: Site, engine: Engine, in_topic: int, expected: int
) -> None:
    site.add(PLAYER, overdue(in_topic, topic="Fractions"))
    site.add(PLAYER, overdue(20, prefix="other", topic="Plants"))
    for _ in range(2):
        found = ids(engine.due(PLAYER, topic="Fractions"))
        assert len(found) == expected
        assert not any(name.startswith("other") for name in found)


def test_focus_mode_prefers_wrong_ones_and_those_not_reviewed_today(
    site: Site, engine: Engine
) -> None:
    long_ago, today = timedelta(days=-3), timedelta(0)
    ahead = timedelta(days=2)
    groups = [("wrong", 1, today, 4), ("old", 3, long_ago, 4), ("done", 3, today, 22)]
    for name, stability, reviewed_in, count in groups:
        site.add(
            PLAYER,
            [
                Record(
                    f"{name}{number:02}",
                    ahead,
                    stability,
                    topic="Fractions",
                    reviewed_in=reviewed_in,
                )
                for number in range(count)
            ],
        )
    for _ in range(2):
        found = ids(engine.due(PLAYER, topic="Fractions"))
        assert len(found) == 10
        assert set(found[:8]) == {
            f"{kind}{number:02}" for kind in ("wrong", "old") for number in range(4)
        }
        assert all(name.startswith("done") for name in found[8:])


def test_focus_mode_gives_ten_random_ones_when_all_were_reviewed_today(
    site: Site, engine: Engine
) -> None:
    names = [f"q{number:03}" for number in range(150)]
    site.add(
        PLAYER,
        [Record(name, MINUTE, 3, topic="Fractions", reviewed_in=timedelta(0)) for name in names],
    )
    picks = [ids(engine.due(PLAYER, topic="Fractions")) for _ in range(20)]
    assert all(len(set(pick)) == 10 and set(pick) <= set(names) for pick in picks)
    assert len({tuple(pick) for pick in picks}) > 1


# -- four things that must be told apart --------------------------------------------------------
@pytest.mark.engines(**BELIEVING)
def test_nothing_due_is_an_answer_of_the_cache(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record("ahead", due_in=MINUTE)])
    engine.due(PLAYER)
    with site.counting() as costs:
        answer = engine.due(PLAYER)
    assert (ids(answer), answer["total_due"], answer["source"]) == ([], 0, "cache")
    assert costs[0].selects == 0
    assert engine.cache_stats(PLAYER, SEASON)["records"] == 1


@pytest.mark.engines(**BELIEVING)
def test_never_had_a_record_is_remembered(site: Site, engine: Engine) -> None:
    engine.due("new@school.example")
    with site.counting() as costs:
        answer = engine.due("new@school.example")
    assert (ids(answer), answer["total_due"], answer["season"]) == ([], 0, SEASON)
    assert costs[0].statements == 0
    stats = engine.cache_stats("new@school.example", SEASON)
    assert (stats["complete"], stats["records"]) == (True, 0)


def test_a_lost_cache_is_loaded_again(site: Site, engine: Engine) -> None:
    site.add(PLAYER, overdue(5))
    engine.due(PLAYER)
    site.cache.flushall()
    assert engine.due(PLAYER)["total_due"] == 5
    assert engine.cache_stats(PLAYER, SEASON)["complete"]


def test_a_partly_filled_cache_is_not_believed(site: Site, engine: Engine) -> None:
    site.add(PLAYER, overdue(5))
    engine.cache_add(PLAYER, SEASON, [("q000", 1.0), ("made-up", 2.0)])
    assert not engine.cache_stats(PLAYER, SEASON)["complete"]
    answer = engine.due(PLAYER)
    assert (ids(answer), answer["total_due"]) == ([f"q{number:03}" for number in range(5)], 5)


@pytest.mark.parametrize("family", [*SCHEDULE, BY_SUBJECT])
def test_half_of_a_cache_is_not_believed(site: Site, engine: Engine, family: str) -> None:
    site.add(PLAYER, overdue(5, subject="Science", topic="Plants"))
    engine.due(PLAYER)
    site.cache.delete(site.key(family, PLAYER))
    assert len(engine.due(PLAYER)["questions"]) == 5
    site.cache.delete(site.key(family, PLAYER))
    assert engine.due(PLAYER, subject="Science")["total_due"] == 5
    site.cache.delete(site.key(family, PLAYER))
    assert len(ids(engine.due(PLAYER, topic="Plants"))) == 5


def test_a_set_without_its_marker_is_not_believed(site: Site, engine: Engine) -> None:
    site.add(PLAYER, overdue(5))
    engine.due(PLAYER)
    site.cache.zrem(site.key("srs", PLAYER), "", "q000")
    assert engine.due(PLAYER)["total_due"] == 5


def test_the_marker_is_never_shown(site: Site, engine: Engine) -> None:
    site.add(PLAYER, overdue(3))
    engine.due(PLAYER)
    assert sorted(engine.cache_scores(PLAYER, SEASON)) == ["q000", "q001", "q002"]
    assert engine.cache_count_due(PLAYER, SEASON) == 3
    assert [name for name, _ in engine.cache_due(PLAYER, SEASON, limit=50)] == [
        "q000",
        "q001",
        "q002",
    ]


# -- cost ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("query", [{}, {"subject": "Science"}, {"topic": "Plants"}, {"limit": 50}])
@pytest.mark.engines(**BELIEVING)
def test_a_warm_read_takes_no_sql_and_at_most_two_round_trips(
    site: Site, engine: Engine, query: dict[str, object]
) -> None:
    site.add(PLAYER, overdue(1000, subject="Science", topic="Plants"))
    for _ in range(2):
        # Loads the schedule, then arranges it by subject.
        engine.due(PLAYER, **query)  # type: ignore[arg-type]
    for _ in range(20):
        # Looks whether the cache may be believed, if the last look has expired.
        engine.due(PLAYER, **query)  # type: ignore[arg-type]
        with site.counting() as costs:
            engine.due(PLAYER, **query)  # type: ignore[arg-type]
        (cost,) = costs
        assert (cost.selects, cost.statements) == (0, 0)
        assert cost.cache_round_trips + cost.journal_round_trips <= 2


@pytest.mark.engines(**BELIEVING)
def test_a_cold_read_is_one_range_of_the_table(site: Site, engine: Engine) -> None:
    site.add(PLAYER, overdue(200))
    engine.due("another@school.example")
    with site.counting() as costs:
        engine.due(PLAYER)
    # The second one looks whether answers wait in the second journal.
    assert costs[0].selects == 2


# -- seasons ------------------------------------------------------------------------------------
def test_without_an_active_season_the_list_is_empty(site: Site, engine: Engine) -> None:
    site.add(PLAYER, overdue(5))
    site.sql("UPDATE `tabGame Subscription Season` SET is_active = 0")
    engine.season_changed()
    answer = engine.due(PLAYER)
    assert (ids(answer), answer["total_due"], answer["season"], answer["source"]) == (
        [],
        0,
        None,
        "none",
    )


def test_another_season_becomes_active_for_every_process(site: Site, engine: Engine) -> None:
    site.insert(
        "Game Subscription Season", name="SEASON-2027", season_name="SEASON-2027",
        start_date="2027-01-01", end_date="2027-12-31", is_active=0, enable_redis=1,
    )  # fmt: skip
    site.add(PLAYER, overdue(5))
    site.add(PLAYER, overdue(2, prefix="new"), season="SEASON-2027")
    other = site.engine()
    assert [engine.due(PLAYER)["total_due"], other.due(PLAYER)["total_due"]] == [5, 5]
    site.sql("UPDATE `tabGame Subscription Season` SET is_active = (name = 'SEASON-2027')")
    engine.season_changed()
    for process in (other, engine):
        answer = process.due(PLAYER)
        assert (answer["season"], ids(answer)) == ("SEASON-2027", ["new000", "new001"])
    assert [
        question["question_id"] for question in engine.due_in_season(PLAYER, SEASON, limit=2)
    ] == [
        "q000",
        "q001",
    ]


def test_a_season_without_the_cache_is_answered_from_the_table(site: Site, engine: Engine) -> None:
    site.add(PLAYER, overdue(60, subject="Science", topic="Plants"))
    site.sql("UPDATE `tabGame Subscription Season` SET enable_redis = 0")
    engine.season_changed()
    for _ in range(2):
        answer = engine.due(PLAYER, limit=20)
        assert (len(answer["questions"]), answer["total_due"]) == (20, 60)
        assert (answer["source"], answer["is_degraded"]) == ("database", False)
    assert engine.due(PLAYER, limit=5, subject="Arabic")["total_due"] == 0
    assert engine.due(PLAYER, limit=5, subject="Science")["total_due"] == 60
    assert len(ids(engine.due(PLAYER, topic="Plants"))) == 10
    assert not site.cache.exists(site.key("srs", PLAYER))
    # Manual changes of the table are shown at once.
    site.sql(f"DELETE FROM {TRACKER} WHERE question_id <> 'q007'")
    assert ids(engine.due(PLAYER)) == ["q007"]
