"""Archiving a season: every record once, nothing else touched, even if processes are killed."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any

import pymysql
import pytest

from memora._engine import Engine, EngineFault, InvalidInput, MemoraError, SeasonUnavailable
from tests.consistency.test_drain import drain_all
from tests.servers.test_fork import check, fork, kill
from tests.support.servers import wait_until
from tests.support.site_under_test import (
    PLAYER,
    SEASON,
    TRACKER,
    Record,
    Site,
    ids,
    lasting_keys,
    session,
)

if TYPE_CHECKING:
    from memora._engine import ArchiveProgress, DeletionProgress

ARCHIVE = "`tabArchived Memory Tracker`"
STUDENTS = [f"student{number}@school.example" for number in range(40)]
STEPS = ["copying", "verifying", "freeing", "clearing", "done"]
# The columns that make two records equal: all that students can see, and metadata.
SAME = (
    "name, creation, modified, owner, player, season, question_id, stability, next_review_date, "
    "last_review_date, subject, topic, answered_at_us"
)

numbers = count(3000)

Rows = list[dict[str, Any]]


@pytest.fixture
def old(site: Site) -> str:
    """A season that has ended, with 40 students of 100 records each, in its partition."""
    return ended_season(site)


def ended_season(site: Site, questions: int = 100, has_partition: bool = True) -> str:
    season = f"SEASON-{next(numbers)}"
    site.insert(
        "Game Subscription Season", name=season, season_name=season, start_date="2025-01-01",
        end_date="2025-12-31", enable_redis=1, partition_created=int(has_partition),
    )  # fmt: skip
    if has_partition:
        site.engine().create_partition(season)
    for student in STUDENTS:
        site.add(
            student,
            [Record(f"q{number:03}", answered_at_us=number) for number in range(questions)],
            season,
        )
    return season


def records(site: Site, table: str, season: str) -> Rows:
    return site.sql(
        f"SELECT {SAME} FROM {table} WHERE season = %s ORDER BY player, question_id", (season,)
    )


def partition_records(site: Site, season: str) -> int:
    return int(
        site.sql(f"SELECT COUNT(*) AS many FROM {TRACKER} PARTITION (`{season}`)")[0]["many"]
    )


def status_of(site: Site, season: str) -> str | None:
    found = site.sql(
        "SELECT archive_status FROM `tabGame Subscription Season` WHERE name = %s", (season,)
    )
    return found[0]["archive_status"]  # type: ignore[no-any-return]


def stop_at(step: str) -> Callable[[ArchiveProgress], None]:
    """Ends an archive when it comes to this step."""

    def watch(progress: ArchiveProgress) -> None:
        if progress["step"] == step:
            raise KeyboardInterrupt

    return watch


# -- what it does -------------------------------------------------------------------------------
def test_every_record_moves_and_nothing_else_does(site: Site, engine: Engine, old: str) -> None:
    site.add(PLAYER, [Record("q")])
    before, others = records(site, TRACKER, old), records(site, TRACKER, SEASON)
    steps: list[ArchiveProgress] = []
    report = engine.archive(old, steps.append)
    assert report == {"season": old, "step": "done", "done": 4000, "total": 4000}
    assert records(site, ARCHIVE, old) == before
    assert records(site, TRACKER, old) == []
    assert records(site, TRACKER, SEASON) == others
    assert partition_records(site, old) == 0
    assert list(dict.fromkeys(step["step"] for step in steps)) == STEPS
    assert all(0 <= step["done"] <= step["total"] for step in steps)
    assert site.sql(f"CHECK TABLE {TRACKER}")[0]["Msg_text"] == "OK"


def test_archived_records_bear_when_and_are_not_yet_eligible(
    site: Site, engine: Engine, old: str
) -> None:
    before = site.now()
    engine.archive(old)
    found = site.sql(
        f"SELECT DISTINCT eligible_for_deletion AS flag FROM {ARCHIVE} WHERE season = %s", (old,)
    )
    assert found == [{"flag": 0}]
    span = site.sql(f"SELECT MIN(archived_at) AS first, MAX(archived_at) AS last FROM {ARCHIVE}")[0]
    assert before <= span["first"] <= span["last"] <= site.now()


def test_the_season_says_what_became_of_it(site: Site, engine: Engine, old: str) -> None:
    assert engine.archive_status(old) is None
    with pytest.raises(KeyboardInterrupt):
        engine.archive(old, stop_at("verifying"))
    # Its connection is closed; the server frees the lock when it comes to that.
    assert wait_until(lambda: not engine.is_running("Archive", old))
    status = engine.archive_status(old)
    assert status is not None
    assert (status["step"], status["is_running"], status["finished_at"]) == (
        "verifying",
        False,
        None,
    )
    assert status_of(site, old) == "Archiving"
    engine.archive(old)
    status = engine.archive_status(old)
    assert status is not None
    assert (status["step"], status["done"], status["total"]) == ("done", 4000, 4000)
    assert status["finished_at"] is not None
    assert status["started_at"] <= status["finished_at"]
    assert status_of(site, old) == "Archived"
    (season,) = site.sql("SELECT * FROM `tabGame Subscription Season` WHERE name = %s", (old,))
    assert season["partition_created"] == 0


def test_archiving_twice_changes_nothing(site: Site, engine: Engine, old: str) -> None:
    engine.archive(old)
    before = site.sql(f"SELECT * FROM {ARCHIVE} ORDER BY name")
    assert engine.archive(old)["done"] == 4000
    assert site.sql(f"SELECT * FROM {ARCHIVE} ORDER BY name") == before


def test_a_season_without_a_partition_is_archived_too(site: Site, engine: Engine) -> None:
    old, other = (ended_season(site, questions=3, has_partition=False) for _ in range(2))
    before, others = records(site, TRACKER, old), records(site, TRACKER, other)
    engine.archive(old)
    assert records(site, ARCHIVE, old) == before
    assert records(site, TRACKER, old) == []
    assert records(site, TRACKER, other) == others


def test_a_season_without_records_is_archived_too(site: Site, engine: Engine) -> None:
    old = ended_season(site, questions=0)
    assert engine.archive(old)["done"] == 0
    assert status_of(site, old) == "Archived"


def test_ids_that_only_bytes_tell_apart_stay_apart(site: Site, engine: Engine) -> None:
    old = ended_season(site, questions=0)
    site.add("a@x", [Record("Q"), Record("q"), Record("q "), Record("é"), Record("e")], old)
    site.add("A@x", [Record("q")], old)
    before = records(site, TRACKER, old)
    engine.archive(old)
    assert records(site, ARCHIVE, old) == before
    assert len(before) == 6


def test_fields_of_the_site_are_archived_where_the_archive_has_them(
    site: Site, engine: Engine, old: str
) -> None:
    site.sql(f"ALTER TABLE {TRACKER} ADD COLUMN `house` VARCHAR(20) DEFAULT 'Falcons'")
    try:
        with pytest.raises(InvalidInput, match="house"):
            engine.archive(old)
        assert engine.archive_status(old) is None
        site.sql(f"ALTER TABLE {ARCHIVE} ADD COLUMN `house` VARCHAR(20)")
        engine.archive(old)
        found = site.sql(f"SELECT DISTINCT house FROM {ARCHIVE} WHERE season = %s", (old,))
        assert found == [{"house": "Falcons"}]
    finally:
        site.sql(f"ALTER TABLE {TRACKER} DROP COLUMN `house`")
        site.sql(f"ALTER TABLE {ARCHIVE} DROP COLUMN IF EXISTS `house`")


@pytest.mark.parametrize(
    "name", ["SEASON-9999", "season-2025", "SEASON-2025'", "SEASON-2025\n", ""]
)
def test_what_is_no_season_is_refused(site: Site, engine: Engine, name: str) -> None:
    with pytest.raises(InvalidInput):
        engine.archive(name)
    assert site.sql("SELECT * FROM memora_archive WHERE season <> ''") == []


def test_an_active_season_is_refused(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record("q")])
    with pytest.raises(InvalidInput, match="active"):
        engine.archive(SEASON)
    assert list(site.rows()) == ["q"]
    assert engine.archive_status(SEASON) is None


@pytest.mark.parametrize("share", [0.0, -1.0, 1.5, float("nan")])
def test_a_share_that_is_none_is_refused(engine: Engine, old: str, share: float) -> None:
    with pytest.raises(InvalidInput):
        engine.archive(old, share=share)


def test_what_the_caller_raises_comes_out_again(engine: Engine, old: str) -> None:
    def watch(_progress: ArchiveProgress) -> None:
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        engine.archive(old, watch)
    assert engine.archive(old)["done"] == 4000


def test_an_archive_without_its_key_takes_nothing(site: Site, engine: Engine, old: str) -> None:
    """Copying a range twice would add its records twice."""
    site.sql(f"ALTER TABLE {ARCHIVE} DROP PRIMARY KEY, ADD PRIMARY KEY (name)")
    try:
        with pytest.raises(EngineFault, match="migrate"):
            engine.archive(old)
        assert engine.archive_status(old) is None
    finally:
        engine.prepare_storage()
    assert engine.archive(old)["done"] == 4000


# -- two at once ----------------------------------------------------------------------------------
def test_a_second_archiver_is_told_of_the_first(site: Site, engine: Engine, old: str) -> None:
    refusals: list[str] = []
    is_running: list[bool] = []

    def watch(progress: ArchiveProgress) -> None:
        if progress["step"] == "copying" and not refusals:
            status = engine.archive_status(old)
            is_running.append(bool(status and status["is_running"]))
            with pytest.raises(InvalidInput) as refusal:
                site.engine().archive(old)
            refusals.append(refusal.value.args[0])

    engine.archive(old, watch)
    assert "another process" in refusals[0]
    assert is_running == [True]


def test_two_seasons_at_once(site: Site, old: str) -> None:
    other = ended_season(site)
    before = [records(site, TRACKER, season) for season in (old, other)]
    threads = [
        threading.Thread(target=site.engine().archive, args=(season,)) for season in (old, other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [records(site, ARCHIVE, season) for season in (old, other)] == before


# -- the cache
# --------------------------------------------------------------------------------------
def test_the_seasons_keys_go_and_others_stay(site: Site, engine: Engine, old: str) -> None:
    tricky = f"x:{old}"
    site.add(tricky, [Record("q")], SEASON)
    site.add(PLAYER, [Record("q")], SEASON)
    for student in [*STUDENTS, "never@had.records", tricky]:
        engine.rehydrate(student, old)
    for student in (PLAYER, tricky):
        engine.rehydrate(student, SEASON)
    foreign = [f"{site.name}x|srs:amal:{old}", f"srs:amal:{old}", f"{site.name}|other:amal:{old}"]
    for key in foreign:
        site.cache.set(key, 1)
    before = lasting_keys(site.cache)
    gone = {key for key in before if key.endswith(f":{old}")} - set(foreign)
    # Of each two, and the list of them all.
    assert len(gone) == 2 * (len(STUDENTS) + 2) + 1
    engine.archive(old)
    assert {key for key in lasting_keys(site.cache) if key != site.key("srs-season")} == (
        before - gone - {site.key("srs-season")}
    )
    assert ids(engine.due(PLAYER)) == ["q"]


def test_a_cache_that_is_away_is_cleared_later(site: Site, engine: Engine, old: str) -> None:
    site.servers.cache.kill()
    with pytest.raises(MemoraError):
        engine.archive(old)
    status = engine.archive_status(old)
    assert status is not None
    assert status["step"] == "clearing"
    assert len(records(site, ARCHIVE, old)) == 4000
    site.servers.cache.start()
    assert wait_until(lambda: site.engine().archive(old)["step"] == "done")


# -- answers that are late ------------------------------------------------------------------------
@pytest.fixture
def ended(site: Site, engine: Engine) -> Iterator[str]:
    """The season that was just active, with answers of PLAYER in the journal, who is cached."""
    site.add(PLAYER, [Record("q", stability=1), Record("r")])
    engine.due(PLAYER)
    engine.submit(PLAYER, session_data=session("q"))
    site.sql("UPDATE `tabGame Subscription Season` SET is_active = 0 WHERE name = %s", (SEASON,))
    yield SEASON
    site.engine().drain()


def test_others_see_how_many_records_were_compared(site: Site, engine: Engine, old: str) -> None:
    seen: set[int] = set()

    def look(progress: ArchiveProgress) -> None:
        # It is noted once a second.
        if progress["step"] == "verifying" and progress["done"] and len(seen) < 2:
            time.sleep(0.2)
            seen.add((site.engine().archive_status(old) or {"done": 0})["done"])

    engine.archive(old, look)
    assert len(seen) == 2


@pytest.mark.parametrize("step", ["copying", "verifying", "freeing", "done"])
def test_answers_that_wait_in_the_journal_are_archived_too(
    site: Site, engine: Engine, ended: str, step: str
) -> None:
    """Drained at every step of the archive: the answer is in the archive and nowhere else."""

    def watch(progress: ArchiveProgress) -> None:
        if progress["step"] == step:
            site.engine().drain()

    engine.archive(ended, watch)
    found = {row["question_id"]: row["stability"] for row in records(site, ARCHIVE, ended)}
    assert found == {"q": 2, "r": 2}
    assert site.rows() == {}
    assert site.waiting() == 0


def test_a_new_question_that_is_late_is_archived_too(site: Site, engine: Engine, old: str) -> None:
    site.sql("UPDATE `tabGame Subscription Season` SET is_active = (name = %s)", (old,))
    engine.season_changed()
    engine.submit(PLAYER, session_data=session("new"))
    site.sql("UPDATE `tabGame Subscription Season` SET is_active = 0")
    engine.archive(old)
    before = site.now()
    engine.drain()
    (row,) = site.sql(f"SELECT * FROM {ARCHIVE} WHERE season = %s AND player = %s", (old, PLAYER))
    assert (row["question_id"], row["stability"], row["eligible_for_deletion"]) == ("new", 1, 0)
    assert row["archived_at"] <= before
    assert records(site, TRACKER, old) == []


@pytest.mark.parametrize("step", ["copying", "verifying", "freeing", "clearing", "done"])
def test_a_student_who_still_answers_is_refused_or_archived(
    site: Site, engine: Engine, ended: str, step: str
) -> None:
    """A process that misses the season's end: the answers that it takes are archived."""
    late = site.engine()
    taken: list[str] = []

    def watch(progress: ArchiveProgress) -> None:
        if progress["step"] == step and not taken:
            # Like another process that asked just before the season ended.
            site.cache.set(site.key("srs-season"), token)
            for question in ("r", "new"):
                try:
                    late.submit(PLAYER, session_data=session(question))
                    taken.append(question)
                except SeasonUnavailable:
                    taken.append("")

    late_read(site, late)
    token = str(site.cache.get(site.key("srs-season")))
    engine.archive(ended, watch)
    engine.drain()
    found = {row["question_id"]: row["stability"] for row in records(site, ARCHIVE, ended)}
    assert found["q"] == 2
    assert found["r"] == (3 if "r" in taken else 2)
    assert ("new" in found) == ("new" in taken)
    assert site.rows() == {}
    # Their cache is removed in the last step; until then answers are computed from it.
    assert taken == (["", ""] if step == "done" else ["r", "new"])


