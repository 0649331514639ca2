"""docs/install.md, "Is everything right?": each step is done, and shows what the page says."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests import frappe_standin as frappe
from tests.app.test_commands import run
from tests.support.site_under_test import PLAYER, Site
from tests.support.web_server import served

App = Callable[..., None]

PAGE: Final = Path(__file__).parents[2] / "docs/install.md"
KEY: Final = "KEY:SECRET"
BENCH: Final = "bench --site SITE memora "


def steps() -> list[tuple[str, list[str]]]:
    """The page's steps, each with the texts that it must show."""
    section = PAGE.read_text().split("## Is everything right?")[1].split("\n## ")[0]
    found = re.findall(r"^\| `(.*?)` \| (.*) \|$", section, re.MULTILINE)
    return [(do, re.findall(r"`(.*?)`", see)) for do, see in found]


@pytest.fixture
def school(app: App) -> Iterator[str]:
    """The URL of the site."""
    with served(frappe.application(frappe.local.conf, {}, api_keys={KEY: PLAYER})) as url:
        yield url


def call(school: str, command: str) -> str:
    """What a line of the page with the alias `call` prints."""
    script = (
        "shopt -s expand_aliases\n"
        f"""alias call='curl -s -H "Authorization: token {KEY}"'\n"""
        f"API={school}/api/method/memora.api\n{command}"
    )
    return subprocess.run(
        ["bash", "-euc", script], capture_output=True, text=True, check=True
    ).stdout


def test_each_step_shows_what_it_says(site: Site, school: str, app: App) -> None:
    job_id = ""
    for do, see in steps():
        if do.startswith(BENCH):
            app(user="Administrator")
            shown = run(*do.removeprefix(BENCH).split()).output
        else:
            shown = call(school, do.replace("...", job_id))
            found = re.search(r'"persistence_job_id": "(\w+)"', shown)
            job_id = found[1] if found else job_id
        if see == ["pending", "persisted"]:
            assert '"pending"' in shown
            frappe.recorded.run_jobs()
            shown, see = call(school, do.replace("...", job_id)), ["persisted"]
        assert all(text in shown for text in see), (do, see, shown)
    assert job_id
    assert len(steps()) == 6
