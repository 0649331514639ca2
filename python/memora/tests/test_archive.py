"""Archiving a season on a real site: what an administrator may do, and others may not."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

import frappe
from frappe.utils import now_datetime
from frappe.utils.background_jobs import create_job_id, get_redis_conn, is_job_enqueued
from rq.job import Job, JobStatus

from memora.api.reviews import get_review_session
from memora.api.srs import get_archive_status
from memora.commands import commands
from memora.services.partition_manager import check_partition_exists, create_season_partition
from memora.services.srs_archiver import (
    SRSArchiver,
    archive_in_background,
    delete_in_background,
    flag_eligible_for_deletion,
    process_auto_archive,
    request_archive,
)
from memora.services.srs_jobs import get_job, look_after_jobs
from memora.tests.case import (
    ARCHIVED,
    OLD,
    SEASON,
    SEASON_DOCTYPE,
    STUDENT,
    TRACKER,
    ReviewTestCase,
    insert,
    remove_season,
)

METHODS = {
    "memora.api.srs.archive_season": ("POST",),
    "memora.api.srs.get_archive_status": ("GET", "POST"),
    "memora.api.srs.delete_eligible_archived_records": ("POST",),
}


class ArchiveTestCase(ReviewTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(remove_season, OLD)
        remove_season(OLD)
        today = now_datetime().date()
        dates = {"start_date": today - timedelta(days=90), "end_date": today - timedelta(days=1)}
        insert(SEASON_DOCTYPE, season_name=OLD, **dates)
        create_season_partition(OLD)
        for number in range(5):
            self.add_record(f"q{number}", season=OLD)

    def archived(self, **filters: Any) -> int:
        frappe.db.rollback()
        return int(frappe.db.count(ARCHIVED, {"season": OLD, **filters}))


class TestArchive(ArchiveTestCase):
    def test_the_records_move_and_the_partition_is_empty(self) -> None:
        self.add_record("kept")
        archive_in_background(OLD)
        self.assertEqual(self.archived(), 5)
        self.assertEqual(frappe.db.count(TRACKER, {"season": OLD}), 0)
        rows = frappe.db.sql(f"select 1 from `tab{TRACKER}` partition (`{OLD}`)")
        self.assertEqual((check_partition_exists(OLD), len(rows)), (True, 0))
        season = frappe.get_doc(SEASON_DOCTYPE, OLD)
        self.assertEqual((season.archive_status, season.partition_created), ("Archived", 0))
        status = get_archive_status(OLD)
        self.assertEqual(
            (status["status"], status["done"], status["percent"]), ("Archived", 5, 100.0)
        )
        frappe.set_user(STUDENT)
        self.assertEqual(get_review_session()["season"], SEASON)
        self.assertEqual(get_review_session()["total_due"], 1)

    def test_what_is_archived_stays_as_it_is(self) -> None:
        record = frappe.get_last_doc(TRACKER, {"season": OLD})
        SRSArchiver().archive_season(OLD)
        with self.assertRaises(frappe.ValidationError):
            self.add_record("late", season=OLD)
        with self.assertRaises(frappe.ValidationError):
            record.save()
        frappe.db.rollback()
        season = frappe.get_doc(SEASON_DOCTYPE, OLD)
        season.is_active = 1
        with self.assertRaises(frappe.ValidationError):
            season.save()
        archived = frappe.get_last_doc(ARCHIVED, {"season": OLD})
        archived.stability = 4
        with self.assertRaises(frappe.CannotChangeConstantError):
            archived.save()
        archived.reload()
        archived.eligible_for_deletion = 1
        archived.save()
        frappe.db.commit()
        delete_in_background(OLD)
        self.assertEqual(self.archived(), 4)

    def test_what_is_set_by_itself_cannot_be_set(self) -> None:
        season = frappe.get_doc(SEASON_DOCTYPE, OLD)
        season.archive_status, season.partition_created = "Archived", 0
        season.save()
        season.reload()
        self.assertEqual((season.archive_status or "", season.partition_created), ("", 1))

    def test_a_season_is_never_renamed(self) -> None:
        for force in (False, True):
            with self.assertRaises(frappe.ValidationError):
                frappe.rename_doc(SEASON_DOCTYPE, OLD, "SEASON-1997-APPTEST", force=force)

    def test_neither_student_nor_season_is_deleted_while_there_are_archived_records(self) -> None:
        SRSArchiver().archive_season(OLD)
        for doctype, name in ((SEASON_DOCTYPE, OLD), ("User", STUDENT)):
            with self.assertRaises(frappe.LinkExistsError):
                frappe.delete_doc(doctype, name)

    def test_the_scheduler_archives_and_flags(self) -> None:
        process_auto_archive()
        self.assertEqual(self.archived(), 0)
        frappe.db.set_value(SEASON_DOCTYPE, OLD, "auto_archive", 1)
        frappe.db.commit()
        with patch("frappe.enqueue") as enqueue:
            process_auto_archive()
        (call,) = [call for call in enqueue.call_args_list if call.kwargs.get("season") == OLD]
        self.assertEqual((call.kwargs["queue"], self.archived()), ("long", 0))
        frappe.get_attr(call.args[0])(OLD, call.kwargs["job"])
        self.assertEqual(self.archived(), 5)
        self.assertEqual(
            frappe.db.get_value("SRS Job", call.kwargs["job"], ["kind", "status", "requested_by"]),
            ("Archive", "Done", None),
        )
        four_years_ago = now_datetime() - timedelta(days=4 * 366)
        frappe.db.set_value(
            ARCHIVED, {"season": OLD, "question_id": "q1"}, "archived_at", four_years_ago
        )
        frappe.db.sql("update memora_archive set finished_at_us = 1 where season = %s", OLD)
        frappe.db.commit()
        flag_eligible_for_deletion()
        self.assertEqual(self.archived(eligible_for_deletion=1), 1)

    def test_an_archive_whose_worker_was_killed_waits_again(self) -> None:
        """RQ calls it started until it has been silent for longer than the job may last."""
        with patch("frappe.enqueue") as enqueue:
            name = str(request_archive(OLD))
            self.assertEqual(get_job(name)["requested_by"], "Administrator")
            started = Job.create(
                "frappe.ping",
                id=create_job_id(f"memora_{name}"),
                connection=get_redis_conn(),
                status=JobStatus.STARTED,
            )
            # RQ's own `delete` fails for a deleted job.
            self.addCleanup(started.connection.delete, started.key)
            for minutes, calls in ((0, 1), (2, 2)):
                long_ago = now_datetime() - timedelta(minutes=2)
                frappe.db.set_value("SRS Job", name, "modified", long_ago, update_modified=False)
                frappe.db.commit()
                started.started_at = datetime.utcnow() - timedelta(minutes=minutes)
                started.save()
                self.assertTrue(is_job_enqueued(f"memora_{name}"))
                look_after_jobs()
                self.assertEqual(enqueue.call_count, calls, minutes)
        self.assertEqual(get_job(name)["status"], "Queued")
        self.assertFalse(is_job_enqueued(f"memora_{name}"))

    def test_bench_knows_the_commands(self) -> None:
        (group,) = commands
        self.assertEqual(group.name, "memora")
        self.assertLessEqual(
            {"archive", "partitions", "delete-eligible", "cancel"}, set(group.commands)
        )


class TestArchiveOverHTTP(ArchiveTestCase):
    def test_only_administrators(self) -> None:
        for method, verbs in METHODS.items():
            for verb in ("GET", "POST"):
                for user in (STUDENT, None):
                    answer = self.request(verb, method, user, season=OLD, confirm=1)
                    self.assertEqual(answer.status, 403, (method, verb, user))
                    if user and verb in verbs:
                        self.assertNotIn("Traceback", json.dumps(answer.data))
        self.assertEqual(self.archived(), 0)

    def test_an_administrator_sees_the_status_and_must_confirm(self) -> None:
        frappe.get_doc("User", STUDENT).add_roles("System Manager")
        frappe.db.commit()
        self.addCleanup(frappe.db.commit)
        self.addCleanup(lambda: frappe.get_doc("User", STUDENT).remove_roles("System Manager"))
        for method, verbs in METHODS.items():
            if "GET" not in verbs:
                self.assertEqual(self.request("GET", method, season=OLD, confirm=1).status, 403)
                answer = self.request("POST", method, season=OLD)
                self.assertEqual(answer.status, 417, answer.data)
                self.assertIn("confirm", json.dumps(answer.data))
            self.assertEqual(
                self.request("POST", method, season="SEASON-1990", confirm=1).status, 404
            )
        answer = self.request("GET", "memora.api.srs.get_archive_status", season=OLD)
        self.assertEqual((answer.status, answer.data["message"]["status"]), (200, "Not Archived"))
