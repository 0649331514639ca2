"""How long students wait over HTTP, with a method that does nothing beside: `make bench-http`.

Without `--bench`, gunicorn serves memora's app on private servers and on the stand-in for Frappe
(`tests/frappe_standin.py`), which does less for each request than Frappe. With `--bench` the same
calls go to a real bench, whose own share is what the method that does nothing takes:

    make bench-http ARGS="--bench URL --user EMAIL --password PASSWORD --read-only"

With `--door URL` of the same site behind memora's door (docs/door.md), each call has columns for
that. `--user` can be many students, with `{}` where their number is, from 0: as many as
`--students`. `benches/http_students.py` makes such students.

Without `--read-only` it answers made-up questions in the active season of those students: only for
a site for tests.

The client is `wrk` for a bench, and threads of this process for the stand-in.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

from benches import dataset, load
from benches.http_turns import Turns, numbers_of
from benches.load import Measured
from benches.report import Report, add_run_options, percentile, progress, repeat, table
from benches.workplace import Workplace, open_workplace, show_persistence
from tests import frappe_standin
from tests.support.servers import ServerError, dies_with_parent, free_port

from memora._engine import Engine  # isort: skip
from memora import hooks  # isort: skip

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

SEED: Final = 2026
SITE: Final = "MEMORA_BENCH_SITE"
# As in Frappe's containers.
GUNICORN: Final = ("--workers", "2", "--worker-class", "gthread", "--threads", "4")
START_SECONDS: Final = 120.0
CALL_SECONDS: Final = 60.0
QUESTIONS: Final = 1000
NOTHING: Final = "frappe.ping"
DUE: Final = "get_review_session"
SUBMIT: Final = "submit_review_session"
# An argument that the method does not have is Frappe's (docs/door.md).
FALLS_THROUGH: Final = f"{DUE}, which the door gives to Frappe"
AIM_MS: Final = 100
READS: Final = (NOTHING, DUE, FALLS_THROUGH)
# What the door is for (docs/door.md).
DOOR_SHARE_OF_NOTHING: Final = 0.2
DOOR_READS: Final = 5
DOOR_SUBMISSIONS: Final = 2
BODIES: Final = 200

JSON: Final = "application/json"

Headers = Mapping[str, str]


def site_application() -> WSGIApplication:
    """What gunicorn serves: the site that the environment names, its students logged in."""
    site = json.loads(os.environ[SITE])
    frappe_standin.recorded.hooks["after_request"] = [hooks.after_request]
    sessions = {player: player for player in map(dataset.player, range(site["students"]))}
    return frappe_standin.application(site["config"], {}, sessions)


def session_of(player: str) -> Headers:
    """The headers of a student whom `site_application` knows: the sid is their name."""
    return {"Cookie": f"sid={player}"}


@dataclass(frozen=True)
class Site:
    """Where the calls go, and as whom: the headers of each student's session."""

    url: str
    sessions: Sequence[Headers]
    is_read_only: bool = False
    is_bench: bool = False


@dataclass(frozen=True)
class Call:
    """A call by its name: method, and the body that it is sent with, if any."""

    name: str
    method: str
    body: Callable[[random.Random], dict[str, Any] | None] = lambda _choice: None


def submission(choice: random.Random, count: int) -> dict[str, Any]:
    """So many answers, with a submission id of their own."""
    answers = dataset.answers(choice, count, QUESTIONS, dataset.STAYS_DUE)
    named = f"{choice.getrandbits(96):x}"
    return {"session_data": {"answers": answers, "total_combo": 3}, "submission_id": named}


CALLS: Final = (
    Call(NOTHING, NOTHING),
    Call(DUE, f"memora.api.reviews.{DUE}"),
    Call(FALLS_THROUGH, f"memora.api.reviews.{DUE}?frappe=1"),
    *(
        Call(
            f"{SUBMIT}, {count} answers",
            f"memora.api.reviews.{SUBMIT}",
            partial(submission, count=count),
        )
        for count in (10, 50)
    ),
)


class Client:
    """One student's browser: a connection that stays open where the server lets it."""

    def __init__(self, url: str, headers: Headers) -> None:
        address = urlsplit(url)
        kind = (
            http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
        )
        self.connection: Final = kind(address.netloc, timeout=CALL_SECONDS)
        self.headers: Final = {"Accept": "application/json", **headers}
        self.answered = b""

    def call(self, call: Call, choice: random.Random) -> bool:
        """Make a call; whether it succeeded."""
        sent = call.body(choice)
        body = None if sent is None else json.dumps(sent)
        headers = self.headers if body is None else self.headers | {"Content-Type": JSON}
        try:
            self.connection.request(
                "GET" if body is None else "POST", f"/api/method/{call.method}", body, headers
            )
            answer = self.connection.getresponse()
            self.answered = answer.read()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            return False
        return answer.status == http.HTTPStatus.OK


