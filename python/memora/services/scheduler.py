"""Whether Frappe's scheduler runs. It starts memora's work of each minute, hour and day."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, Literal, TypedDict

import frappe
from frappe import _
from frappe.utils import get_datetime, now_datetime
from frappe.utils.scheduler import is_dormant, is_scheduler_inactive

JOB_TYPE: Final = "Scheduled Job Type"
EACH_MINUTE: Final = "memora.services.srs_persistence.drain_safety_net"
# Frappe looks once a minute for due jobs, and a worker may be busy for a while.
LATE: Final = timedelta(minutes=5)
State = Literal["running", "inactive", "dormant", "late", "resting"]


class SchedulerStatus(TypedDict):
    """The scheduler's state, the last run of the job of each minute, and what to do."""

    state: State
    last_run: str | None
    warning: str | None


def scheduler_status() -> SchedulerStatus:
    """Whether the scheduler does the work of each minute."""
    found = frappe.db.get_value(JOB_TYPE, {"method": EACH_MINUTE}, ["last_execution", "creation"])
    last_run, creation = found or (None, None)
    last_seen = last_run or creation
    state = _state(last_seen and get_datetime(last_seen))
    return {"state": state, "last_run": last_run and str(last_run), "warning": _warning(state)}


def mend_schedule(now: datetime | None = None) -> None:
    """Wake memora's jobs that wait because their last run now seems to be in the future.

    This happens when the site's time zone moves west, or a clock is put back: Frappe would wait for
    hours. Does not commit.

    Args:
        now: naive, in the site's time zone; by default, the present.
    """
    now = now or now_datetime()
    for job in frappe.get_all(
        JOB_TYPE,
        filters={"method": ("like", "memora.%")},
        fields=["name", "last_execution", "creation"],
    ):
        if get_datetime(job["last_execution"] or job["creation"]) > now:
            frappe.db.set_value(JOB_TYPE, job["name"], "last_execution", now, update_modified=False)


def _state(last_seen: datetime | None) -> State:
    now = now_datetime()
    if is_scheduler_inactive(verbose=False):
        return "inactive"
    if is_dormant():
        return "dormant"
    if last_seen is None or last_seen < now - LATE:
        return "late"
    return "resting" if last_seen > now + LATE else "running"


def _warning(state: State) -> str | None:
    warnings: dict[State, str] = {
        "inactive": _(
            "Frappe's scheduler is switched off for this site: see System Settings, and "
            "pause_scheduler, disable_scheduler and maintenance_mode in the site's configuration."
        ),
        "dormant": _(
            "Nobody has logged in lately, so Frappe's scheduler runs once a day. Calls with an "
            "API key do not count: log in, or raise the days in System Settings (dormant_days)."
        ),
        "late": _(
            "Frappe's scheduler has not run for minutes: check bench schedule and the workers of "
            "the default queue."
        ),
        "resting": _(
            "Frappe's scheduler waits for a time that is hours away, for example after a change of "
            "the time zone. memora's own jobs run again once answers wait, or after bench memora "
            "drain."
        ),
    }
    return warnings.get(state)
