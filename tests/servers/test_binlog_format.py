"""Replicas of MariaDB have its data, whether they receive statements or rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests import frappe_standin
from tests.conftest import clean_site
from tests.support.replica import FORMATS, Pair, started_pair
from tests.support.servers import MariaDB
from tests.support.site_under_test import PATIENT, PLAYER, TRACKER, Record, Servers, Site, session

SEASON = "SEASON-2031"
DEFAULT = "`tabPlayer Memory Tracker` PARTITION (`p_default`)"


@pytest.fixture(params=FORMATS)
def replicated(servers: Servers, request: pytest.FixtureRequest) -> Iterator[tuple[Site, Pair]]:
    with started_pair(binlog_format=request.param) as pair:
        primary = pair.primary
        with primary.connect() as connection:
            frappe_standin.create_tables(connection)
        site = Site(replace(servers, database=primary), primary.database, limits=PATIENT)
        site.engine().prepare_storage()
        pair.follow()
        yield clean_site(site), pair


def content(server: MariaDB) -> dict[str, Any]:
    """All rows of all tables by table, each table's in the order of all its columns; of the big one
    by partition."""
    found: dict[str, Any] = {}
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT TABLE_NAME, PARTITION_NAME, SUM(EXTRA <> 'INVISIBLE') "
            "FROM information_schema.PARTITIONS "
            "JOIN information_schema.COLUMNS USING (TABLE_SCHEMA, TABLE_NAME) "
            "WHERE TABLE_SCHEMA = DATABASE() GROUP BY TABLE_NAME, PARTITION_NAME"
        )
        for table, partition, columns in cursor.fetchall():
            place = f"`{table}`" + (f" PARTITION (`{partition}`)" if partition else "")
            order = ", ".join(str(number) for number in range(1, int(columns) + 1))
            cursor.execute(f"SELECT * FROM {place} ORDER BY {order}")
            found[place] = cursor.fetchall()
    return found


def live_through(site: Site, check: Callable[[], dict[str, Any]]) -> None:
    """A season from answers without a partition to a partition, the archive and its deletion.

    Args:
        check: called after each step with the result of `content`.
    """
    engine = site.engine()
    site.sql("UPDATE `tabGame Subscription Season` SET is_active = 0")
    site.insert(
        "Game Subscription Season", name=SEASON, season_name=SEASON, start_date="2026-01-01",
        end_date="2026-12-31", is_active=1, enable_redis=1,
    )  # fmt: skip
    site.cache.flushall()
    site.add(PLAYER, [Record(f"q{number}") for number in range(50)], SEASON)
    site.add(PLAYER, [Record("old")], "SEASON-2001")
    assert len(check()[DEFAULT]) == 51
    assert engine.create_partition(SEASON)
    assert len(check()[DEFAULT]) == 1
    assert len(site.rows(PLAYER, SEASON)) == 50
    # A process died when it had made a partition.
    site.sql(
        f"ALTER TABLE {TRACKER} ADD PARTITION (PARTITION `SEASON-2001` VALUES IN ('SEASON-2001'))"
    )
    assert engine.create_partition("SEASON-2001")
    assert len(check()[DEFAULT]) == 0
    for question in ("q1", "new", "q1"):
        engine.submit(PLAYER, session_data=session(question, is_correct=question == "new"))
        engine.drain()
    assert len(site.rows(PLAYER, SEASON)) == 51
    check()
    site.sql("UPDATE `tabGame Subscription Season` SET is_active = 0")
    assert engine.archive(SEASON)["done"] == 51
    assert len(check()["`tabArchived Memory Tracker`"]) == 51
    site.sql("UPDATE `tabArchived Memory Tracker` SET archived_at = '2020-01-01'")
    site.sql("UPDATE memora_archive SET finished_at_us = 1 WHERE season <> ''")
    assert engine.drop_left_partitions() == [SEASON]
    assert engine.flag_for_deletion(time.time(), 10.0) == 51
    assert engine.delete_flagged() == 51
    engine.forget(PLAYER)
    assert site.rows(PLAYER, "SEASON-2001") == {}
    check()


def test_a_season_leaves_the_same_on_a_replica(replicated: tuple[Site, Pair]) -> None:
    site, pair = replicated

    def check() -> dict[str, Any]:
        pair.wait_until_level()
        here = content(site.servers.database)
        assert content(pair.replica) == here
        return here

    live_through(site, check)
