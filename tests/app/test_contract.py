"""The contract of the app's callers, a test for each of its rows.

Existing code uses these names, arguments and fields, and must run unchanged: more may be added, but
these stay.
"""

from __future__ import annotations

import inspect
import json
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from werkzeug.test import Client

from memora import hooks
from memora._engine import Engine
from memora.api import reviews, srs
from memora.api.utils import SafeModeManager
from memora.services import srs_reconciliation
from memora.services.errors import ReviewsUnavailable
from memora.services.srs_archiver import SRSArchiver
from memora.services.srs_persistence import persist_review_batch
from memora.services.srs_reconciliation import reconcile_cache_with_database
from memora.services.srs_redis_manager import SRSRedisManager
from tests import frappe_standin as frappe
from tests.administrators.test_archive import archived_long_ago, ended_season
from tests.administrators.test_reconcile import forget
from tests.app.test_api import answers, ids
from tests.consistency.test_alone import cut_off, process, shown
from tests.students.test_due import MINUTE, overdue
from tests.support.servers import wait_until
from tests.support.site_under_test import (
    BELIEVING,
    PLAYER,
    SEASON,
    TOPICS,
    Record,
    Site,
)
from tests.support.wire import Wires

App = Callable[..., None]
METHODS = "/api/method/memora.api"
OTHER = "other@school.example"


@pytest.fixture
def manager(app: App) -> None:
    """An administrator calls."""
    app(user=frappe.MANAGER)


@pytest.fixture
def client(app: App) -> Client:
    """The student, over HTTP."""
    frappe.recorded.hooks["after_request"] = [hooks.after_request]
    client = Client(frappe.application(frappe.local.conf, {PLAYER: "blue horse"}))
    client.post("/api/method/login", data={"usr": PLAYER, "pwd": "blue horse"})
    return client


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        (reviews.get_review_session, {"subject": None, "limit": 20}),
        (reviews.submit_review_session, {"responses": None}),
        (srs.rebuild_season_cache, {"season": None}),
        (srs.get_cache_status, {}),
        (srs.trigger_reconciliation, {"sample_size": 10_000, "season": None}),
        (srs.archive_season, {"season": None, "confirm": False}),
        (SRSRedisManager.get_due_items, {"user": ..., "season": ..., "limit": 20}),
        (SRSRedisManager.get_due_items_with_rehydration, {"user": ..., "season": ..., "limit": 20}),
        (
            SRSRedisManager.add_item,
            {
                "user": ...,
                "season": ...,
                "question_id": ...,
                "next_review_timestamp": ...,
                "ttl": None,
            },
        ),
        (SRSRedisManager.add_batch, {"user": ..., "season": ..., "items": ..., "ttl": None}),
        (SRSRedisManager.get_cache_stats, {"user": ..., "season": ...}),
        (persist_review_batch, {"responses": None, "user": None, "season": None}),
        (reconcile_cache_with_database, {"sample_size": 10_000}),
        (SRSArchiver.archive_season, {"season": ...}),
        (SRSArchiver.process_auto_archive, {}),
        (SRSArchiver.flag_eligible_for_deletion, {}),
        (SafeModeManager.check_rate_limit, {"user": ...}),
        (
            reviews.get_reviews_safe_mode,
            {"user": ..., "season": ..., "limit": 10, "subject": None},
        ),
    ],
)
def test_arguments_have_the_names_and_defaults_of_the_contract(
    call: Callable[..., object], arguments: dict[str, object]
) -> None:
    parameters = inspect.signature(call).parameters
    for name, default in arguments.items():
        expected = inspect.Parameter.empty if default is ... else default
        assert parameters[name].default == expected, name


# -- HTTP: reviews --------------------------------------------------------------------------------
def test_a_review_session(site: Site, app: App) -> None:
    site.add(PLAYER, overdue(30, subject="Science", topic="Plants"))
    for limit in (20, "20"):
        session = reviews.get_review_session(subject=None, limit=limit)
        assert (len(session["questions"]), session["total_due"]) == (20, 30)
        assert (session["is_degraded"], session["season"]) == (False, SEASON)
    question = session["questions"][0]
    assert (question["question_id"], question["stage_id"]) == ("q000", "q000")
    assert (question["subject"], question["topic"]) == ("Science", "Plants")
    assert {"stability", "next_review_date"} <= question.keys()


