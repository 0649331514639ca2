"""The charts of docs/benchmarks.md, from the numbers that benches have written: `make charts`.

make bench ARGS="--runs 3 --out docs/figures/compare.json"
make bench-scale ARGS="--rows 50000000 --out docs/figures/scale.json"
make charts
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

from benches.report import medians

DOCS: Final = Path(__file__).resolve().parent.parent / "docs"
WIDTH: Final = 760
LABELS: Final = 230
# For the number at a bar's end.
MARGIN: Final = 70
BAR: Final = 16
GAP: Final = 14
TOP: Final = 62
COLORS: Final = ("#0f766e", "#d97706")


@dataclass(frozen=True)
class Chart:
    """Bars of ratios, on a logarithmic axis.

    `rows` are labels, each with the paths of its bars' numbers in the bench's JSON; `ways` names
    the bars of a row, if it has several. Bars begin at 1.
    """

    name: str
    title: str
    ways: Sequence[str]
    axis: Sequence[float]
    rows: Mapping[str, Sequence[str]]

    def figures(self) -> Path:
        """What a bench has written with `--out`."""
        return DOCS / "figures" / f"{self.name}.json"

    def picture(self) -> Path:
        """Where the chart is."""
        return DOCS / "pictures" / f"bench-{self.name}.svg"


def _against_python(heading: str) -> Sequence[str]:
    return [f"{heading}, {way}, ratio" for way in ("good Python", "row by row")]


def _flat(what: str) -> Sequence[str]:
    return [f"{what}: 50,000,000 rows, times 1,000,000, value"]


CHARTS: Final = (
    Chart(
        "compare",
        "How many times as long as memora it takes",
        ("good Python", "row by row"),
        (1, 2, 5, 10, 20, 50),
        {
            "warm read of 20 due questions": _against_python("Warm read of 20"),
            "the same, of one subject": _against_python("Warm read of one subject"),
            "focus mode": _against_python("Focus mode"),
            "cold read of 1,000 records": _against_python("Cold read of 1,000 records"),
            "submit of 50 answers": _against_python("Submit of 50 answers"),
            "drain of 100,000 (PyMySQL)": ["drain, PyMySQL, a plain Frappe table, ratio"],
        },
    ),
    Chart(
        "scale",
        "Times as long with 50,000,000 rows as with 1,000,000",
        (),
        (0.5, 1, 1.5, 2),
        {
            "warm read": _flat("warm read, ms"),
            "cold read": _flat("cold read, ms"),
            "submit of 50 answers": _flat("submit of 50 answers, ms"),
            "drain": ["drain, ms for 1,000 answers, ratio"],
            "rebuild": _flat("rebuild of the season, ms for 1,000 records"),
            "reconciliation of a sample": _flat("reconciliation of a sample, ms for 1,000 records"),
            "cache and journal status": _flat("cache and journal status, ms"),
            "archive": _flat("archive of a season without rests, ms for 1,000 records"),
        },
    ),
)


def draw(chart: Chart) -> str:
    """A chart as SVG.

    Raises:
        KeyError: the bench has not written one of its numbers.
    """
    numbers = medians(chart.figures())
    low, high = math.log(chart.axis[0]), math.log(chart.axis[-1])

    def across(value: float) -> float:
        share = (math.log(value) - low) / (high - low)
        return round(LABELS + share * (WIDTH - LABELS - MARGIN), 1)

    bars, y = [], TOP
    for label, names in chart.rows.items():
        middle = y + len(names) * BAR / 2
        bars.append(_text(LABELS - 10, middle, label, "end"))
        for name, color in zip(names, COLORS, strict=False):
            value = numbers[name]
            bars.append(_bar(across(1), across(value), y, color))
            written = f"{value:.0f}" if value >= 10 else f"{value:.2f}"
            side, anchor = (6, "start") if value >= 1 else (-6, "end")
            bars.append(_text(across(value) + side, y + BAR / 2, written, anchor))
            y += BAR
        y += GAP
    lines = [_line(across(value), y) + _text(across(value), y + 12, f"{value:g}", "middle")
             for value in chart.axis]  # fmt: skip
    legend, x = [], LABELS
    for way, color in zip(chart.ways, COLORS, strict=False):
        legend.append(f'<rect x="{x}" y="34" width="11" height="11" fill="{color}"/>')
        legend.append(_text(x + 17, 40, way, "start"))
        x += 40 + 8 * len(way)
    title = f'<text x="{LABELS}" y="20" font-weight="bold">{escape(chart.title)}</text>'
    parts = (title, *legend, *lines, *bars)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 26}" width="{WIDTH}" '
        'font-family="sans-serif" font-size="13" fill="#1f2937">'
    )
    ground = '<rect width="100%" height="100%" fill="#ffffff"/>'
    return "\n".join((head, ground, *parts, "</svg>", ""))


def _bar(start: float, end: float, y: float, color: str) -> str:
    left, width = min(start, end), round(abs(end - start), 1)
    return f'<rect x="{left}" y="{y + 1}" width="{width}" height="{BAR - 2}" fill="{color}"/>'


def _line(x: float, bottom: float) -> str:
    return f'<path d="M{x} {TOP - 6}V{bottom}" stroke="#d1d5db"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return (
        f'<text x="{x}" y="{y:g}" text-anchor="{anchor}" dominant-baseline="central">'
        f"{escape(text)}</text>"
    )


def main() -> None:
    """Draw all charts again."""
    for chart in CHARTS:
        chart.picture().write_text(draw(chart))
        print(chart.picture().relative_to(DOCS.parent))


if __name__ == "__main__":
    main()
