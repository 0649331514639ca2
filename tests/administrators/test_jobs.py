"""What administrators start and watch: rebuilds, reconciliations, and their reports."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from memora._engine import Engine, InvalidInput, SeasonUnavailable
from memora.api import srs
from memora.memora.doctype.game_subscription_season.game_subscription_season import (
    GameSubscriptionSeason,
)
from memora.memora.doctype.memory_review_audit import memory_review_audit
from memora.memora.doctype.srs_job.srs_job import SRSJob
from memora.services import srs_archiver, srs_jobs, srs_reconciliation, srs_redis_manager
from memora.services.errors import ReviewsUnavailable
from tests import frappe_standin as frappe
from tests.administrators.test_archive import ended_season
from tests.administrators.test_rebuild import STUDENTS, check_truth, school
from tests.administrators.test_reconcile import forget
from tests.support.servers import wait_until
from tests.support.site_under_test import PLAYER, SEASON, Record, Site, session

__all__ = ["school"]

App = Callable[..., None]
MANAGER = frappe.MANAGER
NOBODY_ELSE = ["Guest", PLAYER]

CALLS: dict[str, Callable[[], object]] = {
    "get_cache_status": srs.get_cache_status,
    "get_monitor": srs.get_monitor,
    "get_metrics": srs.get_metrics,
    "get_job": lambda: srs.get_job("x"),
    "rebuild_season_cache": lambda: srs.rebuild_season_cache(SEASON),
    "trigger_reconciliation": srs.trigger_reconciliation,
    "request_reconciliation": srs.request_reconciliation,
    "cancel_job": lambda: srs.cancel_job("x"),
    "request_training": lambda: srs.request_training(SEASON),
    "get_scheduler_report": lambda: srs.get_scheduler_report(SEASON),
}


@pytest.fixture
def manager(school: Site, app: App, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The season of 40 students, with an administrator logged in who sees every piece of work."""
    monkeypatch.setattr(srs_jobs, "NEWS_SECONDS", 0.0)
    app(user=MANAGER)
    return school


def rows(site: Site) -> list[dict[str, Any]]:
    """The SRS Jobs in the order in which they were requested."""
    return site.sql("SELECT * FROM `tabSRS Job` ORDER BY creation")


# -- rebuild
# ----------------------------------------------------------------------------------------
def test_a_manager_rebuilds_a_season(manager: Site) -> None:
    requested = srs.rebuild_season_cache(SEASON)
    assert (requested["season"], requested["status"]) == (SEASON, "started")
    job = srs.get_job(requested["job"])
    assert (job["kind"], job["status"], job["requested_by"], job["percent"]) == (
        "Rebuild",
        "Queued",
        MANAGER,
        0,
    )
    assert [each.queue for each in frappe.recorded.jobs] == ["long"]
    # Asked for again, it is the same one.
    assert srs.rebuild_season_cache(SEASON) == requested
    assert len(frappe.recorded.jobs) == 1
    frappe.recorded.run_jobs()
    job = srs.get_job(requested["job"])
    assert (job["status"], job["done"], job["total"], job["percent"]) == ("Done", 1000, 1000, 100.0)
    assert job["message"] == "1,000 records of 40 students are cached."
    assert job["started_at"] <= job["finished_at"]
    check_truth(manager, *STUDENTS)
    (notification,) = frappe.recorded.notifications
    assert (notification["users"], "1,000" in notification["email_content"]) == ([MANAGER], True)
    assert srs.rebuild_season_cache(SEASON)["job"] != requested["job"]


def test_its_progress_is_told(manager: Site) -> None:
    srs.rebuild_season_cache(SEASON)
    frappe.recorded.run_jobs()
    assert {name for name, _news in frappe.recorded.published} == {"memora_job"}
    told = [news for _name, news in frappe.recorded.published]
    assert [told[0]["status"], told[1]["status"], told[-1]["status"]] == [
        "Queued",
        "Running",
        "Done",
    ]
    done = [news["done"] for news in told]
    assert done == sorted(done)
    assert len({news["percent"] for news in told}) > 3
    assert set(told[0]) == set(srs_jobs.FIELDS) | {"percent"}


