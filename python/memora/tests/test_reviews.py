"""A student's calls, in the process and over HTTP, down to the rows in MariaDB."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import frappe
from frappe.tests.utils import patch_hooks
from frappe.utils import get_datetime, now_datetime

from memora._engine import EngineFault, RateLimited, ServiceUnavailable
from memora.api.counts import get_count
from memora.api.reviews import (
    get_forecast,
    get_persistence_status,
    get_review_session,
    submit_review_session,
)
from memora.api.srs import process_srs_batch, undo_last_submission
from memora.services.engine import engine
from memora.services.srs_persistence import drain_safety_net, persist_review_batch
from memora.services.srs_redis_manager import SRSRedisManager
from memora.tests.case import SEASON, STUDENT, SUBJECT, TOPIC, TRACKER, ReviewTestCase, save_answers

GET = "memora.api.reviews.get_review_session"
SUBMIT = "memora.api.reviews.submit_review_session"
STATUS = "memora.api.reviews.get_persistence_status"
FORECAST = "memora.api.reviews.get_forecast"


def answered(*question_ids: str, is_correct: bool = True) -> dict[str, Any]:
    answers = [
        {"question_id": name, "is_correct": is_correct, "time_spent_ms": 3000}
        for name in question_ids
    ]
    return {
        "answers": answers,
        "session_meta": {"subject": SUBJECT, "topic": TOPIC},
        "total_combo": 1,
    }


def cards(question_ids: list[str]) -> dict[str, dict[str, Any]]:
    """A question loader, like a site's app has."""
    return {name: {"text": f"What is {name}?", "stability": 99} for name in question_ids[:1]}


