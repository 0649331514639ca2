"""A journal that returns with older data, and answers that wait long: both are reported, and
nothing is undone."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from memora._engine import Engine, MemoraError
from tests import frappe_standin as frappe
from tests.consistency.test_drain import drain_all, kept
from tests.support.servers import wait_until
from tests.support.site_under_test import PLAYER, SEASON, TRACKER, Record, Site, ids, session
from tests.support.wire import Wires

App = Callable[..., None]
DAY = 86_400


@contextmanager
def restored(site: Site, folder: Path) -> Iterator[None]:
    """The journal comes back with the file that it had before the body."""
    journal = site.servers.journal
    journal.stop()
    shutil.copytree(journal.folder, folder, dirs_exist_ok=True)
    journal.start()
    yield
    journal.kill()
    journal.forget()
    shutil.copytree(folder, journal.folder, dirs_exist_ok=True)
    journal.start()


def news_of(engine: Engine) -> list[tuple[str, str]]:
    """The engine's news of the journal."""
    return [
        (news["server"], news["event"])
        for news in engine.outage_news()
        if news["server"] == "journal"
    ]


@pytest.fixture
def site_with_answers(site: Site) -> Site:
    """A student with one saved answer."""
    site.add(PLAYER, [Record(name, stability=1) for name in ("q", "r", "s")])
    engine = site.engine()
    engine.submit(PLAYER, session_data=session("q"))
    engine.drain()
    return site


@pytest.mark.parametrize("was_drained", [False, True])
def test_it_is_noticed_once(site_with_answers: Site, tmp_path: Path, was_drained: bool) -> None:
    site, engine = site_with_answers, site_with_answers.engine()
    with restored(site, tmp_path):
        assert wait_until(lambda: engine.journal_status()["reachable"])
        engine.outage_news()
        engine.submit(PLAYER, session_data=session("r"))
        if was_drained:
            engine.drain()
            engine.outage_news()
    late = site.engine()
    late.drain()
    # Its newest entry is older than one that was seen, which proves the loss.
    assert news_of(late) == [("journal", "replaced" if was_drained else "restarted")]
    for process in (late, site.engine()):
        process.drain()
        assert news_of(process) == []


@pytest.mark.parametrize("how", ["older", "empty"])
def test_what_only_the_cache_has_is_saved_again(
    site_with_answers: Site, tmp_path: Path, how: str
) -> None:
    site, engine = site_with_answers, site_with_answers.engine()
    engine.due(PLAYER)
    with restored(site, tmp_path):
        assert wait_until(lambda: engine.journal_status()["reachable"])
        engine.submit(PLAYER, session_data=session("r"))
        engine.submit(PLAYER, session_data=session("r", "s"))
    if how == "empty":
        site.journal.flushall()
    assert (site.waiting(), site.rows()["r"]["stability"]) == (0, 1)
    late = site.engine()
    found = late.reconcile(SEASON)
    differing = found["missing"] + found["ghost"] + found["wrong_date"] + found["wrong_state"]
    assert (found["offered"], found["corrected"], differing) == (2, 0, 0)
    assert ids(late.due(PLAYER)) == []
    # Offered once more before it is saved, it still counts once.
    late.reconcile(SEASON)
    drain_all(site, late)
    rows = site.rows()
    assert {name: rows[name]["stability"] for name in rows} == {"q": 2, "r": 3, "s": 2}
    found = late.reconcile(SEASON)
    differing = found["missing"] + found["ghost"] + found["wrong_date"] + found["wrong_state"]
    assert (found["offered"], differing) == (0, 0)


@pytest.mark.parametrize("next_answer", ["s", "r", "another"])
def test_answers_after_the_loss_bury_nothing(
    site_with_answers: Site, tmp_path: Path, next_answer: str
) -> None:
    """The student was in the middle of a session, and continues before any comparison."""
    site, engine = site_with_answers, site_with_answers.engine()
    engine.due(PLAYER)
    with restored(site, tmp_path):
        assert wait_until(lambda: engine.journal_status()["reachable"])
        engine.submit(PLAYER, session_data=session("r", "new"))
    late = site.engine()
    late.submit(PLAYER, session_data=session(next_answer))
    late.drain()
    found = late.reconcile(SEASON)
    differing = found["missing"] + found["ghost"] + found["wrong_date"] + found["wrong_state"]
    assert (found["offered"], found["corrected"], differing) == (2 - (next_answer == "r"), 0, 0)
    drain_all(site, late)
    rows = site.rows()
    expected = {"q": 2, "r": 2, "s": 1, "new": 1} | {
        next_answer: {"s": 2, "r": 3, "another": 1}[next_answer]
    }
    assert {name: rows[name]["stability"] for name in rows} == expected
    assert late.reconcile(SEASON)["offered"] == 0


def test_poison_is_not_offered_again(site_with_answers: Site, tmp_path: Path) -> None:
    """The cache shows the acknowledged answer; administrators know that it cannot be saved."""
    site, engine = site_with_answers, site_with_answers.engine()
    site.sql(
        f"ALTER TABLE {TRACKER} ADD CONSTRAINT no_more CHECK (question_id <> 'r' OR stability < 2)"
    )
    try:
        engine.due(PLAYER)
        engine.submit(PLAYER, session_data=session("r"))
        assert engine.drain()["set_aside"] == 1
        assert engine.reconcile(SEASON)["offered"] == 0
    finally:
        site.sql(f"ALTER TABLE {TRACKER} DROP CONSTRAINT no_more")


