"""What the workspace Memora shows: numbers and charts, each cheap.

Nothing here reads a large table from end to end: figures come from the engine's counters, or from
a bounded number of index entries.
"""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypedDict

import frappe
from frappe import _
from frappe.utils import get_datetime, now_datetime

from memora._engine import MemoraError
from memora.services.engine import engine
from memora.services.monitor import POISON, WAITING
from memora.services.roles import MONITOR_READERS
from memora.services.seasons import active_seasons
from memora.services.site_time import site_time
from memora.services.storage import AUDIT, TRACKER

if TYPE_CHECKING:
    from memora._engine import LatencySlot

# At most this many submissions of a day, and this many records of a season, are read.
SUBMISSIONS: Final = 10_000
RECORDS: Final = 20_000
READS: Final = frozenset({"warm read", "cold read", "database read", "safe mode read"})


class Number(TypedDict, total=False):
    """What a Number Card of type Custom shows, and what a click opens."""

    value: float
    fieldtype: str
    route: list[str]
    route_options: dict[str, Any]


class DataSet(TypedDict):
    """A line or a row of bars."""

    name: str
    values: list[float]


class Chart(TypedDict):
    """What a Dashboard Chart shows."""

    labels: list[str]
    datasets: list[DataSet]


def is_for_user() -> bool:
    """Whether memora's tile is on the user's page of apps (hook add_to_apps_screen)."""
    return frappe.session.user == "Administrator" or not set(MONITOR_READERS).isdisjoint(
        frappe.get_roles()
    )


def link_assets() -> None:
    """Link /assets/memora to public/ (hooks after_install, after_migrate).

    `bench build` makes the same link, but an app from a wheel does not need `bench build`, and a
    new version of Python has another folder.
    """
    public = frappe.get_app_path("memora", "public")
    link = os.path.join(frappe.local.sites_path, "assets", "memora")
    if os.path.exists(link) or not os.path.isdir(os.path.dirname(link)):
        return
    # A link that exists here is broken. Another site may be migrated at the same time.
    with suppress(FileNotFoundError):
        os.unlink(link)
    with suppress(FileExistsError):
        os.symlink(public, link)


def students_active_today() -> Number | str:
    """Students whose answers were saved today; with a plus if there may be more."""
    day = _submissions_of_today()
    if day["submissions"] < SUBMISSIONS:
        return _number(day["students"])
    return _at_least(day["students"])


def answers_today() -> Number | str:
    """Answers that were saved today; with a plus if there are more."""
    day = _submissions_of_today()
    if day["submissions"] < SUBMISSIONS:
        return _number(day["answers"])
    return _at_least(day["answers"])


def _submissions_of_today() -> dict[str, int]:
    """Counts over today's newest submissions: submissions, answers, students.

    At most SUBMISSIONS are read.
    """
    today = now_datetime().replace(hour=0, minute=0, second=0, microsecond=0)
    (row,) = frappe.db.sql(
        "select count(*) as submissions, cast(ifnull(sum(answers), 0) as signed) as answers, "
        "count(distinct player) as students from "
        f"(select answers, player from `tab{AUDIT}` where modified >= %s "
        "order by modified desc limit %s) newest",
        (today, SUBMISSIONS),
        as_dict=True,
    )
    return {name: int(row[name]) for name in ("submissions", "answers", "students")}


def reviews_due() -> Number:
    """Records that are due now in the season that students see, without retired questions.

    For a season with more than RECORDS it is an estimate: the share that is due among RECORDS of
    them, times MariaDB's estimate of all.
    """
    seasons = active_seasons()
    if not seasons:
        return _number(0)
    season = seasons[0]
    (row,) = frappe.db.sql(
        "select count(*) as records, "
        "cast(ifnull(sum(next_review_date <= %s and retired.question_id is null), 0) as signed) "
        "as due from "
        f"(select question_id, next_review_date from `tab{TRACKER}` where season = %s limit %s) "
        "some left join memora_retired retired "
        "on retired.question_id = some.question_id and retired.is_retired = 1",
        (now_datetime(), season, RECORDS),
        as_dict=True,
    )
    due = int(row["due"])
    if row["records"] == RECORDS:
        total = max([p["rows"] for p in engine().partitions() if p["name"] == season] or [RECORDS])
        due = round(due * max(total, RECORDS) / RECORDS)
    return _number(due)


def backlog() -> Number:
    """Submissions that are not in MariaDB yet."""
    return _number(engine().journal_status()["backlog"], ["srs-monitor"])


def waiting_poison_reviews() -> Number:
    """Records that were set aside and wait for an administrator."""
    number = _number(frappe.db.count(POISON, WAITING), ["List", POISON])
    number["route_options"] = {name: list(condition) for name, condition in WAITING.items()}
    return number


def _at_least(value: int) -> str:
    """A number with a plus, isolated so that the plus follows it on a right-to-left page too."""
    return f"\u2066{value:,}+\u2069"


def _number(value: int, route: list[str] | None = None) -> Number:
    number: Number = {"value": value, "fieldtype": "Int"}
    if route:
        number["route"] = route
    return number


def calls_of_students() -> Chart:
    """How many reads and submissions there were, in each of the last 24 hours."""
    hours = _hours()

    def count(names: frozenset[str]) -> list[float]:
        return [
            sum(
                slot["calls"][name]["count"]
                for slot in slots
                for name in names & slot["calls"].keys()
            )
            for slots in hours.values()
        ]

    return {
        "labels": list(hours),
        "datasets": [
            {"name": _("Reads"), "values": count(READS)},
            {"name": _("Submissions"), "values": count(frozenset({"submit"}))},
        ],
    }


def time_to_answer() -> Chart:
    """The longest wait of 99 of 100 students in each of the last 24 hours, in milliseconds."""
    hours = _hours()

    def slowest(name: str) -> list[float]:
        return [
            round(
                max(
                    (slot["calls"][name]["p99_ms"] for slot in slots if name in slot["calls"]),
                    default=0,
                ),
                2,
            )
            for slots in hours.values()
        ]

    return {
        "labels": list(hours),
        "datasets": [
            {"name": _("Warm read"), "values": slowest("warm read")},
            {"name": _("Submission"), "values": slowest("submit")},
        ],
    }


def _hours() -> dict[str, list[LatencySlot]]:
    """The engine's slots of the last 24 hours, by hour of the site's clock; an hour may have none.

    While the cache is down, no hour has any.
    """
    now = now_datetime()
    hours: dict[str, list[LatencySlot]] = {
        f"{now - timedelta(hours=ago):%H}:00": [] for ago in range(23, -1, -1)
    }
    try:
        slots = engine().latency()["series"]
    except MemoraError:
        return hours
    for slot in slots:
        began_at = get_datetime(site_time(slot["began_at"]))
        # Calls of the same hour of yesterday are not shown.
        if now - began_at < timedelta(hours=23, minutes=now.minute + 1):
            hours[f"{began_at:%H}:00"].append(slot)
    return hours
