"""Another app that is called memora, on the wheel with the engine alone (docs/adopting.md).

examples/adopted_app is run by a Python that finds the wheel memora_engine and nothing of ours.
"""

from __future__ import annotations

import json
import re
import shutil
import site as python_site
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from memora._engine import EngineFault
from tests import frappe_standin
from tests.conftest import clean_site
from tests.support.site_under_test import PATIENT, PLAYER, SEASON, Record, Servers, Site
from tests.support.wheels import ROOT, built, install

EXAMPLE = ROOT / "examples/adopted_app"
ADOPTING = ROOT / "docs/adopting.md"
OLD_SEASON = "SEASON-2025"
DATABASE = "memora_adopted"
LATER = timedelta(days=3)

# Runs code on the site; its only output is the variable `result`.
DRIVER = """
import contextlib, json, sys

given = json.load(sys.stdin)
sys.path[:0] = given["path"]
import frappe_standin

frappe_standin.make_present(given["config"])
names = {}
with contextlib.redirect_stdout(sys.stderr):
    exec(given["code"], names)
print(json.dumps(names.get("result"), default=str))
"""


class AdoptedApp:
    """The example on a site, each call of it in a process of its own."""

    def __init__(self, folder: Path, site: Site) -> None:
        self.folder = folder
        self.site = site

    def run(self, code: str) -> Any:
        """The code's variable `result`."""
        database = self.site.servers.database
        config = {
            "db_name": self.site.name, "db_user": database.user, "db_password": database.password,
            "db_host": database.host, "db_port": database.port,
            "redis_cache": self.site.servers.cache.server_url,
            "redis_queue": self.site.servers.journal.url,
            "srs_redis_timeout_ms": PATIENT["redis_timeout_ms"],
            "srs_database_timeout_ms": PATIENT["database_timeout_ms"],
        }  # fmt: skip
        # Frappe's libraries are in site-packages; -S leaves out packages that are installed by a
        # link, like memora.
        path = [str(self.folder), *python_site.getsitepackages()]
        given = json.dumps({"path": path, "config": config, "code": code})
        command = [sys.executable, "-I", "-S", "-c", DRIVER]
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel, the example, and Frappe's stand-in."""
    folder = tmp_path_factory.mktemp("adopted")
    install(folder, built("memora_engine"))
    shutil.copytree(EXAMPLE / "memora", folder / "memora")
    shutil.copy(str(frappe_standin.__file__), folder)
    return folder


@pytest.fixture
def new_site(servers: Servers, folder: Path) -> Iterator[AdoptedApp]:
    """The app on a site with tables as Frappe makes them."""
    with new_database(servers, f"{DATABASE}_new") as site:
        site.insert("Game Subscription Season", name=SEASON, season_name=SEASON, is_active=1)
        yield AdoptedApp(folder, site)


@pytest.fixture(scope="module")
def prepared(private_servers: Servers, folder: Path) -> Iterator[AdoptedApp]:
    """The app on a site that `bench migrate` has been run on."""
    with new_database(private_servers, DATABASE) as site:
        app = AdoptedApp(folder, site)
        app.run("from memora.services import partition_manager as p; p.prepare_storage()")
        yield app


@pytest.fixture
def adopted(servers: Servers, prepared: AdoptedApp) -> AdoptedApp:
    """The same, with a season that is active, and one that has ended."""
    clean_site(prepared.site).insert(
        "Game Subscription Season", name=OLD_SEASON, season_name=OLD_SEASON, enable_redis=1,
        auto_archive=1, start_date="2025-01-01", end_date="2025-12-31",
    )  # fmt: skip
    return prepared


@contextmanager
def new_database(servers: Servers, name: str) -> Iterator[Site]:
    with servers.database.connect() as connection:
        connection.query(f"CREATE DATABASE `{name}`")
    with servers.database.connect(database=name) as connection:
        frappe_standin.create_tables(connection)
    yield Site(servers, name)
    servers.heal()
    with servers.database.connect() as connection:
        connection.query(f"DROP DATABASE `{name}`")


