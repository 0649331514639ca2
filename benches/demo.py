"""The main job from end to end on private servers, then each operation beside plain Python: `make
demo`."""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from benches import dataset, plain_python
from benches.plain_python import Answer
from benches.report import Report, Turn, number, percentile, progress, race, ratio, table
from benches.workplace import Workplace, open_workplace
from tests import frappe_standin as frappe
from tests.support.expectation import stability_after_answer

from memora.api import reviews  # isort: skip
from memora.services.srs_persistence import persist_review_batch  # isort: skip
from memora.services.srs_redis_manager import SRSRedisManager  # isort: skip

STUDENTS: Final = 100
QUESTIONS: Final = 1000
SEED: Final = 2026
MEMORA: Final = "memora"


class DemoFailed(Exception):
    """The demo found an error; the message says which."""


@dataclass
class Played:
    """One student's session: what was answered, and the job that takes it to MariaDB."""

    player: str
    answers: Sequence[Answer]
    job_id: str


def check(condition: bool, what: str) -> None:
    """Raise `DemoFailed` unless the condition holds."""
    if not condition:
        raise DemoFailed(what)


# -- full sessions ------------------------------------------------------------------------------
def play_session(choice: random.Random, player: str) -> Played:
    """Get, answer 20 to 50 of what is due, get again and see the new schedule."""
    frappe.set_user(player)
    session = reviews.get_review_session(limit=50)
    questions = session["questions"][: choice.randint(20, 50)]
    answers: list[Answer] = [
        {
            "question_id": question["question_id"],
            "is_correct": choice.random() < 0.8,
            "duration_ms": choice.randrange(500, 9000),
        }
        for question in questions
    ]
    taken = reviews.submit_review_session(session_data={"answers": answers, "total_combo": 2})
    again = reviews.get_review_session(limit=50)
    due = session["total_due"] - len(answers)
    check(
        again["total_due"] == taken["remaining_items"] == due,
        f"{player}: {due} questions should be due",
    )
    answered = {answer["question_id"] for answer in answers}
    shown = {question["question_id"] for question in again["questions"]}
    check(not answered & shown, f"{player} was shown a question again that he had just answered")
    return Played(player, answers, taken["persistence_job_id"])


def stabilities(place: Workplace, player: str) -> dict[str, int]:
    """A student's stabilities as MariaDB has them."""
    with place.connection.cursor() as cursor:
        cursor.execute(
            f"SELECT question_id, stability FROM {dataset.TRACKER} "
            "WHERE player = %s AND season = %s",
            (player, dataset.SEASON),
        )
        return dict(cursor.fetchall())


def play(place: Workplace, report: Report, choice: random.Random, students: int) -> None:
    """A full session of every student, then the drain, then a look into MariaDB."""
    players = [dataset.player(number) for number in range(students)]
    before = {player: stabilities(place, player) for player in players}
    sessions = [play_session(choice, player) for player in progress(players, "full sessions")]
    count = sum(len(session.answers) for session in sessions)
    start = time.perf_counter()
    drained = persist_review_batch()
    seconds = time.perf_counter() - start
    check(
        drained is not None and drained["answers"] == count,
        f"{count} answers should be drained: {drained}",
    )
    for session in sessions:
        check_persisted(place, session, before[session.player])
    report.add(
        f"{students} students answered {count:,} questions. Every answer was shown by the next "
        "read, and is in MariaDB with the stability that the rules give: drained in "
        f"{seconds * 1000:,.0f} ms."
    )


def check_persisted(place: Workplace, session: Played, before: Mapping[str, int]) -> None:
    """Check that MariaDB has the states that the rules give, and that the status says persisted."""
    frappe.set_user(session.player)
    status = reviews.get_persistence_status(session.job_id)["status"]
    check(status == "persisted", f"{session.job_id} of {session.player} is {status}")
    after = stabilities(place, session.player)
    for answer in session.answers:
        name = answer["question_id"]
        expected = stability_after_answer(before[name], answer["is_correct"], answer["duration_ms"])
        check(
            after[name] == expected,
            f"{session.player}, {name}: {after[name]} instead of {expected}",
        )


