"""The site's health, as administrators and Prometheus see it."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from memora._engine import Engine
from memora.api import srs
from memora.commands import memora
from memora.services import metrics, monitor
from tests import frappe_standin as frappe
from tests.administrators.test_archive import ended_season
from tests.administrators.test_jobs import manager, rows
from tests.administrators.test_rebuild import STUDENTS, check_truth, school
from tests.administrators.test_reconcile import forget
from tests.support.servers import wait_until
from tests.support.site_under_test import (
    BELIEVING,
    PLAYER,
    SCHEDULE,
    SEASON,
    Record,
    Site,
    session,
)

__all__ = ["manager", "school"]

App = Callable[..., None]


# -- get_cache_status
# -----------------------------------------------------------------------------------
def test_the_status_of_a_healthy_site(manager: Site, engine: Engine) -> None:
    engine.rebuild(SEASON)
    engine.submit(STUDENTS[0], session_data=session("q1"))
    status = srs.get_cache_status()
    assert (status["redis_connected"], status["is_safe_mode"], status["cause"]) == (
        True,
        False,
        None,
    )
    assert (status["total_keys"], status["keys_by_season"]) == (40, {SEASON: 40})
    assert status["memory_used_mb"] > status["memory_mb_by_season"][SEASON] > 0
    assert (status["memory_limit_mb"], status["maxmemory_policy"]) == (1024.0, "allkeys-lru")
    assert status["backlog"] == 1
    assert 0 <= status["backlog_age_seconds"] < 60
    assert status["journal"]["durable"]
    assert status["poison_reviews"] == 0
    manager.insert("Poison Review", name="p", player=PLAYER)
    frappe.local.db.commit()
    assert srs.get_cache_status()["poison_reviews"] == 1


def test_the_estimated_memory_is_about_what_it_is(manager: Site, engine: Engine) -> None:
    engine.rebuild(SEASON)
    actual = sum(
        manager.cache.memory_usage(manager.key(family, student)) or 0
        for student in STUDENTS
        for family in SCHEDULE
    )
    found = engine.cache_status([SEASON])["seasons"][SEASON]
    assert found["memory_bytes"] == pytest.approx(actual, rel=0.1)


def test_each_season_and_site_is_counted_apart(
    manager: Site, other_site: Site, engine: Engine
) -> None:
    ended = ended_season(manager, questions=1)
    for student in STUDENTS[:3]:
        engine.rehydrate(student, ended)
    engine.rehydrate(STUDENTS[0], SEASON)
    other_site.engine().rehydrate(STUDENTS[0], SEASON)
    frappe.local.db.rollback()
    assert srs.get_cache_status()["keys_by_season"] == {SEASON: 1, ended: 3}
    engine.cache_clear(STUDENTS[0], SEASON)
    assert srs.get_cache_status()["keys_by_season"] == {ended: 3}


def test_what_has_expired_or_was_evicted_is_not_counted(manager: Site, engine: Engine) -> None:
    engine.rebuild(SEASON)
    for student in STUDENTS[:20]:
        manager.cache.delete(manager.key("srs", student), manager.key("srs-detail", student))
    evicted = engine.cache_status([SEASON])["seasons"][SEASON]
    # An estimate, from some of them.
    assert 8 <= evicted["students"] <= 32
    manager.cache.zadd(f"{manager.name}|srs-students:{SEASON}", dict.fromkeys(STUDENTS[:20], 1.0))
    assert engine.cache_status([SEASON])["seasons"][SEASON]["students"] == 20


def test_a_student_is_listed_as_long_as_he_is_cached(manager: Site, engine: Engine) -> None:
    listed, student = f"{manager.name}|srs-students:{SEASON}", STUDENTS[0]
    engine.submit(student, session_data=session("q1"))
    # That was long ago; now they answer again, and their schedule lives again.
    manager.cache.zadd(listed, {student: time.time() + 10})
    manager.cache.expire(manager.key("srs", student), 10)
    engine.submit(student, session_data=session("q1"))
    ends = time.time() + manager.cache.ttl(manager.key("srs", student))
    assert ends > time.time() + 1000
    assert manager.cache.zscore(listed, student) == pytest.approx(ends, abs=60)


@pytest.mark.engines(**BELIEVING)
def test_the_status_takes_the_same_few_steps_with_any_number_of_keys(
    manager: Site, engine: Engine
) -> None:
    engine.rebuild(SEASON)

    def steps() -> tuple[int, int]:
        with manager.counting() as costs:
            engine.cache_status([SEASON])
        return costs[0].cache_round_trips, costs[0].statements

    engine.cache_status([SEASON])
    manager.cache.config_resetstat()
    few = steps()
    # One statement, prepared before: whether hosts use different servers.
    assert few == (4, 2)
    # All that a schedule is in, by subject too, of 32 students, not of all.
    counted = manager.cache.info("commandstats")
    # Redis 6.2 counts all that begins with MEMORY.
    name = "cmdstat_memory|usage" if "cmdstat_memory|usage" in counted else "cmdstat_memory"
    assert counted[name]["calls"] == 32 * (len(SCHEDULE) + 1)
    for first in range(0, 100_000, 10_000):
        manager.cache.mset({f"foreign{number}": "x" for number in range(first, first + 10_000)})
    assert steps() == few
    assert engine.cache_status([SEASON])["seasons"][SEASON]["students"] == 40


@pytest.mark.parametrize("server", ["cache", "journal"])
def test_a_server_that_is_down_is_part_of_the_status(
    manager: Site, engine: Engine, server: str
) -> None:
    # While the journal is down, processes that believed the cache before still do.
    engine.due(STUDENTS[0])
    getattr(manager.servers, server).kill()
    status = srs.get_cache_status()
    assert status["redis_connected"] is (server != "cache")
    assert status["is_safe_mode"] is (server == "cache")
    assert status["journal"]["reachable"] is (server != "journal")
    if server == "cache":
        assert "redis_cache" in status["cause"]
        assert (status["memory_used_mb"], status["total_keys"], status["keys_by_season"]) == (
            None,
            0,
            {},
        )
    else:
        assert "redis_queue" in status["journal"]["warning"]
    assert srs.get_monitor()["status"]["redis_connected"] is (server != "cache")
    assert f"memora_{server}_up 0.0" in metrics.metrics_text()


# -- latency
# ----------------------------------------------------------------------------------------------
def test_calls_are_counted_by_kind(manager: Site, engine: Engine) -> None:
    for _ in range(3):
        engine.due(STUDENTS[0])
    engine.submit(STUDENTS[0], session_data=session("q1"))
    manager.sql("UPDATE `tabGame Subscription Season` SET enable_redis = 0")
    engine.season_changed(True)
    engine.due(STUDENTS[0])
    report = engine.latency()
    counted = {name: call["count"] for name, call in report["last_hour"].items()}
    assert counted == {"cold read": 1, "warm read": 2, "submit": 1, "database read": 1}
    assert {name: call["count"] for name, call in report["all"].items()} == counted
    # In one slot of time, or in two if the next one has begun meanwhile.
    in_slots = Counter[str]()
    for slot in report["series"]:
        in_slots.update({name: call["count"] for name, call in slot["calls"].items()})
    assert (in_slots, len(report["series"]) in (1, 2)) == (counted, True)
    for call in report["all"].values():
        assert 0 < call["p50_ms"] <= call["p99_ms"]
        assert sum(count for _bound, count in call["buckets"]) == call["count"]
        assert call["sum_ms"] > 0


def test_calls_of_all_processes_are_counted_once(manager: Site) -> None:
    engines = [manager.engine() for _ in range(3)]
    for engine in engines:
        engine.due(STUDENTS[0])
    total = 0
    for _ in range(2):
        for engine in engines:
            total = sum(call["count"] for call in engine.latency()["all"].values())
    assert total == 3


def test_reads_in_safe_mode_are_counted_when_the_cache_is_back(
    manager: Site, engine: Engine
) -> None:
    manager.servers.cache.kill()
    assert engine.due(STUDENTS[0])["is_degraded"]
    assert monitor.latency() == {"calls": [], "series": [], "saved_in_time_percent": None}
    manager.servers.cache.start()
    assert wait_until(engine.cache_available)
    assert engine.latency()["all"]["safe mode read"]["count"] == 1


def test_how_long_submissions_wait_to_be_saved_is_counted_once(
    manager: Site, engine: Engine
) -> None:
    assert monitor.latency()["saved_in_time_percent"] is None
    for question in ("q1", "q2"):
        engine.submit(STUDENTS[0], session_data=session(question))
    assert "persistence" not in engine.latency()["all"]
    assert engine.drain()["submissions"] == 2
    # The process that drains tells at once: a job's process ends with it.
    assert manager.engine().latency()["all"]["persistence"]["count"] == 2
    assert engine.drain()["submissions"] == 0
    waited = engine.latency()["all"]["persistence"]
    assert waited["count"] == 2
    assert 0 < waited["sum_ms"] < 300_000
    assert monitor.latency()["saved_in_time_percent"] == 100
    families = text_string_to_metric_families(metrics.metrics_text())
    samples = [each for family in families for each in family.samples]
    named = [each for each in samples if each.name.startswith("memora_persistence_seconds")]
    buckets = {each.labels["le"]: each.value for each in named if "le" in each.labels}
    assert buckets["300"] == buckets["+Inf"] == 2
    assert "persistence" not in {each.labels.get("call") for each in samples}


def test_a_submission_that_waited_longer_was_not_saved_in_time(
    manager: Site, engine: Engine
) -> None:
    engine.submit(STUDENTS[0], session_data=session("q1"))
    engine.drain()
    manager.servers.journal.kill()
    engine.submit(STUDENTS[0], session_data=session("q2"))
    manager.servers.journal.start()
    manager.sql("UPDATE memora_journal SET kept_at_us = kept_at_us - 301000000")
    assert wait_until(lambda: engine.journal_status()["reachable"])
    assert engine.drain()["submissions"] == 1
    assert monitor.latency()["saved_in_time_percent"] == 50
    assert "50.00% of the submissions were saved" in run(manager, "status").output


# -- Prometheus
# -------------------------------------------------------------------------------------------
def test_prometheus_can_read_the_metrics(manager: Site, engine: Engine) -> None:
    engine.rebuild(SEASON)
    forget(manager, STUDENTS[0], "q1", "q2")
    frappe.recorded.at_once = True
    srs.request_reconciliation(0, SEASON)
    engine.due(STUDENTS[0])
    engine.submit(STUDENTS[0], session_data=session("q1"))
    engine.latency()
    answer = srs.get_metrics()
    assert answer.content_type.startswith("text/plain")
    families = {
        family.name: family
        for family in text_string_to_metric_families(answer.get_data(as_text=True))
    }
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for family in families.values()
        for sample in family.samples
    }
    assert (
        values["memora_cache_up",]
        == values["memora_journal_up",]
        == values["memora_journal_durable",]
        == 1
    )
    assert values["memora_safe_mode",] == 0
    assert values["memora_backlog_submissions",] == 1
    assert values["memora_cached_schedules", SEASON] == 40
    assert values["memora_discrepancy_ratio", SEASON] == pytest.approx(0.002)
    assert values["memora_call_seconds_count", "warm read"] == 1
    buckets = [
        sample.value
        for sample in families["memora_call_seconds"].samples
        if sample.name.endswith("_bucket") and sample.labels["call"] == "submit"
    ]
    assert buckets == sorted(buckets)
    assert buckets[-1] == 1
    assert all(family.documentation for family in families.values())


# -- commands
# ---------------------------------------------------------------------------------------------
def run(site: Site, *arguments: str) -> Any:
    return CliRunner().invoke(memora, arguments, obj=SimpleNamespace(sites=[site.name]))


def shown(site: Site, *arguments: str) -> dict[str, Any]:
    """A command's output with --json."""
    done = run(site, *arguments, "--json")
    assert done.exit_code == 0, done.output
    return dict(json.loads(done.output))


