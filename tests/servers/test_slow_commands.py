"""No single command of memora's holds a Redis for more than 10 ms, at any size that the spec
names."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
import redis

from memora._engine import Engine
from tests.conftest import clean_site, emptied
from tests.support.servers import Redis
from tests.support.site_under_test import (
    PLAYER,
    SEASON,
    SUBJECTS,
    TOPICS,
    TRACKER,
    Servers,
    Site,
    session,
)

MOST_MICROSECONDS: Final = 10_000
STUDENTS: Final = 1_000_000
QUESTIONS: Final = 5_000
SUBMISSIONS: Final = 1_000
# A busy machine delays any command now and then; a slow command is slow each time.
TRIES: Final = 12
# Some 20 ms of Redis's processor.
COUNT_ON: Final = "for _ = 1, 6000000 do end"
FIFTY: Final = [f"question-number-{number}" for number in range(50)]


@pytest.fixture(scope="module")
def school(private_servers: Servers) -> Iterator[Site]:
    """A season of a million cached students, one of whom has a normal number of questions."""
    with emptied(private_servers):
        site = clean_site(Site(private_servers, private_servers.database.database))
        site.sql(
            f"INSERT INTO {TRACKER} (name, player, season, question_id, stability, "
            "next_review_date, last_review_date, answered_at_us, subject, topic, creation, "
            "modified) "
            "SELECT UUID(), %s, %s, CONCAT('question-number-', seq), 2, '2020-01-01', "
            f"'2019-12-01', seq, %s, %s, NOW(), NOW() FROM seq_0_to_{QUESTIONS - 1}",
            (PLAYER, SEASON, SUBJECTS[0], TOPICS[0]),
        )
        remember_students(site, time.time() + 100_000)
        yield site


def remember_students(site: Site, until: float, count: int = STUDENTS) -> None:
    """Students in the list of cached students, up to a given time."""
    site.cache.unlink(site.key("srs-students") + f":{SEASON}")
    add = (
        "for first = 1, ARGV[1], 1000 do local part = {} for number = first, first + 999 do "
        "part[#part + 1] = ARGV[2] part[#part + 1] = 'student' .. number .. '@school.example' end "
        "redis.call('ZADD', KEYS[1], unpack(part)) end"
    )
    site.cache.execute_command(
        "EVAL", add, 1, site.key("srs-students") + f":{SEASON}", str(count), str(until)
    )


def submit_many(engine: Engine) -> int:
    """Submissions of some students, all of which wait; how many."""
    for number in range(SUBMISSIONS):
        engine.submit(f"new{number % 50}@school.example", session_data=session("q1", "q2"))
    return SUBMISSIONS


def check_none_is_slow(site: Site, work: Callable[[], object]) -> None:
    """Do something, and look into SLOWLOG afterwards."""
    slow: list[str] = []
    for _ in range(TRIES):
        for client in (site.cache, site.journal):
            client.config_set("slowlog-log-slower-than", MOST_MICROSECONDS)
            client.slowlog_reset()
        work()
        slow = [
            f"{entry['command'][:70]!r}: {entry['duration']} us"
            for server in (site.servers.cache, site.servers.journal)
            for entry in slow_commands(server)
        ]
        if not slow:
            return
    pytest.fail(f"too slow in {TRIES} of {TRIES} tries: {slow}")


def slow_commands(server: Redis) -> list[dict[str, Any]]:
    """The entries of a server's SLOWLOG that would also appear on an idle machine."""
    with redis.Redis(host=server.host, port=server.port) as client:
        found: list[dict[str, Any]] = client.slowlog_get(100)
        most = MOST_MICROSECONDS * (how_busy(client) if found else 1)
        return [entry for entry in found if entry["duration"] > most]


def how_busy(client: redis.Redis[bytes]) -> float:
    """How many times longer a command takes now than Redis itself is at work on it."""
    client.slowlog_reset()
    before = processor_microseconds(client)
    client.execute_command("EVAL", COUNT_ON, 0)
    worked = processor_microseconds(client) - before
    lasted: float = max(entry["duration"] for entry in client.slowlog_get(100))
    return max(1.0, lasted / worked)


def processor_microseconds(client: redis.Redis[bytes]) -> float:
    """How much of the processor a server has used."""
    used = client.info("cpu")
    return 1e6 * (float(used["used_cpu_user"]) + float(used["used_cpu_sys"]))


VERBS: Final[dict[str, Callable[[Engine], object]]] = {
    "a warm read": lambda engine: engine.due(PLAYER, limit=50),
    "a read of a subject": lambda engine: engine.due(PLAYER, subject=SUBJECTS[0]),
    "focus mode": lambda engine: engine.due(PLAYER, topic=TOPICS[0]),
    "a forecast": lambda engine: engine.forecast(PLAYER, days=365),
    "a season's forecast": lambda engine: engine.season_forecast(SEASON, days=365),
    "a cold read": lambda engine: (engine.cache_clear(PLAYER, SEASON), engine.due(PLAYER)),
    "a submission": lambda engine: engine.submit(PLAYER, session_data=session(*FIFTY)),
    "a drain": lambda engine: (submit_many(engine), engine.drain()),
    "a season's status": lambda engine: engine.cache_status([SEASON]),
    "the journal's status": lambda engine: engine.journal_status(),
    "a student's status": lambda engine: engine.cache_stats(PLAYER, SEASON),
    "a student's dates": lambda engine: engine.cache_scores(PLAYER, SEASON),
    "a sample": lambda engine: engine.reconcile(SEASON, sample=10_000),
    "a reconciliation": lambda engine: engine.reconcile(SEASON),
    "latency": lambda engine: engine.latency(),
}


@pytest.mark.parametrize("verb", VERBS)
def test_no_command_holds_up_others(school: Site, verb: str) -> None:
    check_none_is_slow(school, lambda: VERBS[verb](school.engine()))


@pytest.mark.parametrize("verb", ["a season's status", "a season's forecast", "a sample"])
def test_a_million_students_whose_time_is_over_hold_up_nobody(school: Site, verb: str) -> None:
    remember_students(school, time.time() - 1)
    check_none_is_slow(school, lambda: VERBS[verb](school.engine()))


def test_a_rebuild_while_answers_wait_and_many_have_no_records(school: Site) -> None:
    remember_students(school, time.time() + 100_000, STUDENTS // 50)

    def rebuild() -> None:
        submit_many(school.engine())
        school.engine().rebuild(SEASON)

    check_none_is_slow(school, rebuild)


def test_an_uninstalled_app_leaves_slowly(school: Site) -> None:
    remember_students(school, time.time() + 100_000)
    check_none_is_slow(school, school.engine().uninstall)


def test_a_student_who_has_suspended_very_many_holds_up_nobody(school: Site) -> None:
    school.engine().prepare_storage()
    school.sql(
        "INSERT INTO memora_suspended (player, question_id) "
        f"SELECT %s, CONCAT('question-number-', seq) FROM seq_1_to_{2 * QUESTIONS} "
        "WHERE MOD(seq, 5)",
        (PLAYER,),
    )
    engine = school.engine()
    engine.cache_clear(PLAYER, SEASON)
    some = [f"question-number-{number}" for number in range(0, QUESTIONS, 5)]

    def hide_and_show() -> None:
        for change in (engine.retire_questions, engine.restore_questions):
            change(some, "manager@school.example")
            engine.due(PLAYER)
        engine.submit(PLAYER, session_data=session(*FIFTY))

    try:
        check_none_is_slow(school, hide_and_show)
    finally:
        school.sql("DELETE FROM memora_suspended")