def test_two_drains_side_by_side_raise_no_alarm(site_with_answers: Site) -> None:
    """One process reads the stream, and is slow to read what the other has noted since."""
    site = site_with_answers
    with Wires(site.servers) as wires:
        slow = site.engine(**wires.settings)
        slow.drain()
        slow.outage_news()
        for number in range(10):
            site.engine().submit(PLAYER, session_data=session(f"n{number}"))
            wires.to["database"].hang()
            thread = threading.Thread(target=slow.drain)
            thread.start()
            time.sleep(0.02 * number)
            site.engine().submit(PLAYER, session_data=session(f"m{number}"))
            quick = site.engine()
            quick.drain()
            wires.to["database"].mend()
            thread.join()
            assert news_of(slow) + news_of(quick) == []


def test_what_an_administrator_has_removed_is_not_brought_back(site_with_answers: Site) -> None:
    """The journal knows the student's last answer: it has lost nothing."""
    site, engine = site_with_answers, site_with_answers.engine()
    engine.due(PLAYER)
    site.sql(f"DELETE FROM {TRACKER} WHERE question_id = 'q'")
    found = engine.reconcile(SEASON)
    assert (found["offered"], found["ghost"]) == (0, 1)
    assert "q" not in engine.cache_scores(PLAYER, SEASON)


def test_administrators_are_told_and_all_schedules_are_compared(
    site_with_answers: Site, app: App, tmp_path: Path
) -> None:
    from memora.services import srs_persistence

    site = site_with_answers
    srs_persistence.persist_review_batch()
    with restored(site, tmp_path):
        engine = site.engine()
        engine.submit(PLAYER, session_data=session("r"))
        engine.drain()
    frappe.recorded.__init__()  # type: ignore[misc]
    srs_persistence.persist_review_batch()
    assert "lost recent data" in frappe.recorded.notifications[0]["subject"]
    assert [job["season"] for job in site.sql("SELECT season FROM `tabSRS Job`")] == [SEASON]


# -- answers that wait
# ------------------------------------------------------------------------------
def test_a_backlog_of_five_minutes_is_told_once(site: Site, engine: Engine) -> None:
    site.servers.journal.kill()
    engine.submit(PLAYER, session_data=session("q"))
    engine.check_outages()
    assert "backlog" not in {news["server"] for news in engine.outage_news()}
    site.sql("UPDATE `memora_journal` SET kept_at_us = kept_at_us - 301000000")
    for told in (1, 0):
        engine.check_outages()
        news = [news for news in engine.outage_news() if news["server"] == "backlog"]
        assert len(news) == told
        assert all(one["event"] == "old" and one["seconds"] >= 300 for one in news)
    status = engine.journal_status()
    assert (status["backlog"], status["kept_in_database"]) == (1, 1)
    site.servers.heal()
    drain_all(site, site.engine())
    engine.check_outages()
    assert engine.journal_status()["kept_in_database"] == 0
    assert kept(site) == []


def test_the_safety_net_drains_the_second_journal(site: Site, app: App) -> None:
    from memora.services import srs_persistence

    site.servers.journal.kill()
    site.engine().submit(PLAYER, session_data=session("q"))
    site.servers.heal()
    assert site.waiting() == 0
    srs_persistence.drain_safety_net()
    assert site.rows()["q"]["stability"] == 1


# -- clocks
# -----------------------------------------------------------------------------------------
def test_a_clock_that_was_ahead_is_told_and_put_right(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record("q", stability=1), Record("r", stability=1)])
    ahead = (int(time.time()) + 365 * DAY) * 1_000_000
    site.sql(f"UPDATE {TRACKER} SET answered_at_us = %s WHERE question_id = 'r'", (ahead,))
    engine.submit(PLAYER, session_data=session("q"))
    (news,) = engine.outage_news()
    assert (news["server"], news["event"]) == ("clock", "ahead")
    assert news["seconds"] > 364 * DAY
    assert engine.journal_status()["is_clock_ahead"]
    engine.drain()
    row = site.rows()["q"]
    assert abs((row["last_review_date"] - site.now()).total_seconds()) < 3600
    assert engine.mend_clock() == 2
    assert all(row["answered_at_us"] <= (time.time() + 1) * 1e6 for row in site.rows().values())
    assert not engine.journal_status()["is_clock_ahead"]
    assert engine.mend_clock() == 0
    engine.submit(PLAYER, session_data=session("q", "r", is_correct=False))
    engine.drain()
    rows = site.rows()
    assert {name: rows[name]["stability"] for name in rows} == {"q": 1, "r": 1}
    assert all(row["answered_at_us"] <= (time.time() + 1) * 1e6 for row in rows.values())
    assert engine.outage_news() == []


def test_a_clock_is_put_right_in_the_end_after_an_interruption(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record("q", stability=1)])
    ahead = (int(time.time()) + 365 * DAY) * 1_000_000
    site.sql(f"UPDATE {TRACKER} SET answered_at_us = %s", (ahead,))
    engine.submit(PLAYER, session_data=session("q"))
    engine.drain()
    site.sql(
        f"CREATE TRIGGER obstacle BEFORE UPDATE ON {TRACKER} FOR EACH ROW "
        "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not now'"
    )
    try:
        with pytest.raises(MemoraError):
            engine.mend_clock()
    finally:
        site.sql("DROP TRIGGER IF EXISTS obstacle")
    assert engine.mend_clock() == 1
    engine.submit(PLAYER, session_data=session("q"))
    engine.drain()
    (row,) = site.rows().values()
    assert row["stability"] == 3
    assert row["answered_at_us"] <= (time.time() + 1) * 1e6
