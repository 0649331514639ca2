"""The hook srs_leech: the site's app is told of a leech once, after the answers are durable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from memora.api.lessons import process_srs_batch
from memora.api.reviews import submit_review_session
from tests import frappe_standin as frappe
from tests.app.door_requests import SUBMIT
from tests.app.test_door import Web, web  # noqa: F401
from tests.support.site_under_test import PLAYER, SEASON, Record, Site

App = Callable[..., None]
Told = list[tuple[str, str, list[str]]]
WRONG: dict[str, Any] = {"session_data": {"answers": [{"question_id": "q", "is_correct": False}]}}


@pytest.fixture
def told(app: App, monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    """What the site's app is told; it is told after one wrong answer."""
    calls: Told = []

    def handler(user: str, season: str, question_ids: list[str]) -> None:
        calls.append((user, season, question_ids))

    monkeypatch.setitem(globals(), "handler", handler)
    frappe.recorded.hooks["srs_leech"] = ["ignored.by.order", f"{__name__}.handler"]
    frappe.local.conf["srs_leech_lapses"] = 1
    yield calls
    del frappe.recorded.hooks["srs_leech"]


def test_it_is_told_once_in_the_background(site: Site, app: App, told: Told) -> None:
    site.add(PLAYER, [Record("q"), Record("r")])
    given = [{"question_id": name, "quality": 0} for name in "rq"]
    first = submit_review_session(responses=given, submission_id="once")
    assert first["leeches"] == ["q", "r"]
    assert told == []
    frappe.recorded.run_jobs()
    assert submit_review_session(responses=given, submission_id="once") == first
    assert submit_review_session(responses=given)["leeches"] == []
    frappe.recorded.run_jobs()
    assert told == [(PLAYER, SEASON, ["q", "r"])]


def test_a_lesson_is_told_too_by_frappe_s_name_of_the_user(
    site: Site, app: App, told: Told
) -> None:
    site.add_users(PLAYER)
    interactions = [{"question_id": "q", "attempts_count": 2}]
    assert process_srs_batch(PLAYER.upper(), interactions)["leeches"] == ["q"]
    frappe.recorded.run_jobs()
    assert told == [(PLAYER, SEASON, ["q"])]


def test_what_fails_changes_no_answer(
    site: Site, app: App, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    def handler(*_arguments: object) -> None:
        raise LookupError("of the site's app")

    site.add(PLAYER, [Record("q")])
    monkeypatch.setitem(globals(), "handler", handler)
    assert submit_review_session(**WRONG)["leeches"] == ["q"]
    with pytest.raises(LookupError):
        frappe.recorded.run_jobs()


def test_without_a_queue_or_a_hook_the_answer_tells_it(site: Site, app: App, told: Told) -> None:
    site.add(PLAYER, [Record("q")])
    site.servers.journal.kill()
    assert submit_review_session(**WRONG)["leeches"] == ["q"]
    site.servers.heal()
    frappe.recorded.hooks["srs_leech"] = []
    given = [{"question_id": "other", "quality": 0}]
    assert submit_review_session(responses=given)["leeches"] == ["other"]
    assert [job.method for job in frappe.recorded.jobs if "leeches" in str(job.method)] == []


@pytest.mark.parametrize("has_hook", [True, False])
def test_behind_the_door_frappe_tells_it(web: Web, has_hook: bool) -> None:  # noqa: F811
    web.config["srs_leech_lapses"] = 1
    frappe.local.conf["srs_leech_lapses"] = 1
    frappe.recorded.hooks["srs_leech"] = ["my_app.handler"] if has_hook else []
    web.open_door()
    # The first one's drain is queued by Frappe.
    web.ask(SUBMIT, {"responses": [{"question_id": "r", "quality": 5}]})
    status, answer, is_door = web.ask(SUBMIT, WRONG)
    assert (status, answer["message"]["leeches"], is_door) == (200, ["q"], not has_hook)
    jobs = [job for job in frappe.recorded.jobs if "leeches" in str(job.method)]
    assert [job.arguments for job in jobs] == has_hook * [
        {"player": PLAYER, "season": SEASON, "question_ids": ["q"]}
    ]
    status, answer, is_door = web.ask(SUBMIT, WRONG)
    assert (status, answer["message"]["leeches"], is_door) == (200, [], True)
    del frappe.recorded.hooks["srs_leech"]
