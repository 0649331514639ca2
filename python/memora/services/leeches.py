"""The hook srs_leech: tells the site's app of questions that students keep answering wrongly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import frappe

from memora.services.background import enqueue_now_or_never, queue_answers

if TYPE_CHECKING:
    from memora._engine import SubmitAnswer

HOOK: Final = "srs_leech"
TELL_JOB: Final = "memora.services.leeches.tell_app"
QUEUE: Final = "short"


def has_hook() -> bool:
    """Whether an app of the present site has the hook."""
    return bool(frappe.get_hooks(HOOK))


def has_news(submitted: SubmitAnswer) -> bool:
    """Whether a submission has just been taken, and has made leeches."""
    return bool(submitted["leeches"]) and submitted["is_first"]


def report_leeches(submitted: SubmitAnswer, player: str) -> None:
    """Queue the job that tells the site's app of a submission's leeches, if there are any.

    A submission that is sent again queues no job, so the app is told at most once. It is not told
    if the queue is down, or if this process dies first.
    """
    if not has_news(submitted) or not has_hook():
        return
    # The answers may be durable although redis_queue is down.
    if not queue_answers():
        frappe.logger("memora").error(f"{HOOK} is not called for {player}: redis_queue is down")
        return
    enqueue_now_or_never(
        TELL_JOB,
        QUEUE,
        player=player,
        season=submitted["season"],
        question_ids=submitted["leeches"],
    )


def tell_app(player: str, season: str, question_ids: list[str]) -> None:
    """Call the site's hook (background job). If it fails, Frappe's Error Log has the error.

    Of several hooks the last one installed counts.

    Args:
        player: a User, in any case.
        season: the season that the answers counted for.
        question_ids: the leeches, in the order of their ids.
    """
    if handlers := frappe.get_hooks(HOOK):
        user = frappe.db.get_value("User", player, "name") or player
        frappe.get_attr(handlers[-1])(user, season, question_ids)
