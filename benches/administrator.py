"""What administrators do to a season's cache, beside the plain-Python way: `make
bench-administrator`.

Rebuild and reconciliation of a season, and the status in a Redis that others fill, all on the same
private servers in the same run. Ratios are medians over rounds in turns.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import statistics
import time
from collections.abc import Sequence
from datetime import timezone
from pathlib import Path
from typing import Any, Final

import pymysql.cursors

from benches import dataset
from benches.plain_python import Answer
from benches.report import (
    Report,
    Turn,
    add_run_options,
    bar,
    memory_mib,
    number,
    percentile,
    race,
    ratio,
    repeat,
)
from benches.workplace import Workplace, open_workplace
from tests import frappe_standin

SEED: Final = 2026
QUESTIONS: Final = 1000
SAMPLE: Final = 10_000
PLANTED: Final = 500
HALF_FILLED: Final = 200
STATUS_CALLS: Final = 200
KEYS_AT_A_TIME: Final = 10_000
FORK: Final = multiprocessing.get_context("fork")

REBUILD_AIM: Final = 15
RECONCILE_AIM: Final = 30
MOST_GROWTH_MIB: Final = 20
STATUS_AIM_MS: Final = 50
SCALE_AIM: Final = 1.5
SECONDS_AIM: Final = 10
MEANWHILE_SECONDS: Final = 10.0
STUDY_REST_SECONDS: Final = 0.02


class Opponent:
    """Plain Python on memora's table: redis-py (hiredis) with pipelines, and PyMySQL."""

    def __init__(self, place: Workplace) -> None:
        self.connection: Final = place.database.connect(cursorclass=pymysql.cursors.DictCursor)
        self.cache: Final = place.cache.client()

    def rows(self, player: str) -> tuple[dict[str, Any], ...]:
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT question_id, next_review_date, stability, subject, topic, last_review_date "
                f"FROM {dataset.TRACKER} WHERE season = %s AND player = %s",
                (dataset.SEASON, player),
            )
            return tuple(cursor.fetchall())

    def rebuild(self, students: int, with_details: bool) -> None:
        """Each student's dates with one ZADD a record, or all that memora keeps with two
        commands."""
        for student in range(students):
            player = dataset.player(student)
            rows = self.rows(player)
            key, pipeline = f"plain:{player}", self.cache.pipeline(transaction=False)
            pipeline.delete(key, f"{key}:detail")
            if with_details:
                pipeline.zadd(key, {row["question_id"]: unix(row) for row in rows})
                details = {
                    row["question_id"]: f"{row['stability']},{row['subject']}" for row in rows
                }
                pipeline.hset(f"{key}:detail", mapping=details)
            else:
                for row in rows:
                    pipeline.zadd(key, {row["question_id"]: unix(row)})
            pipeline.execute()

    def reconcile(self, place: Workplace, records: int) -> int:
        """One ZSCORE a record; how many differ."""
        wrong = 0
        for student in range(records // QUESTIONS):
            player = dataset.player(student)
            key = f"{place.database.database}|srs:{player}:{dataset.SEASON}"
            wrong += sum(
                self.cache.zscore(key, row["question_id"]) != unix(row) for row in self.rows(player)
            )
        return wrong


def unix(row: dict[str, Any]) -> float:
    """A row's next review as Unix time."""
    return float(row["next_review_date"].replace(tzinfo=timezone.utc).timestamp())


def rate(records: float, milliseconds: Sequence[float]) -> str:
    """Records a second: of these in the median time."""
    return f"{number(records / statistics.median(milliseconds) * 1e3)}/s"


# -- rebuild --------------------------------------------------------------------------------------
def rebuild(report: Report, place: Workplace, students: int, rounds: int) -> None:
    engine, plain, records = place.engine(), Opponent(place), students * QUESTIONS
    # A part is enough for the slow ones: they take the same time for each student.
    part = max(1, students // 10)
    times = race(
        {
            "memora": Turn(lambda _: engine.rebuild(dataset.SEASON)),
            "ZADD": Turn(lambda _: plain.rebuild(part, with_details=False)),
            "good": Turn(lambda _: plain.rebuild(part, with_details=True)),
        },
        rounds,
        "rebuild",
    )
    of_all = {name: [each * students / part for each in times[name]] for name in ("ZADD", "good")}
    into_empty = []
    for _ in range(rounds):
        place.cache.client().flushall()
        start = time.perf_counter()
        engine.rebuild(dataset.SEASON)
        into_empty.append((time.perf_counter() - start) * 1e3)

    report.add(
        f"rebuild of {number(records)} records, over a full cache: {rate(records, times['memora'])}"
    )
    report.add(f"the same into an empty cache: {rate(records, into_empty)}")
    report.add(f"plain Python, one ZADD a record: {rate(records, of_all['ZADD'])}")
    report.add(f"good Python, dates and details: {rate(records, of_all['good'])}")
    faster = ratio(of_all["good"], times["memora"])
    report.add(f"times as fast as good Python: {faster:.1f}")
    report.numbers["rebuild, times as fast as good Python"] = {"ratio": faster}
    faster = ratio(of_all["ZADD"], times["memora"])
    report.claim("times as fast as one ZADD a record", faster, at_least=REBUILD_AIM)


def meanwhile(report: Report, place: Workplace) -> None:
    """How long two students wait, while the season is rebuilt again and again."""
    lost = 0
    for phase in ("nothing else happens", "it is rebuilt"):
        stop = FORK.Event()
        pipes = [FORK.Pipe(duplex=False) for _ in range(2)]
        for student, (_receiver, sender) in enumerate(pipes):
            FORK.Process(target=study, args=(place, student, phase, stop, sender)).start()
        end = time.monotonic() + MEANWHILE_SECONDS
        while time.monotonic() < end:
            if phase == "it is rebuilt":
                place.engine().rebuild(dataset.SEASON)
            else:
                time.sleep(0.1)
        stop.set()
        studied = [receiver.recv() for receiver, _sender in pipes]
        waited = [milliseconds for each, _lost in studied for milliseconds in each]
        lost += sum(missing for _waited, missing in studied)
        report.add(
            f"reading and answering while {phase}: {number(len(waited))} times, "
            f"p50 {percentile(waited, 50):.1f} ms, p99 {percentile(waited, 99):.1f} ms"
        )
    report.claim("answers that were lost", lost, at_most=0)


def study(place: Workplace, student: int, phase: str, stop: Any, sender: Any) -> None:
    """Read and answer a new question, until it is over; sends how long each took, and how many were
    lost."""
    engine, name = place.engine(), dataset.player(student)
    waited: list[float] = []
    answered: set[str] = set()
    while not stop.is_set():
        question = f"{phase} {len(answered)}"
        answers: list[Answer] = [{"question_id": question, "is_correct": True, "duration_ms": 3000}]
        start = time.perf_counter()
        engine.due(name)
        engine.submit(name, session_data=dataset.session_data(answers))
        waited.append((time.perf_counter() - start) * 1e3)
        answered.add(question)
        time.sleep(STUDY_REST_SECONDS)
    engine.rehydrate(name, dataset.SEASON)
    sender.send((waited, len(answered - set(engine.cache_scores(name, dataset.SEASON)))))


def growth_mib(place: Workplace) -> float:
    """How much the memory of the process that rebuilds grows, in MiB."""
    receiver, sender = FORK.Pipe(duplex=False)

    def child() -> None:
        engine = place.engine()
        engine.due(dataset.player(0))
        # The highest is counted again from here.
        Path("/proc/self/clear_refs").write_text("5")
        before = memory_mib("VmRSS")
        engine.rebuild(dataset.SEASON)
        sender.send(memory_mib("VmHWM") - before)

    process = FORK.Process(target=child)
    process.start()
    process.join()
    return float(receiver.recv())


# -- reconciliation -------------------------------------------------------------------------------
def plant(place: Workplace, students: int) -> dict[str, int]:
    """Errors of each kind, each student with at most one kind; how many."""
    cache, site = place.cache.client(), place.database.database
    choice = random.Random(SEED)
    half_filled = min(HALF_FILLED, students // 4)
    names = choice.sample(range(students), students)
    pipeline = cache.pipeline(transaction=False)

    def keys(student: int) -> tuple[str, str]:
        player = dataset.player(student)
        return (
            f"{site}|srs:{player}:{dataset.SEASON}",
            f"{site}|srs-detail:{player}:{dataset.SEASON}",
        )

    for student in names[:half_filled]:
        for key, remove in zip(keys(student), (pipeline.zrem, pipeline.hdel), strict=True):
            remove(key, "", *(dataset.question_id(each) for each in range(QUESTIONS // 2)))
    rest = names[half_filled:]
    for count in range(PLANTED):
        student = rest[count % len(rest)]
        schedule, details = keys(student)
        place_in_set = count // len(rest)
        missing, other = (
            dataset.question_id(3 * place_in_set),
            dataset.question_id(3 * place_in_set + 1),
        )
        pipeline.zrem(schedule, missing)
        pipeline.hdel(details, missing)
        pipeline.zadd(schedule, {f"ghost{place_in_set}": 1.0, other: 5.0})
    pipeline.execute()
    return {"missing": PLANTED, "ghost": PLANTED, "wrong_date": PLANTED, "half_filled": half_filled}


def reconcile(report: Report, place: Workplace, students: int, rounds: int) -> None:
    engine, plain = place.engine(), Opponent(place)
    records = students * QUESTIONS
    engine.rebuild(dataset.SEASON)
    sampled: list[int] = []
    times = race(
        {
            "memora": Turn(
                lambda _: sampled.append(engine.reconcile(dataset.SEASON, SAMPLE)["records"])
            ),
            "ZSCORE": Turn(lambda _: plain.reconcile(place, SAMPLE)),
        },
        rounds,
        "reconcile a sample",
    )
    ours = [each / size for each, size in zip(times["memora"], sampled, strict=True)]
    theirs = [each / SAMPLE for each in times["ZSCORE"]]
    report.add(f"sample of {number(SAMPLE)}: {rate(1, ours)}")
    report.add(f"plain Python, one ZSCORE a record: {rate(1, theirs)}")
    report.claim(
        "times as fast as one ZSCORE a record", ratio(theirs, ours), at_least=RECONCILE_AIM
    )
    seconds = []
    planted = plant(place, students)
    for label, expected in (("planted", planted), ("left", dict.fromkeys(planted, 0))):
        start = time.perf_counter()
        found = engine.reconcile(dataset.SEASON)
        seconds.append(time.perf_counter() - start)
        for kind, count in expected.items():
            got = found[kind]  # type: ignore[literal-required]
            report.claim(f"{label} and found: {kind}", got, at_least=count, at_most=count)
    report.claim(
        f"seconds for all {number(records)}", statistics.median(seconds), at_most=SECONDS_AIM
    )


def sample_ms(place: Workplace, students: int) -> float:
    """How long a sample takes with two hundred students cached."""
    engine = place.engine()
    place.cache.client().flushall()
    for student in range(0, students, max(1, students // 200)):
        engine.rehydrate(dataset.player(student), dataset.SEASON)
    times = []
    for _ in range(30):
        start = time.perf_counter()
        found = engine.reconcile(dataset.SEASON, SAMPLE)
        times.append((time.perf_counter() - start) * 1e3 * SAMPLE / found["records"])
    return statistics.median(times)


# -- status
# -----------------------------------------------------------------------------------------
def status(report: Report, place: Workplace, foreign: int) -> None:
    from memora.api import srs

    frappe_standin.recorded.roles[frappe_standin.MANAGER] = ["System Manager"]
    place.log_in(frappe_standin.MANAGER)

    def call_ms() -> list[float]:
        times = []
        for _ in range(STATUS_CALLS):
            start = time.perf_counter()
            srs.get_cache_status()
            times.append((time.perf_counter() - start) * 1e3)
        return times

    alone = call_ms()
    client = place.cache.client()
    with bar(foreign, "foreign keys") as advance:
        for first in range(0, foreign, KEYS_AT_A_TIME):
            client.mset({f"foreign{each}": 1 for each in range(first, first + KEYS_AT_A_TIME)})
            advance(KEYS_AT_A_TIME)
    among = call_ms()
    for label, times in (("no", alone), (number(foreign), among)):
        report.add(f"get_cache_status with {label} other keys: p50 {percentile(times, 50):.1f} ms")
    report.claim("p99 among the other keys, ms", percentile(among, 99), at_most=STATUS_AIM_MS)


def loaded(place: Workplace, students: int) -> None:
    """Fill the table again."""
    with place.connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {dataset.TRACKER}")
    place.engine().create_partition(dataset.SEASON)
    shape = dataset.Shape(students, QUESTIONS)
    dataset.load(place.connection, dataset.TRACKER, shape, f"{number(shape.rows)} records")


def run(options: argparse.Namespace, report: Report) -> None:
    """The whole bench once."""
    with open_workplace() as place:
        # Room for four times as many schedules, and for the opponents'.
        place.cache.client().config_set("maxmemory", "8gb")
        loaded(place, options.students)
        rebuild(report, place, options.students, options.rounds)
        meanwhile(report, place)
        reconcile(report, place, options.students, options.rounds)
        status(report, place, options.foreign)
        small = growth_mib(place)
        loaded(place, 4 * options.students)
        large = growth_mib(place)
        report.add(
            f"the process grows by {small:.1f} MiB, at four times as many by {large:.1f} MiB"
        )
        report.claim(
            "growth at four times as many, more MiB", large - small, at_most=MOST_GROWTH_MIB
        )
        times = []
        for students in options.scale:
            loaded(place, students)
            times.append(sample_ms(place, students))
        report.claim(
            f"a sample on {' and '.join(number(each * QUESTIONS) for each in options.scale)} "
            "rows, slower by",
            max(times) / min(times),
            at_most=SCALE_AIM,
        )


def main() -> int:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--students", type=int, default=1000, help=f"each has {QUESTIONS} records")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--foreign", type=int, default=1_000_000, help="other keys in the same Redis"
    )
    parser.add_argument(
        "--scale", type=int, nargs=2, default=(100, 10_000), help="students, for samples"
    )
    add_run_options(parser)
    options = parser.parse_args()
    title = f"memora: a cache of {number(options.students * QUESTIONS)} records"
    return 1 if repeat(title, options, run).failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
