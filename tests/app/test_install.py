"""The wheels: one file that holds the whole app and conflicts with nothing on the bench, and one
with the engine alone, for an app that is called memora, too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from memora import __version__ as VERSION
from tests.support.wheels import ROOT, SOURCES, built, files_of_the_app, install


@pytest.fixture(scope="module")
def wheel() -> Path:
    """The wheel that `make wheel` has built of these sources."""
    return built("memora")


@pytest.fixture(scope="module")
def engine_wheel() -> Path:
    """The wheel with the engine alone."""
    return built("memora_engine")


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
        "Season Subject Ladder",
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


@pytest.fixture(scope="module")
def installed(wheel: Path, engine_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both wheels in it, as on a bench."""
    folder = tmp_path_factory.mktemp("installed")
    install(folder, wheel, engine_wheel)
    return folder


def told_by(folder: Path, code: str) -> list[str]:
    """The lines that Python code prints when it sees the installed package, not the sources."""
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=os.environ | {"PYTHONPATH": str(folder)},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return run.stdout.splitlines()


def test_what_is_installed_works_away_from_the_sources(installed: Path) -> None:
    place, versions = told_by(
        installed,
        "import memora, memora._engine as e; "
        "print(memora.__file__); print(e.__version__, memora.__version__)",
    )
    assert place.startswith(str(installed))
    engine_version, version = versions.split()
    assert engine_version == version


def test_the_engines_wheel_holds_the_engine_its_stub_and_the_settings(engine_wheel: Path) -> None:
    with zipfile.ZipFile(engine_wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = ("__init__.py", "_engine.abi3.so", "_engine.pyi", "py.typed", "site_engine.py")
    assert names == {f"memora_engine/{file}" for file in files}


@pytest.mark.parametrize("file", ["_engine.abi3.so", "_engine.pyi", "py.typed", "site_engine.py"])
def test_both_wheels_hold_the_same_file(file: str, wheel: Path, engine_wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as app, zipfile.ZipFile(engine_wheel) as engine:
        assert app.read(f"memora/{file}") == engine.read(f"memora_engine/{file}")


def test_the_engines_wheel_has_the_same_version_and_tag_and_asks_for_nothing(
    wheel: Path, engine_wheel: Path
) -> None:
    assert engine_wheel.name == wheel.name.replace("memora", "memora_engine", 1)
    with zipfile.ZipFile(engine_wheel) as archive:
        folder = f"memora_engine-{VERSION}.dist-info"
        metadata = Parser().parsestr(archive.read(f"{folder}/METADATA").decode())
        assert f"{folder}/licenses/LICENSE" in archive.namelist()
    assert (metadata["Name"], metadata["Version"]) == ("memora_engine", VERSION)
    assert metadata["Requires-Python"].startswith(">=3.10")
    assert metadata["Requires-Dist"] is None


def test_the_package_has_every_name_of_the_engine(installed: Path) -> None:
    code = "import memora_engine as m; print(sorted(m.__all__) == sorted(m._engine.__all__))"
    assert told_by(installed, code) == ["True"]


@pytest.mark.parametrize(
    ("name", "member", "reason"),
    [
        ("frappe-1.0-py3-none-any.whl", "frappe/__init__.py", "is not a wheel of memora"),
        ("memora-1.0-py3-none-any.whl", "memora.libs/libz.so", "brings libraries of its own"),
    ],
)
def test_what_the_engines_wheel_cannot_be_made_of_is_refused(
    name: str, member: str, reason: str, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / name, "w") as wheel:
        wheel.writestr(member, "")
    command = [sys.executable, str(ROOT / ".ci/engine_wheel.py"), str(tmp_path / name)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert reason in run.stderr
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_each_engine_says_which_package_it_is_of(installed: Path) -> None:
    """Even if both are loaded, and for an exception that was sent to another process."""
    lines = told_by(
        installed,
        """
import importlib, pickle

engines = [importlib.import_module(f"{name}._engine") for name in ("memora", "memora_engine")]
for engine in engines:
    error = pickle.loads(pickle.dumps(engine.RateLimited("full", 3)))
    kinds = [engine.Engine, engine.Settings, *map(type, (error, engine.InvalidInput()))]
    print({kind.__module__ for kind in kinds} == {engine.__name__}, isinstance(
        error, engine.MemoraError), repr(engine.Engine))
""",
    )
    assert lines == [
        "True True <class 'memora._engine.Engine'>",
        "True True <class 'memora_engine._engine.Engine'>",
    ]
