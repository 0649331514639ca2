"""docs/lessons.md is true: each of its snippets is run, in the order of the page."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
import requests
from selenium.webdriver import Remote
from werkzeug.wrappers import Request, Response

from memora.api.reviews import submit_review_session
from memora.api.srs import process_srs_batch
from tests import frappe_standin as frappe
from tests.support.site_under_test import PLAYER, Record, Site
from tests.support.web_server import served

App = Callable[..., None]

PAGE: Final = Path(__file__).parents[2] / "docs/lessons.md"
KEY: Final = "KEY:SECRET"
PASSWORD: Final = "blue horse"
REFUSED: Final = "/api/method/memora.api.reviews.get_review_session?limit=99"
REFUSAL: Final = "from 1 to 50"


def snippets(language: str) -> list[str]:
    """The page's blocks in a language, in their order."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture
def school(site: Site, app: App) -> Iterator[str]:
    """The URL of a site with the subject that the page names."""
    assert PLAYER in PAGE.read_text()
    site.insert("Game Subject", name="Maths")
    answer = frappe.application(frappe.local.conf, {PLAYER: PASSWORD}, api_keys={KEY: PLAYER})

    @Request.application
    def application(request: Request) -> Response:
        if request.path == "/":
            return Response("<script>frappe = {csrf_token: 'token'}</script>", mimetype="text/html")
        return Response.from_app(answer, request.environ)

    with served(application) as url:
        yield url


def test_python(school: str, app: App) -> None:
    names: dict[str, Any] = {"json": json}
    checked = 0
    for snippet in snippets("python"):
        names["response"] = requests.get(
            school + REFUSED, headers={"Authorization": f"token {KEY}"}
        )
        exec(snippet, names)
        for code, value in re.findall(r'^(\S.*?)  # (\d+|"\w+")', snippet, re.MULTILINE):
            assert eval(code, names) == ast.literal_eval(value)
            checked += 1
    assert checked == 3
    assert REFUSAL in names["text"]
    assert set(names["load_cards"](["a", "b"])) == {"a", "b"}


def test_javascript(school: str, chromium: Remote) -> None:
    names = "questions", "total_due", "status", "xp_taken_back", "text"
    found: dict[str, Any] = {}
    chromium.get(school)
    body = f"new URLSearchParams({{usr: '{PLAYER}', pwd: '{PASSWORD}'}})"
    submission = ""
    for snippet in ["", *snippets("js")]:
        # The steps that the page says come before: a login, a submission, a refusal.
        before = f"await fetch('/api/method/login', {{method: 'POST', body: {body}}});"
        if "persistence_job_id" in snippet:
            before = submission
        elif "undo_last_submission" in snippet:
            before = submission.replace("responses:", "submission_id: '5f0c6c1e', responses:")
        elif "_server_messages" in snippet:
            before = f"const reply = await fetch('{REFUSED}');"
        elif "submit_review_session" in snippet:
            submission = snippet
        shown = ", ".join(each for each in names if re.search(rf"const .*\b{each}\b", snippet))
        code = f"{before}\n{snippet}\nreturn {{{shown}}};"
        asked = f"(async () => {{{code}}})().then(arguments[0], e => arguments[0](`${{e}}`))"
        values = chromium.execute_async_script(asked)
        assert isinstance(values, dict), values
        found |= values
    chromium.get("about:blank")
    assert found["questions"] == []
    assert found["total_due"] == 0
    assert found["status"] == "pending"
    assert found["xp_taken_back"] == 10
    assert REFUSAL in found["text"]


def test_curl(school: str) -> None:
    replies: list[dict[str, Any]] = []
    submission = ""
    for snippet in snippets("sh"):
        if "curl" not in snippet:
            continue
        jobs = [reply["persistence_job_id"] for reply in replies if "persistence_job_id" in reply]
        if "undo_last_submission" in snippet:
            named = submission.replace('{"responses"', '{"submission_id": "5f0c6c1e", "responses"')
            subprocess.run(["bash", "-euc", named], capture_output=True, check=True)
        code = snippet.replace("https://SITE", school).replace("JOB_ID", "".join(jobs))
        if "submit_review_session" in snippet:
            submission = code
        done = subprocess.run(
            ["bash", "-euc", code], capture_output=True, text=True, check=True
        ).stdout
        if "jq" in snippet:
            assert REFUSAL in done
        else:
            replies.append(json.loads(done)["message"])
    due, submitted, status, undone = replies
    assert undone["xp_taken_back"] == 10
    assert due["total_due"] == 0
    assert submitted["xp_earned"] == 10
    assert status == {"job_id": submitted["persistence_job_id"], "status": "pending"} | {
        "is_undone": False
    }


def table(head: str) -> list[list[str]]:
    """The rows of the page's table whose first row begins so."""
    (found,) = re.findall(
        rf"^\| {re.escape(head)}.*\n\| [-|: ]+\n((?:\|.*\n)+)", PAGE.read_text(), re.MULTILINE
    )
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in found.splitlines()]


def some(words: str, most: int = 100_000) -> list[int]:
    """The least and the most that these words mean, such as `2000 to 4999`."""
    numbers = [int(number) for number in re.findall(r"\d+", words.split("(")[0])]
    if len(numbers) == 2:
        return numbers
    if not numbers:
        return [0, most]
    if words.startswith("less"):
        return [0, numbers[0] - 1]
    if words.startswith("more"):
        return [numbers[0] + 1, most]
    return [numbers[0], most if "or more" in words else numbers[0]]


def days(words: str) -> int:
    """`at once`, or `in 2 days`."""
    numbers = re.findall(r"\d+", words)
    return int(numbers[0]) if numbers else 0


def shown(site: Site) -> dict[str, tuple[int, int]]:
    """The stability of each question, and in how many days after its last review it is due."""
    site.engine().drain()
    return {
        name: (
            row["stability"],
            round((row["next_review_date"] - row["last_review_date"]) / timedelta(days=1)),
        )
        for name, row in site.rows().items()
    }


def test_the_table_of_lessons(site: Site, app: App) -> None:
    expected: dict[str, tuple[int, int]] = {}
    interactions: list[dict[str, object]] = []
    for attempts, duration, stability, due in table("`attempts_count`"):
        for count in some(attempts, 9):
            for duration_ms in some(duration):
                name = f"q{len(interactions)}"
                interactions.append(
                    {"question_id": name, "attempts_count": count, "duration_ms": duration_ms}
                )
                expected[name] = int(stability), days(due)
    process_srs_batch(PLAYER, interactions)
    assert shown(site) == expected
    assert len(expected) == 16


def test_the_tables_of_reviews(site: Site, app: App) -> None:
    (row,) = table("new stability")
    due_in = {stability: days(words) for stability, words in enumerate(row[1:], 1)}
    expected: dict[str, tuple[int, int]] = {}
    responses: list[dict[str, object]] = []
    for answer, time, change in table("answer"):
        for response_time_ms in some(time):
            for stability in range(5):
                name = f"q{len(responses)}"
                site.add(PLAYER, [Record(name, stability=stability)])
                quality = 3 if answer == "right" else 2
                responses.append(
                    {"question_id": name, "quality": quality, "response_time_ms": response_time_ms}
                )
                more = re.match(r"(\d) more", change)
                new = max(1, min(4, stability + (int(more[1]) if more else 0)))
                new = 1 if answer == "wrong" else new
                expected[name] = new, due_in[new]
    submit_review_session(responses=responses)
    assert shown(site) == expected
    assert len(expected) == 40
