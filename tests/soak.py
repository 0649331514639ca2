"""Random faults under load, and an audit at the end: `python -m tests.soak --faults 100 --seed 1`.

Students answer and read in several processes while servers die, hang, fill up and forget. Whatever was
acknowledged has to be in the table once, in its order, and no read may be older than the last
acknowledgement.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from memora._engine import Engine, MemoraError
from tests.auditor import audit
from tests.faults import Faults
from tests.load import Count, Crew, Students, drain, serve
from tests.servers import wait_until
from tests.site_under_test import Site
from tests.wire import Wires

WEB_PROCESSES: Final = 6
DRAINS: Final = 2
STUDENTS: Final = 120
LONGEST_FAULT: Final = 2.5
LONGEST_REST: Final = 1.0
# One fault in so many begins while another is under way.
OVERLAP: Final = 4
RECOVERY_SECONDS: Final = 60.0


def soak(site: Site, faults: int, seed: int, tell: Callable[[str], None], only: str = "") -> list[str]:
    """Inflict faults on a site under load.

    Args:
        faults: how many.
        seed: the same seed inflicts the same faults, in a load that is never quite the same.
        tell: gets a line of progress for each fault.
        only: faults with this in their name.

    Returns: everything that went wrong.
    """
    choice = random.Random(seed)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="memora-soak-")))
        wires = stack.enter_context(Wires(site.servers))
        students = Students(folder, STUDENTS)
        students.enter(site)
        crew = stack.enter_context(Crew(students, lambda: site.engine(**wires.settings), seed))
        crew.hire(serve, WEB_PROCESSES)
        crew.hire(drain, DRAINS)
        found = Faults(site, crew, wires.to, choice)
        names = [name for name in found.all if only in name]
        for number in range(faults):
            # Every fault comes once before any comes again.
            if number % len(names) == 0:
                order = choice.sample(names, len(names))
            name = order[number % len(names)]
            also = choice.choice(names)
            if choice.randrange(OVERLAP) or not may_overlap(name, also):
                also = ""
            site.sql("DELETE FROM `memora_safe_mode_read` WHERE read_at_us >= 0")
            inflict(found, name, also, choice)
            time.sleep(choice.random() * LONGEST_REST)
            both = f"{name}, {also}" if also else name
            tell(f"{number + 1:4}/{faults} {both:58.58} {summary(students)}")
            if students.violations():
                break
        crew.dismiss()
        engine = site.engine()
        is_empty = wait_until(lambda: drained(site, engine), RECOVERY_SECONDS)
        tell(f"audit of {STUDENTS} students: {summary(students)}")
        wrong = students.violations().splitlines()
        if not is_empty:
            wrong.append(f"{site.waiting()} submissions stay in the journal")
        if students.counts[Count.ACKNOWLEDGED] < faults:
            wrong.append("there was hardly any load")
        return wrong + audit(students, site, engine)


def inflict(found: Faults, name: str, also: str, choice: random.Random) -> None:
    """One fault, perhaps with a second one in its midst; they end in any order."""
    with ExitStack() as ends:
        ends.enter_context(found.all[name]())
        if also:
            time.sleep(choice.random())
            ends.enter_context(found.all[also]())
        time.sleep(0.2 + choice.random() * LONGEST_FAULT)


def may_overlap(name: str, also: str) -> bool:
    """Whether two faults do not lay hands on the same server or process."""
    return not set(name.split()) & set(also.split()) - {"and", "killed", "paused", "wire", "to"}


def drained(site: Site, engine: Engine) -> bool:
    """Take over what dead drains left, and drain; whether nothing is left."""
    site.abandon_taken()
    try:
        return engine.drain(5.0)["remaining"] == 0
    except MemoraError:
        return False


def summary(students: Students) -> str:
    """What was done so far."""
    counts = students.counts
    return (
        f"{counts[Count.ACKNOWLEDGED]} acknowledged, {counts[Count.ERRORS]} failed, "
        f"{counts[Count.READS]} reads: {counts[Count.DEGRADED]} degraded, "
        f"{counts[Count.BEHIND]} not whole and behind"
    )


def main() -> int:
    """The command line."""
    from tests.conftest import clean_site, started_servers

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--only", default="", help="faults with this in their name")
    options = parser.parse_args()
    # What the engine says of each fault would hide the progress.
    logging.getLogger("memora_engine").setLevel(logging.CRITICAL)

    def tell(line: str) -> None:
        print(line, flush=True)

    tell(f"seed {options.seed}")
    with started_servers() as servers:
        site = clean_site(Site(servers, servers.database.database))
        wrong = soak(site, options.faults, options.seed, tell, options.only)
    for line in wrong[:50]:
        tell(line)
    tell(
        f"seed {options.seed}: {len(wrong)} violations" if wrong else "Nothing lost, doubled, undone, older."
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
