"""Hosts that use different servers: each a redis_cache or a redis_queue of its own, or one that has
failed over while the old one still answers some."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal

import pytest

from memora._engine import Engine, MemoraError
from tests import frappe_standin as frappe
from tests.consistency.test_alone import BYSTANDERS, add, answer, check_saved, check_warm, shown
from tests.consistency.test_drain import drain_all, kept
from tests.consistency.test_steps import die_between_journal_and_cache
from tests.students.test_rehydrate import together
from tests.support.expectation import stability_after_answers
from tests.support.servers import Redis, wait_until
from tests.support.site_under_test import BELIEVING, PLAYER, SEASON, Record, Site, ids, session
from tests.support.wire import Wires

App = Callable[..., None]
Role = Literal["cache", "journal"]


@pytest.fixture
def second_cache() -> Iterator[Redis]:
    """The redis_cache of another host."""
    with Redis("cache") as redis:
        yield redis


@pytest.fixture
def second_journal() -> Iterator[Redis]:
    """The redis_queue of another host."""
    with Redis("journal") as redis:
        yield redis


@pytest.fixture
def there(site: Site, engine: Engine, second_cache: Redis) -> Engine:
    """A process of another host, which has a redis_cache of its own; the first host's counts."""
    add(site, PLAYER, *BYSTANDERS)
    for player in (PLAYER, *BYSTANDERS):
        engine.due(player)
    assert engine.due(PLAYER)["source"] == "cache"
    return site.engine(cache_url=second_cache.url)


def registered(site: Site, name: Role) -> str:
    """The run that counts."""
    rows = site.sql("SELECT run_id FROM `memora_registration` WHERE name = %s", (name,))
    return str(rows[0]["run_id"]) if rows else ""


def run_of(server: Redis) -> str:
    """The run of a server."""
    with server.client() as client:
        return str(client.info("server")["run_id"])


def is_in_use(engine: Engine) -> bool:
    """Whether a process reads from the cache that it reaches."""
    return bool(engine.due("nobody@school.example")["source"] == "cache")


def is_told(site: Site, name: Role) -> bool:
    """Whether a process has noticed two servers."""
    rows = site.sql("SELECT is_open FROM `memora_outage` WHERE server = %s", (f"{name}s",))
    return bool(rows[0]["is_open"])


def told_by(*engines: Engine) -> list[tuple[str, str]]:
    """The news of these processes."""
    return [(news["server"], news["event"]) for one in engines for news in one.outage_news()]


# -- a redis_cache on each host
# ----------------------------------------------------------------------
def test_an_answer_is_seen_on_both_hosts_at_once(site: Site, engine: Engine, there: Engine) -> None:
    generation = site.cache.get(site.key("srs-generation"))
    answers = [True, False, True, True, False]
    for number, is_correct in enumerate(answers):
        answer((there, engine)[number % 2], PLAYER, is_correct)
        for host in (engine, there):
            assert shown(host, PLAYER) == stability_after_answers(2, *answers[: number + 1])
            assert not host.due(PLAYER)["is_degraded"]
    assert there.due(PLAYER)["source"] == "database"
    # No other process has noticed.
    check_warm(site, engine, BYSTANDERS)
    assert site.cache.get(site.key("srs-generation")) == generation
    check_saved(site, {PLAYER: stability_after_answers(2, *answers)})


def test_both_hosts_take_answers_of_many_at_once(site: Site, engine: Engine, there: Engine) -> None:
    given: dict[str, list[bool]] = {player: [] for player in BYSTANDERS}
    stale: list[str] = []

    def work(host: Engine, players: list[str], seed: int) -> None:
        choice = random.Random(seed)
        for player in players * 4:
            given[player].append(choice.random() < 0.6)
            answer(host, player, given[player][-1])
            expected = stability_after_answers(2, *given[player])
            stale.extend(player for reader in (engine, there) if shown(reader, player) != expected)

    hosts = [(engine, BYSTANDERS[:6]), (there, BYSTANDERS[6:10]), (there, BYSTANDERS[10:14])]
    together(*(partial(work, *host, number) for number, host in enumerate(hosts)))
    assert stale == []
    check_saved(
        site,
        {player: stability_after_answers(2, *answers) for player, answers in given.items()},
    )


def test_administrators_are_told_once(site: Site, engine: Engine, there: Engine) -> None:
    def is_noticed() -> bool:
        there.due(PLAYER)
        engine.due(PLAYER)
        return is_told(site, "cache")

    assert wait_until(is_noticed)
    assert told_by(engine, there) == [("cache", "several")]
    for host in (engine, there):
        warning = host.cache_status([SEASON])["warning"]
        assert warning is not None
        assert "common_site_config.json" in warning
    engine.check_outages()
    assert is_told(site, "cache")
    # A minute after the last of it all is well.
    site.sql("UPDATE `memora_registration` SET defended_at_us = defended_at_us - 61000000")
    engine.check_outages()
    assert engine.cache_status([SEASON])["warning"] is None
    assert told_by(engine, there) == []


