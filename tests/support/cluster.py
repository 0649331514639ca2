"""A Redis Cluster of real servers on loopback."""

from __future__ import annotations

import binascii
import contextlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import redis

from tests.support.servers import Redis, ServerError, Started, free_port, redis_version, wait_until

SLOTS: Final = 16_384
SHARDS: Final = 32
# The nodes agree on a dead node, and replace it, after about this time.
NODE_TIMEOUT_MS: Final = 1_000


class ClusterNode(Redis):
    """One node. It keeps its identity on disk, but no keys."""

    def __init__(self, parent: Path | None = None) -> None:
        options: dict[str, object] = {
            "cluster-enabled": "yes",
            "cluster-config-file": "nodes.conf",
            "cluster-node-timeout": NODE_TIMEOUT_MS,
            # A node that is down affects only its own slots.
            "cluster-require-full-coverage": "no",
            "repl-diskless-sync-delay": 0,
        }
        if redis_version() > 6:
            options["cluster-port"] = free_port()
        super().__init__("cache", parent=parent, options=options)
        # Redis 6 adds this, wherever that leads.
        self.bus_port: Final = int(str(options.get("cluster-port", self.port + 10_000)))
        self.name = "redis-node"

    @property
    def database(self) -> int:
        """A cluster has no other."""
        return 0

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments of `memora._engine.Settings` that lead there."""
        return {"cache_url": None, "cache_cluster_nodes": [self.address]}

    def start_of(self, site: str, player: str) -> str:
        """The hash tag of a student's shard."""
        return tag(site, player)

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"{self.host}:{self.port}"

    def ask(self, *command: object) -> Any:
        """Send a command."""
        with contextlib.closing(self.client()) as client:
            return client.execute_command(*command)

    def take_slots(self, first: int, last: int) -> None:
        """Take slots that no node has."""
        # Redis 6 has no ADDSLOTSRANGE.
        self.ask("CLUSTER", "ADDSLOTS", *range(first, last + 1))

    @property
    def id(self) -> str:
        """How the others call it."""
        return str(self.ask("CLUSTER", "MYID"))


class OnlyNode(ClusterNode):
    """A cluster of one node, in the place of a plain Redis."""

    def start(self) -> None:
        """Start it, and wait until it has all slots."""
        super().start()
        with contextlib.suppress(redis.ResponseError):
            self.take_slots(0, SLOTS - 1)
        if not wait_until(lambda: "cluster_state:ok" in self.ask("CLUSTER", "INFO")):
            raise ServerError(f"the cluster did not form:\n{self.log_end()}")

    def forget(self) -> None:
        """Remove everything on disk but its identity."""
        for path in self.folder.iterdir():
            if path.name not in (self.log.name, "nodes.conf"):
                path.unlink()


def tag(site: str, player: str) -> str:
    """The prefix of the keys of a student's shard in a cluster, by src/rules/shard.rs."""
    shard = binascii.crc_hqx(player.encode(), 0) % SHARDS
    for number in range(SLOTS):
        name = f"{site}/{shard}.{number}"
        if binascii.crc_hqx(name.encode(), 0) % SLOTS * SHARDS // SLOTS == shard:
            return f"{{{name}}}"
    raise LookupError(player)