@pytest.mark.parametrize(
    ("question_id", "stage"),
    [("stage:1", "stage"), ("stage:1:2", "stage"), ("stage", "stage"), ("a b:ج", "a b")],
)
def test_a_questions_stage_is_what_its_id_has_before_the_first_colon(
    site: Site, app: App, question_id: str, stage: str
) -> None:
    site.add(PLAYER, [Record(question_id)])
    (question,) = reviews.get_review_session()["questions"]
    assert question["stage_id"] == stage


@pytest.mark.parametrize("as_sent", [list, json.dumps], ids=["a list", "JSON"])
def test_answers_are_taken_as_list_and_as_json(
    site: Site, app: App, as_sent: Callable[[Any], Any]
) -> None:
    responses = [
        {"question_id": "q", "quality": 4, "response_time_ms": 1500},
        {"question_id": "r", "quality": "2", "response_time_ms": "1500"},
        {"question_id": "s", "quality": 5},
    ]
    taken = reviews.submit_review_session(responses=as_sent(responses))
    assert (taken["status"], taken["processed"], taken["xp_earned"]) == ("success", 3, 20)
    assert isinstance(taken["persistence_job_id"], str)
    frappe.recorded.run_jobs()
    assert {name: row["stability"] for name, row in site.rows().items()} == {"q": 2, "r": 1, "s": 1}


def test_a_student_without_room_is_told_how_long_to_wait(site: Site, client: Client) -> None:
    site.add(PLAYER, overdue(3))
    site.servers.cache.kill()
    assert client.get(f"{METHODS}.reviews.get_review_session").status_code == 200
    answer = client.get(f"{METHODS}.reviews.get_review_session")
    told = answer.get_json()
    assert (answer.status_code, told["exc_type"]) == (429, "TooManyRequestsError")
    seconds = told["retry_after"]
    assert 0 < seconds <= 31
    assert f"wait {seconds} seconds" in told["message"]
    assert f"wait {seconds} seconds" in told["_server_messages"]
    assert answer.headers["Retry-After"] == str(seconds)


# -- HTTP: srs ------------------------------------------------------------------------------------
def test_a_rebuild_is_started(site: Site, manager: None) -> None:
    site.add(PLAYER, overdue(30))
    site.sql("ANALYZE TABLE `tabPlayer Memory Tracker`")
    season = ended_season(site)
    site.sql("ANALYZE TABLE `tabPlayer Memory Tracker`")
    started = srs.rebuild_season_cache(season)
    assert (started["status"], started["job_id"]) == ("started", started["job"])
    # An estimate of 4,000.
    assert 2_000 < started["estimated_records"] < 8_000
    frappe.recorded.run_jobs()
    assert srs.get_job(started["job_id"])["status"] == "Done"


def test_the_status_of_the_cache(site: Site, manager: None) -> None:
    site.add(PLAYER, overdue(3))
    site.engine().due(PLAYER)
    status = srs.get_cache_status()
    assert (status["redis_connected"], status["is_safe_mode"]) == (True, False)
    assert (status["total_keys"], status["keys_by_season"]) == (1, {SEASON: 1})
    assert status["memory_used_mb"] > 0
    site.servers.cache.kill()
    status = srs.get_cache_status()
    assert (status["redis_connected"], status["is_safe_mode"]) == (False, True)
    assert (status["total_keys"], status["keys_by_season"]) == (0, {})


