"""Gives records without a season a default one."""

from memora.services import storage


def execute() -> None:
    """Give them the active season; safe to run twice, and continues after it was killed."""
    storage.fix_null_seasons()
