"""The journal's Redis made durable."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click
from frappe import _

from memora.commands.sites import CommandFailed, Terminal, on_sites, yes
from memora.services import journal_settings
from memora.services.engine import engine
from memora.services.messages import translated_warning

if TYPE_CHECKING:
    from memora.services.journal_settings import Fsync, Plan


@click.command("make-durable")
@click.option(
    "--appendfsync",
    "fsync",
    type=click.Choice(["always", "everysec"]),
    default="always",
    show_default=True,
    help="When answers reach the disk: with everysec a power cut can lose the last second or two.",
)
@yes
@on_sites
def make_durable(terminal: Terminal, fsync: Fsync, is_sure: bool) -> object:
    """Make redis_queue keep answers through a crash or a power cut, now and after a restart.

    It sets the running Redis (CONFIG SET), waits until its append-only file is written, and changes
    its configuration file. For a Redis on this machine, as on a stock bench. Replicas, and
    srs_journal_replicas, stay as they are.
    """
    planned = journal_settings.plan(fsync)
    show_plan(terminal, planned)
    if planned.live or planned.in_file:
        terminal.confirm(_("Change it?"), is_sure)
        journal_settings.make_durable(planned, fsync)
    status = engine().journal_status()
    warning = translated_warning(status["warning"])
    if not status["appendonly"] or status["appendfsync"] not in (fsync, "always"):
        message = _("redis_queue was changed, but is still not durable: {0}")
        raise CommandFailed(message.format(warning), "memora.journal_refused")
    if status["durable"]:
        terminal.say(_("Answers survive a crash of redis_queue and a power cut."))
    if warning:
        terminal.say(warning, "yellow")
    if planned.is_rewritten_by_bench:
        terminal.say(
            _(
                "Note: bench setup redis writes {0} again without these lines. Run this command "
                "after it, before you restart redis_queue."
            ).format(planned.file)
        )
    return {
        "file": str(planned.file),
        "changed": [asdict(change) for change in planned.live],
        "changed_in_file": [asdict(change) for change in planned.in_file],
        "durable": status["durable"],
        "warning": warning,
    }


def show_plan(terminal: Terminal, planned: Plan) -> None:
    """The changes, a line for each setting."""
    terminal.say(_("redis_queue is {0}, its file {1}.").format(planned.address, planned.file))
    for change in planned.live:
        text = _("In the running Redis: {0} is {1}, and will be {2}.")
        terminal.say(text.format(change.name, change.now, change.wanted))
    for change in planned.in_file:
        text = _("In the file: {0} is {1}, and will be {2}.")
        terminal.say(text.format(change.name, change.now or _("not named"), change.wanted))
    if not planned.live and not planned.in_file:
        terminal.say(_("Both already have these settings: nothing was changed."))
