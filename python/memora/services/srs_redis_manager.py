"""The cache: one student's, for code that reads it, and the rebuild of a whole season's.

Students' own calls use `memora.api.reviews`, not this module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypedDict

import frappe
from frappe import _

from memora._engine import MemoraError
from memora.services.administrators import alert_administrators
from memora.services.counting import counted, students
from memora.services.engine import engine
from memora.services.errors import frappe_errors
from memora.services.messages import translated
from memora.services.partition_manager import SEASON
from memora.services.site_time import unix_time
from memora.services.srs_jobs import JobCancelled, at_work, request_job

if TYPE_CHECKING:
    from memora._engine import Question, RebuildProgress

REBUILD_JOB: Final = "memora.services.srs_redis_manager.rebuild_season_cache"


class StudentStats(TypedDict):
    """One student's cache of one season.

    The last three fields are other names for records, due and memory_bytes.
    """

    complete: bool
    records: int
    due: int
    memory_bytes: int
    total_items: int
    due_items: int
    memory_usage_bytes: int


class SRSRedisManager:
    """The cached schedule of one student and season: when each question is next due.

    `user` is a User, `season` a Game Subscription Season, `limit` 1 to 50. Times are Unix time in
    UTC seconds; a next review may also be a datetime, or text as Frappe writes it, and is in the
    site's time zone if it names none. All methods raise
    `memora.services.errors.ReviewsUnavailable` when a server that they need is down.

    Dates set here are in the cache only and never reach the database: submit answers with
    `memora.api.reviews`, and states that the site's own code has computed with
    `memora.services.srs_persistence.persist_review_batch`. A date that is set stays until the
    student's next answer to the question, or until the schedule is loaded again. It undoes no
    answer: stability, last review and the order of answers stay. It does not make an incomplete
    schedule complete: the student's next read loads the database's, without the date. So set only a
    date that the database has, or will have.
    """

    @frappe_errors()
    def is_available(self) -> bool:
        """Whether the cache can be used now; otherwise reads are in Safe Mode."""
        return engine().cache_available()

    @frappe_errors()
    def add_item(
        self,
        user: str,
        season: str,
        question_id: str,
        next_review_timestamp: datetime | str | float,
        ttl: int | None = None,
    ) -> bool:
        """Set one question's next review in the cache only: see the class.

        Args:
            user: the student.
            season: its name.
            question_id: the question.
            next_review_timestamp: when it is due.
            ttl: after this many seconds without an answer the student's whole cache expires; None:
                as after an answer (srs_cache_ttl_seconds).

        Returns: True: it was set.

        Raises:
            frappe.ValidationError: an invalid id, time or ttl; nothing was set.
        """
        return self.add_batch(user, season, {question_id: next_review_timestamp}, ttl)

    @frappe_errors()
    def add_batch(
        self,
        user: str,
        season: str,
        items: Mapping[str, datetime | str | float],
        ttl: int | None = None,
    ) -> bool:
        """Set the next review of many questions, by question id; otherwise as `add_item`."""
        times = [(question_id, unix_time(moment)) for question_id, moment in items.items()]
        return engine().cache_add(user, season, times, ttl) == len(items)

    @frappe_errors()
    def remove_item(self, user: str, season: str, question_id: str) -> bool:
        """Remove one question from the cache. Returns whether it was there."""
        return engine().cache_remove(user, season, question_id)

    @frappe_errors()
    def get_due_items(self, user: str, season: str, limit: int = 20) -> list[str]:
        """The ids of the questions that are due in the cache, most overdue first."""
        return [question_id for question_id, _ in engine().cache_due(user, season, limit)]

    @frappe_errors()
    def get_due_times(self, user: str, season: str, limit: int = 20) -> list[tuple[str, float]]:
        """(question id, Unix time) of the questions due in the cache, most overdue first."""
        return engine().cache_due(user, season, limit)

    @frappe_errors()
    def get_due_items_with_rehydration(
        self, user: str, season: str, limit: int = 20
    ) -> tuple[list[str], bool]:
        """The ids of the due questions, most overdue first, and whether MariaDB was read.

        An incomplete cache is loaded first. If the cache is down, or the season does not use it,
        MariaDB is read instead.
        """
        return engine().due_ids_in_season(user, season, limit)

    @frappe_errors()
    def get_due_questions(self, user: str, season: str, limit: int = 20) -> list[Question]:
        """The due questions with their states, as for `get_due_items_with_rehydration`."""
        return engine().due_in_season(user, season, limit)

    @frappe_errors()
    def get_all_scores(self, user: str, season: str) -> dict[str, float]:
        """The next review of every cached question, as Unix time by question id."""
        return engine().cache_scores(user, season)

    @frappe_errors()
    def count_due_items(self, user: str, season: str) -> int:
        """How many cached questions are due."""
        return engine().cache_count_due(user, season)

    @frappe_errors()
    def clear_user_cache(self, user: str, season: str) -> bool:
        """Drop the student's cache; the next read loads it. Returns whether there was one."""
        return engine().cache_clear(user, season)

    @frappe_errors()
    def get_cache_stats(self, user: str, season: str) -> StudentStats:
        """What is cached, and its size in bytes."""
        stats = engine().cache_stats(user, season)
        return {
            **stats,
            "total_items": stats["records"],
            "due_items": stats["due"],
            "memory_usage_bytes": stats["memory_bytes"],
        }


