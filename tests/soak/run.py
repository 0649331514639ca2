"""Random faults under load, and an audit at the end: `python -m tests.soak --faults 100 --seed 1`.

Students answer and read in several processes while servers die, hang, fill up, refuse and forget,
for all processes or for one alone, and clocks differ. Every acknowledged answer must be in the
table once, in its order, and a read that is older than the last acknowledgement must say that it is
degraded.

`--sick` tests another question: what a healthy process notices of a sick one beside it (`sick.py`).
"""

from __future__ import annotations

import argparse
import logging
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pymysql

from memora._engine import Engine, MemoraError
from tests.soak.auditor import audit
from tests.soak.crew import Crew
from tests.soak.faults import Fault, Faults
from tests.soak.load import MOST_WRONG, Count, Students
from tests.support.servers import wait_until
from tests.support.site_under_test import Site

WEB_PROCESSES: Final = 6
DRAINS: Final = 2
STUDENTS: Final = 120
LONGEST_FAULT: Final = 2.5
LONGEST_REST: Final = 1.0
# One fault in this many begins while another is under way.
OVERLAP: Final = 4
RECOVERY_SECONDS: Final = 60.0
# In engines that have it: what waits in MariaDB for a drain, because the journal did not take it.
JOURNAL_TABLE: Final = "memora_journal"
SNAPSHOT_ISOLATION: Final = "--innodb-snapshot-isolation=ON"


def make_room(site: Site) -> bool:
    """Forget the reads that Safe Mode has counted. False: concurrent reads blocked it."""
    try:
        site.sql("DELETE FROM `memora_safe_mode_read` WHERE read_at_us >= 0")
    except pymysql.err.OperationalError:
        return False
    return True


def soak(
    site: Site,
    faults: int,
    seed: int,
    report: Callable[[str], None],
    only: Sequence[str] = ("",),
    most_wrong: float = MOST_WRONG,
    by_fsrs: bool = False,
) -> list[str]:
    """Inflict faults on a site under load.

    Args:
        site: with servers of its own.
        faults: how many.
        seed: the same seed inflicts the same faults, in a load that is never quite the same.
        report: gets a line of progress for each fault.
        only: faults with one of these in their name.
        most_wrong: how far clocks are from the truth at most, in seconds. 0: no fault touches a
            clock.
        by_fsrs: the season is scheduled by FSRS.

    Returns: everything that went wrong.
    """
    choice = random.Random(seed)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="memora-soak-")))
        students = Students(folder, STUDENTS)
        if by_fsrs:
            students.by_fsrs.touch()
        students.enter(site)
        crew = stack.enter_context(Crew(site, students, seed))
        for job in ["web"] * WEB_PROCESSES + ["drain"] * DRAINS:
            # Half of the clocks are right.
            crew.hire(job, choice.choice([0.0, choice.uniform(-most_wrong, most_wrong)]))
        if not wait_until(lambda: students.counts[Count.ACKNOWLEDGED] > STUDENTS):
            return ["there is no load", *students.violations().splitlines()]
        found = Faults(site, crew, students, choice)
        kinds = [
            fault
            for fault in found.all
            if any(part in fault.name for part in only) and (most_wrong or not fault.sets_clock)
        ]
        for number, fault in enumerate(drawn(kinds, faults, choice)):
            also = choice.choice(kinds)
            both = (
                [fault]
                if choice.randrange(OVERLAP) or fault.touches & also.touches
                else [fault, also]
            )
            assert wait_until(lambda: make_room(site))
            told = inflict(both, choice)
            time.sleep(choice.random() * LONGEST_REST)
            report(f"{number + 1:4}/{faults} {told:100.100} {summary(students)}")
            if students.violations():
                break
        crew.dismiss()
        engine = site.engine()
        is_empty = wait_until(lambda: drained(site, engine), RECOVERY_SECONDS)
        wrong = students.violations().splitlines()
        if not is_empty:
            wrong.append(
                f"{site.waiting()} submissions stay in the journal, {waiting(site)} in MariaDB"
            )
        if students.counts[Count.ACKNOWLEDGED] < faults:
            wrong.append("there was hardly any load")
        wrong += audit(students, site, engine)
        report(f"audit of {STUDENTS} students: {summary(students)}, {len(wrong)} violations")
        return wrong


