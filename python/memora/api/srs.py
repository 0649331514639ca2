"""The path that clients and the site's code use for everything but a student's review sessions.

`/api/method/memora.api.srs.get_job` and the other paths are stable, wherever their code is.
"""

from memora.api.archive import archive_season, delete_eligible_archived_records, get_archive_status
from memora.api.cache import (
    rebuild_season_cache,
    request_reconciliation,
    trigger_reconciliation,
)
from memora.api.jobs import cancel_job, get_job
from memora.api.lessons import process_srs_batch
from memora.api.monitor import get_cache_status, get_metrics, get_monitor
from memora.api.poison_reviews import (
    dismiss_poison_reviews,
    get_poison_reviews,
    replay_poison_reviews,
)
from memora.api.questions import get_retired_questions, restore_questions, retire_questions
from memora.api.scheduling import get_scheduler_report, request_training
from memora.api.seasons import get_active_seasons, get_season_forecast, get_season_summary
from memora.api.students import export_student, forget_student
from memora.api.undo import undo_last_submission

__all__ = [
    "archive_season",
    "cancel_job",
    "delete_eligible_archived_records",
    "dismiss_poison_reviews",
    "export_student",
    "forget_student",
    "get_active_seasons",
    "get_archive_status",
    "get_cache_status",
    "get_job",
    "get_metrics",
    "get_monitor",
    "get_poison_reviews",
    "get_retired_questions",
    "get_scheduler_report",
    "get_season_forecast",
    "get_season_summary",
    "process_srs_batch",
    "rebuild_season_cache",
    "replay_poison_reviews",
    "request_reconciliation",
    "request_training",
    "restore_questions",
    "retire_questions",
    "trigger_reconciliation",
    "undo_last_submission",
]