@pytest.mark.parametrize("arguments", [{}, {"sample_size": "100"}, {"season": SEASON}])
def test_a_reconciliation_answers_with_its_report(
    site: Site, engine: Engine, manager: None, arguments: dict[str, Any]
) -> None:
    site.add(PLAYER, overdue(40))
    engine.due(PLAYER)
    forget(site, PLAYER, "q001", "q002")
    report = srs.trigger_reconciliation(**arguments)
    assert report["sample_size"] == 40
    assert (report["discrepancies_found"], report["auto_corrected"]) == (2, 2)
    assert report["discrepancy_rate"] == pytest.approx(2 / 40)
    assert report["alert_triggered"] is True
    assert len(frappe.recorded.notifications) == 1
    assert frappe.recorded.jobs == []
    assert engine.due(PLAYER)["total_due"] == 40
    again = srs.trigger_reconciliation(**arguments)
    assert (again["discrepancies_found"], again["discrepancy_rate"]) == (0, 0.0)
    assert again["alert_triggered"] is False


def test_a_reconciliation_of_nothing_has_a_report_too(site: Site, manager: None) -> None:
    report = srs.trigger_reconciliation()
    assert (report["sample_size"], report["discrepancy_rate"]) == (0, 0.0)


@pytest.mark.parametrize("size", [0, "0", 100_001, 10**9])
def test_a_large_reconciliation_is_work_for_the_background(
    site: Site, manager: None, size: Any
) -> None:
    queued = srs.trigger_reconciliation(sample_size=size)
    assert queued["status"] == "queued"
    (job,) = queued["jobs"]
    frappe.recorded.run_jobs()
    assert srs.get_job(job)["status"] == "Done"


@pytest.mark.parametrize("size", [1, 99, "99"])
def test_a_sample_that_tells_nothing_is_refused(manager: None, size: Any) -> None:
    with pytest.raises(frappe.ValidationError, match="at least 100"):
        srs.trigger_reconciliation(sample_size=size)