def test_the_command_counts_only_what_it_can_while_the_journal_is_down(manager: Site) -> None:
    manager.servers.journal.kill()
    assert "is down, what waits in it cannot be counted" in run(manager, "status").output
    manager.engine().submit(PLAYER, session("q"))
    assert "is down, 1 submission waits, for " in run(manager, "status").output


def test_the_command_shows_the_status(manager: Site, engine: Engine) -> None:
    engine.rebuild(SEASON)
    engine.due(STUDENTS[0])
    engine.latency()
    run(manager, "reconcile", SEASON)
    manager.insert("Poison Review", name="p", player=PLAYER)
    done = run(manager, "status")
    assert done.exit_code == 0, done.output
    for part in (
        "cache     answers",
        f"{SEASON}: 40 students",
        "no submission waits",
        "poison    1",
        "Warm read",
    ):
        assert part in done.output
    assert "Reconciliation" in done.output
    assert shown(manager, "status")["status"]["total_keys"] == 40
    assert "memora_cache_up 1.0" in run(manager, "status", "--prometheus").output
    manager.servers.cache.kill()
    assert "Safe Mode" in run(manager, "status").output


def test_the_command_rebuilds(manager: Site) -> None:
    done = run(manager, "rebuild", SEASON)
    assert done.exit_code == 0, done.output
    assert "Rebuilding" in done.output
    assert "1,000 records of 40 students are cached." in done.output
    check_truth(manager, *STUDENTS)
    assert shown(manager, "rebuild", SEASON, "--share", "0.9")["done"] == 1000
    assert [row["status"] for row in rows(manager)] == ["Done", "Done"]
    refused = run(manager, "rebuild", "SEASON-9999")
    assert (refused.exit_code, "Traceback" in refused.output) == (1, False)
    assert "There is no season" in refused.output


