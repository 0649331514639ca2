"""About how many reviews of a season are due on each of the next days."""

from __future__ import annotations

import click
from frappe import _

from memora.api.arguments import MOST_DAYS
from memora.api.seasons import get_season_forecast
from memora.commands.sites import Terminal, on_sites


@click.command("forecast")
@click.argument("season", required=False)
@click.option(
    "--days",
    type=click.IntRange(1, MOST_DAYS),
    default=30,
    show_default=True,
    help="The first is today.",
)
@on_sites
def forecast(terminal: Terminal, season: str | None, days: int) -> object:
    """Show about how many reviews of SEASON are due on each of the next days.

    Without SEASON: of the one that students see.
    """
    found = get_season_forecast(season, days)
    if found["days"]:
        terminal.say(f"{_('day'):<10}  {_('reviews, about'):>14}")
        for day in found["days"]:
            terminal.say(f"{day['date']}  {day['due']:>14,}")
        terminal.say(f"{_('all'):<10}  {found['total']:>14,}")
        terminal.say(f"{_('overdue'):<10}  {found['overdue']:>14,}")
    terminal.say(found["message"])
    return found
