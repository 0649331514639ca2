"""Give the tables of an existing site their keys, partitions and index."""

from memora.services import storage


def execute() -> None:
    """Prepare the tables; safe to run twice."""
    storage.prepare_storage()
