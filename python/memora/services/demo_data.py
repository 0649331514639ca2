"""Demo data: a season with students who have answered for a month. It can be removed again.

Demo data has names that nothing else has: users of the domain DOMAIN, which nobody can own, a
season that ends with SUFFIX, subjects and topics that begin with PREFIX. So an interrupted run can
be continued, and all of it can be found and removed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Final, TypedDict

import frappe
from frappe import _
from frappe.utils import getdate

from memora._engine import MemoraError
from memora.services.administrators import alert_administrators
from memora.services.engine import engine
from memora.services.errors import throw
from memora.services.messages import translated
from memora.services.partition_manager import SEASON, create_season_partition
from memora.services.seasons import active_seasons
from memora.services.srs_jobs import JOB, JobCancelled, Kind, Work, at_work, request_job, unfinished
from memora.services.storage import ARCHIVE, TRACKER

DOMAIN: Final = "memora-demo.invalid"
SUFFIX: Final = "-MEMORA_DEMO"
PREFIX: Final = "Demo: "
STUDENTS: Final[tuple[str, ...]] = (
    "Amal", "Bilal", "Dana", "Faris", "Hala", "Idris", "Jana", "Karim", "Layla", "Mona", "Nasser",
    "Omar",
)  # fmt: skip
TOPICS: Final = {
    "Biology": ("Cells", "Plants", "The Heart"),
    "Mathematics": ("Fractions", "Angles", "Equations"),
    "Geography": ("Rivers", "Capitals", "Climate"),
}
QUESTIONS_OF_A_TOPIC: Final = 20
SESSIONS: Final = 6
ANSWERS_OF_A_SESSION: Final = 20
DAYS: Final = 30
# A user with this in its profile has all answers.
COMPLETE: Final = "A demo student of memora, with a month of answers."
MAKING: Final[Kind] = "Demo Data"
REMOVING: Final[Kind] = "Demo Data Removal"
MAKE_JOB: Final = "memora.services.demo_data.make_in_background"
REMOVE_JOB: Final = "memora.services.demo_data.remove_in_background"

OnProgress = Callable[[dict[str, int]], object]


class DemoData(TypedDict):
    """The demo data that exists after it was made, or that was removed."""

    season: str | None
    students: int
    records: int


def check_can_be_made(force: bool = False) -> None:
    """Check that students of the school will not see the demo season by mistake.

    Args:
        force: allow it.

    Raises:
        frappe.ValidationError: another season is active, or a job of the other kind runs.
    """
    others = [season for season in active_seasons() if not season.endswith(SUFFIX)]
    if others and not force:
        throw(
            _(
                "{0} is active, and its students would see the demo season in its place. Make demo "
                "data on a site of its own, or set force."
            ).format(others[0])
        )
    _check_no_job(REMOVING)


def request(force: bool = False) -> str | None:
    """Queue making demo data. Returns the SRS Job; None when the queue is down."""
    check_can_be_made(force)
    return request_job(MAKING, None, MAKE_JOB)


def request_removal() -> str | None:
    """Queue removing demo data. Returns the SRS Job; None when the queue is down."""
    _check_no_job(MAKING)
    return request_job(REMOVING, None, REMOVE_JOB)


def _check_no_job(kind: Kind) -> None:
    if unfinished(kind=kind):
        throw(_("{0} is under way: wait for its end, or cancel that SRS Job.").format(_(kind)))


def make_in_background(season: None = None, job: str | None = None) -> None:
    """Make demo data (background job). The request was checked before."""
    _tell_failure(lambda: _("Demo data could not be completed"), lambda: make(job))


def remove_in_background(season: None = None, job: str | None = None) -> None:
    """Remove demo data (background job)."""
    _tell_failure(lambda: _("Demo data could not be removed completely"), lambda: remove(job))


def _tell_failure(subject: Callable[[], str], do: Callable[[], DemoData]) -> None:
    try:
        do()
    except JobCancelled:
        return
    except (MemoraError, frappe.ValidationError) as error:
        cause = str(error)
        alert_administrators(
            lambda: (
                subject(),
                _("What was done stays. Request it again to continue. The cause: {0}").format(
                    translated(cause)
                ),
            ),
            "/app/srs-job",
        )


def make(job: str | None = None, on_progress: OnProgress | None = None) -> DemoData:
    """Make demo data, or its missing part, as an SRS Job. Commits.

    Students answer by the engine's own calls. Their records are then spread over a month.

    Args:
        job: the SRS Job of the request; by default, a new one.
        on_progress: called after each student with `done` and `total` students.

    Raises:
        JobCancelled: an administrator has cancelled it.
        frappe.ValidationError: students see another season, so the answers would count there.
        memora._engine.MemoraError: a server is down.
    """
    with at_work(MAKING, None, job) as work:
        season = _make_season()
        _make_subjects()
        for number, name in enumerate(STUDENTS):
            _report(work, on_progress, number, len(STUDENTS))
            _make_student(season, number, name)
        found = _found(season)
        _report(work, on_progress, len(STUDENTS), len(STUDENTS))
        text = _("{0} has {1} records of {2} students.")
        message = text.format(season, f"{found['records']:,}", found["students"])
        work.end("Done", message, done=len(STUDENTS), total=len(STUDENTS))
    return found


def remove(job: str | None = None, on_progress: OnProgress | None = None) -> DemoData:
    """Remove all demo data, as an SRS Job. Commits.

    A season in which other students have answered stays, but is no longer active.

    Args:
        job: as for `make`.
        on_progress: as for `make`.

    Raises:
        JobCancelled: an administrator has cancelled it. What was removed stays removed.
        memora._engine.MemoraError: a server is down.
    """
    with at_work(REMOVING, None, job) as work:
        seasons = _like(SEASON, f"SEASON-____{SUFFIX}")
        students = _like("User", f"%@{DOMAIN}")
        removed: DemoData = {
            "season": seasons[0] if seasons else None,
            "students": len(students),
            "records": 0,
        }
        for number, student in enumerate(students):
            _report(work, on_progress, number, len(students))
            removed["records"] += engine().forget(student)["records"]
            # A transaction that began earlier would still see the records.
            frappe.db.commit()
            for contact in frappe.get_all("Contact", {"email_id": student}, pluck="name"):
                _delete("Contact", contact)
            # Frappe does not delete all documents of a user.
            _delete("Notification Settings", student)
            _delete("User", student)
            frappe.db.delete("DefaultValue", {"parent": student})
            frappe.db.commit()
        kept = [season for season in seasons if not _remove_season(season)]
        if not kept:
            _remove_subjects()
        frappe.db.commit()
        text = _("{0} records of {1} students were removed.")
        message = text.format(f"{removed['records']:,}", removed["students"])
        if kept:
            more = _("{0} stays, but is no longer active: other students have answered in it.")
            message += " " + more.format(", ".join(kept))
        work.end("Done", message, done=len(students), total=len(students))
    return removed


def _report(work: Work, on_progress: OnProgress | None, done: int, total: int) -> None:
    work.report_progress(done, total)
    if on_progress:
        on_progress({"done": done, "total": total})


def _make_season() -> str:
    today = getdate()
    season = f"SEASON-{today.year}{SUFFIX}"
    if not frappe.db.exists(SEASON, season):
        # Of several active seasons that include today, students see the one that began last.
        others = active_seasons()
        start = today if others else today - timedelta(days=DAYS)
        _insert(SEASON, season_name=season, start_date=start, end_date=today + timedelta(days=60),
                is_active=1)  # fmt: skip
        frappe.db.commit()
    create_season_partition(season)
    engine().season_changed()
    if active_seasons()[:1] != [season]:
        throw(
            _("Students do not see {0}, but another season. Make {0} the only active one.").format(
                season
            )
        )
    return season


def _make_subjects() -> None:
    for subject, topics in TOPICS.items():
        if not frappe.db.exists("Game Subject", PREFIX + subject):
            _insert("Game Subject", subject_name=PREFIX + subject)
        for topic in topics:
            if not frappe.db.exists("Game Topic", PREFIX + topic):
                _insert("Game Topic", topic_name=PREFIX + topic, subject=PREFIX + subject)
    frappe.db.commit()


def _make_student(season: str, number: int, first_name: str) -> None:
    name = f"{first_name.lower()}@{DOMAIN}"
    if not frappe.db.exists("User", name):
        _insert("User", email=name, first_name=first_name, last_name="(Demo)", send_welcome_email=0)
        frappe.db.commit()
    elif frappe.db.get_value("User", name, "bio") == COMPLETE:
        return
    else:
        # An interrupted run left it.
        engine().forget(name)
    _answer(name, Random(number))
    engine().drain(10.0)
    _spread(name, season)
    frappe.db.set_value("User", name, "bio", COMPLETE)
    frappe.db.commit()
    engine().cache_clear(name, season)
    engine().rehydrate(name, season)


def _answer(player: str, chance: Random) -> None:
    """Let a student meet questions in lessons, then answer some of them in review sessions."""
    talent = chance.uniform(0.5, 0.95)
    met: list[str] = []
    for subject, topics in TOPICS.items():
        for topic in topics[: chance.randint(1, len(topics))]:
            slug = topic.lower().replace(" ", "-")
            names = [f"demo-{slug}-{number:02}" for number in range(QUESTIONS_OF_A_TOPIC)]
            lesson = [
                {
                    "question_id": name,
                    "duration_ms": chance.randint(2_000, 20_000),
                    "attempts_count": 1 if chance.random() < talent else 2,
                }
                for name in names
            ]
            engine().rate(player, json.dumps(lesson), PREFIX + subject, PREFIX + topic)
            met += names
    for _session in range(chance.randint(1, SESSIONS)):
        answers = [
            {
                "question_id": name,
                "quality": 5 if chance.random() < talent else 1,
                "response_time_ms": chance.randint(2_000, 20_000),
            }
            for name in chance.sample(met, ANSWERS_OF_A_SESSION)
        ]
        engine().submit(player, None, json.dumps(answers))


def _spread(player: str, season: str) -> None:
    """Move each of a student's records back in time, by different times: about a fifth is due then.

    It is one statement over one student's range of the primary key.
    """
    frappe.db.sql(
        f"update `tab{TRACKER}` set "
        "last_review_date = last_review_date - interval (@back := mod(crc32(question_id), "
        "least(%s, timestampdiff(minute, last_review_date, next_review_date) * 5 div 4) + 1)) "
        "minute, next_review_date = next_review_date - interval @back minute "
        "where player = %s and season = %s and last_review_date is not null",
        (DAYS * 24 * 60, player, season),
    )


def _found(season: str) -> DemoData:
    """How much demo data a season has."""
    students = _like("User", f"%@{DOMAIN}")
    records = sum(
        frappe.db.count(TRACKER, {"player": student, "season": season}) for student in students
    )
    return {"season": season, "students": len(students), "records": records}


def _remove_season(season: str) -> bool:
    """Delete a season; if it has records, end it instead. Returns whether it was deleted."""
    if any(frappe.db.exists(table, {"season": season}) for table in (TRACKER, ARCHIVE)):
        document = frappe.get_doc(SEASON, season)
        document.is_active = 0
        document.save(ignore_permissions=True)
        return False
    frappe.db.delete(JOB, {"season": season})
    _delete(SEASON, season)
    return True


def _remove_subjects() -> None:
    for subject, topics in TOPICS.items():
        for topic in topics:
            _delete("Game Topic", PREFIX + topic)
        _delete("Game Subject", PREFIX + subject)


def _like(doctype: str, pattern: str) -> list[str]:
    """Names that match a LIKE pattern. An underscore also matches itself."""
    names: list[str] = frappe.get_all(
        doctype, {"name": ("like", pattern)}, pluck="name", order_by="name"
    )
    return names


def _insert(doctype: str, **values: object) -> None:
    """Insert a document without checking permissions: the request was checked as a whole."""
    frappe.get_doc({"doctype": doctype, **values}).insert(ignore_permissions=True)


def _delete(doctype: str, name: str) -> None:
    frappe.delete_doc(
        doctype, name, force=True, ignore_permissions=True, ignore_missing=True,
        delete_permanently=True,
    )  # fmt: skip
