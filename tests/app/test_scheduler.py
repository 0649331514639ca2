"""Without Frappe's scheduler, answers are still written, and administrators are told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from memora._engine import Engine
from memora.api import reviews, srs
from memora.commands import memora
from memora.services.engine import notice_time_zone
from memora.services.metrics import metrics_text
from memora.services.scheduler import EACH_MINUTE, mend_schedule, scheduler_status
from memora.site_engine import _engines
from tests import frappe_standin as frappe
from tests.support.servers import wait_until
from tests.support.site_under_test import PLAYER, Record, Site, session

App = Callable[..., None]
OVERDUE_JOB = "memora.services.srs_persistence.drain_overdue"
TYPES = "`tabScheduled Job Type`"


def lose_the_drain(site: Site, waited: timedelta) -> None:
    """Make the journal's entries this old, with no drain queued for them."""
    entries = site.journal.xrange(site.key("srs-journal"))
    site.journal.flushall()
    for place, (_id, fields) in enumerate(entries):
        since = int((datetime.now() - waited).timestamp() * 1000)
        site.journal.xadd(site.key("srs-journal"), fields, id=f"{since}-{place}")
    frappe.recorded.jobs.clear()


def queued_by_another_process(call: Callable[[], object]) -> list[object]:
    _engines.clear()
    call()
    return [job.method for job in frappe.recorded.jobs]


def test_a_read_notices_that_nobody_drained_for_a_minute(site: Site, app: App) -> None:
    site.add(PLAYER, [Record("q"), Record("r")])
    reviews.submit_review_session(session_data=session("q"))
    lose_the_drain(site, timedelta(seconds=61))
    assert queued_by_another_process(reviews.get_review_session) == [OVERDUE_JOB]
    # For a minute, the others leave it to that process.
    assert queued_by_another_process(reviews.get_review_session) == [OVERDUE_JOB]
    assert 0 < site.journal.ttl(site.key("srs-drain-queued")) <= 60
    frappe.recorded.run_jobs()
    assert site.rows()["q"]["stability"] == 3
    assert site.waiting() == 0
    assert queued_by_another_process(reviews.get_review_session) == []


def test_a_submission_has_it_drained_with_its_own(site: Site, app: App) -> None:
    reviews.submit_review_session(session_data=session("q"))
    lose_the_drain(site, timedelta(seconds=61))
    app(user="other@school.example")
    (queued,) = queued_by_another_process(
        lambda: reviews.submit_review_session(session_data=session("r"))
    )
    assert queued != OVERDUE_JOB
    frappe.recorded.run_jobs()
    assert list(site.rows()) == ["q"]


@pytest.mark.parametrize("is_cached", [True, False])
def test_what_has_not_waited_for_a_minute_is_left_to_its_drain(
    site: Site, app: App, is_cached: bool
) -> None:
    site.sql("UPDATE `tabGame Subscription Season` SET enable_redis = %s", (int(is_cached),))
    reviews.submit_review_session(session_data=session("q"))
    lose_the_drain(site, timedelta(seconds=40))
    assert queued_by_another_process(reviews.get_review_session) == []
    lose_the_drain(site, timedelta(seconds=100))
    assert queued_by_another_process(reviews.get_review_session) == [OVERDUE_JOB]


def test_a_process_looks_now_and_then(site: Site, app: App) -> None:
    site.add(PLAYER, [Record("q"), Record("r")])
    reviews.submit_review_session(session_data=session("q"))
    lose_the_drain(site, timedelta(seconds=61))
    # It has looked when it submitted.
    reviews.get_review_session()
    assert frappe.recorded.jobs == []


def test_what_an_outage_left_in_mariadb_is_drained_after_it(site: Site, engine: Engine) -> None:
    """A submission that the journal did not take has no drain queued: there was no queue."""
    site.servers.journal.kill()
    engine.submit(PLAYER, session_data=session("q"))
    engine.outage_news()
    site.servers.journal.start()

    def is_wanted() -> bool:
        engine.due(PLAYER)
        return "overdue" in [news["event"] for news in engine.outage_news()]

    assert wait_until(is_wanted)
    assert site.journal.exists(site.key("srs-drain-queued"))


