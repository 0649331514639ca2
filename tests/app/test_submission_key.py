"""A submission's key over HTTP: the argument, or the header Idempotency-Key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from tests import frappe_standin as frappe
from tests.support.site_under_test import PLAYER, Record, Site

App = Callable[..., None]


@pytest.fixture
def client(site: Site, app: App) -> Client:
    """The student, logged in."""
    site.add(PLAYER, [Record("p"), Record("q")])
    client = Client(frappe.application(frappe.local.conf, {PLAYER: "blue horse"}))
    client.post("/api/method/login", data={"usr": PLAYER, "pwd": "blue horse"})
    return client


def send(client: Client, key: str | None = None, **arguments: Any) -> TestResponse:
    """Send a right answer to a question, by default p."""
    given = {"responses": [{"question_id": "p", "quality": 4}]} | arguments
    headers = {"Idempotency-Key": key} if key is not None else {}
    path = "/api/method/memora.api.reviews.submit_review_session"
    return client.post(path, json=given, headers=headers)


def test_it_is_the_same_in_all_its_forms(site: Site, client: Client) -> None:
    first = send(client, "17")
    assert first.status_code == 200
    for again in (
        send(client, "17"),
        send(client, '"17"'),
        send(client, submission_id="17"),
        send(client, submission_id=17),
        send(client, "17", submission_id="17"),
    ):
        assert (again.status_code, again.data) == (200, first.data)
    site.engine().drain()
    assert len(site.sql("SELECT name FROM `tabMemory Review Audit`")) == 1


@pytest.mark.parametrize(
    ("key", "submission_id", "message"),
    [
        ("17", "18", "must be the same"),
        ("k" * 65, None, "1 to 64 characters"),
        (None, "k" * 65, "1 to 64 characters"),
        (None, ["17"], "submission_id must be text"),
        (None, True, "submission_id must be text"),
    ],
)
def test_what_is_no_key_is_refused(
    site: Site, client: Client, key: str | None, submission_id: Any, message: str
) -> None:
    refused = send(client, key, submission_id=submission_id)
    assert (refused.status_code, message in refused.text) == (417, True), refused.text
    assert site.waiting() == 0


def test_other_answers_under_a_used_name_are_refused(site: Site, client: Client) -> None:
    send(client, "17")
    other = send(client, "17", responses=[{"question_id": "q", "quality": 4}])
    assert other.status_code == 417
    assert "was used for other answers" in other.text
    assert site.waiting() == 1


def test_no_name_is_no_key(site: Site, client: Client) -> None:
    for _ in range(2):
        assert send(client, "", submission_id="").status_code == 200
    assert site.waiting() == 2
