"""The engine's messages in the language of the session.

The engine speaks English, with the values in its sentences. Those that a student of a well-behaved
client can meet, or an administrator at the Desk, are listed here and translated in
`memora/locale/`, with what the SRS Monitor warns of. The others tell a programmer what the client
sent wrong, or an operator what is wrong with a server.
"""

from __future__ import annotations

import re
from functools import partial
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
    "{0} other submissions of the same student came first, and nothing was saved. Try again. [{1}]",
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
    "redis_queue may evict answers: set its maxmemory-policy to noeviction.",
    "redis_queue keeps answers over a crash of Redis, but a power cut can take the last second: "
    "set appendfsync to always where that matters.",
    "redis_queue keeps answers over a crash of Redis. Whether a power cut can take the last second "
    "is not known: memora's user may not ask for appendfsync (CONFIG GET).",
    "redis_queue leaves it to the system when answers reach the disk: set appendfsync.",
    "redis_queue loses unsaved answers when it crashes: set appendonly yes, first with CONFIG SET, "
    "then in its file.",
    "redis_queue is a replica, and takes no answers: name its primary.",
    "redis_queue has replicas ({0}), and {1}. Set srs_journal_replicas to {2}.",
    "none is asked whether it has an answer: a failover loses what it lacks",
    "not all are asked whether they have an answer: a failover to another one loses what it lacks",
    "{0} of the {1} replicas of redis_queue that srs_journal_replicas asks for follow it: until "
    "they do, answers are kept in MariaDB too, which takes longer.",
    "redis_cache and redis_queue are one Redis, and bench build empties redis_cache's: unsaved "
    "answers go with it. Give redis_queue a server of its own.",
    "Hosts use different servers as {0}. {1} Name one server's address for all hosts in "
    "common_site_config.json.",
    "Those that do not reach the one that counts read from MariaDB.",
    "Those that do not reach the one that counts keep answers in MariaDB.",
    "Database {0} of the cache's Redis has keys of others, such as {1}: name one of memora's own "
    "in srs_cache_url.",
    "The cache's Redis Cluster has keys of others, such as {0}: name one of memora's own in "
    "srs_cache_cluster_nodes.",
)
_PATTERNS: Final = {
    sentence: re.compile(re.sub(r"\\\{\d\\\}", "(.+?)", re.escape(sentence)))
    for sentence in FROM_THE_ENGINE
}


def translated(message: str) -> str:
    """A message of the engine in the language of the session, or as it is."""
    for sentence, pattern in _PATTERNS.items():
        if found := pattern.fullmatch(message):
            return _in_language(sentence, found)
    return message


def translated_warning(warning: str | None) -> str | None:
    """A warning of the engine, of one sentence or several, in the language of the session."""
    for sentence, pattern in _PATTERNS.items():
        warning = warning and pattern.sub(partial(_in_language, sentence), warning)
    return warning


def _in_language(sentence: str, found: re.Match[str]) -> str:
    return str(_(sentence)).format(*map(translated, found.groups()))
