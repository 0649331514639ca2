"""The data of demo and benches: students, their records, their answers. The same on every run."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal

import pymysql

from benches import plain_python
from benches.plain_python import Answer
from benches.report import bar
from tests.support.expectation import DAYS_AFTER_ANSWER

SEASON: Final = "SEASON-2026"
SUBJECTS: Final = ("Mathematics", "Science", "Arabic", "English")
TOPICS_A_SUBJECT: Final = 5
TRACKER: Final = "`tabPlayer Memory Tracker`"
CHUNK_ROWS: Final = 50_000
ANSWERS_A_SESSION: Final = 50
# Over HTTP, submissions leave a student's first questions alone: what is due stays due.
STAYS_DUE: Final = 20

# `seq` counts the records from 0; `s` is the student, `q` the question, both from 0.
RECORDS: Final = """
    SELECT
        LOWER(LPAD(CONV(seq, 10, 36), {name_length}, '0')), '2026-01-01', '2026-01-01',
        player, player, player, '{season}',
        CONCAT('G04-U', LPAD(q DIV 25 + 1, 3, '0'), '-Q', LPAD(q + 1, 5, '0')),
        MOD(CRC32(seq), 5),
        UTC_TIMESTAMP() - INTERVAL 432000 SECOND + INTERVAL CRC32(seq + 7) MOD 1728000 SECOND,
        UTC_TIMESTAMP() - INTERVAL 864000 SECOND,
        subject, CONCAT(subject, ' ', q DIV {subjects} MOD {topics} + 1){more}
    FROM (
        SELECT seq, {student} AS s, {question} AS q,
            CONCAT('student', LPAD({student} + 1, 5, '0'), '@school.example') AS player,
            ELT({question} MOD {subjects} + 1, {subject_names}) AS subject
        FROM seq_{first}_to_{last}
    ) AS made
"""


@dataclass(frozen=True)
class Shape:
    """How much there is, and in which order it was written.

    Args:
        students: number of students.
        questions: records of each student.
        order: "key" writes one student after the other; "time" writes a question of each student in
            turn, as lessons do.
    """

    students: int
    questions: int = 1000
    order: Literal["key", "time"] = "key"

    @property
    def rows(self) -> int:
        """How many records there are."""
        return self.students * self.questions


def player(number: int) -> str:
    """A student's name, from 0."""
    return f"student{number + 1:05}@school.example"


def question_id(number: int) -> str:
    """A question's id, from 0."""
    return f"G04-U{number // 25 + 1:03}-Q{number + 1:05}"


def topics() -> list[tuple[str, str]]:
    """(topic, its subject)."""
    return [
        (f"{subject} {number + 1}", subject)
        for subject in SUBJECTS
        for number in range(TOPICS_A_SUBJECT)
    ]


def load(
    connection: pymysql.Connection[Any],
    table: str,
    shape: Shape,
    label: str,
    chunk_rows: int = CHUNK_ROWS,
) -> None:
    """Fill an empty table (memora's or the plain one), a progress bar beside it.

    Args:
        chunk_rows: rows in one statement and one transaction.
    """
    is_memora = table == TRACKER
    columns = (
        "name, creation, modified, modified_by, owner, player, season, question_id, stability, "
    )
    columns += "next_review_date, last_review_date, subject, topic" + (
        ", answered_at_us" if is_memora else ""
    )
    in_key_order = shape.order == "key"
    with connection.cursor() as cursor, bar(shape.rows, label) as advance:
        for first in range(0, shape.rows, chunk_rows):
            last = min(first + chunk_rows, shape.rows) - 1
            records = RECORDS.format(
                name_length=18 if is_memora else 10,
                season=SEASON,
                student=f"seq DIV {shape.questions}"
                if in_key_order
                else f"seq MOD {shape.students}",
                question=f"seq MOD {shape.questions}"
                if in_key_order
                else f"seq DIV {shape.students}",
                subjects=len(SUBJECTS),
                topics=TOPICS_A_SUBJECT,
                subject_names=", ".join(f"'{subject}'" for subject in SUBJECTS),
                more=", 0" if is_memora else "",
                first=first,
                last=last,
            )
            cursor.execute(f"INSERT INTO {table} ({columns}) {records}")
            advance(last - first + 1)


def load_season(
    connection: pymysql.Connection[Any], season: str, students: int, questions: int, first: int
) -> None:
    """Fill a season's empty partition in key order, with one statement.

    Without checks MariaDB sorts the rows of an empty partition and builds each index once, several
    times as fast as row by row.

    Args:
        questions: records of each student.
        first: where the records' names begin; two seasons have none in common.
    """
    columns = (
        "name, creation, modified, modified_by, owner, player, season, question_id, stability, "
        "next_review_date, last_review_date, subject, topic, answered_at_us"
    )
    records = RECORDS.format(
        name_length=18,
        season=season,
        student=f"(seq - {first}) DIV {questions}",
        question=f"(seq - {first}) MOD {questions}",
        subjects=len(SUBJECTS),
        topics=TOPICS_A_SUBJECT,
        subject_names=", ".join(f"'{subject}'" for subject in SUBJECTS),
        more=", 0",
        first=first,
        last=first + students * questions - 1,
    )
    with connection.cursor() as cursor:
        cursor.execute("SET unique_checks = 0, foreign_key_checks = 0")
        cursor.execute(f"INSERT INTO {TRACKER} ({columns}) {records}")
        cursor.execute("SET unique_checks = 1, foreign_key_checks = 1")


def answers(choice: random.Random, count: int, questions: int, first: int = 0) -> list[Answer]:
    """The answers of one review session: `count` different questions of `questions`, from `first`
    on."""
    return [
        {
            "question_id": question_id(number),
            "is_correct": choice.random() < 0.8,
            "duration_ms": choice.randrange(500, 9000),
        }
        for number in choice.sample(range(first, questions), count)
    ]


def plain_rows(
    choice: random.Random, count: int, students: int, questions: int
) -> list[plain_python.Row]:
    """New states of records, as rows for `plain_python.UPSERT`.

    They are of sessions of `ANSWERS_A_SESSION` answers of students chosen at random, one session
    after the other, as memora's journal has them.
    """
    now = plain_python.naive_now()
    rows = []
    for _ in range(count // ANSWERS_A_SESSION):
        student = player(choice.randrange(students))
        for number in choice.sample(range(questions), ANSWERS_A_SESSION):
            subject = choice.choice(SUBJECTS)
            stability = choice.randint(1, 4)
            next_review = now + timedelta(days=DAYS_AFTER_ANSWER[stability])
            state = (question_id(number), stability, next_review, subject, f"{subject} 1")
            rows.append(plain_python.upsert_row(student, SEASON, state, now))
    return rows


def session_data(given: Sequence[Answer]) -> str:
    """The answers as a browser sends them."""
    return json.dumps(
        {"answers": given, "session_meta": {}, "total_combo": 3, "completion_time_ms": 90_000}
    )


def bytes_on_disk(data_folder: Path, database: str, table: str) -> int:
    """Size of a table's files, all partitions, in bytes.

    Args:
        table: its name without quotes.
    """
    stem = table.replace(" ", "@0020")
    files: Callable[[str], Iterable[Path]] = (data_folder / database).glob
    # What is allocated: a compressed page leaves a hole.
    return sum(
        path.stat().st_blocks * 512
        for pattern in (f"{stem}.ibd", f"{stem}#*.ibd")
        for path in files(pattern)
    )
