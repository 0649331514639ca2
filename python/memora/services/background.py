"""Frappe's background jobs, queued without waiting for a queue that is down."""

from __future__ import annotations

from typing import Any, Final

import frappe
import redis
from redis.sentinel import Sentinel

from memora.site_engine import JOURNAL_URL, queue_sentinel, queue_url

# Frappe's own client waits for a hanging Redis without a timeout.
LOOK_SECONDS: Final = 0.2
# For work that takes hours. After this time RQ ends it, and the scheduler continues it.
LONG_SECONDS: Final = 24 * 3600


def queue_answers() -> bool:
    """Whether Frappe's queue (redis_queue) answers.

    Takes 0.4 seconds at most, and 0.4 more for each sentinel that does not answer.
    """
    try:
        with _secret_queue(frappe.local.conf) as client:
            return client.ping()
    except (redis.RedisError, OSError):
        return False


def _secret_queue(secret_conf: Any) -> redis.Redis[Any]:
    limits: Any = {"socket_timeout": LOOK_SECONDS, "socket_connect_timeout": LOOK_SECONDS}
    secret_sentinel = queue_sentinel(secret_conf)
    if not secret_sentinel:
        return redis.Redis.from_url(queue_url(secret_conf), **limits)
    secret_user = {
        "username": secret_sentinel["sentinel_username"],
        "password": secret_sentinel["sentinel_password"],
    }
    # As Frappe reads them.
    addresses: Any = [address.split(":") for address in secret_sentinel["sentinels"]]
    secret_primary: redis.Redis[Any] = Sentinel(
        addresses, sentinel_kwargs=secret_user | limits
    ).master_for(
        secret_sentinel["master_service"],
        username=secret_sentinel["master_username"],
        password=secret_sentinel["master_password"],
        **limits,
    )
    return secret_primary


def enqueue_now_or_never(method: str, queue: str, **arguments: Any) -> bool:
    """Queue a job right after the journal has answered the caller.

    Returns: False if the queue is down, which is only logged.
    """
    try:
        # The journal is the queue, unless the site keeps it elsewhere.
        if frappe.local.conf.get(JOURNAL_URL) and not queue_answers():
            raise ConnectionError("redis_queue does not answer")
        frappe.enqueue(method, queue=queue, **arguments)
    except Exception as error:
        frappe.logger("memora").error(f"{method} could not be queued: {error}")
        return False
    return True