def test_no_request_is_held_by_a_reconciliation(
    site: Site, engine: Engine, manager: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.add(PLAYER, overdue(40))
    engine.due(PLAYER)
    monkeypatch.setattr(srs_reconciliation, "REQUEST_SECONDS", 0.0)
    with pytest.raises(ReviewsUnavailable, match="request_reconciliation"):
        srs.trigger_reconciliation()
    (job,) = site.sql("SELECT status FROM `tabSRS Job`")
    assert job["status"] == "Cancelled"
    (name,) = srs.request_reconciliation()["jobs"]
    frappe.recorded.run_jobs()
    assert srs.get_job(name)["status"] == "Done"


def test_a_reconciliation_beside_another_is_for_later(
    site: Site, engine: Engine, manager: None
) -> None:
    site.add(PLAYER, overdue(3))
    engine.due(PLAYER)
    told: list[str] = []

    def ask(_found: object) -> None:
        if not told:
            with pytest.raises(ReviewsUnavailable) as refusal:
                srs.trigger_reconciliation()
            told.append(str(refusal.value))

    engine.reconcile(SEASON, progress=ask)
    assert "Another process is reconciling" in told[0]


def test_an_archive_is_started_and_completed(site: Site, manager: None) -> None:
    season = ended_season(site, questions=5)
    with pytest.raises(frappe.ValidationError, match="confirm"):
        srs.archive_season(season, confirm=False)
    started = srs.archive_season(season=season, confirm="true")
    assert (started["status"], started["records_archived"]) == ("started", 0)
    assert started["cache_keys_deleted"] == 0
    frappe.recorded.run_jobs()
    completed = srs.archive_season(season=season, confirm=True)
    assert (completed["status"], completed["records_archived"]) == ("completed", 200)
    assert completed["cache_keys_deleted"] == 0


# -- Python: SRSRedisManager ----------------------------------------------------------------------
def test_due_items_are_ids(app: App) -> None:
    manager, now = SRSRedisManager(), datetime.now(timezone.utc).timestamp()
    items = {"later": now - 60, "first": now - 600, "ahead": now + 600}
    assert manager.add_batch(PLAYER, SEASON, items) is True
    assert manager.get_due_items(PLAYER, SEASON, 20) == ["first", "later"]
    assert manager.get_due_items(PLAYER, SEASON, limit=1) == ["first"]
    assert manager.get_due_times(PLAYER, SEASON, 1) == [("first", float(int(now - 600)))]


def test_due_items_are_loaded_where_they_are_not_cached(site: Site, app: App) -> None:
    site.add(PLAYER, overdue(3))
    manager = SRSRedisManager()
    assert manager.get_due_items_with_rehydration(PLAYER, SEASON, 2) == (["q000", "q001"], True)
    assert manager.get_due_items_with_rehydration(PLAYER, SEASON, 2) == (["q000", "q001"], False)
    site.servers.cache.kill()
    assert manager.get_due_items_with_rehydration(PLAYER, SEASON, 2) == (["q000", "q001"], True)


@pytest.mark.parametrize("ttl", [None, 60])
def test_an_item_expires(site: Site, app: App, ttl: int | None) -> None:
    manager, now = SRSRedisManager(), datetime.now(timezone.utc).timestamp()
    assert manager.add_item(PLAYER, SEASON, "q", now - 5, ttl=ttl) is True
    assert manager.add_batch(PLAYER, SEASON, {"r": now - 4}, ttl) is True
    assert manager.add_batch(PLAYER, SEASON, {}) is True
    # A question without a subject is in no sorted set by subject.
    for family in ("srs", "srs-detail"):
        left = site.cache.ttl(site.key(family, PLAYER))
        assert left <= 60 if ttl else left > 60


@pytest.mark.parametrize("ttl", [0, -1, 10**10])
def test_a_life_that_is_none_is_refused(site: Site, app: App, ttl: int) -> None:
    with pytest.raises(frappe.ValidationError, match="seconds"):
        SRSRedisManager().add_item(PLAYER, SEASON, "q", 1.0, ttl=ttl)
    assert not site.cache.exists(site.key("srs", PLAYER))


def test_what_is_set_is_not_believed_where_the_rest_is_missing(site: Site, app: App) -> None:
    """A schedule becomes complete by a load alone."""
    site.add(PLAYER, overdue(3))
    manager, now = SRSRedisManager(), datetime.now(timezone.utc).timestamp()
    manager.add_item(PLAYER, SEASON, "q000", now + 600)
    assert not manager.get_cache_stats(PLAYER, SEASON)["complete"]
    assert ids(reviews.get_review_session()) == ["q000", "q001", "q002"]
    # Now it is complete, and a date that is set stays until the student answers.
    manager.add_item(PLAYER, SEASON, "q000", now + 600)
    assert ids(reviews.get_review_session()) == ["q001", "q002"]
    reviews.submit_review_session(responses=[{"question_id": "q000", "quality": 4}])
    frappe.recorded.run_jobs()
    # From 2, as the database has it: setting a date has undone nothing.
    assert site.rows()["q000"]["stability"] == 3


def test_an_answer_and_a_date_at_the_same_time_undo_nothing(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record("q", stability=1, subject="Science")])
    engine.due(PLAYER)
    other, is_over = site.engine(), threading.Event()

    def set_dates() -> None:
        while not is_over.is_set():
            other.cache_add(PLAYER, SEASON, [("q", 1.0)])

    thread = threading.Thread(target=set_dates)
    thread.start()
    try:
        for number in range(300):
            quality = 5 if number % 2 else 1
            responses = json.dumps([{"question_id": "q", "quality": quality}])
            taken = engine.submit(PLAYER, responses=responses)
            expected = 2 if number % 2 else 1
            # Due only if the date was set after the answer.
            for question in engine.due(PLAYER)["questions"]:
                assert (question["stability"], question["subject"]) == (expected, "Science")
                assert taken["new_stability_counts"][str(expected)] == 1
    finally:
        is_over.set()
        thread.join()
    engine.drain()
    found = engine.reconcile(SEASON)
    assert (found["wrong_state"], found["missing"], found["ghost"]) == (0, 0, 0)


def test_the_numbers_of_a_students_cache(site: Site, app: App) -> None:
    site.add(PLAYER, [*overdue(3), Record("ahead", due_in=MINUTE)])
    reviews.get_review_session()
    stats = SRSRedisManager().get_cache_stats(PLAYER, SEASON)
    assert (stats["total_items"], stats["due_items"]) == (4, 3)
    assert (stats["records"], stats["due"]) == (4, 3)
    assert stats["memory_usage_bytes"] == stats["memory_bytes"] > 0