def test_administrators_are_told_of_an_old_backlog_without_a_scheduler(
    site: Site, app: App
) -> None:
    reviews.submit_review_session(session_data=session("q"))
    lose_the_drain(site, timedelta(seconds=400))
    for _ in range(2):
        queued_by_another_process(reviews.get_review_session)
        reviews.get_review_session()
    (subject,) = [each["subject"] for each in frappe.recorded.notifications]
    assert "answers have waited for 4" in subject


# -- its state
# --------------------------------------------------------------------------------------
def let_run(site: Site, ago: timedelta | None) -> None:
    """The job of each minute ran this long ago, or never."""
    last_run = None if ago is None else site.now() - ago
    site.sql(
        f"UPDATE {TYPES} SET last_execution = %s, creation = %s",
        (last_run, site.now() - timedelta(days=1)),
    )
    frappe.local.db.rollback()


def test_its_state_is_told_with_what_to_do(site: Site, app: App) -> None:
    app(user=frappe.MANAGER)
    assert scheduler_status()["state"] == "running"
    assert scheduler_status()["warning"] is None
    for ago, state in (
        (timedelta(minutes=4), "running"),
        (timedelta(minutes=6), "late"),
        (None, "late"),
        (timedelta(hours=-5), "resting"),
    ):
        let_run(site, ago)
        told = srs.get_monitor()["scheduler"]
        assert (told["state"], bool(told["warning"])) == (state, state != "running"), ago
    let_run(site, timedelta())
    site.sql("UPDATE `tabActivity Log` SET modified = %s", (site.now() - timedelta(days=5),))
    frappe.local.db.rollback()
    assert scheduler_status()["state"] == "dormant"
    assert "dormant_days" in str(scheduler_status()["warning"])
    assert "memora_scheduler_running 0.0" in metrics_text()
    frappe.local.conf["pause_scheduler"] = 1
    assert scheduler_status()["state"] == "inactive"


def test_the_command_shows_its_state(site: Site, app: App) -> None:
    from tests.app.test_monitor import run

    assert "scheduler running" in run(site, "status").output
    let_run(site, timedelta(hours=1))
    assert "check bench schedule" in run(site, "status").output
    assert "status" in memora.commands


# -- jobs that rest
# ---------------------------------------------------------------------------------
def last_runs(site: Site) -> dict[str, datetime | None]:
    return {row["method"]: row["last_execution"] for row in site.sql(f"SELECT * FROM {TYPES}")}


def test_jobs_that_ran_in_the_future_run_again(site: Site, app: App) -> None:
    """A site in California that was set up with India's time zone."""
    now = site.now()
    later, earlier = now + timedelta(hours=12), now - timedelta(hours=3)
    site.sql(f"DELETE FROM {TYPES}")
    for method, last_run, creation in (
        ("memora.of.future", later, earlier),
        ("memora.never.ran", None, later),
        ("memora.of.past", earlier, earlier),
        ("frappe.of.future", later, later),
    ):
        site.insert(
            "Scheduled Job Type",
            name=method,
            method=method,
            last_execution=last_run,
            creation=creation,
        )
    mend_schedule(now)
    frappe.local.db.commit()
    expected = {
        "memora.of.future": now, "memora.never.ran": now, "memora.of.past": earlier,
        "frappe.of.future": later,
    }  # fmt: skip
    assert last_runs(site) == expected


def test_a_new_time_zone_lets_no_job_rest(site: Site, app: App) -> None:
    def minutes_ahead(zone: str) -> float:
        last_run = last_runs(site)[EACH_MINUTE]
        assert last_run is not None
        return (last_run - datetime.now(ZoneInfo(zone)).replace(tzinfo=None)).total_seconds() / 60

    west, east = "America/Los_Angeles", "Asia/Kolkata"
    site.sql(f"UPDATE {TYPES} SET last_execution = %s", (datetime.now(ZoneInfo(east)),))
    assert minutes_ahead(west) > 600
    before = frappe.Document({"time_zone": east})
    notice_time_zone(frappe.Document({"time_zone": west}, before=before), "on_update")
    frappe.local.db.commit()
    assert -1 <= minutes_ahead(west) <= 0


def test_the_drain_that_a_read_asked_for_wakes_them(site: Site, app: App) -> None:
    let_run(site, timedelta(hours=-5))
    reviews.submit_review_session(session_data=session("q"))
    lose_the_drain(site, timedelta(seconds=61))
    queued_by_another_process(reviews.get_review_session)
    frappe.recorded.run_jobs()
    frappe.local.db.rollback()
    assert scheduler_status()["state"] == "running"
