"""Loading a whole season into the cache again, while students read and answer."""

from __future__ import annotations

import random
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from memora._engine import Engine, InvalidInput, MemoraError, SeasonUnavailable, ServiceUnavailable
from tests.servers.test_fork import check, fork, kill
from tests.students.test_rehydrate import together
from tests.support.servers import wait_until
from tests.support.site_under_test import (
    BELIEVING,
    SEASON,
    SUBJECTS,
    Record,
    Site,
    lasting_keys,
    session,
)
from tests.support.wire import Wires

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from memora._engine import RebuildProgress, Reconciliation

STUDENTS = [f"student{number:02}@school.example" for number in range(40)]
QUESTIONS = 25


@pytest.fixture
def school(site: Site) -> Site:
    """A season of 40 students, each with 25 questions, nothing cached."""
    add_students(site)
    return site


def add_students(site: Site, season: str = SEASON) -> None:
    for student in STUDENTS:
        records = [
            # A second earlier, because MariaDB is asked in whole seconds.
            Record(
                f"q{number}",
                timedelta(hours=number - 10, seconds=-1),
                number % 5,
                SUBJECTS[number % 3],
            )
            for number in range(QUESTIONS)
        ]
        site.add(student, records, season)


def snapshot(
    site: Site, student: str, season: str = SEASON
) -> tuple[dict[str, float], dict[str, str]]:
    """All that is cached of a student, but for the markers."""
    dates = dict(site.cache.zrange(site.key("srs", student, season), 0, -1, withscores=True))
    details = site.cache.hgetall(site.key("srs-detail", student, season))
    dates.pop("", None)
    details.pop("", None)
    return dates, details


def check_truth(site: Site, *students: str) -> None:
    """Each cached schedule equals a fresh load, and is believed."""
    for student in students:
        assert site.engine().cache_stats(student, SEASON)["complete"], student
        cached = snapshot(site, student)
        site.engine().cache_clear(student, SEASON)
        site.engine().rehydrate(student, SEASON)
        assert snapshot(site, student) == cached, student


def check_progress(told: Sequence[RebuildProgress | Reconciliation]) -> list[int]:
    """The reported progress grows to a thousand records. Returns the records done each time."""
    done = [news["done"] for news in told]
    assert (done[0], done[-1]) == (0, 1000)
    assert done == sorted(done)
    assert all(news["done"] <= news["total"] for news in told)
    return done


@pytest.mark.engines(**BELIEVING)
def test_everybody_is_cached_then(school: Site, engine: Engine) -> None:
    done = engine.rebuild(SEASON)
    assert done == {"season": SEASON, "students": 40, "done": 1000, "total": 1000, "dropped": 0}
    engine.due(STUDENTS[0])
    with school.counting() as costs:
        for student in STUDENTS:
            assert engine.due(student)["total_due"] == 11
    assert (costs[0].selects, costs[0].cache_round_trips) == (0, 40)
    check_truth(school, *STUDENTS)
    names = {
        school.key(family, student) for student in STUDENTS for family in ("srs", "srs-detail")
    }
    left = lasting_keys(school.cache) - names
    assert {key for key in left if "new" in key or "fence" in key} == set()


def test_what_was_wrong_is_right_then(school: Site, engine: Engine) -> None:
    engine.rebuild(SEASON)
    first, second, third, fourth = (school.key("srs", student) for student in STUDENTS[:4])
    school.cache.zrem(first, "q1", "q2")
    school.cache.zadd(second, {"ghost": 1.0})
    school.cache.zadd(third, {"q3": 5.0})
    school.cache.delete(fourth)
    engine.rehydrate("has@no.records", SEASON)
    school.cache.zadd(school.key("srs", "has@no.records"), {"ghost": 1.0})
    done = engine.rebuild(SEASON)
    assert (done["students"], done["done"]) == (40, 1000)
    check_truth(school, *STUDENTS)
    assert done["dropped"] == 0
    # A schedule without records is dropped, unless it was just touched.
    school.cache.zadd(
        f"{school.name}|srs-students:{SEASON}", {"has@no.records": time.time() + 1000}
    )
    assert engine.rebuild(SEASON)["dropped"] == 1
    assert not school.cache.exists(school.key("srs", "has@no.records"))


