"""What memora promises, as ratios of one run: `make bench`."""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import MySQLdb
import pymysql

from benches import dataset, plain_python
from benches.report import (
    Report,
    Turn,
    add_run_options,
    number,
    progress,
    race,
    ratio,
    repeat,
    table,
)
from benches.workplace import Workplace, add_site, open_workplace
from tests.support.servers import MariaDB
from tests.support.site_under_test import Cost, Servers, Site

from memora._engine import Engine  # isort: skip

ROUND_TRIP: Final = ("cargo", "bench", "--bench", "round_trip")
SEED: Final = 2026
MEMORA: Final = "memora"
SUBJECT: Final = "Science"
TOPIC: Final = "Science 3"
# From Python, too: `Engine.cache_due` is that one command and a list of pairs.
BARE: Final = "bare ZRANGEBYSCORE, memora's client"
FRAPPE_TABLE: Final = "a plain Frappe table"
OWN_TABLE: Final = "memora's own table, in key order"


@dataclass(frozen=True)
class Bench:
    """What every measurement needs."""

    place: Workplace
    engine: Engine
    report: Report
    choice: random.Random
    shape: dataset.Shape
    rounds: int

    def any_player(self) -> str:
        """A student chosen at random."""
        return dataset.player(self.choice.randrange(self.shape.students))

    def connection(self) -> pymysql.Connection[Any]:
        """A new PyMySQL connection."""
        return self.place.database.connect()


# -- reads --------------------------------------------------------------------------------------
def warm_read(bench: Bench) -> None:
    """A warm read: its cost on the servers, and its time beside a bare ZRANGEBYSCORE."""
    engine, player = bench.engine, dataset.player(0)
    opponents = bench.place.opponents()
    for way in opponents.values():
        way.load(player)
    engine.due(player)
    engine.due(player, subject=SUBJECT)
    engine.due(player, topic=TOPIC)
    show_cost(bench, "warm read", lambda: engine.due(player))
    show_cost(bench, "warm read of one subject", lambda: engine.due(player, subject=SUBJECT))
    show_cost(bench, "focus mode", lambda: engine.due(player, topic=TOPIC))
    client = bench.place.cache.client()
    key = f"{bench.place.database.database}|srs:{player}:{dataset.SEASON}"
    turns = {
        MEMORA: Turn(lambda _: engine.due(player)),
        BARE: Turn(lambda _: engine.cache_due(player, dataset.SEASON, 20)),
        "bare ZRANGEBYSCORE, redis-py": Turn(
            lambda _: client.zrangebyscore(key, "-inf", 9e9, start=0, num=20, withscores=True)
        ),
    }
    times = race(turns, bench.rounds * 50, "warm read, bare round trips beside it")
    bench.report.add_times("Warm read of 20, and a bare round trip", times)
    bench.report.claim(
        "warm read, times a bare ZRANGEBYSCORE of the same client",
        round_trip(bench, player),
        at_most=1.3,
    )
    turns = {MEMORA: Turn(lambda _: engine.due(player))}
    turns |= {name: Turn(calling(way.due, player)) for name, way in opponents.items()}
    bench.report.add_times("Warm read of 20", race(turns, bench.rounds * 5, "warm read"))
    turns = {MEMORA: Turn(lambda _: engine.due(player, subject=SUBJECT))}
    turns |= {
        name: Turn(calling(way.due_of_subject, player, SUBJECT)) for name, way in opponents.items()
    }
    times = race(turns, bench.rounds * 2, "warm read of one subject")
    bench.report.add_times("Warm read of one subject", times)
    bench.report.claim(
        "warm read of one subject, times faster than good Python",
        ratio(times["good Python"], times[MEMORA]),
        at_least=1.5,
    )
    turns = {MEMORA: Turn(lambda _: engine.due(player, topic=TOPIC))}
    turns |= {name: Turn(calling(way.practise, player, TOPIC)) for name, way in opponents.items()}
    bench.report.add_times("Focus mode", race(turns, bench.rounds * 2, "focus mode"))


def calling(call: Callable[..., object], *arguments: object) -> Callable[[Any], object]:
    """A call with arguments of its own, whatever was prepared for it."""
    return lambda _prepared: call(*arguments)


