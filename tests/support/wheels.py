"""The wheels that `make wheel` has built, and their sources."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from memora import __version__ as VERSION

ROOT: Final = Path(__file__).parents[2]
SOURCES: Final = ROOT / "python"


def built(package: str) -> Path:
    """A wheel in dist/, of these sources: "memora" or "memora_engine"."""
    wheels = list((ROOT / "dist").glob(f"{package}-*.whl"))
    names = [path.name for path in wheels]
    assert len(wheels) == 1, f"dist/ has {names} and not one wheel of {package}: run make wheel"
    (file,) = wheels
    assert file.name.startswith(f"{package}-{VERSION}-"), (
        f"{file.name} is not {VERSION}: run make wheel"
    )
    built_at = file.stat().st_mtime
    newer = [path for path in sources() if path.stat().st_mtime > built_at]
    assert not newer, f"{file.name} is older than {newer[0]}: run make wheel"
    return file


def sources() -> Iterator[Path]:
    """The sources of the wheels."""
    names = ("Cargo.toml", "Cargo.lock", "pyproject.toml", "README.md", ".ci/engine_wheel.py")
    yield from (ROOT / name for name in names)
    yield from (path for path in (ROOT / "src").rglob("*") if path.is_file())
    yield from files_of_the_app()
    yield SOURCES / "memora_engine/__init__.py"


def files_of_the_app() -> Iterator[Path]:
    """The files of python/memora, without build results."""
    for path in (SOURCES / "memora").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".so":
            yield path


def install(folder: Path, *wheels: Path) -> None:
    """Put wheels into a folder, as pip puts them into a virtual environment."""
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target"]
    subprocess.run([*command, folder, *wheels], check=True, capture_output=True)
