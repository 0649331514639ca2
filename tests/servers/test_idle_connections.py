"""Connections that the network has dropped, while all servers are healthy: no student notices.

Firewalls and load balancers silently drop idle connections: packets sent over them are never
answered.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

import pytest

from memora._engine import Engine
from tests.support.servers import wait_until
from tests.support.site_under_test import PLAYER, SEASON, Record, Site, ids, session
from tests.support.wire import Wires

pytestmark = pytest.mark.engines(
    redis_timeout_ms=2_000, database_timeout_ms=4_000, trust_lease_ms=10_000
)

# A connection that was idle for a second is tested first.
RESTS = [0.0, 1.1]


@pytest.fixture
def process(site: Site, wires: Wires) -> Engine:
    """A process that has connections of all kinds."""
    site.add(PLAYER, [Record(f"q{number}") for number in range(4)])
    # Far enough that a busy machine is not taken for a silent one.
    for wire in wires.to.values():
        wire.delay(25)
    engine = site.engine(**wires.settings)
    engine.due(PLAYER)
    engine.submit(PLAYER, session_data=session("q0"))
    engine.drain()
    return engine


def forget(wires: Wires, rest: float) -> None:
    """All existing connections, after they were idle for this long."""
    time.sleep(rest)
    for wire in wires.to.values():
        wire.forget()


@pytest.mark.parametrize("rest", RESTS)
def test_nobody_notices(
    site: Site, wires: Wires, process: Engine, rest: float, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    generation = site.cache.get(site.key("srs-generation"))
    assert generation
    forget(wires, rest)
    read = process.due(PLAYER)
    assert (ids(read), read["is_degraded"], read["source"]) == (["q1", "q2", "q3"], False, "cache")
    forget(wires, rest)
    answer = process.submit(PLAYER, session_data=session("q1"))
    assert answer["persistence_job_id"]
    assert site.waiting() == 1
    forget(wires, rest)
    assert process.drain()["remaining"] == 0
    # No schedule is void.
    assert site.cache.get(site.key("srs-generation")) == generation
    forget(wires, rest)
    site.cache.flushall()
    assert ids(process.due(PLAYER)) == ["q2", "q3"]
    forget(wires, rest)
    assert process.reconcile(SEASON)["corrected"] == 0
    process.check_outages()
    assert process.outage_news() == []
    assert "does not answer" not in caplog.text
    # The log shows what took long.
    assert ("over a new connection" in caplog.text) == (rest == 0.0)
    assert {row["stability"] for row in site.rows().values()} == {2, 3}


def test_the_system_asks_after_idle_connections(process: Engine, wires: Wires) -> None:
    """So firewalls see traffic on them."""
    ports = {wire.port for wire in wires.to.values()}

    def kept_alive() -> set[int]:
        table = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        # Established, and with a timer that asks.
        asking = [line for line in table if line[3] == "01" and line[5].startswith("02:")]
        return ports & {int(line[2].split(":")[1], 16) for line in asking}

    assert process.due(PLAYER)["source"] == "cache"
    assert wait_until(lambda: kept_alive() == ports)