def test_only_this_season_and_site_are_touched(
    school: Site, other_site: Site, engine: Engine
) -> None:
    other_site.add(STUDENTS[0], [Record("elsewhere")])
    other_site.engine().due(STUDENTS[0])
    school.add(STUDENTS[0], [Record("q")], "SEASON-2025")
    engine.rehydrate(STUDENTS[0], "SEASON-2025")
    before = {key: school.cache.dump(key) for key in lasting_keys(school.cache)}
    engine.rebuild(SEASON)
    changed = {key for key in before if school.cache.dump(key) != before[key]}
    assert changed == set()
    assert other_site.engine().due(STUDENTS[0])["total_due"] == 1


def test_answers_that_wait_in_the_journal_are_in_it(school: Site, engine: Engine) -> None:
    engine.submit(STUDENTS[3], session_data=session("q1", "brand-new"))
    school.cache.flushall()
    engine.rebuild(SEASON)
    assert set(snapshot(school, STUDENTS[3])[0]) == {
        f"q{number}" for number in range(QUESTIONS)
    } | {"brand-new"}
    assert engine.due(STUDENTS[3])["total_due"] == 10
    engine.drain()
    check_truth(school, *STUDENTS)


def test_progress_is_told(school: Site, engine: Engine) -> None:
    told: list[RebuildProgress] = []
    engine.rebuild(SEASON, lambda news: told.append(news.copy()))
    assert len(set(check_progress(told))) > 3


def test_what_raises_while_it_is_told_ends_it(school: Site, engine: Engine) -> None:
    class Enough(Exception):
        pass

    def watch(news: RebuildProgress) -> None:
        if news["done"]:
            raise Enough

    students = [*STUDENTS, *(f"{student}.other" for student in STUDENTS)]
    for student in students[len(STUDENTS) :]:
        school.add(student, [Record("q")])
    # It rests a hundred times as long as it works, so that the end is not reached too early.
    with pytest.raises(Enough):
        engine.rebuild(SEASON, watch, share=0.01)
    cached = [student for student in students if engine.cache_stats(student, SEASON)["complete"]]
    assert 0 < len(cached) < len(students)
    assert wait_until(lambda: not engine.is_running("Rebuild", SEASON))
    assert engine.rebuild(SEASON)["done"] == 1040
    check_truth(school, *students)


def test_one_process_at_a_time(school: Site, engine: Engine) -> None:
    refusals: list[str] = []

    def watch(_news: RebuildProgress) -> None:
        assert engine.is_running("Rebuild", SEASON)
        assert not engine.is_running("Reconciliation", SEASON)
        if not refusals:
            with pytest.raises(InvalidInput) as refusal:
                school.engine().rebuild(SEASON)
            refusals.append(refusal.value.args[0])

    engine.rebuild(SEASON, watch)
    assert "another process" in refusals[0]
    assert wait_until(lambda: not engine.is_running("Rebuild", SEASON))


def test_killed_and_started_again_it_ends_right(school: Site, engine: Engine) -> None:
    choice = random.Random(5)
    for _ in range(6):
        school.cache.flushall()
        engine.due(STUDENTS[0])
        child = fork(lambda: school.engine().rebuild(SEASON, lambda _: time.sleep(0.002)) and None)
        time.sleep(choice.uniform(0.0, 0.03))
        kill(child)
        assert wait_until(lambda: not engine.is_running("Rebuild", SEASON))
        # Half a rebuild does no harm: reads load students who are not cached.
        for student in STUDENTS[::7]:
            assert engine.due(student)["total_due"] == 11
        assert engine.rebuild(SEASON)["done"] == 1000
        check_truth(school, *STUDENTS[::5])


