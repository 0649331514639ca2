"""The app's questions, and the lesson that brings them into students' reviews."""

import frappe

from memora.api.srs import process_srs_batch

# A real app keeps its questions in a DocType.
CARDS = {
    "fractions-1": {"text": "1/2 + 1/4 = ?", "choices": ["2/6", "3/4", "1/8"], "answer": "3/4"},
    "fractions-2": {"text": "1/2 of 1/2 = ?", "choices": ["1/4", "1", "2/2"], "answer": "1/4"},
    "fractions-3": {"text": "2/4 = ?", "choices": ["1/4", "2", "1/2"], "answer": "1/2"},
}


def load_cards(question_ids):
    """The cards that memora adds to due questions; unknown ids are left out."""
    return {name: CARDS[name] for name in question_ids if name in CARDS}


@frappe.whitelist()
def get_lesson():
    return [{"question_id": name, **card} for name, card in CARDS.items()]


@frappe.whitelist(methods=["POST"])
def finish_lesson(interactions: list, submission_id: str):
    """Take the student's [{question_id, attempts_count, duration_ms, answered_at}]."""
    return process_srs_batch(frappe.session.user, interactions, submission_id=submission_id)
