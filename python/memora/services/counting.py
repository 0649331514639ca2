"""Numbers with their nouns, for people: "1 student", "2,000 students"."""

from __future__ import annotations

from frappe import _


def counted(count: int, one: str, many: str, *values: object) -> str:
    """A text that fits a number, as a noun or a whole sentence.

    Args:
        count: the number.
        one: the translated text for 1.
        many: for any other number, which is {0} in it.
        values: {1}, {2} ... of either text.
    """
    return (one if count == 1 else many).format(f"{count:,}", *values)


def records(count: int) -> str:
    """So many records."""
    return counted(count, _("1 record"), _("{0} records"))


def students(count: int) -> str:
    """So many students."""
    return counted(count, _("1 student"), _("{0} students"))


def answers(count: int) -> str:
    """So many answers."""
    return counted(count, _("1 answer"), _("{0} answers"))


def submissions(count: int) -> str:
    """So many submissions."""
    return counted(count, _("1 submission"), _("{0} submissions"))
