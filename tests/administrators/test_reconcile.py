"""Comparing the cache with the database: finds and corrects errors, leaves answers on their way."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from memora._engine import Engine, InvalidInput, ServiceUnavailable
from tests.administrators.test_rebuild import (
    QUESTIONS,
    STUDENTS,
    check_progress,
    check_truth,
    school,
    snapshot,
)
from tests.servers.test_fork import fork, kill
from tests.support.servers import wait_until
from tests.support.site_under_test import BELIEVING, SEASON, TRACKER, Record, Site, session

if TYPE_CHECKING:
    from memora._engine import Reconciliation

__all__ = ["school"]

WRONG = ("missing", "ghost", "wrong_date", "wrong_state", "half_filled")


def wrong(found: Reconciliation) -> dict[str, int]:
    """What was found, without zeros."""
    return {name: found[name] for name in WRONG if found[name]}  # type: ignore[literal-required]


@pytest.fixture
def cached(school: Site) -> Site:
    """The season with all students cached."""
    school.engine().rebuild(SEASON)
    return school


def forget(site: Site, student: str, *questions: str) -> None:
    """Take questions out of a student's cached schedule, which still says that it is complete."""
    site.cache.zrem(site.key("srs", student), *questions)
    site.cache.hdel(site.key("srs-detail", student), *questions)


# -- all of it ------------------------------------------------------------------------------------
def test_what_is_right_is_left_alone(cached: Site, engine: Engine) -> None:
    before = {student: snapshot(cached, student) for student in STUDENTS}
    found = engine.reconcile(SEASON)
    assert (found["students"], found["records"], wrong(found)) == (40, 1000, {})
    assert (found["done"], found["total"], found["corrected"], found["unsettled"]) == (
        1000,
        1000,
        0,
        0,
    )
    assert (found["percent_differing"], found["percent_low"], found["percent_high"]) == (
        0.0,
        0.0,
        0.0,
    )
    assert {student: snapshot(cached, student) for student in STUDENTS} == before


