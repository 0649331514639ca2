"""Questions that the site retires and students suspend, through the app's methods."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from memora._engine import Engine
from memora.api import reviews, srs
from memora.services.list_filters import has_all
from tests import frappe_standin as frappe
from tests.support.site_under_test import PLAYER, Record, Site

App = Callable[..., None]


@pytest.fixture
def school(site: Site, app: App, engine: Engine) -> Site:
    """A student has three due questions, and is logged in."""
    site.add(PLAYER, [Record("q"), Record("17"), Record("r")])
    return site


def asked() -> list[str]:
    """The questions that the student is asked."""
    return sorted(str(one["question_id"]) for one in reviews.get_review_session()["questions"])


def test_a_manager_retires_and_restores(school: Site, app: App) -> None:
    assert asked() == ["17", "q", "r"]
    app(user=frappe.MANAGER)
    assert srs.retire_questions(["q", 17]) == {"retired": 2}
    assert srs.retire_questions(json.dumps(["q"])) == {"retired": 0}
    found = srs.get_retired_questions()
    assert (found["total"], {one["retired_by"] for one in found["questions"]}) == (
        2,
        {frappe.MANAGER},
    )
    app()
    assert asked() == ["r"]
    app(user=frappe.MANAGER)
    assert srs.restore_questions(["17", "x"]) == {"restored": 1}
    app()
    assert asked() == ["17", "r"]


@pytest.mark.parametrize(
    "ids", [None, "", [], "q", "{}", ["q", 1.5], ["q", None], [True], ["q"] * 1_001, ["a\0b"]]
)
def test_what_is_no_list_of_questions_is_told(school: Site, app: App, ids: Any) -> None:
    app(user=frappe.MANAGER)
    for method in (srs.retire_questions, srs.restore_questions):
        with pytest.raises(frappe.ValidationError):
            method(ids)


def test_students_retire_nothing(school: Site) -> None:
    for method in (srs.retire_questions, srs.restore_questions):
        with pytest.raises(frappe.PermissionError):
            method(["q"])
    with pytest.raises(frappe.PermissionError):
        srs.get_retired_questions()


def test_a_student_suspends_and_resumes(school: Site, app: App) -> None:
    other = "other@school.example"
    school.add_users(other)
    school.add(other, [Record("q")])
    assert reviews.suspend_question("q") == {"question_id": "q", "is_suspended": True}
    assert reviews.suspend_question(17) == {"question_id": "17", "is_suspended": True}
    assert reviews.suspend_question("q")["is_suspended"]
    assert asked() == ["r"]
    listed = reviews.get_suspended_questions()["questions"]
    assert [one["question_id"] for one in listed] == ["17", "q"]
    app(user=other)
    assert asked() == ["q"]
    assert reviews.get_suspended_questions() == {"questions": []}
    # It is another student's.
    reviews.resume_question("q")
    app()
    assert asked() == ["r"]
    assert reviews.resume_question("q") == {"question_id": "q", "is_suspended": False}
    assert asked() == ["q", "r"]


def test_what_cannot_be_suspended_is_told(school: Site, app: App) -> None:
    for wrong in (None, "", "of nobody", "a\nb", ["q"]):
        with pytest.raises(frappe.ValidationError):
            reviews.suspend_question(wrong)
    app(user="Guest")
    with pytest.raises(frappe.PermissionError):
        reviews.suspend_question("q")


def test_the_desk_lists_what_is_retired(school: Site, app: App) -> None:
    app(user=frappe.MANAGER)
    srs.retire_questions(["q", "17", "<b>"])
    controller = frappe.get_controller("Retired Question")
    listed = controller.get_list({"start": 0, "page_length": 2})  # type: ignore[attr-defined]
    assert (len(listed), controller.get_count({})) == (2, 3)  # type: ignore[attr-defined]
    filters = [["Retired Question", "question_id", "like", "%Q%"]]
    found = controller.get_list({"filters": filters})  # type: ignore[attr-defined]
    assert [(one["name"], one["retired_by"]) for one in found] == [("q", frappe.MANAGER)]
    document = controller({"doctype": "Retired Question", "name": "q"})
    for change in (document.db_insert, document.db_update, document.delete):
        with pytest.raises(frappe.ValidationError):
            change()
    app()
    with pytest.raises(frappe.PermissionError):
        controller.get_list({})  # type: ignore[attr-defined]


A_DAY = "2026-11-{:02}"


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"question_id": "q1"}, ["q1"]),
        ({"name": ["like", "%Q_"]}, ["q3", "q2", "q1"]),
        ({"name": ["not in", ["q1", "x%_"]]}, ["q3", "q2"]),
        ({"name": ["like", "x\\%%"], "owner": frappe.MANAGER}, ["x%_"]),
        ([["Retired Question", "question_id", "!=", "q1", False]], ["x%_", "q3", "q2"]),
        ([["name", "in", "q2, q3"], {"name": ["!=", "q3"]}], ["q2"]),
        ([["name", "q1"]], ["q1"]),
        ([["name", "=", "q"]], []),
        (
            [["Retired Question", "retired_at", "Between", [A_DAY.format(2), A_DAY.format(3)]]],
            ["q3", "q2"],
        ),
        ([["retired_at", ">", "2026-11-03 08:00:00"]], ["x%_"]),
        ([["modified", "<=", A_DAY.format(2)]], ["q1"]),
        ([["retired_by", "is", "not set"]], []),
        ([["retired_by", "is", "set"], ["retired_by", "not like", "%student%"]], None),
    ],
)
def test_the_list_of_what_is_retired_is_filtered(
    school: Site, app: App, filters: Any, names: list[str] | None
) -> None:
    app(user=frappe.MANAGER)
    for day, name in enumerate(["q1", "q2", "q3", "x%_"], 1):
        srs.retire_questions([name])
        school.sql(
            "UPDATE `memora_retired` SET changed_at = %s WHERE question_id = %s",
            (A_DAY.format(day) + " 08:00:00", name),
        )
    controller: Any = frappe.get_controller("Retired Question")
    expected = ["x%_", "q3", "q2", "q1"] if names is None else names
    found = controller.get_list({"filters": filters})
    assert [one["name"] for one in found] == expected
    assert controller.get_count({"filters": filters}) == len(expected)
    second = controller.get_list({"filters": filters, "start": 1, "page_length": 1})
    assert [one["name"] for one in second] == expected[1:2]


def test_a_filter_that_is_none_is_refused(school: Site, app: App) -> None:
    app(user=frappe.MANAGER)
    controller: Any = frappe.get_controller("Retired Question")
    for wrong in (
        [["name", "timespan", "last week"]],
        ["name"],
        5,
        {"name": ["in", None]},
        {"retired_at": ["between", ["2026-11-02"]]},
        {"retired_at": [">", "yesterday"]},
    ):
        for which in ("filters", "or_filters"):
            with pytest.raises(frappe.ValidationError, match="filter"):
                controller.get_list({which: wrong})


def test_one_of_some_filters_is_enough(school: Site, app: App) -> None:
    """Frappe's search in a Link field asks so."""
    app(user=frappe.MANAGER)
    srs.retire_questions(["q1", "q2", "x1"])
    controller: Any = frappe.get_controller("Retired Question")
    asked = {"or_filters": [["name", "like", "x%"], ["question_id", "=", "q2"]]}
    assert {one["name"] for one in controller.get_list(asked)} == {"q2", "x1"}
    asked["filters"] = [["name", "!=", "x1"]]
    assert [one["name"] for one in controller.get_list(asked)] == ["q2"]
    assert controller.get_count(asked) == 1


