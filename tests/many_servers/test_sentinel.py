"""Journal and cache behind Sentinel: failovers of each kind lose, double and undo nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.crowd import Crowd
from tests.support.sentinel import Watched, watched
from tests.support.site_under_test import IMPATIENT, Site

pytestmark = pytest.mark.engines(**IMPATIENT)


def planned(servers: Watched) -> None:
    """An administrator has the replica promoted."""
    old = servers.primary()
    servers.fail_over()
    servers.await_other(old)


def killed(servers: Watched) -> None:
    """The primary dies, and comes back later."""
    old = servers.primary()
    old.kill()
    servers.await_other(old)
    time.sleep(3)
    old.start()


def hanging(servers: Watched) -> None:
    """The primary hangs until another one is promoted, and wakes up."""
    old = servers.primary()
    old.pause()
    try:
        servers.await_other(old)
    finally:
        old.resume()


def lagging(servers: Watched) -> None:
    """A replica is three seconds late."""
    [replica, *_] = servers.others()
    replica.pause()
    try:
        time.sleep(3)
    finally:
        replica.resume()


def late_and_promoted(servers: Watched) -> None:
    """The replica is three seconds late, and then the primary dies."""
    old = servers.primary()
    [replica, *_] = servers.others()
    replica.pause()
    time.sleep(3)
    old.kill()
    replica.resume()
    servers.await_other(old)
    old.start()


FAULTS = [planned, killed, hanging, lagging, late_and_promoted]


def lived(
    site: Site,
    name: str,
    settings: dict[str, Any],
    servers: Watched,
    fault: Callable[[Watched], None],
) -> None:
    """A crowd lives through a fault, and nothing is lost."""
    report = Crowd.of(site, settings).live(lambda: fault(servers))
    servers.await_followers()
    report.check(f"{name}, {fault.__name__}")


@pytest.mark.parametrize("fault", FAULTS)
def test_the_journal(site: Site, fault: Callable[[Watched], None]) -> None:
    with watched("journal", sentinels=3) as servers:
        settings = {
            "journal_url": None,
            "journal_sentinel": servers.settings,
            "journal_replicas": 1,
        }
        lived(site, "journal, 1 replica, 3 sentinels", settings, servers, fault)


@pytest.mark.parametrize("fault", [planned, killed])
def test_a_journal_with_two_replicas(site: Site, fault: Callable[[Watched], None]) -> None:
    with watched("journal", replicas=2, sentinels=3) as servers:
        settings = {
            "journal_url": None,
            "journal_sentinel": servers.settings,
            "journal_replicas": 2,
        }
        lived(site, "journal, 2 replicas, 3 sentinels", settings, servers, fault)


@pytest.mark.parametrize("fault", FAULTS)
def test_the_cache(site: Site, fault: Callable[[Watched], None]) -> None:
    with watched("cache", sentinels=3) as servers:
        settings = {"cache_url": None, "frappe_cache_sentinel": servers.settings}
        lived(site, "cache, 1 replica, 3 sentinels", settings, servers, fault)
