"""What administrators call and the scheduler runs: the archive, with the stand-in for frappe."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from memora import hooks
from memora.api import srs
from memora.commands import memora
from memora.services import players, srs_archiver, storage
from memora.services.errors import ReviewsUnavailable
from tests import frappe_standin as frappe
from tests.site_under_test import PLAYER, SEASON, TRACKER, Record, Site
from tests.test_archive import ARCHIVE, STUDENTS, ended_season, old, records, status_of, stop_at
from tests.test_partition import fresh_tables

__all__ = ["fresh_tables", "old"]

App = Callable[..., None]
MANAGER = frappe.MANAGER

CALLS: dict[str, Callable[[str], object]] = {
    "archive": lambda season: srs.archive_season(season, confirm=1),
    "status": srs.get_archive_status,
    "delete": lambda season: srs.delete_eligible_archived_records(season, confirm=1),
}


# -- archive_season, get_archive_status -------------------------------------------------------------
def test_a_manager_archives_a_season(site: Site, app: App, old: str) -> None:
    app(user=MANAGER)
    before = records(site, TRACKER, old)
    assert srs.get_archive_status(old)["status"] == "Not Archived"
    assert srs.archive_season(old, confirm="1") == {"season": old, "status": "queued"}
    srs.archive_season(old, confirm=True)
    assert [job.queue for job in frappe.recorded.jobs] == ["long"]
    frappe.recorded.run_jobs()
    assert records(site, ARCHIVE, old) == before
    status = srs.get_archive_status(old)
    assert (status["status"], status["percent"], status["done"]) == ("Archived", 100.0, 4000)
    assert status["started_at"] < status["finished_at"]
    assert srs.archive_season(old, confirm=1) == {"season": old, "status": "Archived"}
    assert frappe.recorded.jobs == []
    (notification,) = frappe.recorded.notifications
    assert (notification["users"], "4,000" in notification["email_content"]) == ([MANAGER], True)


def test_the_form_is_told_of_progress(app: App, old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(srs_archiver, "NEWS_SECONDS", 0.0)
    srs_archiver.archive_in_background(old)
    news = [news for name, news in frappe.recorded.published if name == "memora_archive"]
    assert {each["season"] for each in news} == {old}
    assert [each["step"] for each in news if each["step"] in ("copying", "done")][:: len(news)] == ["copying"]
    assert news[-1]["step"] == "done"
    assert [each["done"] for each in news if each["step"] == "copying"] == [0, 1000, 2000, 3000, 4000]


def test_an_archive_goes_on_when_nobody_can_be_told(
    site: Site, app: App, old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def publish(*_news: object, **_where: object) -> None:
        raise TimeoutError("no socket.io")

    monkeypatch.setattr(frappe, "publish_realtime", publish)
    srs_archiver.archive_in_background(old)
    assert status_of(site, old) == "Archived"


def test_half_an_archive_is_shown_and_continued_by_the_scheduler(site: Site, app: App, old: str) -> None:
    app(user=MANAGER)
    with pytest.raises(KeyboardInterrupt):
        srs_archiver.SRSArchiver().archive_season(old, stop_at("verifying"))
    status = srs.get_archive_status(old)
    assert (status["status"], status["step"], status["is_running"]) == ("Archiving", "verifying", False)
    srs_archiver.resume_archives()
    frappe.recorded.run_jobs()
    assert srs.get_archive_status(old)["status"] == "Archived"
    srs_archiver.resume_archives()
    assert frappe.recorded.jobs == []


def test_a_failure_is_told_to_administrators(site: Site, app: App, old: str) -> None:
    site.servers.cache.kill()
    srs_archiver.archive_in_background(old)
    (notification,) = [each for each in frappe.recorded.notifications if old in each["subject"]]
    assert "cache" in notification["email_content"]
    assert frappe.recorded.published[-1][1]["step"] == "failed"
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
def test_what_is_no_season_is_not_found(app: App, call: Callable[[str], object], season: str) -> None:
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


# -- what the scheduler does ------------------------------------------------------------------------
def test_ended_seasons_are_archived_by_themselves(site: Site, app: App) -> None:
    due, active, running, manual = (ended_season(site, questions=1) for _ in range(4))
    site.sql("UPDATE `tabGame Subscription Season` SET auto_archive = 1 WHERE name <> %s", (manual,))
    site.sql("UPDATE `tabGame Subscription Season` SET is_active = 1 WHERE name = %s", (active,))
    today = site.now().date()
    site.sql("UPDATE `tabGame Subscription Season` SET end_date = %s WHERE name = %s", (today, running))
    srs_archiver.process_auto_archive()
    # Not in the scheduler's own job, which Frappe ends after minutes.
    assert [job.arguments for job in frappe.recorded.jobs] == [{"season": due}]
    frappe.recorded.run_jobs()
    assert [status_of(site, season) for season in (due, active, running, manual)] == ["Archived"] + [None] * 3
    srs_archiver.process_auto_archive()
    assert (frappe.recorded.jobs, len(frappe.recorded.notifications)) == ([], 1)


def test_records_are_kept_for_three_years(site: Site, app: App, old: str) -> None:
    app(user=MANAGER)
    srs_archiver.SRSArchiver().archive_season(old)
    for student, hours in ((STUDENTS[0], -1), (STUDENTS[1], 1)):
        site.sql(
            f"UPDATE {ARCHIVE} SET archived_at = %s - INTERVAL 3 YEAR - INTERVAL %s HOUR WHERE player = %s",
            (site.now(), hours, student),
        )
    assert srs_archiver.flag_eligible_for_deletion() == 100
    assert srs_archiver.flag_eligible_for_deletion() == 0
    assert srs.delete_eligible_archived_records(confirm=1)["status"] == "queued"
    frappe.recorded.run_jobs()
    left = {row["player"] for row in records(site, ARCHIVE, old)}
    assert left == set(STUDENTS) - {STUDENTS[1]}
    assert "100" in frappe.recorded.notifications[-1]["subject"]


def test_the_hooks_lead_to_functions() -> None:
    events: dict[str, Any] = hooks.scheduler_events
    paths = [path for name in ("hourly", "daily_long", "weekly_long") for path in events[name]]
    for path in [*paths, *events["cron"]["* * * * *"]]:
        assert callable(frappe.get_attr(path)), path


# -- an existing site -----------------------------------------------------------------------------
def test_an_existing_sites_records_are_cleaned_and_kept(
    fresh_tables: Site, app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    site = fresh_tables
    for name, season in (("a", None), ("b", ""), ("c", SEASON)):
        site.insert("Player Memory Tracker", name=name, player=PLAYER, season=season, question_id=name)
    site.insert("Player Memory Tracker", name="d", player=PLAYER, season=SEASON, question_id="a", stability=3)
    storage.prepare_storage()
    assert {row["question_id"]: row["name"] for row in site.rows().values()} == {"a": "d", "b": "b", "c": "c"}
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
def test_a_student_or_season_with_archived_records_is_not_deleted(site: Site, app: App, old: str) -> None:
    srs_archiver.SRSArchiver().archive_season(old)
    for doctype, name in (("User", STUDENTS[0]), ("Game Subscription Season", old)):
        with pytest.raises(frappe.LinkExistsError):
            players.refuse_to_orphan(SimpleNamespace(doctype=doctype, name=name))
    players.refuse_to_orphan(SimpleNamespace(doctype="User", name="nobody@school.example"))
    site.add(PLAYER, [Record("q")])
    frappe.local.db.rollback()
    with pytest.raises(frappe.LinkExistsError):
        players.refuse_to_orphan(SimpleNamespace(doctype="User", name=PLAYER))


# -- commands ---------------------------------------------------------------------------------------
def run(site: Site, *arguments: str, given: str = "") -> Any:
    return CliRunner().invoke(memora, arguments, obj=SimpleNamespace(sites=[site.name]), input=given)


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
