import json
from typing import Any

import frappe
from memora_engine.site_engine import engine

from memora.services.srs_redis_manager import frappe_errors


@frappe_errors()
def submit_review_session(user: str, responses: list[dict[str, Any]]) -> dict[str, Any]:
    """What `api.reviews.submit_review_session` answers, once the answers are durable."""
    submitted = engine().submit(user, responses=json.dumps(responses))
    if submitted["drain_wanted"]:
        frappe.enqueue("memora.services.srs_persistence.persist_review_batch", queue="short")
    return {**submitted, "status": "success"}


def persist_review_batch() -> int:
    """Write what waits to the table (background job): how many answers."""
    return engine().drain()["answers"]


def drain_safety_net() -> None:
    """Each minute. A server that is down fails it: nothing is lost, and the next minute goes on."""
    engine().check_outages()
    for news in engine().outage_news():
        frappe.log_error(f"memora: {news['server']} {news['event']}", str(news))
    persist_review_batch()
    engine().carry_renamed()
    if engine().check_cache():  # It was emptied.
        engine().load_recent_students(share=0.2)
