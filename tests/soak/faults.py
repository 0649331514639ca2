"""The faults of a site: servers and processes that die, hang, fill up or forget, wires that break,
for all or for one process alone, and clocks that jump."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any, Final

import pymysql

from tests.soak.crew import Crew
from tests.soak.load import MOST_WRONG, Students
from tests.support.servers import Redis, Server
from tests.support.site_under_test import TRACKER, Site
from tests.support.wire import SERVERS, Wire

FULL: Final = "100kb"
# No server listens there.
DEAD_PORT: Final = 1
# MariaDB takes no fewer.
FEWEST_CONNECTIONS: Final = 10
LOCK_WAIT_SECONDS: Final = 5
LOCK_SECONDS: Final = 8.0
SUBSETS: Final = [list(names) for size in (1, 2, 3) for names in combinations(SERVERS, size)]
# The faults of a wire, as plural verbs.
ORDERS: Final[dict[str, Callable[[Wire], None]]] = {
    "swallow replies": Wire.swallow,
    "hang": Wire.hang,
    "refuse": Wire.refuse,
}

# It lasts as long as the context is open, which returns what it struck.
Inflict = Callable[[], AbstractContextManager[str]]


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    Args:
        name: as progress shows it.
        inflict: does it.
        touches: the servers that it changes: no other fault may change them at the same time.
        sets_clock: whether it makes a clock wrong.
    """

    name: str
    inflict: Inflict
    touches: frozenset[str] = frozenset()
    sets_clock: bool = False


