"""The Desk's scripts in a real browser: the SRS Monitor, and the forms of seasons and SRS Jobs.

Chromium loads the scripts as Frappe sends them, on top of desk_standin.js; what they call is done
by the app's own functions on the private servers.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, urlsplit

import pytest
from selenium.webdriver import Remote
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from memora import hooks
from memora.api import reviews
from memora.services import srs_jobs, srs_reconciliation
from tests import frappe_standin as frappe
from tests.support.browser import Page
from tests.support.servers import wait_until
from tests.support.site_under_test import PLAYER, SEASON, Record, Site, session

APP: Final = Path(hooks.__file__).parent
SCRIPTS: Final = APP / "memora"
STANDIN: Final = Path(__file__).with_name("desk_standin.js")
EVIL: Final = "<img src=x onerror=\"document.title = 'hacked'\">"
JOB: Final = "SRS Job"

App = Callable[..., None]
T = TypeVar("T")


# -- the server
# ---------------------------------------------------------------------------------------
class Desk(ThreadingHTTPServer):
    """A web server of the site, in its own threads; `user` is logged in, and reads `language`."""

    daemon_threads = True
    user = frappe.MANAGER
    language = "en"

    def __init__(self, app: App) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.app: Final = app

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Request(BaseHTTPRequestHandler):
    server: Desk

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path.startswith("/api/method/"):
            self.call(url.path.removeprefix("/api/method/"), dict(parse_qsl(url.query)))
        elif url.path.startswith("/script/"):
            self.send(200, "text/javascript", script(SCRIPTS / url.path.removeprefix("/script/")))
        elif url.path == "/":
            self.send(200, "text/html", blank_page(self.server.user, self.server.language))
        else:
            self.send(404, "text/plain", "")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.call(self.path.removeprefix("/api/method/"), dict(parse_qsl(body)))

    def call(self, method: str, arguments: dict[str, str]) -> None:
        """Frappe's /api/method (frappe.handler, frappe.app)."""
        self.server.app(user=self.server.user)
        frappe.local.lang = self.server.language
        try:
            answer, status = {"message": self.do(method, arguments)}, 200
            if self.command == "POST":
                frappe.local.db.commit()
        except Exception as error:
            status = getattr(error, "http_status_code", 500)
            messages = [json.dumps(message) for message in frappe.local.message_log]
            answer = {"exc_type": type(error).__name__}
            if messages:
                answer["_server_messages"] = json.dumps(messages)
        finally:
            frappe.destroy()
        self.send(status, "application/json", json.dumps(answer, default=str))

    def do(self, method: str, arguments: dict[str, str]) -> Any:
        doctype = arguments.get("doctype", "")
        if method == "frappe.client.get":
            (document,) = frappe.local.db.sql(
                f"select * from `tab{doctype}` where name = %s", (arguments["name"],)
            )
            return document
        if method == "frappe.desk.reportview.get_list":
            filters = json.loads(arguments.get("filters", "{}"))
            wanted = {
                name: tuple(value) if isinstance(value, list) else value
                for name, value in filters.items()
            }
            return frappe.get_all(doctype, wanted, json.loads(arguments["fields"]))
        function = frappe.get_attr(method)
        if self.command not in frappe.allowed_http_methods_for_whitelisted_func.get(function, ()):
            raise frappe.PermissionError
        return function(**arguments)

    def send(self, status: int, content_type: str, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{content_type}; charset=utf-8")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Logs nothing: pytest's output is for failures."""


def script(path: Path) -> str:
    """A script as Frappe sends it, with those of hooks.py (get_code_files_via_hooks)."""
    of_doctypes = hooks.doctype_list_js if path.stem.endswith("_list") else hooks.doctype_js
    added = hooks.page_js if path.parent.parent.name == "page" else of_doctypes
    scrubbed = {re.sub("[ -]", "_", name.lower()): files for name, files in added.items()}
    shared = [APP / file for file in scrubbed.get(path.parent.name, [])]
    return "\n".join(file.read_text() for file in (path, *shared))


def blank_page(user: str, language: str) -> str:
    roles = frappe.recorded.roles.get(user, [])
    # As Frappe has it from the permissions of the DocTypes.
    can_create = ["Game Subscription Season"] if "System Manager" in roles else []
    boot = json.dumps(
        {
            "user": {"can_create": can_create},
            "roles": roles,
            "sitename": "school.example",
            "__messages": frappe.get_translations_from_csv(language, "memora"),
        }
    )
    direction = "rtl" if language == "ar" else "ltr"
    style = (SCRIPTS / "page/srs_monitor/srs_monitor.css").read_text()
    return (
        f'<!doctype html><html lang="{language}" dir="{direction}">'
        '<title>Desk</title><link rel="icon" href="data:,">'
        f"<style>{style}</style><body>"
        f'<script type="application/json" id="boot">{boot}</script>'
        f"<script>{STANDIN.read_text()}</script>"
    )


@pytest.fixture
def desk(site: Site, app: App) -> Iterator[Desk]:
    app(user=frappe.MANAGER)
    with Desk(app) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


# -- the browser
# --------------------------------------------------------------------------------------
class Browser(Page):
    """The Desk in the browser."""

    def __init__(self, chromium: Remote, desk: Desk) -> None:
        super().__init__(chromium)
        self.desk: Final = desk

    def open(self, what: str, *arguments: str) -> None:
        """Open a `page`, a `form` or a `list`."""
        self.chromium.get(self.desk.url)
        self.run(f"return desk.{what}(...arguments)", *arguments)
        self.run(
            "if (memora.SRSMonitor) "
            "memora.SRSMonitor.PAUSE_MS = memora.SRSMonitor.SHORT_PAUSE_MS = 100"
        )
        self.run("if (memora.jobs) memora.jobs.POLL_AFTER_MS = 100")

    def complaints(self) -> list[str]:
        """The scripts' errors."""
        return list(self.run("return complaints"))


@pytest.fixture
def browser(chromium: Remote, desk: Desk) -> Iterator[Browser]:
    """The browser with an empty page; at the end no script failed, and no data ran as one."""
    browser = Browser(chromium, desk)
    yield browser
    assert chromium.title != "hacked"
    assert browser.complaints() == []
    chromium.get("about:blank")


def add_job(site: Site, **values: object) -> None:
    """An SRS Job of the season, which runs."""
    job = {
        "name": "j1",
        "kind": "Rebuild",
        "season": SEASON,
        "status": "Running",
        "started_at": site.now(),
    }
    site.insert(JOB, **(job | {"modified": site.now(), "done": 250, "total": 1000} | values))


def job(site: Site) -> dict[str, Any]:
    """The only SRS Job."""
    (row,) = site.sql(f"SELECT * FROM `tab{JOB}`")
    return row


# -- the SRS Monitor
# ----------------------------------------------------------------------------------
def test_a_new_site_is_friendly(browser: Browser) -> None:
    browser.open("page", "srs-monitor")
    browser.sees(".srs-jobs", "No job yet")
    browser.sees(".srs-discrepancies", "No reconciliation yet")
    browser.sees(".srs-latency", "No calls in the last 24 hours")
    browser.sees(".srs-seasons", SEASON, "Seen by Students", "Rebuild Cache", "Reconcile")


def test_a_site_without_a_season_has_a_button(site: Site, browser: Browser) -> None:
    site.sql("DELETE FROM `tabGame Subscription Season`")
    browser.open("page", "srs-monitor")
    browser.sees(".srs-seasons", "No season yet")
    browser.click("New Season", ".srs-seasons")
    assert browser.run("return window.went_to") == "new Game Subscription Season"


def test_a_site_without_a_season_can_be_tried_with_demo_data(site: Site, browser: Browser) -> None:
    browser.open("page", "srs-monitor")
    browser.sees_no(".srs-seasons button", "Demo Data")
    site.sql("DELETE FROM `tabGame Subscription Season`")
    browser.click("Try It with Demo Data", ".srs-seasons")
    browser.sees(".modal", "12 students")


def test_a_site_whose_seasons_are_archived_has_a_button(site: Site, browser: Browser) -> None:
    site.sql("UPDATE `tabGame Subscription Season` SET is_active = 0, archive_status = 'Archived'")
    browser.open("page", "srs-monitor")
    browser.sees(".srs-seasons", "All seasons are archived", "New Season")
    browser.sees("[role=status]", "No season is active: students see no questions.")


def test_an_unsafe_journal_is_told_with_the_steps_that_mend_it(
    site: Site, browser: Browser
) -> None:
    browser.open("page", "srs-monitor")
    browser.sees(".srs-tile", "Journal", "Durable")
    browser.sees_no("[role=status]")
    site.journal.config_set("appendfsync", "everysec")
    try:
        browser.sees(".srs-tile", "Journal", "Not Durable")
        browser.when_seen("[role=status] summary", ["step by step"], lambda line: line.click())
        browser.sees(
            "[role=status] ol",
            "bench --site school.example memora make-durable",
            "redis-cli -p 11000 CONFIG SET appendonly yes",
            "redis-cli -p 11000 CONFIG SET appendfsync always",
            "config/redis_queue.conf",
            "bench setup redis",
        )
    finally:
        site.journal.config_set("appendfsync", "always")
    browser.sees_no("[role=status]")


def test_health_and_numbers(site: Site, app: App, browser: Browser) -> None:
    site.add(PLAYER, [Record("q"), Record("r"), Record("s")])
    app(user=PLAYER)
    assert reviews.get_review_session()["total_due"] == 3
    reviews.submit_review_session(session_data=session("q"))
    site.insert("Poison Review", name="p1", player=PLAYER, season=SEASON, question_id="q")
    browser.open("page", "srs-monitor")
    browser.sees(".srs-tile", "Cache", "Connected", "of 1 GB used")
    browser.sees(".srs-tile", "Journal", "Durable", "appendfsync always")
    browser.sees(".srs-tile", "Safe Mode", "Off")
    browser.sees(".srs-tile", "Waiting to Be Saved", "1", "The oldest for")
    browser.sees(".srs-tile", "Cached Schedules", "1")
    browser.sees(".srs-tile", "Poison Reviews", "1", "View and replay")
    assert "/app/poison-review?" in str(browser.attribute(".srs-tile a", "href"))
    browser.sees(".srs-seasons tr", SEASON, "Seen by Students", "1", "MB")
    browser.sees(".srs-latency tr", "Cold read", "1", " ms")
    browser.sees(".srs-latency tr", "Submission", "1", " ms")
    browser.sees(".srs-latency .srs-summary", "Cold read, last 24 hours")
    browser.sees(".srs-latency .srs-chart", "Median: 0 0", "99th Percentile: 0 0")
    browser.choose(".srs-latency", "Submission")
    browser.sees(".srs-latency .srs-summary", "Submission, last 24 hours")


def test_how_long_submissions_wait_is_shown(site: Site, app: App, browser: Browser) -> None:
    site.add(PLAYER, [Record("q")])
    app(user=PLAYER)
    reviews.submit_review_session(session_data=session("q"))
    site.engine().drain()
    browser.open("page", "srs-monitor")
    browser.sees(".srs-tile", "Waiting to Be Saved", "0", "100% of the last hour's were saved")
    browser.sees(".srs-latency tr", "Until saved", "1", " ms")


def test_a_click_rebuilds_the_cache(site: Site, browser: Browser) -> None:
    site.add(PLAYER, [Record("q"), Record("r")])
    browser.open("page", "srs-monitor")
    browser.click("Rebuild Cache", ".srs-seasons")
    browser.sees(".modal", SEASON, "Students can read")
    assert frappe.recorded.jobs == []
    browser.click("Yes", ".modal")
    browser.sees(".desk-alert", "queued")
    browser.sees(".srs-jobs tr", "Rebuild", SEASON, "Queued", "Waiting for a background worker")
    frappe.recorded.run_jobs()
    browser.sees(".srs-jobs tr", "Rebuild", "Done", "2 records of 1 student")
    browser.sees(".srs-tile", "Cached Schedules", "1")
    assert site.engine().cache_stats(PLAYER, SEASON)["complete"]


def test_a_reconciliation_shows_what_differed(site: Site, browser: Browser) -> None:
    site.add(PLAYER, [Record("q"), Record("r"), Record("s"), Record("t")])
    site.engine().due(PLAYER)
    site.cache.zadd(site.key("srs", PLAYER), {"ghost": 1e9})
    browser.open("page", "srs-monitor")
    browser.click("Reconcile", ".srs-seasons")
    browser.sees(".modal", f"Reconcile {SEASON}", "the database wins")
    browser.choose(".modal", "Everything that is cached")
    browser.click("Reconcile", ".modal")
    browser.sees(".srs-jobs tr", "Reconciliation", "Queued")
    assert job(site)["sample_size"] == 0
    frappe.recorded.run_jobs()
    browser.sees(".srs-jobs tr", "Reconciliation", "Done", "1 ghost")
    browser.sees(".srs-discrepancies .srs-summary", "20%", "of 5 records, all that were cached")
    browser.sees_no(".srs-discrepancies .srs-chart")
    srs_reconciliation.reconcile_cache_with_database()
    browser.sees(".srs-discrepancies .srs-summary", "0%", "of 4 records, all that were cached")
    browser.sees(".srs-legend", "All that was cached", "Alarm")
    browser.sees_no(".srs-legend", "Sample")
    assert marks(browser) == (0, 2)


# Where matching texts are drawn: for each, the places of its first and last letter, and whether
# they are in one line.
DRAWN: Final = """
    const [root, pattern] = arguments;
    const places = [];
    const walker = document.createTreeWalker(document.querySelector(root), NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const node = walker.currentNode;
        for (const found of node.data.matchAll(new RegExp(pattern, "g"))) {
            const letter = (index) => {
                const range = document.createRange();
                range.setStart(node, index);
                range.setEnd(node, index + 1);
                return range.getBoundingClientRect();
            };
            const [first, last] = [letter(found.index), letter(found.index + found[0].length - 1)];
            if (first.width) places.push([first.left, last.left, first.top === last.top]);
        }
    }
    return places;
"""


def test_in_arabic_the_page_is_from_right_to_left_and_its_figures_are_not(
    site: Site, browser: Browser, desk: Desk
) -> None:
    add_job(
        site, kind="Reconciliation", status="Done", records=1000, message="0.5% differ.",
        finished_at=site.now(), percent_differing=0.5, percent_low=0.25, percent_high=0.75,
    )  # fmt: skip
    site.journal.config_set("appendfsync", "everysec")
    desk.language = "ar"
    browser.open("page", "srs-monitor")
    browser.sees(".srs-tile", "دفتر الإجابات", "غير دائم الحفظ")
    browser.sees(".srs-message.orange", "appendfsync", "كيف تصلح ذلك خطوة بخطوة")
    browser.sees(".srs-discrepancies .srs-summary", "من عيّنة")
    for within, pattern, least in (
        (".srs-monitor", r"\d[\d.,]*%", 4),
        (".srs-discrepancies", "1,000", 1),
        (".srs-monitor", r"appendfsync \w+, noeviction", 1),
        (".srs-seasons", SEASON, 1),
    ):
        places = browser.run(DRAWN, within, pattern)
        assert len(places) >= least, (pattern, places)
        for first, last, is_one_line in places:
            assert first < last or not is_one_line, (pattern, first, last)
    heads = browser.chromium.find_elements(By.CSS_SELECTOR, ".srs-seasons th")
    assert heads[0].location["x"] > heads[1].location["x"]
    site.journal.config_set("appendfsync", "always")


def marks(browser: Browser) -> tuple[int, int]:
    """How many samples and whole runs the chart shows."""
    samples = browser.chromium.find_elements(By.CSS_SELECTOR, ".srs-chart > svg .srs-sample circle")
    whole = browser.chromium.find_elements(By.CSS_SELECTOR, ".srs-chart > svg .srs-whole rect")
    return len(samples), len(whole)


def test_lines_of_the_chart_differ_by_more_than_colour(site: Site, browser: Browser) -> None:
    for number, is_sample in enumerate([True, False, True, False, True]):
        add_job(
            site, name=f"j{number}", kind="Reconciliation", status="Done", records=100,
            finished_at=site.now() + timedelta(hours=number), percent_differing=number / 10,
            percent_low=0.0, percent_high=0.5 if is_sample else 0.0,
        )  # fmt: skip
    browser.open("page", "srs-monitor")
    browser.sees(".srs-legend", "Sample, with its 95% confidence", "All that was cached", "Alarm")
    # Samples and whole runs are not on one line.
    assert marks(browser) == (3, 2)
    lines = browser.chromium.find_elements(By.CSS_SELECTOR, ".srs-chart > svg polyline")
    assert [len(str(line.get_attribute("points")).split()) for line in lines] == [3, 2]

    def looks(theme: str) -> set[tuple[str, str]]:
        browser.run("document.documentElement.dataset.theme = arguments[0]", theme)
        lines = (".srs-sample polyline", ".srs-whole polyline", "line.srs-alarm")
        found = [
            browser.chromium.find_element(By.CSS_SELECTOR, f".srs-chart > svg {line}")
            for line in lines
        ]
        return {
            (line.value_of_css_property("stroke"), line.value_of_css_property("stroke-dasharray"))
            for line in found
        }

    light, dark = looks("light"), looks("dark")
    assert len({dash for _colour, dash in light}) == len({colour for colour, _dash in light}) == 3
    # The alarm's red is Frappe's, which has its own for each theme.
    assert len(light & dark) <= 1
    whole = browser.chromium.find_elements(By.CSS_SELECTOR, ".srs-whole title")
    assert "0.1% of 100 records, all that were cached" in str(whole[0].get_attribute("textContent"))


def test_all_seasons_are_reconciled(site: Site, browser: Browser) -> None:
    browser.open("page", "srs-monitor")
    browser.click("Reconcile All Seasons", ".page-head")
    browser.click("Reconcile", ".modal")
    browser.sees(".srs-jobs tr", "Reconciliation", SEASON, "Queued")
    assert job(site)["sample_size"] == 10_000


def test_a_sample_is_told_with_its_confidence(site: Site, browser: Browser) -> None:
    found = {
        "records": 10_000,
        "percent_differing": 0.25,
        "percent_low": 0.16,
        "percent_high": 0.37,
    }
    for name in ("j1", "j2"):
        add_job(
            site, name=name, kind="Reconciliation", status="Done", finished_at=site.now(), **found
        )
    browser.open("page", "srs-monitor")
    browser.sees(
        ".srs-summary", "0.25%", "sample of 10,000 records", "between 0.16% and 0.37%", "95%"
    )
    titles = browser.chromium.find_elements(By.CSS_SELECTOR, ".srs-chart title")
    assert "between 0.16% and 0.37%" in str(titles[0].get_attribute("textContent"))


def test_a_job_that_runs_is_followed_and_cancelled(site: Site, browser: Browser) -> None:
    add_job(site)
    browser.open("page", "srs-monitor")
    browser.sees(".srs-jobs tr", "Running", "250 of about 1,000 records")
    # In Frappe's style; here the bar has no height.
    bar = browser.chromium.find_element(By.CSS_SELECTOR, ".srs-jobs .progress-bar")
    assert bar.get_attribute("aria-valuenow") == "25"
    assert browser.attribute(".srs-seasons button", "disabled", "Rebuild Cache") == "true"
    site.sql(f"UPDATE `tab{JOB}` SET done = 500")
    browser.sees(".srs-jobs tr", "500 of about 1,000 records")
    browser.click("Cancel", ".srs-jobs")
    browser.sees(".desk-alert", "next safe place")
    assert job(site)["cancel_requested"] == 1
    site.sql(f"UPDATE `tab{JOB}` SET status = 'Cancelled', message = 'It was cancelled.'")
    browser.sees(".srs-jobs tr", "Cancelled", "It was cancelled.")
    browser.sees_no(".srs-jobs button")


def test_an_archive_has_no_cancel_button(site: Site, browser: Browser) -> None:
    add_job(site, kind="Archive")
    browser.open("page", "srs-monitor")
    browser.sees(".srs-jobs tr", "Archive", "Running")
    browser.sees_no(".srs-jobs button")


def test_news_are_shown_at_once(site: Site, browser: Browser) -> None:
    add_job(site)
    browser.open("page", "srs-monitor")
    browser.sees(".srs-jobs tr", "250 of about 1,000 records")
    # The page does not poll: the news came by itself.
    browser.run("memora.SRSMonitor.PAUSE_MS = memora.SRSMonitor.SHORT_PAUSE_MS = 1e9")
    is_polling = "return frappe.pages['srs-monitor'].monitor.is_polling"
    assert wait_until(lambda: not browser.run(is_polling))
    news = srs_jobs.get_job("j1", with_findings=False)
    browser.run(
        "frappe.realtime.deliver('memora_job', arguments[0])", news | {"done": 750, "percent": 75}
    )
    browser.sees(".srs-jobs tr", "750 of about 1,000 records")
    browser.run(
        "frappe.realtime.deliver('memora_job', arguments[0])",
        news | {"name": "j2", "kind": "Archive"},
    )
    browser.sees(".srs-jobs tr", "Archive")
    # At the end everything else is loaded again.
    site.sql(f"UPDATE `tab{JOB}` SET status = 'Done', message = 'All are cached.'")
    browser.run("frappe.realtime.deliver('memora_job', arguments[0])", news | {"status": "Done"})
    browser.sees(".srs-jobs tr", "Done", "All are cached.")
    browser.sees_no(".srs-jobs tr", "Archive")


@pytest.mark.parametrize(
    "doctype", ["player_memory_tracker", "archived_memory_tracker", "poison_review"]
)
def test_lists_and_reports_show_what_students_made_up_as_text(
    browser: Browser, doctype: str
) -> None:
    definition = json.loads((SCRIPTS / f"doctype/{doctype}/{doctype}.json").read_text())
    fields = {field["fieldname"]: field for field in definition["fields"]}
    browser.chromium.get(browser.desk.url)
    browser.run("frappe.meta.docfield_map[arguments[0]] = arguments[1]", definition["name"], fields)
    browser.run(script(SCRIPTS / f"doctype/{doctype}/{doctype}_list.js"))
    # Frappe takes these as they are, and its own formatter for them escapes nothing.
    made_up = [name for name, field in fields.items() if field.get("ignore_xss_filter")]
    for name in {"question_id", *made_up} - {"payload"}:
        shown = "frappe.meta.docfield_map[arguments[0]][arguments[1]].formatter(arguments[2])"
        browser.run(f"document.body.innerHTML = {shown}", definition["name"], name, EVIL)
        assert browser.text() == EVIL


def test_the_list_of_seasons_says_which_one_students_see(site: Site, browser: Browser) -> None:
    site.insert(
        "Game Subscription Season", name="SEASON-2027", season_name="SEASON-2027",
        start_date="2027-01-01", end_date="2027-12-31", is_active=1, enable_redis=1,
    )  # fmt: skip
    browser.chromium.get(browser.desk.url)
    folder = SCRIPTS / "doctype/game_subscription_season"
    browser.run(script(folder / "game_subscription_season_list.js"))
    settings = "frappe.listview_settings['Game Subscription Season']"
    browser.run(
        f"{settings}.refresh({{ render_list: () => (document.body.innerHTML = 'rendered again') }})"
    )
    assert wait_until(lambda: browser.text() == "rendered again")

    def indicator(**season: object) -> list[str]:
        return list(browser.run(f"return {settings}.get_indicator(arguments[0])", season))

    seen, unseen = {"name": SEASON, "is_active": 1}, {"name": "SEASON-2027", "is_active": 1}
    assert indicator(**seen)[:2] == ["Seen by Students", "green"]
    assert indicator(**unseen)[:2] == ["Active, but Not Seen", "orange"]
    assert indicator(name=SEASON, is_active=0)[:2] == ["Not Active", "yellow"]
    assert indicator(name=SEASON, is_active=0, archive_status="Archiving")[:2] == [
        "Archiving",
        "blue",
    ]
    assert indicator(name=SEASON, is_active=0, archive_status="Archived")[:2] == [
        "Archived",
        "gray",
    ]
    # The form knows the server's values from when it was opened.
    assert indicator(**unseen, __onload={"active_seasons": ["SEASON-2027"]})[1] == "green"


def test_nothing_from_the_server_is_html(site: Site, browser: Browser) -> None:
    site.insert(
        "Game Subscription Season", name=EVIL, season_name=EVIL, is_active=0, enable_redis=1
    )
    add_job(site, season=EVIL, status="Failed", message=f"<b>bold</b> {EVIL}")
    add_job(
        site,
        name="j2",
        kind="Reconciliation",
        season=EVIL,
        status="Done",
        finished_at=site.now(),
        records=1,
    )
    browser.open("page", "srs-monitor")
    browser.sees(".srs-jobs tr", "Failed", f"<b>bold</b> {EVIL}")
    browser.sees(".srs-seasons tr", EVIL)
    browser.sees(".srs-discrepancies .srs-summary", "0%")
    browser.click_in(".srs-seasons tr", EVIL, "Rebuild Cache")
    browser.sees(".modal", EVIL)
    browser.click("Yes", ".modal")
    browser.sees(".srs-jobs tr", EVIL, "Queued")
    browser.click_in(".srs-seasons tr", EVIL, "Reconcile")
    browser.sees(".modal-title", EVIL)
    assert browser.chromium.find_elements(By.TAG_NAME, "img") == []


def test_failures_are_shown_until_they_are_over(site: Site, browser: Browser) -> None:
    browser.open("page", "srs-monitor")
    browser.sees(".srs-tile", "Connected")
    site.servers.cache.kill()
    browser.sees(".srs-tile", "Cache", "Out of Reach")
    browser.sees(".srs-tile", "Safe Mode", "On")
    site.servers.cache.start()
    browser.sees(".srs-tile", "Cache", "Connected")
    site.servers.journal.kill()
    browser.sees(".srs-tile", "Journal", "Out of Reach", "New answers are kept in MariaDB")
    browser.sees(".srs-tile", "Waiting to Be Saved", "\N{EN DASH}")
    site.engine().submit(PLAYER, session("q"))
    browser.sees(".srs-tile", "Waiting to Be Saved", "1", "The oldest for")
    browser.click("Rebuild Cache", ".srs-seasons")
    browser.click("Yes", ".modal")
    browser.sees(".msgprint", "Background jobs cannot be queued")
    site.servers.journal.start()
    browser.sees(".srs-tile", "Journal", "Durable")
    site.servers.database.kill()
    browser.sees("[role=alert]", "Trying again.")
    browser.sees(".page-head", "Not up to date")
    # The last values stay.
    browser.sees(".srs-seasons tr", SEASON)
    site.servers.database.start()
    browser.sees_no("[role=alert]")
    browser.sees_no(".page-head", "Not up to date")


def test_a_dead_web_server_is_told(browser: Browser, desk: Desk) -> None:
    browser.open("page", "srs-monitor")
    browser.sees(".srs-tile", "Connected")
    desk.shutdown()
    desk.server_close()
    browser.sees("[role=alert]", "The server does not answer. Trying again.")


def test_a_student_is_refused(browser: Browser, desk: Desk) -> None:
    desk.user = PLAYER
    browser.open("page", "srs-monitor")
    browser.sees("[role=alert]", "You are not logged in, or lack the role for this.")
    browser.sees_no(".srs-content")


def test_demo_data_is_removed_from_the_menu(browser: Browser) -> None:
    browser.open("page", "srs-monitor")
    browser.click("Remove Demo Data")
    browser.click("Yes", ".modal")
    browser.sees(".srs-jobs tr", "Demo Data Removal", "Queued")


def test_a_teacher_looks_and_changes_nothing(site: Site, browser: Browser, desk: Desk) -> None:
    desk.user = "teacher@school.example"
    frappe.recorded.roles[desk.user] = ["Memora Teacher"]
    add_job(site, name="job", kind="Rebuild", season=SEASON, status="Queued")
    browser.open("page", "srs-monitor")
    browser.sees(".srs-seasons tr", SEASON)
    browser.sees(".srs-jobs tr", "Rebuild")
    for label in ("Rebuild Cache", "Reconcile", "Cancel", "Open the list", "Demo Data"):
        assert label not in browser.text()


# -- forms and lists
# ------------------------------------------------------------------------------------
def test_a_season_is_rebuilt_in_its_form(site: Site, browser: Browser) -> None:
    site.add(PLAYER, [Record("q")])
    browser.open("form", "Game Subscription Season", SEASON)
    browser.click("Rebuild Cache")
    browser.click("Yes", ".modal")
    browser.sees(".progress-area", "Waiting for a background worker")
    browser.sees(".form button", "Cancel Rebuild")
    frappe.recorded.run_jobs()
    browser.sees(".desk-alert", "Rebuild", "1 record of 1 student")
    browser.sees_no(".progress-area", "records")
    browser.sees_no(".form button", "Cancel")
    assert browser.run("return Object.keys(cur_frm.memora_followed)") == []


def test_a_season_is_reconciled_in_its_form(site: Site, browser: Browser) -> None:
    browser.open("form", "Game Subscription Season", SEASON)
    browser.click("Reconcile")
    browser.click("Reconcile", ".modal")
    browser.sees(".progress-area", "Waiting for a background worker")
    browser.click("Cancel Reconciliation")
    browser.sees(".desk-alert", "Reconciliation", "Cancelled")
    assert (job(site)["status"], job(site)["sample_size"]) == ("Cancelled", 10_000)


def test_a_season_that_is_opened_while_a_job_runs_shows_it(site: Site, browser: Browser) -> None:
    add_job(site)
    browser.open("form", "Game Subscription Season", SEASON)
    browser.sees(".progress-area", "250 of about 1,000 records")
    news = srs_jobs.get_job("j1", with_findings=False)
    browser.run("memora.jobs.POLL_AFTER_MS = 1e9")
    browser.run(
        "frappe.realtime.deliver('memora_job', arguments[0])", news | {"done": 750, "percent": 75}
    )
    browser.sees(".progress-area", "750 of about 1,000 records")
    over = {"status": "Failed", "message": EVIL}
    browser.run("frappe.realtime.deliver('memora_job', arguments[0])", news | over)
    browser.sees(".desk-alert", "Rebuild", EVIL)


def test_a_season_without_cache_has_no_buttons_for_it(site: Site, browser: Browser) -> None:
    site.sql("UPDATE `tabGame Subscription Season` SET enable_redis = 0, is_active = 0")
    browser.open("form", "Game Subscription Season", SEASON)
    browser.sees(".form button", "Archive")
    browser.sees_no(".form button", "Re")


def type_name(browser: Browser, name: str) -> None:
    """Type the season's name into the archive's dialog."""

    def type_it(field: WebElement) -> None:
        field.clear()
        field.send_keys(name)

    browser.when_seen(".modal input", [], type_it)


def test_a_season_says_what_it_is(site: Site, browser: Browser) -> None:
    site.engine().create_partition(SEASON)
    site.add(PLAYER, [Record("q"), Record("r")])
    site.engine().rehydrate(PLAYER, SEASON)
    add_job(site, status="Failed", message=EVIL)
    browser.open("form", "Game Subscription Season", SEASON)
    browser.sees(".form-dashboard", "Seen by Students", "Records\n2", "Students\n1", "MB")
    browser.sees(".form-dashboard", "In the Cache\n1 student\nabout", "Not Archived")
    browser.sees(".memora-job", "Rebuild", "Failed", EVIL)
    site.insert(
        "Game Subscription Season", name="SEASON-2026-NEXT", season_name="SEASON-2026-NEXT",
        start_date="2020-01-01", end_date="2020-12-31", is_active=1, enable_redis=0,
    )  # fmt: skip
    browser.open("form", "Game Subscription Season", "SEASON-2026-NEXT")
    browser.sees(".form-dashboard", "Active, but Not Seen", f"Students see {SEASON}", "Not Used")
    site.servers.cache.kill()
    browser.open("form", "Game Subscription Season", SEASON)
    browser.sees(".form-dashboard", "In the Cache\nOut of Reach")


def test_an_archive_is_followed_in_the_form(site: Site, browser: Browser) -> None:
    site.engine().create_partition(SEASON)
    site.add(PLAYER, [Record("q"), Record("r")])
    site.sql("UPDATE `tabGame Subscription Season` SET is_active = 0")
    browser.open("form", "Game Subscription Season", SEASON)
    browser.click("Archive")
    browser.sees(".modal", "2 records will move to the archive", "cannot be moved back")
    # Nothing is done without the season's name.
    browser.click("Archive", ".modal")
    type_name(browser, SEASON.lower())
    browser.click("Archive", ".modal")
    browser.sees(".msgprint", f"Type {SEASON}")
    assert site.sql(f"SELECT * FROM `tab{JOB}`") == []
    type_name(browser, SEASON)
    browser.click("Archive", ".modal")
    browser.sees(".desk-alert", "The archive is queued")
    browser.sees(".progress-area", "Waiting for a background worker")
    browser.sees_no(".form button", "Cancel")
    news = srs_jobs.get_job(job(site)["name"], with_findings=False)
    news |= {"status": "Running", "message": "Copying records", "done": 5, "total": 10}

    def is_shown() -> bool:
        # Answers to earlier requests may still come, and be shown.
        browser.run("frappe.realtime.deliver('memora_job', arguments[0])", news)
        return "Archive: Copying records: 5 of about 10 records" in browser.text()

    browser.run("memora.jobs.POLL_AFTER_MS = 1e9")
    assert wait_until(is_shown), browser.text()
    browser.run("memora.jobs.POLL_AFTER_MS = 100")
    frappe.recorded.run_jobs()
    browser.sees(".desk-alert", "2 records were moved.")
    browser.sees_no(".form button", "Archive")
    browser.sees(".form-dashboard", "Archived", "Records in the Archive", "2")
    assert browser.run("return Object.keys(cur_frm.memora_followed)") == []


def test_a_job_is_followed_in_its_form(site: Site, browser: Browser) -> None:
    add_job(site)
    browser.open("form", JOB, "j1")
    browser.sees(".progress-area", "250 of about 1,000 records")
    browser.click("Cancel Rebuild")
    assert wait_until(lambda: job(site)["cancel_requested"] == 1)
    site.sql(f"UPDATE `tab{JOB}` SET status = 'Cancelled'")
    browser.sees_no(".form button", "Cancel Rebuild")


def test_jobs_have_the_colours_of_their_state(site: Site, browser: Browser) -> None:
    colours = {
        "Done": "green",
        "Failed": "red",
        "Running": "blue",
        "Queued": "yellow",
        "Cancelled": "gray",
    }
    for number, status in enumerate(colours):
        add_job(site, name=f"j{number}", status=status)
    browser.open("list", JOB)
    for status, colour in colours.items():
        browser.sees(f".indicator-pill.{colour}", status)


def test_poison_reviews_are_replayed_and_dismissed_in_their_list(
    site: Site, browser: Browser
) -> None:
    names = [f"p{number}" for number in range(4)]
    for name in names:
        site.insert("Poison Review", name=name, player=PLAYER, season=SEASON, question_id=name)
    browser.open("list", "Poison Review")
    browser.click("Replay", ".page-head")
    browser.sees(".desk-alert", "Select records first")
    browser.click_in(".list-row", "p0", "Replay")
    browser.sees(".desk-alert", "0 saved, 1 still cannot be saved")
    check(browser, "p1", "p2")
    browser.click("Dismiss", ".page-head")
    browser.when_seen(".modal textarea", [], lambda field: field.send_keys("a test of ours"))
    browser.click("Dismiss", ".modal")
    browser.sees(".indicator-pill.gray", "Dismissed")
    check(browser, "p3")
    browser.click("Replay", ".page-head")
    browser.sees(".desk-alert", "0 saved, 1 still cannot be saved")
    found = site.sql("SELECT * FROM `tabPoison Review` ORDER BY name")
    assert [bool(row["dismissed_at"]) for row in found] == [False, True, True, False]
    assert {row["dismissal_reason"] for row in found} == {None, "a test of ours"}
    browser.sees_no(".list-row:has(.gray) .btn-action")


def check(browser: Browser, *names: str) -> None:
    """Check rows of a list."""
    for name in names:
        browser.when_seen(
            ".list-row",
            [name],
            lambda row: row.find_element(By.CSS_SELECTOR, ".list-row-checkbox").click(),
        )


@pytest.mark.parametrize(
    ("doctype", "field"),
    [("Poison Review", "replayed_at"), ("Archived Memory Tracker", None)],
)
def test_an_empty_list_says_that_all_is_well(
    browser: Browser, doctype: str, field: str | None
) -> None:
    browser.open("list", doctype)
    browser.sees(".no-result", "All is well")

    def filtered_by(field: str) -> None:
        browser.run(
            "window.list_filters = [[arguments[0], arguments[1], '=', 'x']]", doctype, field
        )
        browser.run("cur_list.refresh()")

    filtered_by("player")
    browser.sees(".no-result", f"No {doctype} found")
    if field:
        filtered_by(field)
        browser.sees(".no-result", "All is well")


def test_a_student_has_no_buttons(browser: Browser, desk: Desk) -> None:
    desk.user = PLAYER
    browser.open("form", "Game Subscription Season", SEASON)
    browser.sees_no(".form button")


def test_what_is_archived_is_left_out(site: Site, browser: Browser) -> None:
    site.insert("Game Subscription Season", name="OLD", archive_status="Archived", enable_redis=1)
    site.insert(
        "Game Subscription Season", name="LEAVING", archive_status="Archiving", enable_redis=1
    )
    browser.open("page", "srs-monitor")
    browser.sees(".srs-seasons tr", "LEAVING", "Archiving")
    browser.sees_no(".srs-seasons", "OLD")
    browser.sees_no(".srs-seasons tr[data-key=LEAVING] button")
