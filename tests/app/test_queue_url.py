"""How memora signs in to redis_queue: as `frappe.utils.background_jobs.get_redis_conn`."""

from __future__ import annotations

import pytest

from memora.site_engine import queue_url
from tests.frappe_standin import _dict

URL = "redis://127.0.0.1:11000"
OF_RQ = {"use_rq_auth": 1, "rq_username": "school", "rq_password": "p@ss"}


@pytest.mark.parametrize(
    ("configured", "url"),
    [
        ({}, "redis://default:se%2Fcret@127.0.0.1:11000"),
        (OF_RQ, "redis://school:p%40ss@127.0.0.1:11000"),
        ({"redis_queue": "redis://:own@127.0.0.1:11000"}, "redis://:own@127.0.0.1:11000"),
    ],
)
def test_the_user_is_that_of_frappes_jobs(
    configured: dict[str, object], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Frappe spells it this way.
    monkeypatch.setenv("RQ_ADMIN_PASWORD", "se/cret")
    assert queue_url(_dict({"redis_queue": URL} | configured)) == url


def test_without_a_password_the_url_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RQ_ADMIN_PASWORD", raising=False)
    monkeypatch.setenv("RQ_ADMIN_PASSWORD", "another")
    assert queue_url(_dict({"redis_queue": URL})) == URL
