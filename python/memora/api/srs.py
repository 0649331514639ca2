"""What the site's own code calls in the course of lessons, and what administrators call."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

import frappe
from frappe import _
from werkzeug.wrappers import Response

from memora.api.arguments import (
    as_json,
    as_names,
    as_player,
    as_required_text,
    as_text,
    as_whole_number,
    check_confirmed,
)
from memora.services import poison_reviews, srs_jobs
from memora.services.engine import engine
from memora.services.errors import ReviewsUnavailable, frappe_errors, refuse
from memora.services.metrics import CONTENT_TYPE, metrics_text
from memora.services.monitor import POISON, WAITING, cache_status, monitor
from memora.services.partition_manager import SEASON
from memora.services.players import export
from memora.services.poison_reviews import MOST_AT_ONCE
from memora.services.seasons import active_seasons
from memora.services.site_time import site_time
from memora.services.srs_archiver import SRSArchiver, request_archive, request_deletion
from memora.services.srs_persistence import request_drain
from memora.services.srs_reconciliation import (
    SAMPLE_SIZE,
    request_reconciliation,
    seasons_to_reconcile,
)
from memora.services.srs_redis_manager import request_rebuild

if TYPE_CHECKING:
    from memora._engine import Forgotten, SubmitAnswer

ADMINISTRATOR: Final = "System Manager"
LONGEST_PAGE: Final = 500


@frappe_errors()
def process_srs_batch(
    user: str,
    interactions: Sequence[Mapping[str, Any]],
    subject: str | None = None,
    topic: str | None = None,
) -> dict[str, Any]:
    """Take a lesson's interactions: they bring its questions into the student's reviews.

    For the site's lesson code only, which knows the student: it cannot be called over HTTP.

    Args:
        user: the student, a User; the answers count for the name that Frappe has, whatever case
            this is in.
        interactions: at most 50 of {question_id, duration_ms | time_spent_ms, attempts_count}.
        subject: Game Subject of these questions.
        topic: Game Topic of these questions.

    Returns: status, processed, persistence_job_id, remaining_items, new_stability_counts.
    """
    interactions_json = as_json("interactions", list(interactions)) or "[]"
    submitted = engine().rate(
        as_player(user), interactions_json, as_text("subject", subject), as_text("topic", topic)
    )
    return acknowledgement(submitted)


def acknowledgement(submitted: SubmitAnswer) -> dict[str, Any]:
    """What the caller is told of a durable submission; queues the drain where one is wanted."""
    if submitted["drain_wanted"]:
        request_drain()
    return {
        "status": "success",
        "processed": submitted["processed"],
        "persistence_job_id": submitted["persistence_job_id"],
        "remaining_items": submitted["remaining_items"],
        "new_stability_counts": submitted["new_stability_counts"],
    }


@frappe.whitelist(methods=["GET", "POST"])
@frappe_errors(for_students=False)
def get_poison_reviews(limit: int | str = 50, start: int | str = 0) -> dict[str, Any]:
    """Acknowledged records that could not be saved, newest first: to be replayed or dismissed.

    For System Managers.

    Args:
        limit: most of them, 1 to 500.
        start: how many to pass over.

    Returns: poison_reviews [{name, player, season, question_id, job_id, set_aside_at, reason}], and
        total, which counts past the limit.
    """
    frappe.only_for(ADMINISTRATOR)
    fields = ["name", "player", "season", "question_id", "job_id", "set_aside_at", "reason"]
    found = frappe.get_all(
        POISON,
        filters=WAITING,
        fields=fields,
        order_by="set_aside_at desc, name desc",
        limit=as_whole_number("limit", limit, 1, LONGEST_PAGE),
        limit_start=as_whole_number("start", start, 0),
    )
    return {"poison_reviews": found, "total": frappe.db.count(POISON, WAITING)}


@frappe.whitelist(methods=["POST"])
@frappe_errors(for_students=False)
def replay_poison_reviews(names: str | list[str] | None = None) -> dict[str, Any]:
    """Save records after all that were set aside, once what was in their way is gone.

    For System Managers. A newer state of a record stays as it is. What still cannot be saved keeps
    waiting, with its new reason.

    Args:
        names: names of at most 500 Poison Reviews, as a list or as JSON; without it all that wait.

    Returns: replayed, failed, and unknown: no Poison Review of that name, or replayed before. When
        more than 500 wait, they are replayed in the background: all these are 0 then, and job is
        the SRS Job.

    Raises:
        frappe.ValidationError: too many names. ReviewsUnavailable: the queue of background jobs is
        down.
    """
    frappe.only_for(ADMINISTRATOR)
    listed = as_some_names(names)
    if listed is None and poison_reviews.waiting() > MOST_AT_ONCE:
        nothing_yet = {"replayed": 0, "failed": 0, "unknown": 0}
        return nothing_yet | {"job": poison_reviews.request_replay() or refuse_without_queue()}
    report = engine().replay(listed)
    return {
        "replayed": report["replayed"],
        "failed": report["failed"],
        "unknown": report["unknown"],
    }


@frappe.whitelist(methods=["POST"])
@frappe_errors(for_students=False)
def dismiss_poison_reviews(
    names: str | list[str] | None = None, reason: str | None = None
) -> dict[str, int]:
    """Give up records that were set aside: they are kept, with the reason, and wait no more.

    For System Managers. A dismissed one can still be replayed by its name.

    Args:
        names: names of at most 500 Poison Reviews, as a list or as JSON.
        reason: why they need not be saved.

    Returns: dismissed, and unknown: none of that name waits.

    Raises:
        frappe.ValidationError: without names or a reason, or too many names.
    """
    frappe.only_for(ADMINISTRATOR)
    reason = as_required_text("reason", reason)
    listed = as_some_names(names)
    if listed is None:
        refuse(_("{0} is missing").format("names"))
    return poison_reviews.dismiss(listed, reason)


@frappe.whitelist(methods=["GET", "POST"])
@frappe_errors(for_students=False)
def get_cache_status() -> dict[str, Any]:
    """How the cache and the journal do, in the same time however many other keys there are.

    For System Managers.

    Returns: redis_connected; is_safe_mode, and its cause; memory_used_mb and memory_limit_mb of the
        whole redis_cache (None: out of reach, no limit), maxmemory_policy, cache_warning;
        total_keys and
        keys_by_season: cached schedules, one a student and season; memory_mb_by_season, estimated;
            backlog:
        submissions that are not in MariaDB yet, backlog_age_seconds of the oldest; journal
        {reachable, durable, warning, appendonly, appendfsync, maxmemory_policy}; poison_reviews
        that wait.
    """
    frappe.only_for(ADMINISTRATOR)
    return cache_status()


@frappe.whitelist(methods=["GET", "POST"])
@frappe_errors(for_students=False)
def get_monitor() -> dict[str, Any]:
    """All that the SRS Monitor shows. For System Managers.

    Returns: time; status as of get_cache_status; scheduler {state, last_run, warning} of Frappe;
        latency {calls [{call, count, p50_ms, p99_ms}] of the last hour, series [{at, calls {call:
        {count, p50_ms, p99_ms}}}] of each ten minutes of a day};
        discrepancies [{job, at, season, percent, low_percent, high_percent, records, is_sample}] of
        each season's last reconciliations, oldest first; alarming_percent, of which administrators
        are told when more differs; jobs as of get_job, newest first; seasons
        [{name, is_active, is_seen, enable_redis, archive_status}], of which students see one at
        most.
    """
    frappe.only_for(ADMINISTRATOR)
    return monitor()


@frappe.whitelist(methods=["GET", "POST"])
@frappe_errors(for_students=False)
def get_metrics() -> Response:
    """The same in Prometheus' text format. For System Managers: log in with an API key."""
    frappe.only_for(ADMINISTRATOR)
    return Response(metrics_text(), content_type=CONTENT_TYPE)


