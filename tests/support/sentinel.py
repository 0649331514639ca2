"""A primary, its replicas, and the sentinels that promote one of them when it fails."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import redis

from tests.support.servers import Redis, Server, find_program, wait_until

SERVICE: Final = "school"
DOWN_AFTER_MS: Final = 1_000


class Replica(Redis):
    """A Redis that follows another one from its start."""

    def __init__(
        self, primary: Redis, role: Literal["cache", "journal"], parent: Path | None = None
    ) -> None:
        super().__init__(role, primary.appendfsync, parent, primary.options)
        self.primary: Final = primary

    def command(self) -> list[str]:
        """The command line of this role, as a replica."""
        follows = ["--replicaof", self.primary.host, str(self.primary.port)]
        return [*super().command(), *follows]

    def follows(self) -> bool:
        """Whether it has all its primary's data, and follows it."""
        with contextlib.closing(self.client(0)) as client:
            return client.info("replication").get("master_link_status") == "up"


class Sentinel(Server):
    """A sentinel that watches a primary.

    Args:
        primary: the server that is the primary at first.
        quorum: how many sentinels must find that it is down.
    """

    name = "sentinel"

    def __init__(self, primary: Redis, quorum: int) -> None:
        super().__init__()
        self.settings: Final = self.folder / "sentinel.conf"
        lines = [
            f"port {self.port}",
            f"bind {self.host}",
            f"dir {self.folder}",
            f"sentinel monitor {SERVICE} {primary.host} {primary.port} {quorum}",
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}",
            f"sentinel failover-timeout {SERVICE} 10000",
        ]
        self.settings.write_text("\n".join(lines) + "\n")

    def command(self) -> list[str]:
        """The command line."""
        return [find_program("redis-server"), str(self.settings), "--sentinel"]

    def check(self) -> None:
        """PING."""
        with contextlib.closing(self.client()) as client:
            client.ping()

    def client(self) -> redis.Redis[str]:
        """A new client."""
        return redis.Redis(host=self.host, port=self.port, decode_responses=True, socket_timeout=10)

    def about(self) -> dict[str, Any]:
        """What it knows of the primary."""
        with contextlib.closing(self.client()) as client:
            found = client.execute_command("SENTINEL", "MASTER", SERVICE)
        return found if isinstance(found, dict) else dict(zip(found[::2], found[1::2], strict=True))


class Watched:
    """A primary, its replicas, and their sentinels."""

    def __init__(self, primary: Redis, replicas: list[Replica], sentinels: list[Sentinel]) -> None:
        self.servers: Final[list[Redis]] = [primary, *replicas]
        self.sentinels: Final = sentinels

    @property
    def settings(self) -> dict[str, Any]:
        """As `memora._engine.Settings` takes it."""
        return {
            "sentinels": [f"{one.host}:{one.port}" for one in self.sentinels],
            "master_service": SERVICE,
            "sentinel_username": None,
            "sentinel_password": None,
            "master_username": None,
            "master_password": None,
        }

    def primary(self) -> Redis:
        """The server that the first sentinel takes for the primary."""
        port = int(self.sentinels[0].about()["port"])
        return next(server for server in self.servers if server.port == port)

    def others(self) -> list[Redis]:
        """The servers that are not the primary."""
        primary = self.primary()
        return [server for server in self.servers if server is not primary]

    def fail_over(self) -> None:
        """Have a replica promoted, as an administrator does before stopping the primary."""

        def is_accepted() -> bool:
            with contextlib.closing(self.sentinels[0].client()) as client:
                try:
                    client.execute_command("SENTINEL", "FAILOVER", SERVICE)
                except redis.ResponseError as error:
                    # It has briefly not heard of the replica.
                    if "NOGOODSLAVE" in str(error):
                        return False
                    raise
            return True

        assert wait_until(is_accepted)

    def await_other(self, old: Redis) -> Redis:
        """Wait until another server is the primary; it is returned."""
        assert wait_until(lambda: self.primary() is not old)
        return self.primary()

    def await_followers(self) -> None:
        """Wait until all others follow the primary."""

        def follow() -> bool:
            with contextlib.closing(self.primary().client(0)) as client:
                about = client.info("replication")
            online = [
                about[f"slave{number}"]
                for number in range(int(about["connected_slaves"]))
                if about[f"slave{number}"]["state"] == "online"
            ]
            return len(online) == len(self.servers) - 1

        assert wait_until(follow)


@contextmanager
def watched(
    role: Literal["cache", "journal"],
    replicas: int = 1,
    sentinels: int = 1,
    primary: Redis | None = None,
    parent: Path | None = None,
) -> Iterator[Watched]:
    """A primary, or a given one, with this many replicas and sentinels; all follow, and all know
    each other."""
    with ExitStack() as stack:
        first = primary or stack.enter_context(Redis(role, "always", parent))
        followers = [stack.enter_context(Replica(first, role, parent)) for _ in range(replicas)]
        assert wait_until(lambda: all(replica.follows() for replica in followers))
        quorum = sentinels // 2 + 1
        watchers = [stack.enter_context(Sentinel(first, quorum)) for _ in range(sentinels)]

        def is_complete(sentinel: Sentinel) -> bool:
            about = sentinel.about()
            found = int(about["num-slaves"]), int(about["num-other-sentinels"])
            return found == (replicas, sentinels - 1)

        assert wait_until(lambda: all(is_complete(one) for one in watchers))
        yield Watched(first, followers, watchers)
