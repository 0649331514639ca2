"""`bench memora ...`: for people and programs, failures, and several sites."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner

from memora._engine import Engine
from memora.commands import memora
from memora.services.counting import counted
from memora.services.srs_jobs import new_job
from tests import frappe_standin as frappe
from tests.administrators.test_archive import STUDENTS, ended_season, old
from tests.support.servers import wait_until
from tests.support.site_under_test import PLAYER, SEASON, TRACKER, Record, Site, session

__all__ = ["old"]

App = Callable[..., None]
Words = Callable[[str], list[str]]

REASON = ("--reason", "Of a test.")
# Each command with harmless arguments, except those that need a name from this test.
CALLS: dict[str, list[str]] = {
    "status": [],
    "door": [],
    "forecast": [],
    "rebuild": [SEASON],
    "reconcile": ["--all"],
    "train": [SEASON],
    "compare-schedulers": [SEASON],
    "drain": [],
    "mend-clock": [],
    "make-durable": ["--yes"],
    "poison list": [],
    "poison dismiss": ["poison", *REASON],
    "replay": [],
    "retire-questions": ["q"],
    "restore-questions": ["q"],
    "cancel": ["JOB"],
    "archive": ["OLD", "--yes"],
    "delete-eligible": ["--yes"],
    "partitions": [],
    "export": [PLAYER],
    "forget": [PLAYER, "--yes"],
}
# Refused on the tests' Redis, which have no file: test_make_durable has its own.
DONE = [name for name in CALLS if name != "make-durable"]
# Arguments that name something of one site.
NAMED = [name for name, arguments in CALLS.items() if arguments[:1] and arguments[0][0] != "-"]


def run(*arguments: str, sites: tuple[str, ...] = (), given: str = "") -> Any:
    named = sites or (frappe.local.site,)
    return CliRunner(mix_stderr=False).invoke(
        memora, arguments, obj=SimpleNamespace(sites=list(named)), input=given
    )


def failure(done: Any) -> str:
    """The line of a failure."""
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1), (done.output, done.stderr)
    assert "Traceback" not in done.stdout + done.stderr
    return str(done.stderr)


def commands() -> dict[str, click.Command]:
    found: dict[str, click.Command] = {}
    for name, command in memora.commands.items():
        inner = command.commands.items() if isinstance(command, click.Group) else ()
        found |= {f"{name} {one}": below for one, below in inner} or {name: command}
    return found


@pytest.fixture
def words_of(site: Site, app: App) -> Words:
    """Makes a command line from a command's name, on a site that has data for each."""
    old = ended_season(site, questions=1)
    site.add(PLAYER, [Record("q"), Record("r")])
    site.insert("Poison Review", name="poison", player=PLAYER, season=SEASON, question_id="q")
    job = new_job("Rebuild", SEASON)
    named = {"JOB": job, "OLD": old}

    def words(name: str) -> list[str]:
        return [*name.split(), *(named.get(word, word) for word in CALLS[name])]

    return words


def test_all_commands_are_tried_here() -> None:
    assert set(commands()) - {"demo-data", "clear-demo-data"} == set(CALLS)
    for command in commands().values():
        assert "wants_json" in {parameter.name for parameter in command.params}
        assert command.help


@pytest.mark.parametrize("name", DONE)
def test_for_people_and_for_programs(name: str, words_of: Words) -> None:
    words = words_of(name)
    done = run(*words)
    assert (done.exit_code, done.stderr) == (0, ""), done.stderr
    assert done.stdout.strip()
    # Once more: repeated work is no failure.
    done = run(*words, "--json")
    assert (done.exit_code, done.stderr) == (0, ""), done.stderr
    assert isinstance(json.loads(done.stdout), dict)


def test_a_database_that_is_down_is_told_in_a_line(words_of: Words, site: Site) -> None:
    site.servers.database.kill()
    for name in DONE:
        words = words_of(name)
        said = failure(run(*words))
        assert "MariaDB" in said, (name, said)
        done = run(*words, "--json")
        assert (done.exit_code, done.stderr) == (1, ""), name
        told = json.loads(done.stdout)
        assert set(told) == {"error", "code"}
        assert told["code"] == "memora.database_unavailable", (name, told)


