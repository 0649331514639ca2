"""`bench memora make-durable`, with a Redis that has a configuration file as bench writes it."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from memora._engine import Engine
from memora.commands import memora
from memora.services import journal_settings
from memora.services.engine import engine as present_engine
from tests import frappe_standin as frappe
from tests.support.servers import Redis
from tests.support.site_under_test import PLAYER, Site, session

App = Callable[..., None]

# bench/config/templates/redis_queue.conf, and lines of an administrator's.
STOCK = """\
dbfilename redis_queue.rdb
dir {folder}/pids
pidfile {folder}/pids/redis_queue.pid
bind 127.0.0.1
port {port}
aclfile {folder}/redis_queue.acl
# of ours: \udce9
maxclients 500
"""
BY_HAND = "CONFIG SET appendonly yes"


class QueueOfBench(Redis):
    """redis_queue of a stock bench."""

    def __init__(self, **options: Any) -> None:
        super().__init__("journal", **options)
        self.file = self.folder / "redis_queue.conf"
        (self.folder / "pids").mkdir()
        (self.folder / "redis_queue.acl").touch()
        self.write(STOCK.format(folder=self.folder, port=self.port))
        self.file.chmod(0o640)

    def write(self, text: str) -> None:
        self.file.write_text(text, "utf-8", "surrogateescape")

    def text(self) -> str:
        return self.file.read_text("utf-8", "surrogateescape")

    def command(self) -> list[str]:
        return [super().command()[0], str(self.file)]

    def setting(self, name: str) -> str:
        with self.client() as client:
            return str(client.config_get(name)[name])


@pytest.fixture
def queue(app: App) -> Iterator[QueueOfBench]:
    """A queue of this kind as the present site's redis_queue."""
    with QueueOfBench() as server:
        frappe.local.conf["redis_queue"] = server.server_url
        yield server


def run(*arguments: str, given: str = "") -> Any:
    sites = [frappe.local.site]
    return CliRunner(mix_stderr=False).invoke(
        memora, ["make-durable", *arguments], obj=SimpleNamespace(sites=sites), input=given
    )


def refused(*arguments: str) -> str:
    """A refusal's message, in one line."""
    done = run("--yes", *arguments)
    assert done.exit_code == 1, done.output
    assert (done.stderr.count("\n"), done.stderr[:7]) == (1, "Error: ")
    return str(done.stderr)


def test_it_asks_first(queue: QueueOfBench) -> None:
    before = queue.text()
    done = run(given="n\n")
    assert done.exit_code == 1
    assert "appendonly is no, and will be yes" in done.stdout
    assert str(queue.file) in done.stdout
    assert "Change it?" in done.stderr
    assert (queue.text(), queue.setting("appendonly")) == (before, "no")


def test_it_is_durable_at_once_and_after_a_restart(queue: QueueOfBench, site: Site) -> None:
    engine = present_engine()
    assert not engine.journal_status()["durable"]
    engine.submit(PLAYER, session_data=session("before"))
    before = queue.text()
    done = run("--yes")
    assert (done.exit_code, done.stderr) == (0, ""), done.output
    assert "survive a crash of redis_queue and a power cut" in done.stdout
    assert "bench setup redis" in done.stdout
    status = engine.journal_status()
    assert (status["durable"], status["warning"]) == (True, None)
    engine.submit(PLAYER, session_data=session("after"))
    queue.kill()
    queue.start()
    assert engine.journal_status()["durable"]
    assert engine.journal_status()["backlog"] == 2
    # The administrator's lines stay, and so does the file's mode.
    assert queue.text().startswith(before.rstrip("\n"))
    assert stat.S_IMODE(queue.file.stat().st_mode) == 0o640
    assert not list(queue.folder.glob(".redis_queue*"))


def test_a_second_time_it_has_nothing_to_do(queue: QueueOfBench) -> None:
    run("--yes")
    before = queue.file.stat()
    done = run()
    assert done.exit_code == 0, done.output
    assert "nothing was changed." in done.stdout
    assert queue.file.stat().st_ino == before.st_ino


def test_its_answer_for_programs(queue: QueueOfBench) -> None:
    done = run("--yes", "--json")
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert (answer["durable"], answer["warning"], answer["file"]) == (True, None, str(queue.file))
    assert answer["changed"] == [
        {"name": "appendonly", "now": "no", "wanted": "yes"},
        {"name": "appendfsync", "now": "everysec", "wanted": "always"},
    ]
    assert {change["name"] for change in answer["changed_in_file"]} == {"appendonly", "appendfsync"}


def test_everysec_is_told_for_what_it_is(queue: QueueOfBench) -> None:
    done = run("--yes", "--appendfsync", "everysec")
    assert done.exit_code == 0, done.output
    assert "a power cut can lose the last second" in done.stdout
    queue.restart()
    assert (queue.setting("appendonly"), queue.setting("appendfsync")) == ("yes", "everysec")
    run("--yes")
    assert queue.setting("appendfsync") == "always"
    # Safer settings stay.
    assert run("--yes", "--appendfsync", "everysec").exit_code == 0
    assert queue.setting("appendfsync") == "always"


def test_bench_setup_redis_is_put_right_before_a_restart(queue: QueueOfBench) -> None:
    stock = queue.text()
    run("--yes")
    changed = queue.text()
    queue.write(stock)
    done = run("--yes")
    assert "In the running Redis" not in done.stdout
    assert queue.text() == changed


