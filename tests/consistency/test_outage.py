"""Administrators are told of an outage once when it begins and once when it ends, over all
processes."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

import pytest

from memora._engine import Engine, MemoraError
from tests import frappe_standin as frappe
from tests.conftest import ENDS
from tests.servers.test_fork import check, fork
from tests.support.servers import wait_until
from tests.support.site_under_test import BELIEVING, PLAYER, Record, Site, session

App = Callable[..., None]
OUTAGE = "`memora_outage`"
PROCESSES = 8


def let_time_pass(site: Site) -> None:
    """The outage was last seen a while ago."""
    site.sql(
        f"UPDATE {OUTAGE} "
        "SET seen_at_us = seen_at_us - 6000000, began_at_us = began_at_us - 60000000"
    )


def news_of(*processes: Engine) -> list[tuple[str, str]]:
    """The news of these processes."""
    return [
        (news["server"], news["event"]) for engine in processes for news in engine.outage_news()
    ]


def read(engine: Engine, player: str = PLAYER) -> None:
    with suppress(MemoraError):
        engine.due(player)


@pytest.mark.parametrize("how", ENDS)
def test_the_first_of_many_processes_tells(site: Site, how: str) -> None:
    processes = [site.engine() for _ in range(PROCESSES)]
    for engine in processes:
        engine.due(PLAYER)
    assert news_of(*processes) == []
    getattr(site.servers.cache, how)()
    for engine in processes * 3:
        read(engine)
    assert news_of(*processes) == [("cache", "began")]
    assert news_of(*processes) == []


def test_processes_that_see_it_at_once_tell_once(site: Site) -> None:
    engine = site.engine()
    engine.due(PLAYER)
    site.servers.cache.kill()
    readers, writer = os.pipe()

    def look(number: int) -> None:
        read(engine, f"student{number}@school.example")
        os.write(writer, b"x" * len(engine.outage_news()))

    check([fork(lambda number=number: look(number)) for number in range(PROCESSES)])  # type: ignore[misc]
    os.close(writer)
    with os.fdopen(readers, "rb") as pipe:
        assert pipe.read() == b"x"


def test_its_end_is_told_once(site: Site) -> None:
    processes = [site.engine() for _ in range(PROCESSES)]
    site.servers.cache.kill()
    for engine in processes:
        read(engine)
    assert news_of(*processes) == [("cache", "began")]
    site.servers.cache.start()
    told: list[tuple[str, str]] = []

    def is_told() -> bool:
        let_time_pass(site)
        for engine in processes:
            read(engine)
        told.extend(news_of(*processes))
        return bool(told)

    assert wait_until(is_told)
    for engine in processes * 2:
        read(engine)
    assert told + news_of(*processes) == [("cache", "ended")]


def test_one_that_comes_and_goes_is_one(site: Site, engine: Engine) -> None:
    for _ in range(3):
        site.servers.cache.kill()
        engine.check_outages()
        site.servers.cache.start()
        assert wait_until(engine.cache_available)
        engine.check_outages()
    assert news_of(engine) == [("cache", "began")]
    let_time_pass(site)
    engine.check_outages()
    (news,) = engine.outage_news()
    assert (news["server"], news["event"]) == ("cache", "ended")
    assert 50 <= news["seconds"] <= 300
    site.servers.cache.kill()
    engine.check_outages()
    assert news_of(engine) == [("cache", "began")]


@pytest.mark.parametrize("server", ["cache", "journal"])
def test_a_submission_sees_it_too(site: Site, engine: Engine, server: str) -> None:
    site.add(PLAYER, [Record("q")])
    engine.due(PLAYER)
    getattr(site.servers, server).kill()
    engine.submit(PLAYER, session_data=session("q"))
    assert news_of(engine) == [(server, "began")]


def test_on_a_site_where_nobody_calls_the_minute_job_sees_beginning_and_end(site: Site) -> None:
    site.servers.journal.kill()
    assert news_of(*each_minute(site)) == [("journal", "began")]
    assert news_of(*each_minute(site)) == []
    site.servers.journal.start()
    let_time_pass(site)
    assert news_of(*each_minute(site)) == [("journal", "ended")]
    assert news_of(*each_minute(site)) == []


def each_minute(site: Site) -> list[Engine]:
    """A separate process looks, as RQ's do."""
    engine = site.engine()
    engine.check_outages()
    return [engine]


@pytest.mark.engines(**BELIEVING)
def test_without_an_outage_nothing_is_asked_of_the_database(site: Site, engine: Engine) -> None:
    engine.due(PLAYER)
    with site.counting() as costs:
        engine.due(PLAYER)
        assert engine.outage_news() == []
    assert costs[0].statements == 0


# -- as administrators see it
# -----------------------------------------------------------------------
def in_desk(site: Site) -> list[dict[str, object]]:
    """The notifications that were written without the queue."""
    return site.sql(
        "SELECT for_user, subject, email_content, type, link FROM `tabNotification Log`"
    )


def test_a_students_call_has_system_managers_notified(site: Site, app: App) -> None:
    from memora.api import reviews
    from memora.services import outages
    from memora.site_engine import _engines

    site.add(PLAYER, [Record("q")])
    reviews.get_review_session()
    site.servers.cache.kill()
    for _ in range(3):
        with suppress(frappe.TooManyRequestsError):
            reviews.get_review_session()
    (notification,) = frappe.recorded.notifications
    assert notification["users"] == [frappe.MANAGER]
    assert "redis_cache" in notification["subject"]
    assert "Safe Mode" in notification["email_content"]
    site.servers.cache.start()
    let_time_pass(site)
    # The minute's job has a process of its own.
    _engines.clear()
    outages.watch()
    assert "again" in frappe.recorded.notifications[-1]["subject"]
    outages.watch()
    assert len(frappe.recorded.notifications) == 2
    assert in_desk(site) == []


@pytest.mark.parametrize("how", ENDS)
def test_without_the_queue_the_notification_is_written_to_the_desk(
    site: Site, app: App, how: str
) -> None:
    from memora.api import reviews

    site.add(PLAYER, [Record("q")])
    reviews.get_review_session()
    getattr(site.servers.journal, how)()
    for name in ("q", "r"):
        reviews.submit_review_session(session_data=session(name))
    # As Frappe does after a GET, and after an error.
    frappe.local.db.rollback()
    (row,) = in_desk(site)
    assert (row["for_user"], row["type"]) == (frappe.MANAGER, "Alert")
    assert "redis_queue" in str(row["subject"])
    assert frappe.recorded.notifications == []


def test_an_alert_commits_nothing_that_others_have_begun(site: Site, app: App) -> None:
    from memora.api import srs

    frappe.local.db.sql("insert into `tabGame Topic` (name) values ('unfinished')")
    site.servers.journal.kill()
    srs.process_srs_batch(PLAYER, [{"question_id": "q", "attempts_count": 1}])
    frappe.local.db.rollback()
    assert site.sql("SELECT name FROM `tabGame Topic` WHERE name = 'unfinished'") == []


def test_an_alert_that_cannot_be_told_harms_no_student(
    site: Site, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    from memora.api import reviews

    site.add(PLAYER, [Record("q")])
    site.sql("RENAME TABLE `tabNotification Log` TO `hidden`")
    try:
        site.servers.journal.kill()
        assert reviews.submit_review_session(session_data=session("q"))["status"] == "success"
    finally:
        site.sql("RENAME TABLE `hidden` TO `tabNotification Log`")
