"""What works while servers are down, and a student's limits then."""

from __future__ import annotations

import math
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from memora._engine import Engine, MemoraError, RateLimited, ServiceUnavailable
from tests.conftest import ENDS
from tests.consistency.test_drain import drain_all
from tests.servers.test_fork import check, fork
from tests.students.test_due import overdue
from tests.support.servers import wait_until
from tests.support.site_under_test import (
    IMPATIENT,
    IMPATIENT_WITH_REDIS,
    PLAYER,
    SEASON,
    TRACKER,
    Record,
    Site,
    ids,
    session,
)

LIMITER = "`memora_safe_mode_read`"
PROCESSES = 8
# After a failure a server is not asked for this long, and longer after more failures.
FIRST_PAUSE_SECONDS = 0.25


@pytest.fixture(
    params=["dead", pytest.param("frozen", marks=pytest.mark.engines(**IMPATIENT_WITH_REDIS))]
)
def without_cache(request: pytest.FixtureRequest, site: Site, engine: Engine) -> Engine:
    """An engine that knew the cache before it went down. The student has 40 due questions."""
    site.add(PLAYER, overdue(40, subject="Science", topic="Plants"))
    engine.due(PLAYER)
    if request.param == "dead":
        site.servers.cache.kill()
    else:
        site.servers.cache.pause()
    return engine


def test_a_few_questions_come_from_the_table(site: Site, without_cache: Engine) -> None:
    answer = without_cache.due(PLAYER, limit=20)
    assert ids(answer) == [f"q{number:03}" for number in range(10)]
    assert (answer["total_due"], answer["is_degraded"], answer["source"]) == (40, True, "safe_mode")
    assert answer["season"] == SEASON


def test_a_smaller_limit_is_kept(without_cache: Engine) -> None:
    assert len(without_cache.due(PLAYER, limit=3)["questions"]) == 3


@pytest.mark.parametrize("query", [{"subject": "Science"}, {"topic": "Plants"}])
def test_subject_and_topic_still_filter(
    site: Site, without_cache: Engine, query: dict[str, str]
) -> None:
    site.add(PLAYER, overdue(40, prefix="other", subject="Arabic", topic="Fractions"))
    answer = without_cache.due(PLAYER, limit=20, **query)
    assert len(ids(answer)) == 10
    assert answer["total_due"] == 40
    assert not any(name.startswith("other") for name in ids(answer))


def test_the_composite_index_serves_it(site: Site) -> None:
    index = site.sql(
        "SHOW INDEX FROM `tabPlayer Memory Tracker` "
        "WHERE Key_name = 'player_season_next_review_date'"
    )
    assert [row["Column_name"] for row in index] == ["player", "season", "next_review_date"]


@pytest.mark.parametrize("hides", [False, True])
def test_its_reads_use_the_composite_index_and_sort_nothing(site: Site, hides: bool) -> None:
    site.add(PLAYER, overdue(40))
    if hides:
        site.engine().retire_questions(["q"], "head@school.example")
        site.sql("INSERT INTO memora_suspended (player, question_id) VALUES (%s, 'r')", (PLAYER,))
    site.servers.cache.kill()
    with site.listening() as statements:
        assert site.engine().due(PLAYER)["source"] == "safe_mode"
    reads = [each for each in statements if "SELECT" in each and TRACKER in each]
    assert reads
    for statement in reads:
        plan, *hidden = site.sql(f"EXPLAIN {statement}")
        assert plan["key"] == "player_season_next_review_date", statement
        assert len(hidden) == 2 * hides
        assert not any("filesort" in (each["Extra"] or "") for each in (plan, *hidden))


# -- limits -------------------------------------------------------------------------------------
def test_one_read_in_30_seconds_for_each_student_over_all_processes(
    site: Site, without_cache: Engine
) -> None:
    without_cache.due(PLAYER)
    for process in (without_cache, site.engine()):
        with pytest.raises(RateLimited) as refusal:
            process.due(PLAYER)
        assert 1 <= refusal.value.args[1] <= 30
        assert "wait" in refusal.value.args[0].lower()
    site.add("other@school.example", [Record("q")])
    assert site.engine().due("other@school.example")["is_degraded"]
    site.sql(f"UPDATE {LIMITER} SET read_at_us = read_at_us - 31000000 WHERE player <> ''")
    assert site.engine().due(PLAYER)["is_degraded"]


def test_500_reads_a_minute_for_the_whole_site(site: Site, without_cache: Engine) -> None:
    rows = ", ".join(
        f"(UNIX_TIMESTAMP(NOW(6)) * 1000000 - 20000000, 's{number}')" for number in range(499)
    )
    site.sql(f"INSERT INTO {LIMITER} (read_at_us, player) VALUES {rows}")
    without_cache.due(PLAYER)
    with pytest.raises(RateLimited) as refusal:
        without_cache.due("other@school.example")
    assert 1 <= refusal.value.args[1] <= 60
    site.sql(f"UPDATE {LIMITER} SET read_at_us = read_at_us - 61000000 WHERE player <> ''")
    assert site.engine().due("other@school.example")["is_degraded"]


