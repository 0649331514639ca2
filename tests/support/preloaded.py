"""Libraries that a process loads first, to have its own clock or name server."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.support.servers import ServerError


def build_library(name: str, folder: Path) -> Path:
    """Compile it into a folder.

    Args:
        name: of its source beside this file, without `.c`.

    Raises:
        ServerError: there is no C compiler, which Rust wants, too.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise ServerError("cc is not installed: apt-get install gcc libc6-dev")
    library = folder / f"{name}.so"
    source = Path(__file__).with_name(f"{name}.c")
    flags = ["-shared", "-fPIC", "-O2", "-Wall"]
    subprocess.run([compiler, *flags, "-o", library, source, "-ldl"], check=True)
    return library
