"""The journal: drained, and repaired after a wrong clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click
from frappe import _

from memora.commands.sites import Terminal, on_sites
from memora.services.counting import counted, submissions
from memora.services.engine import engine
from memora.services.scheduler import mend_schedule

if TYPE_CHECKING:
    from memora._engine import DrainReport

# Seconds between two reports of progress.
DRAIN_SECONDS: Final = 1.0


@click.command("drain")
@on_sites
def drain(terminal: Terminal) -> object:
    """Write all answers that wait in the journal to the database now."""
    total = engine().journal_status()["backlog"]
    sum_of_all: DrainReport = {
        "submissions": 0,
        "answers": 0,
        "set_aside": 0,
        "written_again": 0,
        "remaining": total,
    }
    while True:
        report = engine().drain(DRAIN_SECONDS)
        for name in ("submissions", "answers", "set_aside", "written_again"):
            sum_of_all[name] += report[name]
        sum_of_all["remaining"] = report["remaining"]
        done = sum_of_all["submissions"]
        progress = {"done": done, "total": max(total, done + report["remaining"])}
        terminal.show(_("Draining"), progress)
        # Another drain processes the rest.
        if not report["submissions"] or not report["remaining"]:
            break
    mend_schedule()
    terminal.say(describe_drain(sum_of_all))
    return sum_of_all


def describe_drain(report: DrainReport) -> str:
    """What was drained, in up to three sentences."""
    sentences = [
        counted(
            report["answers"],
            _("1 answer of {1} is in the database."),
            _("{0} answers of {1} are in the database."),
            submissions(report["submissions"]),
        )
    ]
    if report["set_aside"]:
        sentences.append(
            counted(
                report["set_aside"],
                _("1 record was set aside as a Poison Review."),
                _("{0} records were set aside as Poison Reviews."),
            )
        )
    if report["remaining"]:
        sentences.append(
            counted(report["remaining"], _("1 submission remains."), _("{0} submissions remain."))
        )
    return " ".join(sentences)


@click.command("mend-clock")
@on_sites
def mend_clock(terminal: Terminal) -> object:
    """Repair the answers of a host whose clock was ahead: their order is in the future."""
    mended = engine().mend_clock()
    text = counted(
        mended,
        _("1 record was ahead of the clock, and is corrected."),
        _("{0} records were ahead of the clock, and are corrected."),
    )
    terminal.say(text)
    return {"mended": mended}
