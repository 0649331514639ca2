"""Whether reads stay as fast while the table grows beyond memory: `make bench-scale`."""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benches import dataset
from benches.report import Report, Turn, number, percentile, race, table
from benches.workplace import Workplace, open_workplace, prepare_site

from memora._engine import Engine  # isort: skip

SEED: Final = 2026
FLAT: Final = 1.5
WARM_UP_READS: Final = 200


def make_site(place: Workplace, shape: dataset.Shape) -> Engine:
    """A site of its own on the same servers, its table filled; its engine."""
    name = f"memora_{shape.rows}"
    with place.connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
    prepare_site(place, name)
    with place.database.connect(database=name) as connection:
        dataset.load(connection, dataset.TRACKER, shape, f"loading {shape.rows:,} records")
    return place.engine(name)


def measure(
    engines: dict[int, Engine], questions: int, rounds: int, blocks: int
) -> dict[str, dict[int, list[float]]]:
    """Times in milliseconds by kind of read and number of rows.

    The sizes take turns in blocks, not in single reads: a small table would otherwise always be
    pushed out of MariaDB's memory by the large one beside it.
    """
    choice = random.Random(SEED)
    times: dict[str, dict[int, list[float]]] = {
        kind: {rows: [] for rows in engines} for kind in ("warm", "cold")
    }
    for block in range(blocks):
        for rows, engine in engines.items():
            label = f"block {block + 1}: {rows:,} rows"
            found = measure_block(engine, choice, rows // questions, rounds, label)
            for kind, values in found.items():
                times[kind][rows] += values
    return times


def measure_block(
    engine: Engine, choice: random.Random, students: int, rounds: int, label: str
) -> dict[str, list[float]]:
    """Warm and cold reads of students chosen at random, after reads that are not counted."""

    def any_player() -> str:
        return dataset.player(choice.randrange(students))

    def cached() -> str:
        player = any_player()
        engine.due(player)
        return player

    def forgotten() -> str:
        player = any_player()
        engine.cache_clear(player, dataset.SEASON)
        return player

    for _ in range(WARM_UP_READS):
        engine.due(forgotten())
    read: Callable[[str], object] = engine.due
    return race({"warm": Turn(read, cached), "cold": Turn(read, forgotten)}, rounds, label)


def show(report: Report, times: dict[str, dict[int, list[float]]]) -> None:
    """A table, and whether each kind of read is flat."""
    headings = ["rows", "warm p50 ms", "p99", "cold p50 ms", "p99"]
    sizes = list(times["warm"])
    lines = [
        [f"{rows:,}"]
        + [
            number(percentile(times[kind][rows], percent))
            for kind in ("warm", "cold")
            for percent in (50, 99)
        ]
        for rows in sizes
    ]
    report.add(
        f"## A read of 20 due questions of 1,000, by size of the table\n\n{table(headings, lines)}"
    )
    for kind, by_rows in times.items():
        medians = [statistics.median(by_rows[rows]) for rows in sizes]
        report.claim(
            f"{kind} read, largest table over smallest", medians[-1] / medians[0], at_most=FLAT
        )
        report.numbers[f"{kind} median ms"] = dict(zip(sizes, medians, strict=True))


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--questions", type=int, default=1000, help="records of each student")
    parser.add_argument("--rounds", type=int, default=300, help="reads of each kind in a block")
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--buffer-pool", default="256M")
    parser.add_argument(
        "--order", choices=["key", "time"], default="key", help="in which the tables were filled"
    )
    parser.add_argument("--out", type=Path, help="also write the report here (.md and .json)")
    options = parser.parse_args()
    report = Report(
        f"memora: reads by size of the table, innodb_buffer_pool_size {options.buffer_pool}"
    )
    with open_workplace(options.buffer_pool) as place:
        shapes = [
            dataset.Shape(rows // options.questions, options.questions, options.order)
            for rows in options.rows
        ]
        engines = {shape.rows: make_site(place, shape) for shape in shapes}
        show(report, measure(engines, options.questions, options.rounds, options.blocks))
    report.write(options.out)


if __name__ == "__main__":
    main()