def test_its_shims_are_short() -> None:
    lines = [line for path in EXAMPLE.rglob("*.py") for line in path.read_text().splitlines()]
    assert len(lines) <= 200


def test_nothing_of_ours_can_be_imported_there(new_site: AdoptedApp) -> None:
    version, has_engine, places = new_site.run(
        """
import importlib.util, sys
import memora, memora.services.srs_redis_manager, memora_engine
result = (
    memora.__version__,
    importlib.util.find_spec("memora._engine") is not None,
    [memora.__file__, memora_engine.__file__, sys.modules["memora_engine._engine"].__file__],
)
"""
    )
    assert (version, has_engine) == ("7.0.0", False)
    assert all(place.startswith(str(new_site.folder)) for place in places)


def test_its_tables_are_prepared_once(new_site: AdoptedApp) -> None:
    prepare = """
from memora_engine.site_engine import engine
result = engine().prepare_storage()
"""
    assert "partitioned by season" in new_site.run(prepare)
    assert new_site.run(prepare) == []
    assert new_site.site.engine().partition_exists(SEASON)


def test_it_is_told_which_fields_its_doctypes_lack(new_site: AdoptedApp) -> None:
    new_site.site.sql("ALTER TABLE `tabPlayer Memory Tracker` DROP COLUMN answered_at_us")
    kind, code, message = new_site.run(
        """
from memora_engine import MemoraError
from memora.services import partition_manager
try:
    partition_manager.prepare_storage()
except MemoraError as error:
    result = (str(type(error)), error.code, str(error))
"""
    )
    assert kind == "<class 'memora_engine._engine.EngineFault'>"
    assert code == "memora.fault"
    assert "Player Memory Tracker lacks answered_at_us (Int with the length 20)" in message


def test_the_documentation_names_every_field(servers: Servers) -> None:
    rows = re.findall(r"^\| ([A-Z][\w ,]+) \| (.*) \|$", ADOPTING.read_text(), re.MULTILINE)
    told = {doctype: set(re.findall(r"`(\w+)`", fields)) for doctype, fields in rows}
    told["Archived Memory Tracker"] |= told["Player Memory Tracker"]
    with new_database(servers, f"{DATABASE}_bare") as site:
        for row in site.sql("SHOW TABLES"):
            (table,) = row.values()
            site.sql(f"CREATE OR REPLACE TABLE `{table}` (name VARCHAR(140))")
        with pytest.raises(EngineFault) as raised:
            site.engine().prepare_storage()
    needed = {
        doctype: set(re.findall(r"(\w+) \(", fields))
        for doctype, fields in re.findall(r"(?:: |; )([\w ]+) lacks ([^;.]+)", str(raised.value))
    }
    assert len(needed) == 5
    assert {doctype: told[doctype] for doctype in needed} == needed


def test_a_new_seasons_partition_is_made_and_noted(adopted: AdoptedApp) -> None:
    season = "SEASON-2027"
    adopted.site.insert("Game Subscription Season", name=season, season_name=season)
    made = adopted.run(
        f"""
import frappe
from memora.services import partition_manager as p
result = [p.create_season_partition({season!r}) for _ in range(2)]
frappe.db.commit()
"""
    )
    assert made == [True, False]
    (row,) = adopted.site.sql(
        "SELECT partition_created FROM `tabGame Subscription Season` WHERE name = %s", [season]
    )
    assert row["partition_created"] == 1


