"""How often the door (`memora.wsgi`) answered a site's calls, and why it gave others to Frappe.

A process counts in memory, and adds to a hash in redis_cache at most every ten seconds, in a call
that Frappe answers. So `bench --site SITE memora door` can be ten seconds behind, and lacks what a
process counted that has had no call since, or has died.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Final, TypedDict

import frappe

TOLD_EVERY_SECONDS: Final = 10.0
# Without calls, the hash is gone after a day.
KEPT_SECONDS: Final = 86_400
KEY: Final = "memora_door"
ANSWERED: Final = "answered"
SINCE: Final = "since"


class DoorCounts(TypedDict):
    """Calls since a time in Unix seconds; None: no process has counted any in the last day."""

    since: float | None
    answered: int
    to_frappe: dict[str, int]


class Counts:
    """What a process has counted of a site and not told yet."""

    def __init__(self) -> None:
        self._counted: Counter[str] = Counter()
        self._told_at = 0.0

    def add(self, name: str) -> None:
        """Count a call. Threads may lose one now and then."""
        self._counted[name] += 1

    def tell(self) -> None:
        """Add what was counted to the site's hash, unless that was done just now.

        Called while Frappe is connected to the site.
        """
        now = time.monotonic()
        if now < self._told_at + TOLD_EVERY_SECONDS:
            return
        self._told_at = now
        counted, self._counted = self._counted, Counter()
        key = frappe.cache.make_key(KEY)
        asked = frappe.cache.pipeline(transaction=False)
        asked.hsetnx(key, SINCE, time.time())
        for name, count in counted.items():
            asked.hincrby(key, name, count)
        asked.expire(key, KEPT_SECONDS)
        asked.execute()


def door_counts() -> DoorCounts:
    """What the processes have told of the present site."""
    # Not frappe.cache.hgetall, which expects pickled values.
    found = frappe.cache.execute_command("HGETALL", frappe.cache.make_key(KEY))
    told = {name.decode(): value for name, value in found.items()}
    since = told.pop(SINCE, None)
    answered = int(told.pop(ANSWERED, 0))
    to_frappe = {name: int(count) for name, count in told.items()}
    return {
        "since": None if since is None else float(since),
        "answered": answered,
        "to_frappe": dict(sorted(to_frappe.items(), key=lambda each: -each[1])),
    }
