"""Remove the old schedules from the Redis database that Frappe scans at each login."""

from memora._engine import MemoraError
from memora.services.engine import engine


def execute() -> None:
    """Remove them, a part at a time. What cannot be removed now expires within a week."""
    try:
        engine().free_old_cache()
    except MemoraError as error:
        print(f"memora: old schedules in redis_cache were left to expire: {error}")
