"""The engine's messages in the language of the session.

The engine speaks English, with the values in its sentences. Those that a student of a well-behaved
client can meet, or an administrator at the Desk, are listed here and translated in
`memora/locale/`. The others tell a programmer what the client sent wrong, or an operator what is
wrong with a server.
"""

from __future__ import annotations

import re
from typing import Final

from frappe import _

FROM_THE_ENGINE: Final = (
    "Nothing was saved: no season is active.",
    'There is no subject "{0}".',
    'There is no topic "{0}".',
    "{0} is archived and takes no answers any more.",
    "Nothing was saved: there are no answers.",
    "Nothing was saved: at most {0} answers at a time, not {1}.",
    "Nothing was saved: you track {0} questions already, and a season has room for {1}.",
    "the {0} cannot be reached: {1}. Check that it runs; memora recovers by itself. [{2}]",
    "this process reaches another server as {0} than the one that the site has agreed on. Name one "
    "server's address for all hosts in common_site_config.json. [{1}]",
    "the {0} has moved what was asked for: {1}. Try again. [{2}]",
    "all {0} connections of this process to the {1} are in use. Try again; where it lasts, see the "
    "part on processes in docs/sizing.md. [{2}]",
    "the {0} refused a command: {1}. Check its log and its settings. [{2}]",
    "the {0} failed while answers were saved: {1}. They may have been saved. Check that it runs; "
    "memora recovers by itself. [{2}]",
    "There is no season {0}.",
    "{0} does not use the cache: switch enable_redis on first.",
    "{0} is active: students answer in it. End it first (Is Active), then archive it.",
    "Nothing was done: another process is at the {0} of {1}. See its progress in the list of SRS "
    "Jobs.",
    "{0} is no name of a season: use SEASON-YYYY or SEASON-YYYY-SUFFIX (A-Z, 0-9, _), at most {1} "
    "characters",
    "Archived Memory Tracker lacks fields of Player Memory Tracker, whose values would be lost: "
    "{0}. Add them there, then archive again.",
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
