"""The engine's messages in the language of the session.

The engine's messages are in English, with the values in their sentences. Listed here, and
translated in `memora/locale/`, are those that students can see if their client works well, those
that administrators can see at the Desk, and the SRS Monitor's warnings. The others tell a
programmer what is wrong with the input, or an operator what is wrong with a server.
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
    "{0} is archived and no longer takes answers.",
    "Nothing was saved: there are no answers.",
    "Nothing was saved: at most {0} answers at a time, not {1}.",
    "Nothing was saved: you track {0} questions already, and a season has room for {1}.",
    "Nothing was saved: the answer to {0}: answered_at is more than 2 minutes in the future: check "
    "the device's clock.",
    "Nothing was saved: the answer to {0}: answered_at is more than 30 days ago.",
    "Nothing was saved now: these answers were saved before.",
    "Nothing was undone: answers can be undone for 10 minutes.",
    "Nothing was undone: the questions have been answered again, or changed, since.",
    "Nothing was undone: these answers cannot be undone.",
    "Nothing was suspended: no season is active.",
    "Nothing was suspended: you have no such question.",
    "Nothing was suspended: you have suspended {0} questions already. Resume some first.",
    "the {0} cannot be reached: {1}. Check that it runs; memora recovers by itself. [{2}]",
    "this process does not reach the site's registered {0}. Name one server's address for all "
    "hosts in common_site_config.json. [{1}]",
    "the {0} has moved the requested data: {1}. Try again. [{2}]",
    "all {0} connections of this process to the {1} are in use. Try again; if it lasts, see the "
    "part on processes in docs/sizing.md. [{2}]",
    "{0} other submissions of the same student came first, and nothing was saved. Try again. [{1}]",
    "the {0} refused a command: {1}. Check its log and its settings. [{2}]",
    "the {0} failed while answers were being saved: {1}. They may have been saved. Check that it "
    "runs; memora recovers by itself. [{2}]",
    "There is no season {0}.",
    "{0} does not use the cache: switch enable_redis on first.",
    "{0} is active: students answer in it. End it first (Is Active), then archive it.",
    "Nothing was done: another process does the {0} of {1}. See its progress in the list of SRS "
    "Jobs.",
    "{0} is not a season name: use SEASON-YYYY or SEASON-YYYY-SUFFIX (A-Z, 0-9, _), at most {1} "
    "characters",
    "Archived Memory Tracker lacks fields of Player Memory Tracker, whose values would be lost: "
    "{0}. Add them there, then archive again.",
    "redis_queue may evict answers: set its maxmemory-policy to noeviction.",
    "redis_queue keeps answers through a crash of Redis, but a power cut can lose the last second: "
    "set appendfsync to always if that matters.",
    "redis_queue keeps answers through a crash of Redis. Whether a power cut can lose the last "
    "second is unknown: memora's user may not read appendfsync (CONFIG GET).",
    "redis_queue lets the operating system decide when answers reach the disk: set appendfsync.",
    "redis_queue loses unsaved answers when it crashes: set appendonly yes, first with CONFIG SET, "
    "then in its file.",
    "redis_queue is a replica, and takes no answers: name its primary.",
    "redis_queue has replicas ({0}), and {1}. Set srs_journal_replicas to {2}.",
    "none must confirm answers: a failover loses what the replica lacks",
    "not all must confirm answers: a failover to one of the others loses what it lacks",
    "{0} of the {1} replicas that srs_journal_replicas requires follow redis_queue. Until all do, "
    "answers are kept in MariaDB too, which takes longer.",
    "redis_cache and redis_queue are one Redis, and bench build empties redis_cache: it would "
    "delete unsaved answers. Give redis_queue a server of its own.",
    "Hosts use different servers as {0}. {1} Name one server's address for all hosts in "
    "common_site_config.json.",
    "Hosts that do not reach the registered server read from MariaDB.",
    "Hosts that do not reach the registered server keep answers in MariaDB.",
    "Database {0} of the cache's Redis has keys of other programs, such as {1}: name a database of "
    "memora's own in srs_cache_url.",
    "The cache's Redis Cluster has keys of other programs, such as {0}: name a cluster of memora's "
    "own in srs_cache_cluster_nodes.",
)
_PATTERNS: Final = {
    sentence: re.compile(re.sub(r"\\\{\d\\\}", "(.+?)", re.escape(sentence)))
    for sentence in FROM_THE_ENGINE
}


def translated(message: str) -> str:
    """A message of the engine in the language of the session, or in English."""
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
