"""Servers that are far away: they work again after an outage."""

from __future__ import annotations

from contextlib import suppress

import pytest

from memora._engine import Engine, MemoraError
from tests.support.servers import wait_until
from tests.support.site_under_test import PLAYER, Record, Site, ids, session
from tests.support.wire import Wires

pytestmark = pytest.mark.engines(redis_timeout_ms=600, database_timeout_ms=2_000)


@pytest.mark.parametrize("round_trip_ms", [60, 100])
def test_far_servers_are_used_again_after_an_outage(
    site: Site, wires: Wires, round_trip_ms: int
) -> None:
    site.add(PLAYER, [Record("q"), Record("r")])
    for wire in wires.to.values():
        wire.delay(round_trip_ms // 2)
    engine = site.engine(**wires.settings, trust_lease_ms=10_000)
    assert ids(engine.due(PLAYER)) == ["q", "r"]
    engine.submit(PLAYER, session_data=session("q"))

    for wire in wires.to.values():
        wire.refuse()
    with suppress(MemoraError):
        engine.due(PLAYER)
    with suppress(MemoraError):
        engine.submit(PLAYER, session_data=session("q"))
    assert not engine.cache_available()
    assert not engine.journal_status()["reachable"]

    for wire in wires.to.values():
        wire.mend()
    assert wait_until(engine.cache_available)
    assert wait_until(lambda: bool(engine.journal_status()["reachable"]))
    assert wait_until(lambda: drained(engine))
    assert {row["stability"] for row in site.rows().values()} == {2, 3}


def drained(engine: Engine) -> bool:
    try:
        return engine.drain()["remaining"] == 0
    except MemoraError:
        return False
