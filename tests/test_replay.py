"""Poison Reviews: listed for administrators, and saved after all once what was in their way is gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from memora._engine import Engine
from tests import frappe_standin as frappe
from tests.site_under_test import PLAYER, SEASON, TRACKER, Site, ids, session

App = Callable[..., None]
ARCHIVE = "`tabArchived Memory Tracker`"
POISON = "`tabPoison Review`"


@pytest.fixture
def obstacle(site: Site) -> Iterator[Callable[[], None]]:
    """The database refuses questions that are called bad, until this is called."""

    def remove() -> None:
        site.sql("DROP TRIGGER IF EXISTS obstacle")

    site.sql(
        f"CREATE TRIGGER obstacle BEFORE INSERT ON {TRACKER} FOR EACH ROW "
        "IF NEW.question_id LIKE 'bad%' THEN "
        "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no such questions here'; END IF"
    )
    yield remove
    remove()


@pytest.fixture
def job(site: Site, engine: Engine, obstacle: Callable[[], None]) -> str:
    """A drained submission, of which `bad1` and `bad2` were set aside and `good` was not."""
    taken = engine.submit(PLAYER, session_data=session("bad1", "bad2", "good"))
    assert engine.drain()["set_aside"] == 2
    assert list(site.rows()) == ["good"]
    return taken["persistence_job_id"]


def waiting(site: Site) -> list[str]:
    return [
        row["name"] for row in site.sql(f"SELECT name FROM {POISON} WHERE replayed_at IS NULL ORDER BY name")
    ]


def test_all_are_saved_once_the_obstacle_is_gone(
    site: Site, engine: Engine, job: str, obstacle: Callable[[], None]
) -> None:
    assert engine.persistence_status(PLAYER, job) == "failed"
    obstacle()
    assert engine.replay() == {"replayed": 2, "failed": 0, "unknown": 0}
    rows = site.rows()
    assert {name: row["stability"] for name, row in rows.items()} == {"bad1": 1, "bad2": 1, "good": 1}
    assert rows["bad1"]["answered_at_us"] == rows["good"]["answered_at_us"]
    assert engine.persistence_status(PLAYER, job) == "persisted"
    assert engine.replay() == {"replayed": 0, "failed": 0, "unknown": 0}
    assert site.rows() == rows


def test_only_those_named_are_saved(
    site: Site, engine: Engine, job: str, obstacle: Callable[[], None]
) -> None:
    first, second = waiting(site)
    obstacle()
    assert engine.replay([first, "nothing"]) == {"replayed": 1, "failed": 0, "unknown": 1}
    assert waiting(site) == [second]
    assert engine.persistence_status(PLAYER, job) == "failed"
    assert engine.replay([first]) == {"replayed": 0, "failed": 0, "unknown": 1}


def test_what_still_cannot_be_saved_keeps_waiting_with_its_reason(
    site: Site, engine: Engine, job: str
) -> None:
    names = waiting(site)
    site.sql(f"UPDATE {POISON} SET reason = 'an old reason'")
    assert engine.replay() == {"replayed": 0, "failed": 2, "unknown": 0}
    assert waiting(site) == names
    for row in site.sql(f"SELECT reason FROM {POISON}"):
        assert "no such questions here" in row["reason"]


def test_a_newer_answer_stays(site: Site, engine: Engine, job: str, obstacle: Callable[[], None]) -> None:
    obstacle()
    engine.submit(PLAYER, session_data=session("bad1"))
    engine.drain()
    newer = site.rows()["bad1"]
    assert newer["stability"] == 2
    engine.replay()
    assert site.rows()["bad1"] == newer


def test_of_a_season_that_was_archived_since_it_goes_into_the_archive(
    site: Site, engine: Engine, job: str, obstacle: Callable[[], None]
) -> None:
    obstacle()
    site.sql("UPDATE `tabGame Subscription Season` SET is_active = 0 WHERE name = %s", (SEASON,))
    site.engine().archive(SEASON, share=1.0)
    assert engine.replay() == {"replayed": 2, "failed": 0, "unknown": 0}
    assert site.rows() == {}
    found = site.sql(f"SELECT question_id, stability FROM {ARCHIVE} WHERE player = %s", (PLAYER,))
    assert {row["question_id"]: row["stability"] for row in found} == {"bad1": 1, "bad2": 1, "good": 1}
    assert engine.persistence_status(PLAYER, job) == "persisted"


def test_a_student_sees_it_again(site: Site, engine: Engine, obstacle: Callable[[], None]) -> None:
    other = site.engine()
    engine.rate(PLAYER, '[{"question_id": "bad", "attempts_count": 2}]')
    engine.drain()
    engine.cache_clear(PLAYER, SEASON)
    # As the table has it: nothing.
    assert ids(other.due(PLAYER)) == []
    obstacle()
    engine.replay()
    assert ids(other.due(PLAYER)) == ids(engine.due(PLAYER)) == ["bad"]


def test_a_whole_submission_that_could_not_be_read(site: Site, engine: Engine) -> None:
    engine.submit(PLAYER, session_data=session("q"))
    payload = site.journal.xrange(site.key("srs-journal"))[0][1]["entry"]
    entry = {"player": PLAYER, "season": SEASON, "answers": "{{{"}
    job = str(site.journal.xadd(site.key("srs-journal"), entry))
    engine.drain()
    (name,) = waiting(site)
    assert engine.replay() == {"replayed": 0, "failed": 1, "unknown": 0}
    # An administrator who knows what it was puts it right.
    site.sql(f"UPDATE {POISON} SET payload = %s", (payload.replace('"q"', '"repaired"'),))
    assert engine.replay([name])["replayed"] == 1
    assert sorted(site.rows()) == ["q", "repaired"]
    assert engine.persistence_status(PLAYER, job) == "persisted"


def test_more_than_fit_into_a_batch(
    site: Site, engine: Engine, job: str, obstacle: Callable[[], None]
) -> None:
    (first, _second) = waiting(site)
    payload = site.sql(f"SELECT payload FROM {POISON} WHERE name = %s", (first,))[0]["payload"]
    rows = ", ".join(
        f"('many-{number:04}', '{PLAYER}', '{SEASON}', '{payload.replace('bad1', f'many{number:04}')}')"
        for number in range(1200)
    )
    site.sql(f"INSERT INTO {POISON} (name, player, season, payload) VALUES {rows}")
    # Those that fail stand in nobody's way.
    assert engine.replay() == {"replayed": 1200, "failed": 2, "unknown": 0}
    assert len(site.rows()) == 1201


# -- as administrators call it ----------------------------------------------------------------------
def test_an_administrator_lists_and_replays(
    site: Site, job: str, app: App, obstacle: Callable[[], None]
) -> None:
    from memora.api import srs

    app(user=frappe.MANAGER)
    found = srs.get_poison_reviews()
    assert found["total"] == 2
    assert {row["question_id"] for row in found["poison_reviews"]} == {"bad1", "bad2"}
    for row in found["poison_reviews"]:
        assert (row["player"], row["season"], row["job_id"]) == (PLAYER, SEASON, job)
        assert "no such questions here" in row["reason"]
    page = srs.get_poison_reviews(limit="1", start="1")
    assert page == {"poison_reviews": found["poison_reviews"][1:], "total": 2}
    obstacle()
    name = found["poison_reviews"][0]["name"]
    assert srs.replay_poison_reviews(f'["{name}"]') == {"replayed": 1, "failed": 0, "unknown": 0}
    assert srs.replay_poison_reviews() == {"replayed": 1, "failed": 0, "unknown": 0}
    # The next request has a transaction of its own.
    frappe.local.db.rollback()
    assert srs.get_poison_reviews() == {"poison_reviews": [], "total": 0}


@pytest.mark.parametrize("user", [PLAYER, "Guest"])
def test_nobody_else_does(site: Site, job: str, app: App, user: str, obstacle: Callable[[], None]) -> None:
    from memora.api import srs

    obstacle()
    app(user=user)
    for call in (srs.get_poison_reviews, srs.replay_poison_reviews):
        with pytest.raises(frappe.PermissionError):
            call()
    assert len(waiting(site)) == 2
    assert frappe.allowed_http_methods_for_whitelisted_func[srs.replay_poison_reviews] == ["POST"]


@pytest.mark.parametrize("names", ["{", "5", {"a": 1}, [5], 7, ["\ud800"], "[" * 100_000, '["a", null]'])
def test_names_that_are_none_are_refused(site: Site, job: str, app: App, names: Any) -> None:
    from memora.api import srs

    app(user=frappe.MANAGER)
    with pytest.raises(frappe.ValidationError):
        srs.replay_poison_reviews(names)
    assert len(waiting(site)) == 2


@pytest.mark.parametrize(
    "page", [{"limit": 0}, {"limit": 501}, {"start": -1}, {"limit": "x"}, {"start": None}]
)
def test_a_page_out_of_range_is_refused(app: App, page: dict[str, Any]) -> None:
    from memora.api import srs

    app(user=frappe.MANAGER)
    with pytest.raises(frappe.ValidationError, match=next(iter(page))):
        srs.get_poison_reviews(**page)


def test_administrators_are_told_where_to_look(site: Site, job: str, app: App, engine: Engine) -> None:
    from memora.services.srs_persistence import persist_review_batch

    engine.submit(PLAYER, session_data=session("bad3"))
    persist_review_batch()
    (notification,) = frappe.recorded.notifications
    assert notification["users"] == [frappe.MANAGER]
    assert notification["link"] == "/app/poison-review"