def test_a_cache_that_is_away_for_a_moment_does_not_end_it(school: Site, engine: Engine) -> None:
    is_killed = False

    def watch(news: RebuildProgress) -> None:
        nonlocal is_killed
        if news["done"] and not is_killed:
            is_killed = True
            school.servers.cache.kill()
            time.sleep(0.3)
            school.servers.cache.start()

    engine.rebuild(SEASON, watch)
    assert is_killed
    # Schedules cached before the cache went down are void; no read may show them.
    for student in STUDENTS:
        assert school.engine().due(student)["total_due"] == 11
    check_truth(school, *STUDENTS)


@pytest.mark.parametrize("server", ["cache", "journal", "database"])
def test_without_a_server_it_fails_and_says_why(school: Site, engine: Engine, server: str) -> None:
    getattr(school.servers, server).kill()
    with pytest.raises(ServiceUnavailable) as failure:
        engine.rebuild(SEASON)
    assert server in failure.value.args[0]


@pytest.mark.parametrize(
    "season", ["SEASON-9999", "season-2026", "", "x' OR 1=1 -- ", "SEASON-2026 ", "q" * 10**5]
)
def test_what_is_no_season_is_refused(school: Site, engine: Engine, season: str) -> None:
    for work in (engine.rebuild, engine.reconcile):
        with pytest.raises(InvalidInput) as refusal:
            work(season)
        assert len(refusal.value.args[0]) < 300


def test_a_season_without_cache_and_an_archived_one_are_refused(
    school: Site, engine: Engine
) -> None:
    school.sql("UPDATE `tabGame Subscription Season` SET is_active = 0, enable_redis = 0")
    for work in (engine.rebuild, engine.reconcile):
        with pytest.raises(InvalidInput, match="does not use the cache"):
            work(SEASON)
    school.sql("UPDATE `tabGame Subscription Season` SET enable_redis = 1")
    engine.archive(SEASON, share=1.0)
    for work in (engine.rebuild, engine.reconcile):
        with pytest.raises(SeasonUnavailable, match="archived"):
            work(SEASON)


def test_a_season_without_records_is_soon_done(site: Site, engine: Engine) -> None:
    assert engine.rebuild(SEASON)["done"] == 0


def test_players_of_any_name_are_rebuilt(site: Site, engine: Engine) -> None:
    names = [
        "a:b:SEASON-2025",
        "Ümit@schule.example",
        "x'); DROP TABLE y; --",
        "*",
        "😀",
        "ends with space ",
    ]
    for name in names:
        site.add(name, [Record("q"), Record("r:s*'\"😀")])
    assert engine.rebuild(SEASON)["students"] == len(names)
    check_truth(site, *names)


def test_it_works_in_a_child_too(school: Site, engine: Engine) -> None:
    engine.rebuild(SEASON)
    for work in (engine.rebuild, engine.reconcile):

        def in_child(work: Callable[[str], object] = work) -> None:
            work(SEASON)

        check([fork(in_child)])
    check_truth(school, *STUDENTS)


def test_a_cache_that_is_restarted_meanwhile_is_whole_in_the_end(
    school: Site, engine: Engine
) -> None:
    """The schedules loaded before are lost with it: the rebuild starts over."""
    restarted: list[int] = []

    def watch(news: RebuildProgress) -> None:
        if news["done"] and not restarted:
            restarted.append(news["done"])
            school.servers.cache.restart()

    assert engine.rebuild(SEASON, watch, share=0.01)["students"] == len(STUDENTS)
    assert restarted
    assert all(engine.cache_stats(student, SEASON)["complete"] for student in STUDENTS)
    check_truth(school, *STUDENTS)


