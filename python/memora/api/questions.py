"""Questions that the site retires: due for nobody until they are restored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypedDict

import frappe
from frappe import _

from memora.api.arguments import as_question_ids, as_whole_number
from memora.services.engine import engine
from memora.services.errors import frappe_errors, throw
from memora.services.roles import MANAGERS

if TYPE_CHECKING:
    from memora._engine import RetiredQuestions

MOST_AT_ONCE: Final = 1_000
LONGEST_PAGE: Final = 500


class Retirement(TypedDict):
    """How many questions were not retired before."""

    retired: int


class Restoration(TypedDict):
    """How many questions were retired before."""

    restored: int


@frappe.whitelist(methods=["POST"])
@frappe_errors(for_students=False)
def retire_questions(ids: str | list[str] | None = None) -> Retirement:
    """Retire questions: once this returns, they are due for no student.

    For Memora Managers. Students' records stay as they are, and answers that still arrive count. A
    question may be retired before any student has it.

    Args:
        ids: ids of at most 1,000 questions, as a list or as JSON.

    Returns: retired: how many were not retired before.

    Raises:
        frappe.ValidationError: no ids, too many, or an invalid one. Nothing was changed.
        ReviewsUnavailable: MariaDB is down. Calling it again continues.
    """
    frappe.only_for(MANAGERS)
    return {"retired": engine().retire_questions(as_some_ids(ids), frappe.session.user)}


@frappe.whitelist(methods=["POST"])
@frappe_errors(for_students=False)
def restore_questions(ids: str | list[str] | None = None) -> Restoration:
    """Restore retired questions: each student's are due when they were due before.

    For Memora Managers.

    Args:
        ids: ids of at most 1,000 questions, as a list or as JSON.

    Returns: restored: how many were retired.

    Raises:
        frappe.ValidationError: no ids, too many, or an invalid one. Nothing was changed.
        ReviewsUnavailable: MariaDB is down. Calling it again continues.
    """
    frappe.only_for(MANAGERS)
    return {"restored": engine().restore_questions(as_some_ids(ids), frappe.session.user)}


@frappe.whitelist(methods=["GET", "POST"])
@frappe_errors(for_students=False)
def get_retired_questions(limit: int | str = 50, start: int | str = 0) -> RetiredQuestions:
    """The questions that are retired, the latest first.

    For Memora Managers.

    Args:
        limit: how many at most, 1 to 500.
        start: how many to skip.

    Returns: questions [{question_id, retired_by, retired_at}], and total, which counts past the
        limit.
    """
    frappe.only_for(MANAGERS)
    most = as_whole_number("limit", limit, 1, LONGEST_PAGE)
    return engine().retired_questions(as_whole_number("start", start, 0), most)


def as_some_ids(ids: object) -> list[str]:
    """Ids of up to the allowed number of questions."""
    listed = as_question_ids("ids", ids)
    if not listed:
        throw(_("{0} is missing").format("ids"))
    if len(listed) > MOST_AT_ONCE:
        throw(_("At most {0} questions at a time, not {1}.").format(MOST_AT_ONCE, len(listed)))
    return listed
