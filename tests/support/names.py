"""A process of the site that has a name server of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from tests.support.preloaded import build_library
from tests.support.processes import RemoteEngine

SILENT: Final = "silent"
# How long the system waits for such a name server, each time that it asks.
SILENT_SECONDS: Final = 60
# Before an address.
SLOW: Final = "slow:"


class NamedEngine(RemoteEngine):
    """An engine in a process with its own name server.

    Args:
        folder: where its files are.
        settings: arguments of `Settings`.
        names: the name server's names and their addresses, with `SLOW` or `SILENT` before them if
            wanted.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], **names: str) -> None:
        self._names: Final = folder / "names"
        self.know(**names)
        library = build_library("names", folder)
        super().__init__(settings, LD_PRELOAD=str(library), MEMORA_NAMES=str(self._names))

    def know(self, **names: str) -> None:
        """From now on the name server knows these names, with - for _, and no others."""
        lines = (f"{name.replace('_', '-')} {address}\n" for name, address in names.items())
        fresh = self._names.with_suffix(".new")
        fresh.write_text("".join(lines))
        fresh.replace(self._names)
