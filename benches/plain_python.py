"""The opponents: the review path in plain Python, with redis-py (hiredis) and PyMySQL.

Both are without Frappe's own cost for each document (hooks, validation, permissions): the real
thing is slower. They keep their rows as a plain Frappe app does: `name` is the primary key.
"""

from __future__ import annotations

import json
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, Final, TypedDict

import pymysql
import pymysql.cursors
import redis

from tests.support.expectation import DAYS_AFTER_ANSWER, stability_after_answer

TABLE: Final = "`tabPlain Memory Tracker`"
CREATE_TABLE: Final = f"""
    CREATE TABLE {TABLE} (
        name varchar(140) NOT NULL PRIMARY KEY,
        creation datetime(6), modified datetime(6), modified_by varchar(140), owner varchar(140),
        docstatus int(1) NOT NULL DEFAULT 0, idx int(8) NOT NULL DEFAULT 0,
        player varchar(140), season varchar(140), question_id varchar(140),
        stability int(11) NOT NULL DEFAULT 0,
        next_review_date datetime(6), last_review_date datetime(6),
        subject varchar(140), topic varchar(140),
        _user_tags text, _comments text, _assign text, _liked_by text,
        UNIQUE KEY player_season_question (player, season, question_id),
        KEY player_season_next_review_date (player, season, next_review_date),
        KEY modified (modified)
    ) ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci
"""
CREATE_VERSION_TABLE: Final = """
    CREATE TABLE `tabPlain Version` (
        name varchar(140) NOT NULL PRIMARY KEY,
        creation datetime(6), modified datetime(6), modified_by varchar(140), owner varchar(140),
        docstatus int(1) NOT NULL DEFAULT 0, idx int(8) NOT NULL DEFAULT 0,
        ref_doctype varchar(140), docname varchar(140), data longtext,
        KEY ref_doctype_docname (ref_doctype, docname), KEY modified (modified)
    ) ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci
"""
COLUMNS: Final = (
    "name", "creation", "modified", "modified_by", "owner", "docstatus", "idx", "player", "season",
    "question_id", "stability", "next_review_date", "last_review_date", "subject", "topic",
    "_user_tags", "_comments", "_assign", "_liked_by",
)  # fmt: skip
UPSERT_COLUMNS: Final = COLUMNS[:15]
UPDATED_COLUMNS: Final = (
    "modified", "modified_by", "stability", "next_review_date", "last_review_date", "subject",
    "topic",
)  # fmt: skip
UPSERT: Final = (
    f"INSERT INTO {TABLE} ({', '.join(UPSERT_COLUMNS)}) "
    f"VALUES ({', '.join(['%s'] * len(UPSERT_COLUMNS))}) "
    f"ON DUPLICATE KEY UPDATE {', '.join(f'{name} = VALUES({name})' for name in UPDATED_COLUMNS)}"
)
UPSERT_ROWS: Final = 1000

Row = tuple[Any, ...]
# A student, and their answers.
Session = tuple[str, Sequence["Answer"]]


class Answer(TypedDict):
    """One answer of a review session; `duration_ms` in milliseconds."""

    question_id: str
    is_correct: bool
    duration_ms: int


class PlainPython(ABC):
    """One way of doing what memora does.

    Args:
        database: an open connection in autocommit: a read then costs one round trip.
        cache: a client of the cache's Redis that reads text.
        season: the active season.
    """

    def __init__(
        self, database: pymysql.Connection[Any], cache: redis.Redis[str], season: str
    ) -> None:
        self.database: Final = database
        self.cache: Final = cache
        self.season: Final = season

    def schedule_key(self, player: str, subject: str | None = None) -> str:
        """The sorted set of a student's questions by next review."""
        return f"{type(self).__name__}:srs:{player}:{self.season}" + (
            f":{subject}" if subject else ""
        )

    def topic_key(self, player: str, topic: str) -> str:
        """The set of a student's questions of one topic."""
        return f"{self.schedule_key(player)}:topic {topic}"

    def detail_key(self, player: str) -> str:
        """The hash of what belongs to each question beside its date."""
        return f"{type(self).__name__}:detail:{player}:{self.season}"

    def forget(self, player: str) -> None:
        """Drop what is cached of a student."""
        with_subjects = list(
            self.cache.scan_iter(match=f"{self.schedule_key(player)}*", count=10_000)
        )
        self.cache.delete(self.detail_key(player), *with_subjects)

    @abstractmethod
    def due(self, player: str, limit: int = 20) -> tuple[list[dict[str, Any]], int]:
        """The student's due questions from a warm cache, and how many are due."""

    @abstractmethod
    def due_of_subject(
        self, player: str, subject: str, limit: int = 20
    ) -> tuple[list[dict[str, Any]], int]:
        """The same of one subject."""

    @abstractmethod
    def practise(self, player: str, topic: str) -> tuple[list[dict[str, Any]], int]:
        """Focus mode: a tenth of a topic, wrong ones first, and how many of it are due."""

    @abstractmethod
    def load(self, player: str) -> int:
        """Cache all records of a student; how many."""

    @abstractmethod
    def submit(self, session: Session) -> None:
        """Apply a session's answers: durable, and shown by the next read, when it returns."""

    def cold_due(self, player: str) -> tuple[list[dict[str, Any]], int]:
        """Load, then read."""
        self.load(player)
        return self.due(player)


