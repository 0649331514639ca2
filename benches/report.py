"""What benches share: timing in turns, medians and percentiles, a progress bar, tables."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

Item = TypeVar("Item")
Leaf = tuple[tuple[str, ...], float]

BAR_WIDTH: Final = 30


@dataclass(frozen=True)
class Turn:
    """One way of doing something.

    `prepare` is not timed; what it returns is handed to `work`, whose time counts.
    """

    work: Callable[[Any], object]
    prepare: Callable[[], Any] = lambda: None


def race(turns: Mapping[str, Turn], rounds: int, label: str = "") -> dict[str, list[float]]:
    """Time several ways in turns, so that all meet the same conditions.

    Args:
        turns: the ways by name. Each round runs each once; the order rotates.
        rounds: how often.
        label: title of the progress bar.

    Returns: milliseconds of every round, by name.
    """
    times: dict[str, list[float]] = {name: [] for name in turns}
    names = list(turns)
    for number in progress(range(rounds), label):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            given = turns[name].prepare()
            start = time.perf_counter_ns()
            turns[name].work(given)
            times[name].append((time.perf_counter_ns() - start) / 1e6)
    return times


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` percent of the values do not exceed."""
    ordered = sorted(values)
    index = max(0, -(-len(ordered) * percent // 100) - 1)
    return ordered[int(index)]


def ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """How many times faster: the median over the rounds of slow divided by fast."""
    return statistics.median(one / other for one, other in zip(slow, fast, strict=True))


def progress(items: Iterable[Item], label: str) -> Iterator[Item]:
    """Pass items on and show a bar: one line on a terminal, a few lines in a log."""
    everything = list(items)
    with bar(len(everything), label) as advance:
        for item in everything:
            yield item
            advance(1)


@contextmanager
def bar(total: int, label: str) -> Iterator[Callable[[int], None]]:
    """A progress bar over `total` units; call what it yields with the number of units just done."""
    start = time.monotonic()
    is_terminal = sys.stderr.isatty()
    done = shown = 0

    def draw() -> None:
        share = done / total if total else 1.0
        filled = "#" * int(share * BAR_WIDTH)
        seconds = time.monotonic() - start
        line = f"{label[:40]:<40} [{filled:<{BAR_WIDTH}}] {done:>10,}/{total:,} {seconds:6.1f} s"
        print(line, end="\r" if is_terminal and done < total else "\n", file=sys.stderr, flush=True)

    def advance(count: int) -> None:
        nonlocal done, shown
        done += count
        step = done * (100 if is_terminal else 4) // max(total, 1)
        if step > shown:
            shown = step
            draw()

    yield advance


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, its columns aligned; the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in [headings, *rows]) for column in range(len(headings))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "| " + " | ".join(padded) + " |"

    rule = [
        ("-" * width) if column == 0 else "-" * (width - 1) + ":"
        for column, width in enumerate(widths)
    ]
    return "\n".join([line(headings), line(rule), *map(line, rows)])


def number(value: float) -> str:
    """Three significant digits, with a comma in thousands."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{digits}f}"


@dataclass
class Report:
    """The result of a bench: tables for people, numbers for programs."""

    title: str
    sections: list[str] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.add(f"# {self.title}\n\n{machine()}")

    def add(self, text: str) -> None:
        """Show a piece of text and keep it."""
        self.sections.append(text)
        print(f"\n{text}", flush=True)

    def add_times(
        self, heading: str, times: Mapping[str, Sequence[float]], unit: str = "ms"
    ) -> None:
        """A table of p50 and p99 of each way, and how many times slower than the first way it
        is."""
        names = list(times)
        rows = [
            [
                name,
                number(percentile(times[name], 50)),
                number(percentile(times[name], 99)),
                f"{ratio(times[name], times[names[0]]):.2f}x",
                str(len(times[name])),
            ]
            for name in names
        ]
        headings = ["way", f"p50 {unit}", f"p99 {unit}", "median ratio", "rounds"]
        self.add(f"## {heading}\n\n{table(headings, rows)}")
        self.numbers[heading] = {
            name: {
                "p50": percentile(values, 50),
                "p99": percentile(values, 99),
                "ratio": ratio(values, times[names[0]]),
            }
            for name, values in times.items()
        }

    def claim(
        self,
        text: str,
        value: float,
        *,
        at_least: float | None = None,
        at_most: float | None = None,
    ) -> None:
        """State whether a number meets its requirement."""
        held = (at_least is None or value >= at_least) and (at_most is None or value <= at_most)
        asked = f"at least {at_least:,}" if at_least is not None else f"at most {at_most:,}"
        self.add(f"{'ok  ' if held else 'MISS'} {text}: {number(value)} (asked: {asked})")
        self.numbers[text] = {
            "value": value,
            "at_least": at_least,
            "at_most": at_most,
            "held": held,
        }
        if not held:
            self.failures.append(text)

    def write(self, path: Path | None) -> None:
        """Write `path` as JSON or Markdown, by its ending, and its sibling as the other."""
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".md").write_text("\n\n".join(self.sections) + "\n")
        content = {"title": self.title, "numbers": self.numbers, "failures": self.failures}
        path.with_suffix(".json").write_text(json.dumps(content, indent=2) + "\n")


# -- several runs -------------------------------------------------------------------------------
def add_run_options(parser: argparse.ArgumentParser) -> None:
    """The options that `repeat` reads."""
    parser.add_argument("--runs", type=int, default=1, help="of the whole bench; then their median")
    parser.add_argument("--out", type=Path, help="also write the report here (.md and .json)")


def repeat(
    title: str,
    options: argparse.Namespace,
    run: Callable[[argparse.Namespace, Report], object],
) -> Report:
    """Run a whole bench several times, and show the median and the spread of each of its numbers.

    Args:
        title: the report's title.
        options: `runs` is how often, `out` where the report is written.
        run: one run; it adds to a report of its own.

    Returns: the report of the only run, or of all of them: its `numbers` have the median, least and
        most of each number, by the words that lead to it, and those of each run. A claim holds if
        the median does.
    """
    reports = []
    for count in range(options.runs):
        which = f", run {count + 1} of {options.runs}" if options.runs > 1 else ""
        reports.append(Report(title + which))
        run(options, reports[-1])
        # A run takes long: what is done is kept if the next one fails.
        report = reports[0] if len(reports) == 1 else _of_runs(title, reports)
        report.write(options.out)
    return report


def _of_runs(title: str, reports: Sequence[Report]) -> Report:
    report = Report(f"{title}, median of {len(reports)} runs")
    runs = [dict(_leaves(each.numbers)) for each in reports]
    spread: dict[str, dict[str, float]] = {}
    rows = []
    for words in runs[0]:
        values = [run[words] for run in runs if words in run]
        found = {"median": statistics.median(values), "least": min(values), "most": max(values)}
        spread[", ".join(words)] = found
        if words[-1] in ("ratio", "value"):
            rows.append([": ".join(words[:-1]), *map(number, found.values())])
    report.add(table(["what", "median", "least", "most"], rows))
    for text, asked in reports[0].numbers.items():
        if isinstance(asked, dict) and "held" in asked:
            aims = {name: asked[name] for name in ("at_least", "at_most")}
            report.claim(text, spread[f"{text}, value"]["median"], **aims)
    report.numbers = {"spread": spread, "runs": [each.numbers for each in reports]}
    for each in reports:
        report.sections += each.sections
    return report


def medians(path: Path) -> dict[str, float]:
    """The median of each number that a bench has written, by the words that lead to it.

    Args:
        path: what was written with `--out`: of one run, or of several.
    """
    numbers = json.loads(path.read_text())["numbers"]
    if "spread" in numbers:
        return {name: found["median"] for name, found in numbers["spread"].items()}
    return {", ".join(words): value for words, value in _leaves(numbers)}


def _leaves(numbers: Mapping[str, Any], words: tuple[str, ...] = ()) -> Iterator[Leaf]:
    """Each number, by the words that lead to it."""
    for name, found in numbers.items():
        if isinstance(found, Mapping):
            yield from _leaves(found, (*words, str(name)))
        elif isinstance(found, int | float) and not isinstance(found, bool):
            yield (*words, str(name)), float(found)


def memory_mib(name: str) -> float:
    """Resident memory of this process in MiB: VmRSS is now, VmHWM at its highest."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (value,) = (line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return int(value) / 1024


def machine() -> str:
    """One line on what this ran on."""
    return (
        f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}"
    )