@frappe.whitelist(methods=["GET", "POST"])
@frappe_errors(for_students=False)
def get_active_seasons() -> dict[str, Any]:
    """Which season students see, and which others are active. For System Managers.

    Returns: seen: the season whose questions students see, None without an active one; unseen:
        active, too, and seen by nobody, since one active season counts.
    """
    frappe.only_for(ADMINISTRATOR)
    active = active_seasons()
    return {"seen": active[0] if active else None, "unseen": active[1:]}


@frappe.whitelist(methods=["POST"])
@frappe_errors(for_students=False)
def rebuild_season_cache(season: str | None = None) -> dict[str, str]:
    """Load all schedules of a season into the cache again, in the background. For System Managers.

    Students read and answer meanwhile.

    Returns: season; status: queued; job: the SRS Job, for get_job and cancel_job. One that is
        queued or running already is not queued again.

    Raises:
        frappe.ValidationError: the season does not use the cache, or is archived.
        frappe.DoesNotExistError: there is no such season.
        ReviewsUnavailable: the queue of background jobs is down.
    """
    frappe.only_for(ADMINISTRATOR)
    season = as_cached_season(season)
    return {
        "season": season,
        "status": "queued",
        "job": request_rebuild(season) or refuse_without_queue(),
    }


@frappe.whitelist(methods=["POST"])
@frappe_errors(for_students=False)
def trigger_reconciliation(
    sample_size: int | str = SAMPLE_SIZE, season: str | None = None
) -> dict[str, Any]:
    """Compare cached schedules with the database and correct them, in the background.

    For System Managers.

    Args:
        sample_size: students who have about so many records, drawn at random; 0: all that are
            cached.
        season: one that uses the cache; without it each that does.

    Returns: status: queued; jobs: the SRS Jobs, one a season.

    Raises: as rebuild_season_cache.
    """
    frappe.only_for(ADMINISTRATOR)
    size = as_whole_number("sample_size", sample_size, 0)
    seasons = [as_cached_season(season)] if as_text("season", season) else seasons_to_reconcile()
    jobs = [request_reconciliation(name, size) or refuse_without_queue() for name in seasons]
    return {"status": "queued", "jobs": jobs}


