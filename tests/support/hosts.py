"""Web hosts: processes with settings and a clock of their own, which ask and answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Final, TypedDict

from memora._engine import Engine, MemoraError, Settings
from tests.support.clocks import Clock
from tests.support.servers import ServerError, dies_with_parent
from tests.support.site_under_test import TOPICS, session

ROOT: Final = Path(__file__).parents[2]


class Outcome(TypedDict):
    """What became of a call: the stability of the question then, or the code of an error."""

    stability: int
    source: str
    is_degraded: bool
    error: str


class Host:
    """A process of a web host.

    Args:
        settings: arguments of `Settings`.
        clock: its clock; without, it has the machine's.
        library: of `build_library`; with a clock.
    """

    def __init__(
        self, settings: dict[str, Any], clock: Clock | None = None, library: Path | None = None
    ) -> None:
        own = clock.settings(library) if clock and library else {}
        self._lock: Final = threading.Lock()
        self._process: Final = subprocess.Popen(
            [
                *dies_with_parent(),
                sys.executable,
                "-m",
                "tests.support.hosts",
                json.dumps(settings),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": f"{ROOT / 'python'}"} | own,
        )

    def answer(self, player: str, is_correct: bool) -> Outcome:
        """Answer the question."""
        return self._call("answer", player, is_correct)

    def read(self, player: str) -> Outcome:
        """Ask for the question, due or not."""
        return self._call("read", player)

    def drain(self) -> Outcome:
        """Write what waits."""
        return self._call("drain")

    def age_of_backlog(self) -> int:
        """For how many seconds the oldest answer has waited."""
        return self._call("age")["stability"]

    def news(self) -> list[str]:
        """What it has to tell administrators."""
        return self._call("news")["error"].split()

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

    def _call(self, *order: object) -> Outcome:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        if not line:
            raise ServerError("a web host's process is gone")
        outcome: Outcome = json.loads(line)
        return outcome

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _obey(engine: Engine, what: str, player: str = "", is_correct: bool = True) -> Outcome:
    outcome = Outcome(stability=0, source="", is_degraded=False, error="")
    if what == "drain":
        engine.drain(seconds=5.0)
    elif what == "age":
        outcome["stability"] = int(engine.journal_status()["oldest_age_seconds"])
    elif what == "news":
        told = engine.outage_news()
        outcome["error"] = " ".join(f"{news['server']}:{news['event']}" for news in told)
    elif what == "answer":
        taken = engine.submit(player, session_data=session("q", is_correct=is_correct))
        counts = taken["new_stability_counts"]
        (outcome["stability"],) = (int(name) for name, count in counts.items() if count)
    else:
        found = engine.due(player, topic=TOPICS[0])
        (question,) = found["questions"]
        outcome["stability"] = question["stability"]
        outcome["source"], outcome["is_degraded"] = found["source"], found["is_degraded"]
    return outcome


def _work(settings: dict[str, Any]) -> None:
    engine = Engine(Settings(**settings))
    for line in sys.stdin:
        try:
            outcome = _obey(engine, *json.loads(line))
        except MemoraError as error:
            outcome = Outcome(stability=0, source="", is_degraded=True, error=error.code)
        print(json.dumps(outcome), flush=True)


if __name__ == "__main__":
    _work(json.loads(sys.argv[1]))
