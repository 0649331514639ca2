"""A real Chromium, and what a person sees and does in it."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from selenium.common.exceptions import (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    NoSuchElementException,
    StaleElementReferenceException,
)
from selenium.webdriver import ChromeOptions, Remote
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select

from tests.support.servers import Server, find_program, wait_until

FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    # It ends with chromedriver, however that ends.
    "--remote-debugging-pipe",
    "--window-size=1400,1000",
)

T = TypeVar("T")


class Chromedriver(Server):
    name = "chromedriver"

    def command(self) -> list[str]:
        return [find_program("chromedriver"), f"--port={self.port}"]

    def check(self) -> None:
        urllib.request.urlopen(f"http://{self.host}:{self.port}/status", timeout=5).close()


@contextmanager
def started_chromium() -> Iterator[Remote]:
    """A Chromium with an empty profile."""
    options = ChromeOptions()
    options.binary_location = find_program("chromium", "chromium-browser", "google-chrome")
    with Chromedriver() as driver:
        for flag in (*FLAGS, f"--user-data-dir={driver.folder / 'profile'}"):
            options.add_argument(flag)
        browser = Remote(f"http://{driver.host}:{driver.port}", options=options)
        try:
            yield browser
        finally:
            browser.quit()


class Page:
    """What a person sees and does on a page."""

    def __init__(self, chromium: Remote) -> None:
        self.chromium: Final = chromium

    def run(self, code: str, *arguments: object) -> Any:
        return self.chromium.execute_script(code, *arguments)

    def when_seen(self, selector: str, texts: Sequence[str], do: Callable[[WebElement], T]) -> T:
        """Do something with the first shown element that has all these texts, now or soon."""
        done: list[T] = []

        def try_it() -> bool:
            try:
                for element in self.chromium.find_elements(By.CSS_SELECTOR, selector):
                    if element.is_displayed() and all(text in element.text for text in texts):
                        done.append(do(element))
                        return True
            except (
                # Another element is in front of it, or it is still being shown.
                ElementClickInterceptedException,
                ElementNotInteractableException,
                # It was written again just now.
                NoSuchElementException,
                StaleElementReferenceException,
            ):
                pass
            return False

        assert wait_until(try_it), f"no {selector} shows {texts}; the page:\n{self.text()}"
        return done[0]

    def sees(self, selector: str, *texts: str) -> None:
        self.when_seen(selector, texts, lambda _element: None)

    def sees_no(self, selector: str, text: str = "") -> None:
        def is_gone() -> bool:
            try:
                found = self.chromium.find_elements(By.CSS_SELECTOR, selector)
                return not any(each.is_displayed() and text in each.text for each in found)
            except StaleElementReferenceException:
                return False

        assert wait_until(is_gone), f"{selector} still shows {text!r}; the page:\n{self.text()}"

    def click(self, label: str, within: str = "body") -> None:
        self.when_seen(f"{within} button", [label], lambda button: button.click())

    def click_in(self, row: str, text: str, label: str) -> None:
        """Click a button of the row that has this text."""

        def click(element: WebElement) -> None:
            element.find_element(By.XPATH, f".//button[. = '{label}']").click()

        self.when_seen(row, [text], click)

    def choose(self, within: str, option: str) -> None:
        self.when_seen(
            f"{within} select",
            [option],
            lambda select: Select(select).select_by_visible_text(option),
        )

    def attribute(self, selector: str, name: str, *texts: str) -> str | None:
        return self.when_seen(selector, texts, lambda element: element.get_attribute(name))

    def text(self) -> str:
        return self.chromium.find_element(By.TAG_NAME, "body").text