def measure(site: Site, call: Call, clients: int, seconds: float) -> Measured:
    """So many clients, each of which calls again as soon as it is answered."""
    if not site.is_bench:
        return measure_here(site, call, clients, seconds)
    choice = random.Random(f"{SEED} {call.name}")
    made = (call.body(choice) for _ in range(BODIES))
    bodies = [json.dumps(body | {"submission_id": load.FRESH}) for body in made if body]
    cookies = [session["Cookie"] for session in site.sessions]
    return load.wrk(f"{site.url}/api/method/{call.method}", cookies, bodies, clients, seconds)


def measure_here(site: Site, call: Call, clients: int, seconds: float) -> Measured:
    """The same, by threads of this process."""
    all_times: list[float] = []
    failures: list[int] = []
    lock = threading.Lock()
    ready = threading.Barrier(clients + 1)
    end = 0.0

    def work(number: int) -> None:
        client = Client(site.url, site.sessions[number % len(site.sessions)])
        choice = random.Random(f"{SEED} {call.name} {number}")
        # The first call connects, and loads the student.
        client.call(call, choice)
        times, failed = [], 0
        ready.wait()
        ready.wait()
        while time.perf_counter() < end:
            start = time.perf_counter()
            is_answered = client.call(call, choice)
            times.append((time.perf_counter() - start) * 1e3)
            failed += not is_answered
        client.connection.close()
        with lock:
            all_times.extend(times)
            failures.append(failed)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    ready.wait()
    start = time.perf_counter()
    end = start + seconds
    ready.wait()
    for thread in threads:
        thread.join()
    rate = len(all_times) / (time.perf_counter() - start)
    p50, p99 = (percentile(all_times, percent) for percent in (50, 99))
    return Measured(rate, p50, p99, sum(failures))


def measure_all(
    report: Report, site: Site, options: argparse.Namespace, door: Site | None = None
) -> None:
    """Each call with each number of clients, what does nothing first; also through the door.

    The calls take turns (`benches/http_turns.py`).
    """
    reads = [each for each in CALLS if each.name in READS]
    if not door:
        reads = [each for each in reads if each.name != FALLS_THROUGH]
    # Drains continue after submissions, so they are last.
    submissions = [] if site.is_read_only else [each for each in CALLS if each.name not in READS]
    groups = [(calls, clients) for calls in (reads, submissions) for clients in options.clients]
    lines, failed = [], 0
    nothing: dict[int, list[Measured]] = {}
    for calls, clients in progress(groups, "numbers of clients"):
        measured = {each.name: Turns([], []) for each in calls}
        for turn in range(options.turns):
            for place, each in enumerate(calls):
                turns = measured[each.name]
                both = [(site, turns.found), *([(door, turns.through)] if door else [])]
                # What the last one leaves to drain falls on Frappe and on the door alike.
                for where, found in reversed(both) if (turn + place) % 2 else both:
                    found.append(measure(where, each, clients, options.seconds / options.turns))
        for name, turns in measured.items():
            numbers, cells = numbers_of(turns, nothing.setdefault(clients, turns.found))
            report.numbers[f"{name}, clients: {clients}"] = numbers
            failures = sum(each.failed for each in turns.found + turns.through)
            failed += failures
            lines.append([name, str(clients), *cells, str(failures)])
    headings = ["call", "clients", "calls a second", "p50 ms", "p99", "p50 over nothing"]
    if door:
        headings += ["door: calls a second", "door: p50 ms", "door: p99", "times the calls"]
    report.add(table([*headings, "failed"], lines))
    client = "wrk, with one thread" if site.is_bench else "threads of one Python process"
    report.add(
        f"`{NOTHING}` does nothing: it takes what HTTP and the framework take. The client is "
        f"{client}, on the same cores. Numbers are medians of {options.turns} turns."
    )
    report.claim("calls that failed", failed, at_most=0)
    fewest = min(options.clients)
    p99 = report.numbers[f"{DUE}, clients: {fewest}"]["p99"]
    report.claim(f"{DUE}, clients: {fewest}, p99 ms", p99, at_most=AIM_MS)
    if door:
        claim_of_door(report, options.clients, site.is_read_only)


def claim_of_door(report: Report, all_clients: Sequence[int], is_read_only: bool) -> None:
    """What the door is worth.

    What a call loses that it gives to Frappe is less than what two runs differ by:
    `benches/http_falls_through.py` has it.
    """
    for clients in all_clients:
        of = {each.name: report.numbers.get(f"{each.name}, clients: {clients}") for each in CALLS}
        read = of[DUE] or {}
        at = f"clients: {clients}"
        if clients == 1:
            share = read["door: p50 of nothing"]
            report.claim(
                f"door: p50 of a read, of {NOTHING} of Frappe, {at}",
                share,
                at_most=DOOR_SHARE_OF_NOTHING,
            )
        else:
            times = read["door: times the calls"]
            report.claim(f"door: times the reads a second, {at}", times, at_least=DOOR_READS)
        if not is_read_only:
            times = (of[f"{SUBMIT}, 50 answers"] or {})["door: times the calls"]
            what = f"door: times the submissions of 50 a second, {at}"
            report.claim(what, times, at_least=DOOR_SUBMISSIONS)


