"""Training FSRS on a season's answers: parameters that predict better are used, and no others."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from memora._engine import Engine, InvalidInput
from memora.api import srs
from memora.services import scheduler_report, srs_archiver, srs_jobs, training
from tests import frappe_standin as frappe
from tests.servers.test_fork import fork
from tests.support.answer_logs import AUDIT, Given, a_term, add_logs
from tests.support.servers import wait_until
from tests.support.site_under_test import PLAYER, SEASON, SUBJECTS, Record, Site, session

if TYPE_CHECKING:
    from memora._engine import TrainingProgress

App = Callable[..., None]
TABLE = "`tabGame Subscription Season`"
ROW = "Season Subject Ladder"
STUDENTS = [f"student{number}@school.example" for number in range(10)]


def badly(source: random.Random, since: int, day: int) -> bool:
    """These students remember less than others."""
    return source.random() < 0.6


def worse_lately(source: random.Random, since: int, day: int) -> bool:
    """In the newest fifth, students have forgotten everything."""
    return day < 30


@pytest.fixture
def manager(site: Site, app: App, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site with an administrator logged in who sees every piece of work."""
    monkeypatch.setattr(srs_jobs, "NEWS_SECONDS", 0.0)
    app(user=frappe.MANAGER)
    return site


def season_of(site: Site) -> dict[str, Any]:
    (row,) = site.sql(f"SELECT * FROM {TABLE} WHERE name = %s", (SEASON,))
    return row


def add_row(site: Site, subject: str) -> None:
    """A row of the season's table of subjects, as its form saves it."""
    ladder = {"fast_ms": 2_000, "slow_ms": 6_000, "days": [1, 3, 7, 14]}
    site.insert(
        ROW, name=f"row of {subject}", parent=SEASON, parentfield="subject_ladders",
        parenttype="Game Subscription Season", idx=1, subject=subject, fast_seconds=2,
        slow_seconds=6, ladder_days="1, 3, 7, 14",
    )  # fmt: skip
    scheduling = json.dumps({"ladder": ladder, "subjects": {subject: ladder}})
    site.sql(f"UPDATE {TABLE} SET scheduling = %s WHERE name = %s", (scheduling, SEASON))


def test_parameters_that_predict_better_are_used(manager: Site) -> None:
    count = add_logs(manager, a_term(10, 30, 6, badly))
    requested = srs.request_training(SEASON)
    assert (requested["season"], requested["status"]) == (SEASON, "queued")
    # Asked for again, it is the same one.
    assert srs.request_training(SEASON) == requested
    frappe.recorded.run_jobs()
    job = srs.get_job(requested["job"])
    assert (job["kind"], job["status"], job["done"]) == ("Training", "Done", count)
    season = season_of(manager)
    assert len(json.loads(season["fsrs_parameters"])) == 21
    (kept,) = json.loads(season["fsrs_training"])["found"]
    assert (kept["subject"], kept["answers"], kept["is_used"]) == (None, count, True)
    assert kept["before"]["log_loss"] > kept["after"]["log_loss"] > 0
    # They count from now on, in every process, and are those in use for the next training.
    assert len(json.loads(season["scheduling"])["ladder"]["parameters"]) == 21
    (again,) = manager.engine().train(SEASON)
    assert again["before"]
    assert again["before"]["log_loss"] == pytest.approx(kept["after"]["log_loss"], abs=1e-4)
    # Some were given in the same second.
    assert kept["predicted"] == 1_500
    assert 300 <= kept["held_out"] < 320
    unseen = f"{kept['held_out']} answers that training did not see: the new parameters are used"
    assert unseen in job["message"]


def test_parameters_that_predict_worse_are_not(manager: Site, engine: Engine) -> None:
    add_logs(manager, a_term(10, 30, 6, worse_lately))
    (found,) = engine.train(SEASON)
    assert found["before"]
    assert found["after"]
    assert found["after"]["log_loss"] > found["before"]["log_loss"]
    assert (len(found["parameters"] or []), found["is_better"]) == (21, False)
    assert "the parameters stay" in training.summary(training.train_season(SEASON))
    season = season_of(manager)
    assert season["fsrs_parameters"] is None
    assert json.loads(season["fsrs_training"])["found"][0]["is_used"] is False


def test_of_too_few_answers_it_says_so(manager: Site) -> None:
    add_logs(manager, a_term(10, 20, 5, badly))
    # These do not count: an edit overrides one, and of the other the first answers are not known.
    old = [Given("old", True, 3_000, 13), Given("older", True, 3_000, 2)]
    add_logs(manager, iter([(1_790_000_000, PLAYER, old)]))
    job = srs.request_training(SEASON)["job"]
    frappe.recorded.run_jobs()
    found = srs.get_job(job)
    assert (found["status"], found["done"]) == ("Done", 1_000)
    assert "Too few answers to train on: 800 of 1,000" in found["message"]
    assert season_of(manager)["fsrs_parameters"] is None


