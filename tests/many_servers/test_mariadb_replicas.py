"""MariaDB with an asynchronous replica, which takes over: nothing that was acknowledged is lost."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.servers.test_failover import replicated_site
from tests.support.crowd import Crowd
from tests.support.replica import Pair, started_pair
from tests.support.site_under_test import IMPATIENT, Servers, Site
from tests.support.wire import Wires

pytestmark = pytest.mark.engines(**IMPATIENT)


def planned(pair: Pair, wires: Wires) -> None:
    """An administrator demotes the primary. Existing connections stay."""
    pair.demote()
    pair.wait_until_level()
    pair.take_over()
    wires.to["database"].lead(pair.replica.port)


def killed(pair: Pair, wires: Wires) -> None:
    """The primary dies."""
    pair.primary.kill()
    pair.take_over()
    wires.to["database"].lead(pair.replica.port)


def hanging(pair: Pair, wires: Wires) -> None:
    """The primary hangs for three seconds, until the replica takes over."""
    pair.primary.pause()
    time.sleep(3)
    pair.take_over()
    wires.to["database"].lead(pair.replica.port)
    pair.primary.kill()


def late(pair: Pair, wires: Wires) -> None:
    """The replica is three seconds behind when the primary dies."""
    pair.fall_behind()
    time.sleep(3)
    killed(pair, wires)


def lived(
    site: Site, pair: Pair, name: str, fault: Callable[[Pair, Wires], None], limits: dict[str, int]
) -> None:
    """A crowd lives through a fault, and nothing is lost."""
    replicated = replicated_site(pair, site.servers, limits)
    with Wires(replicated.servers) as wires:
        settings = {"database_port": wires.to["database"].port}
        crowd = Crowd.of(replicated, settings)

        def fail() -> None:
            fault(pair, wires)
            # Counts the replica's records.
            crowd.site = Site(
                Servers(site.servers.cache, site.servers.journal, pair.replica), replicated.name
            )

        report = crowd.live(fail)
    report.check(f"MariaDB, {name} replica, {fault.__name__}")


@pytest.mark.parametrize("fault", [planned, killed, hanging, late])
def test_an_asynchronous_replica_takes_over(
    site: Site, fault: Callable[[Pair, Wires], None], limits: dict[str, int]
) -> None:
    with started_pair() as pair:
        lived(site, pair, "asynchronous", fault, limits)


@pytest.mark.parametrize("fault", [killed, late])
def test_a_semi_synchronous_replica_takes_over(
    site: Site, fault: Callable[[Pair, Wires], None], limits: dict[str, int]
) -> None:
    with started_pair(is_semi_synchronous=True) as pair:
        lived(site, pair, "semi-synchronous", fault, limits)
