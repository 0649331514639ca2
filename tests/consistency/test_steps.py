"""A connection breaks between any two steps: a server has done the request, but its process gets no
reply."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pymysql
import pytest
import redis

from memora._engine import Engine, ServiceUnavailable
from tests.consistency.test_drain import drain_all, kept
from tests.support.servers import wait_until
from tests.support.site_under_test import (
    BELIEVING,
    PLAYER,
    SCHEDULE,
    SEASON,
    TRACKER,
    Record,
    Site,
    ids,
    session,
)
from tests.support.wire import Wires

SERVERS = ("cache", "journal", "database")
# More than there are replies in any of the calls here.
MOST_REPLIES = 26
# Later than any time in a test, Unix microseconds.
NEVER_US = 10**16


def engine_over(site: Site, wires: Wires, **settings: int) -> Engine:
    """An engine on these wires, whose lease lasts as long as a test."""
    return site.engine(**wires.settings, **BELIEVING, **settings)


def submit_once(engine: Engine, player: str, is_correct: bool = True) -> bool:
    """Answer `q`; whether it was acknowledged."""
    try:
        engine.submit(player, session_data=session("q", is_correct=is_correct))
    except ServiceUnavailable:
        return False
    return True


def check_counted(site: Site, player: str, acknowledged: bool) -> None:
    """The answer counts once if it was acknowledged, and at most once if not."""
    drain_all(site, site.engine())
    stability = site.rows(player)["q"]["stability"]
    assert stability == 2 if acknowledged else stability in (1, 2)
    is_due = stability == 1
    assert site.engine().due(player)["total_due"] == is_due


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("situation", ["all is well", "the cache is cold", "the journal is down"])
def test_an_answer_counts_once_wherever_its_connection_breaks(
    site: Site, wires: Wires, server: str, situation: str
) -> None:
    acknowledged = []
    for number in range(1, MOST_REPLIES):
        player = f"student{number}@school.example"
        site.add(player, [Record("q", stability=1)])
        engine = engine_over(site, wires)
        engine.due(player)
        engine.persistence_status(player, "1-1")
        if situation == "the cache is cold":
            site.cache.delete(site.key("srs", player))
        if situation == "the journal is down":
            site.servers.journal.kill()
        wires.to[server].swallow_reply(number)
        acknowledged.append(submit_once(engine, player))
        wires.to[server].mend()
        site.servers.heal()
        check_counted(site, player, acknowledged[-1])
    # One broken connection is no reason to refuse an answer.
    assert sum(acknowledged) >= MOST_REPLIES - 3


@pytest.mark.parametrize("server", ["journal", "database"])
def test_a_drain_counts_everything_once_wherever_its_connection_breaks(
    site: Site, wires: Wires, server: str
) -> None:
    for number in range(1, MOST_REPLIES):
        players = [f"student{number}-{place}@school.example" for place in range(3)]
        drain = engine_over(site, wires)
        drain.drain()
        for player in players:
            site.add(player, [Record("q", stability=1)])
            assert submit_once(site.engine(), player)
        wires.to[server].swallow_reply(number)
        with suppress(ServiceUnavailable):
            drain.drain(seconds=5.0)
        wires.to[server].mend()
        for player in players:
            check_counted(site, player, acknowledged=True)
    audits = site.sql("SELECT COUNT(*) AS n FROM `tabMemory Review Audit`")
    assert audits[0]["n"] == 3 * (MOST_REPLIES - 1)


@pytest.mark.parametrize("server", SERVERS)
def test_a_read_is_right_wherever_its_connection_breaks(
    site: Site, wires: Wires, server: str
) -> None:
    for number in range(1, MOST_REPLIES):
        player = f"student{number}@school.example"
        site.add(player, [Record("q"), Record("r")])
        engine = engine_over(site, wires)
        assert submit_once(engine, player)
        site.cache.delete(site.key("srs-detail", player))
        wires.to[server].swallow_reply(number)
        assert ids(engine.due(player)) == ["r"]
        wires.to[server].mend()
        assert ids(site.engine().due(player)) == ["r"]


def die_between_journal_and_cache(site: Site, engine: Engine, question: str = "q") -> None:
    """Restoring the cache simulates a process that died before telling it."""
    engine.due(PLAYER)
    keys = [site.key(family, PLAYER) for family in SCHEDULE]
    with site.servers.cache.client() as client:
        client.connection_pool.connection_kwargs["decode_responses"] = False
        before = {key: client.dump(key) for key in keys}
        engine.submit(PLAYER, session_data=session(question))
        for key, dump in before.items():
            client.restore(key, 0, dump, replace=True)


def test_who_died_between_journal_and_cache_leaves_nothing_undone(
    site: Site, engine: Engine
) -> None:
    site.add(PLAYER, [Record("q", stability=1)])
    die_between_journal_and_cache(site, engine)
    taken = engine.submit(PLAYER, session_data=session("q"))
    assert taken["new_stability_counts"]["3"] == 1
    engine.drain()
    assert site.rows()["q"]["stability"] == 3
    assert engine.cache_stats(PLAYER, SEASON)["due"] == 0


def test_what_its_process_did_not_show_is_seen_once_it_is_saved(site: Site, engine: Engine) -> None:
    """The journal knows nothing of it any more: the drain looks."""
    site.add(PLAYER, [Record("q"), Record("r")])
    die_between_journal_and_cache(site, engine)
    engine.drain()
    assert ids(engine.due(PLAYER)) == ["r"]
    assert engine.submit(PLAYER, session_data=session("r"))["remaining_items"] == 0


def test_a_drain_leaves_schedules_that_have_all_answers(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record("q"), Record("r")])
    for question in "qr":
        engine.submit(PLAYER, session_data=session(question))
        engine.drain()
        assert engine.cache_stats(PLAYER, SEASON)["complete"]


def test_a_load_that_a_drain_overtakes_is_not_cached(
    site: Site, engine: Engine, wires: Wires
) -> None:
    """It has read everything before an answer whose process dies, and reaches the cache after the
    drain."""
    site.add(PLAYER, [Record("q"), Record("r")])
    slow = engine_over(site, wires, redis_timeout_ms=60_000)
    slow.due("another@school.example")
    wires.to["database"].hang()
    reader = threading.Thread(target=slow.due, args=(PLAYER,))
    reader.start()
    assert wait_until(lambda: bool(site.cache.exists(site.key("srs-fence", PLAYER))))
    wires.to["cache"].hang()
    wires.to["database"].mend()
    # It has read the table and comes to nothing more before the wire is mended.
    reader.join(0.3)
    # Another cache simulates a process that died before telling this one.
    dies = site.engine(cache_url=f"{site.servers.cache.server_url}/5")
    dies.submit(PLAYER, session_data=session("q"))
    assert engine.drain()["remaining"] == 0
    wires.to["cache"].mend()
    reader.join()
    assert ids(site.engine().due(PLAYER)) == ["r"]


def test_a_late_word_to_the_cache_undoes_nothing(site: Site, engine: Engine, wires: Wires) -> None:
    """A process is delayed before the journal, then before the cache, and another overtakes it."""
    site.add(PLAYER, [Record("q")])
    slow = engine_over(site, wires, redis_timeout_ms=60_000)
    slow.due(PLAYER)
    wires.to["journal"].hang()
    again = '[{"question_id": "q", "attempts_count": 2}]'
    thread = threading.Thread(target=slow.rate, args=(PLAYER, again))
    before = scripts(site.cache)
    thread.start()
    # It has asked the cache and comes to nothing more before the wire is mended.
    assert wait_until(lambda: scripts(site.cache) > before)
    # The wire passes the reply on, and a busy machine lets it.
    thread.join(1.0)
    wires.to["cache"].hang()
    wires.to["journal"].mend()
    assert wait_until(lambda: site.waiting() == 1)
    assert engine.submit(PLAYER, session_data=session("q"))["new_stability_counts"]["2"] == 1
    wires.to["cache"].mend()
    thread.join()
    for process in (engine, slow, site.engine()):
        assert process.due(PLAYER)["total_due"] == 0


def scripts(server: redis.Redis[str]) -> int:
    """How many scripts a Redis has run."""
    return int(server.info("commandstats")["cmdstat_evalsha"]["calls"])


def test_who_asks_the_journal_again_behind_others_is_counted_once(site: Site) -> None:
    """The append itself: its connection broke before the reply, and others appended meanwhile."""
    script = (Path(__file__).parents[2] / "src/servers/redis/lua/append.lua").read_text()
    families = ("srs-pending", PLAYER), ("srs-drain-queued",), ("srs-tokens",)
    keys = site.key("srs-journal"), *(site.key(*family) for family in families)

    def append(before: int, after: int, token: str) -> list[Any]:
        run = site.journal.register_script(script)
        return list(run(keys=keys, args=[before, after, token, PLAYER, SEASON, "[]", NEVER_US]))

    first = append(0, 10, "1a-2-3")
    for number in range(1, 7):
        assert append(10 * number, 10 * number + 10, f"{number}b-2-3")[0] == "added"
    # Drained meanwhile: only the token is left of it.
    site.journal.hdel(keys[1], first[1])
    assert append(0, 10, "1a-2-3") == ["added", first[1], 0]
    assert append(0, 10, "a-2-3") == ["conflict"]
    assert site.waiting() == 7


def test_what_was_computed_without_the_journal_does_not_go_into_it(site: Site) -> None:
    """Both Redis servers are down; the journal comes back while a submission is computed from the
    table alone."""
    site.add(PLAYER, [Record("q", stability=1), Record("r", stability=1)])
    site.engine().submit(PLAYER, session_data=session("q"))
    site.servers.cache.kill()
    site.servers.journal.kill()
    blind = site.engine().submit(PLAYER, session_data=session("r"))
    assert kept(site) == [blind["persistence_job_id"]]
    late = site.engine()
    with suppress(ServiceUnavailable):
        # Its breaker for the journal is open now.
        late.due("nobody@school.example")
    taken = []
    with site.servers.database.connect(database=site.name) as other, other.cursor() as cursor:
        cursor.execute(f"LOCK TABLES {TRACKER} WRITE")
        thread = threading.Thread(
            target=lambda: taken.append(late.submit(PLAYER, session_data=session("q")))
        )
        thread.start()
        thread.join(0.1)
        site.servers.journal.start()
        thread.join(0.25)
        cursor.execute("UNLOCK TABLES")
        thread.join()
    assert len(taken) == 1
    site.servers.heal()
    drain_all(site, site.engine())
    assert {name: row["stability"] for name, row in site.rows().items()} == {"q": 3, "r": 2}


def test_what_failed_and_arrives_at_last_does_not_count_after_what_came_since(
    site: Site, wires: Wires
) -> None:
    """The journal is down, and a statement to MariaDB is delayed until its student was told that it
    failed, and has answered again."""
    site.add(PLAYER, [Record("q")])
    # MariaDB's reply takes so long that there is time to see it sent, and to hang the wire.
    slow, engine = (
        engine_over(site, wires, redis_timeout_ms=1_000, database_timeout_ms=3_500),
        site.engine(),
    )
    wires.to["journal"].refuse()
    taken: list[bool] = []
    thread = threading.Thread(
        target=lambda: taken.append(submit_once(slow, PLAYER, is_correct=False))
    )
    with site.servers.database.connect_as_root() as root, root.cursor() as cursor:
        cursor.execute("SET GLOBAL log_output = 'TABLE', general_log = ON")
        # From now on it knows the statements.
        assert submit_once(slow, "nobody@school.example")
        slow.due(PLAYER)
        cursor.execute("TRUNCATE mysql.general_log")
        wires.to["database"].delay(1_000)
        thread.start()
        # MariaDB has told it the time, which is on its way.
        assert wait_until(lambda: was_sent(cursor, "SELECT CAST(UNIX_TIMESTAMP(NOW(6))%"))
        wires.to["database"].hang()
        thread.join()
        assert submit_once(engine, PLAYER)
        drain_all(site, engine)
        assert not was_sent(cursor, "INSERT INTO `memora_journal`%")
        wires.to["database"].delay(0)
        wires.to["database"].mend()
        assert wait_until(lambda: was_sent(cursor, "INSERT INTO `memora_journal`%"))
        cursor.execute("SET GLOBAL general_log = OFF, log_output = 'FILE'")
    drain_all(site, engine)
    assert taken == [False]
    assert site.rows()["q"]["stability"] == 3
    assert engine.due(PLAYER)["total_due"] == 0


def test_what_failed_and_reaches_the_journal_at_last_does_not_count_after_what_came_since(
    site: Site, wires: Wires
) -> None:
    """As above, for a command to the journal; MariaDB is down."""
    site.add(PLAYER, [Record("q")])
    # Long enough that a busy machine answers for the cache: so it comes to the journal.
    patience = {"redis_timeout_ms": 1_000, "database_timeout_ms": 1_000}
    slow, engine = engine_over(site, wires, **patience), site.engine()
    assert submit_once(slow, "nobody@school.example")
    slow.due(PLAYER)
    wires.to["journal"].hang()
    wires.to["database"].refuse()
    assert not submit_once(slow, PLAYER, is_correct=False)
    assert submit_once(engine, PLAYER)
    drain_all(site, engine)
    before = scripts(site.journal)
    wires.to["journal"].mend()
    assert wait_until(lambda: scripts(site.journal) > before)
    drain_all(site, engine)
    assert site.rows()["q"]["stability"] == 3
    assert engine.due(PLAYER)["total_due"] == 0


def was_sent(cursor: pymysql.cursors.Cursor, beginning: str) -> bool:
    """Whether MariaDB has been sent a statement that begins so."""
    sql = "SELECT 1 FROM mysql.general_log WHERE command_type = 'Execute' AND argument LIKE %s"
    return bool(cursor.execute(sql, (beginning,)))


def test_a_season_that_changes_while_it_is_looked_up(site: Site, wires: Wires) -> None:
    """A process has read the old one from MariaDB, and its word to the cache is late."""
    new, table = "SEASON-2027", "`tabGame Subscription Season`"
    site.insert("Game Subscription Season", name=new, season_name=new, is_active=0, enable_redis=1,
                start_date="2026-02-01", end_date="2027-12-31")  # fmt: skip
    slow = engine_over(site, wires, redis_timeout_ms=10_000, database_timeout_ms=10_000)
    slow.due(PLAYER)
    site.cache.delete(site.key("srs-season"))
    with site.servers.database.connect(database=site.name) as other, other.cursor() as cursor:
        cursor.execute(f"LOCK TABLES {table} WRITE, memora_archive READ")
        thread = threading.Thread(target=slow.due, args=(PLAYER,))
        thread.start()
        thread.join(0.3)
        wires.to["cache"].hang()
        cursor.execute("UNLOCK TABLES")
    thread.join(0.3)
    site.sql(f"UPDATE {table} SET is_active = (name = %s)", (new,))
    site.engine().season_changed()
    wires.to["cache"].mend()
    thread.join()
    assert [process.due(PLAYER)["season"] for process in (site.engine(), slow)] == [new, new]
