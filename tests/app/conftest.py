"""The browser of the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from selenium.webdriver import Remote

from tests.support.browser import started_chromium


@pytest.fixture(scope="module")
def chromium() -> Iterator[Remote]:
    """A real Chromium, for all tests of a module."""
    with started_chromium() as browser:
        yield browser
