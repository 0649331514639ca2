"""Users of Redis with no more rights than docs/configuration.md asks for, and with fewer."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest
import redis

from memora._engine import Engine
from tests.administrators.test_archive import ended_season
from tests.consistency.test_drain import NOTHING
from tests.support.servers import SCHEDULES
from tests.support.site_under_test import PLAYER, SEASON, Record, Site, ids, session

DOCS = Path(__file__).parents[2] / "docs" / "configuration.md"
ROLES = ["cache", "journal"]


def rights(site: Site, role: str) -> list[str]:
    """The rules that the page has for a user of one Redis."""
    (rules,) = re.findall(rf"^ACL SETUSER memora-{role} (.*)$", DOCS.read_text(), re.MULTILINE)
    return str(rules).replace("{db_name}", site.name).replace("PASSWORD", "word").split()


def make_user(server: redis.Redis[str], role: str, *rules: str) -> None:
    server.execute_command("ACL", "SETUSER", f"memora-{role}", "reset", *rules)


def engine_of_users(site: Site, *roles: str, **changes: str) -> Engine:
    """A process that signs on with the users of these roles."""
    for role in roles:
        port = getattr(site.servers, role).port
        database = SCHEDULES if role == "cache" else 0
        changes[f"{role}_url"] = f"redis://memora-{role}:word@127.0.0.1:{port}/{database}"
    return site.engine(**changes)


def test_the_rights_in_the_docs_are_enough(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    make_user(site.cache, "cache", *rights(site, "cache"))
    make_user(site.journal, "journal", *rights(site, "journal"))
    site.add(PLAYER, [Record("q"), Record("r")])
    old = ended_season(site, questions=1)
    engine = engine_of_users(site, "cache", "journal")
    engine.due(PLAYER)
    read = engine.due(PLAYER)
    assert (ids(read), read["source"], read["is_degraded"]) == (["q", "r"], "cache", False)
    assert engine.forecast(PLAYER)["total"] == engine.season_forecast(SEASON)["total"] == 2
    taken = engine.submit(PLAYER, session_data=session("q"))
    assert engine.persistence_status(PLAYER, taken["persistence_job_id"]) == "pending"
    assert engine.drain()["answers"] == 1
    assert engine.persistence_status(PLAYER, taken["persistence_job_id"]) == "persisted"
    assert engine.journal_status()["reachable"]
    assert engine.journal_status()["warning"] is None
    assert engine.cache_status([SEASON])["warning"] is None
    assert engine.rebuild(SEASON)["done"] == 2
    assert engine.reconcile(SEASON)["corrected"] == 0
    assert engine.load_recent_students() >= 0
    assert engine.cache_add(PLAYER, SEASON, [("r", 1.0)]) == 1
    assert engine.cache_remove(PLAYER, SEASON, "r")
    assert engine.cache_stats(PLAYER, SEASON)["records"] == 1
    assert engine.cache_clear(PLAYER, SEASON)
    engine.season_changed()
    engine.links_changed()
    engine.check_cache()
    engine.check_outages()
    engine.latency()
    engine.archive(old)
    engine.forget(PLAYER)
    engine.free_old_cache()
    engine.uninstall()
    assert site.cache.keys(f"{site.name}|*") == site.journal.keys(f"{site.name}|*") == []
    for server in (site.cache, site.journal):
        assert server.execute_command("ACL", "LOG") == []
    assert engine.outage_news() == []
    assert "refused" not in caplog.text


@pytest.mark.parametrize("right", ["xadd", "hvals", "hset"])
def test_without_a_right_the_journal_keeps_nothing_that_is_saved(
    site: Site, caplog: pytest.LogCaptureFixture, right: str
) -> None:
    """Whatever the script had done before the refusal."""
    site.add(PLAYER, [Record("q", stability=1)])
    asked = site.engine()
    for _ in range(2):
        asked.submit(PLAYER, session_data=session("q"))
    make_user(site.journal, "journal", *rights(site, "journal"), f"-{right}")
    assert engine_of_users(site, "journal").drain()["submissions"] == 2
    assert "does not keep what was written lately" in caplog.text
    assert site.rows()["q"]["stability"] == 3
    assert asked.drain() == NOTHING
    status = asked.journal_status()
    assert (status["backlog"], status["saved_lately"]) == (0, 0)


def sent() -> set[str]:
    """The commands that the engine sends."""
    source = Path(__file__).parents[2] / "src" / "servers" / "redis"
    text = "".join(path.read_text() for path in source.rglob("*") if path.is_file())
    # What the client sends by itself.
    return {"evalsha", "script", "select"} | {
        word.lower() for word in re.findall(r'(?:cmd\("|call\(\')([A-Z]+)', text)
    }


def named(site: Site, role: str) -> set[str]:
    """The commands that the page has for a user of one Redis."""
    return {rule[1:].split("|")[0] for rule in rights(site, role) if rule.startswith("+")}


@pytest.mark.parametrize("role", ROLES)
def test_each_right_in_the_docs_is_needed(site: Site, role: str) -> None:
    assert named(site, role) - sent() == set()


def test_each_command_is_in_the_docs(site: Site) -> None:
    """Those that only some set-ups want are in the text around the rules."""
    lists = named(site, "cache") | named(site, "journal")
    assert sent() - lists == {"cluster", "wait", "sentinel", "strlen"}
    assert all(f"`+{command}" in DOCS.read_text() for command in ("cluster", "wait", "strlen"))


def test_without_config_the_status_reads_info(site: Site) -> None:
    make_user(site.journal, "journal", *rights(site, "journal"), "-config")
    status = engine_of_users(site, "journal").journal_status()
    assert (status["appendonly"], status["maxmemory_policy"]) == (True, "noeviction")
    assert status["appendfsync"] == ""
    assert status["warning"] is not None
    assert "is unknown" in status["warning"]
    assert "loses" not in status["warning"]


@pytest.mark.parametrize("role", ROLES)
def test_without_info_it_is_said_in_a_line(site: Site, role: str) -> None:
    server = getattr(site, role)
    make_user(server, role, *rights(site, role), "-info")
    engine = engine_of_users(site, role)
    said = (
        engine.journal_status()["warning"]
        if role == "journal"
        else engine.cache_status([SEASON])["cause"]
    )
    assert said is not None
    assert "'info'" in said
    assert "give memora's user the rights that docs/configuration.md lists" in said
    assert "\n" not in said
