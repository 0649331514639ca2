"""What the site's own code calls during lessons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from memora.api.arguments import as_json, as_player, as_text
from memora.services.engine import engine
from memora.services.errors import frappe_errors
from memora.services.srs_persistence import Acknowledgement, acknowledgement, follow_up


@frappe_errors()
def process_srs_batch(
    user: str,
    interactions: Sequence[Mapping[str, Any]],
    subject: str | None = None,
    topic: str | None = None,
    submission_id: str | None = None,
) -> Acknowledgement:
    """Take a lesson's interactions, which bring its questions into the student's reviews.

    For the site's lesson code only: it cannot be called over HTTP.

    Args:
        user: the student, a User in upper or lower case; the answers count for Frappe's own
            spelling.
        interactions: at most 50 of {question_id, duration_ms | time_spent_ms, attempts_count,
            answered_at}.
        subject: Game Subject of these questions.
        topic: Game Topic of these questions.
        submission_id: a name for this call, at most 64 characters. A repeated call with the same
            name within 30 days is answered as the first time, and counts once. Review sessions and
            lessons of a student share these names.

    Returns: status, processed, persistence_job_id, remaining_items, new_stability_counts,
        leeches.

    Raises: as submit_review_session.
    """
    interactions_json = as_json("interactions", list(interactions)) or "[]"
    player = as_player(user)
    submitted = engine().rate(
        player,
        interactions_json,
        as_text("subject", subject),
        as_text("topic", topic),
        as_text("submission_id", submission_id),
    )
    follow_up(submitted, player)
    return acknowledgement(submitted)