def test_the_notification_says_what_to_do(
    site: Site, engine: Engine, there: Engine, app: App
) -> None:
    from memora.services import engine as present
    from memora.services.outages import report_outages

    own = present.engine()
    assert wait_until(
        lambda: bool(there.due(PLAYER) and own.due(PLAYER) and is_told(site, "cache"))
    )
    report_outages()
    (notification,) = frappe.recorded.notifications
    assert "redis_cache" in notification["subject"]


def test_another_cache_counts_once_nobody_uses_the_first(
    site: Site, engine: Engine, there: Engine, second_cache: Redis
) -> None:
    assert wait_until(lambda: is_in_use(there))
    assert registered(site, "cache") == run_of(second_cache)
    assert shown(there, PLAYER) == 2
    # The answers of a process that kept using the other one do not count, and it stops using it.
    assert answer(there, PLAYER, False) == 1
    assert shown(engine, PLAYER) == 1
    assert answer(engine, PLAYER, True) == 2
    for host in (there, engine):
        assert shown(host, PLAYER) == 2
    check_saved(site, {PLAYER: 2})


def test_an_answer_that_was_on_its_way_when_another_cache_took_over(
    site: Site, engine: Engine, there: Engine, wires: Wires
) -> None:
    """It has asked the first cache, and waits for the journal."""
    slow = site.engine(**wires.settings, redis_timeout_ms=60_000)
    assert slow.due(PLAYER)["source"] == "cache"
    wires.to["journal"].hang()
    thread = threading.Thread(target=answer, args=(slow, PLAYER, False))
    thread.start()
    # It may need the journal before it asks, too: then this shows nothing.
    thread.join(0.1)
    assert wait_until(lambda: is_in_use(there))
    assert there.due(PLAYER)["source"] in {"loaded", "cache"}
    wires.to["journal"].mend()
    thread.join()
    assert shown(there, PLAYER) == 1
    check_saved(site, {PLAYER: 1})


def test_a_cache_that_was_restarted_counts_again(site: Site, engine: Engine) -> None:
    add(site, PLAYER)
    engine.due(PLAYER)
    site.servers.cache.restart()
    others = [site.engine() for _ in range(3)]
    for host in (engine, *others):
        assert (shown(host, PLAYER), host.due(PLAYER)["is_degraded"]) == (2, False)
    assert answer(engine, PLAYER, True) == 3
    for host in (engine, *others):
        assert wait_until(lambda host=host: is_in_use(host))  # type: ignore[misc]
        assert shown(host, PLAYER) == 3
    assert told_by(engine, *others) == []


def test_a_failover_leaves_some_with_the_old_cache(
    site: Site, engine: Engine, second_cache: Redis, wires: Wires
) -> None:
    """New connections lead to the new one; a process that has one keeps it."""
    add(site, PLAYER, *BYSTANDERS)
    old, moved = engine, site.engine(**wires.settings)
    for host in (old, moved):
        for player in (PLAYER, *BYSTANDERS):
            host.due(player)
    wires.to["cache"].lead(second_cache.port)
    wires.to["cache"].cut()
    given: list[bool] = []
    for number in range(6):
        given.append(number % 3 == 0)
        answer((old, moved)[number % 2], PLAYER, given[-1])
        for host in (old, moved):
            assert shown(host, PLAYER) == stability_after_answers(2, *given)
    # The last one learns of it.
    assert wait_until(lambda: is_in_use(moved))
    assert shown(moved, PLAYER) == stability_after_answers(2, *given)
    check_saved(site, {PLAYER: stability_after_answers(2, *given)})


def test_what_confirms_a_cache_does_not_confirm_its_replica(
    site: Site, second_cache: Redis
) -> None:
    """It is promoted while a process still uses the old primary, and has its notes."""
    add(site, PLAYER)
    old = site.engine(**BELIEVING)
    old.due(PLAYER)
    with second_cache.client() as replica:
        replica.execute_command("REPLICAOF", "127.0.0.1", site.servers.cache.port)
        assert wait_until(lambda: replica.info("replication")["master_link_status"] == "up")
        replica.execute_command("REPLICAOF", "NO", "ONE")
    moved = site.engine(cache_url=second_cache.url, **BELIEVING)
    assert shown(moved, PLAYER) == 2
    answer(old, PLAYER, True)
    assert shown(moved, PLAYER) == 3
    assert moved.due(PLAYER)["source"] == "database"


def test_a_drain_finds_a_cache_that_was_restarted(site: Site, engine: Engine) -> None:
    """It has just asked the earlier run, and does nothing there but drop schedules that lack an
    answer."""
    site.add(PLAYER, [Record("q"), Record("r")])
    drain, hasty = site.engine(), site.engine(trust_lease_ms=50)
    hasty.submit(PLAYER, session_data=session("q"))
    drain.drain()
    site.servers.cache.restart()
    assert wait_until(lambda: is_in_use(hasty))
    die_between_journal_and_cache(site, hasty, "r")
    drain.drain()
    assert hasty.due(PLAYER)["total_due"] == 0


