"""The scheduling rules, written only from the specification, for tests to compare with."""

from __future__ import annotations

from typing import Final

DAYS_AFTER_ANSWER: Final = {1: 1, 2: 3, 3: 7, 4: 14}
DAYS_AFTER_LESSON: Final = {1: 0, 2: 2, 3: 4, 4: 7}
DEFAULT_DURATION_MS: Final = 3000
XP_A_RIGHT_ANSWER: Final = 10
XP_A_COMBO: Final = 2


def stability_after_answer(stability: int, is_correct: bool, duration_ms: int) -> int:
    """Wrong: 1. Right: under 2,000 ms +2, over 6,000 ms +0, otherwise +1; at least 1, at most 4."""
    if not is_correct:
        return 1
    gain = 2 if duration_ms < 2000 else 0 if duration_ms > 6000 else 1
    return max(1, min(4, stability + gain))


def stability_after_lesson(attempts: int, duration_ms: int) -> int:
    """More than one attempt 1; under 2,000 ms 4; under 5,000 ms 3; otherwise 2."""
    if attempts > 1:
        return 1
    if duration_ms < 2000:
        return 4
    return 3 if duration_ms < 5000 else 2


def stability_after_answers(stability: int, *are_correct: bool) -> int:
    """Answers to one question in a row, each in the default time."""
    for is_correct in are_correct:
        stability = stability_after_answer(stability, is_correct, DEFAULT_DURATION_MS)
    return stability
