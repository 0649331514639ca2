"""Who may do what: the roles that memora brings.

At an install and at each migrate, Frappe itself makes the roles that a DocType's permissions name:
Memora Manager and Memora Teacher. It does not change existing roles, so a site's own settings of a
role (two-factor authentication, a home page) stay. With fixtures, each migrate would undo them.
Memora Metrics is in no DocType's permissions, so it is made here, in the same way.
"""

from __future__ import annotations

from typing import Final

import frappe
from frappe.utils.user import get_system_managers, get_users_with_role

SYSTEM_MANAGER: Final = "System Manager"
# May do in memora what a System Manager may do.
MANAGER: Final = "Memora Manager"
# May change subjects and topics, and read seasons and the SRS Monitor.
TEACHER: Final = "Memora Teacher"
# May read metrics, and nothing else.
METRICS: Final = "Memora Metrics"

# For `frappe.only_for`.
MANAGERS: Final = (SYSTEM_MANAGER, MANAGER)
MONITOR_READERS: Final = (*MANAGERS, TEACHER)
METRICS_READERS: Final = (*MANAGERS, METRICS)


def create_roles() -> None:
    """Make the role that no DocType names, unless it exists (after_install, after_migrate).

    It has no access to the Desk: a user with no other role is a Website User and calls with an API
    key.
    """
    if not frappe.db.exists("Role", METRICS):
        role = {"doctype": "Role", "role_name": METRICS, "desk_access": 0}
        frappe.get_doc(role).insert(ignore_permissions=True)


def managers() -> list[str]:
    """Names of the System Managers and Memora Managers, except Administrator."""
    return list(
        dict.fromkeys([*get_system_managers(only_name=True), *get_users_with_role(MANAGER)])
    )
