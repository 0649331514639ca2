"""A season's own ladders: thresholds and rungs, of all its questions and of subjects."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from memora._engine import Engine, InvalidInput
from memora.services import ladders
from tests import frappe_standin as frappe
from tests.consistency.test_drain import drain_all
from tests.consistency.test_overtaken import blind
from tests.consistency.test_steps import die_between_journal_and_cache
from tests.support.site_under_test import (
    BELIEVING,
    PLAYER,
    SEASON,
    SUBJECTS,
    Record,
    Site,
    ids,
    session,
)
from tests.support.wire import Wires

__all__ = ["blind"]

App = Callable[..., None]
TABLE = "`tabGame Subscription Season`"
DOCTYPE = "Game Subscription Season"


def choose(site: Site, engine: Engine, scheduling: str | None) -> None:
    """As the season's form does, whose process then tells the cache."""
    site.sql(f"UPDATE {TABLE} SET scheduling = %s", (scheduling,))
    engine.season_changed()


def ladder(fast_ms: int, slow_ms: int, *days: int) -> dict[str, Any]:
    return {"fast_ms": fast_ms, "slow_ms": slow_ms, "days": days}


PATIENT = json.dumps({"ladder": ladder(0, 20_000, 2, 4, 8, 16, 32, 64)})
OF_ART = json.dumps({"subjects": {"Art | Craft": ladder(2_000, 6_000, 1, 2, 3, 4, 5)}})


def found(site: Site) -> dict[str, tuple[int, int]]:
    """Each question's stability, and its days until the next review."""
    dates = {
        name: (row["next_review_date"] - row["last_review_date"], row["stability"])
        for name, row in site.rows().items()
    }
    return {
        name: (stability, round(days / timedelta(days=1)))
        for name, (days, stability) in dates.items()
    }


def test_answers_count_on_the_ladder_of_their_season(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record("q", stability=1), Record("r", stability=5), Record("s", stability=3)])
    choose(site, engine, PATIENT)
    assert len(ids(engine.due(PLAYER))) == 3
    slow = engine.submit(PLAYER, session_data=session("q", "r", duration_ms=15_000))
    assert slow["new_stability_counts"] == {"1": 0, "2": 1, "3": 0, "4": 0, "5": 0, "6": 1}
    wrong = engine.submit(PLAYER, session_data=session("s", is_correct=False))
    assert wrong["new_stability_counts"]["1"] == 1
    assert engine.due(PLAYER)["total_due"] == 0
    engine.drain()
    assert found(site) == {"q": (2, 4), "r": (6, 64), "s": (1, 2)}
    # A question on the sixth rung is now on the highest of the default four.
    choose(site, engine, None)
    taken = engine.submit(PLAYER, session_data=session("q", "r", duration_ms=7_000))
    assert taken["new_stability_counts"] == {"1": 0, "2": 1, "3": 0, "4": 1}
    engine.drain()
    assert found(site) == {"q": (2, 3), "r": (4, 14), "s": (1, 2)}


def test_a_subject_has_its_own(site: Site, engine: Engine) -> None:
    art = "Art | Craft"
    site.insert("Game Subject", name=art, subject_name=art)
    site.add(PLAYER, [Record("q", stability=4, subject=art), Record("r", stability=4)])
    choose(site, engine, OF_ART)
    engine.submit(PLAYER, session_data=session("q", "r"))
    engine.submit(PLAYER, session_data=session("new", duration_ms=0, subject=art))
    engine.drain()
    assert found(site) == {"q": (5, 5), "r": (4, 14), "new": (2, 2)}


@pytest.mark.engines(**BELIEVING)
def test_every_process_learns_of_them_and_none_asks_mariadb(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record(f"q{place}", stability=1) for place in range(4)])
    other = site.engine(**BELIEVING)
    for process in (engine, other):
        process.submit(PLAYER, session_data=session("q0"))
    choose(site, engine, PATIENT)
    # The first that is asked looks into MariaDB, the others into the cache.
    engine.submit(PLAYER, session_data=session("q1"))
    with site.counting() as costs:
        taken = other.submit(PLAYER, session_data=session("q2", duration_ms=15_000))
        again = other.submit(PLAYER, session_data=session("q3", duration_ms=15_000))
    assert taken["new_stability_counts"]["2"] == again["new_stability_counts"]["2"] == 1
    (cost,) = costs
    assert cost.statements == 0


