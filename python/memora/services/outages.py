"""Outages of the cache and the journal, told to administrators once at their start and once at their end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import frappe
from frappe import _

from memora.services.administrators import alert_administrators
from memora.services.engine import engine, known_engine

if TYPE_CHECKING:
    from memora._engine import OutageNews

LINK: Final = "/app/game-subscription-season"


def watch() -> None:
    """Look whether cache and journal answer (every minute): an outage is noticed though nobody calls."""
    engine().check_outages()
    tell_administrators()


def tell_administrators() -> None:
    """Tell what this process is the first to know. Costs nothing when there is no news; raises nothing."""
    try:
        known = known_engine()
        for news in known.outage_news() if known else ():
            subject, message = _words(news)
            alert_administrators(subject, message, LINK, is_good=news["event"] == "ended")
    except Exception as error:
        frappe.logger("memora").error(f"administrators could not be told of an outage: {error}")


def _words(news: OutageNews) -> tuple[str, str]:
    is_cache = news["server"] == "cache"
    name = "redis_cache" if is_cache else "redis_queue"
    if news["event"] == "ended":
        subject = _("memora: {0} answers again after {1} seconds.").format(name, news["seconds"])
        return subject, _("Students' reviews work as always. Nothing has to be done.")
    subject = _("memora: {0} does not answer.").format(name)
    if is_cache:
        message = _(
            "Reviews are in Safe Mode: few reads a minute, of at most 10 questions, from the database. "
            "Answers are saved as always. Check that redis_cache runs; memora recovers by itself."
        )
    else:
        message = _(
            "Answers are written to the database at once, which is slower, and background jobs wait. "
            "Check that redis_queue runs; memora recovers by itself."
        )
    return subject, message
