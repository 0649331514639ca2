"""Students who are renamed or deleted while their answers wait, with the stand-in for frappe."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from memora._engine import Engine
from memora.services import players
from memora.services.engine import engine as engine_of_site
from memora.services.errors import ReviewsUnavailable
from tests import frappe_standin as frappe
from tests.site_under_test import PLAYER, SEASON, TRACKER, Record, Site, ids, session

App = Callable[..., None]

NEW = "amal.new@school.example"
USER = SimpleNamespace(doctype="User", name=PLAYER)


def rename(site: Site, new: str) -> None:
    """As frappe.rename_doc does it."""
    players.before_rename(USER, "before_rename", PLAYER, new, False)
    site.sql(f"UPDATE {TRACKER} SET player = %s WHERE player = %s", (new, PLAYER))
    players.after_rename(USER, "after_rename", PLAYER, new, False)
    frappe.local.db.commit()


def test_a_renamed_student_keeps_what_waited_in_the_journal(site: Site, app: App, engine: Engine) -> None:
    site.add(PLAYER, [Record("q"), Record("r")])
    # Somebody read under the new name before there was a student of that name.
    assert ids(engine.due(NEW)) == []
    engine.submit(PLAYER, session_data=session("q", "new"))
    rename(site, NEW)
    engine.drain()
    assert (set(site.rows(NEW)), site.rows(PLAYER)) == ({"q", "r", "new"}, {})
    assert ids(engine.due(NEW)) == ["r"]
    assert ids(engine.due(PLAYER)) == []


def test_who_cannot_be_saved_now_is_not_renamed(site: Site, app: App, engine: Engine) -> None:
    engine.submit(PLAYER, session_data=session("q"))
    engine_of_site().due(PLAYER)
    site.servers.journal.kill()
    with pytest.raises(ReviewsUnavailable):
        rename(site, NEW)


def test_two_students_with_records_do_not_become_one(site: Site, app: App) -> None:
    site.add(PLAYER, [Record("q")])
    players.before_rename(USER, "before_rename", PLAYER, NEW, True)
    site.add(NEW, [Record("r")])
    frappe.local.db.rollback()
    with pytest.raises(frappe.ValidationError, match="cannot be merged"):
        players.before_rename(USER, "before_rename", PLAYER, NEW, True)


def test_a_student_whose_answers_wait_is_not_deleted(site: Site, app: App, engine: Engine) -> None:
    players.refuse_to_orphan(USER)
    engine.submit(PLAYER, session_data=session("q"))
    with pytest.raises(frappe.LinkExistsError):
        players.refuse_to_orphan(USER)


def test_which_answers_wait(site: Site, engine: Engine) -> None:
    engine.submit(PLAYER, session_data=session("q"))
    assert engine.has_waiting_answers(PLAYER, ["SEASON-2020", SEASON])
    assert not engine.has_waiting_answers(PLAYER, ["SEASON-2020"])
    assert not engine.has_waiting_answers(NEW, [SEASON])
    engine.drain()
    assert not engine.has_waiting_answers(PLAYER, [SEASON])