def test_it_goes_on_when_nobody_can_be_told(manager: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def publish(*_news: object, **_where: object) -> None:
        raise TimeoutError("no socket.io")

    monkeypatch.setattr(frappe, "publish_realtime", publish)
    srs.rebuild_season_cache(SEASON)
    frappe.recorded.run_jobs()
    assert [row["status"] for row in rows(manager)] == ["Done"]


def test_a_rebuild_is_cancelled(manager: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    requested = srs.rebuild_season_cache(SEASON)
    publish = frappe.publish_realtime

    def cancel_once_it_runs(event: str, message: dict[str, Any], room: str | None = None) -> None:
        publish(event, message, room)
        if message["status"] == "Running" and message["done"]:
            frappe.local.db.set_value("SRS Job", requested["job"], "cancel_requested", 1)

    monkeypatch.setattr(frappe, "publish_realtime", cancel_once_it_runs)
    frappe.recorded.run_jobs()
    job = srs.get_job(requested["job"])
    assert job["status"] == "Cancelled"
    assert 0 < job["done"] < 1000
    assert frappe.recorded.notifications == []
    monkeypatch.undo()
    frappe.recorded.at_once = True
    assert srs.get_job(srs.rebuild_season_cache(SEASON)["job"])["status"] == "Done"


def test_what_waits_and_is_cancelled_never_begins(manager: Site, engine: Engine) -> None:
    requested = srs.rebuild_season_cache(SEASON)
    assert srs.cancel_job(requested["job"])["status"] == "Cancelled"
    frappe.recorded.run_jobs()
    assert srs.get_job(requested["job"])["status"] == "Cancelled"
    assert not engine.cache_stats(STUDENTS[0], SEASON)["complete"]
    again = srs.rebuild_season_cache(SEASON)
    frappe.recorded.run_jobs()
    assert srs.cancel_job(again["job"])["status"] == "Done"


def test_an_archive_is_not_cancelled(manager: Site) -> None:
    season = ended_season(manager, questions=1)
    srs_archiver.SRSArchiver().archive_season(season)
    (job,) = rows(manager)
    assert (job["kind"], job["season"], job["status"]) == ("Archive", season, "Done")
    assert (job["done"], job["total"]) == (40, 40)
    with pytest.raises(frappe.ValidationError, match="cannot be cancelled"):
        srs.cancel_job(job["name"])


def test_a_job_whose_process_was_killed_is_interrupted(manager: Site, engine: Engine) -> None:
    name = srs_jobs.new_job("Rebuild", SEASON)
    frappe.local.db.set_value("SRS Job", name, {"status": "Running", "done": 5})
    frappe.local.db.commit()
    # It could be just beginning or ending.
    assert srs.get_job(name)["status"] == "Running"
    long_ago = manager.now() - timedelta(seconds=srs_jobs.SILENT_SECONDS + 1)
    manager.sql("UPDATE `tabSRS Job` SET modified = %s", (long_ago,))
    frappe.local.db.commit()
    seen: list[str] = []

    def look(_news: object) -> None:
        srs_jobs.look_after_jobs()
        seen.append(srs.get_job(name)["status"])

    engine.rebuild(SEASON, look)
    assert set(seen) == {"Running"}
    assert wait_until(lambda: srs.get_job(name)["status"] == "Interrupted")
    srs_jobs.look_after_jobs()
    assert [row["status"] for row in rows(manager)] == ["Interrupted"]


def test_a_dead_job_makes_room_for_the_next(manager: Site) -> None:
    name = srs_jobs.new_job("Rebuild", SEASON)
    frappe.local.db.set_value("SRS Job", name, "status", "Running")
    frappe.local.db.commit()
    again = srs.rebuild_season_cache(SEASON)["job"]
    assert again != name
    frappe.recorded.run_jobs()
    assert srs.get_job(again)["status"] == "Done"
    manager.sql(
        "UPDATE `tabSRS Job` SET modified = modified - INTERVAL 2 MINUTE WHERE name = %s", (name,)
    )
    frappe.local.db.commit()
    srs_jobs.look_after_jobs()
    assert [row["status"] for row in rows(manager)] == ["Interrupted", "Done"]


def test_what_the_queue_has_lost_is_interrupted(manager: Site) -> None:
    srs.rebuild_season_cache(SEASON)
    manager.sql("UPDATE `tabSRS Job` SET modified = modified - INTERVAL 2 DAY")
    frappe.local.db.commit()
    srs_jobs.look_after_jobs()
    assert [row["status"] for row in rows(manager)] == ["Queued"]
    frappe.recorded.jobs.clear()
    srs_jobs.look_after_jobs()
    assert [row["status"] for row in rows(manager)] == ["Interrupted"]


def test_what_the_queue_has_lost_keeps_nobody_waiting(manager: Site) -> None:
    lost = srs.rebuild_season_cache(SEASON)["job"]
    frappe.recorded.jobs.clear()
    job = srs.rebuild_season_cache(SEASON)["job"]
    assert job != lost
    frappe.recorded.run_jobs()
    assert srs.get_job(job)["status"] == "Done"


def test_many_who_ask_at_once_get_one_job(manager: Site, app: App) -> None:
    def request(_number: int) -> str:
        app(user=MANAGER)
        try:
            return str(srs.rebuild_season_cache(SEASON)["job"])
        finally:
            frappe.destroy()

    with ThreadPoolExecutor(6) as threads:
        jobs = set(threads.map(request, range(6)))
    assert (len(jobs), len(frappe.recorded.jobs), len(rows(manager))) == (1, 1, 1)


def test_what_is_refused_leaves_no_job(manager: Site, engine: Engine) -> None:
    ended, uncached, archived = (ended_season(manager, questions=1) for _ in range(3))
    manager.sql(
        "UPDATE `tabGame Subscription Season` SET enable_redis = 0 WHERE name = %s", (uncached,)
    )
    srs_archiver.SRSArchiver().archive_season(archived)
    noted = rows(manager)
    archiver = srs_archiver.SRSArchiver()
    refused: list[Callable[[], object]] = [
        lambda: srs_redis_manager.rebuild_season("SEASON-1999"),
        lambda: srs_redis_manager.rebuild_season(SEASON.lower()),
        lambda: srs_redis_manager.rebuild_season(f"{SEASON} "),
        lambda: srs_redis_manager.rebuild_season(uncached),
        lambda: srs_reconciliation.reconcile_season(archived),
        lambda: srs_reconciliation.reconcile_season(SEASON, share=2),
        lambda: archiver.archive_season(SEASON),
        lambda: archiver.archive_season(ended.lower()),
        lambda: archiver.delete_eligible("SEASON-1999"),
    ]

    def refuse_all(_news: object = None) -> None:
        for call in refused:
            with pytest.raises((InvalidInput, SeasonUnavailable)):
                call()

    refuse_all()
    refused[:] = [lambda: srs_redis_manager.rebuild_season(SEASON)]
    # Another process does it.
    engine.rebuild(SEASON, refuse_all)
    with pytest.raises(TypeError):
        srs_redis_manager.rebuild_season(SEASON, share="much")  # type: ignore[arg-type]
    assert rows(manager) == noted


def test_a_key_ends_a_job_as_cancelled(manager: Site) -> None:
    def press_ctrl_c(_news: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        srs_redis_manager.rebuild_season(SEASON, on_progress=press_ctrl_c)
    assert [row["status"] for row in rows(manager)] == ["Cancelled"]


def test_a_requested_job_whose_season_is_gone_has_failed(manager: Site) -> None:
    requested = srs.rebuild_season_cache(SEASON)["job"]
    manager.sql("DELETE FROM `tabGame Subscription Season`")
    frappe.recorded.run_jobs()
    assert srs.get_job(requested)["status"] == "Failed"


def test_a_failure_is_told(manager: Site) -> None:
    requested = srs.rebuild_season_cache(SEASON)
    manager.servers.cache.kill()
    frappe.recorded.run_jobs()
    job = srs.get_job(requested["job"])
    assert (job["status"], "cache" in job["message"]) == ("Failed", True)
    assert any("could not be rebuilt" in each["subject"] for each in frappe.recorded.notifications)


# -- reconciliation
# -----------------------------------------------------------------------------------
def test_a_manager_reconciles(manager: Site, engine: Engine) -> None:
    engine.rebuild(SEASON)
    forget(manager, STUDENTS[0], "q1", "q2")
    (name,) = srs.request_reconciliation(sample_size="0", season=SEASON)["jobs"]
    frappe.recorded.run_jobs()
    job = srs.get_job(name)
    assert (job["status"], job["sample_size"], job["records"], job["missing"]) == (
        "Done",
        0,
        1000,
        2,
    )
    assert (job["percent_differing"], job["percent_low"], job["corrected"]) == (0.2, 0.2, 1)
    assert "2 of 1,000 records of 40 students differ" in job["message"]
    # 0.2% is more than 0.1%.
    (notification,) = frappe.recorded.notifications
    assert "2 missing" in notification["email_content"]
    check_truth(manager, *STUDENTS)


def test_little_is_no_alarm(manager: Site, engine: Engine) -> None:
    engine.rebuild(SEASON)
    forget(manager, STUDENTS[0], "q1")
    found = srs_reconciliation.reconcile_seasons(0)
    assert found[SEASON]["percent_differing"] == pytest.approx(0.1)
    assert frappe.recorded.notifications == []
    forget(manager, STUDENTS[0], "")
    found = srs_reconciliation.reconcile_seasons(0, SEASON)
    assert (found[SEASON]["half_filled"], len(frappe.recorded.notifications)) == (1, 1)


def test_every_day_each_cached_season_is_sampled(manager: Site) -> None:
    ended, uncached, archived = (ended_season(manager, questions=1) for _ in range(3))
    manager.sql(
        "UPDATE `tabGame Subscription Season` SET enable_redis = 0 WHERE name = %s", (uncached,)
    )
    srs_archiver.SRSArchiver().archive_season(archived)
    for season in (SEASON, ended):
        manager.engine().rehydrate(STUDENTS[0], season)
    assert set(srs_reconciliation.reconcile_cache_with_database()["seasons"]) == {SEASON, ended}
    done = [row for row in rows(manager) if row["kind"] == "Reconciliation"]
    assert {(row["season"], row["status"], row["sample_size"]) for row in done} == {
        (season, "Done", 10_000) for season in (SEASON, ended)
    }
    assert len(srs.request_reconciliation()["jobs"]) == 2


def test_one_season_that_fails_keeps_no_other_from_it(manager: Site) -> None:
    ended = ended_season(manager, questions=1)
    tries: list[str] = []
    engine = manager.engine()
    for season in (SEASON, ended):
        engine.rehydrate(STUDENTS[0], season)
    lock = threading.Event()

    def hold(_news: object) -> None:
        # Another process is reconciling the ended season.
        if not lock.is_set():
            lock.set()
            tries.extend(srs_reconciliation.reconcile_cache_with_database()["seasons"])

    engine.reconcile(ended, progress=hold)
    assert tries == [SEASON]
    assert [(row["season"], row["status"]) for row in rows(manager)] == [(SEASON, "Done")]


@pytest.mark.parametrize("size", [-1, "x", 1.5, True, None, [], 10**10])
def test_a_sample_size_is_a_whole_number(manager: Site, size: Any) -> None:
    for call in (srs.trigger_reconciliation, srs.request_reconciliation):
        with pytest.raises(frappe.ValidationError):
            call(sample_size=size)
    assert frappe.recorded.jobs == []


# -- who may, and what is refused
# -----------------------------------------------------------------------
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("user", NOBODY_ELSE)
def test_others_than_system_managers_are_refused(
    site: Site, app: App, call: Callable[[], object], user: str
) -> None:
    app(user=user)
    with pytest.raises(frappe.PermissionError):
        call()
    assert frappe.recorded.jobs == []
    assert rows(site) == []


def test_what_changes_something_is_post_only() -> None:
    methods = frappe.allowed_http_methods_for_whitelisted_func
    for name in CALLS:
        changes = name.startswith(("rebuild", "trigger", "request", "cancel"))
        assert methods[getattr(srs, name)] == (["POST"] if changes else ["GET", "POST"]), name


@pytest.mark.parametrize("name", ["", None, 7, "x", "<b>", "'", "x" * 10**5, ["a"], "\ud800"])
def test_what_is_no_job_and_no_season_is_refused(manager: Site, name: Any) -> None:
    for call in (srs.get_job, srs.cancel_job, srs.rebuild_season_cache):
        with pytest.raises((frappe.DoesNotExistError, frappe.ValidationError)) as refusal:
            call(name)
        assert len(str(refusal.value)) < 200
        assert "<b>" not in str(refusal.value)
    assert rows(manager) == []


def test_seasons_without_cache_are_refused(manager: Site) -> None:
    manager.sql("UPDATE `tabGame Subscription Season` SET enable_redis = 0")
    for call in (
        srs.rebuild_season_cache,
        lambda season: srs.trigger_reconciliation(season=season),
    ):
        with pytest.raises(frappe.ValidationError, match="does not use the cache"):
            call(SEASON)
    manager.sql(
        "UPDATE `tabGame Subscription Season` SET enable_redis = 1, archive_status = 'Archived'"
    )
    frappe.local.db.commit()
    for call in (
        srs.rebuild_season_cache,
        lambda season: srs.trigger_reconciliation(season=season),
    ):
        with pytest.raises(frappe.ValidationError, match="archived"):
            call(SEASON)
    assert rows(manager) == []


def test_without_the_queue_nothing_is_begun(manager: Site) -> None:
    manager.servers.journal.kill()
    for call in (
        srs.rebuild_season_cache,
        lambda season: srs.request_reconciliation(season=season),
    ):
        with pytest.raises(ReviewsUnavailable, match="redis_queue"):
            call(SEASON)
    assert rows(manager) == []


# -- enable_redis
# -----------------------------------------------------------------------------------------
def save_season(**values: Any) -> None:
    """Save the season as its form does."""
    document = {
        "doctype": "Game Subscription Season",
        "name": SEASON,
        "season_name": SEASON,
        **values,
    }
    before = frappe.Document({**document, "enable_redis": 0})
    GameSubscriptionSeason({**document, "enable_redis": values["enable_redis"]}, before).on_update()
    frappe.local.db.commit()


def test_a_season_that_uses_the_cache_again_is_rebuilt(manager: Site, engine: Engine) -> None:
    engine.rebuild(SEASON)
    manager.cache.zadd(manager.key("srs", STUDENTS[0]), {"old": 1.0})
    save_season(enable_redis=1)
    assert [job.method for job in frappe.recorded.jobs] == [srs_redis_manager.REBUILD_JOB]
    frappe.recorded.run_jobs()
    assert [(row["kind"], row["status"]) for row in rows(manager)] == [("Rebuild", "Done")]
    check_truth(manager, *STUDENTS)
    assert manager.engine().due(STUDENTS[0])["total_due"] == 11


def test_one_that_does_not_use_it_is_not(manager: Site) -> None:
    save_season(enable_redis=0)
    assert frappe.recorded.jobs == []


def test_without_the_queue_the_season_is_saved_all_the_same(
    manager: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def enqueue(*_arguments: object, **_more: object) -> None:
        raise ConnectionError("redis_queue is down")

    monkeypatch.setattr(frappe, "enqueue", enqueue)
    save_season(enable_redis=1)
    assert manager.engine().due(STUDENTS[0])["total_due"] == 11


# -- the history
# ------------------------------------------------------------------------------------------
def test_old_jobs_are_forgotten(manager: Site) -> None:
    for _ in range(2):
        srs_jobs.new_job("Rebuild", SEASON)
    (old, _new) = rows(manager)
    manager.sql(
        "UPDATE `tabSRS Job` SET modified = modified - INTERVAL 400 DAY WHERE name = %s",
        (old["name"],),
    )
    frappe.local.db.commit()
    SRSJob.clear_old_logs()
    frappe.local.db.commit()
    assert len(rows(manager)) == 1


def test_old_audit_records_are_forgotten_a_few_at_a_time(
    manager: Site, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_review_audit, "AT_A_TIME", 2)
    for number in range(6):
        engine.submit(STUDENTS[0], session_data=session(f"q{number}"))
    engine.drain()
    manager.sql(
        "UPDATE `tabMemory Review Audit` SET modified = modified - INTERVAL 400 DAY LIMIT 5"
    )
    frappe.local.db.commit()
    memory_review_audit.MemoryReviewAudit.clear_old_logs()
    assert len(manager.sql("SELECT name FROM `tabMemory Review Audit`")) == 1
    # With their logs of answers.
    assert len(engine.answers(STUDENTS[0], SEASON)) == 1


def test_audit_records_stay_that_tell_what_the_database_lacks(
    manager: Site, engine: Engine
) -> None:
    for number in range(2):
        engine.submit(STUDENTS[0], session_data=session(f"q{number}"))
    engine.drain()
    manager.sql("UPDATE `tabMemory Review Audit` SET modified = modified - INTERVAL 25 HOUR")
    manager.sql("UPDATE `tabMemory Review Audit` SET modified = modified - INTERVAL 1 DAY LIMIT 1")
    frappe.local.db.commit()
    memory_review_audit.MemoryReviewAudit.clear_old_logs(days=0)
    assert len(manager.sql("SELECT name FROM `tabMemory Review Audit`")) == 1


def test_submissions_with_a_key_are_known_for_thirty_days(manager: Site, engine: Engine) -> None:
    for days in (29, 31):
        engine.submit(STUDENTS[0], session_data=session("q"), submission_id=f"{days}")
        engine.drain()
        manager.sql(
            "UPDATE `tabMemory Review Audit` SET modified = NOW() - INTERVAL %s DAY "
            "WHERE modified > NOW() - INTERVAL 1 DAY",
            (days,),
        )
    frappe.local.db.commit()
    memory_review_audit.MemoryReviewAudit.clear_old_logs(days=7)
    manager.journal.flushall()
    known = engine.submit(STUDENTS[0], session_data=session("q"), submission_id="29")
    engine.drain()
    assert len(manager.sql("SELECT name FROM `tabMemory Review Audit`")) == 1
    assert engine.persistence_status(STUDENTS[0], known["persistence_job_id"]) == "persisted"


def test_jobs_can_be_told_to_programs(manager: Site) -> None:
    frappe.recorded.at_once = True
    srs.rebuild_season_cache(SEASON)
    srs.trigger_reconciliation(season=SEASON)
    json.dumps([srs.get_monitor()[name] for name in ("discrepancies", "jobs", "latency")])
    for job in srs.get_monitor()["jobs"]:
        assert srs.get_job(job["name"]) == job


def test_more_records_change_nothing_about_a_job(manager: Site) -> None:
    """A new student whom the rebuild has already passed is loaded at their first read."""
    frappe.recorded.at_once = True
    srs.rebuild_season_cache(SEASON)
    manager.add("aaa@school.example", [Record("q")])
    assert manager.engine().due("aaa@school.example")["total_due"] == 1
