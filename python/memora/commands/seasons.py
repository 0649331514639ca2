"""Seasons: archived, deleted years later, and their partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from frappe import _

from memora.api.archive import get_archive_status
from memora.api.documents import as_season
from memora.commands.sites import Terminal, on_sites, share_of_time, yes
from memora.services.counting import counted, records
from memora.services.engine import engine
from memora.services.partition_manager import create_season_partition, seasons_without_partition
from memora.services.srs_archiver import QUIET_SHARE, SRSArchiver

if TYPE_CHECKING:
    from memora._engine import ArchiveProgress
    from memora.api.archive import ArchiveState


@click.command("archive")
@click.argument("season")
@click.option("--status", "is_question", is_flag=True, help="Only show its progress.")
@yes
@share_of_time(QUIET_SHARE)
@on_sites
def archive(
    terminal: Terminal, season: str, is_question: bool, is_sure: bool, share: float
) -> object:
    """Move the records of SEASON to the archive, or continue an earlier run.

    Ctrl-C ends it at a safe place; running it again continues.
    """
    state = get_archive_status(season)
    if is_question:
        terminal.say(describe(state))
        return state
    if state["status"] == "Archived":
        terminal.say(_("{0} is archived already: nothing was done.").format(season))
        return state
    question = _("The records of {0} move to the archive and cannot be moved back. Archive them?")
    terminal.confirm(question.format(season), is_sure)
    labels = {
        "copying": _("Copying"),
        "verifying": _("Comparing"),
        "freeing": _("Freeing"),
        "clearing": _("Clearing"),
    }

    def show(progress: ArchiveProgress) -> None:
        terminal.show(labels.get(progress["step"], ""), progress)

    archived = SRSArchiver().archive_season(season, show, share)
    terminal.say(_("{0} is archived: {1}.").format(season, records(archived["done"])))
    return get_archive_status(season)


def describe(state: ArchiveState) -> str:
    """The progress of an archive, in a line."""
    season = state["season"]
    if state["status"] == "Not Archived":
        return str(_("{0} is not archived.").format(season))
    if state["status"] == "Archived":
        text = _("{0} was archived at {1}: {2}.")
        return str(text.format(season, state["finished_at"], records(state["total"])))
    if state["is_running"]:
        text = _("{0} is being archived: {1}, {2}%.")
    else:
        text = _("{0} is partly archived, and no process works on it: {1}, {2}%. Archive it again.")
    return str(text.format(season, state["step"], state["percent"]))


@click.command("delete-eligible")
@click.argument("season", required=False)
@yes
@on_sites
def delete_eligible(terminal: Terminal, season: str | None, is_sure: bool) -> object:
    """Delete the archived records that are flagged as eligible for deletion.

    Those of SEASON, or of all seasons. They cannot be restored. `cancel` ends it, and running it
    again continues.
    """
    name = as_season(season) if season else None
    question = _("The flagged archived records of {0} cannot be restored. Delete them?")
    terminal.confirm(question.format(name or _("all seasons")), is_sure)
    deleted = SRSArchiver().delete_eligible(
        name, lambda progress: terminal.show(_("Deleting"), progress)
    )
    terminal.say(counted(deleted, _("1 record was deleted."), _("{0} records were deleted.")))
    return {"season": name, "deleted": deleted}


@click.command("partitions")
@on_sites
def partitions(terminal: Terminal) -> object:
    """Make the partitions that seasons lack, then list all."""
    missing = seasons_without_partition()
    for count, season in enumerate(missing):
        terminal.show(_("Making partitions"), {"done": count, "total": len(missing)})
        create_season_partition(season)
    found = engine().partitions()
    terminal.say(f"{_('partition'):<30} {_('records, about'):>16} {_('MB'):>10}")
    for one in found:
        terminal.say(f"{one['name']:<30} {one['rows']:>16,} {one['bytes'] / 1e6:>10,.1f}")
    return {"made": missing, "partitions": found}
