"""The page of examples/lesson_app, used as a student uses it, on any site that has the app.

    python -m tests.app.lesson_page --url http://school.localhost:8000 \\
        --student stud@school.example:PASSWORD

For a site for tests only, with an active season, and a student without records.
"""

from __future__ import annotations

import argparse
from typing import Final

from tests.support.browser import Page, started_chromium

PAGE: Final = "#reviews"


class LessonPage(Page):
    """The page My Reviews."""

    def log_in(self, url: str, email: str, password: str) -> None:
        """Log in, and open the page.

        Args:
            url: of the site's web server.
            email: the user's name.
            password: the user's password.
        """
        self.chromium.get(f"{url}/api/method/ping")
        status = self.run(
            "return fetch('/api/method/login', {method: 'POST', "
            "body: new URLSearchParams({usr: arguments[0], pwd: arguments[1]})})"
            ".then(reply => reply.status)",
            email,
            password,
        )
        assert status == 200, f"{email} cannot log in: {status}"
        self.chromium.get(f"{url}/reviews")

    def shows(self, *texts: str) -> None:
        self.sees(PAGE, *texts)

    def answer(self, text: str, *labels: str) -> None:
        """Click these answers, one after another, at the question with this text."""
        for label in labels:
            self.shows(text)
            self.click(label, PAGE)

    def end_lesson(self) -> None:
        """End the lesson: the first question takes two attempts, so it is due at once."""
        self.click("Lesson", PAGE)
        self.answer("1/2 + 1/4", "2/6", "3/4")
        self.answer("1/2 of 1/2", "1/4")
        self.answer("2/4", "1/2")

    def review(self) -> None:
        """Review the one question that is due, with a wrong answer first."""
        self.shows("Questions that are due: 1")
        self.click("Review", PAGE)
        self.answer("1/2 + 1/4", "1/8", "3/4")

    def take_tour(self) -> None:
        """End a lesson, and review what is due then."""
        self.shows("Questions that are due: 0")
        self.end_lesson()
        self.shows("Saved.", "1 today")
        self.click("OK", PAGE)
        self.review()
        self.shows("Saved.", "1 tomorrow")
        self.click("OK", PAGE)
        self.shows("Questions that are due: 0")


def main() -> None:
    """Take the tour on a site."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True, help="the site's web server")
    parser.add_argument("--student", required=True, help="EMAIL:PASSWORD of a user without records")
    arguments = parser.parse_args()
    with started_chromium() as chromium:
        page = LessonPage(chromium)
        page.log_in(arguments.url, *arguments.student.split(":", 1))
        page.take_tour()
    print("The lesson and the review were saved.")


if __name__ == "__main__":
    main()
