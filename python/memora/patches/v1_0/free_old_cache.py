"""Free the old schedules in the database that Frappe scans at each login."""

from memora._engine import MemoraError
from memora.services.engine import engine


def execute() -> None:
    """Free them, a part at a time. What cannot be freed now expires within a week."""
    try:
        engine().free_old_cache()
    except MemoraError as error:
        print(f"memora: old schedules in redis_cache were left to expire: {error}")
