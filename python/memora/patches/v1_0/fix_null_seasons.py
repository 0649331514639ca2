"""Give records without a season a default one."""

from memora.services import storage


def execute() -> None:
    """Give them the active season. Safe to run twice; continues a run that was killed."""
    storage.fix_null_seasons()