# -- Python: persist_review_batch -----------------------------------------------------------------
def computed(question_id: Any = "q", stability: Any = 3, days: int = 7, **more: Any) -> Any:
    """An answer whose new state the caller has computed."""
    date = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=days)
    return {
        "question_id": question_id,
        "new_stability": stability,
        "new_next_review_date": date,
        **more,
    }


def test_computed_answers_are_written(site: Site, app: App) -> None:
    site.add(PLAYER, [Record("q", topic="Plants")])
    assert ids(reviews.get_review_session()) == ["q"]
    given = [computed("q", 4, 14, subject="Science"), computed("new", "2", -1)]
    assert persist_review_batch(given, PLAYER, SEASON) == 2
    rows = site.rows()
    assert (rows["q"]["stability"], rows["new"]["stability"]) == (4, 2)
    assert (rows["q"]["subject"], rows["q"]["topic"]) == ("Science", "Plants")
    due = given[0]["new_next_review_date"].replace(tzinfo=None)
    assert rows["q"]["next_review_date"] == due
    assert rows["q"]["last_review_date"] is not None
    assert ids(reviews.get_review_session()) == ["new"]
    assert site.waiting() == 0
    audits = site.sql("SELECT SUM(answers) AS answers FROM `tabMemory Review Audit`")
    assert audits[0]["answers"] == 2


@pytest.mark.parametrize("away", ["nothing", "journal", "cache"])
def test_computed_answers_count_in_the_order_in_which_they_were_given(
    site: Site, app: App, away: str
) -> None:
    site.add(PLAYER, [Record("q", stability=1), Record("r", stability=1)])
    right = [{"question_id": name, "quality": 5, "response_time_ms": 3000} for name in ("q", "r")]
    reviews.submit_review_session(responses=right)
    if away != "nothing":
        {"journal": site.servers.journal, "cache": site.servers.cache}[away].kill()
    # The earlier answer still waits, and is older.
    assert persist_review_batch([computed("q", 1, -1)], PLAYER, SEASON) == 1
    session = reviews.get_review_session()
    assert [(each["question_id"], each["stability"]) for each in session["questions"]] == [("q", 1)]
    site.servers.heal()
    reviews.submit_review_session(responses=right)
    frappe.recorded.run_jobs()

    def is_saved() -> bool:
        # A server that was down is not asked again at once.
        persist_review_batch()
        status = site.engine().journal_status()
        return status["reachable"] and not status["backlog"]

    assert wait_until(is_saved)
    assert {name: row["stability"] for name, row in site.rows().items()} == {"q": 2, "r": 3}


@pytest.mark.parametrize("lost", [("journal",), ("cache", "journal")], ids=str)
def test_computed_answers_of_a_process_alone_count_in_their_place(
    site: Site, engine: Engine, wires: Wires, lost: tuple[str, ...]
) -> None:
    site.add(PLAYER, [Record("q", stability=1, topic=TOPICS[0])])
    alone = process(site, wires)
    assert [each.due(PLAYER)["total_due"] for each in (engine, alone)] == [1, 1]
    right = json.dumps([{"question_id": "q", "quality": 5, "response_time_ms": 3000}])
    engine.submit(PLAYER, responses=right)
    with cut_off(site, wires, lost, "refuse"):
        assert alone.set_states(PLAYER, SEASON, [("q", 3, 1.0, None, None)]) == 1
        assert shown(engine, PLAYER) == 3
        engine.submit(PLAYER, responses=right)
        assert shown(engine, PLAYER) == 4
    engine.drain()
    assert site.rows()["q"]["stability"] == 4
    assert shown(engine, PLAYER) == 4


def test_computed_answers_may_be_given_again(site: Site, app: App) -> None:
    given = json.dumps(
        [
            {
                "question_id": number,
                "new_stability": 2,
                "new_next_review_date": "2020-01-01 12:00:00",
            }
            for number in range(120)
        ]
    )
    for _ in range(2):
        assert persist_review_batch(responses=given, user=PLAYER.upper(), season=SEASON) == 120
    assert len(site.rows()) == 120
    assert reviews.get_review_session()["total_due"] == 120


