"""Questions that the site retires, or restores."""

from __future__ import annotations

import click
from frappe import _

from memora.api.questions import restore_questions, retire_questions
from memora.commands.sites import Terminal, on_sites
from memora.services.counting import counted


@click.command("retire-questions")
@click.argument("ids", nargs=-1, required=True)
@on_sites
def retire(terminal: Terminal, ids: tuple[str, ...]) -> object:
    """Retire the questions IDS: no student is asked them. Records stay as they are."""
    answer = retire_questions(list(ids))
    terminal.say(
        counted(answer["retired"], _("1 question is retired."), _("{0} questions are retired."))
    )
    return answer


@click.command("restore-questions")
@click.argument("ids", nargs=-1, required=True)
@on_sites
def restore(terminal: Terminal, ids: tuple[str, ...]) -> object:
    """Restore the retired questions IDS: each student's are due when they were due before."""
    answer = restore_questions(list(ids))
    terminal.say(
        counted(answer["restored"], _("1 question is restored."), _("{0} questions are restored."))
    )
    return answer
