"""The command that cancels an SRS Job."""

from __future__ import annotations

import click
from frappe import _

from memora.api.jobs import cancel_job
from memora.commands.sites import Terminal, on_sites


@click.command("cancel")
@click.argument("job")
@on_sites
def cancel(terminal: Terminal, job: str) -> object:
    """Cancel the SRS Job JOB, of any kind but an archive: it ends within two seconds.

    What was done stays. `status` shows the names of jobs.
    """
    found = cancel_job(job)
    what = _("{0} of {1}").format(_(found["kind"]), found["season"] or _("all seasons"))
    if found["status"] == "Running":
        terminal.say(_("{0} ends within two seconds.").format(what))
    elif found["status"] == "Cancelled":
        terminal.say(_("{0} is cancelled.").format(what))
    else:
        terminal.say(_("{0} had already ended: {1}.").format(what, _(found["status"])))
    return found