def rebuild_season_cache(season: str, job: str | None = None) -> RebuildProgress | None:
    """Load a season's schedules into the cache again, and notify administrators (background job).

    Args:
        season: name of a season that uses the cache.
        job: the SRS Job of the request.

    Returns: what was done; None if it failed or was cancelled, or the season was deleted.
    """
    if not job and not frappe.db.exists(SEASON, season):
        # The season was deleted while its rebuild waited.
        return None
    link = f"/app/game-subscription-season/{season}"
    try:
        rebuilt = rebuild_season(season, job)
    except JobCancelled:
        return None
    except MemoraError as error:
        cause = str(error)
        alert_administrators(
            lambda: (
                _("The cache of {0} could not be rebuilt").format(season),
                _(
                    "Students are not affected: what is not cached is loaded when it is read. "
                    "The cause: {0}"
                ).format(translated(cause)),
            ),
            link,
        )
        return None
    alert_administrators(
        lambda: (_("The cache of {0} is rebuilt").format(season), summary(rebuilt)),
        link,
        is_good=True,
    )
    return rebuilt


def rebuild_season(
    season: str,
    job: str | None = None,
    on_progress: Callable[[RebuildProgress], object] | None = None,
    share: float = 1.0,
) -> RebuildProgress:
    """Load all schedules of a season into the cache again. Commits.

    Args:
        season: name of a season that uses the cache.
        job: the SRS Job of the request; by default, a new one.
        on_progress: called after each piece of work; an exception from it ends the work.
        share: of the time in which the servers work on it.

    Raises:
        JobCancelled: an administrator has cancelled it.
        memora._engine.MemoraError: the season does not use the cache, or a server is down.
    """
    with at_work("Rebuild", season, job) as work:
        rebuilt = engine().rebuild(season, work.progress_callback(on_progress), share)
        work.end("Done", summary(rebuilt), done=rebuilt["done"], total=rebuilt["total"])
    return rebuilt


def summary(rebuilt: RebuildProgress) -> str:
    """What was rebuilt, in a sentence."""
    return counted(
        rebuilt["done"],
        _("1 record of {1} is cached."),
        _("{0} records of {1} are cached."),
        students(rebuilt["students"]),
    )


def request_rebuild(season: str) -> str | None:
    """Queue a rebuild. Returns the SRS Job; None if the queue is down."""
    return request_job("Rebuild", season, REBUILD_JOB)


def rebuild_soon(season: str) -> None:
    """Queue a rebuild for a season that begins to use the cache.

    A failure is only logged: reads load what is not cached.
    """
    try:
        if request_rebuild(season):
            return
        error: object = "redis_queue does not answer"
    except Exception as failure:
        error = failure
    frappe.logger("memora").error(f"the rebuild of {season} could not be queued: {error}")
