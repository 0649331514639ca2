"""All data of a student: printed or erased."""

from __future__ import annotations

import json

import click
from frappe import _

from memora.api.documents import as_student
from memora.commands.sites import Terminal, on_sites, yes
from memora.services import players
from memora.services.counting import records
from memora.services.players import export


@click.command("export")
@click.argument("player")
@on_sites
def export_player(terminal: Terminal, player: str) -> object:
    """Print all data of the student PLAYER, as JSON."""
    player = as_student(player)
    exported = {"player": player, **export(player)}
    terminal.say(json.dumps(exported, indent=1, default=str))
    return exported


@click.command("forget")
@click.argument("player")
@yes
@on_sites
def forget(terminal: Terminal, player: str, is_sure: bool) -> object:
    """Erase the student PLAYER: all records, archived ones too, waiting answers and schedules."""
    player = as_student(player)
    question = _("All data of {0} will be erased and cannot be restored. Erase it?")
    terminal.confirm(question.format(player), is_sure)
    forgotten = players.forget(player)
    text = _(
        "Erased: {0}; of the archive: {1}; audit records: {2}; Poison Reviews: {3}; "
        "waiting submissions: {4}."
    )
    terminal.say(
        text.format(
            records(forgotten["records"]),
            records(forgotten["archived_records"]),
            f"{forgotten['audit_records']:,}",
            f"{forgotten['poison_reviews']:,}",
            f"{forgotten['waiting_submissions']:,}",
        )
    )
    return forgotten