def test_of_several_computed_answers_to_a_question_the_last_counts(site: Site, app: App) -> None:
    given = [computed("q", stability) for stability in (4, 0, 2)]
    assert persist_review_batch(given, PLAYER, SEASON) == 1
    assert site.rows()["q"]["stability"] == 2


def test_computed_answers_of_a_season_that_is_over_are_written(site: Site, app: App) -> None:
    season = ended_season(site, questions=1)
    assert persist_review_batch([computed()], PLAYER, season) == 1
    assert list(site.rows(season=season)) == ["q"]
    SRSArchiver().archive_season(season)
    with pytest.raises(frappe.ValidationError, match="archived"):
        persist_review_batch([computed("r")], PLAYER, season)


def test_a_callers_own_transaction_stays_its_own(site: Site, app: App) -> None:
    count = "SELECT COUNT(*) AS many FROM `tabPlayer Memory Tracker`"
    assert frappe.local.db.sql(count) == [{"many": 0}]
    persist_review_batch([computed("q")], PLAYER, SEASON)
    # A transaction that has only read sees the written records.
    assert frappe.local.db.sql(count) == [{"many": 1}]
    frappe.local.db.sql("update `tabGame Topic` set modified = modified")
    persist_review_batch([computed("r")], PLAYER, SEASON)
    assert frappe.local.db.transaction_writes == 1
    assert sorted(site.rows()) == ["q", "r"]


@pytest.mark.parametrize(
    ("responses", "told"),
    [
        ("{", "JSON"),
        ("7", "list"),
        ({"question_id": "q"}, "list"),
        (["q"], "mapping"),
        ([{}], "question_id"),
        ([computed() | {"question_id": 1.5}], "question_id"),
        ([computed(True)], "question_id"),
        ([computed(" q")], "question_id"),
        ([computed("q" * 141)], "question_id"),
        ([computed(stability=5)], "new_stability"),
        ([computed(stability=-1)], "new_stability"),
        ([computed(stability=1.5)], "new_stability"),
        ([computed(stability=True)], "new_stability"),
        ([computed(stability=None)], "new_stability"),
        ([computed() | {"new_next_review_date": None}], "new_next_review_date"),
        ([computed() | {"new_next_review_date": ""}], "new_next_review_date"),
        ([computed() | {"new_next_review_date": "soon"}], "answer 1"),
        ([computed() | {"new_next_review_date": float("nan")}], "Unix time"),
        ([computed(subject=5)], "subject"),
        ([computed(subject="Alchemy")], 'no subject "Alchemy"'),
        ([computed(topic="Gold")], 'no topic "Gold"'),
        ([computed("q"), computed("r", 9)], "answer 2"),
    ],
)
def test_computed_answers_that_cannot_be_are_refused(
    site: Site, app: App, responses: Any, told: str
) -> None:
    with pytest.raises(frappe.ValidationError, match=told):
        persist_review_batch(responses, PLAYER, SEASON)
    assert site.rows() == {}
    assert site.waiting() == 0


@pytest.mark.parametrize(
    ("user", "season"),
    [
        ("nobody@school.example", SEASON),
        (PLAYER, "SEASON-1900"),
        (PLAYER, "a:b"),
        ("", SEASON),
        (PLAYER, None),
        (None, SEASON),
    ],
)
def test_computed_answers_of_nobody_and_of_no_season_are_refused(
    site: Site, app: App, user: Any, season: Any
) -> None:
    with pytest.raises(frappe.ValidationError):
        persist_review_batch([computed()], user, season)
    assert site.waiting() == 0


def test_computed_answers_are_not_for_the_web(app: App) -> None:
    methods = frappe.allowed_http_methods_for_whitelisted_func
    assert not {persist_review_batch, reviews.get_reviews_safe_mode} & methods.keys()