def test_lines_that_say_otherwise_are_replaced(queue: QueueOfBench) -> None:
    queue.write(
        queue.text() + 'AppendOnly "no"\nappendfsync\tno\nmaxmemory-policy allkeys-lru\n'
        "no-appendfsync-on-rewrite yes\nsave 900 1"
    )
    queue.restart()
    assert run("--yes").exit_code == 0
    lines = queue.text().splitlines()
    assert [line for line in lines if line.lower().startswith("appendonly")] == ["appendonly yes"]
    assert {"save 900 1", "maxmemory-policy noeviction", "no-appendfsync-on-rewrite no"} <= set(
        lines
    )
    queue.restart()
    assert present_engine().journal_status()["durable"]


def test_only_the_file_lacks_it(queue: QueueOfBench) -> None:
    with queue.client() as client:
        client.config_set("appendonly", "yes")
        client.config_set("appendfsync", "always")
    done = run("--yes")
    assert "In the running Redis" not in done.stdout
    assert "In the file: appendonly is not named, and will be yes" in done.stdout
    assert "appendonly yes" in queue.text()


def test_a_file_that_includes_another_names_all_itself(queue: QueueOfBench) -> None:
    other = queue.folder / "more.conf"
    other.write_text("maxmemory-policy noeviction\n")
    queue.write(queue.text() + f"include {other}\n")
    queue.restart()
    run("--yes")
    assert "maxmemory-policy noeviction" in queue.text()


def test_a_link_leads_to_the_file(queue: QueueOfBench) -> None:
    real = queue.folder / "real.conf"
    queue.file.rename(real)
    queue.file.symlink_to(real)
    queue.restart()
    run("--yes")
    assert queue.file.is_symlink()
    assert "appendonly yes" in real.read_text("utf-8", "surrogateescape")


def test_a_disk_that_takes_nothing_leaves_all_as_it_was(queue: QueueOfBench) -> None:
    before = queue.text()
    # Redis 7 makes a folder there, 6.2 a file.
    (queue.folder / "pids" / "appendonlydir").touch()
    (queue.folder / "pids" / "appendonly.aof").mkdir()
    said = refused()
    assert "has its old settings" in said
    assert queue.text() == before
    assert (queue.setting("appendonly"), queue.setting("appendfsync")) == ("no", "everysec")


@pytest.mark.parametrize(
    ("begin", "end", "is_here"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        # Debian's address of the host's own name.
        ("127.0.0.1", "127.0.1.1", True),
        ("::1", "::1", True),
        ("10.0.0.5", "10.0.0.5", True),
        ("10.0.0.5", "10.0.0.6", False),
        ("fe80::1", "fe80::2", False),
    ],
)
def test_another_machine_is_known(begin: str, end: str, is_here: bool) -> None:
    assert journal_settings.is_this_machine(begin, end) == is_here


def test_sentinel_is_refused(queue: QueueOfBench) -> None:
    frappe.local.conf["redis_queue_sentinel_enabled"] = 1
    assert BY_HAND in refused()


def test_a_managed_redis_is_refused(queue: QueueOfBench) -> None:
    with queue.client() as client:
        client.acl_setuser("default", enabled=True, nopass=True, keys=["*"], categories=["+@all"],
                           commands=["-config"])  # fmt: skip
    said = refused()
    assert "does not allow CONFIG SET" in said
    assert BY_HAND in said


def test_a_redis_without_a_file_is_refused(app: App, site: Site) -> None:
    """The tests' own: its settings are on its command line."""
    assert "without a configuration file" in refused()


def test_another_servers_file_is_refused(queue: QueueOfBench) -> None:
    before = queue.text()
    for other in (
        before.replace(f"port {queue.port}", "port 6379"),
        before.replace(f"dir {queue.folder}/pids", "dir /var/lib/redis"),
        before.replace(f"port {queue.port}\n", ""),
    ):
        queue.write(other)
        assert "belongs to another server" in refused()
        assert queue.text() == other
    queue.file.unlink()
    assert "is not here" in refused()


def test_a_file_of_others_may_not_be_replaced(queue: QueueOfBench) -> None:
    assert journal_settings.may_replace(queue.file)
    # Root may write all files.
    is_root = os.geteuid() == 0
    for mode_of_folder, mode in ((0o755, 0o444), (0o555, 0o644), (0o777, 0o666)):
        queue.folder.chmod(mode_of_folder)
        queue.file.chmod(mode)
        if is_root:
            os.seteuid(65534)
        try:
            may = journal_settings.may_replace(queue.file)
        finally:
            if is_root:
                os.seteuid(0)
        # A replaced file of another user would change its owner.
        assert may == (not is_root and mode == 0o666)


def test_a_replica_is_refused(queue: QueueOfBench, site: Site) -> None:
    with queue.client() as client:
        client.replicaof("127.0.0.1", "1")
    assert "is a replica" in refused()


def test_one_redis_for_all_is_refused(queue: QueueOfBench) -> None:
    frappe.local.conf["redis_cache"] = queue.server_url
    assert "one Redis" in refused()


def test_a_redis_that_is_down_is_told(queue: QueueOfBench) -> None:
    queue.kill()
    assert "does not answer" in refused()
    assert json.loads(run("--yes", "--json").stdout)["code"] == "memora.journal_unavailable"


def test_a_journal_of_its_own_is_the_one(queue: QueueOfBench, site: Site, engine: Engine) -> None:
    frappe.local.conf["redis_queue"] = site.servers.journal.server_url
    frappe.local.conf["srs_journal_url"] = queue.server_url
    assert run("--yes").exit_code == 0
    assert queue.setting("appendonly") == "yes"
    assert Path(queue.file).read_bytes().count(b"appendonly yes") == 1