# -- students continue meanwhile
# ------------------------------------------------------------------------
def test_students_who_answer_meanwhile_lose_nothing(school: Site, engine: Engine) -> None:
    is_over = threading.Event()
    answered: dict[str, int] = {}

    def rebuild() -> None:
        process = school.engine()
        while not is_over.is_set():
            process.rebuild(SEASON)

    def reconcile() -> None:
        process = school.engine()
        while not is_over.is_set():
            found = process.reconcile(SEASON)
            # An answer on its way is no error.
            wrong = {
                name: found[name] for name in ("missing", "ghost", "wrong_date", "wrong_state")
            }
            assert set(wrong.values()) == {0}, found

    def drain() -> None:
        process = school.engine()
        while not is_over.is_set():
            process.drain(seconds=0.2)

    def answer(students: list[str]) -> None:
        process, reader = school.engine(), school.engine()
        for number in range(60):
            for student in students:
                process.submit(student, session_data=session(f"n{number}"))
                answered[student] = number + 1
                cached = reader.due(student, limit=50)
                assert cached["source"] == "cache"
                assert cached["total_due"] == 11
                assert reader.cache_stats(student, SEASON)["records"] in (0, QUESTIONS + number + 1)

    def answer_all() -> None:
        try:
            together(*[lambda part=part: answer(STUDENTS[part::3][:4]) for part in range(3)])
        finally:
            is_over.set()

    together(answer_all, rebuild, drain, reconcile)
    engine.drain()
    for student, count in answered.items():
        assert count == 60
        assert len(school.rows(student)) == QUESTIONS + count
    engine.rebuild(SEASON)
    check_truth(school, *STUDENTS)


def test_an_answer_between_load_and_fill_is_not_undone(school: Site, wires: Wires) -> None:
    """The last student answers after the rebuild has begun, and before they are cached."""
    student = STUDENTS[-1]
    fence = school.key("srs-fence", student)
    slow = school.engine(**wires.settings, redis_timeout_ms=60_000)
    slow.rebuild(SEASON)
    before = snapshot(school, student)[0]["q1"]
    other = school.engine()
    other.due(student)
    rebuilt: list[int] = []

    def rebuild() -> None:
        # It rests a hundred times as long as it works, so it comes late to the last ones.
        rebuilt.append(slow.rebuild(SEASON, share=0.01)["done"])

    thread = threading.Thread(target=rebuild)
    thread.start()
    assert wait_until(lambda: bool(school.cache.exists(fence)))
    wires.to["cache"].hang()
    assert school.cache.exists(fence)
    other.submit(student, session_data=session("q1"))
    other.drain()
    wires.to["cache"].mend()
    thread.join()
    assert rebuilt == [1000]
    assert snapshot(school, student)[0]["q1"] > before
    assert other.cache_stats(student, SEASON)["complete"]
    check_truth(school, student)


def test_a_student_who_answers_whenever_he_is_loaded_is_left_to_the_next_read(school: Site) -> None:
    # A cold read sets the fence again, so the rebuild gives up after some tries.
    is_over = threading.Event()
    fence = school.key("srs-fence", STUDENTS[0])

    def break_fence() -> None:
        client = school.servers.cache.client()
        while not is_over.is_set():
            client.delete(fence)

    breaker = threading.Thread(target=break_fence)
    breaker.start()
    try:
        done = school.engine().rebuild(SEASON)
    finally:
        is_over.set()
        breaker.join()
    assert done["students"] + done["dropped"] == len(STUDENTS)
    assert school.engine().due(STUDENTS[0])["total_due"] == 11


def test_errors_of_the_engine_are_its_own(school: Site, engine: Engine) -> None:
    for share in (0.0, -1.0, 1.5, float("nan")):
        with pytest.raises(MemoraError):
            engine.rebuild(SEASON, share=share)
    assert engine.rebuild(SEASON, share=0.3)["done"] == 1000


def test_a_rebuild_whose_lock_is_gone_does_not_go_on_without_it(
    school: Site, engine: Engine
) -> None:
    killed, passes, others = list[int](), list[float](), set[bool]()

    def progress(found: RebuildProgress) -> None:
        if found["done"] == 0:
            passes.append(time.monotonic())
        elif not killed:
            lock = f"CONCAT('memora-rebuild|{SEASON}|', DATABASE())"
            (row,) = school.sql(f"SELECT IS_USED_LOCK({lock}) AS id")
            killed.append(row["id"])
            school.sql(f"KILL {row['id']}")
        if len(passes) == 2:
            others.add(school.engine().is_running("Rebuild", SEASON))

    assert engine.rebuild(SEASON, progress=progress)["students"] == len(STUDENTS)
    assert (len(killed), len(passes), others) == (1, 2, {True})
    check_truth(school, *STUDENTS)
