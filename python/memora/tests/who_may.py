"""Who may call which method, and do what with which DocType: a decision for each.

Two tests read it: `tests/app/test_roles.py` on the stand-in, and `test_roles.py` here on a real
site. A missing decision fails both.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Final

import memora
from memora.services.roles import MANAGER, MANAGERS, METRICS, SYSTEM_MANAGER, TEACHER

# Every user who is logged in.
STUDENT: Final = "a student"
GUEST: Final = "Guest"
EVERY_ROLE: Final = (GUEST, STUDENT, TEACHER, MANAGER, METRICS, SYSTEM_MANAGER)
LOGGED_IN: Final = tuple(role for role in EVERY_ROLE if role != GUEST)

METHODS: Final[dict[str, tuple[str, ...]]] = {
    "memora.api.archive.archive_season": MANAGERS,
    "memora.api.archive.delete_eligible_archived_records": MANAGERS,
    "memora.api.archive.get_archive_status": MANAGERS,
    "memora.api.cache.rebuild_season_cache": MANAGERS,
    "memora.api.cache.request_reconciliation": MANAGERS,
    "memora.api.cache.trigger_reconciliation": MANAGERS,
    # Users who may read the DocType: ARGUMENTS names one.
    "memora.api.counts.get_count": MANAGERS,
    "memora.api.demo_data.clear_demo_data": MANAGERS,
    "memora.api.demo_data.make_demo_data": MANAGERS,
    "memora.api.desk.answers_today": (*MANAGERS, TEACHER),
    "memora.api.desk.backlog": (*MANAGERS, TEACHER),
    "memora.api.desk.calls_of_students": (*MANAGERS, TEACHER),
    "memora.api.desk.reviews_due": (*MANAGERS, TEACHER),
    "memora.api.desk.students_active_today": (*MANAGERS, TEACHER),
    "memora.api.desk.time_to_answer": (*MANAGERS, TEACHER),
    "memora.api.desk.waiting_poison_reviews": (*MANAGERS, TEACHER),
    "memora.api.jobs.cancel_job": MANAGERS,
    "memora.api.jobs.get_job": (*MANAGERS, TEACHER),
    "memora.api.monitor.get_cache_status": (*MANAGERS, TEACHER),
    "memora.api.monitor.get_metrics": (*MANAGERS, METRICS),
    "memora.api.monitor.get_monitor": (*MANAGERS, TEACHER),
    "memora.api.poison_reviews.dismiss_poison_reviews": MANAGERS,
    "memora.api.poison_reviews.get_poison_reviews": MANAGERS,
    "memora.api.poison_reviews.replay_poison_reviews": MANAGERS,
    "memora.api.questions.get_retired_questions": MANAGERS,
    "memora.api.questions.restore_questions": MANAGERS,
    "memora.api.questions.retire_questions": MANAGERS,
    "memora.api.reviews.get_forecast": LOGGED_IN,
    "memora.api.reviews.get_persistence_status": LOGGED_IN,
    "memora.api.reviews.get_review_session": LOGGED_IN,
    "memora.api.reviews.get_suspended_questions": LOGGED_IN,
    "memora.api.reviews.resume_question": LOGGED_IN,
    "memora.api.reviews.submit_review_session": LOGGED_IN,
    "memora.api.reviews.suspend_question": LOGGED_IN,
    "memora.api.scheduling.get_scheduler_report": MANAGERS,
    "memora.api.scheduling.request_training": MANAGERS,
    "memora.api.seasons.get_active_seasons": (*MANAGERS, TEACHER),
    "memora.api.seasons.get_season_forecast": (*MANAGERS, TEACHER),
    "memora.api.seasons.get_season_summary": (*MANAGERS, TEACHER),
    "memora.api.students.export_student": MANAGERS,
    "memora.api.students.forget_student": MANAGERS,
    "memora.api.undo.undo_last_submission": LOGGED_IN,
}
# Calls have no arguments, except for these, because a refusal comes before anything else.
ARGUMENTS: Final = {
    "memora.api.counts.get_count": {"doctype": "Player Memory Tracker"},
    "memora.api.poison_reviews.replay_poison_reviews": {"names": '["none"]'},
    "memora.api.cache.trigger_reconciliation": {"season": "none"},
}
# On a real site only users who are refused call them: they would remove people's data.
NOT_TRIED: Final = ("memora.api.demo_data.clear_demo_data",)

# Who may do what with a DocType's documents; all others may do nothing.
PERMISSIONS: Final = ("read", "write", "create", "delete", "submit", "report", "export", "import")
DOCTYPES: Final[dict[str, dict[str, str]]] = {
    "Archived Memory Tracker": dict.fromkeys(MANAGERS, "read write report export"),
    "Game Subject": {
        **dict.fromkeys(MANAGERS, "read write create delete report export"),
        TEACHER: "read write create report export",
    },
    "Game Subscription Season": {
        **dict.fromkeys(MANAGERS, "read write create delete report export"),
        TEACHER: "read report",
    },
    "Game Topic": {
        **dict.fromkeys(MANAGERS, "read write create delete report export"),
        TEACHER: "read write create report export",
    },
    "Memory Review Audit": dict.fromkeys(MANAGERS, "read report export"),
    "Player Memory Tracker": dict.fromkeys(MANAGERS, "read write create delete report"),
    "Poison Review": dict.fromkeys(MANAGERS, "read report export"),
    "Retired Question": dict.fromkeys(MANAGERS, "read"),
    "SRS Job": {
        **dict.fromkeys(MANAGERS, "read delete report export"),
        TEACHER: "read report",
    },
}
PAGES: Final = {"srs-monitor": (*MANAGERS, TEACHER)}
WORKSPACES: Final = {"Memora": (*MANAGERS, TEACHER)}
CHARTS: Final = {
    "Calls of Students": (*MANAGERS, TEACHER),
    "Time to Answer": (*MANAGERS, TEACHER),
}
# Frappe shows a card to those who may read its DocType.
CARDS: Final = {
    "Answers Today": "SRS Job",
    "Poison Reviews Waiting": "Poison Review",
    "Reviews Due": "SRS Job",
    "Students Active Today": "SRS Job",
    "Submissions Waiting to Be Saved": "SRS Job",
}


def import_everything() -> None:
    """Import all modules: a whitelisted method is known once its module is imported."""
    for module in pkgutil.walk_packages(memora.__path__, "memora."):
        if not module.name.startswith("memora.tests"):
            importlib.import_module(module.name)