@pytest.mark.parametrize("step", ["copying", "verifying", "freeing"])
def test_nothing_is_computed_from_a_table_that_is_not_the_last_word(
    site: Site, engine: Engine, ended: str, step: str
) -> None:
    """The student's answer is in the archive already; the table still has the state before it."""
    late = site.engine()
    late_read(site, late)
    token = str(site.cache.get(site.key("srs-season")))
    outcomes: list[str] = []

    def watch(progress: ArchiveProgress) -> None:
        if progress["step"] == step and not outcomes:
            site.engine().drain()
            engine.cache_clear(PLAYER, ended)
            site.cache.set(site.key("srs-season"), token)
            assert late.due(PLAYER)["questions"] == []
            site.cache.set(site.key("srs-season"), token)
            with pytest.raises(SeasonUnavailable):
                late.submit(PLAYER, session_data=session("q"))
            outcomes.append("refused")

    engine.archive(ended, watch)
    engine.drain()
    assert outcomes == ["refused"]
    assert {row["question_id"]: row["stability"] for row in records(site, ARCHIVE, ended)} == {
        "q": 2,
        "r": 2,
    }


def test_an_archive_begins_after_those_who_are_writing(
    site: Site, engine: Engine, ended: str
) -> None:
    """Such a process found the season open, and writes to its old partition."""
    holder = site.servers.database.connect(database=site.name, autocommit=False)
    with holder, holder.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {TRACKER} WHERE player = %s FOR UPDATE", (PLAYER,))
        drain = threading.Thread(target=site.engine().drain)
        archive = threading.Thread(target=engine.archive, args=(ended,))
        drain.start()
        assert wait_until(lambda: waits_for(site, "INSERT INTO `tabPlayer Memory Tracker`"))
        archive.start()
        assert wait_until(lambda: waits_for(site, "UPDATE memora_archive"))
        assert engine.archive_status(ended) is None
        holder.commit()
    drain.join()
    archive.join()
    assert {row["question_id"]: row["stability"] for row in records(site, ARCHIVE, ended)} == {
        "q": 2,
        "r": 2,
    }
    assert site.rows() == {}


