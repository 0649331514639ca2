"""Which server a process believes when several fail one after the other."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest

from memora._engine import Engine, RateLimited, ServiceUnavailable
from tests.consistency.test_drain import FULL
from tests.support.servers import wait_until
from tests.support.site_under_test import (
    IMPATIENT_WITH_REDIS,
    PLAYER,
    SEASON,
    TRACKER,
    Record,
    Site,
    ids,
    session,
)


def forget_reads(site: Site) -> None:
    """Safe Mode has room again for processes that refused no student."""
    site.sql("DELETE FROM `memora_safe_mode_read` WHERE read_at_us >= 0")


def check_cached(site: Site, reader: Engine) -> None:
    """The cache comes back into use without the answer."""

    def is_cached() -> bool:
        answer = reader.due(PLAYER)
        assert ids(answer) == ["r"]
        forget_reads(site)
        return answer["source"] == "cache"

    assert wait_until(is_cached)


@pytest.mark.parametrize("process_is_new", [False, True])
@pytest.mark.engines(**IMPATIENT_WITH_REDIS)
def test_a_cache_that_missed_an_answer_is_not_believed_without_the_journal(
    site: Site, engine: Engine, other: Engine, process_is_new: bool
) -> None:
    """First the cache goes down and misses an answer; then the journal goes down; then the cache is
    back, unchanged."""
    site.servers.cache.pause()
    engine.submit(PLAYER, session_data=session("q"))
    engine.drain()
    site.servers.journal.kill()
    site.servers.cache.resume()
    reader = site.engine() if process_is_new else other
    for _ in range(3):
        answer = reader.due(PLAYER)
        assert (ids(answer), answer["is_degraded"]) == (["r"], True)
        forget_reads(site)
    site.servers.journal.start()
    check_cached(site, reader)


@pytest.mark.engines(**IMPATIENT_WITH_REDIS)
def test_who_saw_both_hang_makes_good_what_another_could_not_tell(
    site: Site, engine: Engine, other: Engine
) -> None:
    """The process that took the answer is never called again."""
    for server in (site.servers.cache, site.servers.journal):
        server.pause()
    engine.submit(PLAYER, session_data=session("q"))
    assert ids(other.due(PLAYER)) == ["r"]
    site.servers.heal()
    forget_reads(site)

    check_cached(site, other)


def test_the_journal_alone_away_is_no_reason_to_doubt_the_cache(
    site: Site, engine: Engine, other: Engine
) -> None:
    site.servers.journal.kill()
    for _ in range(3):
        answer = other.due(PLAYER)
        assert (ids(answer), answer["source"], answer["is_degraded"]) == (
            ["q", "r"],
            "cache",
            False,
        )
    engine.submit(PLAYER, session_data=session("q"))
    assert (ids(other.due(PLAYER)), other.due(PLAYER)["source"]) == (["r"], "cache")


def test_a_process_that_was_asleep_finds_the_present_generation_without_the_journal(
    site: Site, engine: Engine, other: Engine
) -> None:
    """Since its last call the cache was down and up again; now the journal is down."""
    site.servers.cache.kill()
    engine.submit(PLAYER, session_data=session("q"))
    site.servers.cache.start()
    check_cached(site, engine)
    site.servers.journal.kill()
    for _ in range(2):
        answer = other.due(PLAYER)
        assert (ids(answer), answer["source"], answer["is_degraded"]) == (["r"], "cache", False)


def test_a_cache_with_old_data_is_not_believed_without_the_journal(
    site: Site, engine: Engine, other: Engine
) -> None:
    """It went down and up unnoticed; now the journal is down."""
    site.servers.cache.snapshot()
    engine.submit(PLAYER, session_data=session("q"))
    engine.drain()
    site.servers.cache.kill()
    site.servers.cache.start()
    site.servers.cache.forget()
    site.servers.journal.kill()
    for process in (other, site.engine(), engine):
        assert ids(process.due(PLAYER)) == ["r"]
        forget_reads(site)


@pytest.mark.parametrize("newest", [None, 5], ids=["lacking", "doubted"])
def test_very_many_marks_are_settled_some_at_a_time(
    site: Site, engine: Engine, newest: int | None
) -> None:
    """After a long time without the cache no read waits for all marks, and no process believes the
    cache before the last one is settled."""
    site.add(PLAYER, [Record("q"), Record("r")])
    assert [len(ids(engine.due(PLAYER))) for _ in range(2)] == [2, 2]
    site.sql(f"DELETE FROM {TRACKER} WHERE question_id = 'q'")
    site.sql(
        "INSERT INTO memora_unshown (player, season, newest) "
        "SELECT CONCAT(seq, '@school.example'), %s, %s FROM seq_1_to_25000 "
        "UNION ALL SELECT %s, %s, %s",
        (SEASON, newest, PLAYER, SEASON, newest),
    )
    seen = []

    def is_settled() -> bool:
        answer = engine.due(PLAYER)
        forget_reads(site)
        left = site.sql("SELECT COUNT(*) AS n FROM memora_unshown")[0]["n"]
        if left != 25_001:
            seen.append((left, ids(answer)))
        return left == 0 and answer["source"] == "cache"

    assert wait_until(is_settled)
    assert [left for left, _ in seen][:3] == [15_001, 5_001, 0]
    assert all(shown == ["r"] for _, shown in seen)


@pytest.mark.engines(**IMPATIENT_WITH_REDIS)
def test_a_full_journal_cannot_vouch_for_the_cache(
    site: Site, engine: Engine, other: Engine
) -> None:
    """It can be read, but no process can note there that the cache missed an answer."""
    site.journal.config_set("maxmemory", FULL)
    try:
        site.servers.cache.pause()
        engine.submit(PLAYER, session_data=session("q"))
        site.servers.cache.resume()
        for process in (other, site.engine(), engine):
            assert ids(process.due(PLAYER)) == ["r"]
            forget_reads(site)
    finally:
        site.journal.config_set("maxmemory", "0")
    for process in (other, site.engine()):
        check_cached(site, process)


@pytest.mark.engines(**IMPATIENT_WITH_REDIS)
def test_who_thinks_both_still_away_does_not_answer_behind_the_others_backs(
    site: Site, engine: Engine, other: Engine
) -> None:
    """One process asks a server again only after a second; another has it back long before that."""
    for number in range(3):
        for server in (site.servers.cache, site.servers.journal):
            server.pause()
        for _ in range(6):
            engine.submit("somebody@school.example", session_data=session("q"))
            time.sleep(0.2)
        with suppress(RateLimited):
            other.due(PLAYER)
        site.servers.heal()
        forget_reads(site)
        assert wait_until(lambda: is_cached(other) and other.journal_status()["reachable"])
        site.add(PLAYER, [Record(f"new{number}")])
        other.cache_clear(PLAYER, SEASON)
        before = other.due(PLAYER)
        assert (before["source"], before["total_due"]) == ("cache", 3)
        engine.submit(PLAYER, session_data=session(f"new{number}"))
        assert ids(other.due(PLAYER)) == ["q", "r"]


def is_cached(process: Engine) -> bool:
    """Whether students are read from the cache now."""
    try:
        return process.due("nobody@school.example")["source"] == "cache"
    except RateLimited:
        return False


def test_an_empty_cache_is_not_filled_without_the_journal(site: Site, engine: Engine) -> None:
    """A cache without a generation could not be declared void."""
    site.add(PLAYER, [Record("q"), Record("r")])
    site.servers.journal.kill()
    site.servers.cache.kill()
    site.servers.cache.forget()
    site.servers.cache.start()
    site.servers.database.kill()
    process = site.engine()
    with pytest.raises(ServiceUnavailable):
        process.due(PLAYER)
    site.servers.heal()
    check_cached_as(site, process, 2)
    assert (site.cache.zscore(site.key("srs", PLAYER), "") or 0) > 1e15


def check_cached_as(site: Site, process: Engine, total_due: int) -> None:
    """The cache comes back into use, with this many due questions."""

    def is_back() -> bool:
        with suppress(RateLimited, ServiceUnavailable):
            answer = process.due(PLAYER)
            assert answer["total_due"] == total_due
            return answer["source"] == "cache"
        return False

    assert wait_until(is_back)