class TestReviews(ReviewTestCase):
    def test_get_submit_get_drain(self) -> None:
        self.add_record("q1")
        self.add_record("q2", stability=4)
        session = get_review_session()
        self.assertEqual(
            [question["question_id"] for question in session["questions"]], ["q1", "q2"]
        )
        self.assertEqual(
            (session["total_due"], session["season"], session["is_degraded"]), (2, SEASON, False)
        )

        answer = submit_review_session(session_data=answered("q1"))
        self.assertEqual(
            (answer["status"], answer["processed"], answer["xp_earned"]), ("success", 1, 12)
        )
        self.assertEqual(answer["remaining_items"], 1)
        self.assertEqual(answer["new_stability_counts"], {"1": 0, "2": 0, "3": 1, "4": 0})
        self.assertEqual(answer["leeches"], [])
        self.assertEqual(get_review_session()["total_due"], 1)

        save_answers(persist_review_batch)
        job_id = answer["persistence_job_id"]
        told = {"job_id": job_id, "status": "persisted", "is_undone": False}
        self.assertEqual(get_persistence_status(job_id), told)
        frappe.db.rollback()
        row = frappe.db.get_value(
            TRACKER, {"player": STUDENT, "season": SEASON, "question_id": "q1"}, "*", as_dict=True
        )
        self.assertEqual(row.stability, 3)
        days = (get_datetime(row.next_review_date) - now_datetime()).total_seconds() / 86400
        self.assertAlmostEqual(days, 7, delta=0.1)
        audit = frappe.get_doc("Memory Review Audit", job_id)
        self.assertEqual((audit.player, audit.season, audit.answers), (STUDENT, SEASON, 1))
        self.assertNotIn("_answer_log", audit.as_dict())
        logged = engine().answers(STUDENT, SEASON)
        self.assertIn(("q1", job_id), [(one["question_id"], one["job_id"]) for one in logged])

    def test_a_forecast_moves_with_an_answer(self) -> None:
        self.add_record("q1")
        self.add_record("q2", next_review_date=now_datetime() - timedelta(days=3))
        before = get_forecast(days=8)
        today = str(now_datetime().date())
        self.assertEqual(before["days"][0], {"date": today, "due": 2})
        self.assertEqual((before["total"], before["due_now"], before["season"]), (2, 2, SEASON))
        submit_review_session(session_data=answered("q1"))
        after = get_forecast(days=8)
        self.assertEqual((after["days"][0]["due"], after["due_now"], after["total"]), (1, 1, 2))
        self.assertEqual(after["days"][7]["due"], 1)

    def test_frappe_clears_its_cache_and_leaves_schedules(self) -> None:
        self.add_record("q1")
        self.assertEqual(get_review_session()["total_due"], 1)
        frappe.cache.set_value("memora-test", 1)
        frappe.clear_cache()
        self.assertIsNone(frappe.cache.get_value("memora-test"))
        self.assertTrue(engine().cache_stats(STUDENT, SEASON)["complete"])
        self.assertEqual(get_review_session()["total_due"], 1)

    def test_both_forms_as_text_and_as_objects(self) -> None:
        listed = [{"question_id": "r", "quality": 2, "response_time_ms": 100}]
        for arguments in (
            {"session_data": answered("r")},
            {"session_data": json.dumps(answered("r"))},
            {"responses": listed},
            {"responses": json.dumps(listed), "session_data": ""},
        ):
            self.assertEqual(submit_review_session(**arguments)["processed"], 1)

    def test_the_safety_net_drains(self) -> None:
        submit_review_session(session_data=answered("q"))
        save_answers(drain_safety_net)
        self.assertTrue(
            frappe.db.exists(TRACKER, {"player": STUDENT, "season": SEASON, "question_id": "q"})
        )

    def test_a_lesson_brings_questions_in(self) -> None:
        interactions = [{"question_id": "new", "duration_ms": 900, "attempts_count": 2}]
        answer = process_srs_batch(STUDENT, interactions, subject=SUBJECT)
        self.assertEqual((answer["processed"], answer["new_stability_counts"]["1"]), (1, 1))
        (question,) = get_review_session(subject=SUBJECT)["questions"]
        self.assertEqual((question["question_id"], question["subject"]), ("new", SUBJECT))

    def test_what_is_sent_again_counts_once(self) -> None:
        self.add_record("q1", stability=1)
        given = {"session_data": answered("q1"), "submission_id": f"phone-{time.time()}"}
        first = submit_review_session(**given)
        self.assertEqual(submit_review_session(**given), first)
        save_answers(drain_safety_net)
        self.assertEqual(submit_review_session(**given), first)
        interactions = [{"question_id": "new", "duration_ms": 900}]
        name = f"lesson-{time.time()}"
        lesson = process_srs_batch(STUDENT, interactions, submission_id=name)
        self.assertEqual(process_srs_batch(STUDENT, interactions, submission_id=name), lesson)
        save_answers(drain_safety_net)
        own = {"player": STUDENT, "season": SEASON, "question_id": "q1"}
        self.assertEqual(frappe.db.get_value(TRACKER, own, "stability"), 2)
        self.assertEqual(frappe.db.count("Memory Review Audit", {"player": STUDENT}), 2)

    def test_an_answer_may_have_been_given_before(self) -> None:
        two_days = timedelta(days=2)
        moment = time.time() - two_days.total_seconds()
        answers = [{"question_id": "q1", "is_correct": True, "answered_at": moment}]
        submit_review_session(session_data={"answers": answers})
        save_answers(drain_safety_net)
        own = {"player": STUDENT, "season": SEASON, "question_id": "q1"}
        last, due = frappe.db.get_value(TRACKER, own, ["last_review_date", "next_review_date"])
        self.assertLess(abs(last + two_days - now_datetime()), timedelta(minutes=1))
        self.assertEqual(due - last.replace(microsecond=0), timedelta(days=1))

    def test_the_site_can_make_full_cards(self) -> None:
        self.add_record("q1")
        self.add_record("q2")
        with patch_hooks({"srs_question_loader": [f"{__name__}.cards"]}):
            first, second = get_review_session()["questions"]
        self.assertEqual((first["text"], first["stability"]), ("What is q1?", 2))
        self.assertNotIn("text", second)

    def test_wrong_input_saves_nothing(self) -> None:
        for session_data, responses in (
            (None, None),
            (answered("q"), []),
            (answered(*map(str, range(51))), None),
            ("{", None),
            ("\ud800", None),
            (7, None),
            ({"answers": [{"question_id": "q", "is_correct": float("nan")}]}, None),
            (None, [{"question_id": "q", "quality": 6}]),
            (answered("q") | {"session_meta": {"subject": "No Such Subject"}}, None),
        ):
            with self.assertRaises(frappe.ValidationError):
                submit_review_session(session_data=session_data, responses=responses)
        for arguments in (
            {"limit": 0},
            {"limit": "51"},
            {"limit": "x"},
            {"limit": True},
            {"subject": ["a"]},
        ):
            with self.assertRaises(frappe.ValidationError):
                get_review_session(**arguments)
        with self.assertRaises(frappe.DoesNotExistError):
            get_persistence_status("1-1")
        self.assertEqual(get_review_session(limit="50")["total_due"], 0)

    def test_nobody_counts_what_he_may_not_read(self) -> None:
        self.add_record("q1")
        filters = {"player": STUDENT, "stability": 2}
        refused = self.request("POST", "frappe.client.get_count", doctype=TRACKER, filters=filters)
        self.assertEqual(refused.status, 403)
        # Everybody may read countries: Frappe 16 requires that for counting; Frappe 15 does not
        # check.
        filter_ = {"name": "India"}
        counted = self.request(
            "POST", "frappe.client.get_count", doctype="Country", filters=filter_
        )
        self.assertEqual((counted.status, counted.data["message"]), (200, 1))
        frappe.set_user("Administrator")
        self.assertEqual(get_count(TRACKER, filters), 1)

    def test_guests_are_refused(self) -> None:
        frappe.set_user("Guest")
        with self.assertRaises(frappe.PermissionError):
            get_review_session()
        with self.assertRaises(frappe.PermissionError):
            submit_review_session(responses=[{"question_id": "q", "quality": 5}])
        with self.assertRaises(frappe.PermissionError):
            get_persistence_status("1-1")
        with self.assertRaises(frappe.PermissionError):
            get_forecast()

    def test_a_renamed_student_keeps_their_answers(self) -> None:
        # Not the shared student: a failure would remove that one for the next tests.
        old, new = "memora-test-old@example.com", "memora-test-new@example.com"
        frappe.set_user("Administrator")
        self.add_user(old)
        self.add_record("q1", player=old)
        frappe.set_user(old)
        answer = submit_review_session(session_data=answered("q1", "q2"))
        frappe.set_user("Administrator")
        frappe.rename_doc("User", old, new)
        frappe.db.commit()
        records = frappe.get_all(
            TRACKER, {"player": new}, pluck="question_id", order_by="question_id"
        )
        self.assertEqual(records, ["q1", "q2"])
        self.assertEqual(frappe.db.count(TRACKER, {"player": old}), 0)
        frappe.set_user(new)
        self.assertEqual(get_review_session()["total_due"], 0)
        job_id = answer["persistence_job_id"]
        self.assertEqual(get_persistence_status(job_id)["status"], "persisted")

    def test_what_is_undone_is_as_before(self) -> None:
        self.add_record("q1", stability=2)
        before = self.state("q1")
        frappe.set_user(STUDENT)
        for is_saved in (False, True):
            name = f"undo-{is_saved}-{time.time()}"
            answer = submit_review_session(session_data=answered("q1"), submission_id=name)
            self.assertEqual(answer["remaining_items"], 0)
            if is_saved:
                save_answers()
            undone = undo_last_submission(name)
            self.assertEqual((undone["undone"], undone["remaining_items"]), (1, 1))
            self.assertEqual(undone["xp_taken_back"], answer["xp_earned"])
            self.assertEqual(get_review_session()["total_due"], 1)
            save_answers()
            self.assertEqual(self.state("q1"), before)
            status = get_persistence_status(answer["persistence_job_id"])
            self.assertEqual((status["status"], status["is_undone"]), ("persisted", True))

    def state(self, question_id: str) -> Any:
        frappe.db.rollback()
        found = {"player": STUDENT, "season": SEASON, "question_id": question_id}
        record = frappe.get_doc(TRACKER, found)
        memory = record.memory_stability, record.memory_difficulty, record.lapses
        # memora's dates are whole seconds.
        return record.stability, record.next_review_date.replace(microsecond=0), *memory

    def test_a_rename_leaves_the_big_tables_alone(self) -> None:
        teacher, renamed = "memora-test-teacher@example.com", "memora-test-headmistress@example.com"
        frappe.set_user("Administrator")
        self.add_user(teacher)
        statements: list[str] = []
        sql = frappe.local.db.sql

        def listen(query: Any, *arguments: Any, **named: Any) -> Any:
            statements.append(str(query))
            return sql(query, *arguments, **named)

        with patch.object(frappe.local.db, "sql", listen):
            frappe.rename_doc("User", teacher, renamed)
            frappe.db.commit()
        updated = [query for query in statements if query.strip().lower().startswith("update")]
        self.assertTrue(any("`owner`" in query for query in updated))
        big = (
            "`tabPlayer Memory Tracker`",
            "`tabArchived Memory Tracker`",
            "`tabMemory Review Audit`",
        )
        self.assertEqual([query for query in updated if any(table in query for table in big)], [])

    def test_states_that_the_sites_code_has_computed(self) -> None:
        self.add_record("q")
        computed = [
            {
                "question_id": "q",
                "new_stability": 3,
                "new_next_review_date": now_datetime().replace(microsecond=0),
                "subject": SUBJECT,
            }
        ]
        frappe.db.commit()
        own = {"player": STUDENT, "question_id": "q"}
        self.assertEqual(frappe.db.get_value(TRACKER, own, "stability"), 2)
        self.assertEqual(persist_review_batch(computed, STUDENT, SEASON), 1)
        # The transaction has only read, so it sees them.
        found = frappe.db.get_value(
            TRACKER,
            own,
            ["stability", "subject", "next_review_date"],
        )
        self.assertEqual(found, (3, SUBJECT, computed[0]["new_next_review_date"]))
        (question,) = get_review_session()["questions"]
        self.assertEqual((question["stability"], question["stage_id"]), (3, "q"))

    def test_the_cache_of_one_student(self) -> None:
        manager = SRSRedisManager()
        self.assertTrue(manager.is_available())
        moment = now_datetime().replace(microsecond=0)
        self.assertTrue(manager.add_item(STUDENT, SEASON, "q", moment))
        score = manager.get_all_scores(STUDENT, SEASON)["q"]
        self.assertAlmostEqual(score, time.time(), delta=60)
        self.assertTrue(manager.add_batch(STUDENT, SEASON, {"q": str(moment), "r": score + 9000}))
        self.assertEqual(manager.get_due_times(STUDENT, SEASON), [("q", score)])
        self.assertEqual(manager.get_due_items(STUDENT, SEASON), ["q"])
        self.assertEqual(manager.count_due_items(STUDENT, SEASON), 1)
        self.assertTrue(manager.remove_item(STUDENT, SEASON, "q"))
        self.assertEqual(manager.get_cache_stats(STUDENT, SEASON)["records"], 1)
        self.assertTrue(manager.clear_user_cache(STUDENT, SEASON))
        self.add_record("kept")
        found = manager.get_due_items_with_rehydration(STUDENT, SEASON)
        self.assertEqual(found, (["kept"], True))
        found = manager.get_due_items_with_rehydration(STUDENT, SEASON)
        self.assertEqual(found, (["kept"], False))
        (question,) = manager.get_due_questions(STUDENT, SEASON)
        self.assertEqual(question["question_id"], "kept")


