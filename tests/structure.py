"""Checks the structure of the engine's source: `make lint` runs it.

Rooms are the folders of src/. Imports, and calls of `Engine`'s methods, run one way: from the door
inwards between rooms, and without circles between files. A file is short enough to read at once,
and what the documentation names exists.

    python -m tests.structure          says what is wrong, and fails then
    python -m tests.structure --draw   shows what each file uses
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
SOURCE: Final = ROOT / "src"
MOST_LINES: Final = 450
# Folders whose files have at most this many lines.
SIZED: Final = ("src", "python/memora", "benches")
# From the door inwards: each room knows those after it.
ROOMS: Final = (
    "binding",
    "administrators",
    "students",
    "consistency",
    "engine",
    "servers",
    "rules",
    "progress",
    "per_process",
    "lock",
    "error",
)

Files = Mapping[str, str]
Uses = Mapping[str, set[str]]


def read_files() -> dict[str, str]:
    """The text of each file but lib.rs, without its tests and comments, by its path in Rust."""
    files = {}
    for path in sorted(SOURCE.rglob("*.rs")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        name = "::".join(part for part in parts if part != "mod")
        if name != "lib":
            text = re.split(r"\n#\[cfg\(test\)\]\nmod \w+ \{", path.read_text())[0]
            files[name] = re.sub(r"//.*", "", text)
    return files


def expand(tree: str) -> Iterator[str]:
    """The paths of a `use` tree: `a::{b, c::{self, d}}` are a::b, a::c and a::c::d."""
    prefix, brace, rest = tree.partition("{")
    if not brace:
        yield tree.strip().split(" as ")[0].removesuffix("::self")
        return
    depth, part = 0, ""
    for letter in rest[: rest.rindex("}")] + ",":
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            if part.strip():
                yield from (prefix.strip() + path for path in expand(part.strip()))
            part = ""
        else:
            part += letter


def absolute(path: str, file: str, files: Files) -> str | None:
    """The file that a path leads to, None for one of another crate."""
    is_folder = (SOURCE / Path(*file.split("::"))).is_dir()
    here = file.split("::") if is_folder else file.split("::")[:-1]
    first, *rest = path.split("::")
    if first == "crate":
        parts = rest
    elif first == "self":
        parts = [*file.split("::"), *rest]
    elif first == "super":
        parts = here[:-1] if is_folder else here
        while rest[:1] == ["super"]:
            parts, rest = parts[:-1], rest[1:]
        parts = [*parts, *rest]
    else:
        return None
    while parts:
        if "::".join(parts) in files:
            return "::".join(parts)
        parts = parts[:-1]
    return None


def used_files(files: Files) -> Uses:
    """Which files each file uses: by name, or by a method that they give to `Engine`."""
    method = re.compile(r"\n    pub(?:\([\w: ]+\))? (?:const )?fn (\w+)[^{;]*?self\b")
    homes: dict[str, set[str]] = defaultdict(set)
    for file, text in files.items():
        for block in re.findall(r"\nimpl Engine \{\n(.*?)\n\}\n", text, re.DOTALL):
            for name in method.findall("\n" + block):
                homes[name].add(file)
    uses: dict[str, set[str]] = {file: set() for file in files}
    for file, text in files.items():
        paths = [
            path
            for tree in re.findall(r"(?m)^\s*(?:pub(?:\(crate\))? )?use ([^;]+);", text)
            for path in expand(tree)
        ]
        paths += re.findall(r"\b(?:crate|super|self)(?:::\w+)+", text)
        found = {absolute(path, file, files) for path in paths}
        for receiver, name in re.findall(r"\b(self\.0|self|engine)\s*\.(\w+)\(", text):
            if receiver != "self" or "impl Engine {" in text:
                found |= homes.get(name, set())
        for name in re.findall(r"\bEngine::(\w+)\(", text):
            found |= homes.get(name, set())
        uses[file] = {other for other in found if other} - {file}
    return uses


def room(file: str) -> int:
    """The place of a file's room in the order of rooms."""
    return ROOMS.index(file.split("::")[0])


def faults(files: Files, uses: Uses) -> Iterator[str]:
    """All that is wrong."""
    for path in sorted(path for room in SIZED for path in (ROOT / room).rglob("*.*")):
        if path.suffix not in (".rs", ".lua", ".py", ".js") or "tests" in path.parts:
            continue
        lines = len(path.read_text().splitlines())
        if lines > MOST_LINES:
            yield f"{path.relative_to(ROOT)} has {lines} lines, more than {MOST_LINES}"
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for named in re.findall(r"`((?:src|tests|python|benches)/[\w/.]+)", path.read_text()):
            if not (ROOT / named).exists():
                yield f"{path.relative_to(ROOT)} names {named}, which is not there"
    for file, others in uses.items():
        for other in sorted(others):
            if room(other) < room(file):
                yield f"{file} uses {other}, which is nearer to the door"
    # A folder's mod.rs declares its files, and contains only what they share.
    try:
        TopologicalSorter(uses).prepare()
    except CycleError as error:
        yield "a circle: " + " -> ".join(reversed(error.args[1]))


def main() -> None:
    files = read_files()
    uses = used_files(files)
    if "--draw" in sys.argv:
        for file in sorted(files, key=lambda file: (room(file), file)):
            print(f"{file}: {', '.join(sorted(uses[file]))}")
    found = list(faults(files, uses))
    print("\n".join(found))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
