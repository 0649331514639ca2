"""Notifications for administrators about outages, and about answers that are not saved yet."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import frappe
from frappe import _

from memora.services.administrators import alert_administrators
from memora.services.background import enqueue_now_or_never
from memora.services.counting import counted
from memora.services.engine import engine, known_engine
from memora.services.srs_reconciliation import request_reconciliation, seasons_to_reconcile

if TYPE_CHECKING:
    from memora._engine import Engine, OutageNews

LINK: Final = "/app/game-subscription-season"
GOOD_EVENTS: Final = ("ended", "restarted")
OVERDUE_JOB: Final = "memora.services.srs_persistence.drain_overdue"


def watch() -> None:
    """Check whether cache and journal answer (every minute), to notice an outage without calls."""
    engine().check_outages()
    report_outages()


def report_outages() -> None:
    """Notify administrators of news that this process is the first to know. Raises nothing."""
    try:
        known = known_engine()
        for news in known.outage_news() if known else ():
            if known and news["event"] == "overdue":
                stand_in_for_scheduler(known)
                continue
            alert_administrators(partial(_words, news), LINK, is_good=news["event"] in GOOD_EVENTS)
            if news["event"] in ("restarted", "replaced"):
                request_all_reconciliations()
    except Exception as error:
        frappe.logger("memora").error(f"administrators could not be told of an outage: {error}")


def stand_in_for_scheduler(engine: Engine) -> None:
    """Do the scheduler's work of each minute: answers wait too long, so it may not be running."""
    enqueue_now_or_never(OVERDUE_JOB, "short")
    # The next call reports what it finds.
    engine.check_outages()


def request_all_reconciliations() -> None:
    """Compare every cached schedule, so that answers that only the cache has are saved again."""
    for season in seasons_to_reconcile():
        request_reconciliation(season, sample_size=0)


def _words(news: OutageNews) -> tuple[str, str]:
    if news["server"] == "clock":
        return (
            _("memora: answers are {0} seconds ahead of the clock.").format(news["seconds"]),
            _(
                "The clock of a web host is wrong, or was. The answers still count. Check "
                "the clocks of all hosts, then run: bench --site SITE memora mend-clock"
            ),
        )
    if news["server"] == "backlog":
        return (
            _("memora: answers have waited for {0} seconds to be saved.").format(news["seconds"]),
            _(
                "The answers are safe, and students see them. Check that a worker of the short "
                "queue runs, and look in SHOW PROCESSLIST for a transaction that locks records."
            ),
        )
    if news["event"] == "several":
        name = "redis_cache" if news["server"] == "cache" else "redis_queue"
        return (
            _("memora: hosts use different servers as {0}.").format(name),
            _(
                "Nothing is lost, and students see the right questions. Hosts that do not reach "
                "the registered server use the database instead, which is slower. "
                "Name one server's address for all hosts in common_site_config.json."
            ),
        )
    if news["event"] == "older":
        return (
            counted(
                news["submissions"],
                _("memora: MariaDB lacked 1 submission that had been saved."),
                _("memora: MariaDB lacked {0} submissions that had been saved."),
            ),
            _(
                "A replica that was behind took over, or a crash took the last commits. "
                "redis_queue still had them, and they are saved again. Other changes of that time, "
                "such as those made at the Desk, may be lost."
            ),
        )
    if news["event"] == "replaced":
        return (
            _("memora: redis_queue has lost recent data."),
            _(
                "It has lost answers that it had acknowledged. Those that the cache still has "
                "are saved again now; the SRS Jobs say how many. "
                "Check that it is durable: bench --site SITE memora make-durable"
            ),
        )
    if news["event"] == "restarted":
        return (
            _("memora: redis_queue was restarted, or is another server."),
            _(
                "It may have lost its last answers. "
                "Those that the cache still has are saved again now."
            ),
        )
    is_cache = news["server"] == "cache"
    name = "redis_cache" if is_cache else "redis_queue"
    if news["event"] == "ended":
        subject = _("memora: {0} answers again after {1} seconds.").format(name, news["seconds"])
        return subject, _("Students' reviews work as always. You need not do anything.")
    subject = _("memora: {0} does not answer.").format(name)
    if is_cache:
        message = _(
            "Reviews are in Safe Mode: few reads a minute, of at most 10 questions, "
            "from the database. Answers are saved as always. "
            "Check that redis_cache runs; memora recovers by itself."
        )
    else:
        message = _(
            "Answers are kept in the database until it answers again, and background jobs wait. "
            "Check that redis_queue runs; memora recovers by itself."
        )
    return subject, message
