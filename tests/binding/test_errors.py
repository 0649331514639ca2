"""An error's information for programs and operators: its code, the server, whether to try again."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from memora._engine import (
    Engine,
    EngineFault,
    InvalidInput,
    MemoraError,
    OutcomeUnknown,
    RateLimited,
    SeasonUnavailable,
    ServiceUnavailable,
)
from memora.api import srs
from memora.services.errors import ReviewsUnavailable
from tests import frappe_standin as frappe
from tests.administrators.test_archive import ended_season
from tests.support.site_under_test import PLAYER, SEASON, Record, Site, session

OPERATING = Path(__file__).parents[2] / "docs/operating.md"
CODES = set(re.findall(r"(?m)^\| `(memora\.[a-z_]+)` \|", OPERATING.read_text()))


def told(error: MemoraError) -> tuple[str, str | None, bool]:
    assert error.code in CODES
    return error.code, error.server, error.is_transient


def test_of_each_server_that_is_down(site: Site) -> None:
    calls: dict[str, Callable[[Engine], object]] = {
        "cache": lambda engine: engine.latency(),
        "journal": lambda engine: engine.has_waiting_answers(PLAYER, [SEASON]),
        "database": lambda engine: engine.partitions(),
    }
    for server, call in calls.items():
        getattr(site.servers, server).kill()
        with pytest.raises(ServiceUnavailable) as fault:
            call(site.engine())
        assert told(fault.value) == (f"memora.{server}_unavailable", server, True)
        assert str(fault.value).endswith(f"[{fault.value.code}]")


def test_of_a_server_that_refuses(site: Site) -> None:
    site.sql("RENAME TABLE `tabMemory Review Audit` TO elsewhere")
    with pytest.raises(EngineFault) as fault:
        site.engine().forget(PLAYER)
    assert told(fault.value) == ("memora.database_refused", "database", False)
    site.sql("RENAME TABLE elsewhere TO `tabMemory Review Audit`")


def test_of_what_cannot_be_used(site: Site, engine: Engine) -> None:
    with pytest.raises(InvalidInput) as refusal:
        engine.due(PLAYER, limit=0)
    assert told(refusal.value) == ("memora.invalid_input", None, False)
    engine.archive(season := ended_season(site))
    with pytest.raises(SeasonUnavailable) as archived:
        engine.rebuild(season)
    assert told(archived.value) == ("memora.season_archived", None, False)


def test_of_a_read_that_safe_mode_has_no_room_for(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record("q")])
    site.servers.cache.kill()
    engine.due(PLAYER)
    with pytest.raises(RateLimited) as refusal:
        engine.due(PLAYER)
    assert told(refusal.value) == ("memora.rate_limited", None, True)
    assert refusal.value.retry_after == refusal.value.args[1]


def test_of_an_error_that_python_raises() -> None:
    assert told(InvalidInput("no such season")) == ("memora.invalid_input", None, False)
    assert told(EngineFault("no such setting")) == ("memora.fault", None, False)
    assert issubclass(OutcomeUnknown, ServiceUnavailable)


def test_administrators_are_told_the_code_and_students_are_not(
    site: Site, app: Callable[..., None]
) -> None:
    from memora.api import reviews

    site.servers.database.kill()
    app(user=frappe.MANAGER)
    with pytest.raises(ReviewsUnavailable, match=r"\[memora\.database_unavailable\]"):
        srs.replay_poison_reviews(["p"])
    assert frappe.local.response["error_code"] == "memora.database_unavailable"
    app(user=PLAYER)
    with pytest.raises(ReviewsUnavailable) as fault:
        reviews.submit_review_session(session_data=session("q"))
    assert "memora." not in str(fault.value)
    assert "error_code" not in frappe.local.response
