"""The cache of a season: loaded again, or compared with the database."""

from __future__ import annotations

from functools import partial

import click
from frappe import _

from memora.commands.sites import Terminal, on_sites, share_of_time
from memora.services.srs_reconciliation import SAMPLE_SIZE, reconcile_season, seasons_to_reconcile
from memora.services.srs_reconciliation import summary as what_was_found
from memora.services.srs_redis_manager import rebuild_season
from memora.services.srs_redis_manager import summary as what_was_rebuilt


@click.command("rebuild")
@click.argument("season")
@share_of_time(1.0)
@on_sites
def rebuild(terminal: Terminal, season: str, share: float) -> object:
    """Load all schedules of SEASON into the cache again. Students can read and answer meanwhile."""
    rebuilt = rebuild_season(season, None, partial(terminal.show, _("Rebuilding")), share)
    terminal.say(what_was_rebuilt(rebuilt))
    return rebuilt


@click.command("reconcile")
@click.argument("season", required=False)
@click.option(
    "--sample", type=click.IntRange(min=1), default=SAMPLE_SIZE, show_default=True, help="Records."
)
@click.option("--all", "whole", is_flag=True, help="Compare all that are cached, not a sample.")
@share_of_time(1.0)
@on_sites
def reconcile(
    terminal: Terminal, season: str | None, sample: int, whole: bool, share: float
) -> object:
    """Compare the cache of SEASON with the database, and correct it.

    Without SEASON: of each season that uses the cache.
    """
    found = {}
    for name in [season] if season else seasons_to_reconcile():
        on_progress = partial(terminal.show, _("Comparing {0}").format(name))
        found[name] = reconcile_season(name, None, 0 if whole else sample, on_progress, share)
        terminal.say(f"{name}: {what_was_found(found[name])}")
    if not found:
        terminal.say(_("No season uses the cache."))
    return found