@pytest.mark.parametrize(
    "words",
    [
        ("rebuild", "SEASON-9999"),
        ("reconcile", "SEASON-9999"),
        ("archive", "SEASON-9999", "--yes"),
        ("archive", "SEASON-9999", "--status"),
        ("archive", SEASON, "--yes"),
        ("delete-eligible", "SEASON-9999", "--yes"),
        ("cancel", "no-such-job"),
        ("poison", "dismiss", "poison", "--reason", ""),
        ("export", PLAYER.upper()),
        ("forget", PLAYER.upper(), "--yes"),
        ("make-durable", "--yes"),
    ],
)
def test_what_cannot_be_done_is_told(words: tuple[str, ...], words_of: Words) -> None:
    said = failure(run(*words))
    done = run(*words, "--json")
    assert (done.exit_code, done.stderr) == (1, "")
    told = json.loads(done.stdout)
    assert told["code"] == "memora.invalid_input"
    assert said == f"Error: {told['error']}\n"


def test_a_name_with_signs_of_html_is_shown_as_it_is(site: Site, app: App) -> None:
    assert "There is no season a<b>&c." in failure(run("archive", "a<b>&c", "--status"))


def test_a_defect_is_told_in_a_line_and_logged(
    site: Site, app: App, caplog: pytest.LogCaptureFixture
) -> None:
    site.sql("RENAME TABLE `tabPoison Review` TO `tabElsewhere`")
    try:
        said = failure(run("poison", "list"))
        told = json.loads(run("poison", "list", "--json").stdout)
    finally:
        site.sql("RENAME TABLE `tabElsewhere` TO `tabPoison Review`")
    assert "logs/memora.log" in said
    assert told["code"] == "memora.fault"
    assert "Traceback" in caplog.text


# -- several sites
# -----------------------------------------------------------------------------------


@pytest.fixture
def both(site: Site, other_site: Site, app: App) -> tuple[str, str]:
    """The names of two sites."""
    app(other_site)
    app(site)
    return site.name, other_site.name


@pytest.mark.parametrize("name", [name for name in DONE if name not in NAMED])
def test_on_one_site_after_the_other(name: str, both: tuple[str, str]) -> None:
    words = [*name.split(), *CALLS[name]]
    done = run(*words, sites=both)
    assert (done.exit_code, done.stderr) == (0, ""), done.stderr
    lines = done.stdout.splitlines()
    assert lines.index(both[0]) < lines.index(both[1])
    done = run(*words, "--json", sites=both)
    assert done.exit_code == 0
    assert list(json.loads(done.stdout)) == list(both)


def test_each_site_is_its_own(both: tuple[str, str], engine: Engine, other_site: Site) -> None:
    engine.submit(PLAYER, session_data=session("q"))
    other_site.engine().submit(PLAYER, session_data=session("q", "r"))
    answer = json.loads(run("drain", "--json", sites=both).stdout)
    assert [answer[name]["answers"] for name in both] == [1, 2]


@pytest.mark.parametrize("name", NAMED)
def test_what_is_named_is_on_one_site(name: str, both: tuple[str, str]) -> None:
    words = [*name.split(), *CALLS[name]]
    assert "is on one site, and 2 are named" in failure(run(*words, sites=both))
    told = json.loads(run(*words, "--json", sites=both).stdout)
    assert told["code"] == "memora.invalid_input"


def test_metrics_are_of_one_site(both: tuple[str, str]) -> None:
    assert "of one site" in failure(run("status", "--prometheus", sites=both))
    assert (
        "memora_cache_up" in json.loads(run("status", "--prometheus", "--json").stdout)["metrics"]
    )


def test_one_that_fails_does_not_keep_the_others(both: tuple[str, str], other_site: Site) -> None:
    sites = (both[0], "no.such.site", both[1])
    done = run("mend-clock", sites=sites)
    assert failure(done) == "Error: no.such.site: There is no site no.such.site.\n"
    assert [line for line in done.stdout.splitlines() if line in sites] == list(sites)
    done = run("mend-clock", "--json", sites=sites)
    assert (done.exit_code, done.stderr) == (1, "")
    told = json.loads(done.stdout)
    assert [("mended" in told[name], "error" in told[name]) for name in sites] == [
        (True, False), (False, True), (True, False),
    ]  # fmt: skip


