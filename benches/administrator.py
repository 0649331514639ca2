"""What administrators do to a season's cache, beside the plain-Python way: `make bench-administrator`.

Rebuild and reconciliation of a season, and the status in a Redis that others fill, all on the same private
servers in the same run. Ratios are medians over rounds in turns.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import statistics
import time
from collections.abc import Callable
from datetime import timezone
from pathlib import Path
from typing import Any, Final

import pymysql.cursors

from benches import dataset
from benches.report import Report, Turn, bar, number, percentile, race, ratio
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


class PlainPython:
    """The opponents: redis-py (hiredis) with pipelines, and PyMySQL."""

    def __init__(self, place: Workplace) -> None:
        self.connection: Final = place.database.connect(cursorclass=pymysql.cursors.DictCursor)
        self.cache: Final = place.cache.client()

    def rows(self, player: str) -> tuple[dict[str, Any], ...]:
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"SELECT question_id, next_review_date, stability, subject, topic, last_review_date "
                f"FROM {dataset.TRACKER} WHERE season = %s AND player = %s",
                (dataset.SEASON, player),
            )
            return tuple(cursor.fetchall())

    def rebuild(self, students: int, with_details: bool) -> None:
        """Each student's dates with one ZADD a record, or all that memora keeps with two commands."""
        for number_ in range(students):
            player = dataset.player(number_)
            rows = self.rows(player)
            key, pipeline = f"plain:{player}", self.cache.pipeline(transaction=False)
            pipeline.delete(key, f"{key}:detail")
            if with_details:
                pipeline.zadd(key, {row["question_id"]: unix(row) for row in rows})
                details = {row["question_id"]: f"{row['stability']},{row['subject']}" for row in rows}
                pipeline.hset(f"{key}:detail", mapping=details)
            else:
                for row in rows:
                    pipeline.zadd(key, {row["question_id"]: unix(row)})
            pipeline.execute()

    def reconcile(self, place: Workplace, records: int) -> int:
        """One ZSCORE a record; how many differ."""
        wrong = 0
        for number_ in range(records // QUESTIONS):
            player = dataset.player(number_)
            key = f"{place.database.database}|srs:{player}:{dataset.SEASON}"
            wrong += sum(self.cache.zscore(key, row["question_id"]) != unix(row) for row in self.rows(player))
        return wrong


def unix(row: dict[str, Any]) -> float:
    """A row's next review as Unix time."""
    return float(row["next_review_date"].replace(tzinfo=timezone.utc).timestamp())


def tell(report: Report, label: str, asked: str, got: str, held: bool | None) -> None:
    """Report a number, and whether it is what was asked for; None: nothing was."""
    report.add(
        f"{label}: {got}" + (f" (asked: {asked})" if asked else "") + (" MISS" if held is False else "")
    )
    report.numbers[label] = got
    if held is False:
        report.failures.append(label)


# -- rebuild --------------------------------------------------------------------------------------
def rebuild(report: Report, place: Workplace, students: int, rounds: int) -> None:
    engine, plain, records = place.engine(), PlainPython(place), students * QUESTIONS
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
    times["memora into an empty cache"] = []
    for _ in range(rounds):
        place.cache.client().flushall()
        start = time.perf_counter()
        engine.rebuild(dataset.SEASON)
        times["memora into an empty cache"].append((time.perf_counter() - start) * 1e3)

    def rate(milliseconds: list[float]) -> str:
        return f"{number(records / statistics.median(milliseconds) * 1e3)}/s"

    faster = ratio(of_all["ZADD"], times["memora"])
    tell(report, f"rebuild of {number(records)} records, over a full cache", "", rate(times["memora"]), None)
    tell(report, "the same into an empty cache", "", rate(times["memora into an empty cache"]), None)
    tell(report, "plain Python, one ZADD a record", "", rate(of_all["ZADD"]), None)
    tell(report, "good Python, dates and details", "", rate(of_all["good"]), None)
    tell(report, "faster than one ZADD a record", f"{REBUILD_AIM}x", f"{faster:.1f}x", faster >= REBUILD_AIM)
    tell(report, "faster than good Python", "", f"{ratio(of_all['good'], times['memora']):.1f}x", None)


def growth_mib(place: Workplace) -> float:
    """By how much the process that rebuilds grows, in MiB."""
    receiver, sender = FORK.Pipe(duplex=False)

    def child() -> None:
        engine = place.engine()
        engine.due(dataset.player(0))
        before = peak_kib()
        engine.rebuild(dataset.SEASON)
        sender.send((peak_kib() - before) / 1024)

    process = FORK.Process(target=child)
    process.start()
    process.join()
    return float(receiver.recv())


def peak_kib() -> int:
    """The most memory that this process had so far, in KiB; counted anew from now on."""
    with open("/proc/self/status") as status:
        (line,) = (line for line in status if line.startswith("VmHWM"))
    with open("/proc/self/clear_refs", "w") as clear:
        clear.write("5")
    return int(line.split()[1])


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
        return f"{site}|srs:{player}:{dataset.SEASON}", f"{site}|srs-detail:{player}:{dataset.SEASON}"

    for student in names[:half_filled]:
        for key, remove in zip(keys(student), (pipeline.zrem, pipeline.hdel), strict=True):
            remove(key, "", *(dataset.question_id(each) for each in range(QUESTIONS // 2)))
    rest = names[half_filled:]
    for count in range(PLANTED):
        student = rest[count % len(rest)]
        schedule, details = keys(student)
        place_in_set = count // len(rest)
        missing, other = dataset.question_id(3 * place_in_set), dataset.question_id(3 * place_in_set + 1)
        pipeline.zrem(schedule, missing)
        pipeline.hdel(details, missing)
        pipeline.zadd(schedule, {f"ghost{place_in_set}": 1.0, other: 5.0})
    pipeline.execute()
    return {"missing": PLANTED, "ghost": PLANTED, "wrong_date": PLANTED, "half_filled": half_filled}


def reconcile(report: Report, place: Workplace, students: int, rounds: int) -> None:
    engine, plain = place.engine(), PlainPython(place)
    records = students * QUESTIONS
    engine.rebuild(dataset.SEASON)
    sampled: list[int] = []
    times = race(
        {
            "memora": Turn(lambda _: sampled.append(engine.reconcile(dataset.SEASON, SAMPLE)["records"])),
            "ZSCORE": Turn(lambda _: plain.reconcile(place, SAMPLE)),
        },
        rounds,
        "reconcile a sample",
    )
    ours = [each / size for each, size in zip(times["memora"], sampled, strict=True)]
    theirs = [each / SAMPLE for each in times["ZSCORE"]]
    faster = ratio(theirs, ours)
    tell(report, f"sample of {number(SAMPLE)}", "", f"{number(1e3 / statistics.median(ours))}/s", None)
    tell(
        report, "plain Python, one ZSCORE a record", "", f"{number(1e3 / statistics.median(theirs))}/s", None
    )
    tell(
        report,
        "faster than one ZSCORE a record",
        f"{RECONCILE_AIM}x",
        f"{faster:.1f}x",
        faster >= RECONCILE_AIM,
    )
    seconds = []
    planted = plant(place, students)
    for expected in (planted, dict.fromkeys(planted, 0)):
        start = time.perf_counter()
        found = engine.reconcile(dataset.SEASON)
        seconds.append(time.perf_counter() - start)
        got = {name: found[name] for name in planted}  # type: ignore[literal-required]
        label = "planted errors found" if any(expected.values()) else "found once they are corrected"
        tell(report, label, str(list(expected.values())), str(list(got.values())), got == expected)
    tell(report, f"all {number(records)} records", "seconds", f"{statistics.median(seconds):.1f} s", None)


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


# -- status -----------------------------------------------------------------------------------------
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
    tell(report, "get_cache_status, no other keys: p50", "", f"{percentile(alone, 50):.1f} ms", None)
    tell(report, f"among {number(foreign)} other keys: p50", "", f"{percentile(among, 50):.1f} ms", None)
    slowest = percentile(among, 99)
    tell(report, "the same: p99", f"{STATUS_AIM_MS} ms", f"{slowest:.1f} ms", slowest < STATUS_AIM_MS)


def loaded(place: Workplace, students: int) -> None:
    """Fill the table anew."""
    with place.connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {dataset.TRACKER}")
    place.engine().create_partition(dataset.SEASON)
    shape = dataset.Shape(students, QUESTIONS)
    dataset.load(place.connection, dataset.TRACKER, shape, f"{number(shape.rows)} records")


def main() -> int:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--students", type=int, default=1000, help=f"each has {QUESTIONS} records")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--foreign", type=int, default=1_000_000, help="other keys in the same Redis")
    parser.add_argument("--scale", type=int, nargs=2, default=(100, 10_000), help="students, for samples")
    parser.add_argument("--out", type=Path, help="also write the report here (.md and .json)")
    options = parser.parse_args()
    report = Report(f"memora: a cache of {number(options.students * QUESTIONS)} records")
    parts: list[Callable[[Workplace], None]] = [
        lambda place: rebuild(report, place, options.students, options.rounds),
        lambda place: reconcile(report, place, options.students, options.rounds),
        lambda place: status(report, place, options.foreign),
    ]
    with open_workplace() as place:
        # Room for four times as many schedules, and for the opponents'.
        place.cache.client().config_set("maxmemory", "8gb")
        loaded(place, options.students)
        for part in parts:
            part(place)
        small = growth_mib(place)
        loaded(place, 4 * options.students)
        large = growth_mib(place)
        tell(
            report, f"growth at {number(options.students * QUESTIONS)} records", "", f"{small:.1f} MiB", None
        )
        is_flat = large - small <= MOST_GROWTH_MIB
        tell(
            report, "at four times as many", f"{small + MOST_GROWTH_MIB:.1f} MiB", f"{large:.1f} MiB", is_flat
        )
        times = []
        for students in options.scale:
            loaded(place, students)
            times.append(sample_ms(place, students))
        ratio_ = max(times) / min(times)
        label = " and ".join(number(each * QUESTIONS) for each in options.scale)
        tell(report, f"a sample on {label} rows", f"{SCALE_AIM}x", f"{ratio_:.2f}x", ratio_ <= SCALE_AIM)
    report.write(options.out)
    return 1 if report.failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
