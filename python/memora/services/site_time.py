"""Unix time, which the engine speaks, and dates in the site's time zone, which Frappe stores."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from frappe.utils import get_datetime, get_system_timezone


def unix_time(moment: datetime | str | float) -> float:
    """Unix time of a datetime, which is in the site's time zone if it names none.

    When clocks are set back, the earlier of the two readings counts, as everywhere in memora.
    """
    if isinstance(moment, int | float):
        return float(moment)
    date: datetime = get_datetime(moment)
    if date.tzinfo is None:
        date = date.replace(tzinfo=ZoneInfo(get_system_timezone()))
    return date.timestamp()


def site_time(seconds: float | None) -> str | None:
    """Unix time as Frappe writes it, in the site's time zone."""
    if seconds is None:
        return None
    return str(
        datetime.fromtimestamp(seconds, ZoneInfo(get_system_timezone())).replace(tzinfo=None)
    )
