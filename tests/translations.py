"""memora's messages in all languages: `make translations` updates the files.

Translators edit `python/memora/locale/LANGUAGE.po`, as in Frappe's own apps. The rest is generated:
the isolates around values in a language that is written right to left, `main.pot`, which has each
message that the app shows, and `translations/LANGUAGE.csv`, which Frappe reads without a compiled
catalog: an app from a wheel has none.

    python -m tests.translations       brings main.pot, the .po and the .csv files up to date
"""

from __future__ import annotations

import ast
import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from babel import Locale
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

ROOT: Final = Path(__file__).parents[1]
PACKAGE: Final = ROOT / "python" / "memora"
LOCALE: Final = PACKAGE / "locale"
# Tests speak English.
NOT_SHOWN: Final = ("tests", "locale", "translations")
# Labels that Frappe has too, with other meanings (an e-mail's subject): theirs stay as they are.
OF_FRAPPE: Final = (
    "End Date",
    "Is Active",
    "Message",
    "Reason",
    "Start Date",
    "Status",
    "Subject",
    "Topic",
)
# Fields of Frappe's standard documents whose text is shown.
SHOWN_FIELDS: Final = (
    "action_label",
    "button_label",
    "description",
    "format",
    "group",
    "intro_video_url_label",
    "label",
    "report_description",
    "role",
    "subtitle",
    "success_message",
    "title",
)
# A place for a value, a percentage, a Latin text with a value, or an option of a command.
_TO_ISOLATE: Final = re.compile(
    r"(?<![\w.] )--[a-z-]+|[A-Za-z][\w./-]*(?: [\w./-]+)* \{\d*\}|(?:\{\d*\}|\d+)%|\{\d*\}",
    re.ASCII,
)


class Message(NamedTuple):
    """A message that the app shows."""

    text: str
    context: str | None
    file: str


def messages() -> list[Message]:
    """All messages that memora shows, from its Python, its scripts and its documents."""
    found: list[Message] = []
    for path in sorted(PACKAGE.rglob("*")):
        name = path.relative_to(PACKAGE)
        if not path.is_file() or name.parts[0] in NOT_SHOWN:
            continue
        if path.suffix == ".py":
            found += _from_python(path)
        elif path.suffix == ".js":
            found += _from_javascript(path)
        elif path.suffix == ".json":
            document = json.loads(path.read_text("utf-8"))
            found += (
                Message(text, document["name"] if text in OF_FRAPPE else None, _shown(path))
                for text in _from_document(document)
            )
    found += from_the_engine()
    return [message for message in found if any(letter.isalpha() for letter in message.text)]


def from_the_engine() -> Iterator[Message]:
    """The engine's sentences that people are shown: services/messages.py lists them."""
    path = PACKAGE / "services" / "messages.py"
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "FROM_THE_ENGINE":
            assert node.value
            for text in ast.literal_eval(node.value):
                yield Message(text, None, _shown(path))


def catalog(locale: str | None = None) -> Catalog:
    """The messages without their translations."""
    made = Catalog(
        locale=locale,
        project="memora",
        copyright_holder="memora contributors",
        header_comment="# Translations of memora. CONTRIBUTING.md says how they are made.",
        fuzzy=False,
    )
    for message in messages():
        made.add(message.text, locations=[(message.file, 0)], context=message.context)
    return made


def languages() -> list[str]:
    """Those that memora speaks beside English."""
    return sorted(path.stem for path in LOCALE.glob("*.po"))


def translations(language: str) -> Catalog:
    """The translators' texts."""
    with (LOCALE / f"{language}.po").open("rb") as file:
        return read_po(file, locale=language)


def as_po(made: Catalog) -> bytes:
    """A catalog as a file, equal for equal messages: it has no time in it."""
    out = io.BytesIO()
    write_po(
        out,
        made,
        width=100,
        sort_output=True,
        ignore_obsolete=True,
        include_lineno=False,
        omit_header=True,
    )
    header = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n\n'
    return header.encode() + out.getvalue()


def as_csv(made: Catalog) -> str:
    """A catalog in the form that Frappe 15 reads: source, translation, context."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
    for message in sorted(made, key=lambda message: (str(message.id), message.context or "")):
        if message.id and message.string:
            writer.writerow([message.id, message.string, message.context or ""])
    return out.getvalue()


def up_to_date(language: str) -> Catalog:
    """A language's translations of today's messages; missing ones are empty."""
    made = translations(language)
    made.update(catalog(language), no_fuzzy_matching=True)
    if Locale.parse(language).text_direction == "rtl":
        for message in made:
            if message.id and message.string:
                message.string = isolated(str(message.string))
    return made


def isolated(text: str) -> str:
    """A translation into a language that is written right to left, safe from scrambling.

    A place for a value gets Unicode's isolates: it then has the direction of its own first letter,
    and the text around it keeps its order. A command with its values gets them too, and stays left
    to right as a whole.
    """
    text = re.sub(r"[\u2066-\u2069]", "", text)
    return _TO_ISOLATE.sub(_isolate, text)


def _isolate(found: re.Match[str]) -> str:
    start = "\u2066" if re.search("[A-Za-z]", found[0]) else "\u2068"
    return f"{start}{found[0]}\u2069"


def files() -> dict[Path, bytes]:
    """The files that `make translations` writes."""
    made = {LOCALE / "main.pot": as_po(catalog())}
    for language in languages():
        now = up_to_date(language)
        made[LOCALE / f"{language}.po"] = as_po(now)
        made[PACKAGE / "translations" / f"{language}.csv"] = as_csv(now).encode()
    return made


def _from_python(path: Path) -> Iterator[Message]:
    """The first argument of each `_("...")` and `_lt("...")`, also in an f-string."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("_", "_lt"):
            text = node.args[0]
            if isinstance(text, ast.Constant):
                yield Message(str(text.value), None, _shown(path))


def _from_javascript(path: Path) -> Iterator[Message]:
    """The first argument of each `__("...")`, also in a template within a template."""
    for found in re.finditer(r'\b__\(\s*("(?:[^"\\]|\\.)*")', path.read_text("utf-8")):
        yield Message(json.loads(found[1]), None, _shown(path))


def _from_document(value: Any) -> Iterator[str]:
    """The texts of a standard document that Frappe shows."""
    if isinstance(value, list):
        for each in value:
            yield from _from_document(each)
    if not isinstance(value, dict):
        return
    if value.get("doctype") in ("DocType", "Workspace", "Number Card", "Dashboard Chart"):
        yield value["name"]
    for key in SHOWN_FIELDS:
        text = value.get(key)
        if isinstance(text, str) and text:
            yield text
    if value.get("fieldtype") == "Select":
        yield from filter(None, str(value.get("options") or "").splitlines())
    if isinstance(value.get("content"), str):
        for block in json.loads(value["content"]):
            text = block.get("data", {}).get("text")
            if block.get("type") in ("header", "paragraph") and text:
                # Frappe looks up a header's words without their tags.
                yield re.sub(r"<[^>]+>", "", text)
    for each in value.values():
        if isinstance(each, dict | list):
            yield from _from_document(each)


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def main() -> None:
    """Update the files, and list what is not translated."""
    for path, content in files().items():
        path.write_bytes(content)
    for language in languages():
        left = [
            message.id for message in translations(language) if message.id and not message.string
        ]
        print(f"{language}: not translated: {len(left)}")
        for text in left:
            print(f"  {text!s}")


if __name__ == "__main__":
    main()
