"""Safe Mode as other code of the site may want to know it."""

from __future__ import annotations

from memora.services.engine import engine
from memora.services.errors import frappe_errors


class SafeModeManager:
    """Safe Mode: the cache cannot be reached, and reads come from MariaDB.

    The engine enters and leaves it by itself, and counts its reads over all processes.
    """

    @frappe_errors()
    def is_safe_mode_active(self) -> bool:
        """Whether the next read would be in Safe Mode."""
        return not engine().cache_available()
