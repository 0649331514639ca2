"""Rebuild, reconciliation and status on a real site: what administrators may do, and others may
not."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any

import frappe
from frappe.desk.form.meta import get_meta
from frappe.utils import now_datetime

from memora._engine import InvalidInput
from memora.api import srs
from memora.commands import commands
from memora.memora.doctype.srs_job.srs_job import SRSJob
from memora.services import srs_jobs
from memora.services.engine import engine
from memora.services.srs_archiver import SRSArchiver
from memora.services.srs_reconciliation import (
    reconcile_cache_with_database,
    reconcile_in_background,
)
from memora.services.srs_redis_manager import rebuild_season, rebuild_season_cache
from memora.tests.case import SEASON, STUDENT, ReviewTestCase

JOB = "SRS Job"
METHODS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "get_cache_status": (("GET", "POST"), {}),
    "get_monitor": (("GET", "POST"), {}),
    "get_metrics": (("GET", "POST"), {}),
    "get_job": (("GET", "POST"), {"job": "none"}),
    "get_season_summary": (("GET", "POST"), {"season": SEASON}),
    "get_season_forecast": (("GET", "POST"), {"season": SEASON}),
    "rebuild_season_cache": (("POST",), {"season": SEASON}),
    "trigger_reconciliation": (("POST",), {"season": SEASON}),
    "request_reconciliation": (("POST",), {"season": SEASON}),
    "cancel_job": (("POST",), {"job": "none"}),
}


class MonitorTestCase(ReviewTestCase):
    def setUp(self) -> None:
        super().setUp()
        for number in range(20):
            self.add_record(f"q{number:02}")
        frappe.set_user("Administrator")

    def plant_a_ghost(self) -> None:
        engine().rehydrate(STUDENT, SEASON)
        engine().cache_add(STUDENT, SEASON, [("ghost", time.time() - 60)])

    def cached(self) -> set[str]:
        return set(engine().cache_scores(STUDENT, SEASON)) - {""}


class TestMonitor(MonitorTestCase):
    def test_a_rebuild_caches_everybody(self) -> None:
        job = srs_jobs.new_job("Rebuild", SEASON)
        self.assertIsNotNone(rebuild_season_cache(SEASON, job))
        self.assertTrue(engine().cache_stats(STUDENT, SEASON)["complete"])
        found = srs.get_job(job)
        self.assertEqual((found["status"], found["done"], found["percent"]), ("Done", 20, 100.0))
        self.assertEqual(frappe.get_doc(JOB, job).message, "20 records of 1 student are cached.")

    def test_a_reconciliation_removes_a_ghost(self) -> None:
        self.plant_a_ghost()
        report = reconcile_cache_with_database(0, SEASON)
        self.assertEqual((report["discrepancies_found"], report["auto_corrected"]), (1, 1))
        found = report["seasons"][SEASON]
        self.assertEqual((found["ghost"], found["records"], found["corrected"]), (1, 21, 1))
        self.assertEqual(self.cached(), {f"q{number:02}" for number in range(20)})
        job = frappe.get_last_doc(JOB, {"season": SEASON})
        self.assertEqual((job.kind, job.status, job.ghost), ("Reconciliation", "Done", 1))
        self.assertAlmostEqual(job.percent_differing, 100 / 21, places=3)

    def test_a_job_is_cancelled_before_it_begins(self) -> None:
        job = srs_jobs.new_job("Reconciliation", SEASON)
        self.assertEqual(srs.cancel_job(job)["status"], "Cancelled")
        self.assertIsNone(reconcile_in_background(SEASON, job))
        self.assertEqual(srs.get_job(job)["status"], "Cancelled")

    def test_a_dead_job_is_interrupted(self) -> None:
        job = srs_jobs.new_job("Rebuild", SEASON)
        frappe.db.set_value(JOB, job, "status", "Running")
        self.assertEqual(srs.get_job(job)["status"], "Running")
        long_ago = now_datetime() - timedelta(minutes=5)
        frappe.db.set_value(JOB, job, "modified", long_ago, update_modified=False)
        frappe.db.commit()
        self.assertEqual(srs.get_job(job)["status"], "Interrupted")
        srs_jobs.look_after_jobs()
        self.assertEqual(frappe.db.get_value(JOB, job, "status"), "Interrupted")

    def test_the_status_counts_what_is_cached(self) -> None:
        engine().rehydrate(STUDENT, SEASON)
        status = srs.get_cache_status()
        self.assertTrue(status["redis_connected"])
        self.assertEqual(status["keys_by_season"][SEASON], 1)
        self.assertGreater(status["memory_used_mb"], 0)
        self.assertIn("appendonly", status["journal"])

    def test_the_monitor_can_be_sent_to_a_browser(self) -> None:
        # A season without cached schedules has nothing to compare.
        engine().rehydrate(STUDENT, SEASON)
        reconcile_cache_with_database(0, SEASON)
        shown = json.loads(frappe.as_json(srs.get_monitor()))
        self.assertIn(SEASON, [job["season"] for job in shown["jobs"]])
        (found,) = [found for found in shown["discrepancies"] if found["season"] == SEASON]
        self.assertEqual(found["percent"], 0.0)
        self.assertIn(SEASON, [season["name"] for season in shown["seasons"]])

    def test_a_seasons_form_gets_its_summary(self) -> None:
        engine().rehydrate(STUDENT, SEASON)
        rebuild_season_cache(SEASON)
        shown = json.loads(frappe.as_json(srs.get_season_summary(SEASON)))
        self.assertEqual(
            (shown["records"], shown["students"], shown["cached_students"]), (20, 1, 1)
        )
        self.assertFalse(shown["are_records_estimated"])
        self.assertGreater(shown["disk_mb"], 0)
        self.assertEqual(shown["jobs"][0]["kind"], "Rebuild")

    def test_a_season_has_a_forecast_from_those_who_are_cached(self) -> None:
        self.assertEqual(srs.get_season_forecast(SEASON)["days"], [])
        engine().rehydrate(STUDENT, SEASON)
        shown = json.loads(frappe.as_json(srs.get_season_forecast(SEASON, days="7")))
        self.assertEqual((len(shown["days"]), shown["total"]), (7, 20))
        self.assertEqual((shown["sampled_students"], shown["students"]), (1, 1))

    def test_what_is_refused_leaves_no_job(self) -> None:
        for name in ("SEASON-1900", SEASON.lower(), f"{SEASON} "):
            with self.assertRaises(InvalidInput, msg=name):
                rebuild_season(name)
        # Students answer in it.
        with self.assertRaises(InvalidInput):
            SRSArchiver().archive_season(SEASON)
        self.assertFalse(frappe.db.exists(JOB, {"season": SEASON}))

    def test_forms_lists_and_page_get_the_scripts_that_they_share(self) -> None:
        for doctype, kind, part in (
            ("Game Subscription Season", "__js", "memora.seasons.summary ="),
            ("Game Subscription Season", "__list_js", "memora.seasons.state ="),
            ("Poison Review", "__list_js", "memora.lists.when_empty ="),
            ("Archived Memory Tracker", "__list_js", "memora.lists.when_empty ="),
        ):
            self.assertIn(part, get_meta(doctype).get(kind), (doctype, kind))
        page = frappe.get_doc("Page", "srs-monitor")
        page.load_assets()
        for part in ("memora.warnings.html =", "memora.seasons.when_none ="):
            self.assertIn(part, page.script)

    def test_old_jobs_are_forgotten(self) -> None:
        job = srs_jobs.new_job("Rebuild", SEASON)
        long_ago = now_datetime() - timedelta(days=400)
        frappe.db.set_value(JOB, job, "modified", long_ago, update_modified=False)
        SRSJob.clear_old_logs()
        self.assertFalse(frappe.db.exists(JOB, job))

    def test_a_season_that_uses_the_cache_again_is_rebuilt(self) -> None:
        season = frappe.get_doc("Game Subscription Season", SEASON)
        self.addCleanup(frappe.db.commit)
        season.enable_redis = 0
        season.save()
        frappe.db.commit()
        self.plant_a_ghost()
        season.enable_redis = 1
        season.save()
        frappe.db.commit()
        # A worker may take the job at once; this test does not wait for one.
        rebuild_season_cache(SEASON)
        self.assertEqual(self.cached(), {f"q{number:02}" for number in range(20)})

    def test_bench_knows_the_commands(self) -> None:
        (group,) = commands
        self.assertLessEqual(
            {
                "status",
                "forecast",
                "rebuild",
                "reconcile",
                "drain",
                "replay",
                "poison",
                "make-durable",
            },
            set(group.commands),
        )


class TestMonitorOverHTTP(MonitorTestCase):
    def make_manager(self) -> None:
        frappe.get_doc("User", STUDENT).add_roles("System Manager")
        frappe.db.commit()
        self.addCleanup(frappe.db.commit)
        self.addCleanup(lambda: frappe.get_doc("User", STUDENT).remove_roles("System Manager"))

    def test_only_administrators(self) -> None:
        for name, (verbs, arguments) in METHODS.items():
            for verb in ("GET", "POST"):
                for user in (STUDENT, None):
                    answer = self.request(verb, f"memora.api.srs.{name}", user, **arguments)
                    self.assertEqual(answer.status, 403, (name, verb, user))
                    if user and verb in verbs:
                        self.assertNotIn("Traceback", json.dumps(answer.data))
        frappe.db.rollback()
        self.assertFalse(frappe.db.exists(JOB, {"season": SEASON}))

    def test_an_administrator_sees_the_status(self) -> None:
        self.make_manager()
        answer = self.request("GET", "memora.api.srs.get_cache_status")
        self.assertEqual((answer.status, answer.data["message"]["redis_connected"]), (200, True))
        self.assertEqual(self.request("GET", "memora.api.srs.get_monitor").status, 200)
        self.assertEqual(self.request("GET", "memora.api.srs.get_job", job="none").status, 404)
        for name, (verbs, arguments) in METHODS.items():
            if "GET" not in verbs:
                answer = self.request("GET", f"memora.api.srs.{name}", **arguments)
                self.assertEqual(answer.status, 403, name)

    def test_prometheus_gets_its_text(self) -> None:
        self.make_manager()
        answer = self.request("GET", "memora.api.srs.get_metrics")
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.headers["Content-Type"].startswith("text/plain"))
        self.assertIn("memora_cache_up 1.0", answer.data["text"])

    def test_an_administrator_starts_a_rebuild(self) -> None:
        self.make_manager()
        answer = self.request("POST", "memora.api.srs.rebuild_season_cache", season=SEASON)
        self.assertEqual((answer.status, answer.data["message"]["status"]), (200, "started"))
        frappe.db.rollback()
        job = frappe.get_doc(JOB, answer.data["message"]["job"])
        self.assertEqual((job.kind, job.requested_by), ("Rebuild", STUDENT))
        answer = self.request("POST", "memora.api.srs.rebuild_season_cache", season="SEASON-1900")
        self.assertEqual(answer.status, 404)
