"""Names of documents as administrators give them: anything of any type."""

from __future__ import annotations

import html

import frappe
from frappe import _

from memora.api.arguments import as_required_text
from memora.services.errors import throw
from memora.services.partition_manager import SEASON
from memora.services.srs_jobs import JOB


def as_season(season: object) -> str:
    """The name of a season that exists.

    Raises:
        frappe.DoesNotExistError: there is no season of this name.
    """
    name = as_required_text("season", season)
    # MariaDB ignores case.
    if frappe.db.exists(SEASON, name) != name:
        throw(_("There is no season {0}.").format(html.escape(name[:60])), frappe.DoesNotExistError)
    return name


def as_cached_season(season: object) -> str:
    """The name of a season that uses the cache.

    Raises:
        frappe.DoesNotExistError: there is no season of this name.
        frappe.ValidationError: it does not use the cache, or is archived.
    """
    name = as_season(season)
    uses_cache, archive_status = frappe.db.get_value(
        SEASON, name, ["enable_redis", "archive_status"]
    )
    if archive_status:
        throw(_("{0} is archived, or on its way there: it is not cached.").format(name))
    if not uses_cache:
        throw(_("{0} does not use the cache: switch it on in the season first.").format(name))
    return name


def as_job(job: object) -> str:
    """The name of an SRS Job that exists.

    Raises:
        frappe.DoesNotExistError: there is no SRS Job of this name.
    """
    name = as_required_text("job", job)
    found = frappe.db.exists(JOB, name)
    if not found:
        throw(
            _("There is no SRS Job {0}.").format(html.escape(name[:60])), frappe.DoesNotExistError
        )
    return str(found)


def as_student(player: object) -> str:
    """The name of a student, who need not be a User any more.

    Raises:
        frappe.ValidationError: a User has this name in another case.
    """
    name = as_required_text("player", player)
    found = frappe.db.get_value("User", name, "name")
    if found and found != name:
        throw(
            _("There is no {0}, but a user {1}.").format(
                html.escape(name[:140]), html.escape(found)
            )
        )
    return name
