"""The site's engine, with its settings taken from Frappe's configuration.

Both wheels have this file, beside the engine: `memora.site_engine` and `memora_engine.site_engine`.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

import frappe
from frappe.utils import get_bench_id, get_system_timezone

from ._engine import Engine, EngineFault, InvalidInput, Settings

if TYPE_CHECKING:
    from ._engine import SentinelAddress

# Keys of site_config.json, and the arguments of Settings that they set. Each comment ends with the
# default.
LIMITS: Final = {
    "srs_max_questions": "max_questions",  # most questions a student may track in a season: 20000
    # how many wrong answers make a question a leech, 0 for never: 8
    "srs_leech_lapses": "leech_lapses",
    "srs_cache_ttl_seconds": "cache_ttl_seconds",  # a student's cache expires after this: 604800
    "srs_redis_timeout_ms": "redis_timeout_ms",  # longest wait for a reply of Redis: 150
    "srs_database_timeout_ms": "database_timeout_ms",  # longest wait for a reply of MariaDB: 700
    # how many replicas of the journal must have an answer: 0, with Sentinel 1
    "srs_journal_replicas": "journal_replicas",
    "srs_trust_lease_ms": "trust_lease_ms",  # how long the cache is believed after a look: 320
}
# TLS to MariaDB: files of its CA, of our certificate, and of its key.
TLS: Final = {
    "db_ssl_ca": "database_ssl_ca",
    "db_ssl_cert": "database_ssl_cert",
    "db_ssl_key": "database_ssl_key",
}
# Where cached schedules are: by default, in a database of their own on redis_cache's server,
# because Frappe runs KEYS over its own database at each login.
CACHE_URL: Final = "srs_cache_url"
# Or the nodes of a Redis Cluster.
CACHE_CLUSTER_NODES: Final = "srs_cache_cluster_nodes"
# The Redis that keeps acknowledged answers until they are in MariaDB: by default, redis_queue. With
# use_rq_auth this key is required, because Frappe's user may then access only RQ's own keys.
JOURNAL_URL: Final = "srs_journal_url"

# Asking Frappe for the time zone costs a round trip to Redis, or SQL.
TIME_ZONE_SECONDS: Final = 60.0

# Frappe's Error Log shows local variables, but hides those with "secret" or "password" in their
# names, so variables that hold passwords have such names.

# One engine for each site, by db_name, with the settings it was made from. There is no lock,
# because one could be held while the web server forks: if two threads make an engine, one is
# wasted.
_engines: Final[dict[str, tuple[dict[str, Any], Engine]]] = {}
_time_zones: Final[dict[str, tuple[float, str]]] = {}


def engine() -> Engine:
    """The engine of the present site; a new one if its settings have changed.

    Raises:
        EngineFault: the site's configuration cannot be used.
    """
    secret_settings = _settings()
    site = secret_settings["site"]
    secret_and_engine = _engines.get(site)
    if secret_and_engine is None or secret_and_engine[0] != secret_settings:
        secret_and_engine = _engines[site] = (secret_settings, _new_engine(secret_settings))
    return secret_and_engine[1]


def known_engine() -> Engine | None:
    """The present site's last engine in this process, without checking its settings again."""
    secret_and_engine = _engines.get(frappe.local.conf.db_name)
    return secret_and_engine[1] if secret_and_engine else None


def close_connections() -> None:
    """Close connections after a background job, whose process would not (hook after_job)."""
    if used := known_engine():
        used.close()


def forget_time_zone() -> None:
    """Ask Frappe for the site's time zone again. Call it after System Settings were saved."""
    _time_zones.pop(frappe.local.conf.db_name, None)


def _new_engine(secret_settings: dict[str, Any]) -> Engine:
    try:
        return Engine(Settings(**secret_settings))
    except InvalidInput as error:
        # The configuration is wrong, not the caller's input.
        raise EngineFault(*error.args) from error