@frappe.whitelist(methods=["GET", "POST"])
@frappe_errors(for_students=False)
def get_job(job: str | None = None) -> dict[str, Any]:
    """How far a rebuild, a reconciliation, an archive or a deletion is, and what it did.

    For System Managers.

    Returns: name, kind, season (None: all); status: Queued, Running, Done, Cancelled, Failed, or
        Interrupted: its process is dead, and nobody goes on; requested_by, started_at, finished_at;
            done and total records
        (total is an estimate while it runs), percent; message; of a reconciliation also what it
        found.

    Raises:
        frappe.DoesNotExistError: there is no such job.
    """
    frappe.only_for(ADMINISTRATOR)
    return srs_jobs.get_job(as_job(job))


@frappe.whitelist(methods=["POST"])
@frappe_errors(for_students=False)
def cancel_job(job: str | None = None) -> dict[str, Any]:
    """Have a rebuild, reconciliation or deletion end within two seconds. For System Managers.

    What was done until then stays, and is right. One that has ended is left as it is.

    Returns: as get_job.

    Raises:
        frappe.ValidationError: it is an archive, which cannot be ended: half of it would have to be
        continued. frappe.DoesNotExistError: there is no such job.
    """
    frappe.only_for(ADMINISTRATOR)
    job = as_job(job)
    found = srs_jobs.get_job(job)
    if found["kind"] not in srs_jobs.CANCELLABLE:
        refuse(_("An archive is not cancelled: what was begun has to come to its end."))
    if found["status"] in ("Queued", "Running"):
        srs_jobs.cancel(job)
    return srs_jobs.get_job(job)


