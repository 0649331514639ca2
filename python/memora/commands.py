"""`bench --site SITE memora ...`: what administrators do, with progress bars."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click
import frappe
from frappe.commands import get_site, pass_context

from memora._engine import MemoraError
from memora.services.engine import engine
from memora.services.partition_manager import create_season_partition, seasons_without_partition
from memora.services.srs_archiver import QUIET_SHARE, SRSArchiver

if TYPE_CHECKING:
    from memora._engine import ArchiveProgress

WORDS: Final = {"copying": "Copying", "verifying": "Comparing", "freeing": "Freeing", "clearing": "Clearing"}


@click.group("memora")
def memora() -> None:
    """Spaced-repetition reviews: seasons, partitions, archive."""


@memora.command("archive")
@click.argument("season")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--share",
    default=QUIET_SHARE,
    show_default=True,
    type=click.FloatRange(0, 1, min_open=True),
    help="Part of the time that MariaDB is kept at work; 1 where no students wait.",
)
@pass_context
def archive(context: Any, season: str, yes: bool, share: float) -> None:
    """Move the records of SEASON to the archive, or go on where an earlier run ended.

    Ctrl-C ends it at a safe place; running it again goes on.
    """
    with present_site(context):
        if not yes:
            click.confirm(f"The records of {season} cannot be moved back. Archive them?", abort=True)
        with bars() as show:
            archived = SRSArchiver().archive_season(season, show, share)
        click.echo(f"{season} is archived: {archived['done']:,} records.")


@memora.command("partitions")
@pass_context
def partitions(context: Any) -> None:
    """Make the partitions that seasons lack, then list all."""
    with present_site(context):
        if missing := seasons_without_partition():
            with click.progressbar(missing, label="Making partitions") as waiting:
                for season in waiting:
                    create_season_partition(season)
        click.echo(f"{'partition':<30} {'records, about':>16} {'MB':>10}")
        for partition in engine().partitions():
            click.echo(f"{partition['name']:<30} {partition['rows']:>16,} {partition['bytes'] / 1e6:>10,.1f}")


@contextmanager
def present_site(context: Any) -> Iterator[None]:
    """The site of the command line, as Frappe's own commands have it; the engine's errors in one line."""
    frappe.init(site=get_site(context))
    frappe.connect()
    try:
        yield
        frappe.db.commit()
    except MemoraError as error:
        raise click.ClickException(str(error)) from error
    finally:
        frappe.destroy()


@contextmanager
def bars() -> Iterator[Any]:
    """A progress bar for each step of an archive; yields the function to be told of progress."""
    shown: dict[str, Any] = {}

    def finish() -> None:
        for bar in shown.values():
            bar.render_finish()

    def show(progress: ArchiveProgress) -> None:
        step = progress["step"]
        if step not in WORDS:
            return
        if step not in shown:
            finish()
            shown.clear()
            shown[step] = click.progressbar(length=1, label=f"{WORDS[step]:<10}", show_pos=True)
            shown[step].render_progress()
        bar = shown[step]
        # While it copies, the number of records is an estimate that can grow.
        bar.length = max(progress["total"], 1)
        bar.update(progress["done"] - bar.pos)

    try:
        yield show
    finally:
        finish()


commands: Final = [memora]
