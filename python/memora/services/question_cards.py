"""Questions as the site's app shows them: the hook srs_question_loader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import frappe

if TYPE_CHECKING:
    from memora._engine import Question

HOOK: Final = "srs_question_loader"


def full_cards(questions: list[Question]) -> list[dict[str, Any]]:
    """The questions with what the site's app adds to them.

    The hook names a function that takes a list of question ids, once for the whole list, and returns a
    mapping from question id to the card's fields; ids that it does not know it may leave out. The fields
    of the schedule stay as they are. Of several hooks the one installed last counts.
    """
    loaders = frappe.get_hooks(HOOK)
    if not loaders or not questions:
        return [dict(question) for question in questions]
    ids = [question["question_id"] for question in questions]
    cards: Mapping[str, Mapping[str, Any]] = frappe.get_attr(loaders[-1])(ids)
    return [{**cards.get(question["question_id"], {}), **question} for question in questions]
