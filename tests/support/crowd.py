"""Students of many processes who answer and read while something fails, and the count afterwards.

Each student has due questions, all of stability 1. A right answer moves a question one step up, so
that it is no longer due: each question's state shows whether an answer was lost, counted twice,
undone or not shown.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from memora._engine import MemoraError
from tests.support.processes import AnyEngine
from tests.support.servers import wait_until
from tests.support.site_under_test import SEASON, TRACKER, Record, Site, ids, session

QUESTIONS: Final = 30
MOST_STEPS: Final = 3
PROCESSES: Final = 4


@dataclass
class Report:
    """The outcome of a crowd's answers."""

    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    stale: int = 0
    errors: int = 0
    longest_pause: float = 0.0

    def line(self, name: str) -> str:
        """A line of the table."""
        return (
            f"| {name} | {self.acknowledged:,} | {self.lost} | {self.doubled} | {self.stale} | "
            f"{self.errors} | {self.longest_pause:.1f} s |"
        )

    def check(self, name: str, least: int = 100) -> None:
        """Nothing is lost, undone, doubled or stale; prints the line of the table.

        Args:
            least: at least this many answers were acknowledged.
        """
        print(f"\n{HEAD}\n{self.line(name)}")
        assert self.acknowledged > least
        assert (self.lost, self.doubled, self.stale) == (0, 0, 0)


HEAD: Final = (
    "| set-up and fault | acknowledged | lost or undone | doubled | stale reads | errors | "
    "longest pause |"
)


@dataclass
class Crowd:
    """Processes of a site, each with its students.

    Args:
        site: where they are.
        processes: through which they answer and read.
        drains: processes that drain, in turns.
        students: how many.
        is_balanced: any process takes a student's answers, as behind a load balancer.
    """

    site: Site
    processes: Sequence[AnyEngine]
    drains: Sequence[AnyEngine]
    students: int = 60
    is_balanced: bool = False
    report: Report = field(default_factory=Report)

    def __post_init__(self) -> None:
        self.known: Counter[tuple[str, str]] = Counter()
        self.unsure: set[tuple[str, str]] = set()
        self.is_over = threading.Event()
        self.lock = threading.Lock()
        for number in range(self.students):
            player = f"student{number}@school.example"
            self.site.add_users(player)
            self.site.add(player, [Record(f"q{at}", stability=1) for at in range(QUESTIONS)])

    @staticmethod
    def of(
        site: Site, settings: Mapping[str, Any], processes: int = PROCESSES, students: int = 60
    ) -> Crowd:
        """A crowd with equal processes.

        Args:
            settings: of their engines, beside those of the site.
            processes: how many.
        """
        engines = [site.engine(**settings) for _ in range(processes)]
        return Crowd(site, engines, [site.engine(**settings)], students)

    def live(self, fault: Callable[[], object], after: float = 2.0, rest: float = 6.0) -> Report:
        """Let them answer, cause a fault, let them continue for a while, drain, and count."""
        threads = [
            threading.Thread(target=self._study, args=(number,))
            for number in range(len(self.processes))
        ]
        drain = threading.Thread(target=self._drain)
        for thread in (*threads, drain):
            thread.start()
        time.sleep(after)
        try:
            fault()
            time.sleep(rest)
        finally:
            self.is_over.set()
            for thread in (*threads, drain):
                thread.join()
        assert wait_until(self._is_drained), self.drains[0].journal_status()
        self._count()
        return self.report

    def _study(self, number: int) -> None:
        source, count = random.Random(number), len(self.processes)
        last = time.monotonic()
        while not self.is_over.is_set():
            process = source.choice(self.processes) if self.is_balanced else self.processes[number]
            student = source.randrange(number, self.students, count)
            player = f"student{student}@school.example"
            question = f"q{source.randrange(QUESTIONS)}"
            answer = (player, question)
            if self.known[answer] >= MOST_STEPS or answer in self.unsure:
                question = f"new{source.randrange(10**9)}"
                answer = (player, question)
            try:
                process.submit(player, session_data=session(question))
            except MemoraError:
                with self.lock:
                    self.unsure.add(answer)
                    self.report.errors += 1
                continue
            now = time.monotonic()
            with self.lock:
                self.known[answer] += 1
                self.report.acknowledged += 1
                self.report.longest_pause = max(self.report.longest_pause, now - last)
            self._read(source, player, question)
            last = time.monotonic()

    def _read(self, source: random.Random, player: str, question: str) -> None:
        reader = source.choice(self.processes)
        try:
            if source.random() < 0.1:
                reader.cache_clear(player, SEASON)
            shown = reader.due(player, limit=50)
        except MemoraError:
            return
        if question in ids(shown) and not shown["is_degraded"]:
            with self.lock:
                self.report.stale += 1

    def _drain(self) -> None:
        turn = 0
        while not self.is_over.wait(0.5 / len(self.drains)):
            with suppress(MemoraError):
                self.drains[turn % len(self.drains)].drain(1.0)
            turn += 1

    def _is_drained(self) -> bool:
        for drain in self.drains:
            with suppress(MemoraError):
                drain.drain(20.0)
        every = [drain.journal_status() for drain in self.drains]
        return all(status["reachable"] and status["backlog"] == 0 for status in every)

    def _count(self) -> None:
        rows = self.site.sql(f"SELECT player, question_id, stability FROM {TRACKER}")
        stands = {(row["player"], row["question_id"]): row["stability"] for row in rows}
        for answer, count in self.known.items():
            if answer in self.unsure:
                continue
            before = 0 if answer[1].startswith("new") else 1
            expected = min(4, before + count)
            found = stands.get(answer, 0)
            self.report.lost += max(0, expected - found)
            self.report.doubled += max(0, found - expected)
