"""Loading a student into the cache: never an older schedule than the last acknowledged answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta, timezone

import pytest

from memora._engine import Engine, MemoraError
from tests.support.servers import wait_until
from tests.support.site_under_test import (
    BELIEVING,
    BY_SUBJECT,
    IMPATIENT_WITH_REDIS,
    PLAYER,
    SCHEDULE,
    SEASON,
    TRACKER,
    Record,
    Site,
    ids,
    session,
)


def check_shown(site: Site, *processes: Engine) -> None:
    """`q` was answered: no read shows it as due any more, before and after the drain, or later."""
    for process in processes:
        # Its breaker may keep it from the cache for a moment, and Safe Mode has room for one read.
        assert wait_until(process.cache_available)
        assert ids(process.due(PLAYER)) == ["r"]
        assert process.due(PLAYER)["total_due"] == 1
    assert wait_until(lambda: processes[0].journal_status()["reachable"])
    processes[0].drain()
    for process in (*processes, site.engine()):
        assert ids(process.due(PLAYER)) == ["r"]


def test_loads_the_records_and_says_how_many(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record(f"q{number}") for number in range(7)])
    assert engine.rehydrate(PLAYER, SEASON) == 7
    stats = engine.cache_stats(PLAYER, SEASON)
    assert (stats["complete"], stats["records"], stats["due"]) == (True, 7, 7)
    assert stats["memory_bytes"] > 0
    assert engine.rehydrate("nobody@school.example", SEASON) == 0
    assert engine.cache_stats("nobody@school.example", SEASON)["complete"]


def test_every_record_is_loaded_as_it_stands(site: Site, engine: Engine) -> None:
    """Names that look like separators, missing names, and missing dates."""
    names = ["q", "1,2,3,", "2026-01-01 00:00:00,", "سؤال", "𝛑", "'\\\"", "\n", "q,1"]
    records = [
        Record(name, subject=subject, topic=topic, answered_at_us=answered, reviewed_in=reviewed)
        for name, subject, topic, answered, reviewed in zip(
            names,
            [None, "", "Science, 7", "علوم", "1", ",", "a" * 140, "𝛑" * 140],
            ["Plants", None, "", "1,", "نبات", "𝛑" * 140, None, ","],
            [0, 1, 1_700_000_000_123_456, 5, 0, 0, 7, 2**62],
            [None, timedelta(days=-1), *[None] * 5, timedelta(seconds=-1)],
            strict=True,
        )
    ]
    site.add(PLAYER, records)
    assert engine.rehydrate(PLAYER, SEASON) == len(names)
    details = site.cache.hgetall(site.key("srs-detail", PLAYER))
    for row in site.rows().values():
        subject, topic = row["subject"] or "", row["topic"] or ""
        detail = details[row["question_id"]]
        assert detail.startswith(f"{len(subject.encode())},{subject}{row['stability']},")
        assert detail.endswith(f",{row['answered_at_us']},{topic}")
    # The rebuild reads the whole season.
    engine.rebuild(SEASON)
    again = site.cache.hgetall(site.key("srs-detail", PLAYER))
    again.pop(""), details.pop("")
    assert again == details


@pytest.mark.parametrize("count", [1, 62, 63, 64, 600, 16_383, 16_384])
def test_schedules_of_every_size(site: Site, engine: Engine, count: int) -> None:
    records = [
        Record(
            f"{number:05}", timedelta(seconds=-1 - number % 97), subject="Science", topic="Plants"
        )
        for number in range(count)
    ]
    site.add(PLAYER, records)
    assert engine.rehydrate(PLAYER, SEASON) == count
    rows = site.rows()
    scores = {
        name: row["next_review_date"].replace(microsecond=0, tzinfo=timezone.utc)
        for name, row in rows.items()
    }
    assert engine.cache_scores(PLAYER, SEASON) == {
        name: date.timestamp() for name, date in scores.items()
    }
    first = engine.due(PLAYER, limit=1)
    assert first["total_due"] == count
    assert first["questions"][0]["question_id"] == min(rows, key=lambda name: (scores[name], name))
    for wanted in ({"subject": "Science"}, {"topic": "Plants"}):
        answer = engine.due(PLAYER, **wanted)  # type: ignore[arg-type]
        assert (answer["total_due"], answer["source"]) == (count, "cache")
    found = engine.reconcile(SEASON)
    wrong = found["missing"] + found["ghost"] + found["wrong_date"] + found["wrong_state"]
    assert (found["students"], found["records"], wrong) == (1, count, 0)


@pytest.mark.parametrize(
    "name", ["q" * 63, "q" * 64, "q" * 140, "\U0001f600" * 140, "é\\'\"\n*[]{}", "0", "-1.5"]
)
def test_schedules_of_every_name(site: Site, engine: Engine, name: str) -> None:
    site.add(PLAYER, [Record(name, subject="S" * 140, topic="\U0001f600" * 140), Record("other")])
    engine.rehydrate(PLAYER, SEASON)
    shown = {question["question_id"]: question for question in engine.due(PLAYER)["questions"]}
    assert set(shown) == {name, "other"}
    assert (shown[name]["subject"], shown[name]["topic"]) == ("S" * 140, "\U0001f600" * 140)


@pytest.mark.engines(**BELIEVING)
@pytest.mark.parametrize("is_written_lately", [False, True])
def test_a_load_asks_mariadb_twice(site: Site, engine: Engine, is_written_lately: bool) -> None:
    """Whether any entry must be applied to the records, for these students."""
    site.add(PLAYER, [Record("q"), Record("r")])
    engine.due(PLAYER)
    if is_written_lately:
        engine.submit(PLAYER, session_data=session("q"))
        engine.drain()
    engine.cache_clear(PLAYER, SEASON)
    with site.counting() as costs:
        assert ids(engine.due(PLAYER)) == (["r"] if is_written_lately else ["q", "r"])
    assert costs[0].selects == 2


def test_a_load_has_mariadb_make_no_table(site: Site) -> None:
    """Making a temporary table for two rows takes as long as reading a thousand records."""
    site.add(PLAYER, [Record("q")])
    with site.listening() as statements:
        assert ids(site.engine().due(PLAYER)) == ["q"]
    reads = [text for text in statements if text.startswith("SELECT")]
    assert any("memora_journal" in text for text in reads)
    for text in reads:
        for row in site.sql(f"EXPLAIN {text}"):
            made = f"{row['table']} {row['select_type']} {row['Extra']}".lower()
            assert not any(sign in made for sign in ("derived", "temporary")), text


@pytest.mark.engines(**BELIEVING)
def test_a_record_without_a_question_does_not_pass_for_the_marker(
    site: Site, engine: Engine
) -> None:
    site.add(PLAYER, [Record(""), Record("q")])
    engine.due(PLAYER)
    with site.counting() as costs:
        assert ids(engine.due(PLAYER)) == ["q"]
    assert costs[0].statements == 0


@pytest.mark.parametrize("family", ["srs-new", "srs-new-detail"])
def test_what_a_failed_fill_left_is_in_nobodys_way(site: Site, engine: Engine, family: str) -> None:
    site.add(PLAYER, [Record("q")])
    site.cache.hset(site.key(family, PLAYER), "ghost", "9")
    assert ids(engine.due(PLAYER)) == ["q"]
    assert set(site.cache.keys(f"{site.name}|srs*:{PLAYER}:*")) == {
        site.key(family, PLAYER) for family in SCHEDULE
    }
    assert engine.cache_scores(PLAYER, SEASON).keys() == {"q"}


def test_the_log_tells_why_nothing_is_cached(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.add(PLAYER, [Record("q")])
    server = site.servers.cache
    site.cache.acl_setuser(
        "weak", enabled=True, nopass=True, categories=["+@all"], commands=["-restore"], keys=["*"]
    )
    try:
        weak = site.engine(
            cache_url=f"redis://weak:any@{server.host}:{server.port}/{server.database}"
        )
        assert ids(weak.due(PLAYER)) == ["q"]
    finally:
        site.cache.acl_deluser("weak")
    assert any(
        "could not be cached" in text and "restore" in text.lower() for text in caplog.messages
    )


def test_a_cache_lives_as_long_as_set(site: Site) -> None:
    site.add(PLAYER, [Record("q")])
    engine = site.engine(cache_ttl_seconds=1000)
    engine.due(PLAYER)
    for family in SCHEDULE:
        assert 0 < site.cache.ttl(site.key(family, PLAYER)) <= 1000
        site.cache.expire(site.key(family, PLAYER), 100)
    engine.submit(PLAYER, session_data=session("q"))
    for family in SCHEDULE:
        assert 100 < site.cache.ttl(site.key(family, PLAYER)) <= 1000


def test_answers_that_wait_in_the_journal_are_loaded_too(
    site: Site, engine: Engine, other: Engine
) -> None:
    engine.submit(PLAYER, session_data=session("q", "new"))
    site.cache.flushall()
    assert other.rehydrate(PLAYER, SEASON) == 3
    check_shown(site, engine, other)


def test_what_the_journal_adds_has_its_subject(site: Site, engine: Engine) -> None:
    engine.rate(
        PLAYER, '[{"question_id": "q", "attempts_count": 2}]', subject="Science", topic="Plants"
    )
    site.cache.flushall()
    assert ids(engine.due(PLAYER, subject="Science")) == ["q"]
    site.cache.flushall()
    assert ids(engine.due(PLAYER, topic="Plants")) == ["q"]


@pytest.mark.parametrize("family", [*SCHEDULE, BY_SUBJECT, "srs-fence", "srs-season", "srs-links"])
def test_an_evicted_key_undoes_nothing(
    site: Site, engine: Engine, other: Engine, family: str
) -> None:
    engine.submit(PLAYER, session_data=session("q", subject="Science"))
    player = PLAYER if family in (*SCHEDULE, BY_SUBJECT, "srs-fence") else None
    site.cache.delete(site.key(family, player))
    check_shown(site, engine, other)


def test_a_cache_that_was_wiped_undoes_nothing(site: Site, engine: Engine, other: Engine) -> None:
    engine.submit(PLAYER, session_data=session("q"))
    site.servers.cache.kill()
    site.servers.cache.forget()
    site.servers.cache.start()
    check_shown(site, other, engine)


def test_a_cache_that_comes_back_with_old_data_undoes_nothing(
    site: Site, engine: Engine, other: Engine
) -> None:
    site.servers.cache.snapshot()
    engine.submit(PLAYER, session_data=session("q"))
    site.servers.cache.kill()
    site.servers.cache.start()
    assert site.cache.exists(site.key("srs", PLAYER))
    check_shown(site, other, engine)
    site.servers.cache.forget()


def test_old_data_after_the_drain_undoes_nothing(site: Site, engine: Engine, other: Engine) -> None:
    site.servers.cache.snapshot()
    engine.submit(PLAYER, session_data=session("q"))
    engine.drain()
    site.servers.cache.kill()
    site.servers.cache.start()
    check_shown(site, other, engine)


@pytest.mark.engines(**IMPATIENT_WITH_REDIS)
def test_answers_during_an_outage_that_the_cache_survives(
    site: Site, engine: Engine, other: Engine
) -> None:
    site.servers.cache.pause()
    engine.submit(PLAYER, session_data=session("q"))
    site.servers.cache.resume()
    check_shown(site, other, engine)


def test_answers_during_an_outage_with_old_data_after_it(
    site: Site, engine: Engine, other: Engine
) -> None:
    site.servers.cache.snapshot()
    site.servers.cache.kill()
    engine.submit(PLAYER, session_data=session("q"))
    site.servers.cache.start()
    check_shown(site, other, engine)


def test_answers_while_the_journal_is_down_are_not_undone(
    site: Site, engine: Engine, other: Engine
) -> None:
    site.servers.journal.kill()
    engine.submit(PLAYER, session_data=session("q"))
    assert ids(engine.due(PLAYER)) == ids(other.due(PLAYER)) == ["r"]
    site.servers.journal.start()
    check_shown(site, other, engine)


def test_answers_while_both_are_down_are_not_undone(
    site: Site, engine: Engine, other: Engine
) -> None:
    """The process that took the answer makes the cache void once the journal is back."""
    site.servers.cache.snapshot()
    site.servers.cache.kill()
    site.servers.journal.kill()
    engine.submit(PLAYER, session_data=session("q"))
    site.servers.journal.start()
    site.servers.cache.start()
    check_shown(site, engine, other)


def test_a_journal_that_lost_everything_does_not_make_old_sets_right(
    site: Site, engine: Engine, other: Engine
) -> None:
    site.servers.cache.snapshot()
    engine.submit(PLAYER, session_data=session("q"))
    engine.drain()
    site.journal.flushall()
    site.servers.cache.kill()
    site.servers.cache.start()
    check_shown(site, engine, other)


def check_cached(process: Engine, total_due: int) -> None:
    """Once the cache is back, it returns this number of due questions."""

    def is_back() -> bool:
        try:
            return process.due(PLAYER)["source"] == "cache"
        except MemoraError:
            return False

    assert wait_until(is_back)
    assert process.due(PLAYER)["total_due"] == total_due


# -- races --------------------------------------------------------------------------------------
def together(*works: Callable[[], object]) -> None:
    """Run tasks at once, the first one in this thread; raises the first error."""
    faults: list[BaseException] = []

    def run(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=run, args=(work,)) for work in works[1:]]
    for thread in threads:
        thread.start()
    run(works[0])
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]


def test_loads_that_race_with_answers_undo_none(site: Site, engine: Engine) -> None:
    names = [f"q{number:03}" for number in range(300)]
    site.add(PLAYER, [Record(name) for name in names])
    is_over = threading.Event()

    def load() -> None:
        process = site.engine()
        while not is_over.is_set():
            process.cache_clear(PLAYER, SEASON)
            process.rehydrate(PLAYER, SEASON)

    def drain() -> None:
        process = site.engine()
        while not is_over.is_set():
            process.drain(seconds=1.0)

    def answer() -> None:
        reader = site.engine()
        try:
            for place, name in enumerate(names):
                engine.submit(PLAYER, session_data=session(name))
                for process in (reader, engine):
                    answered = process.due(PLAYER, limit=1)
                    assert answered["total_due"] == len(names) - place - 1
                    assert ids(answered) == names[place + 1 : place + 2]
        finally:
            is_over.set()

    together(load, drain, answer)


def test_reads_that_race_with_a_restart_of_the_cache_show_nothing_old(site: Site) -> None:
    names = [f"q{number:03}" for number in range(60)]
    site.add(PLAYER, [Record(name) for name in names])
    acknowledged = 0
    is_over = threading.Event()
    site.engine().due(PLAYER)
    site.servers.cache.snapshot()

    def answer() -> None:
        nonlocal acknowledged
        process = site.engine()
        try:
            for place, name in enumerate(names):
                process.submit(PLAYER, session_data=session(name))
                acknowledged = place + 1
        finally:
            is_over.set()

    def read() -> None:
        process = site.engine()
        while not is_over.is_set():
            at_least = acknowledged
            try:
                found = process.due(PLAYER)
            except MemoraError:
                continue  # Safe Mode lets a student read once in 30 s.
            assert found["total_due"] <= len(names) - at_least

    def restart() -> None:
        while not is_over.is_set():
            site.servers.cache.kill()
            site.servers.cache.start()

    together(restart, answer, read, read)
    check_cached(site.engine(), 0)


def test_many_first_reads_at_once_agree(site: Site) -> None:
    site.add(PLAYER, [Record(f"q{number}") for number in range(100)])

    def read() -> None:
        assert site.engine().due(PLAYER)["total_due"] == 100

    together(*[read] * 16)


# -- the cache alone ----------------------------------------------------------------------------
def test_the_cache_alone_can_be_looked_at_and_changed(site: Site, engine: Engine) -> None:
    now = site.now().timestamp()
    assert engine.cache_available()
    items = [("b", now - 10), ("a", now - 20), ("ahead", now + 1000)]
    assert engine.cache_add(PLAYER, SEASON, items) == 3
    assert engine.cache_scores(PLAYER, SEASON) == {name: float(int(score)) for name, score in items}
    assert [name for name, _ in engine.cache_due(PLAYER, SEASON)] == ["a", "b"]
    assert engine.cache_due(PLAYER, SEASON, limit=1)[0][0] == "a"
    assert engine.cache_count_due(PLAYER, SEASON) == 2
    assert engine.cache_remove(PLAYER, SEASON, "a")
    assert not engine.cache_remove(PLAYER, SEASON, "a")
    assert engine.cache_clear(PLAYER, SEASON)
    assert not engine.cache_clear(PLAYER, SEASON)
    assert engine.cache_scores(PLAYER, SEASON) == {}
    stats = engine.cache_stats(PLAYER, SEASON)
    assert (stats["complete"], stats["records"], stats["due"]) == (False, 0, 0)


def test_nothing_is_added(engine: Engine) -> None:
    assert engine.cache_add(PLAYER, SEASON, []) == 0


def test_a_date_set_in_the_cache_is_shown_with_its_details(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record("q", due_in=timedelta(days=1), stability=3, subject="Science")])
    engine.due(PLAYER)
    engine.cache_add(PLAYER, SEASON, [("q", site.now().timestamp() - 60)])
    (question,) = engine.due(PLAYER)["questions"]
    assert (question["question_id"], question["stability"], question["subject"]) == (
        "q",
        3,
        "Science",
    )
    assert (
        site.sql(f"SELECT COUNT(*) AS n FROM {TRACKER} WHERE next_review_date < UTC_TIMESTAMP()")[
            0
        ]["n"]
        == 0
    )