@pytest.mark.parametrize(
    ("pattern", "is_like"),
    [
        ("%a" * 40 + "%b", False),
        ("%a" * 40, True),
        ("a" * 140, True),
        ("a%", True),
        ("%" * 140, True),
        ("a" * 70 + "%" + "a" * 70, True),
        ("a" * 71 + "%" + "a" * 70, False),
        ("_%" * 70, True),
        ("_" * 141, False),
    ],
)
def test_no_pattern_takes_long(pattern: str, is_like: bool) -> None:
    test = has_all([("name", "like", pattern)])
    assert test({"name": "a" * 140}) == is_like


def test_the_list_has_all_that_is_retired(
    school: Site, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    from memora.memora.doctype.retired_question import retired_question

    monkeypatch.setattr(retired_question, "PAGE", 2)
    app(user=frappe.MANAGER)
    srs.retire_questions([f"q{number}" for number in range(5)])
    controller: Any = frappe.get_controller("Retired Question")
    names = [one["name"] for one in controller.get_list({"start": 3, "filters": []})]
    last = controller.get_list({"filters": [["name", "like", "q%"]], "start": 4})
    assert (len(names), [one["name"] for one in last]) == (2, names[1:])
    assert controller.get_count({"filters": {"name": names[1]}}) == 1
    with pytest.raises(frappe.DoesNotExistError, match="q9 is not retired"):
        frappe.get_doc("Retired Question", "q9")
