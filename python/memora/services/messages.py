"""The engine's messages in the student's language.

The engine speaks English, with the values in its sentences. Those that a student of a well-behaved
client can meet are listed here and in `memora/translations/`; the others tell a programmer what the
client sent wrong.
"""

from __future__ import annotations

import re
from typing import Final

from frappe import _

FROM_THE_ENGINE: Final = (
    "Nothing was saved: no season is active.",
    "{0} is archived and takes no answers any more.",
    "Nothing was saved: there are no answers.",
    "Nothing was saved: at most {0} answers at a time, not {1}.",
    "Nothing was saved: you track {0} questions already, and a season has room for {1}.",
)
_PATTERNS: Final = {
    sentence: re.compile(re.sub(r"\\\{\d\\\}", "(.+)", re.escape(sentence)))
    for sentence in FROM_THE_ENGINE
}


def translated(message: str) -> str:
    """A message of the engine in the language of the session, or as it is."""
    for sentence, pattern in _PATTERNS.items():
        if found := pattern.fullmatch(message):
            return str(_(sentence)).format(*found.groups())
    return message
