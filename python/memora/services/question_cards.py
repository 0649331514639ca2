"""The hook srs_question_loader, by which the site's app turns questions into cards."""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypedDict

import frappe
from frappe.utils import cint
from frappe.utils.response import json_handler

from memora._engine import MemoraError

if TYPE_CHECKING:
    from memora._engine import DueAnswer, Engine, Question

HOOK: Final = "srs_question_loader"
# The attribute of a loader that uses neither the request nor Frappe's connection.
NEEDS_NO_REQUEST: Final = "needs_no_request"
RETIRED: Final = "retired"
# How often other questions replace retired ones; the next read continues.
MOST_ROUNDS: Final = 5
# A broken loader fails at each read, so a process logs it at most this often.
LOG_SECONDS: Final = 600.0

# When the next failure of a loader may be logged, by its name.
_silent_until: Final[dict[str, float]] = {}


class DueCards(TypedDict):
    """Due questions, each with the fields of its schedule (`Question`) and those of its card.

    Each also has a `stage_id`: its id up to the first colon, or the whole id.
    """

    questions: list[dict[str, Any]]
    total_due: int
    is_degraded: bool
    season: str | None


# A limit, a subject and a topic.
Wanted = tuple[int, "str | None", "str | None"]
# The fields of cards by question id, for questions of a student and season.
Load = Callable[["list[Question]", str, "str | None"], "dict[str, dict[str, Any]]"]


def due_cards(
    engine: Engine, load: Load, player: str, wanted: Wanted, found: DueAnswer | None = None
) -> DueCards:
    """The due questions of `Engine.due`, with the fields that the site's app adds.

    Args:
        engine: of the site.
        load: the cards.
        player: the student.
        wanted: limit, subject and topic.
        found: what `Engine.due` has just returned for them, if it was asked.

    The hook names a function that takes a list of question ids and returns a mapping from question
    id to the card's fields; it may leave out ids that it does not know. If it has arguments called
    `user` and `season`, it gets them. It cannot change the fields of the schedule. Of several hooks
    the one installed last counts. If it fails, students get their questions without cards.

    A card whose field `retired` is true, or 1 as Frappe's Check fields, says that the question is
    retired: it is no longer due for the student, and other due questions take its place.
    """
    for _ in range(MOST_ROUNDS):
        due, retired = with_cards(found or engine.due(player, *wanted), player, load)
        found = None
        season = due["season"]
        # Safe Mode has room for one read.
        if not season or not retired or due["is_degraded"]:
            break
        if not _retire(engine, player, season, retired):
            break
    return due


def with_cards(found: DueAnswer, player: str, load: Load) -> tuple[DueCards, set[str]]:
    """The questions of an answer with their cards, and the ids of the retired ones."""
    cards = load(found["questions"], player, found["season"])
    retired = retired_ones(cards)
    shown = [each for each in found["questions"] if each["question_id"] not in retired]
    due: DueCards = {
        "questions": [with_stage(each, cards.get(each["question_id"])) for each in shown],
        "total_due": found["total_due"] - (len(found["questions"]) - len(shown)),
        "is_degraded": found["is_degraded"],
        "season": found["season"],
    }
    return due, retired


def retired_ones(cards: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """The ids whose cards say that they are retired."""
    return {name for name, card in cards.items() if cint(card.get(RETIRED))}


def with_stage(question: Question, card: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A question with its card and its `stage_id`: its id up to the first colon, or the whole id.

    What the card says of the schedule's fields does not count.
    """
    stage_id = question["question_id"].partition(":")[0]
    return {**(card or {}), **question, "stage_id": stage_id}


def _retire(engine: Engine, player: str, season: str, question_ids: set[str]) -> bool:
    try:
        return engine.retire(player, season, question_ids) > 0
    except MemoraError as error:
        # The next read returns them again, and retires them then.
        frappe.logger("memora").error(f"questions of {player} could not be retired: {error}")
        return False


def load_cards(
    questions: list[Question], user: str, season: str | None
) -> dict[str, dict[str, Any]]:
    """What the site's loader returns for these questions; nothing if it fails, which is logged."""
    loaders = frappe.get_hooks(HOOK)
    if not loaders or not questions:
        return {}
    ids = [question["question_id"] for question in questions]
    messages = list(frappe.local.message_log)
    try:
        return cards_of(frappe.get_attr(loaders[-1]), ids, {"user": user, "season": season})
    except Exception as error:
        # The loader may have left messages for the student, by frappe.throw.
        frappe.local.message_log = messages
        _log(loaders[-1], error)
        return {}


def loader_without_request() -> tuple[Callable[..., Any] | None, bool]:
    """The present site's loader, None without one, and whether it needs Frappe's request.

    It does unless the app says otherwise: `load_cards.needs_no_request = True`.
    """
    loaders = frappe.get_hooks(HOOK)
    if not loaders:
        return None, False
    loader = frappe.get_attr(loaders[-1])
    return loader, getattr(loader, NEEDS_NO_REQUEST, False) is not True


def cards_of(
    loader: Callable[..., Any], ids: list[str], more: Mapping[str, str | None]
) -> dict[str, dict[str, Any]]:
    """What a loader returns, by question id. Raises if Frappe could not send it as JSON."""
    parameters = inspect.signature(loader).parameters
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    loaded = loader(
        ids, **{name: value for name, value in more.items() if takes_all or name in parameters}
    )
    # Frappe's autoincrement names are numbers.
    cards = {str(question_id): dict(card) for question_id, card in loaded.items() if card}
    cards = {question_id: cards[question_id] for question_id in ids if question_id in cards}
    json.dumps(cards, default=json_handler, allow_nan=False)
    return cards


def _log(loader: str, error: Exception) -> None:
    now = time.monotonic()
    if now >= _silent_until.get(loader, now):
        _silent_until[loader] = now + LOG_SECONDS
        what = f"the hook {HOOK}, {loader}, fails: students see their questions without its cards"
        frappe.logger("memora").error(what, exc_info=error)