def waits_for(site: Site, statement: str) -> bool:
    """Whether a statement that begins so is being run now."""
    running = site.sql(
        "SELECT INFO AS text FROM information_schema.PROCESSLIST WHERE INFO IS NOT NULL"
    )
    return any(str(row["text"]).startswith(statement) for row in running)


def late_read(site: Site, late: Engine) -> None:
    """A read of the season, as if it were still active."""
    site.sql("UPDATE `tabGame Subscription Season` SET is_active = 1 WHERE name = %s", (SEASON,))
    late.due(PLAYER)
    site.sql("UPDATE `tabGame Subscription Season` SET is_active = 0 WHERE name = %s", (SEASON,))


def test_an_answer_without_the_journal_is_archived_too(
    site: Site, engine: Engine, ended: str
) -> None:
    late = site.engine()
    late_read(site, late)
    token = site.cache.get(site.key("srs-season"))
    engine.drain()
    outcomes: list[str] = []

    def watch(progress: ArchiveProgress) -> None:
        if progress["step"] == "freeing":
            site.cache.set(site.key("srs-season"), str(token))
            site.servers.journal.kill()
            try:
                late.submit(PLAYER, session_data=session("r"))
                outcomes.append("taken")
            finally:
                site.servers.journal.start()

    engine.archive(ended, watch)
    assert outcomes == ["taken"]
    drain_all(site, engine)
    found = {row["question_id"]: row["stability"] for row in records(site, ARCHIVE, ended)}
    assert found == {"q": 2, "r": 3}
    assert site.rows() == {}