def test_what_was_trained_survives_the_form_and_cannot_be_written(manager: Site) -> None:
    add_row(manager, SUBJECTS[0])
    add_logs(manager, a_term(10, 30, 6, badly))
    training.train_season(SEASON)
    document: Any = frappe.get_doc("Game Subscription Season", SEASON)
    trained = document.fsrs_parameters
    document.fsrs_parameters = document.fsrs_training = "[]"
    document.subject_ladders[0].fsrs_parameters = "[]"
    document.save()
    assert len(json.loads(trained)) == 21
    assert season_of(manager)["fsrs_parameters"] == trained
    assert json.loads(season_of(manager)["fsrs_training"])["found"]
    (row,) = manager.sql(f"SELECT fsrs_parameters FROM `tab{ROW}`")
    assert row["fsrs_parameters"] is None


def test_a_copy_of_a_season_begins_with_what_was_trained(manager: Site) -> None:
    add_logs(manager, a_term(10, 30, 6, badly))
    training.train_season(SEASON)
    trained = season_of(manager)["fsrs_parameters"]
    copy: Any = frappe.get_doc(
        {
            "doctype": "Game Subscription Season", "season_name": "SEASON-2027",
            "start_date": "2027-01-01", "end_date": "2027-12-31", "fsrs_parameters": trained,
            "fsrs_training": "[]",
        }
    )  # fmt: skip
    copy.insert()
    assert (copy.fsrs_parameters, copy.fsrs_training) == (trained, None)
    assert len(json.loads(copy.scheduling)["ladder"]["parameters"]) == 21


@pytest.mark.parametrize("is_archived", [False, True])
def test_a_subject_with_a_row_of_its_own_is_trained_by_itself(
    manager: Site, is_archived: bool
) -> None:
    subject = SUBJECTS[0]
    add_row(manager, subject)
    for student in STUDENTS:
        manager.add(
            student,
            [Record(f"q{n:03}", subject=SUBJECTS[n % 2], answered_at_us=n) for n in range(40)],
        )
    if is_archived:
        manager.sql(f"UPDATE {TABLE} SET is_active = 0")
        srs_archiver.SRSArchiver().archive_season(SEASON)
    count = add_logs(manager, a_term(10, 40, 7, badly))
    (of_season, of_subject) = training.train_season(SEASON)
    assert (of_season["subject"], of_subject["subject"]) == (None, subject)
    assert of_season["answers"] == of_subject["answers"] == count / 2
    assert of_subject["is_better"]
    (row,) = manager.sql(f"SELECT * FROM `tab{ROW}`")
    assert len(json.loads(row["fsrs_parameters"])) == 21
    assert json.loads(row["fsrs_parameters"]) != json.loads(season_of(manager)["fsrs_parameters"])
    assert season_of(manager)["archive_status"] == ("Archived" if is_archived else None)


def test_another_season_and_a_log_that_cannot_be_read_are_left_out(
    manager: Site, engine: Engine
) -> None:
    count = add_logs(manager, a_term(2, 10, 5, badly))
    add_logs(manager, a_term(3, 10, 5, badly), "SEASON-2027")
    damaged = [Given("q", True, 3_000, None)]
    add_logs(manager, iter([(1_790_000_000, PLAYER, damaged)]))
    manager.sql(f"UPDATE {AUDIT} SET _answer_log = x'0900' WHERE player = %s", (PLAYER,))
    (found,) = engine.train(SEASON)
    assert found["answers"] == count


def test_what_students_really_answer_is_read(manager: Site, engine: Engine) -> None:
    engine.submit(PLAYER, session_data=session("new", "other", "new"))
    engine.submit(PLAYER, session_data=session("new", is_correct=False))
    engine.drain()
    (found,) = engine.train(SEASON)
    assert (found["answers"], found["predicted"], found["parameters"]) == (4, 0, None)


@pytest.mark.parametrize("first", ["a", "b", "c", None])
def test_answers_count_in_the_order_in_which_they_were_taken(
    manager: Site, engine: Engine, first: str | None
) -> None:
    """The names of submissions with a key say nothing of the time."""
    keys = [first, *(key for key in ("a", "b", "c", None) if key != first)]
    for key in keys:
        engine.submit(PLAYER, session_data=session("new"), submission_id=key)
        engine.drain()
    names = manager.sql(f"SELECT name FROM {AUDIT} ORDER BY answered_at")
    assert [str(row["name"]).startswith("key-") for row in names] == [
        key is not None for key in keys
    ]
    (found,) = engine.train(SEASON)
    assert found["answers"] == len(keys)