def test_a_review_session_from_the_first_read_to_the_table(adopted: AdoptedApp) -> None:
    adopted.site.add(PLAYER, [Record("stage-1:q"), Record("r"), Record("later", LATER)])
    shown = adopted.run(
        f"""
from memora.services.srs_redis_manager import get_review_session
result = get_review_session({PLAYER!r})
"""
    )
    assert {one["question_id"]: one["stage_id"] for one in shown["questions"]} == {
        "stage-1:q": "stage-1",
        "r": "r",
    }
    assert (shown["total_due"], shown["is_degraded"], shown["season"]) == (2, False, SEASON)

    told, jobs, due = adopted.run(
        f"""
import frappe
from memora.services.srs_persistence import submit_review_session
from memora.services.srs_redis_manager import get_review_session
told = submit_review_session({PLAYER!r}, [{{"question_id": "r", "quality": 5}}])
due = get_review_session({PLAYER!r})["total_due"]
result = (told, [(job.method, job.queue) for job in frappe.recorded.jobs], due)
"""
    )
    assert (told["status"], told["processed"], due) == ("success", 1, 1)
    assert {"xp_earned", "persistence_job_id"} <= told.keys()
    ((method, queue),) = jobs
    assert queue == "short"
    before = adopted.site.rows()["r"]["stability"]
    assert adopted.run(f"import frappe; result = frappe.get_attr({method!r})()") == 1
    assert adopted.site.rows()["r"]["stability"] == before + 1


def test_states_that_the_app_computed_are_written_in_the_order_of_answers(
    adopted: AdoptedApp,
) -> None:
    adopted.site.add(PLAYER, [Record("q")])
    count, due = adopted.run(
        f"""
from memora.services.srs_persistence import persist_review_batch, submit_review_session
from memora.services.srs_redis_manager import SRSRedisManager
submit_review_session({PLAYER!r}, [{{"question_id": "q", "quality": 0}}])
given = {{"new_stability": 4, "new_next_review_date": "2099-01-01 00:00:00"}}
count = persist_review_batch(
    [{{**given, "question_id": "q"}}, {{**given, "question_id": "r", "subject": "Science"}}],
    {PLAYER!r}, {SEASON!r},
)
result = count, SRSRedisManager().get_due_items_with_rehydration({PLAYER!r}, {SEASON!r})[0]
"""
    )
    assert (count, due) == (2, [])
    rows = adopted.site.rows()
    assert {name: row["stability"] for name, row in rows.items()} == {"q": 4, "r": 4}
    assert {str(row["next_review_date"]) for row in rows.values()} == {"2099-01-01 00:00:00"}
    assert (rows["q"]["subject"], rows["r"]["subject"]) == (None, "Science")


def test_the_minutes_job_writes_what_no_job_wrote(adopted: AdoptedApp) -> None:
    adopted.run(
        f"""
from memora.services.srs_persistence import submit_review_session
submit_review_session({PLAYER!r}, [{{"question_id": "new", "quality": 5}}])
"""
    )
    assert adopted.site.rows() == {}
    adopted.run("from memora.services.srs_persistence import drain_safety_net as d; d()")
    assert list(adopted.site.rows()) == ["new"]


def test_schedules_are_loaded_and_read_from_the_cache(adopted: AdoptedApp) -> None:
    adopted.site.add(PLAYER, [Record("q"), Record("later", LATER)])
    cold, warm, cached, stats = adopted.run(
        f"""
from memora.services.srs_redis_manager import SRSRedisManager
manager, of = SRSRedisManager(), ({PLAYER!r}, {SEASON!r})
result = (
    manager.get_due_items_with_rehydration(*of), manager.get_due_items_with_rehydration(*of),
    manager.get_due_items(*of), manager.get_cache_stats(*of),
)
"""
    )
    assert (cold, warm, cached) == ([["q"], True], [["q"], False], ["q"])
    assert (stats["total_items"], stats["due_items"]) == (2, 1)
    assert stats["memory_usage_bytes"] > 0
    rehydrated, rebuilt = adopted.run(
        f"""
from memora.services.srs_redis_manager import SRSRedisManager
m = SRSRedisManager()
result = m.rehydrate_user_cache({PLAYER!r}, {SEASON!r}), m.rebuild_season_cache({SEASON!r})
"""
    )
    assert (rehydrated, rebuilt) == (2, 2)


