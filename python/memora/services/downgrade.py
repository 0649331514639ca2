"""Whether a site's data is newer than the memora that is installed."""

from __future__ import annotations

import frappe
from frappe import _

from memora import __version__
from memora.services.errors import throw


def refuse_downgrade() -> None:
    """Stop `bench migrate` if a newer memora has migrated this site (hook before_migrate).

    What a newer memora has written, an older one may not read. A patch release changes no stored
    form, so versions are compared by their first two numbers. Frappe notes the versions of all
    apps at the end of each migration, and when an app is installed or removed: what an older memora
    finds after that is its own version, and it is not stopped.

    Raises:
        frappe.ValidationError: the site's data is newer.
    """
    app = {"app_name": "memora"}
    migrated_by = str(frappe.db.get_value("Installed Application", app, "app_version") or "")
    if _release(migrated_by) > _release(__version__):
        throw(
            _(
                "memora {0} cannot read what memora {1} has written. Nothing was changed. Install "
                "memora {1} again, or restore a backup from before it came."
            ).format(__version__, migrated_by)
        )


def _release(version: str) -> tuple[int, int]:
    """The first two numbers of a version; zeros if it is none."""
    first, _dot, rest = version.partition(".")
    second = rest.partition(".")[0]
    return (int(first), int(second)) if first.isdecimal() and second.isdecimal() else (0, 0)
