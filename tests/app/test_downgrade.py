"""`bench migrate` with an older memora than the one that has migrated the site."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import frappe
import pytest

from memora import __version__
from memora.services.downgrade import refuse_downgrade
from tests.support.site_under_test import Site

App = Callable[..., None]
FIRST, SECOND, PATCH = (int(part) for part in __version__.split("."))


@pytest.fixture
def installed(site: Site, app: App) -> Iterator[Site]:
    """A site with Frappe's table of the apps' versions."""
    app()
    site.sql(
        "CREATE TABLE `tabInstalled Application` "
        "(name VARCHAR(140) PRIMARY KEY, app_name VARCHAR(140), app_version VARCHAR(140))"
    )
    yield site
    # Its transaction has read the table.
    frappe.local.db.rollback()
    site.sql("DROP TABLE `tabInstalled Application`")


def migrated_by(site: Site, version: str) -> None:
    site.sql(
        "INSERT INTO `tabInstalled Application` VALUES ('a', 'frappe', '99.0.0'), (%s, %s, %s)",
        ("b", "memora", version),
    )


@pytest.mark.parametrize(
    "version", [f"{FIRST}.{SECOND + 1}.0", f"{FIRST + 1}.0.0", f"{FIRST}.{SECOND + 10}.0-beta"]
)
def test_data_of_a_newer_memora_is_refused(installed: Site, version: str) -> None:
    migrated_by(installed, version)
    with pytest.raises(frappe.ValidationError, match=f"memora {__version__} cannot .*{version}"):
        refuse_downgrade()


@pytest.mark.parametrize(
    "version",
    [__version__, f"{FIRST}.{SECOND}.{PATCH + 1}", f"{FIRST}.{SECOND - 1}.9", "UNVERSIONED", ""],
)
def test_other_data_is_migrated(installed: Site, version: str) -> None:
    migrated_by(installed, version)
    refuse_downgrade()


def test_a_site_without_memora_is_migrated(installed: Site) -> None:
    refuse_downgrade()