class RowByRow(PlainPython):
    """As an ORM does it: dictionaries of all columns, one statement and one command a record."""

    def due(self, player: str, limit: int = 20) -> tuple[list[dict[str, Any]], int]:
        """Ids from the cache, the records from MariaDB."""
        key, now = self.schedule_key(player), unix_now()
        ids = self.cache.zrangebyscore(key, "-inf", now, start=0, num=limit)
        total = self.cache.zcount(key, "-inf", now)
        marks = ", ".join(["%s"] * len(ids))
        found = (
            self._get_all(f"AND question_id IN ({marks})", [player, self.season, *ids])
            if ids
            else []
        )
        by_id = {record["question_id"]: record for record in found}
        return [by_id[name] for name in ids], total

    def due_of_subject(
        self, player: str, subject: str, limit: int = 20
    ) -> tuple[list[dict[str, Any]], int]:
        """frappe.get_all with filters, and frappe.db.count."""
        condition = "AND subject = %s AND next_review_date <= %s"
        values = [player, self.season, subject, naive_now()]
        found = self._get_all(f"{condition} ORDER BY next_review_date LIMIT {limit}", values)
        with self.database.cursor() as cursor:
            cursor.execute(
                f"SELECT COUNT(*) FROM {TABLE} WHERE player = %s AND season = %s {condition}",
                values,
            )
            total: int = cursor.fetchone()[0]
        return found, total

    def practise(self, player: str, topic: str) -> tuple[list[dict[str, Any]], int]:
        """frappe.get_all of the topic."""
        return picked(self._get_all("AND topic = %s", [player, self.season, topic]), naive_now())

    def load(self, player: str) -> int:
        """frappe.get_all of the student's records, then a ZADD for each."""
        found = self._get_all("", [player, self.season])
        key = self.schedule_key(player)
        for record in found:
            self.cache.zadd(key, {record["question_id"]: unix(record["next_review_date"])})
        return len(found)

    def submit(self, session: Session) -> None:
        """A document written for each answer; one commit, as at the end of a request."""
        player, answers = session
        self.database.begin()
        for answer in answers:
            self._write(player, answer)
        self.database.commit()
        for answer in answers:
            self._show(player, answer["question_id"])

    def _write(self, player: str, answer: Answer) -> tuple[str, dict[str, Any]]:
        now = naive_now()
        record = self._get_doc(player, answer["question_id"]) or self._new_doc(
            player, answer["question_id"], now
        )
        is_new = record["modified"] is None
        stability = stability_after_answer(
            record["stability"], answer["is_correct"], answer["duration_ms"]
        )
        record |= {
            "modified": now,
            "modified_by": player,
            "stability": stability,
            "last_review_date": now,
            "next_review_date": now + timedelta(days=DAYS_AFTER_ANSWER[stability]),
        }
        with self.database.cursor() as cursor:
            cursor.execute(*(insert_statement(record) if is_new else update_statement(record)))
        return record["name"], record

    def _get_doc(self, player: str, question_id: str) -> dict[str, Any] | None:
        """frappe.db.exists, then frappe.get_doc."""
        with self.database.cursor(pymysql.cursors.DictCursor) as cursor:
            cursor.execute(
                f"SELECT name FROM {TABLE} "
                "WHERE player = %s AND season = %s AND question_id = %s LIMIT 1",
                (player, self.season, question_id),
            )
            if not (found := cursor.fetchone()):
                return None
            cursor.execute(f"SELECT * FROM {TABLE} WHERE name = %s", (found["name"],))
            return cursor.fetchone()

    def _new_doc(self, player: str, question_id: str, now: datetime) -> dict[str, Any]:
        record = dict.fromkeys(COLUMNS)
        return record | {
            "name": new_name(),
            "creation": now,
            "owner": player,
            "docstatus": 0,
            "idx": 0,
            "player": player,
            "season": self.season,
            "question_id": question_id,
            "stability": 0,
        }

    def _show(self, player: str, question_id: str) -> None:
        record = self._get_all("AND question_id = %s", [player, self.season, question_id])[0]
        self.cache.zadd(self.schedule_key(player), {question_id: unix(record["next_review_date"])})

    def _get_all(self, condition: str, values: Sequence[object]) -> list[dict[str, Any]]:
        with self.database.cursor(pymysql.cursors.DictCursor) as cursor:
            cursor.execute(
                f"SELECT {', '.join(COLUMNS)} FROM {TABLE} "
                f"WHERE player = %s AND season = %s {condition}",
                values,
            )
            return list(cursor.fetchall())