class TestReviewsOverHTTP(ReviewTestCase):
    def test_get_and_submit(self) -> None:
        self.add_record("q")
        status, data, _headers = self.request("GET", GET, limit=5)
        self.assertEqual((status, data["message"]["total_due"]), (200, 1))
        status, data, _headers = self.request("POST", SUBMIT, session_data=answered("q"))
        self.assertEqual((status, data["message"]["processed"]), (200, 1))
        job_id = data["message"]["persistence_job_id"]
        status, data, _headers = self.request("GET", STATUS, job_id=job_id)
        self.assertIn(data["message"]["status"], ("pending", "persisted"))
        status, data, _headers = self.request("GET", FORECAST, days=5)
        self.assertEqual((status, len(data["message"]["days"])), (200, 5))

    def test_a_submission_is_named_by_a_header(self) -> None:
        # A bench's tests may run on a site again: each run has names of its own.
        name = f"one-{time.time()}"
        told = [
            self.request_with(
                {"Idempotency-Key": key}, "POST", SUBMIT, session_data=answered("q")
            ).data
            for key in (name, f'"{name}"')
        ]
        self.assertEqual(told[0], told[1])
        status, data, _headers = self.request(
            "POST", SUBMIT, session_data=answered("r"), submission_id=name
        )
        self.assertEqual((status, data["error_code"]), (417, "memora.invalid_input"))

    def test_who_and_how(self) -> None:
        self.assertEqual(self.request("GET", GET, user=None).status, 403)
        self.assertEqual(self.request("GET", FORECAST, user=None).status, 403)
        self.assertEqual(self.request("GET", FORECAST, days=366).status, 417)
        self.assertEqual(self.request("GET", SUBMIT, responses="[]").status, 403)
        self.assertEqual(
            self.request("POST", "memora.api.srs.process_srs_batch", user=STUDENT).status, 403
        )

    def test_errors_tell_students_what_to_do_and_nothing_else(self) -> None:
        before = frappe.db.get_single_value("System Settings", "allow_error_traceback")
        self.addCleanup(self.allow_tracebacks, before)
        self.allow_tracebacks(1)
        for error, status in (
            (RateLimited("full", 17), 429),
            (ServiceUnavailable("mariadb at 10.0.0.1 is down"), 503),
            (EngineFault("a bug"), 500),
            (KeyError("a bug"), 500),
        ):
            with patch("memora.api.reviews.engine", return_value=Refusing(error)):
                answer = self.request("POST", GET)
            self.assertEqual(answer.status, status)
            told = json.dumps(answer.data)
            for secret in ("Traceback", "10.0.0.1", "a bug"):
                self.assertNotIn(secret, told)
            if status == 429:
                self.assertEqual(answer.data["retry_after"], 17)
                self.assertEqual(answer.data["exc_type"], "TooManyRequestsError")
                self.assertIn("wait 17 seconds", answer.data["message"])
                self.assertEqual(answer.headers["Retry-After"], "17")
        answer = self.request("POST", GET, limit=[1])
        self.assertEqual(answer.status, 417)
        self.assertNotIn("Traceback", json.dumps(answer.data))

    def test_what_does_not_exist_is_told(self) -> None:
        self.add_record("q")
        for asked, code in (
            ({"subject": "Alchemy"}, "memora.unknown_subject"),
            ({"topic_id": "Gold"}, "memora.unknown_topic"),
        ):
            answer = self.request("GET", GET, **asked)
            self.assertEqual(answer.status, 417)
            self.assertEqual(answer.data["error_code"], code)
            self.assertIn("There is no", answer.data["_server_messages"])
        self.assertEqual(self.request("GET", STATUS).status, 417)
        self.assertEqual(self.request("GET", STATUS, job_id="none").status, 404)

    def allow_tracebacks(self, is_allowed: int) -> None:
        frappe.db.set_single_value("System Settings", "allow_error_traceback", is_allowed)
        frappe.db.commit()
        frappe.clear_document_cache("System Settings", "System Settings")


class Refusing:
    """An engine that cannot answer."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def due(self, *_arguments: Any) -> None:
        raise self.error
