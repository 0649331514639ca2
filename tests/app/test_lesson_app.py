"""examples/lesson_app in a real browser, its Python on the private servers."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

import pytest
from selenium.webdriver import Remote
from werkzeug.wrappers import Request, Response

from tests import frappe_standin as frappe
from tests.app.lesson_page import LessonPage
from tests.servers.test_read_only import read_only
from tests.support.servers import wait_until
from tests.support.site_under_test import PLAYER, Site
from tests.support.web_server import served

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

App = Callable[..., None]

EXAMPLE: Final = Path(__file__).parents[2] / "examples/lesson_app"
WWW: Final = EXAMPLE / "lesson_app/www"
PASSWORD: Final = "blue horse"
MOST_LINES: Final = 150
# The part of Frappe's page around an app's (templates/base.html).
FRAME: Final = """<!doctype html><title>My reviews</title><link rel="icon" href="data:,">
<script>frappe = {{ready: (run) => addEventListener("DOMContentLoaded", run)}}</script>
{html}<script>{script}</script><script>frappe.csrf_token = "token"</script>"""


class School:
    """The site's web server: the page, and what it calls.

    `loses` says how many replies to the next POST of answers a proxy loses.
    """

    def __init__(self) -> None:
        self.application: Final = frappe.application(frappe.local.conf, {PLAYER: PASSWORD})
        self.loses = 0
        self.url = ""

    def page(self) -> Response:
        template, script = ((WWW / f"reviews.{kind}").read_text() for kind in ("html", "js"))
        template = template.replace("{{ frappe.session.user }}", PLAYER)
        (html,) = re.findall("{% block page_content %}(.*){% endblock %}", template, re.DOTALL)
        return Response(FRAME.format(html=html, script=script), mimetype="text/html")

    def wsgi(self) -> WSGIApplication:
        @Request.application
        def answer(request: Request) -> Response:
            if request.path == "/reviews":
                return self.page()
            reply = Response.from_app(self.application, request.environ)
            if self.loses and "submit" in request.path:
                self.loses -= 1
                return Response("<h1>Bad Gateway</h1>", 502)
            return reply

        return answer


@pytest.fixture
def lesson_app(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The example, installed."""
    monkeypatch.syspath_prepend(EXAMPLE)
    hooks = importlib.import_module("lesson_app.hooks")
    frappe.recorded.hooks["srs_question_loader"] = [hooks.srs_question_loader]
    return hooks


@pytest.fixture
def school(app: App, lesson_app: ModuleType) -> Iterator[School]:
    school = School()
    with served(school.wsgi()) as school.url:
        yield school


@pytest.fixture
def page(chromium: Remote, school: School) -> Iterator[LessonPage]:
    """The page, with the student logged in."""
    page = LessonPage(chromium)
    page.log_in(school.url, PLAYER, PASSWORD)
    yield page
    chromium.get("about:blank")


def test_a_student_ends_a_lesson_and_reviews_it(site: Site, page: LessonPage) -> None:
    page.take_tour()
    site.engine().drain()
    assert site.rows()["fractions-1"]["stability"] == 1
    assert len(site.rows()) == 3


def test_answers_wait_on_the_device_while_the_school_is_away(site: Site, page: LessonPage) -> None:
    page.shows("Questions that are due: 0")
    with read_only(site, "journal", "database"):
        page.end_lesson()
        page.shows("nothing was saved", "Your answers wait here.")

    def is_sent() -> bool:
        # A server that was down is left alone for a moment.
        page.run(
            "[...document.querySelectorAll('button')]"
            ".find(each => each.textContent == 'Try again')?.click()"
        )
        return "Questions that are due: 1" in page.text()

    assert wait_until(is_sent)
    site.engine().drain()
    assert len(site.rows()) == 3


def test_answers_whose_reply_was_lost_count_once(
    site: Site, school: School, page: LessonPage
) -> None:
    page.end_lesson()
    page.click("OK", "#reviews")
    school.loses = 1
    page.review()
    page.shows("Error 502", "Your answers wait here.")
    page.click("Try again", "#reviews")
    page.shows("Questions that are due: 0")
    site.engine().drain()
    assert len(site.sql("SELECT name FROM `tabMemory Review Audit`")) == 2


def test_what_the_school_refuses_waits_no_more(site: Site, page: LessonPage) -> None:
    page.run(
        "localStorage[`answers of ${arguments[0]}: 1`] = JSON.stringify(["
        "'memora.api.reviews.submit_review_session', {submission_id: '1', responses: []}])",
        PLAYER,
    )
    page.end_lesson()
    page.shows("there are no answers")
    page.click("OK", "#reviews")
    page.shows("Saved.", "1 today")
    assert page.run("return Object.keys(localStorage).length") == 0


def test_a_visitor_is_asked_to_log_in(app: App, lesson_app: ModuleType) -> None:
    app(user="Guest")
    reviews = importlib.import_module("lesson_app.www.reviews")
    with pytest.raises(frappe.PermissionError):
        reviews.get_context(frappe._dict())


def test_it_is_short() -> None:
    lines = sum(
        len(path.read_text().splitlines())
        for path in EXAMPLE.rglob("*")
        if path.is_file() and path.suffix in (".py", ".js", ".html", ".toml")
    )
    assert lines <= MOST_LINES
