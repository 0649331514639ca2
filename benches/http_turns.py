"""What `make bench-http` has measured in turns.

A machine is not equally fast all the time. So Frappe and the door were measured within seconds, and
ratios are medians of those of each turn. What does nothing is measured with the reads, so a
submission's turns are minutes after those of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from benches.load import Measured
from benches.report import number, ratio


@dataclass(frozen=True)
class Turns:
    """A call's measurements, one for each turn; `through`: by the door, if there is one."""

    found: list[Measured]
    through: list[Measured]


def numbers_of(turns: Turns, nothing: list[Measured]) -> tuple[dict[str, float], list[str]]:
    """A call's numbers, and its cells of the table, beside what does nothing."""
    found = median_of(turns.found)
    numbers = {
        "calls a second": found.rate,
        "p50": found.p50,
        "p99": found.p99,
        "ratio": ratio(p50s(turns.found), p50s(nothing)),
    }
    over = "" if turns.found is nothing else number(found.p50 - median_of(nothing).p50)
    cells = [number(found.rate), number(found.p50), number(found.p99), over]
    if turns.through:
        through = median_of(turns.through)
        times = ratio(rates(turns.through), rates(turns.found))
        numbers |= {"door: calls a second": through.rate, "door: p50": through.p50}
        numbers["door: p99"] = through.p99
        numbers["door: p50 of nothing"] = ratio(p50s(turns.through), p50s(nothing))
        numbers["door: times the calls"] = times
        numbers["door: p50 of Frappe's"] = ratio(p50s(turns.through), p50s(turns.found))
        cells += [number(through.rate), number(through.p50), number(through.p99), f"{times:.2f}x"]
    return numbers, cells


def median_of(measured: Sequence[Measured]) -> Measured:
    """The median of each number, and all failures."""
    rate, p50, p99 = map(median, (rates(measured), p50s(measured), [each.p99 for each in measured]))
    return Measured(rate, p50, p99, sum(each.failed for each in measured))


def rates(measured: Sequence[Measured]) -> list[float]:
    """Calls a second of each turn."""
    return [each.rate for each in measured]


def p50s(measured: Sequence[Measured]) -> list[float]:
    """Milliseconds of the median of each turn."""
    return [each.p50 for each in measured]
