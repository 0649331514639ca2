"""Gives the tables of an existing site their keys, partitions and index."""

from memora.services import storage


def execute() -> None:
    """Bring the tables to their shape; safe to run twice."""
    storage.prepare_storage()