def test_what_was_undone_is_left_out(manager: Site, engine: Engine) -> None:
    engine.submit(PLAYER, session_data=session("q", "r"))
    engine.submit(PLAYER, session_data=session("q", "s"), submission_id="a mistake")
    engine.drain()
    assert engine.train(SEASON)[0]["answers"] == 4
    engine.undo(PLAYER, "a mistake")
    engine.drain()
    assert engine.train(SEASON)[0]["answers"] == 2
    until = str(manager.now() + timedelta(days=1))[:19]
    assert engine.scheduler_report(SEASON, 100, until)["answers"] == 2


def test_its_progress_is_told_and_it_is_cancelled(
    manager: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_logs(manager, a_term(10, 100, 8, badly))
    requested = srs.request_training(SEASON)
    publish = frappe.publish_realtime
    told: list[str] = []

    def cancel_once_it_computes(
        event: str, message: dict[str, Any], room: str | None = None
    ) -> None:
        publish(event, message, room)
        told.append(message["message"])
        if message["message"] == "Computing":
            frappe.local.db.set_value("SRS Job", requested["job"], "cancel_requested", 1)

    monkeypatch.setattr(frappe, "publish_realtime", cancel_once_it_computes)
    frappe.recorded.run_jobs()
    job = srs.get_job(requested["job"])
    assert job["status"] == "Cancelled"
    assert {"Reading answers", "Computing"} <= set(told)
    assert season_of(manager)["fsrs_training"] is None
    # The next one is not in its way.
    monkeypatch.undo()
    again = srs.request_training(SEASON)["job"]
    frappe.recorded.run_jobs()
    assert srs.get_job(again)["status"] == "Done"


def test_an_error_ends_the_computation_and_its_thread(manager: Site, engine: Engine) -> None:
    add_logs(manager, a_term(10, 60, 8, badly))
    threads = len(os.listdir("/proc/self/task"))

    def stop(progress: TrainingProgress) -> None:
        if progress["step"] == "computing":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.train(SEASON, stop)
    assert wait_until(lambda: len(os.listdir("/proc/self/task")) <= threads)
    assert wait_until(lambda: not engine.is_running("Training", SEASON))


def test_one_process_at_a_time_trains_a_season(manager: Site, engine: Engine) -> None:
    refused: list[str] = []

    def another(_progress: object) -> None:
        assert engine.is_running("Training", SEASON)
        with pytest.raises(InvalidInput, match="another process does the training") as refusal:
            manager.engine().train(SEASON)
        refused.append(str(refusal.value))

    engine.train(SEASON, another)
    assert refused
    assert wait_until(lambda: not engine.is_running("Training", SEASON))


def test_killed_in_the_middle_it_is_interrupted_and_changes_nothing(
    manager: Site, engine: Engine
) -> None:
    add_logs(manager, a_term(10, 60, 8, badly))
    name = srs_jobs.new_job("Training", SEASON)
    frappe.local.db.set_value("SRS Job", name, "status", "Running")
    frappe.local.db.commit()

    def die(progress: TrainingProgress) -> None:
        if progress["step"] == "computing":
            os.kill(os.getpid(), signal.SIGKILL)

    child = fork(lambda: manager.engine().train(SEASON, die))  # type: ignore[arg-type]
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert wait_until(lambda: not engine.is_running("Training", SEASON))
    long_ago = manager.now() - timedelta(seconds=srs_jobs.SILENT_SECONDS + 1)
    manager.sql("UPDATE `tabSRS Job` SET modified = %s", (long_ago,))
    frappe.local.db.commit()
    srs_jobs.look_after_jobs()
    assert srs_jobs.get_job(name)["status"] == "Interrupted"
    assert season_of(manager)["fsrs_training"] is None
    assert engine.train(SEASON)[0]["is_better"]


def test_a_season_may_be_archived_meanwhile(manager: Site) -> None:
    for student in STUDENTS:
        manager.add(student, [Record("q000")])
    manager.engine().create_partition(SEASON)
    manager.sql(f"UPDATE {TABLE} SET is_active = 0")
    add_logs(manager, a_term(10, 30, 6, badly))
    archived: list[bool] = []

    def archive(progress: TrainingProgress) -> None:
        if progress["step"] == "computing" and not archived:
            archived.append(True)
            srs_archiver.SRSArchiver().archive_season(SEASON)

    training.train_season(SEASON, None, archive)
    season = season_of(manager)
    assert (archived, season["archive_status"]) == ([True], "Archived")
    assert len(json.loads(season["fsrs_parameters"])) == 21


def test_somebody_who_saves_the_season_meanwhile_loses_nothing(
    manager: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_logs(manager, a_term(10, 30, 6, badly))
    get_doc = frappe.get_doc
    saved: list[bool] = []

    def as_others_save(doctype: Any, name: str | None = None) -> Any:
        document = get_doc(doctype, name)
        if name == SEASON and not saved:
            saved.append(True)
            manager.sql(f"UPDATE {TABLE} SET modified = NOW(6), ladder_days = '2, 4, 8, 16'")
        return document

    monkeypatch.setattr(frappe, "get_doc", as_others_save)
    training.train_season(SEASON)
    season = season_of(manager)
    assert (season["ladder_days"], bool(season["fsrs_parameters"])) == ("2, 4, 8, 16", True)
    assert json.loads(season["scheduling"])["ladder"]["days"] == [2, 4, 8, 16]


def test_each_week_it_is_done_where_it_is_wished(manager: Site) -> None:
    add_logs(manager, a_term(10, 30, 6, badly))
    training.train_weekly()
    assert manager.sql("SELECT * FROM `tabSRS Job`") == []
    manager.sql(f"UPDATE {TABLE} SET train_weekly = 1")
    frappe.local.db.commit()
    training.train_weekly()
    (job,) = manager.sql("SELECT * FROM `tabSRS Job`")
    assert (job["kind"], job["status"], job["season"]) == ("Training", "Done", SEASON)
    assert season_of(manager)["fsrs_parameters"]


def test_each_statement_reads_a_little_by_a_key(site: Site) -> None:
    add_logs(site, a_term(20, 60, 8, badly))
    site.sql(
        f"INSERT INTO {AUDIT} (name, creation, modified, answered_at, player, season, _answer_log) "
        "SELECT CONCAT(LPAD(HEX(1795000000000 + seq * 1000), 12, '0'), '7000'), NOW(6), NOW(6), "
        "FROM_UNIXTIME(1795000000 + seq), 'x', 'SEASON-2030', x'01000000' FROM seq_1_to_20000"
    )
    site.sql(f"ANALYZE TABLE {AUDIT}")
    with site.listening() as statements:
        engine = site.engine()
        engine.train(SEASON)
        engine.scheduler_report(SEASON, 100, "2027-01-01 00:00:00")
    selects = [text for text in statements if "_answer_log" in text and "SELECT" in text]
    assert len(selects) > 20
    for select in dict.fromkeys(selects):
        (plan,) = site.sql(f"EXPLAIN {select}")
        assert (plan["key"], plan["type"]) in (("PRIMARY", "range"), ("answered_at", "range"))
        assert "filesort" not in (plan["Extra"] or "")
        assert select.rpartition("LIMIT ")[2].strip() in ("1000", "500")


# -- the report ---------------------------------------------------------------------------------
def test_the_report_compares_the_ladder_with_fsrs(manager: Site) -> None:
    add_logs(manager, a_term(10, 60, 8, badly))
    for student in STUDENTS:
        manager.add(student, [Record(f"q{number:03}") for number in range(60)])
    manager.sql(f"UPDATE {TABLE} SET start_date = '2026-01-01', end_date = '2026-06-29'")
    frappe.local.db.commit()
    report = srs.get_scheduler_report(SEASON)
    assert (report["days"], report["questions"], report["answers"]) == (180, 60, 4_800)
    assert report["message"] == "Estimated from the last 4,800 answers of the season."
    assert round(report["right"], 1) == 0.6
    assert (round(report["fast"], 1), round(report["slow"], 1)) == (0.2, 0.2)
    assert (report["is_assumed"], report["is_trained"]) == (False, False)
    ways = {way["retention"]: way for way in report["ways"]}
    assert list(ways) == [None, 0.85, 0.9, 0.95]
    assert all(len(way["weeks"]) == 26 for way in report["ways"])
    assert ways[0.85]["reviews_a_day"] < ways[0.9]["reviews_a_day"] < ways[0.95]["reviews_a_day"]
    assert ways[0.85]["known"] < ways[0.95]["known"] <= 60
    assert srs.get_scheduler_report(SEASON) == report
    # A ladder of longer steps asks less.
    days = {"fast_ms": 2_000, "slow_ms": 6_000, "days": [7, 14, 28, 56]}
    scheduling = json.dumps({"ladder": days})
    manager.sql(f"UPDATE {TABLE} SET scheduling = %s", (scheduling,))
    frappe.local.db.commit()
    (ladder, *_) = srs.get_scheduler_report(SEASON)["ways"]
    assert ladder["reviews_a_day"] < ways[None]["reviews_a_day"] / 2


def test_before_the_first_answers_an_ordinary_student_is_assumed(manager: Site) -> None:
    report = scheduler_report.scheduler_report(SEASON)
    assert (report["is_assumed"], report["answers"], report["questions"]) == (True, 0, 1_000)
    assert "an ordinary student is assumed" in report["message"]
    with pytest.raises(frappe.DoesNotExistError):
        srs.get_scheduler_report("SEASON-1999")
