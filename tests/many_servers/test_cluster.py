"""The cache on a Redis Cluster of three masters with a replica each: nodes die, and slots move, but
nothing is lost, doubled or undone, and no read shows an older state."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster, ClusterNode
from tests.support.crowd import Crowd
from tests.support.servers import wait_until
from tests.support.site_under_test import IMPATIENT, Site

pytestmark = pytest.mark.engines(**IMPATIENT)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    memory = Path("/dev/shm")
    with Cluster(3, replicas=1, parent=memory if memory.is_dir() else None) as cluster:
        yield cluster


def is_master(node: ClusterNode) -> bool:
    return bool(node.ask("ROLE")[0] == "master")


def killed(cluster: Cluster) -> None:
    """A master dies, its replica takes over, and it comes back as that one's replica."""
    cluster.masters[0].kill()
    assert wait_until(lambda: is_master(cluster.nodes[3]))
    cluster.masters[0].start()


def hanging(cluster: Cluster) -> None:
    """A master hangs until its replica has taken over, and wakes up."""
    cluster.masters[0].pause()
    try:
        assert wait_until(lambda: is_master(cluster.nodes[3]))
    finally:
        cluster.masters[0].resume()


def planned(cluster: Cluster) -> None:
    """An administrator has a replica take over."""
    cluster.nodes[3].ask("CLUSTER", "FAILOVER")
    assert wait_until(lambda: is_master(cluster.nodes[3]))


def gone(cluster: Cluster) -> None:
    """A master and its replica are down for three seconds."""
    both = cluster.masters[0], cluster.nodes[3]
    for node in both:
        node.kill()
    time.sleep(3)
    for node in both:
        node.start()


def resharded(cluster: Cluster) -> None:
    """Half of a master's slots that have keys move to another one, back, and there again."""
    source, target = cluster.masters[:2]
    slots = {source.ask("CLUSTER", "KEYSLOT", key) for key in source.ask("KEYS", "*")}
    half = sorted(slots)[::2]
    for one, other in ((source, target), (target, source), (source, target)):
        for slot in half:
            cluster.move(slot, other)
        assert not any(one.ask("CLUSTER", "COUNTKEYSINSLOT", slot) for slot in half)


@pytest.mark.parametrize("fault", [killed, hanging, planned, gone, resharded])
def test_the_cache(site: Site, cluster: Cluster, fault: Callable[[Cluster], None]) -> None:
    report = Crowd.of(site, cluster.settings).live(lambda: fault(cluster))
    assert wait_until(cluster.is_whole)
    report.check(f"cache, Redis Cluster 3 + 3, {fault.__name__}")
