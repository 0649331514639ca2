"""A question that the site has retired, as the Desk lists it. The engine keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, ClassVar, NoReturn

import frappe
from frappe import _
from frappe.model.document import Document

from memora.services.engine import engine
from memora.services.errors import frappe_errors, throw
from memora.services.list_filters import conditions_of, has_all, has_any

# How many are read at a time.
PAGE = 10_000


class RetiredQuestion(Document):
    """Has no table: `memora.api.srs.retire_questions` and `restore_questions` change the list."""

    doctype_name: ClassVar[str] = "Retired Question"

    def load_from_db(self) -> None:
        """Load the document by its name, which is the question's id."""
        found = next((one for one in _all() if one["name"] == self.name), None)
        if not found:
            throw(_("{0} is not retired.").format(self.name), frappe.DoesNotExistError)
        super(Document, self).__init__({"doctype": self.doctype_name, **found})

    @staticmethod
    def get_list(args: dict[str, Any]) -> list[dict[str, Any]]:
        """A page of the list, the latest first."""
        _check_may_read()
        start = int(args.get("start") or args.get("limit_start") or 0)
        most = int(args.get("page_length") or args.get("limit_page_length") or 20)
        if args.get("filters") or args.get("or_filters"):
            return list(islice(_wanted(args), start, start + most))
        return _page(start, most)[0]

    @staticmethod
    def get_count(args: dict[str, Any]) -> int:
        """How many retired questions match the filters."""
        _check_may_read()
        if args.get("filters") or args.get("or_filters"):
            return sum(1 for _one in _wanted(args))
        return _page(0, 1)[1]

    @staticmethod
    def get_stats(args: dict[str, Any]) -> dict[str, Any]:
        """No statistics for the list's sidebar."""
        return {}

    def db_insert(self, *_args: object, **_kwargs: object) -> NoReturn:
        """Refused, like `db_update` and `delete`: questions are retired and restored by calls."""
        _refuse()

    def db_update(self, *_args: object, **_kwargs: object) -> NoReturn:
        """Refused."""
        _refuse()

    def delete(self, *_args: object, **_kwargs: object) -> NoReturn:
        """Refused."""
        _refuse()


def _refuse() -> NoReturn:
    throw(_("Use the buttons Retire and Restore of the list of Retired Questions."))


def _check_may_read() -> None:
    # Frappe leaves this to the controller.
    frappe.has_permission(RetiredQuestion.doctype_name, "read", throw=True)


def _wanted(args: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The retired questions that match the filters."""
    found = filter(has_all(conditions_of(args.get("filters"))), _all())
    one_of = conditions_of(args.get("or_filters"))
    return filter(has_any(one_of), found) if one_of else found


def _all() -> Iterator[dict[str, Any]]:
    """All retired questions, the latest first."""
    start, total = 0, 1
    while start < total:
        found, total = _page(start, PAGE)
        yield from found
        start += PAGE


def _page(start: int, most: int) -> tuple[list[dict[str, Any]], int]:
    """A page of retired questions, the latest first, and how many there are."""
    with frappe_errors(for_students=False):
        found = engine().retired_questions(start, most)
    listed = [
        {
            "name": one["question_id"],
            "question_id": one["question_id"],
            "retired_by": one["retired_by"],
            "retired_at": one["retired_at"],
            "owner": one["retired_by"],
            "modified_by": one["retired_by"],
            "creation": one["retired_at"],
            "modified": one["retired_at"],
            "docstatus": 0,
            "idx": 0,
        }
        for one in found["questions"]
    ]
    return listed, found["total"]