def test_a_restarted_cache_that_nobody_believed_counts_at_once(site: Site, engine: Engine) -> None:
    """An answer was taken while it was down."""
    add(site, PLAYER)
    engine.due(PLAYER)
    site.servers.cache.kill()
    assert answer(engine, PLAYER, True) == 3
    site.servers.cache.start()
    host = site.engine()
    assert is_in_use(host)
    assert shown(host, PLAYER) == 3
    assert registered(site, "cache") == run_of(site.servers.cache)


@pytest.mark.parametrize("job", ["rebuild", "reconcile"])
def test_jobs_begin_on_a_cache_that_was_restarted(site: Site, engine: Engine, job: str) -> None:
    """No process has called since."""
    add(site, PLAYER)
    engine.due(PLAYER)
    site.servers.cache.restart()
    host = site.engine()
    getattr(host, job)(SEASON)
    assert registered(site, "cache") == run_of(site.servers.cache)
    assert host.cache_stats(PLAYER, SEASON)["complete"] == (job == "rebuild")
    assert is_in_use(host)


def test_jobs_beside_a_cache_that_is_in_use_are_refused(
    site: Site, engine: Engine, there: Engine
) -> None:
    is_over = threading.Event()

    def use() -> None:
        while not is_over.wait(0.01):
            engine.due(PLAYER)

    thread = threading.Thread(target=use)
    thread.start()
    try:
        for job in (there.rebuild, there.reconcile):
            with pytest.raises(MemoraError, match="common_site_config") as refused:
                job(SEASON)
            assert refused.value.code == "memora.other_cache"
        assert there.load_recent_students() == 0
    finally:
        is_over.set()
        thread.join()


# -- a redis_queue on each host
# ----------------------------------------------------------------------
def test_of_two_journals_one_is_used(site: Site, engine: Engine, second_journal: Redis) -> None:
    """The later one is registered: it looks exactly like a restarted one."""
    add(site, PLAYER)
    answer(engine, PLAYER, True)
    engine.drain()
    there = site.engine(journal_url=second_journal.url)
    answer(there, PLAYER, True)
    assert registered(site, "journal") == run_of(second_journal)
    here = site.engine()
    given = [True, True]
    for number in range(6):
        given.append(number % 3 != 0)
        answer((here, there)[number % 2], PLAYER, given[-1])
        for host in (here, there):
            assert shown(host, PLAYER) == stability_after_answers(2, *given)
    # A process that does not reach the registered one keeps its answers in MariaDB.
    assert len(kept(site)) == 3
    assert site.waiting() == 0
    assert wait_until(
        lambda: (
            bool(site.engine(journal_url=second_journal.url).due(PLAYER))
            and is_told(site, "journal")
        )
    )
    for host in (here, there):
        warning = host.journal_status()["warning"]
        assert warning is not None
        assert "common_site_config.json" in warning
    drain_all(site, there)
    assert site.rows()["q"]["stability"] == stability_after_answers(2, *given)


def test_drains_of_two_journals_report_no_restarts(
    site: Site, engine: Engine, second_journal: Redis
) -> None:
    there = site.engine(journal_url=second_journal.url)
    for host in (engine, there):
        host.drain()
    told = told_by(engine, there)
    for _ in range(3):
        for host in (site.engine(), site.engine(journal_url=second_journal.url)):
            host.submit(PLAYER, session_data=session("q"))
            host.drain()
            told += [news for news in told_by(host) if news[1] != "several"]
    assert told == [("journal", "restarted")]
    assert ids(engine.due(PLAYER)) == []


def test_a_drain_at_a_journal_that_does_not_count_writes_nothing(
    site: Site, engine: Engine, second_journal: Redis
) -> None:
    """It hands over what it finds there, and does not see the other journal."""
    add(site, PLAYER)
    there = site.engine(journal_url=second_journal.url)
    answer(engine, PLAYER, True)
    there.drain()
    assert registered(site, "journal") == run_of(second_journal)
    here = site.engine()
    assert here.drain()["submissions"] == 0
    assert (site.waiting(), len(kept(site))) == (0, 1)
    there.drain()
    assert site.rows()["q"]["stability"] == 3
    answer(there, PLAYER, True)
    answer(here, PLAYER, False)
    assert here.drain()["submissions"] == 0
    assert site.rows()["q"]["stability"] == 3
    drain_all(site, there)
    assert site.rows()["q"]["stability"] == 1
    assert shown(here, PLAYER) == 1


def test_of_three_journals_one_is_used(site: Site, engine: Engine, second_journal: Redis) -> None:
    """A run that comes back is recognized, however many came since."""
    add(site, PLAYER)
    with Redis("journal") as third_journal:
        urls = [site.servers.journal.url, second_journal.url, third_journal.url]
        for url in urls:
            answer(site.engine(journal_url=url), PLAYER, True)
        for url in urls:
            answer(site.engine(journal_url=url), PLAYER, True)
            assert registered(site, "journal") == run_of(third_journal)
        assert len(kept(site)) == 2