def test_without_the_database_no_computed_answer_is_acknowledged(site: Site, app: App) -> None:
    site.servers.database.kill()
    with pytest.raises(ReviewsUnavailable):
        persist_review_batch([computed()], PLAYER, SEASON)


def test_without_arguments_the_journal_is_drained(site: Site, app: App) -> None:
    reviews.submit_review_session(session_data=answers("p", "q"))
    report = persist_review_batch()
    assert report is not None
    assert (report["submissions"], report["answers"]) == (1, 2)
    assert persist_review_batch([], PLAYER, SEASON) == 0


# -- Python: reconciliation, archive, Safe Mode ---------------------------------------------------
def test_the_report_of_all_seasons(site: Site, engine: Engine, app: App) -> None:
    ended = ended_season(site, questions=10)
    site.add(PLAYER, overdue(40))
    engine.due(PLAYER)
    for number in range(3):
        engine.rehydrate(f"student{number}", ended)
    forget(site, PLAYER, "q001")
    report = reconcile_cache_with_database(sample_size=10_000)
    assert report["seasons"].keys() == {SEASON, ended}
    assert report["sample_size"] == sum(each["records"] for each in report["seasons"].values())
    assert (report["discrepancies_found"], report["auto_corrected"]) == (1, 1)
    assert report["discrepancy_rate"] == pytest.approx(1 / report["sample_size"])
    assert report["alert_triggered"]


def test_the_archiver(site: Site, app: App) -> None:
    season, waiting = (ended_season(site, questions=5) for _ in range(2))
    archived = SRSArchiver().archive_season(season)
    assert (archived["success"], archived["archived_count"]) == (True, 200)
    assert (archived["step"], archived["done"]) == ("done", 200)
    site.sql(
        "UPDATE `tabGame Subscription Season` SET auto_archive = 1 WHERE name = %s", (waiting,)
    )
    frappe.local.db.commit()
    SRSArchiver().process_auto_archive()
    assert [job.arguments["season"] for job in frappe.recorded.jobs] == [waiting]
    assert SRSArchiver().flag_eligible_for_deletion() == 0
    site.sql("UPDATE `tabArchived Memory Tracker` SET archived_at = '2020-01-01'")
    archived_long_ago(site, season)
    assert SRSArchiver().flag_eligible_for_deletion() == 200


def test_a_read_of_safe_mode_is_counted(site: Site, app: App) -> None:
    manager = SafeModeManager()
    assert manager.check_rate_limit(PLAYER) is True
    assert manager.check_rate_limit(PLAYER) is False
    assert manager.check_rate_limit(OTHER) is True
    site.add(PLAYER, overdue(3))
    site.servers.cache.kill()
    with pytest.raises(frappe.TooManyRequestsError):
        reviews.get_review_session()
    with pytest.raises(frappe.PermissionError):
        manager.check_rate_limit("Guest")


def test_what_safe_mode_shows(site: Site, app: App) -> None:
    site.add(PLAYER, overdue(12, subject="Science"))
    site.add(PLAYER, overdue(3, prefix="a", subject="Arabic"))
    site.add(OTHER, overdue(1, prefix="o"))
    reviews.submit_review_session(responses=[{"question_id": "q000", "quality": 5}])
    # Entries that wait in the journal are applied to the database's records.
    shown = reviews.get_reviews_safe_mode(PLAYER, SEASON)
    assert len(shown) == 10
    assert (shown[0]["question_id"], shown[0]["stage_id"]) == ("q001", "q001")
    assert len(reviews.get_reviews_safe_mode(PLAYER, SEASON, limit=50)) == 10
    arabic = reviews.get_reviews_safe_mode(PLAYER, SEASON, 2, "Arabic")
    assert [each["question_id"] for each in arabic] == ["a000", "a001"]
    site.servers.cache.kill()
    assert reviews.get_reviews_safe_mode(user=PLAYER, season=SEASON) == shown
    assert reviews.get_review_session()["questions"] == shown
    with pytest.raises(frappe.ValidationError, match='no subject "Alchemy"'):
        reviews.get_reviews_safe_mode(PLAYER, SEASON, subject="Alchemy")


