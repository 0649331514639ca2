"""Questions as the site's app shows them: the hook srs_question_loader."""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import frappe
from frappe.utils.response import json_handler

if TYPE_CHECKING:
    from memora._engine import Question

HOOK: Final = "srs_question_loader"
# A loader that fails does so at each read: a process logs it no more often.
LOG_SECONDS: Final = 600.0

# When the failure of a loader is logged again, by its name.
_silent_until: Final[dict[str, float]] = {}


def full_cards(questions: list[Question], user: str, season: str | None) -> list[dict[str, Any]]:
    """The questions with what the site's app adds to them.

    The hook names a function that takes a list of question ids, once for the whole list, and returns a
    mapping from question id to the card's fields; ids that it does not know it may leave out. If it has
    arguments called `user` and `season`, it gets them. The fields of the schedule stay as they are. Of
    several hooks the one installed last counts. One that fails costs the cards and not the questions.
    """
    plain = [dict(question) for question in questions]
    loaders = frappe.get_hooks(HOOK)
    if not loaders or not questions:
        return plain
    ids = [question["question_id"] for question in questions]
    messages = list(frappe.local.message_log)
    try:
        loader = frappe.get_attr(loaders[-1])
        cards = _cards(loader, ids, {"user": user, "season": season})
    except Exception as error:
        # What it has told the student by frappe.throw.
        frappe.local.message_log = messages
        _log(loaders[-1], error)
        return plain
    return [{**cards.get(name, {}), **question} for name, question in zip(ids, plain, strict=True)]


def _cards(
    loader: Callable[..., Any], ids: list[str], more: Mapping[str, str | None]
) -> dict[str, dict[str, Any]]:
    """What a loader returns, by question id, once it is sure that Frappe can send it."""
    parameters = inspect.signature(loader).parameters
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    loaded = loader(ids, **{name: value for name, value in more.items() if takes_all or name in parameters})
    # Frappe's autoincrement names are numbers.
    cards = {str(question_id): dict(card) for question_id, card in loaded.items() if card}
    json.dumps(cards, default=json_handler, allow_nan=False)
    return cards


def _log(loader: str, error: Exception) -> None:
    now = time.monotonic()
    if now >= _silent_until.get(loader, now):
        _silent_until[loader] = now + LOG_SECONDS
        what = f"the hook {HOOK}, {loader}, fails: students see their questions without its cards"
        frappe.logger("memora").error(what, exc_info=error)
