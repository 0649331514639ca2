"""After the app is uninstalled, nothing is left that a later install would take for its own."""

from __future__ import annotations

from collections.abc import Callable

import pymysql
import pytest

from memora._engine import Engine
from memora.services import storage
from tests import frappe_standin as frappe
from tests.support.servers import wait_until
from tests.support.site_under_test import (
    PLAYER,
    SEASON,
    TRACKER,
    Record,
    Site,
    ids,
    lasting_keys,
    session,
)

App = Callable[..., None]


def own_tables(site: Site) -> list[str]:
    return [next(iter(row.values())) for row in site.sql("SHOW TABLES LIKE 'memora\\_%%'")]


def uninstall(site: Site) -> None:
    """Call the hook as Frappe does, when the app is no longer installed."""
    frappe.recorded.installed_apps[site.name] = ["frappe"]
    try:
        storage.remove_what_is_left()
    finally:
        del frappe.recorded.installed_apps[site.name]


def test_a_dry_run_removes_nothing(site: Site, engine: Engine, app: App) -> None:
    engine.submit(PLAYER, session_data=session("waits"))
    tables, keys = own_tables(site), lasting_keys(site.cache, site.journal)
    storage.remove_what_is_left()
    assert (own_tables(site), lasting_keys(site.cache, site.journal)) == (tables, keys)
    engine.drain()
    assert set(site.rows()) == {"waits"}


def test_tables_and_keys_of_the_site_go_and_nothing_else(
    site: Site, other_site: Site, engine: Engine, app: App
) -> None:
    for each in (site, other_site):
        each.add(PLAYER, [Record("q")])
        process = each.engine()
        process.due(PLAYER)
        process.submit(PLAYER, session_data=session("new"))
    tables = own_tables(site)
    assert len(tables) == 14
    assert own_tables(other_site) == tables
    foreign = f"{site.name}|srsly", f"{site.name}|user:amal", "rq:queues"
    for redis in (site.cache, site.journal):
        redis.mset(dict.fromkeys(foreign, "kept"))

    def keys() -> set[str]:
        return lasting_keys(site.cache, site.journal)

    before = keys()
    uninstall(site)
    gone = {key for key in before if key.startswith((f"{site.name}|srs-", f"{site.name}|srs:"))}
    assert len(gone) > 4
    assert keys() == before - gone
    assert own_tables(site) == []
    assert own_tables(other_site) == tables


@pytest.mark.parametrize("is_new", [True, False])
def test_a_new_site_has_nothing_of_an_old_one_of_its_name(
    site: Site, engine: Engine, app: App, is_new: bool
) -> None:
    """`bench drop-site` leaves keys in Redis; reinstalling the app on a site keeps them."""
    engine.submit(PLAYER, session_data=session("written"))
    engine.drain()
    engine.submit(PLAYER, session_data=session("waits"))
    if is_new:
        for table in own_tables(site):
            site.sql(f"DROP TABLE `{table}`")
    for table in (TRACKER, "`tabMemory Review Audit`"):
        site.sql(f"DELETE FROM {table}")
    storage.install()
    started = site.engine()
    started.drain()
    assert set(site.rows()) == (set() if is_new else {"written", "waits"})
    assert (started.outage_news() == []) == is_new


def test_an_archived_season_of_before_takes_answers_after_a_new_install(
    site: Site, app: App
) -> None:
    site.sql("INSERT INTO memora_archive (season, step) VALUES (%s, 'done')", [SEASON])
    uninstall(site)
    storage.prepare_storage()
    engine = site.engine()
    engine.submit(PLAYER, session_data=session("q"))
    engine.drain()
    assert set(site.rows()) == {"q"}
    assert ids(engine.due(PLAYER)) == []


def test_what_cannot_be_removed_is_told(
    site: Site, app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    site.servers.journal.kill()
    uninstall(site)
    assert "not everything could be removed" in capsys.readouterr().out
    site.servers.journal.start()

    def is_removed() -> bool:
        uninstall(site)
        return capsys.readouterr().out == ""

    assert wait_until(is_removed)
    # The next test finds its tables.
    storage.prepare_storage()


def test_the_desk_s_documents_of_the_app_go(site: Site, app: App) -> None:
    """Frappe removes those that link to the module; these do not."""
    left = {"Onboarding Step": "Make the First Season", "Desktop Icon": "Memora"}
    for doctype, name in left.items():
        site.sql(f"CREATE TABLE `tab{doctype}` (name VARCHAR(140) PRIMARY KEY)")
        site.sql(f"INSERT INTO `tab{doctype}` VALUES (%s), ('of another app')", (name,))
    try:
        storage.remove_what_is_left()
        names = [site.sql(f"SELECT name FROM `tab{doctype}`") for doctype in left]
        assert [len(found) for found in names] == [2, 2]
        uninstall(site)
        names = [site.sql(f"SELECT name FROM `tab{doctype}`") for doctype in left]
        assert names == [[{"name": "of another app"}]] * 2
    finally:
        for doctype in left:
            site.sql(f"DROP TABLE `tab{doctype}`")


def test_a_document_that_cannot_be_removed_keeps_nothing_else(site: Site, app: App) -> None:
    site.sql("CREATE TABLE `tabDesktop Icon` (id INT PRIMARY KEY)")
    try:
        with pytest.raises(pymysql.err.OperationalError, match="name"):
            uninstall(site)
        assert own_tables(site) == []
    finally:
        # Its transaction has read the table.
        frappe.local.db.rollback()
        site.sql("DROP TABLE `tabDesktop Icon`")
        storage.prepare_storage()