def test_an_answer_is_computed_again_on_the_ladder_that_it_counted_on(
    site: Site, engine: Engine, blind: Engine
) -> None:
    """Its process does not know of an answer that is written already, and before the drain the
    season chooses another ladder."""
    site.add(PLAYER, [Record("q", stability=1)])
    choose(site, engine, PATIENT)
    believing = site.engine(**BELIEVING)
    die_between_journal_and_cache(site, believing)
    assert blind.drain()["remaining"] == 0
    taken = believing.submit(PLAYER, session_data=session("q", duration_ms=15_000))
    assert taken["new_stability_counts"]["2"] == 1
    choose(site, engine, None)
    assert blind.drain()["remaining"] == 0
    assert found(site)["q"] == (3, 8)


def test_computed_states_are_on_a_rung_of_the_season(site: Site, engine: Engine) -> None:
    given: list[tuple[str, int, float, str | None, str | None]] = [
        ("q", 5, 4_000_000_000.0, None, None)
    ]
    with pytest.raises(InvalidInput, match="new_stability must be 0 to 4, not 5"):
        engine.set_states(PLAYER, SEASON, given)
    choose(site, engine, PATIENT)
    engine.set_states(PLAYER, SEASON, given)
    engine.drain()
    assert site.rows()["q"]["stability"] == 5


@pytest.fixture(params=["no ladder", None])
def illegible(site: Site, engine: Engine, request: pytest.FixtureRequest) -> Iterator[None]:
    """The season's ladders cannot be read; or the DocType, of an app that brings its own, lacks the
    field, although a process has seen it there."""
    engine.due(PLAYER)
    if request.param:
        site.sql(f"UPDATE {TABLE} SET scheduling = %s", (request.param,))
        yield
    else:
        site.sql(f"ALTER TABLE {TABLE} DROP COLUMN scheduling")
        yield
        site.sql(f"ALTER TABLE {TABLE} ADD COLUMN scheduling LONGTEXT")


@pytest.mark.usefixtures("illegible")
def test_a_season_without_legible_ladders_has_those_of_the_spec(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record("q", stability=4)])
    engine.season_changed()
    engine.submit(PLAYER, session_data=session("q"))
    engine.drain()
    assert found(site) == {"q": (4, 14)}


def test_a_process_sees_a_field_that_bench_migrate_adds(site: Site, engine: Engine) -> None:
    site.sql(f"ALTER TABLE {TABLE} DROP COLUMN scheduling")
    site.add(PLAYER, [Record("q", stability=1)])
    engine.due(PLAYER)
    site.sql(f"ALTER TABLE {TABLE} ADD COLUMN scheduling LONGTEXT")
    choose(site, engine, PATIENT)
    taken = engine.submit(PLAYER, session_data=session("q", duration_ms=15_000))
    assert taken["new_stability_counts"]["2"] == 1


# -- the form -----------------------------------------------------------------------------------
def form(**values: object) -> frappe.Document:
    return frappe.Document({"doctype": DOCTYPE, **values})


