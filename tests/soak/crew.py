"""The processes of a load: each with its own engine, wires and wall clock.

They can be killed, paused and replaced. Each is its own Python process, because a clock is chosen
when a program starts: `python -m tests.soak.crew` with its tasks in JSON.
"""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from memora._engine import Engine, Settings
from tests.soak.load import JOBS, Students
from tests.support.clocks import build_library
from tests.support.servers import dies_with_parent
from tests.support.site_under_test import OF_A_SCHOOL, Site
from tests.support.wire import Exchange, Wires

END_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Task:
    """What a process must know.

    Args:
        folder, number, place, since: of `Students`.
        job: one of `JOBS`.
        first, last: its students.
        seed: of its choices.
        settings: of its engine.
    """

    folder: str
    number: int
    place: int
    since: float
    job: str
    first: int
    last: int
    seed: str
    settings: dict[str, Any]


class Crew:
    """Processes that share a load.

    Args:
        site: whose engine they run.
        students: those they serve.
        seed: of their choices.
    """

    def __init__(self, site: Site, students: Students, seed: int) -> None:
        self.site: Final = site
        self.students: Final = students
        self.seed: Final = seed
        self.wires: Final[list[Wires]] = []
        self.tasks: Final[list[Task]] = []
        self._processes: Final[list[subprocess.Popen[bytes]]] = []
        self._started = 0
        self._exchange: Final = Exchange()
        self._library: Final = build_library(students.folder)

    def hire(
        self,
        job: str,
        offset: float = 0.0,
        share: tuple[int, int] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> int:
        """Start a process; its place.

        Args:
            job: one of `JOBS`.
            offset: how far its clock is from the truth, in seconds.
            share: the first student whom it serves, and the one after the last; None for all.
            settings: of its engine, if they differ from the others'.
        """
        place = len(self.tasks)
        wires = Wires(self.site.servers, self._exchange)
        first, last = share or (0, self.students.number)
        self.wires.append(wires)
        self.students.clock(place).set(offset)
        self.tasks.append(
            Task(
                folder=str(self.students.folder),
                number=self.students.number,
                place=place,
                since=self.students.time.since,
                job=job,
                first=first,
                last=last,
                seed="",
                settings=self.site.plain_settings()
                | OF_A_SCHOOL
                | wires.settings
                | dict(settings or {}),
            )
        )
        self._processes.append(self._start(place))
        return place

    def places(self, job: str = "") -> list[int]:
        """The places of the processes with a job, or of all."""
        return [task.place for task in self.tasks if job in (task.job, "")]

    def called(self, place: int) -> str:
        """A process's name for people."""
        return f"{self.tasks[place].job} {place}"

    def kill(self, place: int) -> None:
        """End a process as a crash does."""
        self._processes[place].kill()
        self._processes[place].wait()

    def replace(self, place: int) -> None:
        """Start a new process in the place of a killed one."""
        self._processes[place] = self._start(place)

    def pause(self, place: int) -> None:
        """Freeze a process."""
        self._processes[place].send_signal(signal.SIGSTOP)

    def resume(self, place: int) -> None:
        """Let a frozen process continue."""
        self._processes[place].send_signal(signal.SIGCONT)

    def dismiss(self) -> None:
        """Let all processes end normally."""
        self.students.board.is_over = True
        for place, process in enumerate(self._processes):
            try:
                code = process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self.students.violated(self.called(place), "does not end")
                continue
            if code != 0:
                self.students.violated(self.called(place), f"ended with {code}")

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        for place in range(len(self._processes)):
            self.kill(place)
        self._exchange.close()

    def _start(self, place: int) -> subprocess.Popen[bytes]:
        self._started += 1
        task = asdict(self.tasks[place]) | {"seed": f"{self.seed} {self._started}"}
        return subprocess.Popen(
            [*dies_with_parent(), sys.executable, "-m", "tests.soak.crew", json.dumps(task)],
            cwd=Path(__file__).parents[2],
            env=os.environ | self.students.clock(place).settings(self._library),
        )


def work(task: Task) -> None:
    """Do a job until all is over."""
    # The engines' messages about each fault would hide the progress.
    logging.getLogger("memora_engine").setLevel(logging.CRITICAL)
    students = Students(Path(task.folder), task.number, task.place, task.since)
    names = students.names[task.first : task.last]
    try:
        JOBS[task.job](students, Engine(Settings(**task.settings)), names, random.Random(task.seed))
    except BaseException:
        students.violated("a process", traceback.format_exc())


if __name__ == "__main__":
    work(Task(**json.loads(sys.argv[1])))
