"""Poison Reviews: records that could not be saved."""

from __future__ import annotations

from functools import partial

import click
from frappe import _

from memora.api.poison_reviews import LONGEST_PAGE, dismiss_poison_reviews, get_poison_reviews
from memora.commands.sites import Terminal, on_sites
from memora.services.counting import counted
from memora.services.engine import engine
from memora.services.poison_reviews import replay_all, summary


@click.group("poison")
def poison() -> None:
    """Poison Reviews: acknowledged records that could not be saved. `replay` saves them."""


@poison.command("list")
@click.option(
    "--limit",
    type=click.IntRange(1, LONGEST_PAGE),
    default=50,
    show_default=True,
    help="How many to list at most.",
)
@click.option(
    "--start",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="How many to skip.",
)
@on_sites
def list_poison(terminal: Terminal, limit: int, start: int) -> object:
    """List those that wait, newest first, each with its reason."""
    found = get_poison_reviews(limit, start)
    for review in found["poison_reviews"]:
        moment = str(review["set_aside_at"] or "")[:19]
        whose = f"{review['player']} {review['season']} {review['question_id']}"
        terminal.say(f"{review['name']} {moment} {whose}: {review['reason']}")
    text = counted(found["total"], _("1 Poison Review waits."), _("{0} Poison Reviews wait."))
    terminal.say(text)
    return found


@poison.command("dismiss")
@click.argument("names", nargs=-1, required=True)
@click.option("--reason", required=True, help="Why they need not be saved. It is kept with them.")
@on_sites
def dismiss(terminal: Terminal, names: tuple[str, ...], reason: str) -> object:
    """Give up the Poison Reviews NAMES: they are kept, but no longer wait.

    `replay NAMES` still saves them.
    """
    dismissal = dismiss_poison_reviews(list(names), reason)
    text = _("Dismissed: {0}. Unknown, or not waiting: {1}.")
    terminal.say(text.format(dismissal["dismissed"], dismissal["unknown"]))
    return dismissal


@click.command("replay")
@click.argument("names", nargs=-1)
@on_sites
def replay(terminal: Terminal, names: tuple[str, ...]) -> object:
    """Save Poison Reviews after all: those of these NAMES, or all that wait."""
    if names:
        report = engine().replay(list(names))
    else:
        report = replay_all(None, partial(terminal.show, _("Replaying")))
    terminal.say(summary(report))
    return {
        "replayed": report["replayed"],
        "failed": report["failed"],
        "unknown": report["unknown"],
    }
