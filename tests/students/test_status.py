"""The status of a submission, and how safe the journal is."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memora._engine import Engine, ServiceUnavailable
from tests.support.site_under_test import PLAYER, Site, session

OTHER = "other@school.example"


def test_a_submission_goes_from_pending_to_persisted(engine: Engine) -> None:
    job = engine.submit(PLAYER, session_data=session("q"))["persistence_job_id"]
    assert engine.persistence_status(PLAYER, job) == "pending"
    engine.drain()
    assert engine.persistence_status(PLAYER, job) == "persisted"


def test_a_student_learns_nothing_of_others(engine: Engine) -> None:
    job = engine.submit(PLAYER, session_data=session("q"))["persistence_job_id"]
    assert engine.persistence_status(OTHER, job) is None
    engine.drain()
    assert engine.persistence_status(OTHER, job) is None


def test_no_two_submissions_have_one_id(engine: Engine) -> None:
    jobs = {
        engine.submit(PLAYER, session_data=session("q"))["persistence_job_id"] for _ in range(50)
    }
    assert len(jobs) == 50


def test_every_process_can_tell(site: Site, engine: Engine) -> None:
    job = engine.submit(PLAYER, session_data=session("q"))["persistence_job_id"]
    assert site.engine().persistence_status(PLAYER, job) == "pending"
    site.engine().drain()
    assert engine.persistence_status(PLAYER, job) == "persisted"


@given(
    st.one_of(
        st.text(),
        st.sampled_from(["", "-", "+", "0-0", "1-1", "99999999999999999999-0", "x" * 10_000]),
    )
)
def test_an_unknown_id_is_no_error(engine: Engine, job_id: str) -> None:
    assert engine.persistence_status(PLAYER, job_id) is None


def test_a_submission_that_the_journal_did_not_take_waits_for_the_drain_as_well(
    site: Site, engine: Engine
) -> None:
    site.servers.journal.kill()
    job = engine.submit(PLAYER, session_data=session("q"))["persistence_job_id"]
    site.servers.journal.start()
    for expected in ("pending", "persisted"):
        assert site.engine().persistence_status(PLAYER, job) == expected
        assert site.engine().persistence_status(OTHER, job) is None
        site.engine().drain()


def test_a_submission_in_an_unreachable_journal_is_not_denied(site: Site, engine: Engine) -> None:
    job = engine.submit(PLAYER, session_data=session("q"))["persistence_job_id"]
    site.servers.journal.kill()
    with pytest.raises(ServiceUnavailable):
        engine.persistence_status(PLAYER, job)


# -- the journal --------------------------------------------------------------------------------
def test_a_safe_journal(engine: Engine) -> None:
    status = engine.journal_status()
    assert status["reachable"]
    assert (status["durable"], status["warning"]) == (True, None)
    assert (status["appendonly"], status["appendfsync"]) == (True, "always")
    assert status["maxmemory_policy"] == "noeviction"
    assert (status["backlog"], status["oldest_age_seconds"]) == (0, 0.0)


def test_the_backlog_and_its_age(site: Site, engine: Engine) -> None:
    before = time.time()
    for _ in range(3):
        engine.submit(PLAYER, session_data=session("q"))
    status = engine.journal_status()
    assert status["backlog"] == 3
    assert 0 <= status["oldest_age_seconds"] <= time.time() - before + 0.01
    old = int((time.time() - 3600) * 1000)
    site.journal.delete(site.key("srs-journal"))
    site.journal.xadd(site.key("srs-journal"), {"player": PLAYER}, id=f"{old}-0")
    assert engine.journal_status()["oldest_age_seconds"] >= 3600


@pytest.mark.parametrize(
    ("setting", "value"),
    [("appendonly", "no"), ("appendfsync", "no"), ("maxmemory-policy", "allkeys-lru")],
)
def test_an_unsafe_setting_is_warned_about(
    site: Site, engine: Engine, setting: str, value: str
) -> None:
    before = str(site.journal.config_get(setting)[setting])
    site.journal.config_set(setting, value)
    try:
        status = engine.journal_status()
        assert not status["durable"]
        assert status["warning"] is not None
        assert setting in status["warning"]
    finally:
        site.journal.config_set(setting, before)
    assert engine.journal_status()["durable"]


def test_a_journal_that_is_down(site: Site, engine: Engine) -> None:
    site.servers.journal.kill()
    status = engine.journal_status()
    assert (status["reachable"], status["durable"]) == (False, False)
    assert status["warning"]
