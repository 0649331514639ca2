"""What memora tells the site's engine when documents and settings change."""

from __future__ import annotations

from collections.abc import Callable

import frappe
from frappe.model.document import Document
from frappe.utils import get_datetime_in_timezone

from memora._engine import Engine, MemoraError
from memora.services.scheduler import mend_schedule
from memora.site_engine import close_connections, engine, forget_time_zone, known_engine

__all__ = [
    "after_commit",
    "close_connections",
    "engine",
    "forget_documents",
    "known_engine",
    "notice_time_zone",
]


def after_commit(action: Callable[[Engine], object]) -> None:
    """Call the engine once the present transaction is committed.

    The document is saved by then, so a failure is only logged.
    """

    def run() -> None:
        try:
            action(engine())
        except MemoraError as error:
            frappe.logger("memora").error(f"the engine could not be told of a change: {error}")

    frappe.db.after_commit.add(run)


def notice_time_zone(settings: Document, _event: str) -> None:
    """Make all cached schedules void, and wake the jobs, when the site's time zone changes.

    The dates in the table then mean other times. Frappe calls it when System Settings are saved.
    """
    before = settings.get_doc_before_save()
    if before and before.time_zone != settings.time_zone:
        forget_time_zone()
        after_commit(lambda engine: engine.season_changed(cache_is_void=True))
        if settings.time_zone:
            mend_schedule(get_datetime_in_timezone(settings.time_zone).replace(tzinfo=None))


def forget_documents() -> None:
    """Drop what is cached about documents: season, subjects and topics (hook clear_cache)."""
    try:
        engine().season_changed()
        engine().links_changed()
    except MemoraError as error:
        frappe.logger("memora").warning(
            f"what the cache knows of documents could not be cleared: {error}"
        )