def test_an_older_answer_does_not_undo_what_is_archived(
    site: Site, engine: Engine, ended: str
) -> None:
    newest = time.time_ns() // 1000 + 10**9
    site.sql(
        f"UPDATE {TRACKER} SET answered_at_us = %s, stability = 4 WHERE question_id = 'q'",
        (newest,),
    )
    engine.archive(ended)
    engine.drain()
    found = {row["question_id"]: row["stability"] for row in records(site, ARCHIVE, ended)}
    assert found == {"q": 4, "r": 2}


def test_students_of_an_archived_season_get_nothing_and_are_not_cached(
    site: Site, engine: Engine, ended: str
) -> None:
    late = site.engine()
    late_read(site, late)
    token = site.cache.get(site.key("srs-season"))
    engine.archive(ended)
    site.cache.set(site.key("srs-season"), str(token))
    answer = late.due(PLAYER)
    assert (answer["questions"], answer["season"], answer["source"]) == ([], None, "none")
    assert late.due_in_season(PLAYER, ended) == []
    with pytest.raises(SeasonUnavailable):
        late.submit(PLAYER, session_data=session("q"))
    with pytest.raises(SeasonUnavailable):
        late.rehydrate(PLAYER, ended)
    assert not site.cache.exists(site.key("srs", PLAYER))