def test_the_command_reconciles(manager: Site, engine: Engine) -> None:
    engine.rebuild(SEASON)
    forget(manager, STUDENTS[0], "q1", "q2")
    done = run(manager, "reconcile", "--all")
    assert done.exit_code == 0, done.output
    assert f"Comparing {SEASON}" in done.output
    assert "2 of 1,000 records of 40 students differ" in done.output
    found = shown(manager, "reconcile", SEASON, "--sample", "250")[SEASON]
    assert (found["missing"], found["students"] >= 10) == (0, True)
    for wrong in (["--sample", "0"], ["--sample", "x"], ["--share", "2"]):
        assert run(manager, "reconcile", SEASON, *wrong).exit_code == 2
    assert run(manager, "reconcile", "SEASON-9999").exit_code == 1


def test_the_command_drains(manager: Site, engine: Engine) -> None:
    for student in STUDENTS[:7]:
        engine.submit(student, session_data=session("q1", "q2"))
    done = run(manager, "drain")
    assert done.exit_code == 0, done.output
    assert "14 answers of 7 submissions are in the database" in done.output
    assert manager.waiting() == 0
    assert shown(manager, "drain") == {
        "submissions": 0,
        "answers": 0,
        "set_aside": 0,
        "written_again": 0,
        "remaining": 0,
    }


