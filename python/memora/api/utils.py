"""Safe Mode, for other code of the site."""

from __future__ import annotations

from memora.api.arguments import as_player
from memora.services.engine import engine
from memora.services.errors import frappe_errors


class SafeModeManager:
    """Safe Mode: the cache cannot be reached, and reads come from MariaDB.

    The engine enters and leaves Safe Mode by itself, and counts its reads over all processes.
    """

    @frappe_errors()
    def is_safe_mode_active(self) -> bool:
        """Whether the next read would be in Safe Mode."""
        return not engine().cache_available()

    @frappe_errors()
    def check_rate_limit(self, user: str) -> bool:
        """Whether this student may read in Safe Mode now; if so, it counts as such a read.

        A student may read once in 30 seconds, and the whole site 500 times a minute.
        `memora.api.reviews.get_review_session` checks the limit itself.

        Raises:
            memora.services.errors.ReviewsUnavailable: MariaDB is down.
        """
        return engine().may_read_in_safe_mode(as_player(user))
