"""The comparison of the door with Frappe (`door_differential.py`): its own logic."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from tests.app.door_requests import (
    COOKIES,
    READ,
    Answered,
    Asked,
    Twin,
    differences,
    generated,
)

FIRST = Twin("one@door.example", "1" * 56, "token-1", "Nur One", "job-1")
SECOND = Twin("two@door.example", "2" * 56, "token-2", "Nur Two", "job-2")
ASKED = Asked("read", "GET", READ)
QUESTION = {"question_id": "q", "stability": 2, "next_review_date": "2026-09-01 08:00:00"}


def answered(
    message: Any = None, status: int = 200, cookies: tuple[str, ...] = (), **values: Any
) -> Answered:
    body = json.dumps({"message": message, **values}).encode()
    headers = [("Content-Type", "application/json"), *(("Set-Cookie", one) for one in cookies)]
    return Answered(status, tuple(headers), body)


def compared(one: Answered, other: Answered, asked: Asked = ASKED) -> list[str]:
    return differences(asked, one, other, FIRST, SECOND)


def test_the_same_is_the_same() -> None:
    assert compared(answered([QUESTION]), answered([QUESTION])) == []
    later = QUESTION | {"next_review_date": "2026-09-01 08:00:03"}
    assert compared(answered([QUESTION]), answered([later])) == []
    assert compared(answered("for one@door.example"), answered("for two@door.example")) == []
    jobs = answered({"persistence_job_id": "a"}), answered({"persistence_job_id": "b"})
    assert compared(*jobs) == []
    messages = [json.dumps({"m": 1, "__frappe_exc_id": name}) for name in ("a1", "b2")]
    one, other = (answered(_server_messages=json.dumps([text])) for text in messages)
    assert compared(one, other) == []
    # The same of Frappe 16's second version of the API.
    one, other = (answered(messages=[{"__frappe_exc_id": name}]) for name in ("a1", "b2"))
    assert compared(one, other) == []


def test_a_200_of_the_door_alone_is_named_first() -> None:
    found = compared(answered(status=403), answered())
    assert found[0] == "ANSWERED WHERE FRAPPE DOES NOT: status 403 and 200"
    assert compared(answered(), answered(status=403))[0] == "status 200 and 403"


@pytest.mark.parametrize(
    "other",
    [
        answered([]),
        answered([QUESTION | {"stability": 3}]),
        answered([QUESTION | {"stability": 2.0}]),
        answered([QUESTION | {"stability": "2"}]),
        answered([QUESTION | {"more": None}]),
        answered([QUESTION | {"question_id": "r"}]),
        answered([QUESTION | {"next_review_date": "2026-09-01 08:01:00"}]),
        answered([QUESTION | {"next_review_date": None}]),
        answered([QUESTION], home_page="/app"),
        Answered(200, (("Content-Type", "text/html"),), b"<html>"),
        Answered(200, (("Content-Type", "application/json"), ("Cache-Control", "no")), b"{}"),
    ],
)
def test_another_answer_is_found(other: Answered) -> None:
    assert compared(answered([QUESTION]), other) != []


def test_another_student_s_values_are_found() -> None:
    assert compared(answered("for one@door.example"), answered("for one@door.example")) != []


def test_cookies_are_compared_with_their_attributes() -> None:
    sid = "sid={}; Expires={}; Max-Age=9; HttpOnly; Path=/; SameSite=Lax"
    one = answered(cookies=(sid.format(FIRST.sid, "Tue, 01 Sep 2026 08:00:00 GMT"), "a=1; Path=/"))
    same = sid.format(SECOND.sid, "Tue, 01 Sep 2026 08:00:01 GMT")
    assert compared(one, answered(cookies=("a=1; Path=/", same))) == []
    for cookies in (
        (same,),
        ("a=2; Path=/", same),
        ("a=1; Path=/; Secure", same),
        ("a=1; Path=/", same.replace("HttpOnly; ", "")),
        ("a=1; Path=/", same.replace("Max-Age=9", "Max-Age=8")),
        ("a=1; Path=/", same.replace(SECOND.sid, FIRST.sid)),
        ("a=1; Path=/", same, "b=1"),
    ):
        assert compared(one, answered(cookies=cookies)) != [], cookies


def test_random_questions_of_a_topic_are_counted() -> None:
    asked = Asked("read", "GET", READ + "?topic_id=Plants")
    one = answered({"questions": [{"question_id": "q"}], "total_due": 1})
    other = answered({"questions": [{"question_id": "r"}], "total_due": 1})
    assert compared(one, other, asked) == []
    assert compared(one, answered({"questions": [], "total_due": 1}), asked) != []
    assert compared(one, other) != []


def test_a_seed_repeats_its_requests() -> None:
    first, second = (
        [generated(choice) for _ in range(300)] for choice in map(random.Random, (7, 7))
    )
    assert first == second


def test_requests_of_each_kind_are_made() -> None:
    choice = random.Random(1)
    made = [generated(choice) for _ in range(3000)]
    assert {one.kind for one in made} >= {
        "read", "submit", "status", "forecast", "cookies", "headers", "key", "path", "query",
        "body", "token", "verb",
    }  # fmt: skip
    # Half of them are what the door is there for.
    usual = [one for one in made if one.kind in ("read", "submit", "status", "forecast")]
    assert 0.4 < len(usual) / len(made) < 0.6
    assert {one.http_method for one in made} >= {"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"}


def test_a_request_has_the_values_of_its_student() -> None:
    asked = Asked("read", "POST", READ, {"Cookie": COOKIES}, b"csrf_token={csrf}&x=\xff")
    assert f"sid={FIRST.sid}; " in asked.headers_of(FIRST)["Cookie"]
    assert "user_id=two%40door.example" in asked.headers_of(SECOND)["Cookie"]
    assert asked.body_of(SECOND) == b"csrf_token=token-2&x=\xff"
