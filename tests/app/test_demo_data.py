"""Requests for demo data. The app's own tests make it, because it needs Frappe's documents."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from memora.api import demo_data
from memora.api.jobs import cancel_job, get_job
from tests import frappe_standin as frappe
from tests.support.site_under_test import SEASON, Site

App = Callable[..., None]


@pytest.fixture(autouse=True)
def manager(app: App) -> None:
    app(user=frappe.MANAGER)


def test_students_are_not_shown_the_demo_season_by_mistake() -> None:
    with pytest.raises(frappe.ValidationError, match=SEASON):
        demo_data.make_demo_data()
    assert frappe.recorded.jobs == []
    assert demo_data.make_demo_data(force="1")["job"]


def test_where_no_season_is_active_nothing_need_be_forced(site: Site) -> None:
    site.sql("UPDATE `tabGame Subscription Season` SET is_active = 0")
    job = demo_data.make_demo_data()["job"]
    assert (get_job(job)["kind"], get_job(job)["status"]) == ("Demo Data", "Queued")
    assert demo_data.make_demo_data()["job"] == job
    assert len(frappe.recorded.jobs) == 1


def test_it_is_not_removed_while_it_is_made() -> None:
    job = demo_data.make_demo_data(force=True)["job"]
    with pytest.raises(frappe.ValidationError, match="under way"):
        demo_data.clear_demo_data()
    cancel_job(job)
    assert get_job(demo_data.clear_demo_data()["job"])["kind"] == "Demo Data Removal"


def test_its_news_tell_whether_it_runs(site: Site) -> None:
    """The engine has no lock for this kind of job."""
    job = demo_data.make_demo_data(force=True)["job"]
    frappe.recorded.take()
    values = {"status": "Running", "modified": site.now()}
    frappe.local.db.set_value("SRS Job", job, values, update_modified=False)
    assert get_job(job)["status"] == "Running"
    assert demo_data.make_demo_data(force=True)["job"] == job
    values["modified"] -= timedelta(minutes=5)  # type: ignore[operator]
    frappe.local.db.set_value("SRS Job", job, values, update_modified=False)
    assert get_job(job)["status"] == "Interrupted"
    assert demo_data.make_demo_data(force=True)["job"] != job
