"""What the servers of bigger sites cost: TLS, and a replica of the journal that must have each
answer, beside the same servers without it, in turns: `make bench-servers`."""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benches.report import Report, Turn, number, race, ratio, table

from memora._engine import Engine  # isort: skip
from tests.conftest import clean_site
from tests.support.secured import started_with_tls
from tests.support.sentinel import Replica
from tests.support.servers import wait_until
from tests.support.site_under_test import PATIENT, Record, Site, session

STUDENTS: Final = 20
QUESTIONS: Final = 1_000
SUBMISSIONS: Final = 20
PLAIN: Final = "plain"
TLS: Final = "TLS"
REPLICA: Final = "a replica has each answer"
DRAIN: Final = f"drain of {SUBMISSIONS * 50:,} answers"


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50, help="of each way")
    parser.add_argument("--out", type=Path, help="also write the report here (.md and .json)")
    options = parser.parse_args()
    report = Report("memora: what the servers of bigger sites cost")
    with tempfile.TemporaryDirectory() as folder, started_with_tls(Path(folder)) as secured:
        servers = secured.servers
        site = clean_site(Site(servers, servers.database.database, limits=PATIENT))
        players = [f"student{place}@school.example" for place in range(STUDENTS)]
        for player in players:
            site.add(player, [Record(f"q{place}") for place in range(QUESTIONS)])
        report.add(compare(site, players, TLS, secured.settings(), options.rounds))
        with Replica(servers.journal, "journal") as replica:
            assert wait_until(replica.follows)
            asked = {"journal_replicas": 1}
            report.add(compare(site, players, REPLICA, asked, options.rounds))
    report.write(options.out)


def compare(site: Site, players: list[str], way: str, settings: dict[str, Any], rounds: int) -> str:
    """A table: milliseconds of each call, plain and with these settings."""
    engines = {PLAIN: site.engine(), way: site.engine(**settings)}
    rows = []
    for name, work in works(site, players).items():
        turns = {
            each: Turn(work[1], lambda engine=engine, prepare=work[0]: prepare(engine))  # type: ignore[misc]
            for each, engine in engines.items()
        }
        # A process that has drained over TLS writes differently from then on, so that comes last.
        apart = [{each: turn} for each, turn in turns.items()] if name == DRAIN else [turns]
        times = {each: ms for some in apart for each, ms in race(some, rounds, name).items()}
        medians = [number(statistics.median(times[each])) for each in engines]
        rows.append([name, *medians, number(ratio(times[way], times[PLAIN]))])
    return table(["call", "plain ms", f"{way} ms", "times"], rows)


def works(
    site: Site, players: list[str]
) -> dict[str, tuple[Callable[[Engine], object], Callable[[Any], object]]]:
    """What is timed, by name: what prepares it, and the work itself."""
    player = players[0]

    def warm(engine: Engine) -> Engine:
        engine.due(player)
        return engine

    def cold(engine: Engine) -> Engine:
        engine.cache_clear(player, engine.due(player)["season"] or "")
        return engine

    def unconnected(engine: Engine) -> Engine:
        engine.close()
        return engine

    def filled(engine: Engine) -> Engine:
        for each in players[:SUBMISSIONS]:
            engine.submit(each, session_data=session(*[f"q{place}" for place in range(50)]))
        return engine

    def submit(engine: Engine) -> object:
        return engine.submit(player, session_data=session(*[f"q{place}" for place in range(10)]))

    def drained(engine: Engine) -> Engine:
        engine.drain()
        return warm(engine)

    return {
        DRAIN: (filled, lambda engine: engine.drain()),
        "read, cached": (warm, lambda engine: engine.due(player)),
        "submission of 10 answers": (drained, submit),
        "read of 1,000 records, not cached": (cold, lambda engine: engine.due(player)),
        "read, with new connections": (unconnected, lambda engine: engine.due(player)),
    }


if __name__ == "__main__":
    main()
