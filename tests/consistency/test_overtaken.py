"""A drain writes an answer that the cache does not have, and cannot check the cache."""

from __future__ import annotations

import pytest

from memora._engine import Engine, EngineFault, ServiceUnavailable
from tests.consistency.test_alone import BYSTANDERS
from tests.consistency.test_steps import die_between_journal_and_cache, submit_once
from tests.soak.ledger import unix
from tests.support.servers import wait_until
from tests.support.site_under_test import (
    BELIEVING,
    IMPATIENT,
    PLAYER,
    SCHEDULE,
    SEASON,
    Record,
    Site,
    ids,
    session,
)
from tests.support.wire import Wires


@pytest.fixture
def blind(site: Site, wires: Wires) -> Engine:
    """A drain that does not reach the cache."""
    wires.to["cache"].refuse()
    return site.engine(**wires.settings)


def marks(site: Site) -> list[dict[str, object]]:
    """The students who are marked."""
    return site.sql("SELECT player FROM memora_unshown")


def test_what_was_refused_and_taken_all_the_same_is_seen_once_it_is_saved(
    site: Site, engine: Engine, blind: Engine
) -> None:
    """The journal's reply is lost, and MariaDB cannot be reached: the student is told that the
    outcome is unknown. The drain writes the answer, but does not reach the cache."""
    site.add(PLAYER, [Record("q"), Record("r")])
    with Wires(site.servers) as wires:
        alone = site.engine(**wires.settings, **BELIEVING)
        # It has looked which cache and which journal count.
        assert submit_once(alone, "another@school.example")
        assert [len(ids(alone.due(PLAYER))) for _ in range(2)] == [2, 2]
        wires.to["journal"].swallow()
        wires.to["database"].refuse()
        assert not submit_once(alone, PLAYER)
    assert site.waiting() == 2
    assert len(ids(engine.due(PLAYER))) == 2
    assert blind.drain()["remaining"] == 0
    assert site.rows()["q"]["stability"] == 3
    assert wait_until(lambda: ids(engine.due(PLAYER)) == ["r"])
    assert marks(site) == []


@pytest.mark.parametrize("question", ["q", "r"])
def test_a_later_answer_that_was_computed_without_it_hides_it_from_nobody(
    site: Site, engine: Engine, blind: Engine, question: str
) -> None:
    """The later one is acknowledged, and shown in the cache, before any process looks."""
    site.add(PLAYER, [Record("q", stability=1), Record("r", stability=1)])
    believing = site.engine(**BELIEVING)
    die_between_journal_and_cache(site, believing)
    assert blind.drain()["remaining"] == 0
    taken = believing.submit(PLAYER, session_data=session(question))
    assert taken["new_stability_counts"]["2"] == 1
    assert blind.drain()["remaining"] == 0
    saved = {name: row["stability"] for name, row in site.rows().items()}
    assert saved == ({"q": 3, "r": 1} if question == "q" else {"q": 2, "r": 2})
    due = ["r"] if question == "q" else []
    assert wait_until(lambda: ids(engine.due(PLAYER)) == due and marks(site) == [])
    dates = {name: int(unix(row["next_review_date"])) for name, row in site.rows().items()}
    assert engine.cache_scores(PLAYER, SEASON) == dates


@pytest.mark.parametrize("is_blind", [False, True])
def test_a_later_answer_in_the_other_place_does_not_speak_for_it(
    site: Site, engine: Engine, blind: Engine, is_blind: bool
) -> None:
    """It is in `memora_journal` alone, and the later one, which does not know it, in the stream."""
    site.add(PLAYER, [Record("q"), Record("r")])
    believing = site.engine(**BELIEVING)
    assert [len(ids(believing.due(PLAYER))) for _ in range(2)] == [2, 2]
    keys = [site.key(family, PLAYER) for family in SCHEDULE]
    with site.servers.cache.client() as client, Wires(site.servers) as wires:
        client.connection_pool.connection_kwargs["decode_responses"] = False
        before = {key: client.dump(key) for key in keys}
        wires.to["journal"].refuse()
        site.engine(**wires.settings).submit(PLAYER, session_data=session("q"))
        # Its process died before it reached the cache.
        for key, dump in before.items():
            client.restore(key, 0, dump, replace=True)
    assert believing.submit(PLAYER, session_data=session("r"))["remaining_items"] == 1
    assert (blind if is_blind else engine).drain()["remaining"] == 0
    assert wait_until(lambda: ids(engine.due(PLAYER)) == [])


def test_schedules_that_have_all_answers_stay(site: Site, engine: Engine, blind: Engine) -> None:
    """A drain's trouble is its own."""
    for player in BYSTANDERS:
        site.add(player, [Record("q"), Record("r")])
        engine.submit(player, session_data=session("q"))
    assert blind.drain()["remaining"] == 0
    assert {row["player"] for row in marks(site)} == set(BYSTANDERS)
    assert wait_until(lambda: bool(engine.due(PLAYER)) and marks(site) == [])
    assert all(engine.cache_stats(player, SEASON)["complete"] for player in BYSTANDERS)


def test_a_drain_that_can_tell_nobody_writes_nothing(
    site: Site, engine: Engine, wires: Wires
) -> None:
    site.add(PLAYER, [Record("q", stability=1), Record("r")])
    die_between_journal_and_cache(site, engine)
    with site.servers.database.connect(database=site.name) as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLES memora_unshown WRITE")
        wires.to["cache"].refuse()
        blind = site.engine(**wires.settings, **IMPATIENT)
        with pytest.raises(ServiceUnavailable):
            blind.drain(seconds=0.1)
        cursor.execute("UNLOCK TABLES")
    assert site.rows()["q"]["stability"] == 1
    site.abandon_taken()
    assert engine.drain()["remaining"] == 0
    assert ids(engine.due(PLAYER)) == ["r"]


def test_a_drain_on_the_tables_of_an_older_version_says_what_to_do(
    site: Site, engine: Engine, blind: Engine
) -> None:
    site.add(PLAYER, [Record("q")])
    engine.submit(PLAYER, session_data=session("q"))
    site.sql("ALTER TABLE memora_unshown DROP COLUMN newest")
    try:
        with pytest.raises(EngineFault, match="run bench migrate"):
            blind.drain(seconds=0.1)
    finally:
        engine.prepare_storage()
    site.abandon_taken()
    assert engine.drain()["remaining"] == 0
