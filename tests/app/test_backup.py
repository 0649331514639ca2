"""A backup beside an archive has every record, or it fails. It is Frappe's: one mariadb-dump."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from memora._engine import Engine
from tests.administrators.test_archive import (
    STUDENTS,
    ended_season,
    old,
    partition_records,
    status_of,
)
from tests.support.servers import find_program, wait_until
from tests.support.site_under_test import PLAYER, SEASON, TRACKER, Record, Site, session

if TYPE_CHECKING:
    from memora._engine import ArchiveProgress

__all__ = ["old"]

# A dump reads the tables in the order of their names, and waits for a locked one: at the first, it
# has taken its snapshot and read nothing; at the other, it has read the archive, but not the big
# table.
HOLDS: Final = {"nothing read": "aaa", "archive read": "tabHold"}
# Steps of an archive at which a dump begins, and continues. At "exchanging" the empty table exists,
# but is not exchanged with the partition yet.
MOMENTS: Final = (
    "copying",
    "copied half",
    "verifying",
    "freeing",
    "exchanging",
    "clearing",
    "done",
)
# Errors of a dump: a table newer than its snapshot, or one that it has listed and that was dropped.
NEWER: Final = "1412"
GONE: Final = "memora_freed"
QUESTIONS: Final = 30
RECORDS: Final = QUESTIONS * len(STUDENTS)


class Dump:
    """mariadb-dump with the options of `frappe.database.get_command`, kept at a table until it is
    let go."""

    def __init__(self, site: Site, file: Path, hold: str) -> None:
        self.file: Final = file
        self.lock: Final = site.servers.database.connect(database=site.name)
        with self.lock.cursor() as cursor:
            cursor.execute(f"LOCK TABLES `{hold}` WRITE")
        settings = site.servers.database.settings
        command = [
            find_program("mariadb-dump", "mysqldump"),
            "--no-defaults",
            f"--user={settings['database_user']}",
            f"--host={settings['database_host']}",
            f"--port={settings['database_port']}",
            f"--password={settings['database_password']}",
            "--single-transaction",
            "--quick",
            "--lock-tables=false",
            site.name,
        ]
        with file.open("wb") as out:
            self.process: Final = subprocess.Popen(
                command, stdout=out, stderr=subprocess.PIPE, text=True
            )
        waits = (
            "SELECT 1 FROM information_schema.PROCESSLIST "
            "WHERE STATE LIKE 'Waiting%%' AND INFO LIKE %s"
        )
        assert wait_until(lambda: bool(site.sql(waits, (f"%`{hold}`%",))))

    def complaints(self) -> str:
        """Let it end. Returns its errors; empty if it succeeds."""
        self.lock.close()
        _, complaints = self.process.communicate()
        return complaints if self.process.returncode else ""

    def records(self, season: str) -> int:
        """How many records of a season it has, in any table."""
        return len(set(re.findall(rf"'[^'|]+\|{season}\|[^']+'", self.file.read_text("utf-8"))))


@pytest.fixture
def held(site: Site) -> Iterator[Site]:
    """The site, with the tables that dumps are kept at."""
    for table in HOLDS.values():
        site.sql(f"CREATE TABLE `{table}` (a INT)")
    yield site
    for table in HOLDS.values():
        site.sql(f"DROP TABLE `{table}`")


def archive(site: Site, season: str, at: Callable[[str], None]) -> None:
    """Archive a season; calls `at` once at each step."""
    told: set[str] = set()
    exchanging = threading.Thread(target=lambda: None)

    def report(moment: str) -> None:
        if moment not in told:
            told.add(moment)
            at(moment)

    def watch(progress: ArchiveProgress) -> None:
        nonlocal exchanging
        is_half = progress["step"] == "copying" and progress["done"] > 0
        report("copied half" if is_half else progress["step"])
        if progress["step"] == "freeing":
            exchanging = threading.Thread(target=hold_exchange)
            exchanging.start()
            assert wait_until(is_in_use.is_set)

    def hold_exchange() -> None:
        # A transaction that has read the table keeps others from altering it.
        with site.servers.database.connect(database=site.name, autocommit=False) as reader:
            with reader.cursor() as cursor:
                cursor.execute(f"SELECT 1 FROM {TRACKER} LIMIT 1")
            is_in_use.set()
            parts = (
                "SELECT PARTITION_NAME FROM information_schema.PARTITIONS "
                "WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME LIKE 'memora\\_freed\\_%'"
            )
            assert wait_until(lambda: site.sql(parts) == [{"PARTITION_NAME": None}])
            report("exchanging")

    is_in_use = threading.Event()
    # With rests it commits while it is half done.
    site.engine().archive(season, watch, share=0.99)
    exchanging.join()
    report("done")
    assert told == set(MOMENTS)


def dump_beside_archive(site: Site, file: Path, hold: str, begins: str, ends: str) -> str:
    """Archive a season, and dump the site from one step to another. Returns what the dump has of
    it, or its errors."""
    season = ended_season(site, questions=QUESTIONS)
    dumps: list[Dump] = []
    outcomes: list[str] = []

    def at(moment: str) -> None:
        if moment == begins:
            dumps.append(Dump(site, file, hold))
        if moment == ends:
            outcomes.append(dumps[0].complaints() or f"{dumps[0].records(season)} records")

    archive(site, season, at)
    assert status_of(site, season) == "Archived"
    (outcome,) = outcomes
    return outcome


@pytest.mark.parametrize("hold", HOLDS.values(), ids=HOLDS)
@pytest.mark.parametrize("begins", MOMENTS)
def test_a_dump_beside_an_archive_has_every_record_or_fails(
    held: Site, tmp_path: Path, begins: str, hold: str
) -> None:
    outcomes = {
        ends: dump_beside_archive(held, tmp_path / "dump.sql", hold, begins, ends)
        for ends in MOMENTS[MOMENTS.index(begins) :]
    }
    failed = {moment: each for moment, each in outcomes.items() if each != f"{RECORDS} records"}
    assert all(NEWER in complaints or GONE in complaints for complaints in failed.values()), (
        outcomes
    )
    # Until then no record was removed.
    assert set(failed) <= {"clearing", "done"}
    # With none or only half of it in the archive, the dump must fail.
    assert begins not in ("copying", "copied half") or set(failed) == {"clearing", "done"}
    assert begins != "done" or not failed


def test_an_empty_partition_is_dropped_when_no_backup_can_know_it(
    site: Site, engine: Engine, old: str
) -> None:
    engine.archive(old)
    assert engine.drop_left_partitions() == []
    assert engine.partition_exists(old)
    site.sql("UPDATE memora_archive SET finished_at_us = finished_at_us - 7 * 86400 * 1000000 - 1")
    site.add(PLAYER, [Record("q")], old)
    # A script has written past memora.
    assert engine.drop_left_partitions() == []
    site.sql(f"DELETE FROM {TRACKER} WHERE season = %s", (old,))
    assert engine.drop_left_partitions() == [old]
    assert not engine.partition_exists(old)
    assert engine.drop_left_partitions() == []


def test_what_a_killed_process_left_is_removed_by_the_next_one(site: Site, engine: Engine) -> None:
    left, other = (ended_season(site, questions=2) for _ in range(2))

    def stop(progress: ArchiveProgress) -> None:
        if progress["step"] == "clearing":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.archive(left, stop)
    (freed,) = (str(*row.values()) for row in site.sql("SHOW TABLES LIKE 'memora\\_freed\\_%'"))
    assert site.sql(f"SELECT COUNT(*) AS many FROM {freed}") == [{"many": 2 * len(STUDENTS)}]
    engine.archive(other)
    assert site.sql("SHOW TABLES LIKE 'memora\\_freed%'") == []
    status = engine.archive(left)
    assert (status["step"], status["done"]) == ("done", 2 * len(STUDENTS))
    assert [partition_records(site, season) for season in (left, other)] == [0, 0]


def test_a_backup_has_the_log_of_answers(site: Site, other_site: Site, engine: Engine) -> None:
    """An invisible column, and any bytes, as Frappe dumps and restores them."""
    for number in range(300):
        given = session(f"q'{number}\\", f"é{number}", duration_ms=number * 37)
        engine.submit(PLAYER, session_data=given)
    engine.drain()
    found = engine.answers(PLAYER, SEASON, limit=10_000)
    logs = "SELECT HEX(_answer_log) AS log FROM `tabMemory Review Audit` ORDER BY name"
    before = site.sql(logs)
    assert {"0A", "00", "27", "5C", "1A", "FF"} <= {
        row["log"][place : place + 2] for row in before for place in range(0, len(row["log"]), 2)
    }
    settings = site.servers.database.settings
    login = [
        "--no-defaults", f"--user={settings['database_user']}",
        f"--host={settings['database_host']}", f"--port={settings['database_port']}",
        f"--password={settings['database_password']}",
    ]  # fmt: skip
    dump = [find_program("mariadb-dump", "mysqldump"), *login, "--single-transaction", "--quick"]
    table = [site.name, "tabMemory Review Audit"]
    text = subprocess.run(
        [*dump, "--lock-tables=false", *table], stdout=subprocess.PIPE, check=True
    )
    sed = ["sed", r"/\/\*M\{0,1\}!999999\\- enable the sandbox mode \*\//d"]
    text = subprocess.run(sed, input=text.stdout, stdout=subprocess.PIPE, check=True)
    restore = [find_program("mariadb", "mysql"), *login, "--safe-updates", other_site.name]
    subprocess.run(restore, input=text.stdout, check=True)
    assert other_site.sql(logs) == before
    restored = other_site.engine()
    assert restored.answers(PLAYER, SEASON, limit=10_000) == found
    assert other_site.engine().prepare_storage() == []
