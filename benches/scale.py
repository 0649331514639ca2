"""Whether memora stays as fast while its table grows: `make bench-scale`.

Each size is a site of its own on the same servers, with five seasons, of which the last is active:
each student has 200 questions in each of them. `--rows 50000000` sets 50,000 students beside the
1,000 of 1,000,000 rows, and needs some 30 GB of disk.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from benches import dataset
from benches.archive import ARCHIVE
from benches.report import (
    Report,
    Turn,
    add_run_options,
    bar,
    memory_mib,
    number,
    percentile,
    race,
    repeat,
    table,
)
from benches.workplace import Workplace, add_site, open_workplace

from memora._engine import Engine  # isort: skip

SEED: Final = 2026
FLAT: Final = 1.5
SEASONS: Final = ("SEASON-2022", "SEASON-2023", "SEASON-2024", "SEASON-2025", dataset.SEASON)
QUESTIONS: Final = 200
SMALLEST: Final = 1_000_000
# Reads of a block that are not counted.
WARM_UP_READS: Final = 200
SAMPLE: Final = 10_000
STATUS_CALLS: Final = 100
# Rebuilds, drains and samples of each size.
ROUNDS: Final = 3
# Rows, the archive of a season, what MariaDB sorts while it fills a season, and its log.
BYTES_A_ROW: Final = 600
COMPRESSED_BYTES_A_ROW: Final = 250
# What a student's row takes in the cache, and room for what is beside it.
CACHED_BYTES_A_ROW: Final = 400

WARM: Final = "warm read, ms"
COLD: Final = "cold read, ms"
SUBMIT: Final = "submit of 50 answers, ms"
DRAIN: Final = "drain, ms for 1,000 answers"
REBUILD: Final = "rebuild of the season, ms for 1,000 records"
SAMPLED: Final = "reconciliation of a sample, ms for 1,000 records"
STATUS: Final = "cache and journal status, ms"
ARCHIVING: Final = "archive of a season without rests, ms for 1,000 records"
# What must not become slower with the table.
IS_FLAT: Final = (WARM, COLD, SUBMIT, REBUILD, SAMPLED, STATUS, ARCHIVING)


@dataclass
class Sized:
    """A site of some size, its engine, and what was measured on it: values by what they are of."""

    rows: int
    database: str
    engine: Engine
    choice: random.Random
    found: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @property
    def students(self) -> int:
        """How many there are."""
        return students_of(self.rows)

    def any_player(self) -> str:
        """A student chosen at random."""
        return dataset.player(self.choice.randrange(self.students))

    def cached(self) -> str:
        """A student whose schedule is cached."""
        player = self.any_player()
        self.engine.due(player)
        return player

    def forgotten(self) -> str:
        """A student whose schedule is not cached."""
        player = self.any_player()
        self.engine.cache_clear(player, dataset.SEASON)
        return player

    def session(self) -> tuple[str, str]:
        """A student whose schedule is cached, and 50 answers of theirs."""
        count = dataset.ANSWERS_A_SESSION
        given = dataset.answers(self.choice, count, QUESTIONS)
        return self.cached(), dataset.session_data(given)


def students_of(rows: int) -> int:
    """How many students have so many rows in all seasons."""
    return rows // (len(SEASONS) * QUESTIONS)


# -- filling ------------------------------------------------------------------------------------
def make_site(place: Workplace, rows: int) -> Sized:
    """A site with its seasons filled."""
    name = f"memora_{rows}"
    add_site(place, name)
    engine = place.engine(name)
    with place.database.connect(database=name) as connection, connection.cursor() as cursor:
        for season in SEASONS[:-1]:
            cursor.execute(
                "INSERT INTO `tabGame Subscription Season` (name, season_name, start_date, "
                "end_date, is_active, enable_redis) VALUES (%s, %s, '2022-01-01', '2025-12-31', 0, "
                "1)",
                (season, season),
            )
        for season in SEASONS:
            engine.create_partition(season)
        with bar(rows, f"loading {rows:,} records") as advance:
            count = students_of(rows) * QUESTIONS
            for place_in_order, season in enumerate(SEASONS):
                first = place_in_order * count
                dataset.load_season(connection, season, students_of(rows), QUESTIONS, first)
                advance(count)
    return Sized(rows, name, engine, random.Random(SEED))


def check_disk(rows: Sequence[int], is_compressed: bool) -> None:
    """Refuse to fill the disk."""
    bytes_a_row = COMPRESSED_BYTES_A_ROW if is_compressed else BYTES_A_ROW
    needed = sum(rows) * bytes_a_row + 2**31
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < needed:
        raise SystemExit(
            f"{tempfile.gettempdir()} has {free / 1e9:.0f} GB free, and this takes up to "
            f"{needed / 1e9:.0f} GB: name another folder in TMPDIR, take fewer rows, or let "
            "MariaDB compress its pages with --compressed."
        )


# -- measuring ----------------------------------------------------------------------------------
def students_calls(sized: Sized, rounds: int, label: str) -> None:
    """Warm and cold reads and submissions, after reads that are not counted."""
    for _ in range(WARM_UP_READS):
        sized.engine.due(sized.forgotten())
    read: Callable[[str], object] = sized.engine.due
    turns = {
        WARM: Turn(read, sized.cached),
        COLD: Turn(read, sized.forgotten),
        SUBMIT: Turn(lambda sent: sized.engine.submit(*sent), sized.session),
    }
    for what, times in race(turns, rounds, label).items():
        sized.found[what] += times
    sized.engine.drain(600.0)


def drain(sized: Sized, answers: int) -> None:
    """What has gathered of students all over the season."""
    for _ in range(answers // dataset.ANSWERS_A_SESSION):
        sized.engine.submit(*sized.session())
    start = time.perf_counter()
    written = sized.engine.drain(600.0)["answers"]
    sized.found[DRAIN].append(per_thousand(start, written))


def rebuild(sized: Sized) -> None:
    """All schedules of the active season."""
    start = time.perf_counter()
    done = sized.engine.rebuild(dataset.SEASON)["done"]
    sized.found[REBUILD].append(per_thousand(start, done))


def reconcile(sized: Sized) -> None:
    """A sample of what is cached, which is all."""
    start = time.perf_counter()
    compared = sized.engine.reconcile(dataset.SEASON, SAMPLE)["records"]
    sized.found[SAMPLED].append(per_thousand(start, compared))


def status(sized: Sized) -> None:
    """What get_cache_status asks the engine."""
    for _ in range(STATUS_CALLS):
        start = time.perf_counter()
        sized.engine.cache_status(list(SEASONS))
        sized.engine.journal_status()
        sized.found[STATUS].append((time.perf_counter() - start) * 1e3)


def archive(sized: Sized) -> None:
    """The oldest season, into the archive."""
    start = time.perf_counter()
    done = sized.engine.archive(SEASONS[0], share=1.0)["done"]
    sized.found[ARCHIVING].append(per_thousand(start, done))


def per_thousand(start: float, count: int) -> float:
    """Milliseconds since then for each thousand."""
    return (time.perf_counter() - start) * 1e6 / count


def sizes_on_disk(report: Report, place: Workplace, sites: Sequence[Sized]) -> None:
    """Bytes a record of both tables, and of all that the cache has."""
    lines = []
    data = place.database.data
    for sized in sites:
        with place.database.connect_as_root(database=sized.database) as connection:
            # A compressed page takes no space before it is written.
            connection.cursor().execute(f"FLUSH TABLES {dataset.TRACKER}, {ARCHIVE} FOR EXPORT")
        season = students_of(sized.rows) * QUESTIONS
        live = dataset.bytes_on_disk(data, sized.database, dataset.TRACKER.strip("`"))
        archived = dataset.bytes_on_disk(data, sized.database, ARCHIVE.strip("`"))
        status = sized.engine.cache_status([dataset.SEASON])
        cached = status["seasons"][dataset.SEASON]["memory_bytes"] / season
        # The oldest season is in the archive now.
        found = {
            "table": live / (sized.rows - season),
            "archive": archived / season,
            "cache": cached,
        }
        report.numbers[f"bytes a record, {sized.rows:,} rows"] = found
        lines.append([f"{sized.rows:,}", *map(number, found.values())])
    headings = ["rows", "table, filled in key order", "archive", "cache"]
    report.add(f"## Bytes a record\n\n{table(headings, lines)}")


# -- the report ---------------------------------------------------------------------------------
def show(report: Report, sites: Sequence[Sized], what: Sequence[str]) -> None:
    """A table of some of what was measured, and whether it is flat."""
    smallest, largest = sites[0], sites[-1]
    lines = []
    for name in what:
        medians = {sized.rows: statistics.median(sized.found[name]) for sized in sites}
        slower = medians[largest.rows] / medians[smallest.rows]
        cells = []
        for sized in sites:
            cells += [number(percentile(sized.found[name], each)) for each in (50, 99)]
            report.numbers[f"{name}, {sized.rows:,} rows"] = {
                "p50": medians[sized.rows],
                "p99": percentile(sized.found[name], 99),
            }
        lines.append([name, *cells, f"{slower:.2f}x"])
    headings = ["what"]
    for sized in sites:
        headings += [f"p50, {sized.rows:,} rows", "p99"]
    report.add(table([*headings, "largest, times smallest"], lines))
    for name in what:
        medians = {sized.rows: statistics.median(sized.found[name]) for sized in sites}
        slower = medians[largest.rows] / medians[smallest.rows]
        if name in IS_FLAT:
            text = f"{name}: {largest.rows:,} rows, times {smallest.rows:,}"
            report.claim(text, slower, at_most=FLAT)
        else:
            report.numbers[name] = {"ratio": slower}


def run(options: argparse.Namespace, report: Report) -> None:
    """The whole bench once."""
    rows = sorted({SMALLEST, *options.rows} if len(options.rows) == 1 else set(options.rows))
    with open_workplace(options.buffer_pool, options.compressed) as place:
        most_cached = sum(rows) // len(SEASONS) * CACHED_BYTES_A_ROW
        place.cache.client().config_set("maxmemory", 2**30 + most_cached)
        sites = [make_site(place, each) for each in rows]

        # In blocks, not in single calls: a small table would otherwise always be pushed out of
        # MariaDB's memory by the large one beside it.
        for block in range(options.blocks):
            for sized in sites:
                label = f"block {block + 1}: {sized.rows:,} rows"
                students_calls(sized, options.rounds, label)
        show(report, sites, (WARM, COLD, SUBMIT))
        report.write(options.out)
        for _ in range(ROUNDS):
            for sized in sites:
                drain(sized, options.drain)
        show(report, sites, (DRAIN,))
        report.write(options.out)
        before = memory_mib("VmHWM")
        for _ in range(ROUNDS):
            for sized in sites:
                rebuild(sized)
        report.add(f"The process grew by {memory_mib('VmHWM') - before:.1f} MiB while it rebuilt.")
        for sized in sites:
            status(sized)
            for _ in range(ROUNDS):
                reconcile(sized)
        show(report, sites, (REBUILD, SAMPLED, STATUS))
        report.write(options.out)
        for sized in sites:
            archive(sized)
        show(report, sites, (ARCHIVING,))
        sizes_on_disk(report, place, sites)


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--rows", type=int, nargs="+", default=[10_000_000],
        help=f"one size beside {SMALLEST:,}, or several",
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, default=300, help="calls of each kind in a block")
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--drain", type=int, default=100_000, help="answers in one drain")
    parser.add_argument("--buffer-pool", default="2G")
    parser.add_argument(
        "--compressed",
        action="store_true",
        help="MariaDB compresses its pages: a third of the disk",
    )
    add_run_options(parser)
    options = parser.parse_args()
    check_disk([*options.rows, SMALLEST], options.compressed)
    title = f"memora by size of the table, innodb_buffer_pool_size {options.buffer_pool}"
    title += ", compressed pages" if options.compressed else ""
    repeat(title, options, run)


if __name__ == "__main__":
    main()
