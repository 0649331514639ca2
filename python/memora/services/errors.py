"""The engine's errors as Frappe's exceptions.

A message for students says what to do; the cause is in the log (logs/memora.log, and Frappe's Error
Log). A message for administrators has the cause, too.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import frappe
from frappe import _

from memora._engine import (
    InvalidInput,
    MemoraError,
    OutcomeUnknown,
    RateLimited,
    SeasonUnavailable,
    ServiceUnavailable,
)
from memora.services.messages import translated
from memora.services.outages import report_outages


class ReviewsUnavailable(frappe.ValidationError):
    """A server that the call needs is down."""

    http_status_code = 503


class ReviewsFailed(frappe.ValidationError):
    """A defect or a wrong configuration, which an administrator must correct."""

    http_status_code = 500


@contextmanager
def frappe_errors(for_students: bool = True) -> Iterator[None]:
    """Turn the engine's errors into Frappe's, without a traceback.

    Also a decorator. Notifies administrators of outages that the engine has seen meanwhile.

    Args:
        for_students: messages are for students, about their reviews; otherwise for administrators,
            about the server that failed.

    Raises:
        frappe.ValidationError: the input, or the season, cannot be used; the message says why.
        frappe.TooManyRequestsError: Safe Mode has no room; the response has `retry_after`, in
            seconds, and `message`.
        ReviewsUnavailable, ReviewsFailed: not the caller's fault.

    Responses have `error_code`, which docs/operating.md explains; those to students have it only if
    their input or the season cannot be used.
    """
    try:
        yield
    except MemoraError as error:
        frappe.flags.disable_traceback = True
        (_throw_to_student if for_students else _throw_to_administrator)(error)
    except Exception:
        frappe.flags.disable_traceback = True
        raise
    finally:
        report_outages()


def set_retry_after(response: Any = None, **_unused: Any) -> None:
    """Copy `retry_after` of a response to its Retry-After header (hook after_request)."""
    seconds = frappe.local.response.get("retry_after")
    if seconds and response is not None:
        response.headers["Retry-After"] = str(seconds)


def throw(message: str, kind: type[Exception] | None = None) -> NoReturn:
    """`frappe.throw`, typed as never returning."""
    raise frappe.throw(message, kind or frappe.ValidationError)


def _throw_to_administrator(error: MemoraError) -> NoReturn:
    message = html.escape(translated(str(error.args[0])), quote=False)
    frappe.local.response["error_code"] = error.code
    if isinstance(error, InvalidInput | SeasonUnavailable):
        throw(message)
    frappe.logger("memora").error(f"{type(error).__name__}: {error}")
    if isinstance(error, ServiceUnavailable):
        throw(_("This cannot be done now: {0}").format(message), ReviewsUnavailable)
    throw(_("memora failed: {0}").format(message), ReviewsFailed)


def _throw_to_student(error: MemoraError) -> NoReturn:
    if isinstance(error, RateLimited):
        seconds = error.args[1]
        message = _(
            "Your reviews are not available right now. Please wait {0} seconds and try again."
        ).format(seconds)
        frappe.local.response.update({"retry_after": seconds, "message": message})
        throw(message, frappe.TooManyRequestsError)
    if isinstance(error, InvalidInput | SeasonUnavailable):
        frappe.local.response["error_code"] = error.code
        # Frappe shows messages as HTML, and this one can quote what the student sent.
        throw(html.escape(translated(str(error.args[0])), quote=False))
    frappe.logger("memora").error(f"{type(error).__name__}: {error}")
    if isinstance(error, OutcomeUnknown):
        message = _(
            "Your answers may have been saved. Look at your reviews before you answer again."
        )
        throw(message, ReviewsUnavailable)
    if isinstance(error, ServiceUnavailable):
        message = _(
            "Your reviews cannot be reached, and nothing was saved. Please try again in a minute."
        )
        throw(message, ReviewsUnavailable)
    throw(_("Something went wrong on our side. Please try again later."), ReviewsFailed)
