"""`bench --site SITE memora ...`: what administrators do, with progress bars.

With `--json` a command prints one JSON document instead, for programs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click
import frappe
from frappe.commands import get_site, pass_context

from memora._engine import MemoraError
from memora.api.documents import as_student
from memora.services import demo_data
from memora.services.engine import engine
from memora.services.metrics import metrics_text
from memora.services.monitor import Health, Monitor, monitor
from memora.services.partition_manager import create_season_partition, seasons_without_partition
from memora.services.players import export
from memora.services.poison_reviews import replay_all
from memora.services.poison_reviews import summary as summary_of_replay
from memora.services.scheduler import mend_schedule
from memora.services.srs_archiver import QUIET_SHARE, SRSArchiver
from memora.services.srs_jobs import JobCancelled
from memora.services.srs_reconciliation import SAMPLE_SIZE, reconcile_season, seasons_to_reconcile
from memora.services.srs_reconciliation import summary as what_was_found
from memora.services.srs_redis_manager import rebuild_season
from memora.services.srs_redis_manager import summary as what_was_rebuilt

if TYPE_CHECKING:
    from memora._engine import DrainReport

WORDS: Final = {
    "copying": "Copying",
    "verifying": "Comparing",
    "freeing": "Freeing",
    "clearing": "Clearing",
}
# Between two looks at how far a drain is.
DRAIN_SECONDS: Final = 1.0

as_json = click.option(
    "--json", "wants_json", is_flag=True, help="Print JSON, and no progress bar."
)


def share_of_time(default: float) -> Callable[[Any], Any]:
    """The option --share."""
    return click.option(
        "--share",
        default=default,
        show_default=True,
        type=click.FloatRange(0, 1, min_open=True),
        help="Part of the time that the servers are kept at work; 1 where no students wait.",
    )


@click.group("memora")
def memora() -> None:
    """Spaced-repetition reviews: health, cache, journal, seasons, archive."""


@memora.command("status")
@as_json
@click.option("--prometheus", is_flag=True, help="Print metrics in Prometheus' text format.")
@pass_context
def status(context: Any, wants_json: bool, prometheus: bool) -> None:
    """Show how cache, journal and jobs do."""
    with present_site(context):
        if prometheus:
            click.echo(metrics_text(), nl=False)
            return
        found = monitor()
        if wants_json:
            click.echo(json.dumps(found, indent=1, default=str))
            return
        for line in describe(found):
            click.echo(line)


@memora.command("rebuild")
@click.argument("season")
@share_of_time(1.0)
@as_json
@pass_context
def rebuild(context: Any, season: str, share: float, wants_json: bool) -> None:
    """Load all schedules of SEASON into the cache again. Students read and answer meanwhile."""
    with present_site(context), bars(wants_json) as show:
        rebuilt = rebuild_season(season, None, partial(show, "Rebuilding"), share)
        finish(wants_json, dict(rebuilt), what_was_rebuilt(rebuilt))


@memora.command("reconcile")
@click.argument("season", required=False)
@click.option(
    "--sample", type=click.IntRange(min=1), default=SAMPLE_SIZE, show_default=True, help="Records."
)
@click.option("--all", "whole", is_flag=True, help="Compare all that are cached, and no sample.")
@share_of_time(1.0)
@as_json
@pass_context
def reconcile(
    context: Any, season: str | None, sample: int, whole: bool, share: float, wants_json: bool
) -> None:
    """Compare what is cached of SEASON with the database, and correct it.

    Without SEASON, of each season that uses the cache.
    """
    with present_site(context):
        found = {}
        for name in [season] if season else seasons_to_reconcile():
            with bars(wants_json) as show:
                on_progress = partial(show, f"Comparing {name}")
                size = 0 if whole else sample
                found[name] = reconcile_season(name, None, size, on_progress, share)
            if not wants_json:
                click.echo(f"{name}: {what_was_found(found[name])}")
        if wants_json:
            click.echo(json.dumps(found, indent=1))


@memora.command("drain")
@as_json
@pass_context
def drain(context: Any, wants_json: bool) -> None:
    """Write all answers that wait in the journal to the database now."""
    with present_site(context), bars(wants_json) as show:
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
            show("Draining", {"done": done, "total": max(total, done + report["remaining"])})
            # What remains then is in the hands of another drain.
            if not report["submissions"] or not report["remaining"]:
                break
        text = "{answers:,} answers of {submissions:,} submissions are in the database"
        text += (
            ", {set_aside:,} were set aside as Poison Reviews, {remaining:,} submissions remain."
        )
        mend_schedule()
        finish(wants_json, dict(sum_of_all), text.format(**sum_of_all))


@memora.command("mend-clock")
@as_json
@pass_context
def mend_clock(context: Any, wants_json: bool) -> None:
    """Put right what a host whose clock was ahead has left: answers with an order in the future."""
    with present_site(context):
        mended = engine().mend_clock()
        finish(
            wants_json,
            {"mended": mended},
            f"{mended:,} records have the present as their order now.",
        )


@memora.command("replay")
@click.argument("names", nargs=-1)
@as_json
@pass_context
def replay(context: Any, names: tuple[str, ...], wants_json: bool) -> None:
    """Save Poison Reviews after all: those of these NAMES, or all that wait."""
    with present_site(context), bars(wants_json) as show:
        report = (
            engine().replay(list(names)) if names else replay_all(None, partial(show, "Replaying"))
        )
        counts = {
            "replayed": report["replayed"],
            "failed": report["failed"],
            "unknown": report["unknown"],
        }
        finish(wants_json, counts, summary_of_replay(report))


@memora.command("archive")
@click.argument("season")
@click.option("--yes", is_flag=True, help="Do not ask.")
@share_of_time(QUIET_SHARE)
@pass_context
def archive(context: Any, season: str, yes: bool, share: float) -> None:
    """Move the records of SEASON to the archive, or go on where an earlier run ended.

    Ctrl-C ends it at a safe place; running it again goes on.
    """
    with present_site(context):
        if not yes:
            click.confirm(
                f"The records of {season} cannot be moved back. Archive them?", abort=True
            )
        with bars() as show:
            archived = SRSArchiver().archive_season(
                season, lambda news: show(WORDS.get(news["step"], ""), news), share
            )
        click.echo(f"{season} is archived: {archived['done']:,} records.")


@memora.command("export")
@click.argument("player")
@pass_context
def export_player(context: Any, player: str) -> None:
    """Print all that is kept of the student PLAYER, as JSON."""
    with present_site(context):
        player = as_student(player)
        click.echo(json.dumps({"player": player, **export(player)}, indent=1, default=str))


@memora.command("forget")
@click.argument("player")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
@pass_context
def forget(context: Any, player: str, yes: bool, wants_json: bool) -> None:
    """Erase the student PLAYER: all records, archived ones too, waiting answers and schedules."""
    with present_site(context):
        player = as_student(player)
        if not yes:
            click.confirm(f"All that is kept of {player} will be gone. Erase it?", abort=True)
        forgotten = engine().forget(player)
        text = (
            "{records:,} records, {archived_records:,} archived, {audit_records:,} audit records, "
        )
        text += "{poison_reviews:,} Poison Reviews and "
        text += "{waiting_submissions:,} waiting submissions are gone."
        finish(wants_json, dict(forgotten), text.format(**forgotten))


@memora.command("demo-data")
@click.option("--force", is_flag=True, help="Also where another season is active.")
@as_json
@pass_context
def make_demo_data(context: Any, force: bool, wants_json: bool) -> None:
    """Make a season with students who have answered for a month, to look at.

    What is there of it already stays. clear-demo-data removes it.
    """
    with present_site(context), bars(wants_json) as show:
        demo_data.check_can_be_made(force)
        made = demo_data.make(None, partial(show, "Students"))
        text = f"{made['season']} has {made['records']:,} records of {made['students']} students."
        finish(wants_json, dict(made), text)


@memora.command("clear-demo-data")
@as_json
@pass_context
def clear_demo_data(context: Any, wants_json: bool) -> None:
    """Remove what demo-data has made: season, students, records, subjects and topics."""
    with present_site(context), bars(wants_json) as show:
        removed = demo_data.remove(None, partial(show, "Students"))
        text = f"{removed['records']:,} records of {removed['students']} students are gone."
        finish(wants_json, dict(removed), text)


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
            click.echo(
                f"{partition['name']:<30} {partition['rows']:>16,} "
                f"{partition['bytes'] / 1e6:>10,.1f}"
            )


@contextmanager
def present_site(context: Any) -> Iterator[None]:
    """The command line's site, as Frappe's own commands have it; engine errors in one line."""
    frappe.init(site=get_site(context))
    frappe.connect()
    try:
        yield
        frappe.db.commit()
    except (MemoraError, frappe.ValidationError) as error:
        raise click.ClickException(str(error)) from error
    except JobCancelled as error:
        raise click.ClickException("It was cancelled. What was done until then stays.") from error
    finally:
        frappe.destroy()


@contextmanager
def bars(silent: bool = False) -> Iterator[Callable[[str, Any], None]]:
    """A progress bar for each label; yields the function that takes `done` and `total` records."""
    shown: dict[str, Any] = {}

    def finish_all() -> None:
        for bar in shown.values():
            bar.render_finish()

    def show(label: str, news: Any) -> None:
        if silent or not label:
            return
        if label not in shown:
            finish_all()
            shown.clear()
            shown[label] = click.progressbar(length=1, label=f"{label:<10}", show_pos=True)
            shown[label].render_progress()
        bar = shown[label]
        # The number of records is often an estimate that can grow.
        bar.length = max(news["total"], 1)
        bar.update(news["done"] - bar.pos)

    try:
        yield show
    finally:
        finish_all()


def finish(wants_json: bool, report: dict[str, Any], text: str) -> None:
    """Print what was done, below the bar."""
    if wants_json:
        click.echo(json.dumps(report, indent=1))
        return
    click.echo(f"\n{text}")


def describe(found: Monitor) -> Iterator[str]:
    """The monitor in lines, for people."""
    status = found["status"]
    journal = status["journal"]
    answers = "answers" if status["redis_connected"] else "is down"
    yield f"cache     {answers}, {describe_memory(status)}"
    if status["is_safe_mode"]:
        yield click.style(f"          Safe Mode: {status['cause']}", fg="red")
    if status["cache_warning"]:
        yield click.style(f"          {status['cache_warning']}", fg="yellow")
    for name, count in status["keys_by_season"].items():
        memory = status["memory_mb_by_season"][name]
        yield f"          {name}: {count:,} students, {memory:,.1f} MB"
    yield (
        f"journal   {'answers' if journal['reachable'] else 'is down'}, {status['backlog']:,} "
        f"submissions wait, the oldest for {status['backlog_age_seconds']:,} seconds"
    )
    for replica in journal["replicas"]:
        state = "follows" if replica["is_online"] else "is being copied to"
        yield (
            f"          replica {replica['address']} {state}, {replica['lag_bytes']:,} bytes and "
            f"{replica['lag_seconds']} seconds behind"
        )
    if journal["kept_in_database"]:
        kept = journal["kept_in_database"]
        yield f"          {kept:,} of them in MariaDB: redis_queue or a replica did not take them"
    if journal["is_clock_ahead"]:
        warning = (
            "          answers are ahead of the clock: see the clocks of all hosts, "
            "then run memora mend-clock"
        )
        yield click.style(warning, fg="yellow")
    if journal["warning"]:
        yield click.style(f"          {journal['warning']}", fg="yellow")
    scheduler = found["scheduler"]
    yield f"scheduler {scheduler['state']}, last run {str(scheduler['last_run'] or 'never')[:19]}"
    if scheduler["warning"]:
        yield click.style(f"          {scheduler['warning']}", fg="yellow")
    active = [season for season in found["seasons"] if season["is_active"]]
    for season in active:
        if season["is_seen"]:
            yield f"season    {season['name']} is seen by students"
        else:
            warning = (
                f"season    {season['name']} is active, but seen by nobody: "
                "another one is active, too"
            )
            yield click.style(warning, fg="yellow")
    if not active:
        yield "season    none is active: students see nothing"
    poison = f"poison    {status['poison_reviews']:,} records were set aside and wait"
    yield click.style(poison, fg="red") if status["poison_reviews"] else poison
    for call in found["latency"]["calls"]:
        yield (
            f"latency   {call['call']:<15} {call['count']:>10,} calls, "
            f"p50 {call['p50_ms']:.2f} ms, p99 {call['p99_ms']:.2f} ms, in the last hour"
        )
    for job in found["jobs"][:10]:
        when = str(job["finished_at"] or job["started_at"] or "")[:19]
        name = job["season"] or "all seasons"
        what = f"{job['kind']:<14} {name:<20} {job['status']:<11} {job['message'] or ''}"
        yield f"job       {when:<19} {what}"


def describe_memory(status: Health) -> str:
    """How much memory redis_cache uses, and of how much."""
    if status["memory_used_mb"] is None:
        return "its memory is unknown"
    limit = status["memory_limit_mb"]
    return f"{status['memory_used_mb']:,.1f} MB of {f'{limit:,.1f} MB' if limit else 'no limit'}"


commands: Final = [memora]
