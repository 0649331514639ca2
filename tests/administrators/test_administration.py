"""What administrators call and the scheduler runs: the archive, with the stand-in for frappe."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from memora import hooks
from memora.api import srs
from memora.commands import memora
from memora.services import players, srs_archiver, srs_jobs, storage
from memora.services.errors import ReviewsUnavailable
from tests import frappe_standin as frappe
from tests.administrators.test_archive import (
    ARCHIVE,
    STUDENTS,
    archived_long_ago,
    ended_season,
    old,
    records,
    status_of,
    stop_at,
)
from tests.administrators.test_partition import fresh_tables
from tests.servers.test_fork import fork
from tests.support.servers import wait_until
from tests.support.site_under_test import PLAYER, SEASON, TRACKER, Record, Site

__all__ = ["fresh_tables", "old"]

App = Callable[..., None]
MANAGER = frappe.MANAGER

CALLS: dict[str, Callable[[str], object]] = {
    "archive": lambda season: srs.archive_season(season, confirm=1),
    "status": srs.get_archive_status,
    "delete": lambda season: srs.delete_eligible_archived_records(season, confirm=1),
}


# -- archive_season, get_archive_status
# -------------------------------------------------------------
def test_a_manager_archives_a_season(site: Site, app: App, old: str) -> None:
    app(user=MANAGER)
    before = records(site, TRACKER, old)
    assert srs.get_archive_status(old)["status"] == "Not Archived"
    requested = srs.archive_season(old, confirm="1")
    assert (requested["season"], requested["status"]) == (old, "started")
    assert srs.archive_season(old, confirm=True) == requested
    assert [job.queue for job in frappe.recorded.jobs] == ["long"]
    job = srs.get_job(requested["job"])
    assert (job["kind"], job["status"], job["requested_by"]) == ("Archive", "Queued", MANAGER)
    frappe.recorded.run_jobs()
    job = srs.get_job(requested["job"])
    assert (job["status"], job["done"], job["message"]) == (
        "Done",
        4000,
        "4,000 records were moved.",
    )
    assert records(site, ARCHIVE, old) == before
    status = srs.get_archive_status(old)
    assert (status["status"], status["percent"], status["done"]) == ("Archived", 100.0, 4000)
    assert status["started_at"] < status["finished_at"]
    again = srs.archive_season(old, confirm=1)
    assert (again["status"], again["job"], again["records_archived"]) == ("completed", None, 4000)
    assert frappe.recorded.jobs == []
    (notification,) = frappe.recorded.notifications
    assert (notification["users"], "4,000" in notification["email_content"]) == ([MANAGER], True)


def test_the_form_is_told_of_progress(app: App, old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(srs_jobs, "NEWS_SECONDS", 0.0)
    srs_archiver.archive_in_background(old)
    assert {name for name, _news in frappe.recorded.published} == {"memora_job"}
    news = [news for _name, news in frappe.recorded.published]
    assert {(each["kind"], each["season"]) for each in news} == {("Archive", old)}
    steps = list(
        dict.fromkeys(
            each["message"] for each in news if each["status"] == "Running" and each["message"]
        )
    )
    assert steps == [
        "Copying records",
        "Comparing records with their copies",
        "Freeing the partition",
        "Clearing the cache",
    ]
    assert news[-1]["status"] == "Done"
    copying = [each["done"] for each in news if each["message"] == "Copying records"]
    assert copying == [0, 1000, 2000, 3000, 4000]


def test_an_archive_goes_on_when_nobody_can_be_told(
    site: Site, app: App, old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def publish(*_news: object, **_where: object) -> None:
        raise TimeoutError("no socket.io")

    monkeypatch.setattr(frappe, "publish_realtime", publish)
    srs_archiver.archive_in_background(old)
    assert status_of(site, old) == "Archived"


def test_half_an_archive_is_shown_and_continued_by_the_scheduler(
    site: Site, app: App, old: str
) -> None:
    app(user=MANAGER)
    with pytest.raises(KeyboardInterrupt):
        srs_archiver.SRSArchiver().archive_season(old, stop_at("verifying"))
    # Its connection is closed; the server frees the lock when it comes to that.
    assert wait_until(lambda: not site.engine().is_running("Archive", old))
    status = srs.get_archive_status(old)
    assert (status["status"], status["step"], status["is_running"]) == (
        "Archiving",
        "verifying",
        False,
    )
    srs_archiver.resume_archives()
    frappe.recorded.run_jobs()
    assert srs.get_archive_status(old)["status"] == "Archived"
    srs_archiver.resume_archives()
    assert frappe.recorded.jobs == []


def killed_at(last: str) -> Any:
    """A worker takes the next job, and is killed with -9 at a step of the archive."""
    job = frappe.recorded.take()

    def work() -> None:
        # A forked process has connections of its own.
        frappe.local.db.connection = None
        srs_jobs.NEWS_SECONDS = 0.0  # type: ignore[misc]
        report_progress = srs_jobs.Work.report_progress

        def die(work: srs_jobs.Work, done: int, total: int, step: str = "") -> None:
            report_progress(work, done, total, step)
            if step.startswith(last):
                os.kill(os.getpid(), signal.SIGKILL)

        srs_jobs.Work.report_progress = die  # type: ignore[method-assign,assignment]
        job.perform()

    child = fork(work)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    return job


def a_minute_later(site: Site) -> None:
    """Make every report of jobs a minute older."""
    frappe.local.db.commit()
    site.sql("UPDATE `tabSRS Job` SET modified = modified - INTERVAL 61 SECOND")
    for job in frappe.recorded.taken:
        assert job.started_at
        job.started_at -= timedelta(seconds=61)


@pytest.mark.parametrize(
    "is_requested_again", [True, False], ids=["asked for again", "by the scheduler"]
)
def test_after_a_death_an_archive_goes_on_at_once(
    site: Site, app: App, old: str, is_requested_again: bool
) -> None:
    """RQ says for hours that a job whose worker was killed has started."""
    app(user=MANAGER)
    before = records(site, TRACKER, old)
    requested = srs.archive_season(old, confirm=1)
    killed = killed_at("Comparing")
    assert frappe.is_job_enqueued(killed.job_id)
    # It could be just beginning or ending, and reports within a minute.
    assert srs.archive_season(old, confirm=1) == requested
    srs_jobs.look_after_jobs()
    assert frappe.recorded.jobs == []
    assert srs.get_job(requested["job"])["status"] == "Running"
    a_minute_later(site)
    assert srs.get_job(requested["job"])["status"] == "Queued"
    for _ in range(3):
        if is_requested_again:
            assert srs.archive_season(old, confirm=1) == requested
        else:
            srs_jobs.look_after_jobs()
        # It is the same job, it waits once, and nothing of the killed one is left.
        assert (len(frappe.recorded.jobs), frappe.recorded.taken) == (1, [])
    assert srs.get_archive_status(old)["status"] == "Archiving"
    frappe.recorded.run_jobs()
    (job,) = srs_jobs.latest_jobs(10)
    assert (job["name"], job["status"], job["requested_by"]) == (requested["job"], "Done", MANAGER)
    assert records(site, ARCHIVE, old) == before


def test_a_job_that_died_before_it_began_is_queued_again(site: Site, app: App, old: str) -> None:
    app(user=MANAGER)
    requested = srs.archive_season(old, confirm=1)
    frappe.recorded.take()
    # A worker has taken it and is about to begin.
    assert srs.archive_season(old, confirm=1) == requested
    a_minute_later(site)
    assert srs.archive_season(old, confirm=1) == requested
    frappe.recorded.run_jobs()
    assert srs.get_job(requested["job"])["status"] == "Done"


def test_a_deletion_that_died_goes_on_and_one_that_waits_can_be_cancelled(
    site: Site, app: App, old: str
) -> None:
    app(user=MANAGER)
    srs_archiver.SRSArchiver().archive_season(old)
    site.sql(f"UPDATE {ARCHIVE} SET eligible_for_deletion = 1")
    requested = srs.delete_eligible_archived_records(old, confirm=1)
    assert srs.cancel_job(requested["job"])["status"] == "Cancelled"
    frappe.recorded.run_jobs()
    assert len(records(site, ARCHIVE, old)) == 4000
    requested = srs.delete_eligible_archived_records(old, confirm=1)
    killed_at("")
    a_minute_later(site)
    srs_jobs.look_after_jobs()
    frappe.recorded.run_jobs()
    assert srs.get_job(requested["job"])["status"] == "Done"
    assert records(site, ARCHIVE, old) == []


def test_a_job_without_a_queue_is_looked_after_later(site: Site, app: App, old: str) -> None:
    app(user=MANAGER)
    requested = srs.archive_season(old, confirm=1)
    frappe.recorded.take()
    a_minute_later(site)
    site.servers.journal.kill()
    srs_jobs.look_after_jobs()
    assert [job["status"] for job in srs_jobs.latest_jobs(10)] == ["Queued"]
    site.servers.journal.start()
    srs_jobs.look_after_jobs()
    frappe.recorded.run_jobs()
    assert srs.get_job(requested["job"])["status"] == "Done"


def test_a_failure_is_told_to_administrators(site: Site, app: App, old: str) -> None:
    site.servers.cache.kill()
    srs_archiver.archive_in_background(old)
    (notification,) = [each for each in frappe.recorded.notifications if old in each["subject"]]
    assert "cache" in notification["email_content"]
    assert frappe.recorded.published[-1][1]["status"] == "Failed"
    assert status_of(site, old) == "Archiving"


@pytest.mark.parametrize("confirm", [False, None, 0, "", "0", "false", "no", [], 2])
def test_what_is_not_confirmed_is_not_done(app: App, old: str, confirm: Any) -> None:
    app(user=MANAGER)
    for call in (srs.archive_season, srs.delete_eligible_archived_records):
        with pytest.raises(frappe.ValidationError, match="confirm"):
            call(old, confirm=confirm)
    assert frappe.recorded.jobs == []


def test_an_active_season_is_refused(app: App) -> None:
    app(user=MANAGER)
    with pytest.raises(frappe.ValidationError, match="active"):
        srs.archive_season(SEASON, confirm=1)
    assert frappe.recorded.jobs == []


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    "season", ["SEASON-9999", "season-2026", "SEASON-2026\n", "SEASON-2026'", "<b>", "x" * 10**6]
)
def test_what_is_no_season_is_not_found(
    app: App, call: Callable[[str], object], season: str
) -> None:
    app(user=MANAGER)
    with pytest.raises(frappe.DoesNotExistError) as refusal:
        call(season)
    assert len(str(refusal.value)) < 200
    assert "<b>" not in str(refusal.value)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("season", [7, ["SEASON-2026"], {"name": "x"}, "\ud800", True])
def test_a_season_is_text(app: App, call: Callable[[Any], object], season: Any) -> None:
    app(user=MANAGER)
    with pytest.raises(frappe.ValidationError):
        call(season)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("user", ["Guest", PLAYER])
def test_others_than_system_managers_are_refused(
    app: App, old: str, call: Callable[[str], object], user: str
) -> None:
    app(user=user)
    with pytest.raises(frappe.PermissionError):
        call(old)
    assert frappe.recorded.jobs == []


def test_what_changes_something_is_post_only(app: App) -> None:
    methods = frappe.allowed_http_methods_for_whitelisted_func
    assert methods[srs.archive_season] == methods[srs.delete_eligible_archived_records] == ["POST"]
    assert methods[srs.get_archive_status] == ["GET", "POST"]


def test_without_the_queue_nothing_is_begun(site: Site, app: App, old: str) -> None:
    app(user=MANAGER)
    site.servers.journal.kill()
    for call in (srs.archive_season, srs.delete_eligible_archived_records):
        with pytest.raises(ReviewsUnavailable, match="redis_queue"):
            call(old, confirm=1)
    assert status_of(site, old) is None


# -- what the scheduler does
# ------------------------------------------------------------------------
def test_ended_seasons_are_archived_by_themselves(site: Site, app: App) -> None:
    due, active, running, manual = (ended_season(site, questions=1) for _ in range(4))
    site.sql(
        "UPDATE `tabGame Subscription Season` SET auto_archive = 1 WHERE name <> %s", (manual,)
    )
    site.sql("UPDATE `tabGame Subscription Season` SET is_active = 1 WHERE name = %s", (active,))
    today = site.now().date()
    site.sql(
        "UPDATE `tabGame Subscription Season` SET end_date = %s WHERE name = %s", (today, running)
    )
    srs_archiver.process_auto_archive()
    # Not in the scheduler's own job, which Frappe ends after minutes.
    assert [job.arguments["season"] for job in frappe.recorded.jobs] == [due]
    (job,) = site.sql("SELECT kind, status, requested_by FROM `tabSRS Job`")
    assert job == {"kind": "Archive", "status": "Queued", "requested_by": None}
    frappe.recorded.run_jobs()
    assert [status_of(site, season) for season in (due, active, running, manual)] == [
        "Archived"
    ] + [None] * 3
    srs_archiver.process_auto_archive()
    assert (frappe.recorded.jobs, len(frappe.recorded.notifications)) == ([], 1)


def test_records_are_kept_for_three_years(site: Site, app: App, old: str) -> None:
    app(user=MANAGER)
    srs_archiver.SRSArchiver().archive_season(old)
    for student, hours in ((STUDENTS[0], -1), (STUDENTS[1], 1)):
        site.sql(
            f"UPDATE {ARCHIVE} SET archived_at = %s - INTERVAL 3 YEAR - INTERVAL %s HOUR "
            "WHERE player = %s",
            (site.now(), hours, student),
        )
    archived_long_ago(site, old)
    assert srs_archiver.flag_eligible_for_deletion() == 100
    assert srs_archiver.flag_eligible_for_deletion() == 0
    requested = srs.delete_eligible_archived_records(confirm=1)
    assert (requested["season"], requested["status"]) == (None, "queued")
    assert srs.delete_eligible_archived_records(confirm=1) == requested
    job = srs.get_job(requested["job"])
    assert (job["kind"], job["season"], job["status"], job["requested_by"]) == (
        "Deletion",
        None,
        "Queued",
        MANAGER,
    )
    assert srs.delete_eligible_archived_records(old, confirm=1)["job"] != requested["job"]
    frappe.recorded.run_jobs()
    job = srs.get_job(requested["job"])
    assert (job["status"], job["done"], job["message"]) == (
        "Done",
        100,
        "100 records were deleted.",
    )
    left = {row["player"] for row in records(site, ARCHIVE, old)}
    assert left == set(STUDENTS) - {STUDENTS[1]}
    assert [each["subject"].split()[0] for each in frappe.recorded.notifications] == ["100", "0"]


def test_the_hooks_lead_to_functions() -> None:
    events: dict[str, Any] = hooks.scheduler_events
    paths = [path for name in ("hourly", "daily_long", "weekly_long") for path in events[name]]
    for path in [*paths, *events["cron"]["* * * * *"]]:
        assert callable(frappe.get_attr(path)), path


def test_seasons_are_archived_daily_and_old_records_flagged_weekly() -> None:
    archiver = "memora.services.srs_archiver"
    assert f"{archiver}.process_auto_archive" in hooks.scheduler_events["daily_long"]
    assert f"{archiver}.flag_eligible_for_deletion" in hooks.scheduler_events["weekly_long"]


# -- an existing site -----------------------------------------------------------------------------
def test_an_existing_sites_records_are_cleaned_and_kept(
    fresh_tables: Site, app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    site = fresh_tables
    for name, season in (("a", None), ("b", ""), ("c", SEASON)):
        site.insert(
            "Player Memory Tracker", name=name, player=PLAYER, season=season, question_id=name
        )
    site.insert(
        "Player Memory Tracker",
        name="d",
        player=PLAYER,
        season=SEASON,
        question_id="a",
        stability=3,
    )
    storage.prepare_storage()
    assert {row["question_id"]: row["name"] for row in site.rows().values()} == {
        "a": "d",
        "b": "b",
        "c": "c",
    }
    told = capsys.readouterr().out
    assert "2 records without a season" in told
    assert "1 duplicates" in told
    storage.prepare_storage()
    assert capsys.readouterr().out == ""


def test_without_an_active_season_one_is_made_for_them(fresh_tables: Site, app: App) -> None:
    site = fresh_tables
    site.sql("UPDATE `tabGame Subscription Season` SET is_active = 0")
    site.insert("Player Memory Tracker", name="a", player=PLAYER, question_id="a")
    storage.prepare_storage()
    (season,) = site.sql("SELECT * FROM `tabGame Subscription Season` WHERE is_active = 1")
    assert season["name"] == f"SEASON-{site.now().year}-DEFAULT"
    assert list(site.rows(season=season["name"])) == ["a"]


def test_records_without_a_student_are_reported(
    fresh_tables: Site, app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    site = fresh_tables
    site.insert("Player Memory Tracker", name="a", season=SEASON, question_id="a")
    storage.prepare_storage()
    assert "1 records without player" in capsys.readouterr().out
    assert len(frappe.recorded.errors) == 1


# -- who may be deleted ---------------------------------------------------------------------------
def test_a_student_or_season_with_archived_records_is_not_deleted(
    site: Site, app: App, old: str
) -> None:
    srs_archiver.SRSArchiver().archive_season(old)
    for doctype, name in (("User", STUDENTS[0]), ("Game Subscription Season", old)):
        with pytest.raises(frappe.LinkExistsError):
            players.check_no_records(SimpleNamespace(doctype=doctype, name=name))
    players.check_no_records(SimpleNamespace(doctype="User", name="nobody@school.example"))
    site.add(PLAYER, [Record("q")])
    frappe.local.db.rollback()
    with pytest.raises(frappe.LinkExistsError):
        players.check_no_records(SimpleNamespace(doctype="User", name=PLAYER))


# -- commands
# ---------------------------------------------------------------------------------------
def run(site: Site, *arguments: str, given: str = "") -> Any:
    return CliRunner().invoke(
        memora, arguments, obj=SimpleNamespace(sites=[site.name]), input=given
    )


def test_the_command_archives_and_shows_a_bar(site: Site, app: App, old: str) -> None:
    refused = run(site, "archive", old, given="n\n")
    assert refused.exit_code == 1
    assert status_of(site, old) is None
    done = run(site, "archive", old, "--yes")
    assert done.exit_code == 0, done.output
    assert f"{old} is archived: 4,000 records." in done.output
    assert "Copying" in done.output
    assert "Comparing" in done.output
    assert status_of(site, old) == "Archived"


def test_the_command_can_be_told_to_hurry(site: Site, app: App, old: str) -> None:
    for share in ("0", "1.1", "x"):
        assert run(site, "archive", old, "--yes", "--share", share).exit_code == 2
    assert status_of(site, old) is None
    assert run(site, "archive", old, "--yes", "--share", "1").exit_code == 0
    assert status_of(site, old) == "Archived"


def test_the_command_says_what_is_wrong_in_one_line(site: Site, app: App) -> None:
    done = run(site, "archive", SEASON, "--yes")
    assert done.exit_code == 1
    assert "active" in done.output
    assert "Traceback" not in done.output


def test_the_command_makes_and_lists_partitions(site: Site, app: App) -> None:
    season = ended_season(site, questions=1, has_partition=False)
    done = run(site, "partitions")
    assert done.exit_code == 0, done.output
    listed = {line.split()[0] for line in done.output.splitlines() if line}
    assert {"p_default", season, SEASON} <= listed
    assert site.engine().partition_exists(season)
