"""The shape of the tables, and what must not be deleted under them."""

from __future__ import annotations

from typing import Any, Final

import frappe
from frappe import _

from memora._engine import EngineFault
from memora.services.engine import engine
from memora.services.errors import refuse
from memora.services.partition_manager import create_missing_partitions

# The field of Player Memory Tracker that links to a DocType.
LINK_FIELDS: Final = {"User": "player", "Game Subscription Season": "season"}


def prepare_storage() -> None:
    """Give the tables their keys, collation, index and partitions. Safe to run twice (hooks, patch).

    Records that stand in the way (without a season, or duplicates) are reported, and nothing is changed
    then: the site stays usable, and the next `bench migrate` tries again.
    """
    # MariaDB alters no table that an open transaction has read.
    frappe.db.commit()
    try:
        changes = engine().prepare_storage()
    except EngineFault as error:
        print(f"memora: the tables could not be prepared: {error}")
        frappe.log_error("memora: the tables could not be prepared", str(error))
        return
    for change in changes:
        print(f"memora: {change}")
    create_missing_partitions()


def refuse_to_orphan(document: Any, _method: str | None = None) -> None:
    """Keep a user or a season with records from being deleted (hook on_trash).

    Raises:
        frappe.LinkExistsError: there are records.
    """
    filters = {LINK_FIELDS[document.doctype]: document.name}
    if frappe.db.exists("Player Memory Tracker", filters):
        message = _("{0} {1} has review records and cannot be deleted.")
        refuse(message.format(_(document.doctype), document.name), frappe.LinkExistsError)