def drawn(kinds: Sequence[Fault], number: int, choice: random.Random) -> list[Fault]:
    """This many random faults; each kind comes once before any comes again."""
    found: list[Fault] = []
    while len(found) < number:
        found += choice.sample(kinds, len(kinds))
    return found[:number]


def inflict(faults: Sequence[Fault], choice: random.Random) -> str:
    """One fault, perhaps with a second one during it; they end together. Returns what was done."""
    told: list[str] = []
    with ExitStack() as ends:
        for fault in faults:
            if told:
                time.sleep(choice.random())
            struck = ends.enter_context(fault.inflict())
            told.append(f"{fault.name} ({struck})" if struck else fault.name)
        time.sleep(0.2 + choice.random() * LONGEST_FAULT)
    return "; ".join(told)


def drained(site: Site, engine: Engine) -> bool:
    """Take over what dead drains left, and drain. Returns whether nothing is left."""
    site.abandon_taken()
    try:
        return engine.drain(5.0)["remaining"] == 0 == waiting(site)
    except MemoraError:
        return False


def waiting(site: Site) -> int:
    """Submissions that wait in MariaDB."""
    if not site.sql("SHOW TABLES LIKE %s", (JOURNAL_TABLE,)):
        return 0
    return int(site.sql(f"SELECT COUNT(*) AS n FROM `{JOURNAL_TABLE}`")[0]["n"])


def summary(students: Students) -> str:
    """What was done so far."""
    counts = students.counts
    return (
        f"{counts[Count.ACKNOWLEDGED]} acknowledged, {counts[Count.UNDONE]} undone, "
        f"{counts[Count.NOT_UNDONE]} not, {counts[Count.ERRORS]} failed, "
        f"{counts[Count.READS]} reads: {counts[Count.DEGRADED]} degraded, "
        f"{counts[Count.BEHIND]} of them behind"
    )


def main() -> int:
    """The command line."""
    from tests.conftest import clean_site, started_servers
    from tests.soak.sick import neighbours

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument(
        "--only",
        nargs="+",
        default=[""],
        help="faults (or sicknesses) with one of these in their name",
    )
    parser.add_argument(
        "--snapshot-isolation", action="store_true", help="of MariaDB, as from 11.6.2 on"
    )
    parser.add_argument("--true-clocks", action="store_true", help="no clock is wrong")
    parser.add_argument("--fsrs", action="store_true", help="the season is scheduled by FSRS")
    parser.add_argument("--sick", action="store_true", help="a healthy process beside a sick one")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each sickness")
    options = parser.parse_args()
    # The engine's messages about each fault would hide the progress.
    logging.getLogger("memora_engine").setLevel(logging.CRITICAL)

    def report(line: str) -> None:
        print(line, flush=True)

    report(f"seed {options.seed}")
    with started_servers(
        extra=[SNAPSHOT_ISOLATION] if options.snapshot_isolation else []
    ) as servers:
        site = clean_site(Site(servers, servers.database.database))
        if options.sick:
            wrong = neighbours(site, options.seconds, options.seed, report, options.only)
        else:
            most_wrong = 0.0 if options.true_clocks else MOST_WRONG
            wrong = soak(
                site,
                options.faults,
                options.seed,
                report,
                options.only,
                most_wrong,
                options.fsrs,
            )
    for line in wrong[:50]:
        report(line)
    well = (
        "Nothing lost, doubled, undone, older."
        if not options.sick
        else "The healthy one noticed nothing."
    )
    report(f"seed {options.seed}: {len(wrong)} violations" if wrong else well)
    return 1 if wrong else 0
