"""Each season's partition of the live table."""

from __future__ import annotations

from typing import Final

import frappe

from memora._engine import MemoraError, SeasonUnavailable
from memora.services.engine import engine

SEASON: Final = "Game Subscription Season"


def create_season_partition(season: str) -> bool:
    """Make a season's partition and note it in the season. Commits. Safe to run twice.

    Args:
        season: name of the season.

    Returns: False if the partition exists already, or the season is archived or deleted.

    Raises:
        memora._engine.MemoraError: it could not be made; create_missing_partitions tries again.
    """
    if not frappe.db.exists(SEASON, season):
        return False
    # MariaDB alters no table that an open transaction has read.
    frappe.db.commit()
    try:
        was_made = engine().create_partition(season)
    except SeasonUnavailable:
        # It was archived before its partition was made.
        return False
    frappe.db.set_value(SEASON, season, "partition_created", 1, update_modified=False)
    frappe.db.commit()
    return was_made


def create_missing_partitions() -> None:
    """Make the missing partitions of seasons (hourly, and after each migration).

    Until then their records are in the default partition. An archived season needs none.
    """
    for season in seasons_without_partition():
        try:
            create_season_partition(season)
        except MemoraError as error:
            frappe.logger("memora").error(f"{season} has no partition: {error}")


def drop_left_partitions() -> None:
    """Drop the empty partitions that seasons archived a week ago have left (daily)."""
    frappe.db.commit()
    try:
        for season in engine().drop_left_partitions():
            frappe.logger("memora").info(f"the empty partition of {season} was dropped")
    except MemoraError as error:
        frappe.logger("memora").error(f"empty partitions of archived seasons are left: {error}")


def seasons_without_partition() -> list[str]:
    """Seasons that need a partition and have none yet."""
    missing = {"partition_created": 0, "archive_status": ("is", "not set")}
    return [str(season) for season in frappe.get_all(SEASON, filters=missing, pluck="name")]


def check_partition_exists(season: str) -> bool:
    """Whether a season has its partition."""
    return engine().partition_exists(season)
