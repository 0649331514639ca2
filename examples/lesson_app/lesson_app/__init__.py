"""An example of an app with lessons that memora schedules: docs/lessons.md."""

__version__ = "0.2.0"
