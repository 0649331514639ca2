"""Whether a site's data is newer than the memora that is installed."""

from __future__ import annotations

import frappe
from frappe import _

from memora import __version__
from memora.services.errors import throw


def refuse_downgrade() -> None:
    """Stop `bench migrate` if a newer memora has migrated this site (hook before_migrate).

    An older memora may not be able to read what a newer one has written. A patch release changes no
    stored form, so only the first two numbers of versions are compared.
    Frappe notes the versions of all apps at the end of each migration, and when any app is
    installed or removed: after that, an older memora finds its own version and is not stopped.

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


def note_version() -> None:
    """Note which memora the site has (hook after_install), as Frappe does after each migration."""
    frappe.get_single("Installed Applications").update_versions()


def _release(version: str) -> tuple[int, int]:
    """The first two numbers of a version; zeros if the text is not a version."""
    first, _dot, rest = version.partition(".")
    second = rest.partition(".")[0]
    return (int(first), int(second)) if first.isdecimal() and second.isdecimal() else (0, 0)
