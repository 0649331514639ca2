"""What it costs a call that Frappe answers to come through memora's door (docs/door.md).

    cd sites && PYTHONPATH=CLONE ../env/bin/python -m benches.http_falls_through --site SITE \\
        --user EMAIL --password PASSWORD

`make bench-http` has it over HTTP, where a difference of a hundredth is lost: it depends on which
worker has the connection. Here both applications answer in one process, call by call in turn.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from frappe.app import application as frappe_application
from werkzeug.test import Client, EnvironBuilder, run_wsgi_app

from benches.report import Report, Turn, number, race, table
from memora.wsgi import application as door

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

READ: Final = "/api/method/memora.api.reviews.get_review_session"
ALONE: Final = "Frappe alone"
DOOR: Final = "through the door"
MOST: Final = 1.02
# By name: the path, and whether the call has the student's cookies.
CALLS: Final = {
    "another method: frappe.ping": ("/api/method/frappe.ping", True),
    "an argument that the method does not have": (f"{READ}?frappe=1", True),
    "no session": (READ, False),
}


def log_in(site: str, user: str, password: str) -> str:
    """The cookies of a new session."""
    client = Client(frappe_application)
    form = {"usr": user, "pwd": password}
    answer = client.post("/api/method/login", data=form, headers={"X-Frappe-Site-Name": site})
    if answer.status_code != 200:
        raise SystemExit(f"{site} refuses {user}: HTTP {answer.status_code}.")
    cookies = [value.split(";")[0] for value in answer.headers.getlist("Set-Cookie")]
    answer.close()
    return "; ".join(cookies)


def ask(application: WSGIApplication, environ: WSGIEnvironment) -> tuple[str, object]:
    """The status of a call, and its message."""
    body, status, _headers = run_wsgi_app(application, environ, buffered=True)
    return status, json.loads(b"".join(body)).get("message")


def measure(report: Report, site: str, cookies: str, calls: int) -> None:
    """Each call, by Frappe alone and through the door in turn."""
    lines = []
    for name, (path, has_session) in CALLS.items():
        headers = [("X-Frappe-Site-Name", site), *([("Cookie", cookies)] if has_session else [])]
        environ = EnvironBuilder(path, headers=headers).get_environ
        alone, through = (partial(ask, application) for application in (frappe_application, door))
        if alone(environ()) != through(environ()):
            raise RuntimeError(f"{name}: Frappe and the door answer differently")
        found = race({ALONE: Turn(alone, environ), DOOR: Turn(through, environ)}, calls, name)
        lost = median(one - other for one, other in zip(found[DOOR], found[ALONE], strict=True))
        p50s = {way: median(times) for way, times in found.items()}
        share = 1 + lost / p50s[ALONE]
        cells = (*map(number, p50s.values()), f"{lost * 1e3:.0f}", f"{share:.3f}")
        lines.append([name, *cells])
        report.numbers[name] = p50s | {"more": lost}
        report.claim(f"{name}: times as long as by {ALONE}", share, at_most=MOST)
    headings = ["call", *(f"{way}, p50 ms" for way in (ALONE, DOOR)), "more, µs", "times as long"]
    report.add(table(headings, lines))


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--site", required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--calls", type=int, default=1000, help="of each kind and application")
    parser.add_argument("--out", type=Path, help="also write the report here (.md and .json)")
    options = parser.parse_args()
    report = Report(f"memora: calls through the door that Frappe answers: {options.site}")
    cookies = log_in(options.site, options.user, options.password)
    measure(report, options.site, cookies, options.calls)
    report.write(options.out)


if __name__ == "__main__":
    main()
