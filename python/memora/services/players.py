"""Students and seasons that have records: what must not happen to them, and what follows a change of name."""

from __future__ import annotations

from typing import Any

import frappe
from frappe import _

from memora._engine import Engine
from memora.services.engine import after_commit, engine
from memora.services.errors import frappe_errors, refuse
from memora.services.partition_manager import SEASON
from memora.services.storage import ARCHIVE, TRACKER


def refuse_to_orphan(document: Any, _event: str | None = None) -> None:
    """Keep a user or a season with records, archived or not, from being deleted (hook on_trash).

    Raises:
        frappe.LinkExistsError: there are records, or answers on their way to the table.
    """
    name = document.name
    if document.doctype == SEASON:
        has_any = any(frappe.db.exists(table, {"season": name}) for table in (TRACKER, ARCHIVE))
    else:
        has_any = has_records(name) or has_waiting_answers(name)
    if has_any:
        message = _("{0} {1} has review records and cannot be deleted.")
        refuse(message.format(_(document.doctype), name), frappe.LinkExistsError)


def before_rename(_user: Any, _event: str, old: str, new: str, merge: bool = False) -> None:
    """See to it that no answer comes under the old name after a student was renamed (hook of User).

    Raises:
        frappe.ValidationError: his answers cannot be saved now, or two students with records would be one.
    """
    if merge and has_records(old) and has_records(new):
        refuse(_("{0} and {1} both have review records and cannot be merged.").format(old, new))
    with frappe_errors():
        if has_waiting_answers(old):
            engine().drain(10.0)
    if has_waiting_answers(old):
        message = _("Answers of {0} are on their way to the database. Try again in a minute.")
        refuse(message.format(old))


def after_rename(_user: Any, _event: str, old: str, new: str, _merge: bool = False) -> None:
    """Forget what is cached under either name: the records bear the new one now (hook of User)."""
    seasons = _seasons()

    def forget(engine: Engine) -> None:
        for season in seasons:
            for name in (old, new):
                engine.cache_clear(name, season)

    after_commit(forget)


def has_records(player: str) -> bool:
    """Whether a student has records, archived or not. Season by season: each is one step in an index."""
    filters = [{"player": player, "season": season} for season in _seasons()]
    return any(frappe.db.exists(table, one) for one in filters for table in (TRACKER, ARCHIVE))


def has_waiting_answers(player: str) -> bool:
    """Whether answers of a student wait in the journal.

    Raises:
        frappe.ValidationError: the journal is out of reach.
    """
    with frappe_errors():
        return engine().has_waiting_answers(player, _seasons())


def _seasons() -> list[str]:
    return [str(season) for season in frappe.get_all(SEASON, filters={}, pluck="name")]
