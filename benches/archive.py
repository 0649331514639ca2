"""Whether students notice that a season is archived: `make bench-archive`.

Processes read and answer in the active season while memora archives a season that has ended. It
rests for a second after each three of work, so both are measured under the same conditions, however
the machine's change. Then plain Python archives another season of this size in a single
transaction, after a quiet phase.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from benches import dataset
from benches.report import (
    Report,
    add_run_options,
    bar,
    memory_mib,
    number,
    percentile,
    progress,
    repeat,
    table,
)
from benches.students import (
    ACTIVE,
    READERS,
    WRITERS,
    Calls,
    Work,
    fork,
    outcome_of,
    read,
    serve,
    write,
)
from benches.workplace import Workplace, open_workplace, show_persistence

if TYPE_CHECKING:
    from memora._engine import ArchiveProgress

Result = TypeVar("Result")

MEMORA: Final = "memora"
ONE_TRANSACTION: Final = "one transaction"
# What each of them archives.
SEASONS: Final = {MEMORA: "SEASON-2024", ONE_TRANSACTION: "SEASON-2025"}
RESTING: Final = "memora rests"
QUIET: Final = "quiet"
WORK_SECONDS: Final = 3.0
REST_SECONDS: Final = 1.0
ARCHIVE: Final = "`tabArchived Memory Tracker`"
# Of each student who was there then.
ENDED_QUESTIONS: Final = 1000

KINDS: Final = ("warm read", "cold read", "submit", "drain")
# A drain writes hundreds of answers, and no student waits for it.
STUDENTS_WAIT: Final = KINDS[:3]

AIM: Final = 100_000_000
FLOOR: Final = 10_000_000
MOST_GROWTH_MIB: Final = 20
NOT_NOTICED: Final = 1.5
LONGEST_SETTLING_SECONDS: Final = 60
# What MariaDB must still write or remove.
LEFT_TO_DO: Final = ("Innodb_buffer_pool_pages_dirty", "Innodb_history_list_length")

COPIED: Final = (
    "name, creation, modified, modified_by, owner, player, season, question_id, stability, "
    "next_review_date, last_review_date, subject, topic, answered_at_us"
)
COPY: Final = (
    f"INSERT INTO {ARCHIVE} ({COPIED}, archived_at, eligible_for_deletion) "
    f"SELECT {COPIED}, UTC_TIMESTAMP(6), 0 FROM {dataset.TRACKER} WHERE season = %s"
)
DELETE: Final = f"DELETE FROM {dataset.TRACKER} WHERE season = %s"


# -- the seasons --------------------------------------------------------------------------------
class Contents(NamedTuple):
    """What a table has of a season. Two with the same records are equal."""

    records: int
    checksum: int


def contents(place: Workplace, records: str, season: str) -> Contents:
    """What a table has of a season.

    Args:
        records: the table.
    """
    with place.connection.cursor() as cursor:
        cursor.execute(
            f"SELECT COUNT(*), COALESCE(SUM(CRC32(CONCAT_WS('|', {COPIED}))), 0) FROM {records} "
            "WHERE season = %s",
            (season,),
        )
        count, checksum = cursor.fetchone()
    return Contents(count, int(checksum))


def add_ended_season(place: Workplace, season: str, rows: int, first_name: int) -> None:
    """A season that has ended: its document, its partition, its records in the order of lessons.

    Args:
        first_name: where the records' names begin; two seasons have none in common.
    """
    with place.connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO `tabGame Subscription Season` (name, season_name, start_date, end_date, "
            "is_active, enable_redis) VALUES (%s, %s, '2024-01-01', '2025-12-31', 0, 1)",
            (season, season),
        )
    place.engine().create_partition(season)
    students = max(1, rows // ENDED_QUESTIONS)
    with place.connection.cursor() as cursor, bar(rows, f"loading {season}") as advance:
        for first in range(first_name, first_name + rows, dataset.CHUNK_ROWS):
            last = min(first + dataset.CHUNK_ROWS, first_name + rows) - 1
            records = dataset.RECORDS.format(
                name_length=18,
                season=season,
                student=f"(seq - {first_name}) MOD {students}",
                question=f"(seq - {first_name}) DIV {students}",
                subjects=len(dataset.SUBJECTS),
                topics=dataset.TOPICS_A_SUBJECT,
                subject_names=", ".join(f"'{subject}'" for subject in dataset.SUBJECTS),
                more=", 1735689600000000 + seq",
                first=first,
                last=last,
            )
            cursor.execute(f"INSERT INTO {dataset.TRACKER} ({COPIED}) {records}")
            advance(last - first + 1)


# -- the archivers ------------------------------------------------------------------------------
@dataclass(frozen=True)
class Archived:
    """How a season was archived.

    Args:
        steps: seconds of each step.
        rests: when it rested, so that students are measured without it; not part of the seconds.
        memory_mib: resident memory when the work had begun, and at its highest.
    """

    seconds: float
    records: int
    steps: dict[str, float] = field(default_factory=dict)
    memory_mib: tuple[float, float] = (0.0, 0.0)
    rests: list[tuple[float, float]] = field(default_factory=list)
    span: tuple[float, float] = (0.0, 0.0)

    @property
    def works(self) -> list[tuple[float, float]]:
        """When it did not rest."""
        begins = [self.span[0], *(until for _since, until in self.rests)]
        ends = [*(since for since, _until in self.rests), self.span[1]]
        return list(zip(begins, ends, strict=True))

    @property
    def an_hour(self) -> float:
        """Records an hour."""
        return self.records / self.seconds * 3600


def archive_by_memora(place: Workplace, rows: int, share: float, pipe: Connection) -> None:
    """What a background worker does."""
    begun: dict[str, float] = {}
    memory: list[float] = []
    rests: list[tuple[float, float]] = []
    shown = 0
    # Every record is copied, then compared.
    with bar(2 * rows, "memora archives") as advance:

        def watch(news: ArchiveProgress) -> None:
            nonlocal shown
            if not memory:
                memory.append(memory_mib("VmRSS"))
            if news["step"] != "done":
                begun.setdefault(news["step"], time.perf_counter())
            if news["step"] in ("copying", "verifying"):
                done = news["done"] + (rows if news["step"] == "verifying" else 0)
                advance(done - shown)
                shown = done
            if time.perf_counter() - (rests[-1][1] if rests else start) > WORK_SECONDS:
                since = time.perf_counter()
                time.sleep(REST_SECONDS)
                rests.append((since, time.perf_counter()))

        engine = place.engine()
        start = time.perf_counter()
        done = engine.archive(SEASONS[MEMORA], watch, share)["done"]
    end = time.perf_counter()

    def worked(since: float, until: float) -> float:
        return until - since - sum(to - at for at, to in rests if since <= at < until)

    ends = [*list(begun.values())[1:], end]
    steps = {
        step: worked(since, until) for (step, since), until in zip(begun.items(), ends, strict=True)
    }
    highest = memory_mib("VmHWM")
    pipe.send(Archived(worked(start, end), done, steps, (memory[0], highest), rests, (start, end)))


def archive_in_one_transaction(place: Workplace, pipe: Connection) -> None:
    """The obvious code, which does not spare students who wait."""
    with place.database.connect(autocommit=False) as connection, connection.cursor() as cursor:
        start = time.perf_counter()
        cursor.execute(COPY, (SEASONS[ONE_TRANSACTION],))
        copied = time.perf_counter()
        moved = cursor.execute(DELETE, (SEASONS[ONE_TRANSACTION],))
        deleted = time.perf_counter()
        connection.commit()
        end = time.perf_counter()
    steps = {"INSERT": copied - start, "DELETE": deleted - copied, "COMMIT": end - deleted}
    pipe.send(Archived(end - start, moved, steps))


# -- what is measured ---------------------------------------------------------------------------
def phase(place: Workplace, happens: Callable[[], Result]) -> tuple[Calls, Result]:
    """What students meet while something happens, and what that returns."""
    settle(place)
    works: Sequence[Work] = [read] * READERS + [write] * WRITERS
    children = [fork(partial(serve, place, work, number)) for number, work in enumerate(works)]
    for child in children:
        child.report()
    for child in children:
        child.pipe.send("go")
    before = core_times()
    result = happens()
    spent = [now - then for now, then in zip(core_times(), before, strict=True)]
    for child in children:
        child.pipe.send("stop")
    _user, _nice, _system, idle, waiting, _interrupts, _soft, stolen = spent
    calls = Calls(busy=1 - (idle + waiting + stolen) / sum(spent), stolen=stolen / sum(spent))
    for child in children:
        calls.add(child.report())
        child.process.join()
    return calls, result


def core_times() -> list[int]:
    """What the cores did since the start, in ticks: eight kinds of it, see proc(5)."""
    with Path("/proc/stat").open() as file:
        return [int(ticks) for ticks in file.readline().split()[1:9]]


def settle(place: Workplace) -> None:
    """Wait until MariaDB is done with what was before: it would slow down what is measured next."""
    left = sum(map(place.database.status, LEFT_TO_DO))
    for _ in range(LONGEST_SETTLING_SECONDS):
        time.sleep(1)
        before, left = left, sum(map(place.database.status, LEFT_TO_DO))
        # Without load it writes some pages each second for minutes, which slows down nothing.
        if left > 0.99 * before:
            break


def quiet(seconds: int, label: str) -> None:
    """Nobody archives."""
    for _ in progress(range(seconds), label):
        time.sleep(1)


def check(report: Report, place: Workplace, way: str, before: Contents, archived: Archived) -> None:
    """Check that the archive has exactly what the season had, and the live table nothing of it."""
    after = contents(place, ARCHIVE, SEASONS[way])
    rest = contents(place, dataset.TRACKER, SEASONS[way])
    report.numbers[f"{way}: contents"] = {"before": before, "after": after, "left": rest}
    report.add(
        f"{way}: {archived.records:,} records moved; checksum before {before.checksum:,}, "
        f"in the archive {after.checksum:,}."
    )
    differing = abs(after.records - before.records) + abs(archived.records - before.records)
    report.claim(f"{way}: records too few or too many in the archive", differing, at_most=0)
    report.claim(f"{way}: checksums that differ", int(after.checksum != before.checksum), at_most=0)
    report.claim(f"{way}: records of the season left in the live table", rest.records, at_most=0)


def p99_ratios(calls: Calls, peace: Calls) -> dict[str, float]:
    """By kind of call, the p99 as a multiple of what it is in peace."""
    return {
        kind: percentile(calls.times(kind), 99) / percentile(peace.times(kind), 99)
        for kind in STUDENTS_WAIT
    }


def show_calls(
    report: Report, phases: dict[str, Calls], ratios: dict[str, dict[str, float]]
) -> None:
    """A table of what students met."""
    rows = []
    for name, calls in phases.items():
        for kind in KINDS:
            times = calls.times(kind)
            if not times:
                continue
            found = {
                "calls": len(times),
                "failed": calls.failed[kind],
                "p50": percentile(times, 50),
                "p99": percentile(times, 99),
                "longest": max(times),
            }
            report.numbers[f"{name}, {kind}, ms"] = found
            cells = [number(found[which]) for which in ("p50", "p99", "longest")]
            known = ratios.get(name, {})
            times_quiet = f"{known[kind]:.2f}x" if kind in known else ""
            rows.append(
                [name, kind, f"{len(times):,}", str(calls.failed[kind]), *cells, times_quiet]
            )
    headings = [
        "meanwhile",
        "call",
        "calls",
        "failed",
        "p50 ms",
        "p99",
        "longest",
        "p99, times quiet",
    ]
    report.add(f"## Students of {dataset.SEASON} meanwhile\n\n{table(headings, rows)}")
    cores = [[name, f"{calls.busy:.0%}", f"{calls.stolen:.0%}"] for name, calls in phases.items()]
    report.add(table(["meanwhile", "cores busy", "stolen"], cores))
    report.numbers["cores"] = {
        name: {"busy": each.busy, "stolen": each.stolen} for name, each in phases.items()
    }
    report.claim("memora: students' calls that failed", phases[MEMORA].failed.total(), at_most=0)


def show_archivers(
    report: Report, found: dict[str, Archived], ratios: dict[str, dict[str, float]]
) -> None:
    """A table of both ways of archiving, and whether memora's is what was asked for."""
    rows = []
    for way, archived in found.items():
        steps = ", ".join(f"{step} {number(seconds)}" for step, seconds in archived.steps.items())
        cells = [
            number(archived.seconds),
            f"{archived.an_hour:,.0f}",
            f"{archived.an_hour / AIM:.0%}",
        ]
        rows.append([way, *cells, *(f"{ratios[way][kind]:.2f}x" for kind in STUDENTS_WAIT), steps])
        report.numbers[way] = {
            "seconds": archived.seconds,
            "records an hour": archived.an_hour,
            "steps": archived.steps,
            "memory MiB": archived.memory_mib,
            "p99, times quiet": ratios[way],
        }
    headings = ["way", "seconds", "records an hour", f"of {AIM:,}"]
    headings += [*(f"{kind} p99" for kind in STUDENTS_WAIT), "seconds of each step"]
    report.add(
        f"## Archiving, and the p99 of students meanwhile, times quiet\n\n{table(headings, rows)}"
    )
    memora, other = found[MEMORA], found[ONE_TRANSACTION]
    report.add(
        f"memora takes {memora.seconds / other.seconds:.2f} times as long as one transaction."
    )
    first, highest = memora.memory_mib
    report.add(
        f"memora's process: {number(first)} MiB when it had begun, {number(highest)} MiB at most."
    )
    report.claim("memora: records an hour", memora.an_hour, at_least=FLOOR)
    report.claim("memora: growth of its process, MiB", highest - first, at_most=MOST_GROWTH_MIB)
    for kind, times_quiet in ratios[MEMORA].items():
        report.claim(f"memora: p99 of a {kind}, times quiet", times_quiet, at_most=NOT_NOTICED)