def test_what_differs_is_found_and_corrected(adopted: AdoptedApp) -> None:
    adopted.site.add(PLAYER, [Record("q"), Record("later", LATER)])
    first, second = adopted.run(
        f"""
from memora.services.srs_reconciliation import reconcile_cache_with_database
from memora.services.srs_redis_manager import SRSRedisManager
SRSRedisManager().get_due_items_with_rehydration({PLAYER!r}, {SEASON!r})
SRSRedisManager().add_item({PLAYER!r}, {SEASON!r}, "later", 1.0, ttl=600)
result = reconcile_cache_with_database(), reconcile_cache_with_database()
"""
    )
    assert (first["discrepancies_found"], first["discrepancy_rate"]) == (1, 0.5)
    assert (first["auto_corrected"], first["alert_triggered"]) == (1, True)
    assert (second["sample_size"], second["discrepancies_found"]) == (2, 0)


def test_a_season_that_has_ended_is_archived(adopted: AdoptedApp) -> None:
    adopted.site.add(PLAYER, [Record("q"), Record("r")], season=OLD_SEASON)
    assert adopted.run(
        f"""
from memora.services.srs_archiver import SRSArchiver
result = SRSArchiver().archive_season({OLD_SEASON!r})
"""
    ) == {"success": True, "archived_count": 2}
    assert adopted.site.rows(season=OLD_SEASON) == {}
    (archived,) = adopted.site.sql("SELECT COUNT(*) AS n FROM `tabArchived Memory Tracker`")
    assert archived["n"] == 2
    adopted.run("from memora.services.srs_archiver import process_auto_archive as p; p()")


def test_safe_mode_and_mistakes_are_told_in_frappes_way(adopted: AdoptedApp) -> None:
    adopted.site.add(PLAYER, [Record("q")])
    adopted.site.servers.cache.kill()
    shown, refused, wait, invalid = adopted.run(
        f"""
import frappe
from memora.services.srs_persistence import submit_review_session
from memora.services.srs_redis_manager import get_review_session
shown = get_review_session({PLAYER!r})["is_degraded"]
try:
    get_review_session({PLAYER!r})
except frappe.TooManyRequestsError as error:
    refused = str(error)
try:
    submit_review_session({PLAYER!r}, [{{"quality": 5}}])
except frappe.ValidationError as error:
    invalid = error.http_status_code
result = shown, refused, frappe.local.response["retry_after"], invalid
"""
    )
    assert (shown, invalid) == (True, 417)
    assert str(wait) in refused


def test_a_saved_season_makes_the_engine_look_again(adopted: AdoptedApp) -> None:
    adopted.site.add(PLAYER, [Record("q")])
    before, after, is_warm = adopted.run(
        f"""
import frappe
from memora.hooks import doc_events
from memora_engine.site_engine import engine
from memora.services.srs_redis_manager import SRSRedisManager, get_review_session
before = get_review_session({PLAYER!r})["season"]
frappe.db.set_value("Game Subscription Season", {SEASON!r}, {{"is_active": 0, "enable_redis": 1}})
kept = {{"time_zone": None, "doctype": "Game Subscription Season", "name": {SEASON!r}}}
season = frappe.Document({{**kept, "enable_redis": 1}}, {{**kept, "enable_redis": 0}})
((doctypes, events),) = doc_events.items()
assert season.doctype in doctypes
season.get = season.__dict__.get
frappe.get_attr(events["on_update"])(season, "on_update")
frappe.db.commit()
after = get_review_session({PLAYER!r})["season"]
is_warm = not SRSRedisManager().get_due_items_with_rehydration({PLAYER!r}, {SEASON!r})[1]
result = before, after, is_warm
"""
    )
    assert (before, after, is_warm) == (SEASON, None, False)


def test_a_document_is_saved_whatever_the_engine_can_be_told(adopted: AdoptedApp) -> None:
    """As in `bench migrate`, which clears the cache before there is any table."""
    adopted.site.servers.cache.kill()
    adopted.site.servers.database.kill()
    adopted.run("from memora.services.srs_redis_manager import forget_documents as f; f(True)")
