from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

import frappe
from memora_engine import InvalidInput, MemoraError, RateLimited, SeasonUnavailable
from memora_engine.site_engine import engine, forget_time_zone


class ReviewsUnavailable(frappe.ValidationError):
    http_status_code = 503


@contextmanager
def frappe_errors() -> Iterator[None]:
    """Answer 429 with retry_after, 417, or 503, with a message for students; the log has causes."""
    try:
        yield
    except RateLimited as error:
        frappe.local.response["retry_after"] = error.retry_after
        frappe.throw(error.args[0], frappe.TooManyRequestsError)
    except (InvalidInput, SeasonUnavailable) as error:
        frappe.throw(escape(error.args[0]))
    except MemoraError as error:
        frappe.logger("memora").error(str(error))
        frappe.throw("Reviews are out of reach. Try again in a minute.", ReviewsUnavailable)


@frappe_errors()
def get_review_session(user: str, subject: str | None = None, limit: int = 20) -> dict[str, Any]:
    due = engine().due(user, limit, subject)
    questions = [{**one, "stage_id": one["question_id"].split(":")[0]} for one in due["questions"]]
    return {**due, "questions": questions}


class SRSRedisManager:
    def get_due_items(self, user: str, season: str, limit: int = 20) -> list[str]:
        return [question_id for question_id, _ in engine().cache_due(user, season, limit)]

    def get_due_items_with_rehydration(
        self, user: str, season: str, limit: int = 20
    ) -> tuple[list[str], bool]:
        return engine().due_ids_in_season(user, season, limit)

    def add_item(self, user: str, season: str, question_id: str,
                 next_review_timestamp: float, ttl: int | None = None) -> bool:  # fmt: skip
        return self.add_batch(user, season, {question_id: next_review_timestamp}, ttl)

    def add_batch(self, user: str, season: str, items: dict[str, float],
                  ttl: int | None = None) -> bool:  # fmt: skip
        return engine().cache_add(user, season, list(items.items()), ttl) == len(items)

    def get_cache_stats(self, user: str, season: str) -> dict[str, int]:
        found = engine().cache_stats(user, season)
        stats = {"total_items": found["records"], "due_items": found["due"]}
        return {**stats, "memory_usage_bytes": found["memory_bytes"]}

    def rehydrate_user_cache(self, user: str, season: str) -> int:
        return engine().rehydrate(user, season)

    def rebuild_season_cache(self, season: str) -> int:
        return engine().rebuild(season)["done"]


def document_changed(document: Any, _event: str) -> None:
    before = document.get_doc_before_save()
    fields = ("time_zone", "enable_redis")
    is_void = bool(before) and any(before.get(name) != document.get(name) for name in fields)
    frappe.db.after_commit.add(lambda: forget_documents(is_void))


def forget_documents(cache_is_void: bool = False) -> None:
    forget_time_zone()
    try:
        engine().season_changed(cache_is_void)
        engine().links_changed()
    except MemoraError as error:  # What was saved is saved.
        frappe.logger("memora").error(str(error))
