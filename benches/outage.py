"""How long students wait while servers are dead or hang: `make bench-outage`.

Several processes, each with an engine of its own, are warm; then a fault befalls the servers.
Each process's first read and first submission after it may take a second; once the breaker is
open, 50 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benches.report import Report, number, percentile, progress, table

from memora._engine import Engine, MemoraError, RateLimited, ServiceUnavailable  # isort: skip
from tests.conftest import clean_site, started_servers
from tests.support.servers import wait_until
from tests.support.site_under_test import IMPATIENT, Record, Site, session

PROCESSES: Final = 4
# Safe Mode lets a student read once in 30 seconds, so each process has many.
STUDENTS: Final = 60
QUESTIONS: Final = 100
SECONDS: Final = 3.0
# Between two calls of a process; two cores must do for everything.
REST_SECONDS: Final = 0.01
# One call in this many is of a student who is not cached.
COLD: Final = 7
FIRST_MS: Final = 1000
LATER_MS: Final = 50
FAULTS: Final = {
    f"{' and '.join(names)} {word}": (names, how)
    for names in (
        ("cache",),
        ("journal",),
        ("database",),
        ("cache", "journal"),
        ("cache", "journal", "database"),
    )
    for word, how in (("dead", "kill"), ("hanging", "pause"))
}
Call = tuple[str, str, bool, float]
"""Kind, outcome, whether it was the process's first of this kind after the fault, milliseconds."""


@contextmanager
def fault(site: Site, name: str) -> Iterator[None]:
    """Servers die or hang as long as this lasts."""
    names, how = FAULTS[name]
    for server in names:
        getattr(getattr(site.servers, server), how)()
    try:
        yield
    finally:
        site.servers.heal()


def work(engine: Engine, place: int, ready: Callable[[], None]) -> list[Call]:
    """What one process does: warms up, waits for the fault, then reads and answers for some
    seconds."""
    choice = random.Random(place)
    players = [player(place, number) for number in range(STUDENTS)]
    for each in players:
        wait_until(lambda each=each: is_warm(engine, each))  # type: ignore[misc]
    ready()
    calls: list[Call] = []
    seen: set[str] = set()
    end = time.monotonic() + SECONDS
    for count in range(10**6):
        if time.monotonic() > end:
            break
        is_read = (count + place) % 2 == 0
        kind = "read" if is_read else "submit"
        who = players[count // 2 % STUDENTS] if is_read else choice.choice(players)
        if count % COLD == COLD - 1:
            kind, who, is_read = "cold read", player(place, STUDENTS + count), True
        start = time.perf_counter()
        outcome = call(engine, who, is_read, choice)
        calls.append((kind, outcome, kind not in seen, (time.perf_counter() - start) * 1000))
        seen.add(kind)
        time.sleep(REST_SECONDS)
    return calls


def is_warm(engine: Engine, who: str) -> bool:
    """Whether this student is read from the cache."""
    try:
        return engine.due(who)["source"] == "cache"
    except MemoraError:
        return False


def call(engine: Engine, who: str, is_read: bool, choice: random.Random) -> str:
    """One call; what came of it."""
    try:
        if is_read:
            return engine.due(who)["source"]
        names = [f"q{choice.randrange(QUESTIONS)}" for _ in range(10)]
        engine.submit(who, session_data=session(*dict.fromkeys(names)))
        return "taken"
    except RateLimited:
        return "refused: wait"
    except ServiceUnavailable:
        return "unavailable"


def player(place: int, number: int) -> str:
    """A student of one process."""
    return f"student{place}-{number}@school.example"


def round_of(site: Site, name: str) -> list[Call]:
    """One fault, seen by all processes."""
    site.sql("DELETE FROM `memora_safe_mode_read` WHERE read_at_us >= 0")
    pipes = []
    for place in range(PROCESSES):
        (results, results_end), (ready, ready_end), (go, go_end) = os.pipe(), os.pipe(), os.pipe()
        if os.fork() == 0:

            def wait(ready_end: int = ready_end, go: int = go) -> None:
                os.write(ready_end, b"x")
                os.read(go, 1)

            try:
                found = work(site.engine(**IMPATIENT), place, wait)
                os.write(results_end, json.dumps(found).encode())
            finally:
                os._exit(0)
        os.close(results_end)
        pipes.append((results, ready, go_end))
    for _results, ready, _go in pipes:
        os.read(ready, 1)
    with fault(site, name):
        for _results, _ready, go in pipes:
            os.write(go, b"x")
        calls: list[Call] = []
        for results, ready, go in pipes:
            with os.fdopen(results, "rb") as pipe:
                calls += [tuple(each) for each in json.load(pipe)]
            os.close(ready)
            os.close(go)
    for _ in pipes:
        os.wait()
    site.engine().drain()
    return calls


def show(report: Report, found: dict[str, list[Call]]) -> None:
    """A table of what came of the calls, and whether nobody waited too long."""
    rows = []
    # The requirement is that any one server may be down.
    slowest: dict[bool, float] = defaultdict(float)
    for name, calls in found.items():
        for kind in ("read", "submit", "cold read"):
            outcomes = Counter(outcome for its, outcome, _first, _ms in calls if its == kind)
            cells = []
            for is_first in (True, False):
                times = [
                    ms for its, _outcome, first, ms in calls if (its, first) == (kind, is_first)
                ]
                p99 = percentile(times, 99)
                cells += [number(percentile(times, 50)), number(p99)]
                if " and " not in name:
                    slowest[is_first] = max(slowest[is_first], p99)
            told = ", ".join(f"{outcome} {count:,}" for outcome, count in outcomes.most_common())
            rows.append([name, kind, told, *cells])
            report.numbers[f"{name}, {kind}"] = dict(outcomes)
    headings = [
        "fault",
        "call",
        "came of it",
        "first p50 ms",
        "first p99",
        "later p50 ms",
        "later p99",
    ]
    report.add(f"## Students' calls while servers are down\n\n{table(headings, rows)}")
    report.claim(
        "one server away: slowest p99 of the first call after the fault, ms",
        slowest[True],
        at_most=FIRST_MS,
    )
    report.claim(
        "one server away: slowest p99 once the breaker is open, ms",
        slowest[False],
        at_most=LATER_MS,
    )
    dead = [calls for name, calls in found.items() if "database" in name and "cache" in name]
    taken = sum(outcome != "unavailable" for calls in dead for _kind, outcome, _first, _ms in calls)
    report.claim("calls answered without any server", taken, at_most=0)


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of each fault")
    parser.add_argument("--only", default="", help="faults with this in their name")
    parser.add_argument("--out", type=Path, help="also write the report here (.md and .json)")
    options = parser.parse_args()
    report = Report(f"memora: {PROCESSES} processes while servers are dead or hang")
    with started_servers(survives_power_cut=True) as servers:
        site = clean_site(Site(servers, servers.database.database))
        for place in range(PROCESSES):
            for student in range(STUDENTS):
                site.add(
                    player(place, student), [Record(f"q{count}") for count in range(QUESTIONS)]
                )
        found: dict[str, list[Call]] = defaultdict(list)
        names = [name for name in FAULTS if options.only in name]
        for name in progress(names * options.rounds, "faults"):
            found[name] += round_of(site, name)
        show(report, found)
    report.write(options.out)
    raise SystemExit(1 if report.failures else 0)


if __name__ == "__main__":
    main()
