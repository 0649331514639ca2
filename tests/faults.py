"""What can befall a site: servers and processes that die, hang, fill up or forget, and wires that break."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Final

from tests.load import Crew, drain, serve
from tests.servers import Redis, Server
from tests.site_under_test import Site
from tests.wire import Wire

FULL: Final = "1mb"


class Faults:
    """The faults of one site. Each is a context: it lasts as long as the context is open."""

    def __init__(self, site: Site, crew: Crew, wires: dict[str, Wire], choice: random.Random) -> None:
        self.site: Final = site
        self.crew: Final = crew
        self.wires: Final = wires
        self.choice: Final = choice
        servers = site.servers
        self.servers: Final[dict[str, Server]] = {
            "cache": servers.cache,
            "journal": servers.journal,
            "database": servers.database,
        }
        self.all: Final = dict(self._all())

    def _all(self) -> Iterator[tuple[str, Callable[[], AbstractContextManager[None]]]]:
        for names in (["cache"], ["journal"], ["database"], ["cache", "journal"], [*self.servers]):
            called = " and ".join(names)
            yield f"{called} killed", partial(self.killed, *names)
            yield f"{called} paused", partial(self.paused, *names)
        for name in self.wires:
            yield f"wire to {name} cut", partial(self.cut, name)
            yield f"wire to {name} swallows replies", partial(self.broken, name, "swallow")
            yield f"wire to {name} hangs", partial(self.broken, name, "hang")
        yield "cache comes back with old data", self.old_cache
        yield "cache evicts", self.evicting_cache
        yield "cache full", partial(self.full, self.site.servers.cache)
        yield "journal full", partial(self.full, self.site.servers.journal)
        yield "cache flushed", self.flushed
        yield "cache loses some keys", self.lost_keys
        yield "web process killed", partial(self.process_killed, serve)
        yield "web process paused", partial(self.process_paused, serve)
        yield "drain killed", partial(self.process_killed, drain)
        yield "drain paused", partial(self.process_paused, drain)

    @contextmanager
    def killed(self, *names: str) -> Iterator[None]:
        """Servers die, and are started again at the end."""
        for name in names:
            self.servers[name].kill()
        try:
            yield
        finally:
            for name in self.choice.sample(names, len(names)):
                self.servers[name].start()

    @contextmanager
    def paused(self, *names: str) -> Iterator[None]:
        """Servers hang: they keep their connections and answer nothing."""
        with ExitStack() as resumed:
            for name in self.choice.sample(names, len(names)):
                self.servers[name].pause()
                resumed.callback(self.servers[name].resume)
            yield

    @contextmanager
    def cut(self, name: str) -> Iterator[None]:
        """Connections break again and again, some of them when something was done and is not yet known."""
        for _ in range(self.choice.randint(1, 8)):
            if self.choice.random() < 0.5:
                self.wires[name].cut()
            else:
                self.wires[name].swallow_reply(self.choice.randint(1, 20))
            time.sleep(self.choice.random() * 0.05)
        yield

    @contextmanager
    def broken(self, name: str, how: str) -> Iterator[None]:
        """A wire swallows replies: what was asked is done, and nobody learns of it. Or it hangs."""
        wire = self.wires[name]
        {"swallow": wire.swallow, "hang": wire.hang}[how]()
        try:
            yield
        finally:
            wire.mend()

    @contextmanager
    def old_cache(self) -> Iterator[None]:
        """The cache dies and comes back with what it held a while ago."""
        cache = self.site.servers.cache
        cache.snapshot()
        time.sleep(self.choice.random())
        cache.kill()
        try:
            yield
        finally:
            cache.start()
            cache.forget()

    @contextmanager
    def evicting_cache(self) -> Iterator[None]:
        """The cache has hardly any room and evicts keys, one here and one there."""
        with self.configured(self.site.servers.cache, {"maxmemory-policy": "allkeys-random"}):
            used = int(self.site.cache.info("memory")["used_memory"])
            self.site.cache.config_set("maxmemory", used - 50_000)
            yield

    @contextmanager
    def full(self, server: Redis) -> Iterator[None]:
        """A Redis takes nothing more."""
        with self.configured(server, {"maxmemory-policy": "noeviction", "maxmemory": FULL}):
            yield

    @contextmanager
    def configured(self, server: Redis, settings: dict[str, str]) -> Iterator[None]:
        """A Redis with other settings."""
        with server.client() as client:
            before = {name: client.config_get(name)[name] for name in ("maxmemory", "maxmemory-policy")}
            for name, value in settings.items():
                client.config_set(name, value)
        try:
            yield
        finally:
            with server.client() as client:
                for name, value in before.items():
                    client.config_set(name, value)

    @contextmanager
    def flushed(self) -> Iterator[None]:
        """The cache forgets everything, scripts too."""
        self.site.cache.flushall()
        self.site.cache.script_flush()
        yield

    @contextmanager
    def lost_keys(self) -> Iterator[None]:
        """Some keys go, in whatever combination."""
        keys = self.site.cache.keys(f"{self.site.name}|*")
        for key in self.choice.sample(keys, len(keys) // 3):
            if self.choice.random() < 0.5:
                self.site.cache.delete(key)
            else:
                self.site.cache.pexpire(key, self.choice.randint(1, 500))
        yield

    @contextmanager
    def process_killed(self, job: Callable[..., None]) -> Iterator[None]:
        """A process dies in the midst of its work; another takes its place."""
        place = self.choice.choice(self.crew.places(job))
        self.crew.kill(place)
        try:
            yield
        finally:
            self.crew.replace(place)

    @contextmanager
    def process_paused(self, job: Callable[..., None]) -> Iterator[None]:
        """A process stands still in the midst of its work."""
        place = self.choice.choice(self.crew.places(job))
        self.crew.pause(place)
        try:
            yield
        finally:
            self.crew.resume(place)