def test_sites_without_memora_are_passed_over(both: tuple[str, str]) -> None:
    frappe.recorded.installed_apps[both[1]] = ["frappe"]
    done = run("mend-clock", sites=both)
    assert (done.exit_code, done.stderr) == (0, "")
    assert f"memora is not installed on {both[1]}." in done.stdout
    assert list(json.loads(run("mend-clock", "--json", sites=both).stdout)) == [both[0]]
    assert "not installed" in failure(run("mend-clock", sites=both[1:]))


def test_no_site_and_no_such_site(site: Site, app: App) -> None:
    assert "There is no site no.such.site." in failure(run("status", sites=("no.such.site",)))
    nowhere = CliRunner(mix_stderr=False).invoke(memora, ["status"], obj=SimpleNamespace(sites=[]))
    assert "No site is named" in failure(nowhere)


# -- what each says
# ----------------------------------------------------------------------------------


def test_one_is_not_told_as_many(site: Site, app: App, engine: Engine, old: str) -> None:
    site.add(PLAYER, [Record("q")])
    rebuilt = run("rebuild", SEASON).stdout
    assert "1 record of 1 student is cached." in rebuilt
    assert "0 of 1 record of 1 student differ: " in run("reconcile", SEASON, "--all").stdout
    assert f"{SEASON}: 1 student, " in run("status").stdout
    engine.submit(PLAYER, session_data=session("q"))
    assert "1 submission waits, for " in run("status").stdout
    assert "1 answer of 1 submission is in the database." in run("drain").stdout
    site.insert("Poison Review", name="poison")
    assert "1 record was set aside and waits" in run("status").stdout
    assert "1 Poison Review waits." in run("poison", "list").stdout
    assert "1 was saved, " in run("replay").stdout or "1 still" in run("replay").stdout
    assert "Erased: 1 record; " in run("forget", PLAYER, "--yes").stdout


def test_numbers_with_their_nouns() -> None:
    assert [counted(count, "1 day", "{0} days") for count in (0, 1, 2, 12_345)] == [
        "0 days", "1 day", "2 days", "12,345 days",
    ]  # fmt: skip
    assert counted(1, "1 of {1}", "{0} of {1}", "x") == "1 of x"


def test_an_archived_season_is_not_archived_again(site: Site, app: App, old: str) -> None:
    jobs = "SELECT COUNT(*) FROM `tabSRS Job`"
    assert f"{old} is not archived." in run("archive", old, "--status").stdout
    done = run("archive", old, "--yes", "--json")
    assert json.loads(done.stdout)["status"] == "Archived"
    before = site.sql(jobs)
    done = run("archive", old)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == f"{old} is archived already: nothing was done.\n"
    assert site.sql(jobs) == before
    done = run("archive", old, "--status")
    assert "4,000 records" in done.stdout
    assert json.loads(run("archive", old, "--status", "--json").stdout)["total"] == 4_000