@frappe.whitelist(methods=["POST"])
@frappe_errors(for_students=False)
def archive_season(
    season: str | None = None, confirm: bool | int | str = False
) -> dict[str, str | None]:
    """Archive a season in the background, or go on with what was begun.

    For System Managers. Its records move to Archived Memory Tracker and cannot be moved back.

    Args:
        season: name of a season that is not active.
        confirm: has to be true.

    Returns: season; status: queued, or Archived when it is; job: the SRS Job, None when it is
        archived. One that is queued or running already is not queued again, and one whose process
        is dead goes on.

    Raises:
        frappe.ValidationError: not confirmed, or the season is active.
        frappe.DoesNotExistError: there is no such season.
        ReviewsUnavailable: the queue of background jobs is down.
    """
    frappe.only_for(ADMINISTRATOR)
    season = as_season(season)
    check_confirmed(
        confirm,
        _("The records of {0} move to the archive and cannot be moved back.").format(season),
    )
    is_active, status = frappe.db.get_value(SEASON, season, ["is_active", "archive_status"])
    if status == "Archived":
        return {"season": season, "status": status, "job": None}
    if is_active:
        refuse(_("{0} is active: end it first, then archive it.").format(season))
    return {
        "season": season,
        "status": "queued",
        "job": request_archive(season) or refuse_without_queue(),
    }


@frappe.whitelist(methods=["GET", "POST"])
@frappe_errors(for_students=False)
def get_archive_status(season: str | None = None) -> dict[str, Any]:
    """How far a season is on its way to the archive.

    For System Managers.

    Returns: season; status: Not Archived, Archiving or Archived; step: copying, verifying, freeing,
        clearing or done, None before; done and total records of this step (while copying, total is
        an estimate; at the end both are what was archived); percent; is_running, whether a process
        is at it now; started_at and finished_at in the site's time zone, or None.
    """
    frappe.only_for(ADMINISTRATOR)
    season = as_season(season)
    status = SRSArchiver().get_status(season)
    if status is None:
        return {
            "season": season, "status": "Not Archived", "step": None, "done": 0, "total": 0,
            "percent": 0.0, "is_running": False, "started_at": None, "finished_at": None,
        }  # fmt: skip
    is_done = status["step"] == "done"
    percent = 100.0 if is_done else 100.0 * status["done"] / max(status["total"], 1)
    return {
        **status,
        "status": "Archived" if is_done else "Archiving",
        "percent": round(percent, 1),
        "started_at": site_time(status["started_at"]),
        "finished_at": site_time(status["finished_at"]),
    }


@frappe.whitelist(methods=["POST"])
@frappe_errors(for_students=False)
def delete_eligible_archived_records(
    season: str | None = None, confirm: bool | int | str = False
) -> dict[str, str | None]:
    """Delete, in the background, the archived records that are flagged as eligible for deletion.

    For System Managers, who are notified of how many it were. They cannot be had back.

    Args:
        season: only of this season; without it of all.
        confirm: has to be true.

    Returns: season; status: queued; job: the SRS Job, as of archive_season. It can be cancelled.

    Raises:
        frappe.ValidationError: not confirmed.
        frappe.DoesNotExistError: there is no such season.
        ReviewsUnavailable: the queue of background jobs is down.
    """
    frappe.only_for(ADMINISTRATOR)
    season = as_season(season) if as_text("season", season) else None
    check_confirmed(
        confirm, _("Archived records that are flagged are deleted and cannot be had back.")
    )
    return {
        "season": season,
        "status": "queued",
        "job": request_deletion(season) or refuse_without_queue(),
    }


