"""Runs a command on the sites that the command line names, and prints for people or programs."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, Final, cast

import click
import frappe
from frappe import _
from frappe.commands import pass_context

from memora._engine import MemoraError
from memora.services.errors import ReviewsUnavailable
from memora.services.srs_jobs import JobCancelled

INVALID: Final = "memora.invalid_input"


class CommandFailed(Exception):
    """A command failed on a site: a message, and a code of docs/operating.md."""

    def __init__(self, message: str, code: str = INVALID) -> None:
        super().__init__(message)
        self.message: Final = " ".join(message.splitlines())
        self.code: Final = code


class CommandRefused(CommandFailed):
    """The command line is wrong for every site, or was not confirmed."""


class NotInstalled(CommandFailed):
    """The site exists, but memora is not installed on it."""


class Terminal:
    """Shows a command's output to people; with --json it shows nothing."""

    def __init__(self, wants_json: bool, has_several: bool) -> None:
        self.wants_json: Final = wants_json
        self.has_several: Final = has_several
        self._bar: Any = None
        self._label = ""

    def say(self, text: str, colour: str | None = None) -> None:
        """Print a line, below the bar."""
        self.end_bar()
        if not self.wants_json:
            click.secho(text, fg=colour)

    def show(self, label: str, progress: Mapping[str, Any]) -> None:
        """Show a progress bar, one for each label, from `done` and `total` records."""
        if self.wants_json or not label:
            return
        if label != self._label:
            self.end_bar()
            self._label = label
            self._bar = click.progressbar(length=1, label=f"{label:<10}", show_pos=True)
            self._bar.render_progress()
        # The number of records is often an estimate that can grow.
        self._bar.length = max(progress["total"], 1)
        self._bar.update(progress["done"] - self._bar.pos)

    def end_bar(self) -> None:
        """Leave the bar as it is; the next line appears below it."""
        if self._bar:
            self._bar.render_finish()
        self._bar, self._label = None, ""

    def confirm(self, question: str, is_sure: bool) -> None:
        """Ask on stderr, unless `--yes` was given.

        Raises:
            CommandRefused: the answer is no, or nobody can answer.
        """
        if is_sure:
            return
        try:
            is_sure = click.confirm(question, err=True)
        except click.Abort:
            click.echo(err=True)
        if not is_sure:
            raise CommandRefused(_("Nothing was done, because it was not confirmed."))


yes: Final = click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")


def share_of_time(default: float) -> Callable[[Any], Any]:
    """The option --share."""
    return click.option(
        "--share",
        default=default,
        show_default=True,
        type=click.FloatRange(0, 1, min_open=True),
        help="Share of the time in which the servers work on this; 1 if no students wait.",
    )


def on_sites(command: Callable[..., object]) -> Callable[..., None]:
    """Run a command on each site of the command line, one after another. Adds the option --json.

    The command is called with a Terminal and its own arguments, while its site is connected; then
    the site is committed. It returns the answer for programs; answers of several sites are printed
    by site. With several sites, an argument that names something of one site is refused.
    """

    @click.option("--json", "wants_json", is_flag=True, help="Print JSON, and no progress bar.")
    @pass_context
    @wraps(command)
    def run(context: Any, wants_json: bool, **arguments: Any) -> None:
        sites: Sequence[str] = context.sites or ()
        terminal = Terminal(wants_json, has_several=len(sites) > 1)
        answers: dict[str, object] = {}
        has_failed = False
        try:
            check_sites(sites, arguments)
            for site in sites:
                if terminal.has_several:
                    terminal.say(site, "cyan")
                try:
                    with present_site(site):
                        answers[site] = command(terminal, **arguments)
                except CommandRefused:
                    raise
                except NotInstalled as failure:
                    # `--site all` means the sites that have memora.
                    if not terminal.has_several:
                        raise
                    terminal.say(failure.message)
                except CommandFailed as failure:
                    if not terminal.has_several:
                        raise
                    has_failed = True
                    answers[site] = failure_as_json(failure)
                    tell(terminal, f"{site}: {failure.message}")
                finally:
                    terminal.end_bar()
        except CommandFailed as failure:
            tell(terminal, failure.message)
            if wants_json:
                click.echo(json.dumps(failure_as_json(failure), indent=1))
            click.get_current_context().exit(1)
        if wants_json:
            answer = answers if terminal.has_several else answers[sites[0]]
            click.echo(json.dumps(answer, indent=1, default=str))
        if has_failed:
            click.get_current_context().exit(1)

    return cast(Callable[..., None], run)


def check_sites(sites: Sequence[str], arguments: Mapping[str, Any]) -> None:
    """Check that there is a site, and only one if the command line names something of a site.

    Raises:
        CommandRefused: no site is named, or too many.
    """
    if not sites:
        raise CommandRefused("No site is named: bench --site SITE memora ...")
    named = [
        parameter.human_readable_name
        for parameter in click.get_current_context().command.params
        if isinstance(parameter, click.Argument) and arguments.get(str(parameter.name))
    ]
    if named and len(sites) > 1:
        raise CommandRefused(
            f"{named[0]} is on one site, and {len(sites)} are named: give its name to --site."
        )


@contextmanager
def present_site(site: str) -> Iterator[None]:
    """Connect to a site, as Frappe's own commands do, and commit at the end.

    Raises:
        CommandFailed: anything failed; the message is one line.
    """
    try:
        frappe.init(site=site)
        frappe.connect()
        if "memora" not in frappe.get_installed_apps():
            raise NotInstalled(_("memora is not installed on {0}.").format(site))
        yield
        frappe.db.commit()
    except (CommandFailed, click.Abort):
        raise
    except Exception as error:
        raise CommandFailed(*explained(site, error)) from error
    finally:
        frappe.destroy()


def explained(site: str, error: Exception) -> tuple[str, str]:
    """An error's message and code. Writes the traceback of a defect to the log."""
    if isinstance(error, frappe.IncorrectSitePath):
        return f"There is no site {site}.", INVALID
    if isinstance(error, MemoraError):
        return str(error), error.code
    if isinstance(error, JobCancelled):
        return _("It was cancelled. What was done until then stays."), "memora.cancelled"
    if isinstance(error, frappe.ValidationError):
        # Frappe's messages are HTML. An unavailable server without an engine's code is redis_queue.
        default = "memora.journal_unavailable" if isinstance(error, ReviewsUnavailable) else INVALID
        return html.unescape(str(error)), frappe.local.response.get("error_code") or default
    # In English: Frappe's translations need the database, which may be down.
    database = getattr(frappe.local, "db", None)
    if database and isinstance(error, database.OperationalError):
        message = f"MariaDB cannot be reached, or refused a statement: {error}"
        return message, "memora.database_unavailable"
    frappe.logger("memora").error(f"a command failed on {site}", exc_info=error)
    message = (
        f"memora failed: {type(error).__name__}: {error}. The traceback is in logs/memora.log."
    )
    return message, "memora.fault"


def failure_as_json(failure: CommandFailed) -> dict[str, str]:
    """A failure for programs."""
    return {"error": failure.message, "code": failure.code}


def tell(terminal: Terminal, message: str) -> None:
    """Print an error on stderr; with --json, the document has it instead."""
    if not terminal.wants_json:
        click.echo(f"Error: {message}", err=True)
