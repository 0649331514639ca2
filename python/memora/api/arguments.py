"""Arguments as clients send them: anything of any type."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Final

import frappe
from frappe import _

from memora.services.errors import throw

LARGEST_LIMIT: Final = 50
MOST_DAYS: Final = 365
LONGEST_NUMBER: Final = 20


def as_player(user: object) -> str:
    """The user whose records a call may touch.

    Raises:
        frappe.PermissionError: nobody is logged in.
    """
    if not isinstance(user, str) or user in ("", "Guest"):
        throw(_("Please log in to see your reviews."), frappe.PermissionError)
    return user


def as_text(name: str, value: object) -> str | None:
    """Text that can be stored; None for None and for an empty field of a form."""
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not is_unicode(value):
        throw(_("{0} must be text").format(name))
    return value


def as_submission_id(value: object, header: str | None = None) -> str | None:
    """A client's own name for a submission: the argument, or the header Idempotency-Key.

    Args:
        value: the argument.
        header: the header, perhaps in quotes, as WSGI has it.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    argument, header = as_text("submission_id", value), as_text("Idempotency-Key", header)
    if header:
        with suppress(UnicodeError):
            # WSGI decodes headers as Latin-1.
            header = header.encode("latin-1").decode()
    if header and len(header) > 1 and header[0] == header[-1] == '"':
        header = header[1:-1]
    if argument and header and argument != header:
        throw(_("submission_id and the header Idempotency-Key must be the same"))
    return argument or header


def as_required_text(name: str, value: object) -> str:
    """Text that can be stored and is not empty."""
    text = as_text(name, value)
    if text is None:
        throw(_("{0} is missing").format(name))
    return text


def check_confirmed(confirm: object, consequence: str) -> None:
    """Refuse a call that is not confirmed, and say what it would do."""
    if not is_true(confirm):
        throw(_("Nothing was done. {0} To do it, set confirm.").format(consequence))


def is_true(value: object) -> bool:
    """Whether an argument is true. Forms send true as text or number."""
    return value is True or str(value).lower() in ("1", "true", "yes")


def as_limit(value: object) -> int:
    """A number of questions, 1 to 50."""
    return as_whole_number("limit", value, 1, LARGEST_LIMIT)


def as_days(value: object) -> int:
    """A number of days of a forecast, 1 to 365."""
    return as_whole_number("days", value, 1, MOST_DAYS)


def as_whole_number(name: str, value: object, least: int, most: int = 10**9) -> int:
    """A whole number in this range, perhaps as text (forms, links) or as 2.0 (JSON)."""
    if isinstance(value, str) and value.strip().isdecimal() and len(value) <= LONGEST_NUMBER:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        throw(_("{0} must be a whole number from {1} to {2}").format(name, least, most))
    return value


def _from_json(name: str, value: object) -> object:
    """The value of JSON text, anything else as it is; None for an empty form field."""
    if isinstance(value, str) and value:
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            throw(_("{0} cannot be read").format(name))
    return None if value == "" else value


def as_names(name: str, value: object) -> list[str] | None:
    """A list of names of documents, also as JSON; None for None and for an empty form field."""
    value = _from_json(name, value)
    if value is None:
        return None
    if not isinstance(value, list) or not all(
        isinstance(item, str) and is_unicode(item) for item in value
    ):
        throw(_("{0} must be a list of names").format(name))
    return value


def as_question_id(name: str, value: object) -> str:
    """A question's id: text, or a whole number of 64 bits, which counts as its text."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**64:
        value = str(value)
    return as_required_text(name, value)


def as_question_ids(name: str, value: object) -> list[str] | None:
    """A list of question ids, also as JSON; None for None and for an empty form field."""
    value = _from_json(name, value)
    if value is None:
        return None
    if not isinstance(value, list):
        throw(_("{0} must be a list of question ids").format(name))
    return [as_question_id(name, each) for each in value]


def as_json(name: str, value: object) -> str | None:
    """JSON text of an argument; None for None and for an empty form field."""
    if value is None or isinstance(value, str):
        return as_text(name, value)
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        throw(_("{0} cannot be read").format(name))


def is_unicode(text: str) -> bool:
    """False for half a character (a lone surrogate), which JSON can name but not store."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
