"""Remove duplicates of records."""

from memora.services import storage


def execute() -> None:
    """Keep the newest of each. Safe to run twice; continues a run that was killed."""
    storage.remove_duplicates()
