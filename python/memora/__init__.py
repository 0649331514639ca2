"""Spaced-repetition reviews for students: a Frappe app on a Rust engine.

`memora.api` is what clients call, `memora.services` what other apps and background jobs use, and
`memora._engine` the engine, which does the work.
"""

__version__ = "0.2.0"