# -- where ----------------------------------------------------------------------------------------
@contextmanager
def private_site(options: argparse.Namespace, report: Report) -> Iterator[Site]:
    """gunicorn, servers of its own, and a worker that drains."""
    with open_workplace() as place:
        shape = dataset.Shape(options.students, QUESTIONS)
        dataset.load(place.connection, dataset.TRACKER, shape, "loading records")
        with gunicorn(place, options.students) as url, draining(place.engine()):
            sessions = [session_of(dataset.player(each)) for each in range(options.students)]
            yield Site(url, sessions)
        show_persistence(report, place.engine())


@contextmanager
def draining(engine: Engine) -> Iterator[None]:
    """A worker that drains every second, as the jobs do that submissions queue."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(1.0):
            engine.drain(1.0)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        stop.set()
        worker.join()


@contextmanager
def gunicorn(place: Workplace, students: int) -> Iterator[str]:
    """gunicorn with memora's app; its URL."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", *GUNICORN]
    command += ["--log-level", "warning", "benches.http:site_application()"]
    served = {"config": place.site_config, "students": students}
    process = subprocess.Popen(
        [*dies_with_parent(), *command], env=os.environ | {SITE: json.dumps(served)}
    )
    try:
        wait_for(process, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    """Until gunicorn answers."""
    deadline = time.monotonic() + START_SECONDS
    client = Client(f"http://127.0.0.1:{port}", session_of(dataset.player(0)))
    while not client.call(CALLS[0], random.Random(SEED)):
        if process.poll() is not None or time.monotonic() > deadline:
            raise ServerError("gunicorn did not start: its message is above")
        time.sleep(0.1)


def real_site(options: argparse.Namespace, report: Report) -> Site:
    """A bench, as one student or as many."""
    load.check_installed()
    if options.cookie:
        sessions: list[Headers] = [{"Cookie": options.cookie}]
    else:
        names = [options.user.format(each) for each in range(options.students)]
        sessions = [
            {"Cookie": log_in(options.bench, name, options.password)}
            for name in dict.fromkeys(names)
        ]
    # A student's first read loads them.
    read = next(each for each in CALLS if each.name == DUE)
    due = []
    for session in sessions:
        client = Client(options.bench, session)
        if not client.call(read, random.Random(SEED)):
            raise SystemExit(f"{options.bench} does not answer {DUE}: {client.answered[:200]!r}")
        due.append(json.loads(client.answered)["message"]["total_due"])
    report.add(
        f"{len(sessions)} students, to each of whom {min(due)} to {max(due)} questions are due."
    )
    return Site(options.bench, sessions, options.read_only, is_bench=True)


def log_in(url: str, user: str, password: str) -> str:
    """The cookies of a new session."""
    address = urlsplit(url)
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    connection = kind(address.netloc, timeout=CALL_SECONDS)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode({"usr": user, "pwd": password})
    connection.request("POST", "/api/method/login", body, form)
    answer = connection.getresponse()
    answer.read()
    cookies = [value.split(";")[0] for value in answer.headers.get_all("Set-Cookie") or ()]
    connection.close()
    if answer.status != http.HTTPStatus.OK:
        raise SystemExit(f"{url} refuses {user}: HTTP {answer.status}.")
    return "; ".join(cookies)


def run(options: argparse.Namespace, report: Report) -> None:
    """Every call, once."""
    if options.bench:
        site = real_site(options, report)
        door = replace(site, url=options.door) if options.door else None
        measure_all(report, site, options, door)
    else:
        with private_site(options, report) as site:
            measure_all(report, site, options)


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 50], help="at once")
    parser.add_argument("--seconds", type=float, default=10, help="of each call, in all")
    parser.add_argument("--turns", type=int, default=5, help="in which they are measured")
    parser.add_argument("--students", type=int, default=200, help=f"each has {QUESTIONS} records")
    parser.add_argument("--bench", metavar="URL", help="a real bench instead of the stand-in")
    parser.add_argument("--door", metavar="URL", help="the same site, behind memora's door")
    parser.add_argument("--user", help="a student of that bench, or many: {}@example.com")
    parser.add_argument("--password")
    parser.add_argument("--cookie", help='instead of both: "sid=..."')
    parser.add_argument("--read-only", action="store_true", help="submit nothing there")
    add_run_options(parser)
    options = parser.parse_args()
    if options.door and not options.bench:
        parser.error("--door needs --bench: the stand-in for Frappe is not what the door is for")
    if options.bench and not (options.cookie or (options.user and options.password)):
        parser.error("--bench needs --user and --password, or --cookie")
    where = options.bench or "gunicorn and the stand-in for Frappe"
    repeat(f"memora over HTTP: {where}", options, run)


if __name__ == "__main__":
    main()
