"""The rules of the DocTypes."""

from __future__ import annotations

import time
from typing import Any
from unittest.mock import patch

import frappe

from memora.api.reviews import get_review_session, submit_review_session
from memora.services.partition_manager import check_partition_exists, create_season_partition
from memora.tests.case import (
    OLD,
    SEASON,
    STUDENT,
    SUBJECT,
    TOPIC,
    ReviewTestCase,
    insert,
    save_answers,
)

DATES = {"start_date": "2026-01-01", "end_date": "2026-12-31"}


def season(name: str, **values: Any) -> Any:
    return frappe.get_doc(
        {"doctype": "Game Subscription Season", "season_name": name, **DATES, **values}
    )


class TestSeason(ReviewTestCase):
    def setUp(self) -> None:
        super().setUp()
        frappe.set_user("Administrator")
        self.addCleanup(frappe.db.rollback)

    def test_names(self) -> None:
        wrong = (
            "",
            "SEASON-26",
            "season-2026",
            "SEASON-2026-",
            "SEASON-2026-a",
            "SEASON-2026\n",
            "SEASON-٢٠٢٦",
        )
        for name in (*wrong, "SEASON-2026-" + "A" * 60):
            with self.assertRaises(frappe.ValidationError, msg=name):
                season(name).validate()
        for name in ("SEASON-2026", "SEASON-2026-SPRING_2"):
            season(name).validate()

    def test_dates_and_archive(self) -> None:
        with self.assertRaises(frappe.ValidationError):
            season("SEASON-2026", end_date="2025-12-31").validate()
        with self.assertRaises(frappe.ValidationError):
            season("SEASON-2026", is_active=1, auto_archive=1).validate()
        season("SEASON-2026", end_date="2026-01-01", auto_archive=1).validate()

    def test_ladders(self) -> None:
        plain = season("SEASON-2026")
        plain.validate()
        self.assertIsNone(plain.scheduling)
        for values in (
            {"slow_seconds": 1},
            {"ladder_days": "1, 3, 7"},
            {"subject_ladders": [{"subject": SUBJECT, "ladder_days": "7, 3, 1, 1"}]},
            {"subject_ladders": [{"subject": SUBJECT}, {"subject": SUBJECT}]},
        ):
            with self.assertRaises(frappe.ValidationError, msg=str(values)):
                season("SEASON-2026", **values).validate()

    def test_an_answer_counts_on_the_ladder_of_its_subject(self) -> None:
        self.add_record("q", subject=SUBJECT, stability=4)
        self.add_record("r", stability=4)
        document = frappe.get_doc("Game Subscription Season", SEASON)
        self.addCleanup(self.without_ladders)
        document.append("subject_ladders", {"subject": SUBJECT, "ladder_days": "1, 2, 3, 4, 5"})
        document.save(ignore_permissions=True)
        frappe.db.commit()
        self.add_record("s", stability=5)
        with self.assertRaises(frappe.ValidationError):
            self.add_record("t", stability=6)
        frappe.set_user(STUDENT)
        answers = [{"question_id": name, "quality": 5} for name in ("q", "r")]
        counts = submit_review_session(responses=answers)["new_stability_counts"]
        self.assertEqual(counts, {"1": 0, "2": 0, "3": 0, "4": 1, "5": 1})

    def test_a_season_that_is_scheduled_by_fsrs(self) -> None:
        for values in (
            {"desired_retention": 0.5},
            {"longest_interval_days": 40_000},
            {"fsrs_parameters": "[1]"},
        ):
            with self.assertRaises(frappe.ValidationError, msg=str(values)):
                season("SEASON-2026", scheduler="FSRS", **values).validate()
        document = frappe.get_doc("Game Subscription Season", SEASON)
        self.addCleanup(self.without_ladders)
        document.scheduler = "FSRS"
        document.save(ignore_permissions=True)
        frappe.db.commit()
        frappe.set_user(STUDENT)
        answers = [{"question_id": "q", "quality": 5}, {"question_id": "r", "quality": 0}]
        submit_review_session(responses=answers)
        frappe.set_user("Administrator")
        save_answers()
        easy, again = self.record("q"), self.record("r")
        # What FSRS-6 says of a first easy and a first wrong answer.
        self.assertEqual((easy.memory_stability, again.memory_stability), (8.2956, 0.212))
        self.assertEqual((easy.lapses, again.lapses), (0, 1))
        days = [
            (record.next_review_date - record.last_review_date.replace(microsecond=0)).days
            for record in (easy, again)
        ]
        self.assertEqual(days, [8, 1])

    def record(self, question_id: str) -> Any:
        found = {"player": STUDENT, "season": SEASON, "question_id": question_id}
        return frappe.get_doc("Player Memory Tracker", found)

    def without_ladders(self) -> None:
        frappe.set_user("Administrator")
        document = frappe.get_doc("Game Subscription Season", SEASON)
        document.subject_ladders = []
        document.scheduler = "Ladder"
        document.save(ignore_permissions=True)
        frappe.db.commit()

    def test_a_new_season_asks_for_its_partition_after_the_commit(self) -> None:
        with patch("frappe.enqueue") as enqueue:
            season(OLD).insert()
        (call,) = [call for call in enqueue.call_args_list if "partition" in str(call)]
        expected = {"season": OLD, "enqueue_after_commit": True, "timeout": 900}
        self.assertEqual(call.kwargs, expected)

    def test_the_partition(self) -> None:
        self.assertTrue(check_partition_exists(SEASON))
        self.assertFalse(create_season_partition(SEASON))
        self.assertEqual(
            frappe.db.get_value("Game Subscription Season", SEASON, "partition_created"), 1
        )
        for name in ("SEASON-2026'", "SEASON-1990"):
            self.assertFalse(create_season_partition(name))
            self.assertFalse(check_partition_exists(name))

    def test_it_is_not_renamed_and_not_deleted_under_its_records(self) -> None:
        with self.assertRaises(frappe.ValidationError):
            frappe.rename_doc("Game Subscription Season", SEASON, "SEASON-1997")
        self.add_record("q")
        for doctype, name in (("Game Subscription Season", SEASON), ("User", STUDENT)):
            with self.assertRaises(frappe.LinkExistsError):
                frappe.delete_doc(doctype, name)

    def test_a_season_that_ends_is_forgotten_at_once(self) -> None:
        self.add_record("q")
        frappe.set_user(STUDENT)
        self.assertEqual(get_review_session()["season"], SEASON)
        document = frappe.get_doc("Game Subscription Season", SEASON)
        for is_active, expected in ((0, False), (1, True)):
            document.is_active = is_active
            document.save(ignore_permissions=True)
            frappe.db.commit()
            answer = get_review_session()
            self.assertEqual(answer["season"] == SEASON, expected)
            if answer["season"] is None:
                self.assertEqual(answer["questions"], [])
                self.assertIn("No season", answer["message"])

    def test_answers_given_without_the_cache_are_not_forgotten_with_it(self) -> None:
        self.add_record("q")
        frappe.set_user(STUDENT)
        document = frappe.get_doc("Game Subscription Season", SEASON)
        for enable_redis, due in ((1, 1), (0, 1), (1, 0)):
            document.enable_redis = enable_redis
            document.save(ignore_permissions=True)
            frappe.db.commit()
            self.assertEqual(get_review_session()["total_due"], due)
            if not enable_redis:
                submit_review_session(responses=[{"question_id": "q", "quality": 5}])