def _settings() -> dict[str, Any]:
    # Not frappe.conf: each access through that proxy costs as much as everything else here.
    secret_conf = frappe.local.conf
    secret_settings: dict[str, Any] = {
        "site": secret_conf.db_name,
        "cache_url": secret_conf.get(CACHE_URL) or None,
        "cache_cluster_nodes": _nodes(secret_conf.get(CACHE_CLUSTER_NODES)),
        "frappe_cache_url": secret_conf.redis_cache,
        "frappe_cache_sentinel": cache_sentinel(secret_conf),
        "journal_url": secret_conf.get(JOURNAL_URL) or None,
        "database_name": secret_conf.db_name,
        "database_user": secret_conf.db_user or secret_conf.db_name,
        "database_password": secret_conf.db_password,
        "database_host": secret_conf.db_host or "127.0.0.1",
        "database_port": int(secret_conf.db_port or 3306),
        "database_socket": secret_conf.db_socket or None,
        "time_zone": _time_zone(secret_conf.db_name),
    }
    # As in Frappe: all three, or no TLS.
    if all(secret_conf.get(key) for key in TLS):
        secret_settings.update({argument: secret_conf[key] for key, argument in TLS.items()})
    if not secret_settings["journal_url"]:
        if secret_sentinel := queue_sentinel(secret_conf):
            secret_settings |= {"journal_sentinel": secret_sentinel, "journal_replicas": 1}
        else:
            secret_settings["journal_url"] = queue_url(secret_conf)
    secret_settings.update(
        {argument: int(secret_conf[key]) for key, argument in LIMITS.items() if key in secret_conf}
    )
    return secret_settings


def _nodes(secret_nodes: object) -> list[str]:
    """A Redis Cluster's nodes: a list, or comma-separated text as `bench set-config` writes it."""
    parts = secret_nodes.split(",") if isinstance(secret_nodes, str) else secret_nodes or []
    if not isinstance(parts, list):
        raise EngineFault(f"{CACHE_CLUSTER_NODES} must be a list of host:port, or of URLs")
    return [str(part).strip() for part in parts if str(part).strip()]


def cache_sentinel(secret_conf: Any) -> SentinelAddress | None:
    """The sentinels that know where redis_cache is; None: its URL says so.

    As `frappe.utils.redis_wrapper.setup_cache` reads it.
    """
    return _sentinel(secret_conf, "redis_cache")


def queue_sentinel(secret_conf: Any) -> SentinelAddress | None:
    """The sentinels that know where redis_queue is; None: its URL says so.

    As `frappe.utils.redis_queue.RedisQueue.get_connection` reads it.
    """
    user, secret_password = _queue_user(secret_conf)
    return _sentinel(secret_conf, "redis_queue", user if secret_password else None, secret_password)


def _sentinel(
    secret_conf: Any, name: str, user: str | None = None, secret_password: str | None = None
) -> SentinelAddress | None:
    if not secret_conf.get(f"{name}_sentinel_enabled"):
        return None
    return {
        "sentinels": list(secret_conf.get(f"{name}_sentinels") or []),
        "master_service": secret_conf.get(f"{name}_master_service") or "",
        "sentinel_username": secret_conf.get(f"{name}_sentinel_username") or None,
        "sentinel_password": secret_conf.get(f"{name}_sentinel_password") or None,
        "master_username": secret_conf.get(f"{name}_master_username", user) or None,
        "master_password": secret_conf.get(f"{name}_master_password", secret_password) or None,
    }


def queue_url(secret_conf: Any) -> str:
    """redis_queue with the credentials that `frappe.utils.background_jobs.get_redis_conn` uses."""
    url_with_password: str = secret_conf.redis_queue
    user, password = _queue_user(secret_conf)
    if not password:
        return url_with_password
    address = urlsplit(url_with_password)
    # The URL's own values take precedence, as in redis-py.
    if address.username or address.password or address.scheme == "unix":
        return url_with_password
    return address._replace(
        netloc=f"{quote(user, '')}:{quote(password, '')}@{address.netloc}"
    ).geturl()


def _queue_user(secret_conf: Any) -> tuple[str, str | None]:
    if secret_conf.use_rq_auth:
        return secret_conf.rq_username or get_bench_id(), secret_conf.rq_password
    # Spelled as in frappe.utils.background_jobs.
    return "default", os.environ.get("RQ_ADMIN_PASWORD")


def _time_zone(site: str) -> str:
    now = time.monotonic()
    known = _time_zones.get(site)
    if known is None or known[0] < now:
        known = _time_zones[site] = (now + TIME_ZONE_SECONDS, get_system_timezone())
    return known[1]