class Faults:
    """The faults of one site.

    Args:
        site: whose servers they strike.
        crew: whose processes, wires and clocks they strike.
        students: whom the crew serves.
        choice: of what they strike.
    """

    def __init__(self, site: Site, crew: Crew, students: Students, choice: random.Random) -> None:
        self.site: Final = site
        self.crew: Final = crew
        self.students: Final = students
        self.choice: Final = choice
        self.servers: Final[dict[str, Server]] = {
            name: getattr(site.servers, name) for name in SERVERS
        }
        # The places of processes that are dead or frozen now.
        self.absent: Final[set[int]] = set()
        # The fault of a wire now; the last one counts.
        self.orders: Final[dict[Wire, list[str]]] = {}
        self.all: Final = list(self._all())

    def _all(self) -> Iterator[Fault]:
        yield from self._of_servers()
        yield from self._of_wires()
        yield from self._of_limits()
        for job in ("web", "drain"):
            yield Fault(f"one {job} process killed", partial(self.process_killed, job))
            yield Fault(f"one {job} process paused", partial(self.process_paused, job))
        yield Fault("one process: clock jumps ahead", partial(self.clock, 1), sets_clock=True)
        yield Fault("one process: clock jumps back", partial(self.clock, -1), sets_clock=True)

    def _of_servers(self) -> Iterator[Fault]:
        for names in (["cache"], ["journal"], ["database"], ["cache", "journal"], [*SERVERS]):
            called = " and ".join(names)
            yield Fault(f"{called} killed", partial(self.killed, *names), frozenset(names))
            yield Fault(f"{called} paused", partial(self.paused, *names), frozenset(names))
        cache = frozenset(["cache"])
        yield Fault("cache comes back with old data", self.old_cache, cache)
        yield Fault("cache evicts", self.evicting_cache, cache)
        yield Fault("cache flushed", self.flushed, cache)
        yield Fault("cache loses some keys", self.lost_keys, cache)

    def _of_wires(self) -> Iterator[Fault]:
        for name in SERVERS:
            for how in ("are cut", *ORDERS):
                yield Fault(f"all wires to {name} {how}", partial(self.wires_of_all, name, how))
        for names in SUBSETS:
            called = " and ".join(names)
            for how in ("are cut", *ORDERS):
                yield Fault(
                    f"one process: wires to {called} {how}", partial(self.wires_of_one, names, how)
                )
            if len(names) > 1:
                several = partial(self.wires_of_one, names, "")
                yield Fault(f"one process: wires to {called} fail each in its way", several)

    def _of_limits(self) -> Iterator[Fault]:
        for names in (["cache"], ["journal"], ["cache", "journal"]):
            called, touches = " and ".join(names), frozenset(names)
            yield Fault(f"{called} full", partial(self.full, *names), touches)
            yield Fault(f"{called} at maxclients", partial(self.no_room, *names), touches)
            yield Fault(f"{called} read-only", partial(self.read_only, *names), touches)
        database = frozenset(["database"])
        yield Fault(
            "database at max_connections", partial(self.database_set, "max_connections"), database
        )
        yield Fault("database read-only", partial(self.database_set, "read_only"), database)
        yield Fault("a stranger locks rows of one student", self.locked, database)

    # -- servers ----------------------------------------------------------------------------
    @contextmanager
    def killed(self, *names: str) -> Iterator[str]:
        """Servers die, and are started again at the end."""
        for name in names:
            self.servers[name].kill()
        try:
            yield ""
        finally:
            for name in self.choice.sample(names, len(names)):
                self.servers[name].start()

    @contextmanager
    def paused(self, *names: str) -> Iterator[str]:
        """Servers hang: they keep their connections and answer nothing."""
        with ExitStack() as resumed:
            for name in self.choice.sample(names, len(names)):
                self.servers[name].pause()
                resumed.callback(self.servers[name].resume)
            yield ""

    @contextmanager
    def old_cache(self) -> Iterator[str]:
        """The cache dies and comes back with older data."""
        cache = self.site.servers.cache
        cache.snapshot()
        time.sleep(self.choice.random())
        cache.kill()
        try:
            yield ""
        finally:
            cache.start()
            cache.forget()

    @contextmanager
    def evicting_cache(self) -> Iterator[str]:
        """The cache has hardly any memory left and evicts keys here and there."""
        used = int(self.site.cache.info("memory")["used_memory"])
        with configured(
            self.site.servers.cache,
            {"maxmemory-policy": "allkeys-random", "maxmemory": used - 50_000},
        ):
            yield ""

    @contextmanager
    def flushed(self) -> Iterator[str]:
        """The cache forgets everything, scripts too."""
        self.site.cache.flushall()
        self.site.cache.script_flush()
        yield ""

    @contextmanager
    def lost_keys(self) -> Iterator[str]:
        """Some keys vanish, in any combination."""
        keys = self.site.cache.keys(f"{self.site.name}|*")
        for key in self.choice.sample(keys, len(keys) // 3):
            if self.choice.random() < 0.5:
                self.site.cache.delete(key)
            else:
                self.site.cache.pexpire(key, self.choice.randint(1, 500))
        yield ""

    # -- servers that answer and refuse -----------------------------------------------------
    @contextmanager
    def full(self, *names: str) -> Iterator[str]:
        """A Redis takes nothing more."""
        with ExitStack() as ends:
            for server in self.redis(names):
                settings = {"maxmemory-policy": "noeviction", "maxmemory": FULL}
                ends.enter_context(configured(server, settings))
            yield ""

    @contextmanager
    def no_room(self, *names: str) -> Iterator[str]:
        """A Redis refuses new connections and keeps those that are there; one process may lose its
        own."""
        with ExitStack() as ends:
            for server in self.redis(names):
                ends.enter_context(configured(server, {"maxclients": 1}))
            if self.choice.random() < 0.5:
                yield ""
                return
            place = self.choice.choice(self.crew.places())
            for name in names:
                self.crew.wires[place].to[name].cut()
            yield f"{self.crew.called(place)} loses its own"

    @contextmanager
    def read_only(self, *names: str) -> Iterator[str]:
        """A Redis becomes the replica of a dead one: it answers, keeps its data and takes
        nothing."""
        with ExitStack() as ends:
            for server in self.redis(names):
                client = ends.enter_context(server.client())
                client.execute_command("REPLICAOF", "127.0.0.1", DEAD_PORT)
                ends.callback(client.execute_command, "REPLICAOF", "NO", "ONE")
            yield ""

    @contextmanager
    def database_set(self, name: str) -> Iterator[str]:
        """MariaDB is read-only, or refuses new connections and keeps those that are there."""
        value = {"read_only": 1, "max_connections": FEWEST_CONNECTIONS}[name]
        with self.site.servers.database.connect_as_root() as root, root.cursor() as cursor:
            cursor.execute(f"SET SESSION lock_wait_timeout = {LOCK_WAIT_SECONDS}")
            cursor.execute(f"SELECT @@GLOBAL.{name}")
            before = cursor.fetchone()[0]
            cursor.execute(f"SET GLOBAL {name} = {value}")
            try:
                yield ""
            finally:
                cursor.execute(f"SET GLOBAL {name} = {before}")

    @contextmanager
    def locked(self) -> Iterator[str]:
        """A stranger's open transaction locks some rows of one student."""
        player = self.choice.choice(self.students.names)
        with (
            self.site.servers.database.connect(
                database=self.site.name, autocommit=False
            ) as stranger,
            stranger.cursor() as cursor,
        ):
            # The wait for the transactions that now write these rows may fail.
            with suppress(pymysql.err.OperationalError):
                cursor.execute(f"SET SESSION innodb_lock_wait_timeout = {LOCK_WAIT_SECONDS}")
                cursor.execute(
                    f"SELECT name FROM {TRACKER} WHERE player = %s LIMIT 3 FOR UPDATE", (player,)
                )
            # Longer than a statement waits for a lock.
            time.sleep(self.choice.random() * LOCK_SECONDS)
            yield player
            stranger.rollback()

    def redis(self, names: tuple[str, ...]) -> list[Redis]:
        """The Redis servers of these names."""
        return [getattr(self.site.servers, name) for name in names]

    # -- wires ------------------------------------------------------------------------------
    @contextmanager
    def wires_of_all(self, name: str, how: str) -> Iterator[str]:
        """The wires of all processes to one server break."""
        with ExitStack() as ends:
            wires = [wires.to[name] for wires in self.crew.wires]
            self.befall(ends, wires, how)
            yield ""

    @contextmanager
    def wires_of_one(self, names: list[str], how: str) -> Iterator[str]:
        """The wires of one process break, all alike or (no `how`) each in its way."""
        place = self.choice.choice(self.crew.places())
        with ExitStack() as ends:
            for name in names:
                one = how or self.choice.choice([*ORDERS])
                self.befall(ends, [self.crew.wires[place].to[name]], one)
            yield self.crew.called(place)

    def befall(self, ends: ExitStack, wires: list[Wire], how: str) -> None:
        """Let something befall wires until the end."""
        if how == "are cut":
            self.cut(wires)
            return
        for wire in wires:
            ends.enter_context(self.ordered(wire, how))

    def cut(self, wires: list[Wire]) -> None:
        """Connections break again and again, some of them when something was done and is not yet
        known."""
        for _ in range(self.choice.randint(1, 8)):
            for wire in wires:
                if self.orders.get(wire):
                    continue
                if self.choice.random() < 0.5:
                    wire.cut()
                else:
                    wire.swallow_reply(self.choice.randint(1, 20))
            time.sleep(self.choice.random() * 0.05)

    @contextmanager
    def ordered(self, wire: Wire, how: str) -> Iterator[None]:
        """A wire has a fault; at the end it is as it was before."""
        orders = self.orders.setdefault(wire, [])
        orders.append(how)
        ORDERS[how](wire)
        try:
            yield
        finally:
            orders.remove(how)
            if orders:
                ORDERS[orders[-1]](wire)
            else:
                wire.mend()

    # -- processes --------------------------------------------------------------------------
    @contextmanager
    def process_killed(self, job: str) -> Iterator[str]:
        """A process dies in the middle of its work; another takes its place."""
        with self.taken(job) as place:
            self.crew.kill(place)
            try:
                yield self.crew.called(place)
            finally:
                self.crew.replace(place)

    @contextmanager
    def process_paused(self, job: str) -> Iterator[str]:
        """A process stops in the middle of its work."""
        with self.taken(job) as place:
            self.crew.pause(place)
            try:
                yield self.crew.called(place)
            finally:
                self.crew.resume(place)

    @contextmanager
    def taken(self, job: str) -> Iterator[int]:
        """The place of a process that is there."""
        place = self.choice.choice(
            [place for place in self.crew.places(job) if place not in self.absent]
        )
        self.absent.add(place)
        try:
            yield place
        finally:
            self.absent.remove(place)

    @contextmanager
    def clock(self, direction: int) -> Iterator[str]:
        """The wall clock of one process jumps, at most as far as clocks may be wrong here, and
        back."""
        place = self.choice.choice(self.crew.places())
        clock = self.students.clock(place)
        before = clock.offset
        clock.set(before + (direction * MOST_WRONG - before) * (0.5 + self.choice.random() / 2))
        try:
            yield f"{self.crew.called(place)}: {before:+.0f} to {clock.offset:+.0f} s"
        finally:
            clock.set(before)


@contextmanager
def configured(server: Redis, settings: dict[str, Any]) -> Iterator[None]:
    """A Redis with other settings. The connection is kept: it may be the last one that the server
    takes."""
    with server.client() as client:
        before = {name: client.config_get(name)[name] for name in settings}
        for name, value in settings.items():
            client.config_set(name, value)
        try:
            yield
        finally:
            for name, value in before.items():
                client.config_set(name, value)
