"""`wrk` as the client of `make bench-http` on a real bench: it takes little of the cores that it
shares with the site, and far less than a client in Python."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SCRIPT: Final = Path(__file__).with_name("http.lua")
# In a body, this becomes a submission id that was never sent before.
FRESH: Final = "@"
TIMEOUT_SECONDS: Final = 60


@dataclass(frozen=True)
class Measured:
    """Calls a second, milliseconds of the median and the 99th percentile, and how many failed."""

    rate: float
    p50: float
    p99: float
    failed: int


def check_installed() -> None:
    """End the program where there is no wrk."""
    if not shutil.which("wrk"):
        raise SystemExit("wrk is not installed: apt-get install wrk")


def wrk(
    url: str, cookies: Sequence[str], bodies: Sequence[str], clients: int, seconds: float
) -> Measured:
    """So many connections, each of which calls again as soon as it is answered.

    Args:
        url: of the method.
        cookies: of each student; the calls take them in turn.
        bodies: sent in turn, with a POST; none: a GET.
        clients: connections at once.
        seconds: rounded to whole ones, at least 1.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = {"cookies": cookies, "bodies": bodies}
        paths = {name: Path(folder) / name for name in files}
        for name, lines in files.items():
            paths[name].write_text("".join(f"{line}\n" for line in lines))
        command = ["wrk", "--threads=1", f"--connections={clients}", f"--script={SCRIPT}"]
        command += [f"--duration={max(1, round(seconds))}s", f"--timeout={TIMEOUT_SECONDS}s", url]
        command += ["--", "POST" if bodies else "GET", *map(str, paths.values())]
        command.append(secrets.token_hex(8))
        run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    # The last line is the script's.
    told = json.loads(run.stdout.splitlines()[-1])
    return Measured(told["calls"] / told["seconds"], told["p50"], told["p99"], told["failed"])