def test_a_season_that_is_archived_gets_no_partition_again(
    site: Site, engine: Engine, old: str
) -> None:
    engine.archive(old)
    with pytest.raises(SeasonUnavailable):
        engine.create_partition(old)
    assert engine.prepare_storage() == []


def test_records_that_others_change_meanwhile_are_copied_again(
    site: Site, engine: Engine, old: str
) -> None:
    """A script that writes past memora, after its record was copied and before the partition is
    freed."""
    changed: list[str] = []

    def watch(progress: ArchiveProgress) -> None:
        if progress["step"] == "verifying" and not changed:
            changed.append("q000")
            site.sql(
                f"UPDATE {TRACKER} SET stability = 4 WHERE season = %s AND question_id = 'q007'",
                (old,),
            )
            site.add("late@school.example", [Record("q")], old)

    engine.archive(old, watch)
    found = records(site, ARCHIVE, old)
    assert len(found) == 4001
    assert {row["stability"] for row in found if row["question_id"] == "q007"} == {4}


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_what_is_lost_or_changed_after_it_was_copied_is_copied_again(
    site: Site, engine: Engine, share: float
) -> None:
    """There are so many records that several ranges are compared at a time, without rests."""
    old = ended_season(site, questions=300)
    before: list[Rows] = []

    def watch(progress: ArchiveProgress) -> None:
        if progress["step"] == "verifying" and not before:
            spoil(site, old)
            before.append(records(site, TRACKER, old))

    assert engine.archive(old, watch, share)["done"] == len(before[0]) == 12_001
    assert records(site, ARCHIVE, old) == before[0]
    assert records(site, TRACKER, old) == []


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_killed_before_the_comparison_it_compares_everything(
    site: Site, engine: Engine, old: str, share: float
) -> None:
    def die(progress: ArchiveProgress) -> None:
        if progress["step"] == "verifying":
            os.kill(os.getpid(), signal.SIGKILL)

    child = fork(lambda: site.engine().archive(old, die, share))  # type: ignore[arg-type]
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    spoil(site, old)
    before = records(site, TRACKER, old)
    assert wait_until(lambda: not engine.is_running("Archive", old))
    engine.archive(old, share=share)
    assert records(site, ARCHIVE, old) == before


