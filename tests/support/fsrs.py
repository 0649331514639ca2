"""FSRS-6, written only from its published formulas, for tests to compare with.

In double precision: what it says agrees with the engine's single precision to some millionths.
"""

from __future__ import annotations

from hashlib import sha256
from math import exp, floor, trunc
from typing import Final, NamedTuple

PARAMETERS: Final = (
    0.212, 1.2931, 2.3065, 8.2956, 6.4133, 0.8334, 3.0194, 0.001, 1.8722, 0.1666, 0.796, 1.4835,
    0.0614, 0.2629, 1.6483, 0.6014, 1.8729, 0.5425, 0.0912, 0.0658, 0.1542,
)  # fmt: skip
AGAIN: Final = 1
HARD: Final = 2
GOOD: Final = 3
EASY: Final = 4


class Memory(NamedTuple):
    """Stability in days, difficulty from 1 to 10."""

    stability: float
    difficulty: float


def recall(stability: float, days: int) -> float:
    """How probably a question is known, so many days after its last answer."""
    decay = -PARAMETERS[20]
    factor = 0.9 ** (1 / decay) - 1
    return float((1 + factor * days / stability) ** decay)


def interval(stability: float, retention: float) -> float:
    """Days until a question is known with this probability."""
    decay = -PARAMETERS[20]
    factor = 0.9 ** (1 / decay) - 1
    return float(stability / factor * (retention ** (1 / decay) - 1))


def grade_of_answer(is_correct: bool, quality: int | None, duration_ms: int) -> int:
    """With the spec's thresholds of 2 and 6 seconds."""
    if not is_correct:
        return AGAIN
    if quality is not None:
        return max(HARD, quality - 1)
    return EASY if duration_ms < 2000 else HARD if duration_ms > 6000 else GOOD


def of_rung(days: int) -> Memory:
    """Of a question of which only the days of its rung are known."""
    return _bounded(days, _first_difficulty(HARD))


def after(before: Memory | None, days: int, grade: int) -> Memory:
    """The memory after an answer; `days` since the one before it."""
    w = PARAMETERS
    if before is None:
        return _bounded(w[grade - 1], _first_difficulty(grade))
    stability, difficulty = before
    retrievability = recall(stability, days)
    if days == 0:
        factor = exp(w[17] * (grade - 3 + w[18])) * stability ** -w[19]
        new = stability * (factor if grade == AGAIN else max(1.0, factor))
    elif grade == AGAIN:
        lost = exp(w[14] * (1 - retrievability))
        new = w[11] * difficulty ** -w[12] * ((stability + 1) ** w[13] - 1) * lost
        new = min(new, stability / exp(w[17] * w[18]))
    else:
        gain = exp(w[8]) * (11 - difficulty) * stability ** -w[9]
        gain *= exp(w[10] * (1 - retrievability)) - 1
        gain *= w[15] if grade == HARD else w[16] if grade == EASY else 1
        new = stability * (1 + gain)
    moved = difficulty - w[6] * (grade - 3) * (10 - difficulty) / 9
    return _bounded(new, w[7] * _first_difficulty(EASY) + (1 - w[7]) * moved)


def days(memory: Memory, retention: float, longest: int, player: str, question: str) -> int:
    """Days until the next review: spread by up to 5%, by student and question."""
    of_player = sha256(player.encode()).digest()[:4]
    seed = int.from_bytes(sha256(of_player + question.encode()).digest()[:3], "big")
    share = seed / 2**23 - 1
    most = longest - floor(longest * 0.05)
    exact = min(max(round(interval(memory.stability, retention)), 1), most)
    return exact + trunc(exact * 0.05 * share)


def _first_difficulty(grade: int) -> float:
    return PARAMETERS[4] - exp(PARAMETERS[5] * (grade - 1)) + 1


def _bounded(stability: float, difficulty: float) -> Memory:
    return Memory(min(max(stability, 0.001), 36500), min(max(difficulty, 1), 10))
