"""A question that the site has retired, as the Desk lists it. The engine keeps it."""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn

import frappe
from frappe import _
from frappe.model.document import Document

from memora.services.engine import engine
from memora.services.errors import frappe_errors, throw

# What the Desk's search fields ask for is filtered among this many, the last ones.
MOST_FILTERED = 10_000


class RetiredQuestion(Document):
    """No table: `memora.api.srs.retire_questions` and `restore_questions` change what is listed."""

    doctype_name: ClassVar[str] = "Retired Question"

    def load_from_db(self) -> None:
        """Read it by its name, which is the question's id."""
        found = [one for one in _listed() if one["name"] == self.name]
        if not found:
            throw(_("{0} is not retired.").format(self.name), frappe.DoesNotExistError)
        super(Document, self).__init__({"doctype": self.doctype_name, **found[0]})

    @staticmethod
    def get_list(args: dict[str, Any]) -> list[dict[str, Any]]:
        """A page of the list, the last ones first."""
        _check_may_read()
        start = int(args.get("start") or args.get("limit_start") or 0)
        most = int(args.get("page_length") or args.get("limit_page_length") or 20)
        return _wanted(args)[start : start + most]

    @staticmethod
    def get_count(args: dict[str, Any]) -> int:
        """How many there are."""
        _check_may_read()
        return len(_wanted(args))

    @staticmethod
    def get_stats(args: dict[str, Any]) -> dict[str, Any]:
        """The sidebar has no statistics."""
        return {}

    def db_insert(self, *_args: object, **_kwargs: object) -> NoReturn:
        """Refused, as are the two below: one call retires many."""
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


def _wanted(args: dict[str, Any]) -> list[dict[str, Any]]:
    """Those whose id has the text that the list is filtered by."""
    texts = [
        str(one[-1]).strip("%").casefold()
        for one in args.get("filters") or []
        if isinstance(one, (list, tuple)) and {"name", "question_id"} & {*one[:-2]}
    ]
    return [one for one in _listed() if all(text in one["name"].casefold() for text in texts)]


def _listed() -> list[dict[str, Any]]:
    with frappe_errors(for_students=False):
        found = engine().retired_questions(0, MOST_FILTERED)["questions"]
    return [
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
        for one in found
    ]
