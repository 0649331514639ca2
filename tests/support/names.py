"""A process of the site that has a name server of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from memora._engine import Engine, MemoraError, Settings
from tests.support.servers import ServerError, dies_with_parent

SILENT: Final = "silent"
# Before an address.
SLOW: Final = "slow:"
SOURCE: Final = Path(__file__).with_name("names.c")


class NamedProcess:
    """A process with an engine, which asks a name server of its own.

    Args:
        folder: where its files are.
        settings: arguments of `Settings`.
        names: what the name server knows: names and their addresses, which `SLOW` may stand before,
            or `SILENT`.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], **names: str) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            raise ServerError("cc is not installed: apt-get install gcc libc6-dev")
        library = folder / "names.so"
        flags = ["-shared", "-fPIC", "-O2", "-Wall"]
        subprocess.run([compiler, *flags, "-o", library, SOURCE, "-ldl"], check=True)
        self._names: Final = folder / "names"
        self.know(**names)
        self._process: Final = subprocess.Popen(
            [
                *dies_with_parent(),
                sys.executable,
                "-m",
                "tests.support.names",
                json.dumps(settings),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env=os.environ | {"LD_PRELOAD": str(library), "MEMORA_NAMES": str(self._names)},
        )

    def know(self, **names: str) -> None:
        """From now on the name server knows these names, with - for _, and no others."""
        lines = (f"{name.replace('_', '-')} {address}\n" for name, address in names.items())
        fresh = self._names.with_suffix(".new")
        fresh.write_text("".join(lines))
        fresh.replace(self._names)

    def call(self, method: str, *arguments: Any, **named: Any) -> Any:
        """Call a method of its engine: what it returns, or its error as text."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([method, arguments, named]) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def __enter__(self) -> NamedProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


def _serve(engine: Engine) -> None:
    for line in sys.stdin:
        method, arguments, named = json.loads(line)
        try:
            answer = getattr(engine, method)(*arguments, **named)
        except MemoraError as error:
            answer = str(error)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _serve(Engine(Settings(**json.loads(sys.argv[1]))))
