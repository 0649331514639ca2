"""What a healthy process notices of a sick one, under load and with students of its own.

One process cannot reach the cache, the journal or both, or waits for them in vain. The other one
reaches everything: its warm reads come from the cache and cost no SQL, and it refuses nobody.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests.soak.crew import Crew
from tests.soak.faults import ORDERS
from tests.soak.load import Count, Students
from tests.support.servers import wait_until
from tests.support.site_under_test import TRACKER, Site

STUDENTS: Final = 120
HEALTHY: Final = (0, STUDENTS // 2)
SICK: Final = (STUDENTS // 2, STUDENTS)
# Their SQL is told apart by their users.
USERS: Final = ("memora_healthy", "memora_sick", "memora_drain")
PASSWORD: Final = "memora-private"
SICKNESSES: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    # What the load alone costs on this machine.
    "none": ((), "refuse"),
    "no cache": (("cache",), "refuse"),
    "no journal": (("journal",), "refuse"),
    "neither": (("cache", "journal"), "refuse"),
    "cache hangs": (("cache",), "hang"),
    "journal hangs": (("journal",), "hang"),
    "both hang": (("cache", "journal"), "hang"),
}


def neighbours(
    site: Site,
    seconds: float,
    seed: int,
    report: Callable[[str], None],
    only: Sequence[str] = ("",),
) -> list[str]:
    """Make one process sick in each way, and check what its neighbour notices.

    Args:
        site: with servers of its own.
        seconds: of each sickness.
        seed: of the load.
        report: gets a line for each sickness.
        only: sicknesses with one of these in their name.

    Returns: everything that went wrong.
    """
    add_users(site)
    wrong = []
    for number, (name, (servers, how)) in enumerate(SICKNESSES.items()):
        if any(part in name for part in only):
            with ExitStack() as stack:
                folder = Path(
                    stack.enter_context(tempfile.TemporaryDirectory(prefix="memora-sick-"))
                )
                students = Students(folder, STUDENTS)
                site.sql("DELETE FROM `tabPlayer Memory Tracker`")
                site.cache.flushall()
                site.journal.flushall()
                students.enter(site)
                crew = stack.enter_context(Crew(site, students, seed + number))
                wrong += [
                    f"{name}: {what}"
                    for what in one(site, crew, servers, how, seconds, report, name)
                ]
    return wrong


def one(
    site: Site,
    crew: Crew,
    servers: tuple[str, ...],
    how: str,
    seconds: float,
    report: Callable[[str], None],
    name: str,
) -> list[str]:
    """One sickness: what the healthy process noticed."""
    students = crew.students
    healthy, sick, _ = (
        crew.hire(job, share=share, settings={"database_user": user, "database_password": PASSWORD})
        for job, share, user in zip(
            ("quiet web", "quiet web", "drain"), (HEALTHY, SICK, None), USERS, strict=True
        )
    )
    engine = site.engine()
    for player in students.names:
        engine.due(player)
    if not wait_until(
        lambda: all(students.board.of(place)[Count.READS] > 50 for place in (healthy, sick))
    ):
        return ["there is no load", *students.violations().splitlines()]
    before = [students.board.of(place) for place in (healthy, sick)]
    forget_statements(site)
    for server in servers:
        ORDERS[how](crew.wires[sick].to[server])
    time.sleep(seconds)
    after = [students.board.of(place) for place in (healthy, sick)]
    selects, the_sick_ones_selects = (selects_of(site, user) for user in USERS[:2])
    # A read that loaded a schedule also says "cache". A look whether to believe it reads no
    # records.
    loads, the_sick_ones_loads = (
        [statement for statement in found if TRACKER in statement]
        for found in (selects, the_sick_ones_selects)
    )
    for server in servers:
        crew.wires[sick].to[server].mend()
    crew.dismiss()
    its, the_sick_ones = (
        [new - old for new, old in zip(late, early, strict=True)]
        for late, early in zip(after, before, strict=True)
    )
    elsewhere = its[Count.READS] - its[Count.FROM_CACHE]
    errors = its[Count.ERRORS] + its[Count.UNREAD]
    report(
        f"{name:14} healthy: {its[Count.FROM_CACHE]} warm reads, {elsewhere} others, "
        f"{its[Count.DEGRADED]} degraded, {its[Count.ACKNOWLEDGED]} acknowledged, {errors} errors, "
        f"{its[Count.RATE_LIMITED]} times 429, {len(selects) / seconds:.2f} SELECTs a second "
        f"({len(loads)} of records); "
        f"sick: {the_sick_ones[Count.READS]} reads, "
        f"{the_sick_ones[Count.ACKNOWLEDGED]} acknowledged, "
        f"{the_sick_ones[Count.ERRORS] + the_sick_ones[Count.UNREAD]} errors, "
        f"{len(the_sick_ones_selects) / seconds:.0f} SELECTs a second "
        f"({len(the_sick_ones_loads)} of records)"
    )
    wrong = students.violations().splitlines()
    if loads:
        wrong.append(f"the healthy process loaded records {len(loads)} times, as by {loads[0]}")
    if elsewhere:
        wrong.append(f"the healthy process had {elsewhere} reads from elsewhere than the cache")
    if errors:
        wrong.append(f"the healthy process had {errors} errors")
    if its[Count.RATE_LIMITED]:
        wrong.append(f"the healthy process refused {its[Count.RATE_LIMITED]} reads")
    return wrong


def add_users(site: Site) -> None:
    """A MariaDB user for each process, with the rights of the site's own, and a log of each one's
    statements."""
    with site.servers.database.connect_as_root() as root, root.cursor() as cursor:
        for user in USERS:
            cursor.execute(f"CREATE USER IF NOT EXISTS '{user}'@'%%' IDENTIFIED BY %s", (PASSWORD,))
            cursor.execute(f"GRANT ALL ON `memora\\_%`.* TO '{user}'@'%'")
        cursor.execute("SET GLOBAL log_output = 'TABLE'")
        cursor.execute("SET GLOBAL general_log = 1")


def forget_statements(site: Site) -> None:
    """Begin the log again."""
    with site.servers.database.connect_as_root() as root, root.cursor() as cursor:
        cursor.execute("TRUNCATE TABLE mysql.general_log")


def selects_of(site: Site, user: str) -> list[str]:
    """The SELECTs that a user has run since."""
    with site.servers.database.connect_as_root() as root, root.cursor() as cursor:
        cursor.execute(
            "SELECT argument FROM mysql.general_log WHERE user_host LIKE %s "
            "AND command_type IN ('Query', 'Execute') AND argument LIKE 'SELECT%%'",
            (f"{user}[%",),
        )
        return [
            bytes(row[0]).decode() if isinstance(row[0], bytes) else row[0]
            for row in cursor.fetchall()
        ]