def as_some_names(names: object) -> list[str] | None:
    """Names of not too many documents; None for None and for an empty field of a form."""
    listed = as_names("names", names)
    if listed and len(listed) > MOST_AT_ONCE:
        refuse(_("At most {0} names at a time, not {1}.").format(MOST_AT_ONCE, len(listed)))
    return listed


@frappe.whitelist(methods=["POST"])
@frappe_errors(for_students=False)
def export_student(player: str | None = None) -> dict[str, Any]:
    """All that is kept of a student (GDPR 15). For System Managers.

    POST only: names belong in no log.

    Answers that wait in the journal are saved first.

    Returns: player, and by DocType the records, live and archived, the audit records and the Poison
        Reviews, each with all its fields.

    Raises:
        frappe.ValidationError: answers that wait cannot be saved now.
    """
    frappe.only_for(ADMINISTRATOR)
    player = as_student(player)
    return {"player": player, **export(player)}


@frappe.whitelist(methods=["POST"])
@frappe_errors(for_students=False)
def forget_student(player: str | None = None, confirm: str | None = None) -> Forgotten:
    """Erase all that is kept of a student (GDPR 17). For System Managers.

    Records, archived or not, audit records, Poison Reviews, answers that wait, and schedules. The
    user stays, and can be deleted then: one who answers again begins as a new student.

    Args:
        player: the name of the User, or what answers were saved under that is none.
        confirm: has to be the same.

    Returns: how many there were: records, archived_records, audit_records, poison_reviews,
        waiting_submissions.

    Raises:
        frappe.ValidationError: not confirmed, or a season is being archived just now.
        ReviewsUnavailable: a server is down. Calling it again goes on.
    """
    frappe.only_for(ADMINISTRATOR)
    player = as_student(player)
    if confirm != player:
        shown = html.escape(player[:140])
        refuse(
            _("All that is kept of {0} will be gone. Confirm it with the same name.").format(shown)
        )
    return engine().forget(player)


def as_student(player: object) -> str:
    """The name of a student: of a User, or of none.

    Raises:
        frappe.ValidationError: a User is called so in another case.
    """
    name = as_required_text("player", player)
    found = frappe.db.get_value("User", name, "name")
    if found and found != name:
        refuse(
            _("There is no {0}, but a user {1}.").format(
                html.escape(name[:140]), html.escape(found)
            )
        )
    return name


def as_season(season: object) -> str:
    """The name of a season that exists.

    Raises:
        frappe.DoesNotExistError: there is none of this name.
    """
    name = as_required_text("season", season)
    # MariaDB would find it in lower case, too.
    if frappe.db.exists(SEASON, name) != name:
        refuse(
            _("There is no season {0}.").format(html.escape(name[:60])), frappe.DoesNotExistError
        )
    return name


def as_cached_season(season: object) -> str:
    """The name of a season that uses the cache.

    Raises:
        frappe.DoesNotExistError: there is none of this name.
        frappe.ValidationError: it does not use the cache, or is archived.
    """
    name = as_season(season)
    uses_cache, archive_status = frappe.db.get_value(
        SEASON, name, ["enable_redis", "archive_status"]
    )
    if archive_status:
        refuse(_("{0} is archived, or on its way there: nothing of it is cached.").format(name))
    if not uses_cache:
        refuse(_("{0} does not use the cache: switch it on in the season first.").format(name))
    return name


def as_job(job: object) -> str:
    """The name of an SRS Job that exists.

    Raises:
        frappe.DoesNotExistError: there is none of this name.
    """
    name = as_required_text("job", job)
    found = frappe.db.exists(srs_jobs.JOB, name)
    if not found:
        refuse(
            _("There is no SRS Job {0}.").format(html.escape(name[:60])), frappe.DoesNotExistError
        )
    return str(found)


def refuse_without_queue() -> NoReturn:
    """Say that nothing was begun, since background jobs cannot be queued."""
    refuse(
        _("Background jobs cannot be queued: check that redis_queue runs. Nothing was begun."),
        ReviewsUnavailable,
    )