class TestRecord(ReviewTestCase):
    def setUp(self) -> None:
        super().setUp()
        frappe.set_user("Administrator")

    def test_question_ids_and_stability(self) -> None:
        self.add_record("x" * 140)
        self.add_record("<b>q</b>:é😀")
        for values in (
            {"question_id": ""},
            {"question_id": "x" * 141},
            {"question_id": " q"},
            {"question_id": "q\x00"},
            {"question_id": "q", "stability": 5},
            {"question_id": "q", "stability": -1},
        ):
            with self.assertRaises(frappe.ValidationError, msg=values):
                self.add_record(**values)
        ids = {question["question_id"] for question in self.due()}
        self.assertEqual(ids, {"x" * 140, "<b>q</b>:é😀"})

    def test_whose_record_it_is_must_be_said(self) -> None:
        whole = {"player": STUDENT, "season": SEASON, "question_id": "q"}
        for field in whole:
            values = {"next_review_date": "2026-01-01", **whole, field: None}
            with self.assertRaises(frappe.ValidationError, msg=field):
                insert("Player Memory Tracker", **values)

    def test_one_record_for_each_question(self) -> None:
        self.add_record("q")
        self.add_record("Q")
        with self.assertRaises(frappe.DuplicateEntryError):
            self.add_record("q")

    def test_an_edit_by_hand_shows_and_wins_over_older_answers(self) -> None:
        record = self.add_record("q", stability=1)
        self.assertEqual(len(self.due()), 1)
        frappe.set_user(STUDENT)
        submit_review_session(
            responses=[{"question_id": "q", "quality": 5, "response_time_ms": 100}]
        )
        frappe.set_user("Administrator")
        record.reload()
        record.stability = 2
        before = time.time_ns() // 1000
        record.save()
        frappe.db.commit()
        self.assertGreaterEqual(record.answered_at_us, before)
        save_answers()
        record.reload()
        self.assertEqual(record.stability, 2)
        self.assertEqual([question["stability"] for question in self.due()], [2])

    def test_an_edited_rung_is_where_memory_begins_again(self) -> None:
        frappe.set_user(STUDENT)
        submit_review_session(responses=[{"question_id": "q", "quality": 4}])
        frappe.set_user("Administrator")
        save_answers()
        found = {"player": STUDENT, "season": SEASON, "question_id": "q"}
        record = frappe.get_doc("Player Memory Tracker", found)
        record.save()
        self.assertGreater(record.memory_stability, 2)
        record.stability = 4
        record.save()
        frappe.db.commit()
        record.reload()
        self.assertEqual((record.memory_stability, record.memory_difficulty), (0, 0))

    def test_a_deleted_record_is_no_longer_due(self) -> None:
        record = self.add_record("q")
        self.assertEqual(len(self.due()), 1)
        record.delete()
        frappe.db.commit()
        self.assertEqual(self.due(), [])

    def test_whose_record_it_is_cannot_be_changed(self) -> None:
        record = self.add_record("q")
        record.question_id = "r"
        with self.assertRaises(frappe.CannotChangeConstantError):
            record.save()

    def due(self) -> list[dict[str, Any]]:
        frappe.set_user(STUDENT)
        questions: list[dict[str, Any]] = get_review_session()["questions"]
        frappe.set_user("Administrator")
        return questions


class TestLinks(ReviewTestCase):
    def test_a_deleted_topic_is_no_longer_taken(self) -> None:
        answers = [{"question_id": "q", "is_correct": True}]
        given = {"answers": answers, "session_meta": {"subject": SUBJECT, "topic": TOPIC}}
        submit_review_session(session_data=given)
        frappe.set_user("Administrator")
        frappe.delete_doc("Game Topic", TOPIC)
        frappe.db.commit()
        self.addCleanup(insert, "Game Topic", topic_name=TOPIC, subject=SUBJECT)
        frappe.set_user(STUDENT)
        with self.assertRaises(frappe.ValidationError):
            submit_review_session(session_data=given)