class Cluster(Started):
    """Some masters that have all slots between them, each with this many replicas.

    Args:
        masters: how many.
        replicas: of each.
        parent: where their folders are.
    """

    def __init__(self, masters: int = 3, replicas: int = 0, parent: Path | None = None) -> None:
        self.nodes: Final = [ClusterNode(parent) for _ in range(masters * (1 + replicas))]
        self.masters: Final = self.nodes[:masters]

    @property
    def addresses(self) -> list[str]:
        """`host:port` of each node."""
        return [node.address for node in self.nodes]

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments of `memora._engine.Settings` that lead there."""
        return {"cache_url": None, "cache_cluster_nodes": self.addresses}

    def start(self) -> None:
        """Start all nodes, and make them a cluster."""
        for node in self.nodes:
            node.start()
        self._form()

    def close(self) -> None:
        """End all nodes."""
        for node in self.nodes:
            node.close()

    def empty(self) -> None:
        """Bring back all nodes, and remove all keys."""
        for node in self.nodes:
            if node.is_running():
                node.resume()
            node.start()
        if not wait_until(self.is_whole):
            raise ServerError(f"the cluster is not whole: {self.nodes[0].ask('CLUSTER', 'NODES')}")
        for node in self.running_masters():
            node.ask("FLUSHALL")
            node.ask("SCRIPT", "FLUSH")

    def all_keys(self, pattern: str = "*") -> set[str]:
        """The keys of all masters."""
        return {key for node in self.running_masters() for key in node.ask("KEYS", pattern)}

    def running_masters(self) -> Iterator[ClusterNode]:
        """Nodes that have slots now."""
        for node in self.nodes:
            if node.is_running() and node.ask("ROLE")[0] == "master":
                yield node

    def owner(self, slot: int) -> ClusterNode:
        """The node that has a slot, as the first that answers knows it."""
        for first, last, (host, port, *_), *_ in self._slots():
            if first <= slot <= last:
                return next(node for node in self.nodes if (node.host, node.port) == (host, port))
        raise LookupError(slot)

    def move(self, slot: int, to: ClusterNode) -> None:
        """Move a slot, as `redis-cli --cluster reshard` does."""
        source = self.owner(slot)
        to.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", to.id)
        while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 10):
            source.ask("MIGRATE", to.host, to.port, "", 0, 5_000, "KEYS", *keys)
        for node in (to, source, *self.masters):
            if node.is_running():
                node.ask("CLUSTER", "SETSLOT", slot, "NODE", to.id)

    def is_whole(self) -> bool:
        """Whether each node knows all others and the owner of each slot, and replicas follow."""
        return all(self._knows_all(node) for node in self.nodes)

    def _knows_all(self, node: ClusterNode) -> bool:
        try:
            state: str = node.ask("CLUSTER", "INFO")
            nodes: str = node.ask("CLUSTER", "NODES")
            role = node.ask("ROLE")
        except redis.RedisError:
            return False
        flags = [line.split()[2] for line in nodes.splitlines()]
        return (
            "cluster_state:ok" in state
            and f"cluster_slots_ok:{SLOTS}" in state
            and len(flags) == len(self.nodes)
            and not any("fail" in flag or "handshake" in flag for flag in flags)
            and (role[0] == "master" or role[3] == "connected")
        )

    def _slots(self) -> Sequence[Any]:
        for node in self.nodes:
            with contextlib.suppress(redis.RedisError):
                found: Sequence[Any] = node.ask("CLUSTER", "SLOTS")
                return found
        raise ServerError("no node answers")

    def _form(self) -> None:
        count = len(self.masters)
        for place, node in enumerate(self.masters):
            first, last = place * SLOTS // count, (place + 1) * SLOTS // count - 1
            node.take_slots(first, last)
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", place + 1)
        for node in self.nodes[1:]:
            met = self.nodes[0]
            node.ask("CLUSTER", "MEET", met.host, met.port, met.bus_port)
        for place, node in enumerate(self.nodes[count:]):
            master = self.masters[place % count]
            replicates = partial(self._does, node, ("CLUSTER", "REPLICATE", master.id))
            if not wait_until(replicates):
                raise ServerError(f"{node.address} does not replicate:\n{node.log_end()}")
        if not wait_until(self.is_whole):
            raise ServerError(f"the cluster did not form:\n{self.nodes[0].log_end()}")

    @staticmethod
    def _does(node: ClusterNode, command: Sequence[object]) -> bool:
        try:
            node.ask(*command)
        except redis.ResponseError:
            # It does not know the other one yet.
            return False
        return True
