"""The tables: prepared, cleaned, and removed at the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import frappe
from frappe.utils import getdate, now_datetime

from memora._engine import EngineFault, MemoraError
from memora.services.engine import engine
from memora.services.partition_manager import SEASON, create_missing_partitions

TRACKER: Final = "Player Memory Tracker"
ARCHIVE: Final = "Archived Memory Tracker"
AUDIT: Final = "Memory Review Audit"


def install() -> None:
    """Prepare a new site (hook after_install).

    Removes what Redis still has of an earlier site of the same name, which had other students. If
    memora's own tables exist, the app was on this site before, and everything stays.
    """
    if not frappe.db.sql("SHOW TABLES LIKE 'memora_journal'"):
        try:
            engine().uninstall()
        except MemoraError as error:
            print(f"memora: cannot check whether Redis has data of an old site: {error}")
    prepare_storage()


def prepare_storage() -> None:
    """Give the tables keys, collation, index, partitions. Safe to run twice (hook, patch).

    On a site from before these keys, it first cleans records that violate them. Records without a
    player or a question are reported, and the tables stay as they are: the next `bench migrate`
    tries again.
    """
    fix_null_seasons()
    remove_duplicates()
    try:
        changes = engine().prepare_storage()
    except EngineFault as error:
        print(f"memora: the tables could not be prepared: {error}")
        frappe.log_error("memora: the tables could not be prepared", str(error))
        return
    for change in changes:
        print(f"memora: {change}")
    create_missing_partitions()


def remove_what_is_left() -> None:
    """Remove memora's own tables and its keys in Redis (hook after_uninstall).

    A later install starts from nothing. Frappe also calls this hook in a dry run: the app is still
    installed then, and everything stays.

    What cannot be removed is reported, and does not block the uninstall.
    """
    if "memora" in frappe.get_installed_apps():
        return
    try:
        engine().uninstall()
    except MemoraError as error:
        print(
            f"memora: not everything could be removed: {error} "
            "Run bench uninstall-app --force again."
        )
    # Last: hooks of other apps may fail at it.
    remove_desk_documents()


def remove_desk_documents() -> None:
    """Remove the app's documents that link to no module, which Frappe leaves. Commits."""
    for folder in ("desktop_icon", "workspace_sidebar", "memora/onboarding_step/*"):
        for path in Path(frappe.get_app_path("memora")).glob(f"{folder}/*.json"):
            document = json.loads(path.read_text())
            # Frappe 15 has no sidebars.
            if frappe.db.table_exists(document["doctype"]):
                frappe.delete_doc(
                    document["doctype"],
                    document["name"],
                    force=True,
                    ignore_missing=True,
                    ignore_on_trash=True,
                    ignore_permissions=True,
                )
    frappe.db.commit()


def fix_null_seasons() -> None:
    """Give records without a season the active one, or a new one. Commits."""
    # MariaDB alters no table that an open transaction has read.
    frappe.db.commit()
    if engine().has_records_without_season():
        season = default_season()
        print(f"memora: gave {engine().give_season(season):,} records without a season to {season}")


def remove_duplicates() -> None:
    """Remove all but the newest record of each student, season and question. Commits."""
    frappe.db.commit()
    if removed := engine().remove_duplicates():
        print(f"memora: removed {removed:,} duplicates, the newest were kept")


def default_season() -> str:
    """The season for records without one: the active one that began last, or a new one."""
    active = {"is_active": 1, "archive_status": ("is", "not set")}
    seasons = frappe.get_all(
        SEASON, filters=active, pluck="name", order_by="start_date desc", limit=1
    )
    if seasons:
        return str(seasons[0])
    year = getdate(now_datetime()).year
    season = {
        "doctype": SEASON,
        "season_name": f"SEASON-{year}-DEFAULT",
        "start_date": f"{year}-01-01",
        "end_date": f"{year}-12-31",
        "is_active": 1,
    }
    if not frappe.db.exists(SEASON, season["season_name"]):
        frappe.get_doc(season).insert(ignore_permissions=True)
        frappe.db.commit()
    return str(season["season_name"])