# -- beside plain Python ------------------------------------------------------------------------
@dataclass(frozen=True)
class Contest:
    """One operation, done in turns by memora and its opponents."""

    place: Workplace
    opponents: Mapping[str, plain_python.PlainPython]
    choice: random.Random
    students: int

    def any_player(self) -> str:
        """A student; the same for nobody in particular."""
        return dataset.player(self.choice.randrange(self.students))

    def log_in_any(self) -> str:
        """A student, logged in."""
        player = self.any_player()
        frappe.set_user(player)
        return player

    def warm(self) -> dict[str, Turn]:
        """20 due questions of a cached student."""
        turns = {MEMORA: Turn(lambda _: reviews.get_review_session(), self.log_in_any)}
        for name, way in self.opponents.items():
            turns[name] = Turn(way.due, self.any_player)
        return turns

    def subject(self) -> dict[str, Turn]:
        """20 due questions of one subject."""
        turns = {
            MEMORA: Turn(lambda _: reviews.get_review_session(subject="Science"), self.log_in_any)
        }
        for name, way in self.opponents.items():
            turns[name] = Turn(partial(way.due_of_subject, subject="Science"), self.any_player)
        return turns

    def cold(self) -> dict[str, Turn]:
        """20 due questions of a student who is not cached."""
        manager = SRSRedisManager()

        def forget() -> None:
            manager.clear_user_cache(self.log_in_any(), dataset.SEASON)

        turns = {MEMORA: Turn(lambda _: reviews.get_review_session(), forget)}
        for name, way in self.opponents.items():
            turns[name] = Turn(way.cold_due, partial(self.forgotten, way))
        return turns

    def forgotten(self, way: plain_python.PlainPython) -> str:
        """A student whom an opponent has not cached."""
        player = self.any_player()
        way.forget(player)
        return player

    def submit(self) -> dict[str, Turn]:
        """A session of 50 answers, durable and shown when the call returns."""

        def prepare() -> dict[str, Any]:
            self.log_in_any()
            return {"answers": dataset.answers(self.choice, 50, QUESTIONS), "total_combo": 3}

        def given() -> plain_python.Session:
            return self.any_player(), dataset.answers(self.choice, 50, QUESTIONS)

        turns = {MEMORA: Turn(reviews.submit_review_session, prepare)}
        for name, way in self.opponents.items():
            turns[name] = Turn(way.submit, given)
        return turns

    def drain(self) -> dict[str, Turn]:
        """1,000 answers from the journal, or from a list, to MariaDB."""
        connection = self.place.database.connect()

        def fill() -> None:
            persist_review_batch()
            for _ in range(20):
                self.log_in_any()
                answers = dataset.answers(self.choice, 50, QUESTIONS)
                reviews.submit_review_session(session_data={"answers": answers})

        return {
            MEMORA: Turn(lambda _: persist_review_batch(), fill),
            "good Python": Turn(lambda rows: plain_python.upsert_all(connection, rows), self.rows),
            "row by row": Turn(lambda rows: plain_python.upsert_each(connection, rows), self.rows),
        }

    def rows(self) -> list[plain_python.Row]:
        """1,000 new states for the plain table, in random order."""
        return dataset.plain_rows(self.choice, 1000, self.students, QUESTIONS)


def compare(
    place: Workplace, report: Report, choice: random.Random, students: int, rounds: int
) -> None:
    """Race every operation and show one table."""
    opponents = place.opponents()
    engine = place.engine()
    for player in progress(list(map(dataset.player, range(students))), "warming all caches"):
        # The first read of a subject arranges a student's questions, as the opponents' loads do.
        engine.due(player, subject="Science")
        for way in opponents.values():
            way.load(player)
    contest = Contest(place, opponents, choice, students)
    operations = [
        ("get_review_session, warm", contest.warm(), rounds),
        ("get_review_session, one subject", contest.subject(), rounds),
        ("get_review_session, cold (1,000 records)", contest.cold(), max(rounds // 5, 5)),
        ("submit_review_session, 50 answers", contest.submit(), max(rounds // 5, 5)),
        ("drain, 1,000 answers", contest.drain(), max(rounds // 20, 5)),
    ]
    results = {name: race(turns, repeats, name) for name, turns, repeats in operations}
    persist_review_batch()
    report.add(
        f"## p50 / p99 in milliseconds, and how many times slower than memora\n\n{summary(results)}"
    )
    report.numbers["operations"] = results


def summary(results: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """The table: a row for each operation, the ways side by side."""
    names = list(next(iter(results.values())))
    headings = ["operation"]
    for name in names:
        headings += [f"{name} p50", "p99"] + ([] if name == MEMORA else ["times"])
    rows = []
    for operation, times in results.items():
        row = [operation]
        for name in names:
            row += [number(percentile(times[name], 50)), number(percentile(times[name], 99))]
            row += [] if name == MEMORA else [f"{ratio(times[name], times[MEMORA]):.1f}x"]
        rows.append(row)
    return table(headings, rows)


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--students", type=int, default=STUDENTS)
    parser.add_argument("--rounds", type=int, default=200, help="rounds of the warm reads")
    parser.add_argument("--out", type=Path, help="also write the report here (.md and .json)")
    options = parser.parse_args()
    report = Report("memora: the main job, and plain Python beside it")
    choice = random.Random(SEED)
    print("starting private Redis (cache, journal) and MariaDB ...", flush=True)
    with open_workplace("256M") as place:
        shape = dataset.Shape(options.students, QUESTIONS)
        dataset.load(place.connection, dataset.TRACKER, shape, "loading records: memora", QUESTIONS)
        dataset.load(
            place.connection, plain_python.TABLE, shape, "loading records: plain Python", QUESTIONS
        )
        play(place, report, choice, options.students)
        compare(place, report, choice, options.students, options.rounds)
    report.add("The servers have ended; their folders are removed.")
    report.write(options.out)


if __name__ == "__main__":
    main()
