"""The rules of documents, as Frappe runs them: what may be saved, and what may be deleted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from memora._engine import Engine
from memora.services import srs_archiver, srs_jobs
from tests import frappe_standin as frappe
from tests.administrators.test_archive import ARCHIVE, old, status_of
from tests.support.site_under_test import PLAYER, SEASON, Record, Site, session

__all__ = ["old"]

App = Callable[..., None]
DOCTYPE = "Game Subscription Season"
DATES = {"start_date": "2027-01-01", "end_date": "2027-12-31"}


def new_season(**values: Any) -> frappe.Document:
    season = {"doctype": DOCTYPE, "season_name": "SEASON-2027", **DATES, **values}
    return frappe.get_doc(season).insert()


def save(doctype: str, name: str, **values: Any) -> None:
    """As the form does: the document is loaded, changed and saved."""
    document = frappe.get_doc(doctype, name)
    document.__dict__.update(values)
    document.save()
    frappe.local.db.commit()


def test_a_season_gets_its_partition(site: Site, app: App, engine: Engine) -> None:
    season = new_season(partition_created=1, archive_status="Archived")
    frappe.local.db.commit()
    # Read-only fields are taken over HTTP.
    assert (season.partition_created, season.archive_status, season.enable_redis) == (0, None, 1)
    frappe.recorded.run_jobs()
    assert engine.partition_exists("SEASON-2027")
    assert frappe.get_doc(DOCTYPE, "SEASON-2027").partition_created == 1


@pytest.mark.parametrize(
    "values",
    [
        {"season_name": "season-2027"},
        {"season_name": "SEASON-2027-" + "A" * 60},
        {"end_date": "2026-12-31"},
        {"is_active": 1, "auto_archive": 1},
    ],
)
def test_a_season_that_breaks_a_rule_is_refused(app: App, values: dict[str, Any]) -> None:
    with pytest.raises(frappe.ValidationError):
        new_season(**values)
    assert frappe.recorded.jobs == []


def test_an_archived_season_does_not_become_active_again(site: Site, app: App, old: str) -> None:
    opened = frappe.get_doc(DOCTYPE, old)
    frappe.local.db.commit()
    srs_archiver.SRSArchiver().archive_season(old)
    # A form that was opened before would undo what the archive has set.
    with pytest.raises(frappe.TimestampMismatchError):
        opened.save()
    with pytest.raises(frappe.ValidationError, match="active"):
        save(DOCTYPE, old, is_active=1)
    save(DOCTYPE, old, archive_status=None, partition_created=1, end_date="2026-01-31")
    assert status_of(site, old) == "Archived"


def test_of_an_archived_record_only_the_flag_changes(site: Site, app: App, old: str) -> None:
    srs_archiver.SRSArchiver().archive_season(old)
    name = site.sql(f"SELECT name FROM {ARCHIVE} LIMIT 1")[0]["name"]
    with pytest.raises(frappe.CannotChangeConstantError):
        save("Archived Memory Tracker", name, stability=4)
    save("Archived Memory Tracker", name, eligible_for_deletion=1)
    assert srs_archiver.SRSArchiver().delete_eligible(old) == 1


def test_a_season_is_deleted_once_it_has_no_records(
    site: Site, app: App, engine: Engine, old: str
) -> None:
    site.add(PLAYER, [Record("q")])
    srs_archiver.SRSArchiver().archive_season(old)
    for season in (SEASON, old):
        with pytest.raises(frappe.LinkExistsError):
            frappe.delete_doc(DOCTYPE, season)
    site.sql(f"UPDATE {ARCHIVE} SET eligible_for_deletion = 1")
    srs_archiver.SRSArchiver().delete_eligible()
    frappe.local.db.commit()
    frappe.delete_doc(DOCTYPE, old)
    assert engine.archive_status(old)
    frappe.local.db.commit()
    assert engine.archive_status(old) is None


def test_records_of_a_season_that_is_archived_do_not_change(site: Site, app: App, old: str) -> None:
    tracker = "Player Memory Tracker"
    record = {"doctype": tracker, "player": PLAYER, "season": old, "question_id": "new"}
    frappe.get_doc(record).insert()
    frappe.local.db.commit()
    name = site.sql("SELECT name FROM `tabPlayer Memory Tracker` WHERE question_id = 'new'")[0][
        "name"
    ]
    with pytest.raises(KeyboardInterrupt):
        srs_archiver.SRSArchiver().archive_season(old, stop)
    for change in (
        lambda: save(tracker, name, stability=4),
        lambda: frappe.delete_doc(tracker, name),
        lambda: frappe.get_doc({**record, "question_id": "newer"}).insert(),
    ):
        with pytest.raises(frappe.ValidationError, match="archived"):
            change()
        frappe.local.db.rollback()
    assert srs_archiver.SRSArchiver().archive_season(old)["done"] == 4001


def test_an_edited_rung_is_where_memory_begins_again(site: Site, app: App, engine: Engine) -> None:
    engine.submit(PLAYER, session_data=session("q", is_correct=False))
    engine.drain()
    row = site.rows()["q"]
    save("Player Memory Tracker", row["name"], subject=None)
    assert site.rows()["q"]["memory_stability"] == row["memory_stability"] > 0
    save("Player Memory Tracker", row["name"], stability=4)
    engine.submit(PLAYER, session_data=session("q"))
    engine.drain()
    row = site.rows()["q"]
    assert float(row["memory_stability"]) == pytest.approx(14, abs=0.01)
    assert row["lapses"] == 1


def stop(_news: object) -> None:
    raise KeyboardInterrupt


def test_a_job_is_of_a_kind_that_its_list_knows(site: Site, app: App) -> None:
    for kind in ("Rebuild", "Reconciliation", "Archive", "Deletion"):
        srs_jobs.new_job(kind, SEASON)
    with pytest.raises(frappe.ValidationError, match="Kind"):
        srs_jobs.new_job("Revision", SEASON)  # type: ignore[arg-type]