def spoil(site: Site, season: str) -> None:
    """Of what was copied, some is lost and some is not what it was; of the records, too, some are
    changed, and one is new."""
    first, last = STUDENTS[0], STUDENTS[-1]
    for change in (
        f"DELETE FROM {ARCHIVE} WHERE season = %s AND player = '{last}' AND question_id = 'q099'",
        f"UPDATE {ARCHIVE} SET topic = 'Plants' WHERE season = %s AND player = '{first}' "
        "AND question_id = 'q000'",
        f"UPDATE {TRACKER} SET stability = 4 WHERE season = %s AND question_id = 'q007'",
    ):
        assert site.sql(change, (season,)) is not None
    site.add("late@school.example", [Record("q")], season)


def test_a_season_that_never_rests_is_not_dropped(site: Site, engine: Engine, old: str) -> None:
    stability = iter(range(10**6))

    def watch(progress: ArchiveProgress) -> None:
        if progress["step"] == "verifying":
            site.sql(
                f"UPDATE {TRACKER} SET stability = %s WHERE season = %s AND question_id = 'q099'",
                (next(stability) % 5, old),
            )

    with pytest.raises(EngineFault, match="changed while"):
        engine.archive(old, watch)
    assert len(records(site, TRACKER, old)) == 4000


# -- other students do not notice
# -------------------------------------------------------------------
def test_a_long_transaction_holds_up_nobody(site: Site, engine: Engine, old: str) -> None:
    """It blocks dropping the partition; statements after the waiting archiver do not wait."""
    site.add(PLAYER, [Record("q")])
    holder = site.servers.database.connect(database=site.name, autocommit=False)
    with holder, holder.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*) FROM {TRACKER}")
        archiver = threading.Thread(target=engine.archive, args=(old,))
        archiver.start()
        assert wait_until(
            lambda: (site.engine().archive_status(old) or {"step": ""})["step"] == "freeing"
        )
        for _ in range(20):
            engine.cache_clear(PLAYER, SEASON)
            assert ids(engine.due(PLAYER)) == ["q"]
        assert archiver.is_alive()
        holder.commit()
    archiver.join()
    assert status_of(site, old) == "Archived"


