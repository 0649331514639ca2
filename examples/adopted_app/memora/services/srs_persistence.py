import json
from typing import Any
from zoneinfo import ZoneInfo

import frappe
from frappe.utils import get_datetime, get_system_timezone
from memora_engine.site_engine import engine

from memora.services.srs_redis_manager import frappe_errors


@frappe_errors()
def submit_review_session(user: str, responses: list[dict[str, Any]]) -> dict[str, Any]:
    submitted = engine().submit(user, responses=json.dumps(responses))
    if submitted["drain_wanted"]:
        frappe.enqueue("memora.services.srs_persistence.persist_review_batch", queue="short")
    return {**submitted, "status": "success"}


def persist_review_batch(
    responses: list[dict[str, Any]] | None = None, user: str = "", season: str = ""
) -> int:
    """Write waiting answers (background job), or the app's own states; returns how many."""
    if responses is None:
        return engine().drain()["answers"]
    zone = ZoneInfo(get_system_timezone())
    states = []
    for one in responses:
        date = get_datetime(one["new_next_review_date"]).replace(tzinfo=zone)
        of = one.get("subject"), one.get("topic")
        states.append((one["question_id"], one["new_stability"], date.timestamp(), *of))
    count = engine().set_states(user, season, states) if states else 0
    engine().drain(seconds=5.0)
    return count


def drain_safety_net() -> None:
    """Runs each minute. If a server is down, it fails; nothing is lost, and the next continues."""
    engine().check_outages()
    for news in engine().outage_news():
        frappe.log_error(f"memora: {news['server']} {news['event']}", str(news))
    persist_review_batch()
    engine().carry_renamed()
    if engine().check_cache():  # It was emptied.
        engine().load_recent_students(share=0.2)
