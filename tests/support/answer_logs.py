"""A season's log of answers, written as `docs/how-it-works.md` describes it: months of answers in a
moment."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Final
from zlib import crc32

from tests.support.site_under_test import SEASON, Site

AUDIT: Final = "`tabMemory Review Audit`"
# The first moment of the logs: 2026-01-05, noon.
BEGIN: Final = 1_767_614_400
DAY: Final = 86_400
LADDER: Final = (1, 3, 7, 14)


@dataclass(frozen=True)
class Given:
    """An answer: `rung` is the one before it, None for a first answer."""

    question_id: str
    is_right: bool
    duration_ms: int
    rung: int | None


def number(value: int) -> bytes:
    packed = bytearray()
    while value > 0x7F:
        packed.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*packed, value])


def packed(answers: list[Given], at: int) -> bytes:
    """The log of a submission."""
    parts = [bytes([1, 0]), number(len(answers)), number(2 * at)]
    for answer in answers:
        name = answer.question_id.encode()
        on = 0 if answer.rung is None else 1 + answer.rung
        what = bytes([int(answer.is_right) << 4 | on])
        parts += [number(4 * len(name)), number(0), name, what, number(answer.duration_ms)]
    return b"".join(parts)


def a_term(
    students: int, questions: int, answers: int, is_right: Callable[[random.Random, int, int], bool]
) -> Iterator[tuple[int, str, list[Given]]]:
    """Each student answers each question this often, when the ladder says: time, student, answers.

    Args:
        is_right: from a source of random numbers, the days since the question's last answer, and
            the day in the term.
    """
    for student in range(students):
        source = random.Random(student)
        days: dict[int, list[Given]] = defaultdict(list)
        for question in range(questions):
            day, rung, since = question // 10, None, 0
            for _ in range(answers):
                right = is_right(source, since, day)
                duration = source.choice((1_000, 3_000, 3_000, 3_000, 9_000))
                days[day].append(Given(f"q{question:03}", right, duration, rung))
                rung = min((rung or 0) + 1, 4) if right else 1
                since = LADDER[rung - 1]
                day += since
        for day, given in sorted(days.items()):
            for first in range(0, len(given), 50):
                at = BEGIN + day * DAY + student + first
                yield at, f"student{student}@school.example", given[first : first + 50]


def add_logs(
    site: Site, submissions: Iterator[tuple[int, str, list[Given]]], season: str = SEASON
) -> int:
    """Insert audit records with their logs; returns how many answers they have."""
    rows, count = [], 0
    for place, (at, student, answers) in enumerate(sorted(submissions, key=lambda one: one[0])):
        moment = datetime.fromtimestamp(at, timezone.utc).replace(tzinfo=None)
        name = f"{at * 1000:012x}7{crc32(season.encode()):08x}{place:011x}"
        rows.append((name, moment, moment, moment, student, season, packed(answers, at)))
        count += len(answers)
    with (
        site.servers.database.connect(database=site.name) as connection,
        connection.cursor() as cursor,
    ):
        cursor.executemany(
            f"INSERT INTO {AUDIT} (name, creation, modified, answered_at, player, season, "
            "_answer_log) VALUES (%s, %s, %s, %s, %s, %s, %s)",
            rows,
        )
    return count
