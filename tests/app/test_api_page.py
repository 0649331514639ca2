"""docs/api.md says of each method what docs/openapi.yaml says, which other tests compare with the
running app."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import pytest

if importlib.util.find_spec("schemathesis") is None:
    pytest.skip("schemathesis wants Python 3.11", allow_module_level=True)

import jsonschema_rs

from tests.app.api_contract import METHODS
from tests.app.test_openapi import DESCRIPTION, paths, resolved

PAGE: Final = Path(__file__).parents[2] / "docs/api.md"
# The others can come from every method, as the page says above them.
OF_A_METHOD: Final = {"404", "429"}
LEFT_OUT: Final = '"..."'


def sections() -> dict[str, str]:
    """What the page has of each method."""
    text = PAGE.read_text().split("## For students")[1].split("\n## For lesson code")[0]
    parts = re.split(r"^### (\w+)$", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def described() -> dict[str, dict[str, Any]]:
    """The description's operations, by the method's name and the HTTP method."""
    return {path.rpartition(".")[2]: methods for path, methods in paths().items()}


def arguments_of(name: str) -> set[str]:
    """The arguments that the description has."""
    found: set[str] = set()
    for operation in described()[name].values():
        found |= {each["name"] for each in operation.get("parameters", [])}
        for content in operation.get("requestBody", {}).get("content", {}).values():
            found |= set(resolved(content["schema"]).get("properties", {}))
    return found


def test_each_method_has_its_section() -> None:
    assert set(sections()) == set(described())


@pytest.mark.parametrize("name", sections())
def test_http_methods_and_the_path(name: str) -> None:
    section = sections()[name].strip()
    said = section.partition(".")[0].split(", ")
    assert said == [method.upper() for method in described()[name]]
    (path,) = (path for path in paths() if path.endswith(f".{name}"))
    assert f"$API{path.removeprefix(f'{METHODS}memora.api')}" in section


@pytest.mark.parametrize("name", sections())
def test_arguments(name: str) -> None:
    section = sections()[name]
    given = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    for command in re.findall(r"```sh\n(.*?)```", section, re.DOTALL):
        given |= set(re.findall(r"-d (\w+)=", command))
        given |= set(re.findall(r"--data-urlencode '(\w+)=", command))
        for url in re.findall(r'"\$API(.*?)"', command):
            given |= {key for key, _ in parse_qsl(urlsplit(url).query)}
        for body in re.findall(r"-d '(\{.*?\})'", command, re.DOTALL):
            given |= set(json.loads(body))
    wanted = arguments_of(name)
    assert given <= wanted
    # Each is told, in the table or in the text.
    assert [each for each in wanted if f"`{each}`" not in section] == []


@pytest.mark.parametrize("name", sections())
def test_answers(name: str) -> None:
    operation = next(iter(described()[name].values()))
    content = resolved(operation["responses"]["200"])["content"]
    for answer in re.findall(r"```json\n(.*?)```", sections()[name], re.DOTALL):
        schema = content["application/json"]["schema"]
        whole = schema | {"components": DESCRIPTION["components"]}
        errors = jsonschema_rs.validator_for(whole).iter_errors(json.loads(answer))
        # An answer that is cut short lacks fields, and has one that says so.
        cut = LEFT_OUT in answer
        assert [
            error.message
            for error in errors
            if not (cut and ("required" in error.message or LEFT_OUT[1:-1] in error.message))
        ] == []


@pytest.mark.parametrize("name", sections())
def test_errors(name: str) -> None:
    section = sections()[name]
    reference = re.search(r"Errors as for `(\w+)`", section)
    told = section + (sections()[reference[1]] if reference else "")
    (one,) = {frozenset(each["responses"]) for each in described()[name].values()}
    assert set(re.findall(r"\b(4\d\d)\b(?=:| also)", told)) - {"417"} == one & OF_A_METHOD
