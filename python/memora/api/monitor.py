"""The health of the site's reviews: for the SRS Monitor and for programs."""

from __future__ import annotations

import frappe
from werkzeug.wrappers import Response

from memora.services.errors import frappe_errors
from memora.services.metrics import CONTENT_TYPE, metrics_text
from memora.services.monitor import Health, Monitor, cache_status, monitor
from memora.services.roles import METRICS_READERS, MONITOR_READERS


@frappe.whitelist(methods=["GET", "POST"])
@frappe_errors(for_students=False)
def get_cache_status() -> Health:
    """The health of cache and journal. For Memora Managers and Memora Teachers.

    It takes the same time however many keys there are.

    Returns: redis_connected; is_safe_mode, and its cause; memory_used_mb and memory_limit_mb of the
        whole redis_cache (None: cannot be reached, no limit), maxmemory_policy, cache_warning;
        total_keys and keys_by_season: cached schedules, one for each student and season;
        memory_mb_by_season, estimated; backlog: submissions that are not in MariaDB yet,
        backlog_age_seconds of the oldest; journal {reachable, durable, warning, appendonly,
        appendfsync, maxmemory_policy, role, replicas_asked, replicas, kept_in_database,
        saved_lately, is_clock_ahead}; poison_reviews that wait.
    """
    frappe.only_for(MONITOR_READERS)
    return cache_status()


@frappe.whitelist(methods=["GET", "POST"])
@frappe_errors(for_students=False)
def get_monitor() -> Monitor:
    """All that the SRS Monitor shows. For Memora Managers and Memora Teachers.

    Returns: time; status as of get_cache_status; scheduler {state, last_run, warning} of Frappe;
        latency {calls [{call, count, p50_ms, p99_ms}] of the last hour, series [{at, calls {call:
        {count, p50_ms, p99_ms}}}] of each ten minutes of a day; its call "persistence" is how long
        submissions waited to be in MariaDB; saved_in_time_percent: how many of the last hour's were
        there within five minutes, None: there were none};
        discrepancies [{job, at, season, percent, low_percent, high_percent, records, is_sample}] of
        each season's last reconciliations, oldest first; alarming_percent: administrators are
        notified if more differs; jobs as of get_job, newest first; seasons [{name, is_active,
        is_seen, enable_redis, archive_status}]: students see one of them at most.
    """
    frappe.only_for(MONITOR_READERS)
    return monitor()


@frappe.whitelist(methods=["GET", "POST"])
@frappe_errors(for_students=False)
def get_metrics() -> Response:
    """The monitor's figures in Prometheus' text format.

    For Memora Metrics, a role for users with an API key, and for Memora Managers.
    """
    frappe.only_for(METRICS_READERS)
    return Response(metrics_text(), content_type=CONTENT_TYPE)
