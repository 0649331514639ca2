"""Clocks of processes: each has a wall clock of its own, which a fault can set, and knows the true
time."""

from __future__ import annotations

import mmap
import time
from pathlib import Path
from typing import Any, Final

from tests.support import preloaded
from tests.support.processes import RemoteEngine

NANO: Final = 1_000_000_000
NUMBER: Final = 8
MOST_CHANGES: Final = 4000


class TrueTime:
    """The true time, whatever the wall clock says.

    Args:
        since: the value of the process that started this one; None reads the wall clock, which must
            be true.
    """

    def __init__(self, since: float | None = None) -> None:
        self.since: Final = time.time() - time.monotonic() if since is None else since

    def now(self) -> float:
        """Unix seconds."""
        return self.since + time.monotonic()


class Clock:
    """How far the wall clock of one process is from the true time, now and at each earlier time.

    Args:
        path: a file that the process shares with the one that sets its clock; made if it does not
            exist.
    """

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        if not path.exists():
            path.write_bytes(bytes(NUMBER * (2 + MOST_CHANGES)))
        with path.open("r+b") as file:
            self._numbers: Final = memoryview(mmap.mmap(file.fileno(), 0)).cast("q")

    @property
    def offset(self) -> float:
        """Seconds from the truth; positive is ahead."""
        return self._numbers[1 + self.changes] / NANO

    @property
    def changes(self) -> int:
        """How often it was set."""
        return self._numbers[0]

    def set(self, offset: float) -> None:
        """Let it jump."""
        self._numbers[2 + self.changes] = round(offset * NANO)
        self._numbers[0] += 1

    def offsets_since(self, changes: int) -> list[float]:
        """The offset that held after this many changes, and all later ones."""
        return [self._numbers[1 + change] / NANO for change in range(changes, self.changes + 1)]

    def settings(self, library: Path) -> dict[str, str]:
        """The environment variables that give a process this clock."""
        return {"LD_PRELOAD": str(library), "MEMORA_CLOCK": str(self.path)}


class ClockedEngine(RemoteEngine):
    """An engine in a process that has a clock of its own.

    Args:
        settings: arguments of `Settings`.
        library: of `build_library`.
    """

    def __init__(self, settings: dict[str, Any], clock: Clock, library: Path) -> None:
        self.clock: Final = clock
        super().__init__(settings, **clock.settings(library))


def build_library(folder: Path) -> Path:
    """Compile the library that gives a process its own clock."""
    return preloaded.build_library("clock", folder)
