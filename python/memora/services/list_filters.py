"""Frappe's list filters, for rows that are not in a table."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, Final

from frappe import _
from frappe.utils import get_datetime

from memora.services.errors import throw

Row = Mapping[str, Any]
Condition = tuple[str, str, Any]

DATES: Final = frozenset({"creation", "modified", "retired_at"})
LENGTH_OF_A_DATE: Final = len("2026-11-27")


def conditions_of(filters: Any) -> list[Condition]:
    """The conditions of filters: field, operator in lower case, and value.

    Args:
        filters: as Frappe's lists and `frappe.get_list` have them: {field: value},
            {field: [operator, value]}, or a list of [doctype, field, operator, value, ...],
            [field, operator, value], [field, value] and such dicts.
    """
    if isinstance(filters, Mapping):
        return [_of_pair(name, value) for name, value in filters.items()]
    found: list[Condition] = []
    if filters and not isinstance(filters, (list, tuple)):
        throw(_("This is no filter of a list: {0}").format(filters))
    for one in filters or []:
        if isinstance(one, Mapping):
            found += conditions_of(one)
        elif isinstance(one, (list, tuple)) and len(one) >= 2:
            name, *rest = one[1:4] if len(one) > 3 else one
            found.append(_of_pair(name, rest if len(rest) > 1 else rest[0]))
        else:
            throw(_("This is no filter of a list: {0}").format(one))
    return found


def _of_pair(name: object, value: Any) -> Condition:
    if isinstance(value, (list, tuple)) and len(value) == 2 and isinstance(value[0], str):
        return str(name), value[0].strip().lower(), value[1]
    return str(name), "=", value


def has_all(conditions: list[Condition]) -> Callable[[Row], bool]:
    """A function that says whether a row meets all conditions. Only `like` ignores case.

    Raises `frappe.ValidationError` for an unknown operator, and for a value that the operator
    cannot use.
    """
    tests = _tests(conditions)
    return lambda row: all(test(row) for test in tests)


def has_any(conditions: list[Condition]) -> Callable[[Row], bool]:
    """A function that says whether a row meets one of the conditions; otherwise as `has_all`."""
    tests = _tests(conditions)
    return lambda row: any(test(row) for test in tests)


def _tests(conditions: list[Condition]) -> list[Callable[[Row], bool]]:
    return [_of_row(name, operator, value) for name, operator, value in conditions]


def _of_row(name: str, operator: str, value: Any) -> Callable[[Row], bool]:
    try:
        test = _test(name, operator, value)
    except (IndexError, TypeError, ValueError, OverflowError):
        throw(_("This is no filter of a list: {0}").format([name, operator, value]))
    return lambda row: test(_text(name, row.get(name)))


def _test(name: str, operator: str, value: Any) -> Callable[[str], bool]:
    if operator.startswith("not "):
        test = _test(name, operator.removeprefix("not "), value)
        return lambda text: not test(text)
    if operator == "in":
        listed = value.split(",") if isinstance(value, str) else value
        wanted = {_text(name, one.strip() if isinstance(one, str) else one) for one in listed}
        return lambda text: text in wanted
    if operator == "between":
        first, last = _text(name, value[0]), _text(name, value[1], is_end=True)
        return lambda text: first <= text <= last
    if operator == "is":
        is_set = str(value).strip().lower() == "set"
        return lambda text: bool(text) == is_set
    if operator == "like":
        return _like(str(value).casefold())
    other = _text(name, value)
    compared: dict[str, Callable[[str], bool]] = {
        "=": lambda text: text == other,
        "!=": lambda text: text != other,
        ">": lambda text: text > other,
        "<": lambda text: text < other,
        ">=": lambda text: text >= other,
        "<=": lambda text: text <= other,
    }
    if operator not in compared:
        throw(_("This list cannot be filtered with {0}.").format(operator))
    return compared[operator]


def _like(pattern: str) -> Callable[[str], bool]:
    """A function that matches what SQL's LIKE matches. It never backtracks: no pattern is slow."""
    parts: list[str] = [""]
    lengths = [0]
    for one in re.findall(r"\\.|.", pattern, re.DOTALL):
        if one == "%":
            parts.append("")
            lengths.append(0)
        else:
            parts[-1] += "." if one == "_" else re.escape(one[-1])
            lengths[-1] += 1
    first, *others = (re.compile(part, re.DOTALL) for part in parts)

    def test(text: str) -> bool:
        text = text.casefold()
        if not others:
            return bool(first.fullmatch(text))
        found = first.match(text)
        for part in others[:-1]:
            found = found and part.search(text, found.end())
        end = len(text) - lengths[-1]
        return bool(found and found.end() <= end and others[-1].fullmatch(text, end))

    return test


def _text(name: str, value: Any, is_end: bool = False) -> str:
    """A value as it is compared. A date without a time is the day's first moment, or its last."""
    if value is None or value == "":
        return ""
    if name not in DATES:
        return str(value)
    is_day = len(str(value)) == LENGTH_OF_A_DATE
    moment: datetime = get_datetime(str(value) if isinstance(value, date) else value)
    if is_day and is_end:
        moment = moment.replace(hour=23, minute=59, second=59)
    return f"{moment:%Y-%m-%d %H:%M:%S}"