class RowByRowWithVersions(RowByRow):
    """The same for a DocType with Track Changes: a Version document beside each change."""

    def _write(self, player: str, answer: Answer) -> tuple[str, dict[str, Any]]:
        name, record = super()._write(player, answer)
        now = record["modified"]
        changed = json.dumps({"changed": [[key, "", str(record[key])] for key in UPDATED_COLUMNS]})
        with self.database.cursor() as cursor:
            cursor.execute(
                "INSERT INTO `tabPlain Version` (name, creation, modified, modified_by, owner, "
                "ref_doctype, docname, data) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
                (new_name(), now, now, player, player, "Plain Memory Tracker", name, changed),
            )
        return name, record


class GoodPython(PlainPython):
    """As a good programmer does it: all that a read needs is cached; pipelines, tuples,
    executemany."""

    def due(self, player: str, limit: int = 20) -> tuple[list[dict[str, Any]], int]:
        """Two round trips: ids and count in one pipeline, then the details."""
        return self._due(player, self.schedule_key(player), limit)

    def due_of_subject(
        self, player: str, subject: str, limit: int = 20
    ) -> tuple[list[dict[str, Any]], int]:
        """The same on the sorted set that is kept for each subject."""
        return self._due(player, self.schedule_key(player, subject), limit)

    def practise(self, player: str, topic: str) -> tuple[list[dict[str, Any]], int]:
        """Two round trips: the set that is kept for each topic, then the details."""
        ids = list(self.cache.smembers(self.topic_key(player, topic)))
        return picked(self._details(player, ids), naive_text(unix_now()))

    def load(self, player: str) -> int:
        """The needed columns as tuples, written in one pipeline."""
        with self.database.cursor() as cursor:
            cursor.execute(
                f"SELECT question_id, stability, next_review_date, subject, topic FROM {TABLE} "
                "WHERE player = %s AND season = %s",
                (player, self.season),
            )
            found = cursor.fetchall()
        self._cache(player, found)
        return len(found)

    def submit(self, session: Session) -> None:
        """Old states in one HMGET, one multi-row upsert, new states in one pipeline."""
        player, answers = session
        now = naive_now()
        ids = [answer["question_id"] for answer in answers]
        details = self.cache.hmget(self.detail_key(player), ids)
        states = []
        for answer, detail in zip(answers, details, strict=True):
            stability, _, subject, topic = json.loads(detail) if detail else (0, 0, None, None)
            stability = stability_after_answer(
                stability, answer["is_correct"], answer["duration_ms"]
            )
            next_review = now + timedelta(days=DAYS_AFTER_ANSWER[stability])
            states.append((answer["question_id"], stability, next_review, subject, topic))
        upsert_all(self.database, [upsert_row(player, self.season, state, now) for state in states])
        self._cache(player, states)

    def _due(self, player: str, key: str, limit: int) -> tuple[list[dict[str, Any]], int]:
        now = unix_now()
        with self.cache.pipeline(transaction=False) as pipeline:
            pipeline.zrangebyscore(key, "-inf", now, start=0, num=limit)
            pipeline.zcount(key, "-inf", now)
            ids, total = pipeline.execute()
        return self._details(player, ids), total

    def _details(self, player: str, ids: list[str]) -> list[dict[str, Any]]:
        details = self.cache.hmget(self.detail_key(player), ids) if ids else []
        questions = []
        for question_id, detail in zip(ids, details, strict=True):
            stability, score, subject, topic = json.loads(detail or "null")
            questions.append(
                {
                    "question_id": question_id,
                    "stability": stability,
                    "next_review_date": naive_text(score),
                    "subject": subject,
                    "topic": topic,
                }
            )
        return questions

    def _cache(self, player: str, states: Sequence[Row]) -> None:
        schedules: dict[str, dict[str | bytes, float | str]] = {self.schedule_key(player): {}}
        topics: dict[str, list[str]] = {}
        details = {}
        for question_id, stability, next_review, subject, topic in states:
            score = unix(next_review)
            schedules[self.schedule_key(player)][question_id] = score
            if subject:
                schedules.setdefault(self.schedule_key(player, subject), {})[question_id] = score
            if topic:
                topics.setdefault(self.topic_key(player, topic), []).append(question_id)
            details[question_id] = json.dumps((stability, score, subject, topic))
        with self.cache.pipeline(transaction=True) as pipeline:
            for key, scores in schedules.items():
                pipeline.zadd(key, scores)
            for key, ids in topics.items():
                pipeline.sadd(key, *ids)
            pipeline.hset(self.detail_key(player), mapping=details)
            pipeline.execute()