def run(options: argparse.Namespace, report: Report) -> None:
    """The whole bench once."""
    with open_workplace("1G") as place:
        dataset.load(place.connection, dataset.TRACKER, ACTIVE, f"loading {dataset.SEASON}")
        for count, season in enumerate(SEASONS.values()):
            add_ended_season(place, season, options.rows, ACTIVE.rows + count * options.rows)
        before = {way: contents(place, dataset.TRACKER, season) for way, season in SEASONS.items()}
        works = {
            MEMORA: partial(archive_by_memora, place, options.rows, options.share),
            ONE_TRANSACTION: partial(archive_in_one_transaction, place),
        }
        phases: dict[str, Calls] = {}
        archived: dict[str, Archived] = {}
        calls, archived[MEMORA] = phase(place, partial(outcome_of, works[MEMORA]))
        phases[RESTING] = calls.within(archived[MEMORA].rests)
        phases[MEMORA] = calls.within(archived[MEMORA].works)
        phases[QUIET], _ = phase(place, partial(quiet, options.seconds, QUIET))
        # Last: MariaDB continues to remove its deleted rows for a while.
        phases[ONE_TRANSACTION], archived[ONE_TRANSACTION] = phase(
            place, partial(outcome_of, works[ONE_TRANSACTION])
        )
        for way, done in archived.items():
            check(report, place, way, before[way], done)
        ratios = {
            MEMORA: p99_ratios(phases[MEMORA], phases[RESTING]),
            ONE_TRANSACTION: p99_ratios(phases[ONE_TRANSACTION], phases[QUIET]),
        }
        show_calls(report, phases, ratios)
        show_archivers(report, archived, ratios)
        show_persistence(report, place.engine())


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rows", type=int, default=2_000_000, help="records of each season that has ended"
    )
    parser.add_argument("--seconds", type=int, default=20, help="of the quiet phase")
    parser.add_argument("--share", type=float, default=0.5, help="of the time that memora works")
    add_run_options(parser)
    options = parser.parse_args()
    title = f"memora: {options.rows:,} records go to the archive"
    raise SystemExit(1 if repeat(title, options, run).failures else 0)


if __name__ == "__main__":
    main()
