"""The wheel: one file that holds the whole app and fights with nothing on the bench."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

import pytest

from memora import __version__ as VERSION

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "python"


@pytest.fixture(scope="module")
def wheel() -> Path:
    """The wheel that `make wheel` has built of these sources."""
    wheels = list((ROOT / "dist").glob("*.whl"))
    names = [path.name for path in wheels]
    assert len(wheels) == 1, f"dist/ has {names} and not one wheel: run make wheel"
    (file,) = wheels
    assert file.name.startswith(f"memora-{VERSION}-"), (
        f"{file.name} is not {VERSION}: run make wheel"
    )
    built_at = file.stat().st_mtime
    newer = [path for path in sources() if path.stat().st_mtime > built_at]
    assert not newer, f"{file.name} is older than {newer[0]}: run make wheel"
    return file


def sources() -> Iterator[Path]:
    """What the wheel is made of."""
    yield from (ROOT / name for name in ("Cargo.toml", "Cargo.lock", "pyproject.toml", "README.md"))
    yield from (path for path in (ROOT / "src").rglob("*") if path.is_file())
    yield from files_of_the_app()


def files_of_the_app() -> Iterator[Path]:
    for path in (SOURCES / "memora").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".so":
            yield path


@pytest.fixture(scope="module")
def members(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_it_holds_every_file_of_the_app(members: set[str]) -> None:
    assert {str(path.relative_to(SOURCES)) for path in files_of_the_app()} <= members


@pytest.mark.parametrize(
    "name",
    [
        "__init__.py",
        "hooks.py",
        "modules.txt",
        "patches.txt",
        "py.typed",
        "_engine.pyi",
        "_engine.abi3.so",
    ],
)
def test_it_holds_what_bench_and_editors_look_for(members: set[str], name: str) -> None:
    assert f"memora/{name}" in members


def test_it_holds_nothing_else(members: set[str]) -> None:
    tops = {name.split("/")[0] for name in members}
    assert {top for top in tops if not top.endswith((".dist-info", ".libs"))} == {"memora"}
    assert not [name for name in members if name.endswith((".pyc", ".rs", ".lua"))]


def test_every_doctype_has_its_three_files(members: set[str]) -> None:
    folder = "memora/memora/doctype"
    expected = {
        "Game Subscription Season", "Player Memory Tracker", "Archived Memory Tracker",
        "Game Subject", "Game Topic", "Memory Review Audit", "Poison Review",
    }  # fmt: skip
    for doctype in expected:
        name = doctype.lower().replace(" ", "_")
        assert {
            f"{folder}/{name}/{file}" for file in (f"{name}.json", f"{name}.py", "__init__.py")
        } <= members
        definition = json.loads((SOURCES / folder / name / f"{name}.json").read_text())
        assert (definition["name"], definition["module"]) == (doctype, "Memora")


def test_one_wheel_for_every_python(wheel: Path) -> None:
    assert wheel.name.startswith("memora-")
    assert "-cp310-abi3-" in wheel.name


def test_it_asks_for_nothing_that_frappe_pins(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
    assert metadata["Name"] == "memora"
    assert metadata["Requires-Python"].startswith(">=3.10")
    wanted = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert wanted == ["prometheus-client>=0.20"]
    assert "MIT" in (metadata["License-Expression"] or metadata["License"])


def test_what_is_installed_works_away_from_the_sources(wheel: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--no-index",
        "--target",
        str(tmp_path),
        str(wheel),
    ]
    subprocess.run(command, check=True, capture_output=True)
    code = (
        "import memora, memora._engine as e; "
        "print(memora.__file__); print(e.__version__, memora.__version__)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)},
        check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    assert shown[0].startswith(str(tmp_path))
    engine_version, version = shown[1].split()
    assert engine_version == version
