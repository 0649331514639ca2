"""Numbers with their nouns, for people: "1 student", "2,000 students"."""

from __future__ import annotations

from frappe import _


def counted(count: int, one: str, many: str, *values: object) -> str:
    """A noun or a whole sentence that fits a number.

    Args:
        count: the number.
        one: the translated text for 1.
        many: the translated text for other numbers; {0} is the number.
        values: {1}, {2} ... of either text.
    """
    return (one if count == 1 else many).format(f"{count:,}", *values)


def records(count: int) -> str:
    """The number of records, with its noun."""
    return counted(count, _("1 record"), _("{0} records"))


def students(count: int) -> str:
    """The number of students, with its noun."""
    return counted(count, _("1 student"), _("{0} students"))


def answers(count: int) -> str:
    """The number of answers, with its noun."""
    return counted(count, _("1 answer"), _("{0} answers"))


def submissions(count: int) -> str:
    """The number of submissions, with its noun."""
    return counted(count, _("1 submission"), _("{0} submissions"))