def test_the_command_replays(manager: Site, engine: Engine) -> None:
    # MariaDB refuses it until an administrator removes the constraint.
    manager.sql(
        "ALTER TABLE `tabPlayer Memory Tracker` ADD CONSTRAINT c CHECK (question_id <> 'poison')"
    )
    try:
        manager.insert("User", name=STUDENTS[0])
        engine.submit(STUDENTS[0], session_data=session("poison"))
        assert shown(manager, "drain")["set_aside"] == 1
        assert shown(manager, "replay") == {"replayed": 0, "failed": 1, "unknown": 0}
    finally:
        manager.sql("ALTER TABLE `tabPlayer Memory Tracker` DROP CONSTRAINT c")
    done = run(manager, "replay", "no-such-name")
    assert "1 is unknown" in done.output
    done = run(manager, "replay")
    assert done.exit_code == 0, done.output
    assert "1 was saved" in done.output
    assert "poison" in manager.rows(STUDENTS[0])


def test_a_command_without_a_server_says_so_in_one_line(manager: Site) -> None:
    manager.servers.journal.kill()
    for command in (["rebuild", SEASON], ["reconcile", SEASON], ["drain"]):
        done = run(manager, *command)
        assert done.exit_code == 1, command
        assert "Traceback" not in done.output
    # The cache's part is still shown.
    assert "journal   is down" in run(manager, "status").output


def test_the_commands_are_documented(site: Site) -> None:
    listed = CliRunner().invoke(memora, ["--help"]).output
    for name in ("status", "rebuild", "reconcile", "drain", "replay", "archive", "partitions"):
        assert name in listed
        assert CliRunner().invoke(memora, [name, "--help"]).exit_code == 0


def test_a_student_who_is_added_to_the_cache_by_hand_is_listed(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record("q")])
    engine.cache_add(PLAYER, SEASON, [("q", 1.0)])
    assert engine.cache_status([SEASON])["seasons"][SEASON]["students"] == 1
    assert 0 < site.cache.ttl(site.key("srs", PLAYER)) <= 604_800
    assert engine.reconcile(SEASON)["half_filled"] == 1
    assert engine.cache_stats(PLAYER, SEASON)["complete"]
