"""When questions come again: training FSRS, and what it would do to a season."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from frappe import _

from memora.api.scheduling import get_scheduler_report
from memora.commands.sites import Terminal, on_sites, share_of_time
from memora.services.training import summary, train_season

if TYPE_CHECKING:
    from memora._engine import TrainingProgress


@click.command("train")
@click.argument("season")
@share_of_time(1.0)
@on_sites
def train(terminal: Terminal, season: str, share: float) -> object:
    """Train FSRS on the answers of SEASON.

    For the season, and for each subject with a row of its own. New parameters are used only if they
    predict answers better that training did not see.
    """
    labels = {"reading": _("Reading answers"), "computing": _("Computing")}

    def show(progress: TrainingProgress) -> None:
        terminal.show(labels[progress["step"]], progress)

    found = train_season(season, None, show, share)
    terminal.say(summary(found))
    return {"season": season, "found": found}


@click.command("compare-schedulers")
@click.argument("season")
@on_sites
def compare_schedulers(terminal: Terminal, season: str) -> object:
    """Show what the ladder and FSRS would do to a student of SEASON, simulated."""
    found = get_scheduler_report(season)
    heads = (_("reviews a day"), _("busiest day"), _("right"), _("known at the end"))
    terminal.say(f"{_('scheduler'):<12}" + "".join(f"{head:>18}" for head in heads))
    for way in found["ways"]:
        retention = way["retention"]
        name = _("ladder") if retention is None else f"FSRS {retention:.2f}"
        known = f"{way['known']:,.0f} / {found['questions']:,}"
        terminal.say(
            f"{name:<12}{way['reviews_a_day']:>18,.0f}{way['busiest_day']:>18,.0f}"
            f"{way['right']:>18.0%}{known:>18}"
        )
    terminal.say(found["message"])
    return found
