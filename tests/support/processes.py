"""Engines in processes of their own, which may have a clock or a name server of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

from memora import _engine
from memora._engine import Engine, MemoraError, Settings
from tests.support.servers import ServerError, dies_with_parent

ROOT: Final = Path(__file__).parents[2]

AnyRemote = TypeVar("AnyRemote", bound="RemoteEngine")


class RemoteEngine:
    """An engine in a process of its own. It has the methods of `Engine`, one call at a time.

    Args:
        settings: arguments of `Settings`.
        environment: of the process, beside ours.
    """

    def __init__(self, settings: dict[str, Any], **environment: str) -> None:
        self._lock: Final = threading.Lock()
        self._process: Final = subprocess.Popen(
            [
                *dies_with_parent(),
                sys.executable,
                "-m",
                "tests.support.processes",
                json.dumps(settings),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT / "python")} | environment,
        )

    def __getattr__(self, method: str) -> Callable[..., Any]:
        return partial(self._call, method)

    def _call(self, method: str, *arguments: Any, **named: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps([method, arguments, named]) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        if not line:
            raise ServerError("the process of an engine is gone")
        error, answer = json.loads(line)
        if error is None:
            return answer
        raise getattr(_engine, error)(answer)

    def kill(self) -> None:
        """End the process as a crash does."""
        self._process.kill()

    def __enter__(self: AnyRemote) -> AnyRemote:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


AnyEngine: TypeAlias = Engine | RemoteEngine


def _serve(engine: Engine) -> None:
    for line in sys.stdin:
        method, arguments, named = json.loads(line)
        try:
            error, answer = None, getattr(engine, method)(*arguments, **named)
        except MemoraError as raised:
            error, answer = type(raised).__name__, str(raised)
        print(json.dumps([error, answer]), flush=True)


if __name__ == "__main__":
    _serve(Engine(Settings(**json.loads(sys.argv[1]))))