# -- what a caller has misspelt -------------------------------------------------------------------
@pytest.mark.parametrize(
    ("asked", "told", "code"),
    [
        ({"subject": "Alchemy"}, 'There is no subject "Alchemy".', "memora.unknown_subject"),
        ({"topic_id": "Gold"}, 'There is no topic "Gold".', "memora.unknown_topic"),
        ({"subject": "science"}, 'There is no subject "science".', "memora.unknown_subject"),
        (
            {"subject": "Science", "topic_id": "Gold"},
            'There is no topic "Gold".',
            "memora.unknown_topic",
        ),
    ],
)
@pytest.mark.parametrize("state", ["cold", "warm", "Safe Mode", "no cache"])
def test_a_read_of_what_does_not_exist_is_told(
    site: Site, client: Client, asked: dict[str, str], told: str, code: str, state: str
) -> None:
    site.add(PLAYER, overdue(3, subject="Science", topic="Plants"))
    if state == "warm":
        site.engine().due(PLAYER)
    if state == "Safe Mode":
        site.servers.cache.kill()
    if state == "no cache":
        site.sql("UPDATE `tabGame Subscription Season` SET enable_redis = 0")
    answer = client.get(f"{METHODS}.reviews.get_review_session", query_string=asked)
    error = answer.get_json()
    assert (answer.status_code, error["exc_type"]) == (417, "ValidationError")
    assert error["error_code"] == code
    assert told in json.loads(json.loads(error["_server_messages"])[0])["message"]


@pytest.mark.engines(**BELIEVING)
@pytest.mark.parametrize(
    "asked", [{"subject": "Science"}, {"topic_id": "Plants"}, {"subject": "Arabic"}]
)
def test_what_exists_is_known_without_sql(site: Site, app: App, asked: dict[str, str]) -> None:
    site.add(PLAYER, overdue(3, subject="Science", topic="Plants"))
    for _ in range(2):
        reviews.get_review_session(**asked)
    with site.counting() as costs:
        reviews.get_review_session(**asked)
    assert costs[0].statements == 0
    # At most one of them reports how long calls took.
    assert costs[0].cache_round_trips + costs[0].journal_round_trips <= 2


def test_a_subject_that_is_deleted_is_known_no_more(site: Site, app: App) -> None:
    site.add(PLAYER, overdue(3))
    assert reviews.get_review_session(subject="Arabic")["total_due"] == 0
    site.sql("DELETE FROM `tabGame Subject` WHERE name = 'Arabic'")
    site.engine().links_changed()
    with pytest.raises(frappe.ValidationError, match='no subject "Arabic"'):
        reviews.get_review_session(subject="Arabic")


def test_without_the_database_a_warm_read_is_not_refused(site: Site, app: App) -> None:
    site.add(PLAYER, overdue(3, subject="Science"))
    reviews.get_review_session()
    site.servers.database.kill()
    assert reviews.get_review_session(subject="Science")["total_due"] == 3


def test_both_forms_at_once_are_told_as_that(site: Site, app: App) -> None:
    one = [{"question_id": "q", "quality": 4}]
    with pytest.raises(frappe.ValidationError, match="not both"):
        reviews.submit_review_session(session_data=answers("q"), responses=one)
    with pytest.raises(frappe.ValidationError) as refusal:
        reviews.submit_review_session(session_data="", responses=None)
    assert "both" not in str(refusal.value)
    assert site.waiting() == 0


@pytest.mark.parametrize("job_id", ["", None])
def test_a_missing_job_id_is_an_error_of_the_arguments(client: Client, job_id: str | None) -> None:
    sent = {} if job_id is None else {"job_id": job_id}
    answer = client.get(f"{METHODS}.reviews.get_persistence_status", query_string=sent)
    assert (answer.status_code, answer.get_json()["exc_type"]) == (417, "ValidationError")
    assert "job_id is missing" in answer.get_json()["_server_messages"]


def test_a_job_id_of_nobody_is_not_found(client: Client) -> None:
    answer = client.get(f"{METHODS}.reviews.get_persistence_status?job_id=none")
    assert answer.status_code == 404
