"""Removes duplicates of records."""

from memora.services import storage


def execute() -> None:
    """Keep the newest of each; safe to run twice, and continues after it was killed."""
    storage.remove_duplicates()