def test_planted_errors_are_found_and_corrected(cached: Site, engine: Engine) -> None:
    forget(cached, STUDENTS[0], "q1", "q2", "q3")
    cached.cache.zadd(cached.key("srs", STUDENTS[1]), {"ghost": 1.0, "other": 2.0})
    cached.cache.hset(cached.key("srs-detail", STUDENTS[1]), "ghost", "0,1,1,,0,")
    cached.cache.zadd(cached.key("srs", STUDENTS[2]), {"q3": 5.0, "q4": 9e9})
    state = cached.key("srs-detail", STUDENTS[3])
    detail = cached.cache.hget(state, "q7")
    assert detail is not None
    cached.cache.hset(state, "q7", detail.replace("Science", "Sorcery", 1))
    cached.cache.hdel(cached.key("srs-detail", STUDENTS[4]), "q8")
    for student in STUDENTS[5:9]:
        forget(cached, student, *(f"q{number}" for number in range(QUESTIONS // 2)), "")
    found = engine.reconcile(SEASON)
    planted = {"missing": 3, "ghost": 2, "wrong_date": 2, "wrong_state": 2, "half_filled": 4}
    assert wrong(found) == planted
    assert (found["students"], found["records"], found["corrected"]) == (36, 36 * QUESTIONS + 2, 9)
    assert found["percent_differing"] == pytest.approx(100 * 9 / found["records"])
    check_truth(cached, *STUDENTS)
    assert wrong(engine.reconcile(SEASON)) == {}


def test_what_the_database_says_wins(cached: Site, engine: Engine) -> None:
    """The table was changed past memora, as a restored backup would."""
    cached.sql(
        f"DELETE FROM {TRACKER} WHERE player = %s AND question_id IN ('q1', 'q2')", (STUDENTS[0],)
    )
    cached.sql(
        f"UPDATE {TRACKER} SET next_review_date = '2030-01-01' WHERE player = %s", (STUDENTS[1],)
    )
    cached.sql(
        f"UPDATE {TRACKER} SET stability = 4, topic = 'Plants' WHERE player = %s", (STUDENTS[2],)
    )
    cached.add(STUDENTS[3], [Record("new")])
    cached.sql(f"DELETE FROM {TRACKER} WHERE player = %s", (STUDENTS[4],))
    found = engine.reconcile(SEASON)
    assert wrong(found) == {"ghost": 27, "wrong_date": 25, "wrong_state": 25, "missing": 1}
    assert engine.due(STUDENTS[4])["total_due"] == 0
    assert engine.due(STUDENTS[1])["total_due"] == 0
    assert engine.due(STUDENTS[3])["total_due"] == 12
    check_truth(cached, *STUDENTS)


def test_who_is_not_cached_is_no_error(school: Site, engine: Engine) -> None:
    for student in STUDENTS[:3]:
        engine.due(student)
    found = engine.reconcile(SEASON)
    assert (found["students"], wrong(found)) == (3, {})
    school.cache.delete(school.key("srs", STUDENTS[0]), school.key("srs-detail", STUDENTS[0]))
    assert engine.reconcile(SEASON, sample=10_000)["students"] == 2
    assert school.cache.zrange(f"{school.name}|srs-students:{SEASON}", 0, -1) == STUDENTS[1:3]


def test_schedules_in_no_list_are_compared_and_listed(cached: Site, engine: Engine) -> None:
    cached.cache.delete(f"{cached.name}|srs-students:{SEASON}")
    forget(cached, STUDENTS[9], "q1")
    assert engine.reconcile(SEASON, sample=10_000)["students"] == 0
    assert wrong(engine.reconcile(SEASON)) == {"missing": 1}
    assert engine.reconcile(SEASON, sample=10_000)["students"] == 40


def test_keys_of_others_are_not_touched(cached: Site, other_site: Site, engine: Engine) -> None:
    other_site.engine().rehydrate(STUDENTS[0], SEASON)
    other_site.cache.zadd(other_site.key("srs", STUDENTS[0]), {"ghost": 1.0})
    foreign: dict[str | bytes, str] = {
        f"srs:{STUDENTS[0]}:{SEASON}": "1",
        f"{cached.name}x|srs:a:{SEASON}": "2",
        "k": "3",
    }
    cached.cache.mset(foreign)
    engine.rehydrate(STUDENTS[0], "SEASON-2025")
    cached.cache.zadd(cached.key("srs", STUDENTS[0], "SEASON-2025"), {"ghost": 1.0})
    assert wrong(engine.reconcile(SEASON)) == {}
    assert cached.cache.mget(list(foreign)) == list(foreign.values())
    for site, season in ((other_site, SEASON), (cached, "SEASON-2025")):
        assert site.cache.zscore(site.key("srs", STUDENTS[0], season), "ghost") == 1.0


def test_a_key_of_another_kind_is_replaced(cached: Site, engine: Engine) -> None:
    for family, student in (("srs", STUDENTS[0]), ("srs-detail", STUDENTS[1])):
        cached.cache.set(cached.key(family, student), "nonsense")
    cached.cache.zadd(cached.key("srs", STUDENTS[2]), {b"\xff\xfe": 1.0})
    found = engine.reconcile(SEASON)
    assert wrong(found) == {"half_filled": 2, "ghost": 1}
    check_truth(cached, *STUDENTS)


def test_what_is_void_since_an_outage_is_no_error(cached: Site, engine: Engine) -> None:
    cached.cache.zadd(cached.key("srs", STUDENTS[0]), {"ghost": 1.0})
    engine.season_changed(True)
    found = engine.reconcile(SEASON)
    assert (found["students"], wrong(found)) == (0, {})
    assert engine.due(STUDENTS[0])["total_due"] == 11


# -- in every form that Redis keeps them
MANY = 300
# Redis keeps numbers in a form of their own, and gives long ids with little in them shortened.
FORMS = {
    "plain": "G04-U{:03}",
    "numbers": "{}",
    "shortened": "{:03}" + 60 * "a",
    "not ASCII": "سؤال {}",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("may_dump", [True, False])
def test_large_schedules_are_compared(
    site: Site, engine: Engine, form: str, may_dump: bool
) -> None:
    questions = [FORMS[form].format(number) for number in range(MANY)]
    for student in STUDENTS[:3]:
        site.add(student, [Record(question) for question in questions])
    if not may_dump:
        # As a user of redis_cache from before memora used it.
        site.cache.execute_command("ACL", "SETUSER", "default", "-dump")
    engine.rebuild(SEASON)
    assert (wrong(engine.reconcile(SEASON)), engine.reconcile(SEASON)["records"]) == ({}, 3 * MANY)
    forget(site, STUDENTS[0], *questions[7:10])
    site.cache.zadd(site.key("srs", STUDENTS[1]), {"ghost": 1.5, questions[1]: 5.0})
    site.cache.hset(site.key("srs-detail", STUDENTS[1]), questions[2], "nonsense")
    # So few are kept in another form.
    site.cache.delete(site.key("srs", STUDENTS[2]))
    site.cache.zadd(site.key("srs", STUDENTS[2]), {questions[0]: 5.0})
    assert wrong(engine.reconcile(SEASON)) == {
        "missing": 3,
        "ghost": 1,
        "wrong_date": 1,
        "wrong_state": 1,
        "half_filled": 1,
    }
    assert wrong(engine.reconcile(SEASON)) == {}
    site.cache.execute_command("ACL", "SETUSER", "default", "+dump")
    check_truth(site, *STUDENTS[:3])


# -- answers on their way
# -----------------------------------------------------------------------------
def test_answers_in_the_journal_are_no_errors_and_stay(cached: Site, engine: Engine) -> None:
    for student in STUDENTS[:20]:
        engine.submit(student, session_data=session("q1", "new"))
    before = {student: snapshot(cached, student) for student in STUDENTS}
    assert cached.waiting() == 20
    for sample in (None, 1000):
        found = engine.reconcile(SEASON, sample)
        assert wrong(found) == {}
    assert {student: snapshot(cached, student) for student in STUDENTS} == before
    engine.drain()
    assert wrong(engine.reconcile(SEASON)) == {}
    assert {student: snapshot(cached, student) for student in STUDENTS} == before


def test_a_correction_keeps_answers_in_the_journal(cached: Site, engine: Engine) -> None:
    engine.submit(STUDENTS[0], session_data=session("q1", "new"))
    before = snapshot(cached, STUDENTS[0])
    forget(cached, STUDENTS[0], "q1", "q2", "new")
    assert wrong(engine.reconcile(SEASON)) == {"missing": 3}
    assert snapshot(cached, STUDENTS[0]) == before
    engine.drain()
    check_truth(cached, *STUDENTS)


def test_an_answer_that_never_reached_the_cache_is_found(cached: Site, engine: Engine) -> None:
    """Its process died between the journal and the cache: no student was told that it was taken."""
    old = {
        key: cached.cache.dump(key)
        for key in (cached.key("srs", STUDENTS[0]), cached.key("srs-detail", STUDENTS[0]))
    }
    engine.submit(STUDENTS[0], session_data=session("q1"))
    for key, content in old.items():
        cached.cache.restore(key, 0, content, replace=True)
    assert wrong(engine.reconcile(SEASON)) == {"wrong_date": 1}
    check_truth(cached, *STUDENTS)


def test_an_answer_between_journal_and_cache_is_no_error(cached: Site, engine: Engine) -> None:
    """It is in the journal, and comes into the cache while the reconciliation waits for that."""
    keys = [cached.key(family, STUDENTS[0]) for family in ("srs", "srs-detail")]
    old = [cached.cache.dump(key) for key in keys]
    engine.submit(STUDENTS[0], session_data=session("q1"))
    new = [cached.cache.dump(key) for key in keys]
    for key, content in zip(keys, old, strict=True):
        cached.cache.restore(key, 0, content, replace=True)
    fence = cached.key("srs-fence", STUDENTS[0])

    def arrive() -> None:
        assert wait_until(lambda: bool(cached.cache.exists(fence)))
        time.sleep(0.3)
        pipeline = cached.cache.pipeline()
        pipeline.delete(fence)
        for key, content in zip(keys, new, strict=True):
            pipeline.restore(key, 0, content, replace=True)
        pipeline.execute()

    thread = threading.Thread(target=arrive)
    thread.start()
    found = engine.reconcile(SEASON)
    thread.join()
    assert (wrong(found), found["students"]) == ({}, 40)


# -- a sample
# -------------------------------------------------------------------------------------------
def test_a_sample_is_of_whole_students(cached: Site, engine: Engine) -> None:
    found = engine.reconcile(SEASON, sample=300)
    assert 12 <= found["students"] <= 30
    assert found["records"] == found["students"] * QUESTIONS
    assert found["percent_low"] == found["percent_differing"] == 0.0 < found["percent_high"] < 5.0
    few = engine.reconcile(SEASON, sample=1)
    assert 10 <= few["students"] <= 20


def test_a_sample_of_all_has_no_doubt(cached: Site, engine: Engine) -> None:
    forget(cached, STUDENTS[0], "q1", "q2")
    found = engine.reconcile(SEASON, sample=10**9)
    assert (found["students"], wrong(found)) == (40, {"missing": 2})
    assert (
        found["percent_differing"]
        == found["percent_low"]
        == found["percent_high"]
        == pytest.approx(0.2)
    )


def test_a_sample_estimates_the_share(cached: Site, engine: Engine) -> None:
    choice = random.Random(3)
    # Half of the students lack some of their questions: 6% in all.
    lacking = {student: choice.sample(range(QUESTIONS), 3) for student in STUDENTS[::2]}
    within = missing = 0
    for _ in range(30):
        for student, questions in lacking.items():
            forget(cached, student, *(f"q{number}" for number in questions))
        found = engine.reconcile(SEASON, sample=300)
        assert found["percent_low"] <= found["percent_differing"] <= found["percent_high"]
        # A sample may have none of them, once in tens of thousands of times.
        assert set(wrong(found)) <= {"missing"}
        missing += found["missing"] > 0
        within += found["percent_low"] <= 6.0 <= found["percent_high"]
    # Of 30 intervals of 95% so few would hold the truth once in a million times.
    assert within >= 20
    assert missing >= 25


@pytest.mark.engines(**BELIEVING)
def test_a_sample_costs_the_same_however_many_there_are(cached: Site, engine: Engine) -> None:
    def cost() -> tuple[int, int]:
        with cached.counting() as costs:
            assert engine.reconcile(SEASON, sample=1)["students"] == 10
        return costs[0].selects, costs[0].cache_round_trips

    engine.reconcile(SEASON, sample=1)
    few = cost()
    cached.cache.mset({f"foreign{number}": "x" for number in range(20_000)})
    for number in range(200):
        cached.add(f"more{number}@school.example", [Record(f"q{each}") for each in range(50)])
        engine.rehydrate(f"more{number}@school.example", SEASON)
    many = cost()
    assert max(one - other for one, other in zip(many, few, strict=True)) <= 4, (few, many)


# -- while it runs
# ----------------------------------------------------------------------------------
def test_progress_is_told_and_can_end_it(cached: Site, engine: Engine) -> None:
    told: list[Reconciliation] = []
    engine.reconcile(SEASON, progress=lambda news: told.append(news.copy()))
    check_progress(told)

    class Enough(Exception):
        pass

    def watch(news: Reconciliation) -> None:
        if news["done"]:
            raise Enough

    with pytest.raises(Enough):
        engine.reconcile(SEASON, progress=watch)
    assert wait_until(lambda: not engine.is_running("Reconciliation", SEASON))
    assert engine.reconcile(SEASON)["students"] == 40


def test_one_process_at_a_time(cached: Site, engine: Engine) -> None:
    refusals: list[Any] = []

    def watch(_news: Reconciliation) -> None:
        if not refusals:
            with pytest.raises(InvalidInput, match="another process") as refusal:
                cached.engine().reconcile(SEASON)
            refusals.append(refusal)

    engine.reconcile(SEASON, progress=watch)
    assert len(refusals) == 1


def test_killed_and_started_again_it_ends_right(cached: Site, engine: Engine) -> None:
    choice = random.Random(7)
    for _ in range(6):
        for student in STUDENTS:
            forget(cached, student, "q1")
        child = fork(
            lambda: cached.engine().reconcile(SEASON, progress=lambda _: time.sleep(0.002)) and None
        )
        time.sleep(choice.uniform(0.0, 0.03))
        kill(child)
        assert wait_until(lambda: not engine.is_running("Reconciliation", SEASON))
        engine.reconcile(SEASON)
        check_truth(cached, *STUDENTS[::5])


@pytest.mark.parametrize("server", ["cache", "journal", "database"])
def test_without_a_server_it_fails_and_corrects_nothing(
    cached: Site, engine: Engine, server: str
) -> None:
    getattr(cached.servers, server).kill()
    with pytest.raises(ServiceUnavailable) as failure:
        engine.reconcile(SEASON)
    assert server in failure.value.args[0]


def test_while_it_is_archived_nothing_is_a_ghost(cached: Site, engine: Engine) -> None:
    """An archived season's records are no longer in the table: that makes no cached record a
    ghost."""
    cached.sql("UPDATE `tabGame Subscription Season` SET is_active = 0")
    engine.archive(SEASON, share=1.0)
    with pytest.raises(Exception, match="archived"):
        engine.reconcile(SEASON)


# -- schedules of a generation before
# -----------------------------------------------------------------
def test_void_schedules_are_told_and_count_as_nothing(school: Site, engine: Engine) -> None:
    engine.rebuild(SEASON)
    count = engine.cache_status([SEASON])["seasons"][SEASON]["students"]
    assert count > 0
    engine.season_changed(cache_is_void=True)
    assert engine.cache_status([SEASON])["seasons"][SEASON]["students"] == 0
    found = engine.reconcile(SEASON)
    assert (found["void"], found["students"], found["records"]) == (count, 0, 0)
    found = engine.reconcile(SEASON, 1000)
    assert found["void"] > 0
    assert (found["students"], found["records"]) == (0, 0)
    engine.rebuild(SEASON)
    assert engine.cache_status([SEASON])["seasons"][SEASON]["students"] == count
    assert engine.reconcile(SEASON)["void"] == 0
