"""What a drain costs, and whether it stays as fast while the table grows beyond memory:
`make bench-drain`."""

from __future__ import annotations

import argparse
import os
import random
import resource
import statistics
import time
from pathlib import Path
from typing import Final

from benches import dataset
from benches.report import Report, number, progress, table
from benches.scale import SEED
from benches.workplace import Workplace, add_site, open_workplace

from memora._engine import Engine  # isort: skip

ANSWERS_A_SUBMISSION: Final = 50
LEAST_RATE: Final = 0.5
# A commit waits for the disk, and other work on this machine for either.
PATIENCE_MS: Final = 20_000


def make_site(place: Workplace, shape: dataset.Shape) -> Engine:
    """A site of its own on the same servers, one season of its table filled; its engine."""
    name = f"memora_{shape.rows}"
    add_site(place, name)
    with place.database.connect(database=name) as connection:
        dataset.load(connection, dataset.TRACKER, shape, f"loading {shape.rows:,} records")
    return place.engine(name, redis_timeout_ms=PATIENCE_MS, database_timeout_ms=PATIENCE_MS)


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu(place: Workplace) -> dict[str, float]:
    """Seconds of CPU so far: of this process and of each server."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "memora": own.ru_utime + own.ru_stime,
        "Redis (journal)": cpu_of(place.journal.pid),
        "Redis (cache)": cpu_of(place.cache.pid),
        "MariaDB": cpu_of(place.database.pid),
    }


def fill(engine: Engine, choice: random.Random, answers: int, shape: dataset.Shape) -> None:
    """Submit answers of random students to random questions."""
    for _ in range(answers // ANSWERS_A_SUBMISSION):
        player = dataset.player(choice.randrange(shape.students))
        given = dataset.answers(choice, ANSWERS_A_SUBMISSION, shape.questions)
        engine.submit(player, dataset.session_data(given))


def measure(
    place: Workplace, engines: dict[dataset.Shape, Engine], answers: int, rounds: int
) -> dict[dataset.Shape, list[dict[str, float]]]:
    """Of each round: answers a second, and microseconds of CPU an answer, by process.

    The first round of each size is not counted: it brings the table's pages into memory, as far as
    they fit.
    """
    choice = random.Random(SEED)
    found: dict[dataset.Shape, list[dict[str, float]]] = {shape: [] for shape in engines}
    for turn in progress(range(rounds + 1), f"drains of {answers:,} answers"):
        for shape, engine in engines.items():
            fill(engine, choice, answers, shape)
            before, start = cpu(place), time.perf_counter()
            drained = engine.drain(600.0)["answers"]
            seconds, after = time.perf_counter() - start, cpu(place)
            if drained != answers:
                raise RuntimeError(f"{drained:,} of {answers:,} answers were drained")
            if turn:
                costs = {name: (after[name] - before[name]) * 1e6 / answers for name in after}
                found[shape].append({"rate": answers / seconds} | costs)
    return found


def show(report: Report, found: dict[dataset.Shape, list[dict[str, float]]], answers: int) -> None:
    """A table, and whether the rate holds."""
    medians = {
        shape.rows: {name: statistics.median(each[name] for each in turns) for name in turns[0]}
        for shape, turns in found.items()
    }
    names = list(next(iter(medians.values())))
    headings = ["rows", "answers a second", *(f"{name}, µs" for name in names[1:])]
    lines = [
        [f"{rows:,}", *(number(median[name]) for name in names)] for rows, median in medians.items()
    ]
    heading = f"## Drain of {answers:,} answers, by size of the table; CPU an answer"
    report.add(f"{heading}\n\n{table(headings, lines)}")
    rates = [median["rate"] for median in medians.values()]
    report.claim(
        "drain, rate into the largest table over the smallest", rates[-1] / rates[0],
        at_least=LEAST_RATE,
    )  # fmt: skip
    report.numbers["drain"] = medians


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--questions", type=int, default=1000, help="records of each student")
    parser.add_argument("--answers", type=int, default=100_000, help="answers in one drain")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--buffer-pool", default="1G")
    parser.add_argument("--out", type=Path, help="also write the report here (.md and .json)")
    options = parser.parse_args()
    report = Report(f"memora: the drain, innodb_buffer_pool_size {options.buffer_pool}")
    with open_workplace(options.buffer_pool) as place:
        engines = {}
        for rows in options.rows:
            shape = dataset.Shape(rows // options.questions, options.questions)
            engines[shape] = make_site(place, shape)
        show(report, measure(place, engines, options.answers, options.rounds), options.answers)
    report.write(options.out)


if __name__ == "__main__":
    main()