# -- killed
# -----------------------------------------------------------------------------------------
def archiver(site: Site, season: str) -> Callable[[], None]:
    """Archives in a child process until it is done, killed, or MariaDB is."""

    def work() -> None:
        with suppress(MemoraError):
            site.engine().archive(season)

    return work


@pytest.mark.parametrize("step", STEPS[:4])
def test_killed_at_a_step_it_goes_on(site: Site, engine: Engine, old: str, step: str) -> None:
    before = records(site, TRACKER, old)

    def die(progress: ArchiveProgress) -> None:
        if progress["step"] == step:
            os.kill(os.getpid(), signal.SIGKILL)

    child = fork(lambda: site.engine().archive(old, die))  # type: ignore[arg-type]
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    steps: list[ArchiveProgress] = []
    engine.archive(old, steps.append)
    assert records(site, ARCHIVE, old) == before
    assert records(site, TRACKER, old) == []
    assert all(progress["done"] <= 4000 for progress in steps)


def test_killed_at_random_moments_it_ends_right(site: Site, engine: Engine) -> None:
    """Kills the archiver or MariaDB twenty times; some runs finish, and must also be right."""
    choice = random.Random(4)
    site.add(PLAYER, [Record("q")])
    kills = 0
    while kills < 20:
        old = ended_season(site, questions=200)
        before = records(site, TRACKER, old)
        engine.rehydrate(STUDENTS[0], old)
        while status_of(site, old) != "Archived" and kills < 20:
            child = fork(archiver(site, old))
            time.sleep(choice.uniform(0.0, 0.4))
            if choice.random() < 0.7:
                kill(child)
            else:
                site.servers.database.kill()
                check([child])
                site.servers.database.start()
            kills += 1
        wait_until(lambda: is_archived(site.engine(), old))  # noqa: B023
        assert records(site, ARCHIVE, old) == before
        assert records(site, TRACKER, old) == []
        assert partition_records(site, old) == 0
        assert not site.cache.exists(site.key("srs", STUDENTS[0], old))
    assert list(site.rows()) == ["q"]
    assert site.sql(f"CHECK TABLE {TRACKER}")[0]["Msg_text"] == "OK"


def is_archived(engine: Engine, season: str) -> bool:
    """Archives as the scheduler does; False while MariaDB is not back yet."""
    try:
        return engine.archive(season)["step"] == "done"
    except (MemoraError, pymysql.MySQLError):
        return False


