"""Several web hosts whose clocks differ by minutes, under load: behind one address for all servers,
with servers of their own, and while servers fail."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from tests.consistency.test_drain import drain_all
from tests.support.clocks import Clock, build_library
from tests.support.expectation import stability_after_answers
from tests.support.hosts import Host
from tests.support.servers import Redis
from tests.support.site_under_test import IMPATIENT, TOPICS, Record, Site
from tests.support.wire import Wires

MINUTES: Final = 60.0
# Seconds by which each host's clock is ahead.
OFFSETS: Final = (5 * MINUTES, 0.0, -5 * MINUTES)
PROCESSES: Final = 2
SECONDS: Final = 20.0
STUDENTS: Final = 60
DRIVERS: Final = 6


@dataclass
class Found:
    """What a load has seen."""

    acknowledged: int = 0
    refused: int = 0
    reads: int = 0
    degraded: int = 0
    stale: list[str] = field(default_factory=list)
    longest: float = 0.0


class Load:
    """Students who are sent to another host with each call, as by a load balancer.

    Args:
        hosts: the processes.
    """

    def __init__(self, hosts: list[Host]) -> None:
        self.hosts: Final = hosts
        self.found: Final = Found()
        self.possible: Final = {
            f"student{number}@school.example": {2} for number in range(STUDENTS)
        }
        self._lock: Final = threading.Lock()
        self._end = 0.0

    def run(self, seconds: float, fault: Callable[[], object] = lambda: None) -> Found:
        """Let students answer and read; a fault comes in the middle."""
        self._end = time.monotonic() + seconds
        players = list(self.possible)
        threads = [
            threading.Thread(target=self._drive, args=(players[number::DRIVERS], number))
            for number in range(DRIVERS)
        ]
        threads.append(threading.Thread(target=self._drain))
        for thread in threads:
            thread.start()
        time.sleep(seconds / 3)
        fault()
        for thread in threads:
            thread.join()
        return self.found

    def _drive(self, players: list[str], seed: int) -> None:
        choice = random.Random(seed)
        while time.monotonic() < self._end:
            player = choice.choice(players)
            self._answer(player, choice.choice(self.hosts), choice.random() < 0.6)
            for _ in range(2):
                self._read(player, choice.choice(self.hosts))

    def _answer(self, player: str, host: Host, is_correct: bool) -> None:
        began = time.monotonic()
        outcome = host.answer(player, is_correct)
        after = {stability_after_answers(one, is_correct) for one in self.possible[player]}
        with self._lock:
            self.found.longest = max(self.found.longest, time.monotonic() - began)
            if outcome["error"]:
                self.found.refused += 1
                self.possible[player] |= after
            else:
                self.found.acknowledged += 1
                self.possible[player] = after

    def _read(self, player: str, host: Host) -> None:
        began = time.monotonic()
        outcome = host.read(player)
        with self._lock:
            self.found.reads += 1
            self.found.longest = max(self.found.longest, time.monotonic() - began)
            if outcome["is_degraded"] or outcome["error"]:
                self.found.degraded += 1
            elif outcome["stability"] not in self.possible[player]:
                self.found.stale.append(f"{player} {outcome} {self.possible[player]}")

    def _drain(self) -> None:
        number = 0
        while time.monotonic() < self._end:
            self.hosts[number % len(self.hosts)].drain()
            number += 1
            time.sleep(0.2)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What gives a process a clock of its own."""
    return build_library(tmp_path_factory.mktemp("clock"))


@pytest.fixture
def ends() -> Iterator[ExitStack]:
    """What ends with the test."""
    with ExitStack() as ends:
        yield ends


@pytest.fixture
def start(site: Site, library: Path, tmp_path: Path, ends: ExitStack) -> Callable[..., list[Host]]:
    """Starts the processes of all hosts; each host has settings of its own."""

    def start(*own: dict[str, Any]) -> list[Host]:
        for number in range(STUDENTS):
            site.add(f"student{number}@school.example", [Record("q", topic=TOPICS[0])])
        hosts = []
        for number, offset in enumerate(OFFSETS):
            clock = Clock(tmp_path / f"clock{number}")
            clock.set(offset)
            settings = site.plain_settings() | IMPATIENT | own[number % len(own)]
            hosts += [ends.enter_context(Host(settings, clock, library)) for _ in range(PROCESSES)]
        return hosts

    return start


def check(site: Site, load: Load, hosts: list[Host], name: str, journals: int = 1) -> None:
    """Nothing is lost, doubled, undone or stale."""
    for host in hosts * journals:
        host.drain()
    drain_all(site, site.engine())
    wrong = [
        player
        for player, possible in load.possible.items()
        if site.rows(player)["q"]["stability"] not in possible
    ]
    found = load.found
    print(
        f"\n| {name} | {found.acknowledged} acknowledged | {found.refused} refused | {found.reads} "
        f"reads | {found.degraded} degraded | {len(found.stale)} stale | {len(wrong)} wrong | "
        f"longest {found.longest:.2f} s | news {sorted({n for h in hosts for n in h.news()})} |"
    )
    assert found.stale == []
    assert wrong == []
    assert found.acknowledged > 0


@pytest.mark.parametrize("fault", ["nothing", "cache", "journal", "database"])
def test_clocks_minutes_apart(site: Site, start: Callable[..., list[Host]], fault: str) -> None:
    hosts = start({})
    load = Load(hosts)

    def restart() -> None:
        if fault != "nothing":
            getattr(site.servers, fault).kill()
            time.sleep(2)
            getattr(site.servers, fault).start()

    load.run(SECONDS, restart)
    check(site, load, hosts, f"clocks 5 minutes apart, {fault} restarts")


def test_a_redis_cache_on_each_host(
    site: Site, start: Callable[..., list[Host]], ends: ExitStack
) -> None:
    caches = [site.servers.cache, *(ends.enter_context(Redis("cache")) for _ in OFFSETS[1:])]
    hosts = start(*({"cache_url": cache.url} for cache in caches))
    load = Load(hosts)
    load.run(SECONDS)
    rows = site.sql("SELECT is_open FROM `memora_outage` WHERE server = 'caches'")
    assert rows[0]["is_open"]
    check(site, load, hosts, "a redis_cache on each host")


def test_a_redis_queue_on_each_host(
    site: Site, start: Callable[..., list[Host]], ends: ExitStack
) -> None:
    journals = [site.servers.journal, *(ends.enter_context(Redis("journal")) for _ in OFFSETS[1:])]
    hosts = start(*({"journal_url": journal.url} for journal in journals))
    load = Load(hosts)
    load.run(SECONDS)
    check(site, load, hosts, "a redis_queue on each host", journals=3)


def test_the_cache_fails_over_host_by_host(
    site: Site, start: Callable[..., list[Host]], ends: ExitStack
) -> None:
    """The old primary answers whoever still has a connection, for some seconds."""
    new = ends.enter_context(Redis("cache"))
    wires = [ends.enter_context(Wires(site.servers)) for _ in OFFSETS]
    hosts = start(*({"cache_url": wire.settings["cache_url"]} for wire in wires))
    load = Load(hosts)

    def fail_over() -> None:
        for wire in wires:
            wire.to["cache"].lead(new.port)
            wire.to["cache"].cut()
            time.sleep(1.5)

    load.run(SECONDS, fail_over)
    check(site, load, hosts, "the cache fails over, host by host")
