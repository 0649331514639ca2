"""Students who are renamed or deleted while their answers wait, with the stand-in for frappe."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from memora._engine import Engine
from memora.api import srs
from memora.services import players, srs_archiver, srs_persistence
from memora.services.engine import engine as engine_of_site
from memora.services.errors import ReviewsUnavailable
from tests import frappe_standin as frappe
from tests.administrators.test_archive import STUDENTS, old
from tests.support.site_under_test import (
    BELIEVING,
    IMPATIENT_WITH_REDIS,
    PLAYER,
    SEASON,
    TRACKER,
    Cost,
    Record,
    Site,
    ids,
    session,
)

__all__ = ["old"]

App = Callable[..., None]

NEW = "amal.new@school.example"
NEIGHBOURS = ["aaa@school.example", "amam@school.example"]
USER = SimpleNamespace(doctype="User", name=PLAYER)


def rename(new: str, old: str = PLAYER) -> None:
    """As an administrator does it."""
    frappe.rename_doc("User", old, new)
    frappe.local.db.commit()


def test_a_renamed_student_keeps_what_waited_in_the_journal(
    site: Site, app: App, engine: Engine
) -> None:
    site.add(PLAYER, [Record("q"), Record("r")])
    # A read under the new name came before there was a student of that name.
    assert ids(engine.due(NEW)) == []
    engine.submit(PLAYER, session_data=session("q", "new"))
    rename(NEW)
    engine.drain()
    assert (set(site.rows(NEW)), site.rows(PLAYER)) == ({"q", "r", "new"}, {})
    assert ids(engine.due(NEW)) == ["r"]
    assert ids(engine.due(PLAYER)) == []


def test_who_cannot_be_saved_now_is_not_renamed(site: Site, app: App, engine: Engine) -> None:
    engine.submit(PLAYER, session_data=session("q"))
    engine_of_site().due(PLAYER)
    site.servers.journal.kill()
    with pytest.raises(ReviewsUnavailable):
        rename(NEW)


def test_an_administrator_is_told_which_server_is_down(site: Site, app: App) -> None:
    """Not the message for students."""
    site.servers.journal.kill()
    with pytest.raises(ReviewsUnavailable, match="redis_queue") as refusal:
        players.check_no_records(USER)
    assert "review" not in str(refusal.value).lower()


def test_two_students_with_records_do_not_become_one(site: Site, app: App) -> None:
    site.add_users(NEW)
    site.add(PLAYER, [Record("q")])
    site.add(NEW, [Record("r")])
    with pytest.raises(frappe.ValidationError, match="cannot be merged"):
        frappe.rename_doc("User", PLAYER, NEW, merge=True)


def test_a_student_is_merged_with_a_user_without_records(site: Site, app: App) -> None:
    site.add_users(NEW)
    site.add(PLAYER, [Record("q")])
    frappe.rename_doc("User", PLAYER, NEW, merge=True)
    frappe.local.db.commit()
    assert (set(site.rows(NEW)), site.rows(PLAYER)) == ({"q"}, {})


# -- who is a student
# ------------------------------------------------------------------------------------
LESSON = [{"question_id": "q", "attempts_count": 2}]


@pytest.mark.parametrize("has_cache", [True, False])
@pytest.mark.parametrize(
    "nobody", ["EDU-STU-00042", "\u00e1mal@school.example", "amal@school.example\u00a0"]
)
def test_a_lesson_of_nobody_is_refused(site: Site, app: App, nobody: str, has_cache: bool) -> None:
    if not has_cache:
        site.servers.cache.kill()
    with pytest.raises(frappe.ValidationError, match="there is no user"):
        srs.process_srs_batch(nobody, LESSON)
    assert site.waiting() == 0


@pytest.mark.parametrize("has_cache", [True, False])
def test_a_lesson_counts_for_the_name_that_frappe_has(
    site: Site, app: App, engine: Engine, has_cache: bool
) -> None:
    if not has_cache:
        site.servers.cache.kill()
    srs.process_srs_batch("Amal@School.EXAMPLE", LESSON)
    engine.drain()
    found = site.sql(f"SELECT player, owner FROM {TRACKER}")
    assert found == [{"player": PLAYER, "owner": PLAYER}]


@pytest.mark.engines(**BELIEVING)
def test_a_user_is_looked_up_once(site: Site, app: App) -> None:
    srs.process_srs_batch(PLAYER, LESSON)
    with site.counting() as costs:
        srs.process_srs_batch(PLAYER, LESSON)
    assert costs == [Cost(selects=0, statements=0, cache_round_trips=2, journal_round_trips=1)]


@pytest.mark.parametrize("how", ["renamed", "deleted"])
def test_a_user_who_is_gone_is_refused(site: Site, app: App, engine: Engine, how: str) -> None:
    srs.process_srs_batch(PLAYER, LESSON)
    engine.drain()
    if how == "renamed":
        rename(NEW)
    else:
        site.sql(f"DELETE FROM {TRACKER}")
        frappe.local.db.rollback()
        frappe.delete_doc("User", PLAYER)
        frappe.local.db.commit()
    with pytest.raises(frappe.ValidationError, match="there is no user"):
        srs.process_srs_batch(PLAYER, LESSON)


# -- what a renaming costs others
# ---------------------------------------------------------------------
BIG_TABLES = ("tabPlayer Memory Tracker", "tabArchived Memory Tracker", "tabMemory Review Audit")


@pytest.fixture
def many(site: Site, app: App, old: str) -> Site:
    """A site with thousands of records of others, live, archived and audited."""
    srs_archiver.SRSArchiver().archive_season(old)
    for number in range(20):
        site.add(f"other{number}@school.example", [Record(f"q{place}") for place in range(100)])
    site.sql(
        "INSERT INTO `tabMemory Review Audit` (name, player, owner, modified_by) "
        f"SELECT name, player, player, player FROM {TRACKER}"
    )
    site.sql("ANALYZE TABLE `tabMemory Review Audit`")
    return site


def rows_read(site: Site) -> int:
    """Rows that the present transaction of the app has made MariaDB look at."""
    found = frappe.local.db.sql("show session status like 'Handler_read%'")
    return sum(int(row["Value"]) for row in found)


def check_nobody_waits(site: Site, engine: Engine, season: str) -> None:
    """All answers are saved, late ones too, and those of the next student in the table."""
    others = [*NEIGHBOURS, *(f"other{number}@school.example" for number in range(20))]
    for player in others:
        engine.submit(player, session_data=session("q1", "new"))
    report = engine.drain()
    assert (report["submissions"], report["remaining"]) == (len(others), 0)
    with site.servers.database.connect(database=site.name) as other, other.cursor() as cursor:
        cursor.execute("SET SESSION innodb_lock_wait_timeout = 0")
        cursor.executemany(
            "UPDATE `tabArchived Memory Tracker` SET stability = 4 "
            "WHERE player = %s AND season = %s AND question_id = 'q001'",
            [(student, season) for student in STUDENTS],
        )
        assert cursor.rowcount == len(STUDENTS)


@pytest.mark.parametrize("has_records", [False, True])
def test_to_rename_a_user_costs_no_scan_and_blocks_nobody(
    many: Site, engine: Engine, old: str, has_records: bool
) -> None:
    user = PLAYER if has_records else "teacher@school.example"
    many.add_users(user)
    if has_records:
        for _ in range(2):
            engine.submit(PLAYER, session_data=session(*(f"q{place}" for place in range(40))))
            engine.drain()
    frappe.local.db.rollback()
    before = rows_read(many)
    frappe.rename_doc("User", user, NEW)
    assert rows_read(many) - before < 1_000
    check_nobody_waits(many, engine, old)
    frappe.local.db.commit()
    for table in BIG_TABLES:
        found = many.sql(f"SELECT owner, modified_by FROM `{table}` WHERE player = %s", (NEW,))
        assert all(row == {"owner": NEW, "modified_by": NEW} for row in found)
    assert len(many.rows(NEW)) == (40 if has_records else 0)
    # Nothing of it is left to the next one.
    assert set(BIG_TABLES) <= set(frappe.local.db.get_tables())
    assert {link["parent"] for link in frappe.get_link_fields("User")} > {"Player Memory Tracker"}


def test_archived_records_go_along(site: Site, app: App, old: str) -> None:
    student = STUDENTS[0]
    site.add_users(student)
    srs_archiver.SRSArchiver().archive_season(old)
    rename(NEW, student)
    count = "SELECT COUNT(*) AS count FROM `tabArchived Memory Tracker` WHERE player = %s"
    assert site.sql(count, (student,)) == [{"count": 0}]
    assert site.sql(count, (NEW,))[0]["count"] > 0


def test_a_rename_that_is_undone_leaves_everything(site: Site, app: App, engine: Engine) -> None:
    site.add(PLAYER, [Record("q")])
    frappe.rename_doc("User", PLAYER, NEW)
    frappe.local.db.rollback()
    assert set(BIG_TABLES) <= set(frappe.local.db.get_tables())
    engine.submit(PLAYER, session_data=session("q"))
    engine.drain()
    assert engine.carry_renamed() == 0
    assert site.rows(PLAYER)["q"]["stability"] == 3


@pytest.mark.parametrize("is_open", [True, False])
def test_what_comes_under_the_old_name_meanwhile_is_carried(
    site: Site, app: App, engine: Engine, is_open: bool
) -> None:
    """Taken before the commit, or by a call that began before it, and saved after it."""
    site.add(PLAYER, [Record("q", answered_at_us=1), Record("r", answered_at_us=1)])
    frappe.rename_doc("User", PLAYER, NEW)
    if is_open:
        engine.submit(PLAYER, session_data=session("q", "new"))
    frappe.local.db.commit()
    if not is_open:
        engine.submit(PLAYER, session_data=session("q", "new"))
    engine.submit(NEW, session_data=session("r"))
    engine.drain()
    srs_persistence.drain_safety_net()
    found = {question: row["stability"] for question, row in site.rows(NEW).items()}
    assert set(found) == {"q", "r", "new"}
    assert (found["r"], site.rows(PLAYER)) == (3, {})
    assert {row["owner"] for row in site.rows(NEW).values()} <= {NEW, None}
    assert ids(engine.due(NEW)) == []
    audits = site.sql("SELECT DISTINCT player FROM `tabMemory Review Audit`")
    assert audits == [{"player": NEW}]
    logged = [answer["question_id"] for answer in engine.answers(NEW, SEASON)]
    assert (sorted(logged), engine.answers(PLAYER, None)) == (["new", "q", "r"], [])


@pytest.mark.engines(**IMPATIENT_WITH_REDIS)
def test_what_is_carried_while_the_cache_hangs_is_shown_once_it_is_back(
    site: Site, engine: Engine
) -> None:
    site.add_users(NEW)
    site.add(NEW, [Record("q")])
    site.add("old@renamed.example", [Record("r")])
    engine.note_rename("old@renamed.example", NEW)
    reader = site.engine()
    assert ids(reader.due(NEW)) == ["q"]
    site.servers.cache.pause()
    assert engine.carry_renamed() == 1
    site.servers.cache.resume()
    assert ids(reader.due(NEW)) == ["q", "r"]


def test_what_a_run_carried_that_died_is_shown(site: Site, engine: Engine) -> None:
    site.add_users(NEW)
    site.add(NEW, [Record("q")])
    engine.note_rename("old@renamed.example", NEW)
    assert ids(engine.due(NEW)) == ["q"]
    site.add(NEW, [Record("r")])
    assert engine.carry_renamed() == 0
    assert ids(engine.due(NEW)) == ["q", "r"]


def test_who_is_renamed_again_is_followed(site: Site, engine: Engine) -> None:
    """The first new name was mistyped."""
    first, slip, last = (f"{name}@renamed.example" for name in ("first", "slip", "last"))
    engine.note_rename(first, slip)
    engine.note_rename(slip, last)
    site.add_users(last)
    site.add(first, [Record("q")])
    assert engine.carry_renamed() == 1
    assert list(site.rows(last)) == ["q"]
    # And back: two renames that name each other form a circle.
    site.sql("DELETE FROM `tabUser` WHERE name = %s", (last,))
    engine.note_rename(last, slip)
    assert engine.carry_renamed() == 0


def test_a_renaming_is_not_followed_for_ever(site: Site, app: App, engine: Engine) -> None:
    rename(NEW)
    engine.carry_renamed()
    assert len(site.sql("SELECT * FROM memora_rename")) == 1
    site.sql("UPDATE memora_rename SET noted_at_us = noted_at_us - 700000000")
    engine.carry_renamed()
    assert site.sql("SELECT * FROM memora_rename") == []


def test_poison_reviews_go_along(site: Site, app: App, engine: Engine) -> None:
    site.sql(f"ALTER TABLE {TRACKER} ADD CONSTRAINT no_bad CHECK (question_id <> 'bad')")
    try:
        job = engine.submit(PLAYER, session_data=session("bad"))["persistence_job_id"]
        assert engine.drain()["set_aside"] == 1
    finally:
        site.sql(f"ALTER TABLE {TRACKER} DROP CONSTRAINT no_bad")
    rename(NEW)
    assert engine.persistence_status(NEW, job) == "failed"
    assert engine.replay()["replayed"] == 1
    assert (set(site.rows(NEW)), site.rows(PLAYER)) == ({"bad"}, {})


def test_suspended_questions_go_along(site: Site, app: App, engine: Engine) -> None:
    site.add(PLAYER, [Record("q"), Record("r")])
    engine.suspend_question(PLAYER, "q")
    rename(NEW)
    assert ids(engine.due(NEW)) == ["r"]
    assert engine.suspended_questions(PLAYER) == []
    # One that was suspended under the old name meanwhile is carried, too.
    site.sql("INSERT INTO memora_suspended (player, question_id) VALUES (%s, 'r')", (PLAYER,))
    engine.carry_renamed()
    assert ids(engine.due(NEW)) == []
    assert engine.resume_question(NEW, "q")
    assert ids(engine.due(NEW)) == ["q"]


# -- who is deleted
# --------------------------------------------------------------------------------------


def test_a_student_whose_answers_wait_is_not_deleted(site: Site, app: App, engine: Engine) -> None:
    players.check_no_records(USER)
    engine.submit(PLAYER, session_data=session("q"))
    with pytest.raises(frappe.LinkExistsError):
        players.check_no_records(USER)


def test_which_answers_wait(site: Site, engine: Engine) -> None:
    engine.submit(PLAYER, session_data=session("q"))
    assert engine.has_waiting_answers(PLAYER, ["SEASON-2020", SEASON])
    assert not engine.has_waiting_answers(PLAYER, ["SEASON-2020"])
    assert not engine.has_waiting_answers(NEW, [SEASON])
    engine.drain()
    assert not engine.has_waiting_answers(PLAYER, [SEASON])