# -- what is old --------------------------------------------------------------------------------
def test_old_records_are_flagged_and_only_flagged_ones_deleted(
    site: Site, engine: Engine, old: str
) -> None:
    other = ended_season(site, questions=5)
    for season in (old, other):
        engine.archive(season)
    site.sql(
        f"UPDATE {ARCHIVE} SET archived_at = '2020-01-01' "
        "WHERE season = %s AND question_id < 'q010'",
        (old,),
    )
    archived_long_ago(site, old)
    cutoff = time.time() - 86400
    assert engine.flag_for_deletion(cutoff, 60) == 400
    assert engine.flag_for_deletion(cutoff, 60) == 0
    flagged = site.sql(
        f"SELECT DISTINCT season, question_id FROM {ARCHIVE} WHERE eligible_for_deletion = 1"
    )
    assert {row["question_id"] for row in flagged} == {f"q00{number}" for number in range(10)}
    assert {row["season"] for row in flagged} == {old}
    assert engine.delete_flagged(other) == 0
    told: list[DeletionProgress] = []
    assert engine.delete_flagged(progress=told.append) == 400
    # The other season is less than a piece.
    assert [news["done"] for news in told] == list(range(0, 4001, 500))
    assert all(news["done"] <= news["total"] for news in told)
    assert len(records(site, ARCHIVE, old)) == 3600
    assert len(records(site, ARCHIVE, other)) == 200
    assert engine.delete_flagged() == 0


def archived_long_ago(site: Site, season: str) -> None:
    """The archive of a season ended in 2020."""
    site.sql("UPDATE memora_archive SET finished_at_us = 1.6e15 WHERE season = %s", (season,))


def test_flagging_goes_on_where_it_stopped_and_passes_over_what_is_young(
    site: Site, engine: Engine, old: str
) -> None:
    young = ended_season(site, questions=5)
    for season in (old, young):
        engine.archive(season)
    archived_long_ago(site, old)
    site.sql(f"UPDATE {ARCHIVE} SET archived_at = '2020-01-01'")
    cutoff = time.time() - 3 * 365 * 86400
    with site.listening() as statements:
        # A call without any time still processes a piece.
        for _ in range(4000 // 500):
            assert site.engine().flag_for_deletion(cutoff, 0) == 500
        for _ in range(3):
            assert engine.flag_for_deletion(cutoff, 60) == 0
    # Each record was checked once, in pieces of 500; those of the young season were not.
    pieces = [statement for statement in statements if "SET r.eligible_for_deletion" in statement]
    assert len(pieces) == 4000 // 500 + 1
    site.sql(f"UPDATE {ARCHIVE} SET eligible_for_deletion = 0 WHERE question_id = 'q001'")
    assert engine.flag_for_deletion(cutoff, 60) == 0
    for season in (old, young):
        engine.forget_archive(season)
    # Like a season with records from before memora's archive: checked each time.
    assert [engine.flag_for_deletion(cutoff, 60) for _ in range(2)] == [40 + 200, 0]


def test_two_deletions_of_one_season_are_refused_and_of_two_are_not(
    site: Site, engine: Engine, old: str
) -> None:
    engine.archive(old)
    site.sql(f"UPDATE {ARCHIVE} SET eligible_for_deletion = 1")
    others: list[int] = []

    def watch(_news: DeletionProgress) -> None:
        if not others:
            assert site.engine().is_running("Deletion", old)
            with pytest.raises(InvalidInput, match="deletion"):
                site.engine().delete_flagged(old)
            others.append(site.engine().delete_flagged())

    assert engine.delete_flagged(old, watch) + others[0] == 4000
    assert wait_until(lambda: not site.engine().is_running("Deletion", old))


def test_a_deleted_seasons_name_can_be_used_again(site: Site, engine: Engine) -> None:
    old = ended_season(site, questions=1)
    engine.archive(old)
    site.sql(f"UPDATE {ARCHIVE} SET eligible_for_deletion = 1")
    engine.delete_flagged(old)
    engine.forget_archive(old)
    assert engine.archive_status(old) is None
    assert not engine.create_partition(old)
    site.add(PLAYER, [Record("q")], old)
    assert partition_records(site, old) == 1