def round_trip(bench: Bench, player: str) -> float:
    """The engine's call beside the bare command, both in Rust (benches/round_trip.rs): the median
    ratio."""
    place = bench.place
    servers = place.database.settings | {
        "site": place.database.database,
        "cache_url": place.cache.url,
        "journal_url": place.journal.url,
        "player": player,
        "season": dataset.SEASON,
    }
    done = subprocess.run(
        [*ROUND_TRIP, "--quiet"],
        env=os.environ | {"MEMORA_ROUND_TRIP": json.dumps(servers)},
        cwd=Path(__file__).parent.parent,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    measured: dict[str, float] = json.loads(done.stdout)
    bench.report.numbers["round trip, in Rust"] = measured
    bench.report.add(
        f"In Rust: engine {measured['engine_us']} µs, bare ZRANGEBYSCORE {measured['bare_us']} µs."
    )
    return measured["ratio"]


def show_cost(bench: Bench, what: str, call: Callable[[], object], calls: int = 100) -> None:
    """State how many SQL statements and round trips a call takes."""
    place = bench.place
    site = Site(Servers(place.cache, place.journal, place.database), place.database.database)
    with site.counting() as costs:
        for _ in range(calls):
            call()
    cost: Cost = costs[0]
    bench.report.claim(
        f"{what}: SQL statements in {calls} calls (Com_select)", cost.selects, at_most=0
    )
    trips = (cost.cache_round_trips + cost.journal_round_trips) / calls
    bench.report.claim(f"{what}: Redis round trips a call", trips, at_most=2)


def cold_read(bench: Bench) -> None:
    """Load, cache and answer, of a student who is not cached."""
    engine = bench.engine

    def forget() -> str:
        player = bench.any_player()
        engine.cache_clear(player, dataset.SEASON)
        return player

    def forgotten(way: plain_python.PlainPython) -> str:
        player = bench.any_player()
        way.forget(player)
        return player

    turns = {MEMORA: Turn(engine.due, forget)}
    for name, way in bench.place.opponents().items():
        turns[name] = Turn(way.cold_due, partial(forgotten, way))
    times = race(turns, bench.rounds, "cold read")
    bench.report.add_times(f"Cold read of {bench.shape.questions:,} records", times)
    bench.report.claim(
        "cold read, times faster than row by row",
        ratio(times["row by row"], times[MEMORA]),
        at_least=10,
    )
    bench.report.claim(
        "cold read, times faster than good Python",
        ratio(times["good Python"], times[MEMORA]),
        at_least=3,
    )


# -- writes -------------------------------------------------------------------------------------
def submit(bench: Bench) -> None:
    """A session of 50 answers: durable and shown when the call returns."""
    opponents: dict[str, plain_python.PlainPython] = bench.place.opponents()
    opponents["row by row, Track Changes"] = plain_python.RowByRowWithVersions(
        bench.connection(), bench.place.cache.client(), dataset.SEASON
    )
    players = [dataset.player(number) for number in range(min(20, bench.shape.students))]
    for player in progress(players, "warming the caches"):
        bench.engine.due(player)
        for way in opponents.values():
            way.load(player)

    def given() -> tuple[str, list[plain_python.Answer]]:
        return bench.choice.choice(players), dataset.answers(
            bench.choice, 50, bench.shape.questions
        )

    def as_sent() -> tuple[str, str]:
        player, answers = given()
        return player, dataset.session_data(answers)

    turns = {MEMORA: Turn(lambda sent: bench.engine.submit(*sent), as_sent)}
    turns |= {name: Turn(way.submit, given) for name, way in opponents.items()}
    times = race(turns, bench.rounds, "submit of 50 answers")
    bench.report.add_times("Submit of 50 answers", times)
    bench.report.claim(
        "submit, times faster than row by row",
        ratio(times["row by row"], times[MEMORA]),
        at_least=20,
    )
    check_shown(bench)
    bench.engine.drain()


def check_shown(bench: Bench) -> None:
    """What a submission leaves: durable in the journal, shown by the next read."""
    player = bench.any_player()
    before = bench.engine.due(player, limit=50)
    questions = [question["question_id"] for question in before["questions"]]
    answers: list[plain_python.Answer] = [
        {"question_id": name, "is_correct": True, "duration_ms": 3000} for name in questions
    ]
    taken = bench.engine.submit(player, dataset.session_data(answers))
    after = bench.engine.due(player, limit=50)
    shown = before["total_due"] - after["total_due"] == len(questions) == taken["processed"]
    status = bench.engine.journal_status()
    persistence = bench.engine.persistence_status(player, taken["persistence_job_id"])
    bench.report.claim(
        "submit: answers that the next read does not show", 0 if shown else 1, at_most=0
    )
    bench.report.add(
        f"The journal: appendonly {status['appendonly']}, appendfsync {status['appendfsync']}, "
        f"{status['backlog']} submissions wait; the last one is {persistence}."
    )


def drain(bench: Bench, answers: int) -> None:
    """Answers a second into a table that has its rows already; sessions of students chosen at
    random.

    Good Python writes the table that Frappe makes, as the sessions come, and memora's own table,
    with its partitions and keys, in the order of its primary key. Each way has a table of its own.
    """
    place, shape = bench.place, bench.shape
    server, own = place.database, f"{place.database.database}_of_plain_python"
    add_site(place, own)
    with server.connect(database=own) as connection:
        dataset.load(connection, dataset.TRACKER, shape, "loading records: memora's table again")
    session = dataset.ANSWERS_A_SESSION

    def fill() -> None:
        for _ in range(answers // session):
            given = dataset.answers(bench.choice, session, shape.questions)
            bench.engine.submit(bench.any_player(), dataset.session_data(given))

    def rows() -> list[plain_python.Row]:
        return dataset.plain_rows(bench.choice, answers, shape.students, shape.questions)

    def rows_in_key_order() -> list[plain_python.Row]:
        columns = plain_python.UPSERT_COLUMNS
        key = itemgetter(*map(columns.index, ("player", "season", "question_id")))
        return sorted(rows(), key=key)

    def upsert(connection: Any, statement: str) -> Callable[[Any], object]:
        return lambda given: plain_python.upsert_all(connection, given, statement)

    turns = {MEMORA: Turn(lambda _: bench.engine.drain(600.0), fill)}
    into_own = plain_python.UPSERT.replace(plain_python.TABLE, dataset.TRACKER)
    for name, connect in (("mysqlclient", mysqlclient), ("PyMySQL", pymysql_client)):
        turns[f"{name}, {FRAPPE_TABLE}"] = Turn(
            upsert(connect(server, server.database), plain_python.UPSERT), rows
        )
        turns[f"{name}, {OWN_TABLE}"] = Turn(
            upsert(connect(server, own), into_own), rows_in_key_order
        )
    times = race(turns, 5, f"drain of {answers:,} answers")
    rates = {name: [answers / (value / 1000) for value in values] for name, values in times.items()}
    ratios = {name: ratio(times[name], times[MEMORA]) for name in times}
    lines = [
        [name, number(statistics.median(rates[name])), f"{ratios[name]:.2f}x"] for name in rates
    ]
    heading = f"## Drain of {answers:,} answers into a table of {shape.rows:,} rows"
    bench.report.add(f"{heading}\n\n{table(['way', 'answers a second', 'times slower'], lines)}")
    bench.report.add(
        "All others write with executemany of 1,000 rows.\n"
        f"- {FRAPPE_TABLE}: `name` is its primary key; the rows come session after session. This "
        "is what an app writes that does not think about its table.\n"
        f"- {OWN_TABLE}: partitions by season, player, season and question as its primary key; the "
        "rows are sorted by it. What is left is the engine's part alone."
    )
    bench.report.numbers["drain"] = {
        name: {"answers a second": statistics.median(rates[name]), "ratio": ratios[name]}
        for name in rates
    }
    rate = statistics.median(rates[MEMORA])
    bench.report.claim("drain, answers a second", rate, at_least=80_000)


def mysqlclient(server: MariaDB, database: str) -> Any:
    """A connection of mysqlclient, which is written in C."""
    return MySQLdb.connect(
        host=server.host, port=server.port, user=server.user, passwd=server.password,
        db=database, charset="utf8mb4",
    )  # fmt: skip


def pymysql_client(server: MariaDB, database: str) -> Any:
    """A connection of PyMySQL, which Frappe uses."""
    return server.connect(database=database)


def bytes_a_record(bench: Bench) -> None:
    """Size of the tables' files, after all of the above."""
    server = bench.place.database
    lines = []
    for name, tracker in ((MEMORA, dataset.TRACKER), ("plain Frappe table", plain_python.TABLE)):
        with bench.connection() as connection, connection.cursor() as cursor:
            size = dataset.bytes_on_disk(server.data, server.database, tracker.strip("`"))
            cursor.execute(f"SELECT COUNT(*) FROM {tracker}")
            count = cursor.fetchone()[0]
        lines.append([name, f"{count:,}", number(size / 2**20), number(size / count)])
        bench.report.numbers[f"bytes a record, {name}"] = size / count
    report = table(["table", "records", "MiB on disk", "bytes a record"], lines)
    bench.report.add(f"## Size on disk, indexes included\n\n{report}")


def run(options: argparse.Namespace, report: Report) -> None:
    """The whole bench once, on servers of its own."""
    shape = dataset.Shape(options.students, 1000, options.order)
    with open_workplace(options.buffer_pool) as place:
        dataset.load(place.connection, dataset.TRACKER, shape, "loading records: memora")
        dataset.load(place.connection, plain_python.TABLE, shape, "loading records: plain Python")
        bench = Bench(place, place.engine(), report, random.Random(SEED), shape, options.rounds)
        for measure in (warm_read, cold_read, submit):
            measure(bench)
        drain(bench, options.drain)
        bytes_a_record(bench)


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--students", type=int, default=1000, help="1,000 records each")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--drain", type=int, default=100_000, help="answers in one drain")
    parser.add_argument("--buffer-pool", default="2G", help="by default all tables fit")
    parser.add_argument(
        "--order", choices=["time", "key"], default="time", help="in which the table was filled"
    )
    add_run_options(parser)
    options = parser.parse_args()
    # Before the servers start: it takes minutes where nothing is built yet, and cargo tells of it.
    subprocess.run([*ROUND_TRIP, "--no-run"], cwd=Path(__file__).parent.parent, check=True)
    title = f"memora beside plain Python, {options.students * 1000:,} records"
    repeat(title, options, run)


if __name__ == "__main__":
    main()
