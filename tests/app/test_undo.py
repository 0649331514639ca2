"""undo_last_submission with a replica of the journal: an undoing is certain only once saved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from memora.api import reviews, srs, undo
from memora.services.errors import ReviewsUnavailable
from tests import frappe_standin as frappe
from tests.consistency.test_replicas import replica
from tests.support.sentinel import Replica
from tests.support.site_under_test import PLAYER, Record, Site

App = Callable[..., None]

__all__ = ["replica"]


@pytest.fixture
def answered(site: Site, app: App, replica: Replica) -> dict[str, Any]:
    """A student has answered one of two due questions; what they saw before."""
    frappe.local.conf["srs_journal_replicas"] = 1
    site.add(PLAYER, [Record("q", stability=2), Record("r")])
    before: dict[str, Any] = dict(reviews.get_review_session())
    reviews.submit_review_session(responses=[{"question_id": "q", "quality": 4}], submission_id="a")
    frappe.recorded.run_jobs()
    return before


def test_the_first_call_waits_for_the_drain_and_answers(
    site: Site, answered: dict[str, Any]
) -> None:
    frappe.recorded.at_once = True
    assert srs.undo_last_submission("a")["undone"] == 1
    assert reviews.get_review_session() == answered
    assert site.rows()["q"]["stability"] == 2


@pytest.mark.parametrize("seconds", [0.0, 0.1])
def test_a_student_does_not_wait_longer_than_two_seconds(
    answered: dict[str, Any], seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No worker runs. Once one does, the next call answers."""
    monkeypatch.setattr(undo, "LONGEST_WAIT_SECONDS", seconds)
    with pytest.raises(ReviewsUnavailable, match="try again in a minute"):
        srs.undo_last_submission("a")
    # Reads show the same from now on.
    assert reviews.get_review_session() == answered
    frappe.recorded.run_jobs()
    assert srs.undo_last_submission("a")["undone"] == 1
    assert reviews.get_review_session() == answered
