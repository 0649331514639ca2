"""The health of cache, journal and jobs."""

from __future__ import annotations

from collections.abc import Iterator

import click
from frappe import _

from memora.commands.sites import CommandRefused, Terminal, on_sites
from memora.services.counting import counted, students
from memora.services.metrics import metrics_text
from memora.services.monitor import IN_TIME_PERCENT, PERSISTENCE, Health, Monitor, monitor


@click.command("status")
@click.option("--prometheus", is_flag=True, help="Print metrics in Prometheus' text format.")
@on_sites
def status(terminal: Terminal, prometheus: bool) -> object:
    """Show how cache, journal and jobs do."""
    if prometheus:
        if terminal.has_several:
            raise CommandRefused(_("Metrics are of one site: name it with --site."))
        text = metrics_text()
        terminal.say(text.rstrip("\n"))
        return {"metrics": text}
    found = monitor()
    if not terminal.wants_json:
        for line in describe(found):
            terminal.say(line)
    return found


def describe(found: Monitor) -> Iterator[str]:
    """The monitor in lines, for people."""
    yield from describe_cache(found["status"])
    yield from describe_journal(found["status"])
    scheduler = found["scheduler"]
    last_run = str(scheduler["last_run"] or _("never"))[:19]
    yield line("scheduler", _("{0}, last run {1}").format(states()[scheduler["state"]], last_run))
    if scheduler["warning"]:
        yield warning(scheduler["warning"])
    yield from describe_seasons(found)
    waiting = found["status"]["poison_reviews"]
    poison = counted(
        waiting,
        _("1 record was set aside and waits"),
        _("{0} records were set aside and wait"),
    )
    yield line("poison", poison, "red" if waiting else None)
    for call in found["latency"]["calls"]:
        text = _("{0} {1}, p50 {2} ms, p99 {3} ms, in the last hour")
        calls = counted(call["count"], _("1 call"), _("{0} calls"))
        times = f"{call['p50_ms']:.2f}", f"{call['p99_ms']:.2f}"
        name = calls_by_name()[call["call"]]
        yield line("latency", text.format(f"{name:<15}", f"{calls:>16}", *times))
    in_time = found["latency"]["saved_in_time_percent"]
    if in_time is not None:
        text = _("{0} of the submissions were saved within five minutes, in the last hour")
        yield line("", text.format(f"{in_time:.2f}%"), "red" if in_time < IN_TIME_PERCENT else None)
    for job in found["jobs"][:10]:
        when = str(job["finished_at"] or job["started_at"] or "")[:19]
        season = job["season"] or _("all seasons")
        course = f"{_(job['kind']):<14} {season:<20} {_(job['status']):<11} {job['message'] or ''}"
        yield line("job", f"{when:<19} {job['name']:<10} {course}")


def states() -> dict[str, str]:
    """The names of the scheduler's states."""
    return {
        "running": _("running"),
        "inactive": _("switched off"),
        "dormant": _("once a day"),
        "late": _("late"),
        "resting": _("waiting for hours"),
    }


def calls_by_name() -> dict[str, str]:
    """The names of the kinds of calls."""
    return {
        "warm read": _("Warm read"),
        "cold read": _("Cold read"),
        "database read": _("Database read"),
        "safe mode read": _("Safe Mode read"),
        "submit": _("Submission"),
        PERSISTENCE: _("Until saved"),
    }


def describe_cache(status: Health) -> Iterator[str]:
    """The state of redis_cache, and how much it has of each season."""
    state = _("answers") if status["redis_connected"] else _("is down")
    yield line("cache", f"{state}, {describe_memory(status)}")
    if status["is_safe_mode"]:
        yield line("", _("Safe Mode: {0}").format(status["cause"]), "red")
    if status["cache_warning"]:
        yield warning(status["cache_warning"])
    for name, count in status["keys_by_season"].items():
        memory = f"{status['memory_mb_by_season'][name]:,.1f}"
        yield line("", _("{0}: {1}, {2} MB").format(name, students(count), memory))


def describe_memory(status: Health) -> str:
    """How much memory redis_cache uses, and its limit."""
    if status["memory_used_mb"] is None:
        return str(_("its memory is unknown"))
    used, limit = f"{status['memory_used_mb']:,.1f}", status["memory_limit_mb"]
    if not limit:
        return str(_("{0} MB of no limit").format(used))
    return str(_("{0} MB of {1} MB").format(used, f"{limit:,.1f}"))


def describe_journal(status: Health) -> Iterator[str]:
    """The state of redis_queue, what waits in it, and how safe that is."""
    journal = status["journal"]
    # While it is down, only what is kept in MariaDB can be counted.
    is_known = journal["reachable"]
    waiting = _("no submission waits") if is_known else _("what waits in it cannot be counted")
    if status["backlog"]:
        waiting = counted(
            status["backlog"],
            _("1 submission waits, for {1} seconds"),
            _("{0} submissions wait, the oldest for {1} seconds"),
            f"{status['backlog_age_seconds']:,}",
        )
    yield line("journal", f"{_('answers') if is_known else _('is down')}, {waiting}")
    for replica in journal["replicas"]:
        if replica["is_online"]:
            text = _("replica {0} follows, {1} bytes and {2} seconds behind")
        else:
            text = _("replica {0} is being copied to, {1} bytes and {2} seconds behind")
        lag = f"{replica['lag_bytes']:,}", replica["lag_seconds"]
        yield line("", text.format(replica["address"], *lag))
    if kept := journal["kept_in_database"]:
        text = counted(
            kept,
            _("1 of them in MariaDB: redis_queue or a replica did not take it"),
            _("{0} of them in MariaDB: redis_queue or a replica did not take them"),
        )
        yield line("", text)
    if journal["is_clock_ahead"]:
        yield warning(
            _(
                "answers are ahead of the clock: check the clocks of all hosts, then run memora "
                "mend-clock"
            )
        )
    if journal["warning"]:
        yield warning(journal["warning"])


def describe_seasons(found: Monitor) -> Iterator[str]:
    """Active seasons, and which one students see."""
    active = [season for season in found["seasons"] if season["is_active"]]
    for season in active:
        if season["is_seen"]:
            yield line("season", _("{0} is seen by students").format(season["name"]))
        else:
            text = _("{0} is active, but no student sees it: another season is active too")
            yield line("season", text.format(season["name"]), "yellow")
    if not active:
        yield line("season", _("none is active: students see nothing"))


def line(about: str, text: str, colour: str | None = None) -> str:
    """A line of the status, with its subject in a column of its own."""
    whole = f"{about:<9} {text}"
    return click.style(whole, fg=colour) if colour else whole


def warning(text: str) -> str:
    """A line that an administrator should act on."""
    return line("", text, "yellow")