def test_a_half_archived_season_is_told(site: Site, app: App, old: str) -> None:
    def stop(_progress: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        site.engine().archive(old, stop)
    # Its connection is closed; the server frees the lock when it comes to that.
    assert wait_until(lambda: not site.engine().is_running("Archive", old))
    said = run("archive", old, "--status").stdout
    assert f"{old} is partly archived, and no process works on it: copying" in said
    assert run("archive", old, "--yes").exit_code == 0


def test_flagged_records_are_deleted(site: Site, app: App, old: str) -> None:
    run("archive", old, "--yes")
    site.sql("UPDATE `tabArchived Memory Tracker` SET eligible_for_deletion = 1 "
             "WHERE player = %s", (STUDENTS[0],))  # fmt: skip
    done = run("delete-eligible", given="n\n")
    assert done.exit_code == 1
    assert "of all seasons cannot be restored" in done.stderr
    answer = json.loads(run("delete-eligible", old, "--yes", "--json").stdout)
    assert answer == {"season": old, "deleted": 100}
    assert "0 records were deleted." in run("delete-eligible", "--yes").stdout


def test_a_job_is_cancelled(site: Site, app: App) -> None:
    job = new_job("Rebuild", SEASON)
    assert f"Rebuild of {SEASON} is cancelled." in run("cancel", job).stdout
    assert json.loads(run("cancel", job, "--json").stdout)["status"] == "Cancelled"
    archive = new_job("Archive", SEASON)
    assert "archive" in failure(run("cancel", archive))
    assert f"Rebuild of {SEASON} is cancelled." in run("cancel", job).stdout
    run("rebuild", SEASON)
    done = next(row["name"] for row in frappe.get_all("SRS Job", {"status": "Done"}))
    assert "had already ended: Done." in run("cancel", done).stdout


def test_poison_reviews_are_listed_and_dismissed(site: Site, app: App) -> None:
    for name in ("one", "two"):
        site.insert("Poison Review", name=name, player=PLAYER, season=SEASON, question_id="q",
                    reason="too long")  # fmt: skip
    listed = run("poison", "list").stdout
    assert "two" in listed
    assert f"{PLAYER} {SEASON} q: too long" in listed
    assert "2 Poison Reviews wait." in listed
    assert len(json.loads(run("poison", "list", "--limit", "1", "--json").stdout)
               ["poison_reviews"]) == 1  # fmt: skip
    assert run("poison", "dismiss", "one").exit_code == 2
    done = run("poison", "dismiss", "one", "none", *REASON)
    assert "Dismissed: 1. Unknown, or not waiting: 1." in done.stdout
    found = site.sql("SELECT dismissal_reason AS why FROM `tabPoison Review` WHERE name = 'one'")
    assert found[0]["why"] == REASON[1]
    assert "1 Poison Review waits." in run("poison", "list").stdout


def test_questions_are_retired_and_restored(site: Site, app: App, engine: Engine) -> None:
    site.add(PLAYER, [Record("q"), Record("r"), Record("s")])
    assert engine.due(PLAYER)["total_due"] == 3
    assert run("retire-questions", "q", "r").stdout == "2 questions are retired.\n"
    assert engine.due(PLAYER)["total_due"] == 1
    assert run("retire-questions", "q").stdout == "0 questions are retired.\n"
    assert run("restore-questions", "q").stdout == "1 question is restored.\n"
    assert engine.due(PLAYER)["total_due"] == 2
    assert "Nothing was changed" in failure(run("retire-questions", " q"))


def test_a_student_is_exported_and_erased(site: Site, app: App) -> None:
    site.add(PLAYER, [Record("q")])
    assert json.loads(run("export", PLAYER).stdout) == json.loads(
        run("export", PLAYER, "--json").stdout
    )
    done = run("forget", PLAYER, given="n\n")
    assert done.exit_code == 1
    assert len(site.rows(PLAYER)) == 1
    assert json.loads(run("forget", PLAYER, "--yes", "--json").stdout)["records"] == 1
    assert site.sql(f"SELECT COUNT(*) AS count FROM {TRACKER}")[0]["count"] == 0


@pytest.mark.parametrize("given", ["n\n", ""], ids=["no", "nobody to ask"])
@pytest.mark.parametrize(
    "words", [("forget", PLAYER), ("delete-eligible",), ("clear-demo-data",)], ids=" ".join
)
def test_what_is_not_confirmed_is_not_done(
    words: tuple[str, ...], given: str, site: Site, app: App
) -> None:
    site.add(PLAYER, [Record("q")])
    said = "Nothing was done, because it was not confirmed."
    done = run(*words, "--json", given=given)
    # Click's runner shows the input.
    answer = json.loads(done.stdout.removeprefix(f" {given}"))
    assert (done.exit_code, answer) == (1, {"error": said, "code": "memora.invalid_input"})
    done = run(*words, given=given)
    assert (done.exit_code, done.stderr.endswith(f"Error: {said}\n")) == (1, True)
    assert len(site.rows(PLAYER)) == 1


def test_partitions_that_lack_are_made(site: Site, app: App) -> None:
    site.sql("UPDATE `tabGame Subscription Season` SET partition_created = 0")
    answer = json.loads(run("partitions", "--json").stdout)
    assert answer["made"] == [SEASON]
    assert {"name", "rows", "bytes"} <= set(answer["partitions"][0])
