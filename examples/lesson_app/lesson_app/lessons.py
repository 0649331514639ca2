"""The questions, which are the app's, and the lesson that brings them into students' reviews."""

import frappe

from memora.api.srs import process_srs_batch

# A real app has them in a DocType of its own.
CARDS = {
    "fractions-1": {"text": "1/2 + 1/4 = ?", "choices": ["2/6", "3/4", "1/8"], "answer": "3/4"},
    "fractions-2": {"text": "1/2 of 1/2 = ?", "choices": ["1/4", "1", "2/2"], "answer": "1/4"},
    "fractions-3": {"text": "2/4 = ?", "choices": ["1/4", "2", "1/2"], "answer": "1/2"},
}


def load_cards(question_ids):
    """What memora adds to each due question; it leaves out the ids that it does not know."""
    return {name: CARDS[name] for name in question_ids if name in CARDS}


@frappe.whitelist()
def get_lesson():
    return [{"question_id": name, **card} for name, card in CARDS.items()]


@frappe.whitelist(methods=["POST"])
def finish_lesson(interactions: list, submission_id: str):
    """Take [{question_id, attempts_count, duration_ms, answered_at}] of the student."""
    return process_srs_batch(frappe.session.user, interactions, submission_id=submission_id)
