"""Answers given while both Redis servers are out of reach, with earlier ones still in the journal."""

from __future__ import annotations

import pytest

from memora._engine import Engine
from tests.conftest import ENDS
from tests.expectation import DAYS_AFTER_ANSWER
from tests.servers import wait_until
from tests.site_under_test import IMPATIENT_WITH_REDIS, PLAYER, Record, Site, ids, session
from tests.test_drain import drain_all, kept, raw


@pytest.fixture
def climbing(site: Site) -> Site:
    """A student with a stage, one of its atoms, and a question, whose records all have stability 1."""
    site.add(PLAYER, [Record(name, stability=1) for name in ("q", "r", "stage", "stage:1")])
    return site


def take_away(site: Site, how: str) -> None:
    """Both Redis servers die or hang."""
    for server in (site.servers.cache, site.servers.journal):
        getattr(server, how)()


def give_back(site: Site) -> None:
    """Both are there again."""
    site.servers.heal()


def check(site: Site, **stabilities: int) -> None:
    """The table has these stabilities, and dates that go with them."""
    rows = site.rows()
    found = {name: rows[name]["stability"] for name in stabilities}
    assert found == stabilities
    for name, stability in stabilities.items():
        days = (rows[name]["next_review_date"] - rows[name]["last_review_date"].replace(microsecond=0)).days
        assert days == DAYS_AFTER_ANSWER[stability]


@pytest.mark.parametrize("how", ENDS)
def test_they_count_on_top_of_what_waits_in_the_journal(climbing: Site, how: str) -> None:
    engine = climbing.engine()
    engine.submit(PLAYER, session_data=session("q", "r"))
    take_away(climbing, how)
    taken = climbing.engine().submit(PLAYER, session_data=session("q"))
    assert kept(climbing) == [taken["persistence_job_id"]]
    # Nothing is written behind the drain's back.
    assert climbing.rows()["q"]["stability"] == 1
    give_back(climbing)
    drain_all(climbing, climbing.engine())
    check(climbing, q=3, r=2)


def test_a_read_or_an_answer_before_the_drain_knows_of_both(climbing: Site) -> None:
    climbing.engine().submit(PLAYER, session_data=session("q"))
    take_away(climbing, "kill")
    climbing.engine().submit(PLAYER, session_data=session("q"))
    give_back(climbing)
    engine = climbing.engine()
    assert engine.submit(PLAYER, session_data=session("q"))["new_stability_counts"]["4"] == 1
    drain_all(climbing, engine)
    check(climbing, q=4)


def test_a_wrong_answer_stays_wrong(climbing: Site) -> None:
    climbing.engine().submit(PLAYER, session_data=session("q"))
    take_away(climbing, "kill")
    climbing.engine().submit(PLAYER, session_data=session("q", is_correct=False))
    climbing.engine().submit(PLAYER, session_data=session("q"))
    give_back(climbing)
    drain_all(climbing, climbing.engine())
    check(climbing, q=2)


def test_a_stage_follows_its_atom(climbing: Site) -> None:
    climbing.engine().submit(PLAYER, session_data=session("stage:1"))
    take_away(climbing, "kill")
    climbing.engine().submit(PLAYER, session_data=session("stage:1"))
    give_back(climbing)
    drain_all(climbing, climbing.engine())
    check(climbing, **{"stage:1": 3})
    rows = climbing.rows()
    assert rows["stage"]["next_review_date"] == rows["stage:1"]["next_review_date"]
    assert (rows["stage"]["stability"], rows["stage"]["last_review_date"]) == (1, None)


def test_a_drain_that_is_repeated_changes_nothing(climbing: Site) -> None:
    climbing.engine().submit(PLAYER, session_data=session("q"))
    climbing.engine().submit(PLAYER, session_data=session("q"))
    stream = climbing.key("srs-journal")
    both = raw(climbing).dump(stream)
    raw(climbing).xtrim(stream, maxlen=1)
    last = raw(climbing).dump(stream)
    raw(climbing).restore(stream, 0, both, replace=True)
    take_away(climbing, "kill")
    climbing.engine().submit(PLAYER, session_data=session("q", duration_ms=7000))
    give_back(climbing)
    drain_all(climbing, climbing.engine())
    check(climbing, q=3)
    # What a dead drain took can come after what was younger, and again.
    for dump in (both, last, both):
        raw(climbing).restore(stream, 0, dump, replace=True)
        climbing.engine().drain()
        check(climbing, q=3)


@pytest.mark.engines(**IMPATIENT_WITH_REDIS)
def test_what_a_hanging_journal_takes_after_all_counts_once(climbing: Site) -> None:
    engine = climbing.engine()
    engine.due(PLAYER)
    climbing.servers.cache.kill()
    engine.submit(PLAYER, session_data=session("r"))
    # The connection is open, so what is sent now will be taken once the server goes on.
    climbing.servers.journal.pause()
    taken = engine.submit(PLAYER, session_data=session("q"))
    assert kept(climbing) == [taken["persistence_job_id"]]
    give_back(climbing)
    assert wait_until(lambda: engine.journal_status()["reachable"])
    assert engine.submit(PLAYER, session_data=session("r"))["new_stability_counts"]["3"] == 1
    drain_all(climbing, engine)
    check(climbing, q=2, r=3)


def test_nothing_is_kept_of_them_for_long(climbing: Site, engine: Engine) -> None:
    engine.submit(PLAYER, session_data=session("q"))
    take_away(climbing, "kill")
    climbing.engine().submit(PLAYER, session_data=session("q"))
    give_back(climbing)
    assert len(kept(climbing)) == 1
    drain_all(climbing, engine)
    assert kept(climbing) == []

    def is_forgotten() -> bool:
        climbing.engine().due(PLAYER)
        return climbing.sql("SELECT * FROM `memora_unshown`") == []

    # Whoever reads next looks whose schedules lack something.
    assert wait_until(is_forgotten)


def test_with_the_journal_alone_away_the_cache_knows(climbing: Site, engine: Engine) -> None:
    engine.submit(PLAYER, session_data=session("q"))
    climbing.servers.journal.kill()
    engine.submit(PLAYER, session_data=session("q"))
    give_back(climbing)
    drain_all(climbing, climbing.engine())
    check(climbing, q=3)
    assert ids(climbing.engine().due(PLAYER)) == ["r", "stage", "stage:1"]
