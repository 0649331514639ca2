"""Demo data: a season with students who have answered for a month, to look at."""

from __future__ import annotations

from functools import partial

import click
from frappe import _

from memora.commands.sites import Terminal, on_sites, yes
from memora.services import demo_data
from memora.services.counting import records, students


@click.command("demo-data")
@click.option("--force", is_flag=True, help="Even if another season is active.")
@on_sites
def make_demo_data(terminal: Terminal, force: bool) -> object:
    """Make a season with students who have answered for a month, to look at.

    Demo data that exists already stays. clear-demo-data removes it.
    """
    demo_data.check_can_be_made(force)
    made = demo_data.make(None, partial(terminal.show, _("Students")))
    text = _("{0} has {1} of {2}.")
    terminal.say(text.format(made["season"], records(made["records"]), students(made["students"])))
    return made


@click.command("clear-demo-data")
@yes
@on_sites
def clear_demo_data(terminal: Terminal, is_sure: bool) -> object:
    """Remove all that demo-data has made: season, students, records, subjects and topics."""
    terminal.confirm(_("Remove the demo season, its students and all their records?"), is_sure)
    removed = demo_data.remove(None, partial(terminal.show, _("Students")))
    text = _("Removed: {0} of {1}.")
    terminal.say(text.format(records(removed["records"]), students(removed["students"])))
    return removed
