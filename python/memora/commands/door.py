"""The door in front of Frappe: whether it is used."""

from __future__ import annotations

import click
import frappe

from memora.commands.sites import Terminal, on_sites
from memora.services.door_counts import door_counts
from memora.services.door_frappe import fingerprint_of_frappe, followed_version
from memora.services.site_time import site_time


@click.command("door")
@on_sites
def door(terminal: Terminal) -> object:
    """Whether memora.wsgi answers students' calls, and why calls go to Frappe instead."""
    counts, version = door_counts(), followed_version(frappe.local.conf)
    fingerprint = fingerprint_of_frappe()
    if version is None:
        terminal.say(
            f"This Frappe ({frappe.__version__}, {fingerprint}) is not one that the door was "
            "compared with, so every call goes to Frappe: see docs/door.md.",
            "yellow",
        )
    if counts["since"] is None:
        terminal.say("The door is not in use: no process has counted a call in the last day.")
    else:
        asked = counts["answered"] + sum(counts["to_frappe"].values())
        terminal.say(
            f"Since {site_time(int(counts['since']))}, the door has answered "
            f"{counts['answered']:,} of {asked:,} calls."
            + (" Frappe answered:" if counts["to_frappe"] else "")
        )
        for reason, count in counts["to_frappe"].items():
            terminal.say(f"{count:>12,}  {reason}")
    return {
        **counts,
        "frappe": frappe.__version__,
        "fingerprint": fingerprint,
        "is_compared": version is not None,
    }
