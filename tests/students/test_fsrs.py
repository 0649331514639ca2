"""A season, or a subject of it, that is scheduled by FSRS."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any, Final

import pytest

from memora._engine import Engine
from memora.services import ladders
from tests import frappe_standin as frappe
from tests.consistency.test_overtaken import blind
from tests.consistency.test_steps import die_between_journal_and_cache
from tests.students.test_ladders import choose
from tests.students.test_memory import agree, memory, offline
from tests.support import fsrs
from tests.support.site_under_test import BELIEVING, PLAYER, SEASON, Record, Site, session

__all__ = ["blind"]

App = Callable[..., None]
DOCTYPE: Final = "Game Subscription Season"
LADDER: Final = {"fast_ms": 2_000, "slow_ms": 6_000, "days": [1, 3, 7, 14]}
CHOSEN: Final = {"retention": 0.9, "longest_days": 365}
SEASON_BY_FSRS: Final = json.dumps({"ladder": LADDER | {"fsrs": CHOSEN}})


def days(site: Site, question: str = "q", player: str = PLAYER) -> int:
    """Days from the last answer to the next review."""
    row = site.rows(player)[question]
    span: timedelta = row["next_review_date"] - row["last_review_date"]
    return round(span / timedelta(days=1))


def expected(site: Site, question: str = "q", retention: float = 0.9, longest: int = 365) -> int:
    """From what the table has of the memory, which was compared elsewhere."""
    return fsrs.days(memory(site, question), retention, longest, PLAYER, question)


def test_dates_come_from_the_memory_and_rungs_from_the_ladder(site: Site, engine: Engine) -> None:
    site.add(
        PLAYER,
        [
            Record("q", stability=4, reviewed_in=timedelta(days=-30)),
            Record("wrong", stability=4, reviewed_in=timedelta(days=-30)),
            Record("other", stability=2),
        ],
    )
    choose(site, engine, SEASON_BY_FSRS)
    taken = engine.submit(PLAYER, session_data=session("q", "new"))
    assert taken["new_stability_counts"] == {"1": 1, "2": 0, "3": 0, "4": 1}
    engine.submit(PLAYER, session_data=session("wrong", is_correct=False))
    engine.drain()
    assert agree(memory(site), fsrs.after(fsrs.of_rung(14), 30, fsrs.GOOD))
    assert days(site) == expected(site) > 30
    assert days(site, "new") == expected(site, "new") == 2
    assert days(site, "wrong") == expected(site, "wrong") >= 1
    assert [site.rows()[name]["stability"] for name in ("q", "new", "wrong")] == [4, 1, 1]


def test_an_interval_is_a_day_at_least_and_the_longest_at_most(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record("q", stability=4, reviewed_in=timedelta(days=-30))])
    chosen = {"retention": 0.97, "longest_days": 20}
    choose(site, engine, json.dumps({"ladder": LADDER | {"fsrs": chosen}}))
    engine.submit(PLAYER, session_data=session("q", duration_ms=0))
    engine.submit(PLAYER, session_data=session("new", is_correct=False))
    engine.drain()
    assert days(site) == expected(site, "q", 0.97, 20)
    assert 18 <= days(site) <= 20
    assert days(site, "new") == 1


def test_a_lower_retention_means_longer(site: Site, engine: Engine) -> None:
    site.add_users(PLAYER)
    found = []
    for number, retention in enumerate((0.7, 0.9)):
        chosen = {"retention": retention, "longest_days": 36_500}
        choose(site, engine, json.dumps({"ladder": LADDER | {"fsrs": chosen}}))
        interaction = {"question_id": f"q{number}", "duration_ms": 1000, "attempts_count": 1}
        # Lessons are dated by it, too.
        engine.rate(PLAYER, json.dumps([interaction]))
        engine.drain()
        found.append(days(site, f"q{number}"))
        assert found[-1] == expected(site, f"q{number}", retention, 36_500)
    assert found[0] > 2 * found[1]


def test_a_subject_has_its_own_choice_and_parameters(site: Site, engine: Engine) -> None:
    site.add(
        PLAYER,
        [Record("q", subject="Math", reviewed_in=timedelta(days=-3)), Record("r", stability=3)],
    )
    trained = [*fsrs.PARAMETERS[:2], 9.0, *fsrs.PARAMETERS[3:]]
    of_math = LADDER | {"fsrs": CHOSEN, "parameters": trained}
    choose(site, engine, json.dumps({"ladder": LADDER, "subjects": {"Math": of_math}}))
    site.insert("Game Subject", name="Math", subject_name="Math")
    engine.submit(PLAYER, session_data=session("q", "r"))
    engine.submit(PLAYER, session_data=session("new", subject="Math"))
    engine.drain()
    assert days(site) == expected(site) != 7
    assert days(site, "r") == 14
    assert (memory(site, "new").stability, days(site, "new")) == (9.0, 9)


def test_a_change_and_back_moves_no_date(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record("q", stability=3, reviewed_in=timedelta(days=-7)), Record("r")])
    engine.submit(PLAYER, session_data=session("q"))
    engine.drain()
    before = site.rows()["q"]
    for scheduling in (SEASON_BY_FSRS, None, SEASON_BY_FSRS):
        choose(site, engine, scheduling)
        engine.cache_clear(PLAYER, SEASON)
        assert engine.due(PLAYER)["total_due"] == 1
        assert site.rows()["q"] == before
    # Only the shadow of the ladder's time is in what comes next.
    engine.submit(PLAYER, session_data=session("q"))
    engine.drain()
    first = fsrs.after(fsrs.of_rung(7), 7, fsrs.GOOD)
    assert agree(memory(site), fsrs.after(first, 0, fsrs.GOOD))
    assert days(site) == expected(site)


def test_a_waiting_answer_counts_on_what_it_was_given_on(
    site: Site, engine: Engine, blind: Engine
) -> None:
    """It is computed again, after the season has changed back; and by another process."""
    site.add(PLAYER, [Record("q", stability=2, reviewed_in=timedelta(days=-40))])
    choose(site, engine, SEASON_BY_FSRS)
    believing = site.engine(**BELIEVING)
    die_between_journal_and_cache(site, believing)
    assert blind.drain()["remaining"] == 0
    believing.submit(PLAYER, session_data=session("q"))
    choose(site, engine, None)
    assert blind.drain()["remaining"] == 0
    first = fsrs.after(fsrs.of_rung(3), 40, fsrs.GOOD)
    assert agree(memory(site), fsrs.after(first, 0, fsrs.GOOD))
    assert days(site) == expected(site) > 14


def test_the_same_whatever_the_path(site: Site, engine: Engine) -> None:
    """With both servers, without the cache, without the journal, and offline."""
    choose(site, engine, SEASON_BY_FSRS)
    players = [f"student{number}@example.com" for number in range(4)]
    site.add_users(*players)
    for player in players:
        record = Record("q", stability=3, reviewed_in=timedelta(days=-9))
        site.add(player, [record, Record("r")])
        engine.due(player)
    right = session("q")
    engine.submit(players[0], session_data=right)
    engine.submit(players[1], responses=json.dumps([offline_now("q")]))
    site.servers.cache.stop()
    engine.submit(players[2], session_data=right)
    site.servers.cache.start()
    site.servers.journal.stop()
    site.engine().submit(players[3], session_data=right)
    site.servers.journal.start()
    site.engine().drain(5.0)
    found = {player: memory(site, "q", player) for player in players}
    assert len(set(found.values())) == 1
    for player in players:
        assert days(site, "q", player) == fsrs.days(found[player], 0.9, 365, player, "q")


def offline_now(question: str) -> dict[str, object]:
    at = datetime.now(timezone.utc) - timedelta(seconds=2)
    return {"question_id": question, "quality": 4, "answered_at": at.isoformat()}


def test_answers_given_offline_count_their_own_days(site: Site, engine: Engine) -> None:
    choose(site, engine, SEASON_BY_FSRS)
    engine.submit(PLAYER, responses=offline("q", (4, 20), (4, 15), (5, 2)))
    engine.drain()
    known = fsrs.after(fsrs.after(fsrs.after(None, 0, fsrs.GOOD), 5, fsrs.GOOD), 13, fsrs.EASY)
    assert agree(memory(site), known)
    assert days(site) == expected(site)


def test_a_submission_that_is_sent_again_has_the_same_date(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record("q", stability=4, reviewed_in=timedelta(days=-60))])
    choose(site, engine, SEASON_BY_FSRS)
    for _ in range(2):
        engine.submit(PLAYER, session_data=session("q"), submission_id="a")
        engine.drain()
    assert agree(memory(site), fsrs.after(fsrs.of_rung(14), 60, fsrs.GOOD))
    assert days(site) == expected(site)


# -- the form -----------------------------------------------------------------------------------
def form(**values: object) -> frappe.Document:
    return frappe.Document({"doctype": DOCTYPE, **values})


def test_the_form_says_it_as_the_engine_reads_it(site: Site, app: App, engine: Engine) -> None:
    trained = [0.3, *fsrs.PARAMETERS[1:]]
    season = frappe.get_doc(DOCTYPE, SEASON)
    season.__dict__.update(
        scheduler="FSRS",
        desired_retention=0.85,
        longest_interval_days=180,
        fsrs_parameters=json.dumps(trained),
        subject_ladders=[form(subject="Math", scheduler="Ladder")],
    )
    # Only training sets parameters.
    season.flags.update(memora_training=True)
    season.save()
    frappe.local.db.commit()
    chosen = {"retention": 0.85, "longest_days": 180}
    assert json.loads(str(season.scheduling)) == {
        "ladder": LADDER | {"fsrs": chosen, "parameters": trained},
        "subjects": {"Math": LADDER},
    }
    assert ladders.highest_stability(str(season.scheduling)) == 4
    # The commit has told the engine.
    engine.submit(PLAYER, session_data=session("new", is_correct=False))
    engine.drain()
    assert memory(site, "new").stability == 0.3
    season.__dict__.update(scheduler="Ladder", fsrs_parameters=None, subject_ladders=[])
    season.save()
    assert not season.scheduling


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"scheduler": "SM-2"}, "Ladder or FSRS"),
        ({"desired_retention": 0.69}, "0.70 to 0.97"),
        ({"desired_retention": 0.98}, "0.70 to 0.97"),
        ({"desired_retention": 0}, "0.70 to 0.97"),
        ({"longest_interval_days": 0}, "1 to 36500 days"),
        ({"longest_interval_days": 36_501}, "1 to 36500 days"),
        ({"fsrs_parameters": "[1, 2]"}, "21 parameters"),
        ({"fsrs_parameters": "nonsense"}, "21 parameters"),
        ({"fsrs_parameters": json.dumps([True] * 21)}, "21 parameters"),
        ({"fsrs_parameters": "[" + "NaN," * 20 + "1]"}, "21 parameters"),
        # More than single precision has.
        ({"fsrs_parameters": json.dumps([1e39] * 21)}, "21 parameters"),
        ({"fsrs_parameters": "[" * 100_000}, "21 parameters"),
    ],
)
def test_a_choice_that_breaks_a_rule_is_refused(
    app: App, values: dict[str, Any], reason: str
) -> None:
    values = {"scheduler": "FSRS"} | values
    for season in (form(**values), form(subject_ladders=[form(subject="Math", **values)])):
        with pytest.raises(frappe.ValidationError, match=reason):
            ladders.scheduling_of(season)


def test_what_the_form_hides_is_not_checked(app: App) -> None:
    """A ladder does not need a retention."""
    assert ladders.scheduling_of(form(scheduler="Ladder", desired_retention=0)) is None