def test_the_limit_holds_when_all_come_at_once(site: Site, without_cache: Engine) -> None:
    rows = ", ".join(f"(UNIX_TIMESTAMP(NOW(6)) * 1000000, 's{number}')" for number in range(490))
    site.sql(f"INSERT INTO {LIMITER} (read_at_us, player) VALUES {rows}")
    outcomes: list[str] = []

    def read(number: int) -> None:
        try:
            outcomes.append(site.engine().due(f"student{number}@school.example")["source"])
        except RateLimited:
            outcomes.append("refused")

    threads = [threading.Thread(target=read, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (outcomes.count("safe_mode"), outcomes.count("refused")) == (10, 14)


def in_processes(site: Site, players: list[list[str]]) -> list[tuple[str, int]]:
    """Each process reads for its players as fast as it can. Returns how long each must wait, 0 for
    not at all."""
    readers, writer = os.pipe()

    def read(own: list[str]) -> None:
        # Eight processes at once may wait for each other longer than a student should.
        engine = site.engine(database_timeout_ms=60_000)
        for player in own:
            try:
                wait = 0 if engine.due(player)["source"] == "safe_mode" else -1
            except RateLimited as refusal:
                wait = refusal.args[1]
            os.write(writer, f"{player} {wait}\n".encode())

    children = [fork(lambda own=own: read(own)) for own in players]  # type: ignore[misc]
    os.close(writer)
    with os.fdopen(readers) as pipe:
        lines = [line.split() for line in pipe]
    check(children)
    return [(player, int(wait)) for player, wait in lines]


def test_500_reads_a_minute_over_8_processes(site: Site, without_cache: Engine) -> None:
    players = [[f"student{place}-{number}" for number in range(90)] for place in range(PROCESSES)]
    found = in_processes(site, players)
    assert len(found) == PROCESSES * 90
    assert sum(wait == 0 for _, wait in found) == 500
    assert all(0 <= wait <= 60 for _, wait in found)


def test_one_read_in_30_seconds_for_each_student_over_8_processes(
    site: Site, without_cache: Engine
) -> None:
    players = [f"student{number}" for number in range(40)]
    found = in_processes(site, [players] * PROCESSES)
    assert sorted(player for player, wait in found if wait == 0) == sorted(players)
    assert sum(wait > 0 for _, wait in found) == (PROCESSES - 1) * len(players)
    assert all(0 <= wait <= 30 for _, wait in found)


def test_a_refused_read_does_not_count(site: Site, without_cache: Engine) -> None:
    without_cache.due(PLAYER)
    for _ in range(5):
        with pytest.raises(RateLimited):
            without_cache.due(PLAYER)
    assert site.sql(f"SELECT COUNT(*) AS n FROM {LIMITER} WHERE read_at_us >= 0")[0]["n"] == 1


# -- recovery -----------------------------------------------------------------------------------
def test_it_recovers_by_itself(site: Site, without_cache: Engine) -> None:
    assert without_cache.due(PLAYER)["is_degraded"]
    if site.servers.cache.is_running():
        site.servers.cache.resume()
    else:
        site.servers.cache.start()

    def is_back() -> bool:
        try:
            return without_cache.due(PLAYER)["source"] == "cache"
        except RateLimited:
            return False

    assert wait_until(is_back)
    assert len(without_cache.due(PLAYER, limit=40)["questions"]) == 40
    assert without_cache.cache_available()


def test_no_season_needs_no_cache(site: Site, without_cache: Engine) -> None:
    site.sql("UPDATE `tabGame Subscription Season` SET is_active = 0")
    answer = without_cache.due(PLAYER)
    assert (ids(answer), answer["season"]) == ([], None)


# -- submissions --------------------------------------------------------------------------------
def test_answers_are_taken_without_the_cache_and_shown_at_once(
    site: Site, without_cache: Engine
) -> None:
    taken = without_cache.submit(PLAYER, session_data=session("q000", subject="Science"))
    assert (taken["remaining_items"], site.waiting()) == (39, 1)
    answer = without_cache.due(PLAYER)
    assert (ids(answer)[0], answer["total_due"]) == ("q001", 39)
    assert without_cache.persistence_status(PLAYER, taken["persistence_job_id"]) == "pending"
    without_cache.drain()
    assert site.rows()["q000"]["stability"] == 3


def test_submissions_have_no_limit_in_safe_mode(site: Site, without_cache: Engine) -> None:
    for number in range(5):
        without_cache.submit(PLAYER, session_data=session(f"q{number:03}"))
    assert without_cache.due(PLAYER)["total_due"] == 35


@pytest.mark.parametrize("how", ENDS)
def test_without_the_journal_answers_are_kept_in_the_database(
    site: Site, engine: Engine, how: str
) -> None:
    site.add(PLAYER, overdue(5))
    engine.due(PLAYER)
    getattr(site.servers.journal, how)()
    taken = engine.submit(PLAYER, session_data=session("q000", "new"))
    assert (taken["processed"], taken["remaining_items"]) == (2, 4)
    for process in (engine, site.engine()):
        assert ids(process.due(PLAYER)) == ["q001", "q002", "q003", "q004"]
    site.servers.heal()
    assert wait_until(lambda: engine.journal_status()["reachable"])
    assert engine.persistence_status(PLAYER, taken["persistence_job_id"]) == "pending"
    engine.drain()
    rows = site.rows()
    assert (rows["q000"]["stability"], rows["new"]["stability"]) == (3, 1)
    assert engine.persistence_status(PLAYER, taken["persistence_job_id"]) == "persisted"
    audit = site.sql("SELECT * FROM `tabMemory Review Audit`")
    assert [(row["name"], row["answers"]) for row in audit] == [(taken["persistence_job_id"], 2)]


def test_with_both_redis_servers_down_answers_are_kept_in_the_database(
    site: Site, without_cache: Engine
) -> None:
    site.servers.journal.kill()
    for _ in range(2):
        taken = without_cache.submit(PLAYER, session_data=session("q000"))
    assert (taken["remaining_items"], taken["drain_wanted"]) == (39, False)
    answer = without_cache.due(PLAYER)
    assert (ids(answer)[0], answer["is_degraded"]) == ("q001", True)
    site.servers.heal()
    drain_all(site, site.engine())
    assert site.rows()["q000"]["stability"] == 4


def test_answers_from_several_windows_add_up_without_the_journal(site: Site) -> None:
    site.add(PLAYER, [Record("q", stability=0)])
    windows = [site.engine() for _ in range(4)]
    for window in windows:
        window.due(PLAYER)
    site.servers.journal.kill()
    threads = [
        threading.Thread(
            target=window.submit, args=(PLAYER,), kwargs={"session_data": session("q")}
        )
        for window in windows
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    site.servers.heal()
    drain_all(site, site.engine())
    assert site.rows()["q"]["stability"] == 4
    assert site.sql("SELECT COUNT(*) AS n FROM `tabMemory Review Audit`")[0]["n"] == 4


def test_without_any_server_nothing_is_acknowledged(site: Site, without_cache: Engine) -> None:
    site.servers.journal.kill()
    site.servers.database.kill()
    with pytest.raises(ServiceUnavailable):
        without_cache.submit(PLAYER, session_data=session("q000"))
    with pytest.raises(ServiceUnavailable):
        without_cache.due(PLAYER)


@pytest.mark.parametrize("how", ["kill", "pause"])
def test_without_the_database_the_warm_path_works(site: Site, how: str) -> None:
    engine = site.engine(database_timeout_ms=IMPATIENT["database_timeout_ms"])
    site.add(PLAYER, overdue(5))
    engine.due(PLAYER)
    getattr(site.servers.database, how)()
    assert engine.due(PLAYER)["total_due"] == 5
    taken = engine.submit(PLAYER, session_data=session("q000"))
    assert ids(engine.due(PLAYER)) == ["q001", "q002", "q003", "q004"]
    assert engine.persistence_status(PLAYER, taken["persistence_job_id"]) == "pending"
    with pytest.raises(ServiceUnavailable):
        engine.due("cold@school.example")


# -- the breaker --------------------------------------------------------------------------------
@pytest.fixture
def black_hole() -> Iterator[tuple[str, list[socket.socket]]]:
    """A server that takes connections and never answers: its URL, and the connections it took."""
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    taken.append(listener.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}", taken
        listener.shutdown(socket.SHUT_RDWR)
    for connection in taken:
        connection.close()


def most_attempts(began: float) -> int:
    """How often all threads of a process may have tried a server that hangs since then."""
    return 2 + math.floor((time.monotonic() - began) / FIRST_PAUSE_SECONDS)


@pytest.mark.parametrize("role", ["cache_url", "journal_url"])
@pytest.mark.engines(**IMPATIENT_WITH_REDIS)
def test_not_every_request_tries_a_server_that_hangs(
    site: Site, black_hole: tuple[str, list[socket.socket]], role: str
) -> None:
    url, taken = black_hole
    engine = site.engine(**{role: url})
    began = time.monotonic()
    for number in range(60):
        engine.due(f"student{number}@school.example")
    assert 1 <= len(taken) <= most_attempts(began)


@pytest.mark.engines(**IMPATIENT_WITH_REDIS)
def test_a_server_that_hangs_is_tried_by_one_thread_at_a_time(
    site: Site, black_hole: tuple[str, list[socket.socket]]
) -> None:
    url, taken = black_hole
    engine = site.engine(cache_url=url)
    began = time.monotonic()
    engine.due(PLAYER)

    def read(number: int) -> None:
        for repeat in range(5):
            with suppress(MemoraError):
                engine.due(f"student{number}-{repeat}@school.example")

    threads = [threading.Thread(target=read, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= len(taken) <= most_attempts(began)