def test_the_form_says_it_as_the_engine_reads_it(site: Site, app: App, engine: Engine) -> None:
    site.add(PLAYER, [Record("q", stability=4, subject="Math")])
    season = frappe.get_doc(DOCTYPE, SEASON)
    season.save()
    assert not season.scheduling
    season.__dict__.update(
        fast_seconds=1.5,
        slow_seconds=8,
        ladder_days="1, 2,4 ,8،١٦",
        subject_ladders=[form(subject="Math", ladder_days="1,3,7,14,30,60")],
    )
    season.save()
    frappe.local.db.commit()
    assert json.loads(str(season.scheduling)) == {
        "ladder": {"fast_ms": 1_500, "slow_ms": 8_000, "days": [1, 2, 4, 8, 16]},
        "subjects": {"Math": {"fast_ms": 2_000, "slow_ms": 6_000, "days": [1, 3, 7, 14, 30, 60]}},
    }
    assert ladders.highest_stability(str(season.scheduling)) == 6
    assert ladders.highest_stability(None) == 4
    # The commit has told the engine.
    engine.submit(PLAYER, session_data=session("q", "r", duration_ms=7_000))
    engine.submit(PLAYER, session_data=session("q", duration_ms=1_000))
    engine.drain()
    assert found(site) == {"q": (6, 60), "r": (1, 1)}


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_field_that_was_cleared_has_its_default(app: App, nothing: object) -> None:
    """Frappe saves an empty number as 0: then no answer would be fast."""
    cleared = dict.fromkeys(ladders.DEFAULTS, nothing)
    season = frappe.get_doc(DOCTYPE, SEASON)
    season.__dict__.update(cleared, subject_ladders=[form(subject="Math", **cleared)])
    season.save()
    for saved in (season, *season.subject_ladders):
        assert {name: getattr(saved, name) for name in cleared} == ladders.DEFAULTS
    # A 0 that somebody typed is one.
    season.__dict__.update(fast_seconds=0)
    season.save()
    assert (season.fast_seconds, json.loads(str(season.scheduling))["ladder"]["fast_ms"]) == (0, 0)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"fast_seconds": 7}, "slow answer"),
        ({"fast_seconds": -1}, "slow answer"),
        ({"fast_seconds": 0, "slow_seconds": 0}, "slow answer"),
        ({"slow_seconds": 3601}, "slow answer"),
        ({"ladder_days": "1, 3, 7"}, "4 to 6 rungs"),
        ({"ladder_days": "1, 3, 7, 14, 28, 56, 112"}, "4 to 6 rungs"),
        ({"ladder_days": "0, 3, 7, 14"}, "1 to 365 days"),
        ({"ladder_days": "1, 7, 3, 14"}, "1 to 365 days"),
        ({"ladder_days": "1, 3, 7, 366"}, "1 to 365 days"),
        ({"ladder_days": "1, 3, 7, -14"}, "whole numbers"),
        ({"ladder_days": "1; 3; 7; 14"}, "whole numbers"),
        ({"ladder_days": "1, 3, 7, 99999"}, "whole numbers"),
    ],
)
def test_a_ladder_that_breaks_a_rule_is_refused(
    app: App, values: dict[str, object], reason: str
) -> None:
    for season in (form(**values), form(subject_ladders=[form(subject="Math", **values)])):
        with pytest.raises(frappe.ValidationError, match=reason):
            ladders.scheduling_of(season)


def test_a_subject_has_one_ladder(app: App) -> None:
    rows = [form(subject="Math"), form(subject="Art"), form(subject="Math")]
    with pytest.raises(frappe.ValidationError, match="Math has two ladders"):
        ladders.scheduling_of(form(subject_ladders=rows))


@pytest.mark.parametrize("given", [session("q"), session("q", subject=SUBJECTS[1])])
def test_a_question_that_another_device_gave_its_subject_counts_on_the_ladder_of_that(
    site: Site, engine: Engine, wires: Wires, given: str
) -> None:
    """The other submission waits in the journal; this process reaches neither that nor the cache,
    so it does not know of the question."""
    own = {"ladder": ladder(0, 9_000, 1, 3, 7, 14)}
    of_subject = {SUBJECTS[0]: ladder(0, 9_000, 30, 60, 90, 120)}
    choose(site, engine, json.dumps(own | {"subjects": of_subject}))
    alone = site.engine(**wires.settings)
    assert engine.due(PLAYER)["total_due"] == alone.due(PLAYER)["total_due"] == 0
    engine.submit(PLAYER, session_data=session("q", subject=SUBJECTS[0]))
    site.cache.flushall()
    for name in ("journal", "cache"):
        wires.to[name].refuse()
    alone.submit(PLAYER, session_data=given)
    drain_all(site, engine)
    assert site.rows()["q"]["subject"] == SUBJECTS[0]
    assert found(site) == {"q": (2, 60)}