def picked(topic: list[dict[str, Any]], now: object) -> tuple[list[dict[str, Any]], int]:
    """A tenth of a topic's questions, 10 to 30, wrong ones first; how many are due."""
    due = sum(question["next_review_date"] <= now for question in topic)
    topic.sort(key=lambda question: (question["stability"] != 1, question["next_review_date"]))
    return topic[: min(max(len(topic) // 10, 10), 30)], due


def upsert_row(player: str, season: str, state: Row, now: datetime) -> Row:
    """A row for `UPSERT`; `state` is (question_id, stability, next review, subject, topic)."""
    question_id, stability, next_review, subject, topic = state
    return (
        new_name(), now, now, player, player, 0, 0, player, season, question_id, stability,
        next_review, now, subject, topic,
    )  # fmt: skip


def upsert_all(connection: Any, rows: Sequence[Row], statement: str = UPSERT) -> None:
    """Write rows with executemany, 1,000 at a time, in one transaction; PyMySQL or mysqlclient."""
    cursor = connection.cursor()
    cursor.execute("START TRANSACTION")
    for chunk in chunks(rows, UPSERT_ROWS):
        cursor.executemany(statement, chunk)
    connection.commit()
    cursor.close()


def upsert_each(connection: Any, rows: Sequence[Row]) -> None:
    """Write rows one statement at a time, in one transaction."""
    cursor = connection.cursor()
    cursor.execute("START TRANSACTION")
    for row in rows:
        cursor.execute(UPSERT, row)
    connection.commit()
    cursor.close()


def chunks(rows: Sequence[Row], size: int) -> Iterator[Sequence[Row]]:
    """Slices of at most `size` rows."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def insert_statement(record: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """INSERT of all columns."""
    marks = ", ".join(["%s"] * len(COLUMNS))
    return f"INSERT INTO {TABLE} ({', '.join(COLUMNS)}) VALUES ({marks})", [
        record[name] for name in COLUMNS
    ]


def update_statement(record: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """UPDATE of all columns, as Frappe's db_update does."""
    columns = COLUMNS[1:]
    pairs = ", ".join(f"{name} = %s" for name in columns)
    values = [*(record[name] for name in columns), record["name"]]
    return f"UPDATE {TABLE} SET {pairs} WHERE name = %s", values


def new_name() -> str:
    """A name as Frappe makes them: it begins with the time and ends at random."""
    return f"{int(time.time() * 10) % 16**5:05x}{secrets.token_hex(5)}"


def naive_now() -> datetime:
    """The present as Frappe stores it on a site whose time zone is UTC."""
    return datetime.now(timezone.utc).replace(tzinfo=None)


def naive_text(seconds: int) -> str:
    """Unix seconds as the naive date that clients are shown."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


def unix(naive: datetime) -> int:
    """Unix seconds of a naive date in UTC."""
    return int(naive.replace(tzinfo=timezone.utc).timestamp())


def unix_now() -> int:
    """The present in Unix seconds."""
    return int(datetime.now(timezone.utc).timestamp())
