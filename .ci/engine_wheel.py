"""Makes the second wheel, memora_engine, from the first.

    python .ci/engine_wheel.py dist/memora-*.whl

It holds the files of the folder python/memora_engine. Links to python/memora are followed in
memora's wheel, so both have one engine, one version and one tag, and nothing is compiled twice.
(maturin builds only one wheel of a crate.)
"""

from __future__ import annotations

import csv
import hashlib
import io
import sys
import zipfile
from base64 import urlsafe_b64encode
from email.parser import Parser
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parents[1] / "python/memora_engine"
SUMMARY: Final = "The engine of memora, for a Frappe app that brings its own DocTypes"
DESCRIPTION: Final = """\
What the app `memora` runs on, without the app: for an app of your own that is called `memora`, or
that has DocTypes of its own for the same records. docs/adopting.md in the repository says how.
"""


def main(arguments: list[str]) -> None:
    """Write the wheel beside the named one.

    Args:
        arguments: the path of memora's wheel.
    """
    if len(arguments) != 1:
        sys.exit(f"This takes one wheel of memora, and was given {len(arguments)}: {arguments}")
    path = Path(arguments[0])
    print(write_engine_wheel(path))


def write_engine_wheel(path: Path) -> Path:
    """Write the second wheel beside memora's. Returns its path."""
    name, rest = path.name.split("-", 1)
    version = rest.split("-")[0]
    if name != "memora":
        sys.exit(f"{path} is not a wheel of memora")
    with zipfile.ZipFile(path) as wheel:
        if any(member.startswith("memora.libs/") for member in wheel.namelist()):
            sys.exit(f"{path} brings libraries of its own: its engine finds them only from memora")
        files = files_of_package(wheel) | files_of_dist_info(wheel, version)
    record = f"memora_engine-{version}.dist-info/RECORD"
    files[record] = record_of(files, record)
    target = path.with_name(f"memora_engine-{rest}")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as wheel:
        for member, content in files.items():
            # Without a date, so that the same sources make the same wheel.
            info = zipfile.ZipInfo(member)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (0o755 if member.endswith(".so") else 0o644) << 16
            wheel.writestr(info, content)
    return target


def files_of_package(wheel: zipfile.ZipFile) -> dict[str, bytes]:
    """The files of python/memora_engine, with links to python/memora followed in memora's wheel."""
    files = {}
    for path in sorted(FOLDER.iterdir()):
        if path.is_symlink():
            files[f"memora_engine/{path.name}"] = wheel.read(f"memora/{path.readlink().name}")
        elif path.is_file():
            files[f"memora_engine/{path.name}"] = path.read_bytes()
    return files


def files_of_dist_info(wheel: zipfile.ZipFile, version: str) -> dict[str, bytes]:
    """The metadata of memora's wheel, with another name and summary, and without requirements."""
    old, new = (f"{name}-{version}.dist-info/" for name in ("memora", "memora_engine"))
    files = {
        member.replace(old, new, 1): wheel.read(member)
        for member in wheel.namelist()
        if member.startswith(old) and not member.endswith("/RECORD")
    }
    metadata = Parser().parsestr(files[new + "METADATA"].decode())
    metadata.replace_header("Name", "memora_engine")
    metadata.replace_header("Summary", SUMMARY)
    del metadata["Requires-Dist"]
    metadata.set_payload(DESCRIPTION)
    files[new + "METADATA"] = metadata.as_string().encode()
    return files


def record_of(files: dict[str, bytes], record: str) -> bytes:
    """The list of a wheel's files, with their hashes and sizes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for member, content in files.items():
        digest = urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        writer.writerow([member, f"sha256={digest}", len(content)])
    writer.writerow([record, "", ""])
    return text.getvalue().encode()


if __name__ == "__main__":
    main(sys.argv[1:])
