"""Poison Reviews: listed for administrators, and saved once the obstacle is removed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from memora._engine import Engine, InvalidInput
from tests import frappe_standin as frappe
from tests.support.servers import wait_until
from tests.support.site_under_test import PLAYER, SEASON, TRACKER, Site, ids, session

App = Callable[..., None]
ARCHIVE = "`tabArchived Memory Tracker`"
POISON = "`tabPoison Review`"


@pytest.fixture
def obstacle(site: Site) -> Iterator[Callable[[], None]]:
    """The database refuses questions that are called bad, until the returned function is called."""

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
        row["name"]
        for row in site.sql(f"SELECT name FROM {POISON} WHERE replayed_at IS NULL ORDER BY name")
    ]


def replayed(engine: Engine, names: list[str] | None = None) -> tuple[int, int, int]:
    report = engine.replay(names)
    counts = report["replayed"], report["failed"], report["unknown"]
    assert report["done"] == sum(counts) == report["total"]
    return counts


def reasons(site: Site) -> dict[str, str]:
    return {row["name"]: row["reason"] for row in site.sql(f"SELECT name, reason FROM {POISON}")}


def set_aside(site: Site, name: str, **values: object) -> None:
    """A Poison Review of PLAYER that can be replayed, unless `values` say otherwise."""
    state = f'["{name}", 2, 1795522113, 1795262913, 1795262913000000, null, null]'
    known = {"player": PLAYER, "season": SEASON, "job_id": f"job{name}", "payload": state}
    site.insert("Poison Review", name=name, set_aside_at=site.now(), **(known | values))


def test_all_are_saved_once_the_obstacle_is_gone(
    site: Site, engine: Engine, job: str, obstacle: Callable[[], None]
) -> None:
    assert engine.persistence_status(PLAYER, job) == "failed"
    obstacle()
    assert replayed(engine) == (2, 0, 0)
    rows = site.rows()
    assert {name: row["stability"] for name, row in rows.items()} == {
        "bad1": 1,
        "bad2": 1,
        "good": 1,
    }
    assert rows["bad1"]["answered_at_us"] == rows["good"]["answered_at_us"]
    assert engine.persistence_status(PLAYER, job) == "persisted"
    assert replayed(engine) == (0, 0, 0)
    assert site.rows() == rows


def test_only_those_named_are_saved(
    site: Site, engine: Engine, job: str, obstacle: Callable[[], None]
) -> None:
    first, second = waiting(site)
    obstacle()
    assert replayed(engine, [first, "nothing"]) == (1, 0, 1)
    assert waiting(site) == [second]
    assert engine.persistence_status(PLAYER, job) == "failed"
    assert replayed(engine, [first]) == (0, 0, 1)


def test_what_still_cannot_be_saved_keeps_waiting_with_its_reason(
    site: Site, engine: Engine, job: str
) -> None:
    names = waiting(site)
    site.sql(f"UPDATE {POISON} SET reason = 'an old reason'")
    assert replayed(engine) == (0, 2, 0)
    assert waiting(site) == names
    for row in site.sql(f"SELECT reason FROM {POISON}"):
        assert "no such questions here" in row["reason"]


def test_a_newer_answer_stays(
    site: Site, engine: Engine, job: str, obstacle: Callable[[], None]
) -> None:
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
    assert replayed(engine) == (2, 0, 0)
    assert site.rows() == {}
    found = site.sql(f"SELECT question_id, stability FROM {ARCHIVE} WHERE player = %s", (PLAYER,))
    assert {row["question_id"]: row["stability"] for row in found} == {
        "bad1": 1,
        "bad2": 1,
        "good": 1,
    }
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
    assert replayed(engine) == (0, 1, 0)
    # An administrator who knows the data corrects it.
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
        f"('many-{number:04}', '{PLAYER}', '{SEASON}', "
        f"'{payload.replace('bad1', f'many{number:04}')}')"
        for number in range(1200)
    )
    site.sql(f"INSERT INTO {POISON} (name, player, season, payload) VALUES {rows}")
    # Those that fail do not block others.
    assert replayed(engine) == (1200, 2, 0)
    assert len(site.rows()) == 1201


@pytest.mark.parametrize(
    "payload",
    [
        None, "", "[]", "{}", "null", "17", '"text"', "[[]]", "[null]", "[1, 2]", "{{{",
        "[" * 100_000, '["q", 300, 0, null, 0, null, null]',
        '["q", 1, 9223372036854775807, null, 0, null, null]', '["", 1, 0, null, 0, null, null]',
        '["q\\u0000", 1, -9e18, null, 0, null, null]', '{"v": 99}',
        '{"v":3,"t":"t","o":[1,1],"b":[0,0,0],"i":[],"a":[],"s":[[5,1,1,null,0,0]],"f":[]}',
    ],
)  # fmt: skip
def test_a_payload_that_cannot_be_read_is_in_no_others_way(
    site: Site, engine: Engine, app: App, payload: str | None
) -> None:
    from memora.api import srs

    set_aside(site, "a")
    set_aside(site, "b", payload=payload, reason="an old reason")
    set_aside(site, "c")
    app(user=frappe.MANAGER)
    told = srs.replay_poison_reviews()
    assert (told["unknown"], told["replayed"] + told["failed"]) == (0, 3)
    assert {"a", "c"} <= set(site.rows())
    if told["failed"]:
        assert waiting(site) == ["b"]
        assert reasons(site)["b"] != "an old reason"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"player": "nobody@school.example"}, "there is no user nobody@school.example"),
        ({"player": PLAYER.upper()}, f"there is no user {PLAYER.upper()}"),
        ({"player": f"{PLAYER} "}, f"there is no user {PLAYER} "),
        ({"season": "SEASON-1999"}, "there is no season SEASON-1999"),
        ({"season": SEASON.lower()}, f"there is no season {SEASON.lower()}"),
        ({"player": None}, "the record names no player or no season"),
    ],
)
def test_nothing_is_replayed_to_nobody(
    site: Site, engine: Engine, values: dict[str, object], reason: str
) -> None:
    set_aside(site, "a", **values)
    set_aside(site, "b")
    assert replayed(engine) == (1, 1, 0)
    assert waiting(site) == ["a"]
    assert reasons(site)["a"] == reason
    assert site.sql(f"SELECT DISTINCT player, season FROM {TRACKER}") == [
        {"player": PLAYER, "season": SEASON}
    ]


def test_one_process_at_a_time_replays_all(site: Site, engine: Engine) -> None:
    set_aside(site, "a")

    def look(_report: object) -> None:
        assert engine.is_running("Replay", "")
        with pytest.raises(InvalidInput, match="another process does the replay of all seasons"):
            site.engine().replay()
        # Those that are named do not wait for it.
        assert replayed(site.engine(), ["a"]) == (0, 0, 1)

    assert engine.replay(progress=look)["replayed"] == 1
    assert wait_until(lambda: not engine.is_running("Replay", ""))


# -- as administrators call it
# ----------------------------------------------------------------------
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


def test_thousands_are_replayed_in_the_background(site: Site, app: App) -> None:
    from memora.api import srs
    from memora.services import srs_jobs

    for number in range(501):
        set_aside(site, f"many{number}")
    set_aside(site, "unreadable", payload="[]")
    app(user=frappe.MANAGER)
    with pytest.raises(frappe.ValidationError, match="500"):
        srs.replay_poison_reviews([str(number) for number in range(501)])
    told = srs.replay_poison_reviews()
    assert (told["replayed"], told["failed"], told["unknown"]) == (0, 0, 0)
    # A second request while it waits returns the same job.
    assert srs.replay_poison_reviews()["job"] == told["job"]
    assert srs_jobs.get_job(told["job"])["status"] == "Queued"
    frappe.recorded.run_jobs()
    job = srs_jobs.get_job(told["job"])
    assert (job["kind"], job["season"], job["status"]) == ("Replay", None, "Done")
    assert (job["done"], job["total"], job["requested_by"]) == (502, 502, frappe.MANAGER)
    assert job["message"] == "501 were saved, 1 still cannot be saved, 0 are unknown."
    assert len(site.rows()) == 501
    (notification,) = frappe.recorded.notifications
    assert notification["link"] == "/app/poison-review"


def test_a_replay_in_the_background_can_be_cancelled(site: Site, app: App) -> None:
    from memora.api import srs

    for number in range(501):
        set_aside(site, f"many{number}")
    app(user=frappe.MANAGER)
    job = srs.replay_poison_reviews()["job"]
    assert srs.cancel_job(job)["status"] == "Cancelled"
    frappe.recorded.run_jobs()
    assert site.rows() == {}


def test_what_is_dismissed_waits_no_more(
    site: Site, engine: Engine, job: str, app: App, obstacle: Callable[[], None]
) -> None:
    from memora.api import srs

    first, _second = waiting(site)
    assert engine.cache_stats(PLAYER, SEASON)["complete"]
    app(user=frappe.MANAGER)
    told = srs.dismiss_poison_reviews([first, "nothing"], reason="The question was deleted.")
    assert told == {"dismissed": 1, "unknown": 1}
    frappe.local.db.commit()
    (row,) = site.sql(f"SELECT * FROM {POISON} WHERE name = %s", (first,))
    assert (row["dismissal_reason"], row["dismissed_by"]) == (
        "The question was deleted.",
        frappe.MANAGER,
    )
    assert row["dismissed_at"] is not None
    assert "no such questions here" in row["reason"]
    assert srs.get_poison_reviews()["total"] == srs.get_cache_status()["poison_reviews"] == 1
    # The student sees what the table has, and gets the true status.
    assert not engine.cache_stats(PLAYER, SEASON)["complete"]
    assert engine.persistence_status(PLAYER, job) == "failed"
    assert srs.dismiss_poison_reviews([first], reason="Again.") == {"dismissed": 0, "unknown": 1}
    # As long as that request lasts.
    assert replayed(engine, [first]) == (0, 1, 0)
    frappe.local.db.rollback()
    obstacle()
    assert replayed(engine) == (1, 0, 0)
    # Somebody changed their mind.
    assert replayed(engine, [first]) == (1, 0, 0)
    assert sorted(site.rows()) == ["bad1", "bad2", "good"]
    assert engine.persistence_status(PLAYER, job) == "persisted"


def test_what_is_dismissed_while_all_are_replayed_stays_so(
    site: Site, engine: Engine, job: str, obstacle: Callable[[], None]
) -> None:
    _first, second = waiting(site)
    obstacle()
    with site.servers.database.connect(database=site.name) as other, other.cursor() as cursor:
        other.begin()
        cursor.execute(f"UPDATE {POISON} SET dismissed_at = NOW() WHERE name = %s", (second,))
        with ThreadPoolExecutor() as threads:
            # It has listed both before it reaches the locked one.
            replaying = threads.submit(replayed, engine)
            assert wait_until(lambda: "bad1" in site.rows())
            other.commit()
            assert replaying.result() == (1, 0, 1)
    assert sorted(site.rows()) == ["bad1", "good"]


@pytest.mark.parametrize(
    "given",
    [
        {}, {"reason": "x"}, {"names": ["a"]}, {"names": ["a"], "reason": ""},
        {"names": ["a"], "reason": 5}, {"names": [5], "reason": "x"},
        {"names": "", "reason": "x"}, {"names": ["a"] * 501, "reason": "x"},
    ],
)  # fmt: skip
def test_a_dismissal_names_records_and_a_reason(
    site: Site, app: App, given: dict[str, Any]
) -> None:
    from memora.api import srs

    set_aside(site, "a")
    app(user=frappe.MANAGER)
    with pytest.raises(frappe.ValidationError):
        srs.dismiss_poison_reviews(**given)
    assert waiting(site) == ["a"]


@pytest.mark.parametrize("user", [PLAYER, "Guest"])
def test_nobody_else_does(
    site: Site, job: str, app: App, user: str, obstacle: Callable[[], None]
) -> None:
    from memora.api import srs

    obstacle()
    app(user=user)
    for call in (srs.get_poison_reviews, srs.replay_poison_reviews, srs.dismiss_poison_reviews):
        with pytest.raises(frappe.PermissionError):
            call()
    assert len(waiting(site)) == 2
    assert frappe.allowed_http_methods_for_whitelisted_func[srs.replay_poison_reviews] == ["POST"]
    assert frappe.allowed_http_methods_for_whitelisted_func[srs.dismiss_poison_reviews] == ["POST"]


@pytest.mark.parametrize(
    "names", ["{", "5", {"a": 1}, [5], 7, ["\ud800"], "[" * 100_000, '["a", null]']
)
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


def test_administrators_are_told_where_to_look(
    site: Site, job: str, app: App, engine: Engine
) -> None:
    from memora.services.srs_persistence import persist_review_batch

    engine.submit(PLAYER, session_data=session("bad3"))
    persist_review_batch()
    (notification,) = frappe.recorded.notifications
    assert notification["users"] == [frappe.MANAGER]
    assert notification["link"] == "/app/poison-review"
