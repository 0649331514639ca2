"""A MariaDB and its replica."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pymysql.cursors

from tests.support.servers import MariaDB, ServerError, wait_until

# Both write a log, for each may be the primary.
PRIMARY: Final = ("--server-id=1", "--log-bin=bin")
REPLICA: Final = ("--server-id=2", "--log-bin=bin", "--read-only=1", "--skip-slave-start")
# What replicas receive.
FORMATS: Final = ("ROW", "MIXED")
# As docs/servers.md has it.
SEMI_SYNCHRONOUS: Final = (
    "--rpl-semi-sync-master-enabled=ON",
    "--rpl-semi-sync-slave-enabled=ON",
    "--rpl-semi-sync-master-wait-point=AFTER_SYNC",
    "--rpl-semi-sync-master-timeout=10000",
)


class Pair:
    """A primary, and a replica that follows it."""

    def __init__(self, primary: MariaDB, replica: MariaDB) -> None:
        self.primary: Final = primary
        self.replica: Final = replica

    def follow(self) -> None:
        """Make the replica catch up with the primary, and follow it."""
        _run(self.primary, "GRANT REPLICATION SLAVE ON *.* TO 'replica'@'%' IDENTIFIED BY 'x'")
        _run(
            self.replica,
            f"CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {self.primary.port}, "
            "MASTER_USER = 'replica', MASTER_PASSWORD = 'x', MASTER_USE_GTID = no, "
            "MASTER_LOG_FILE = 'bin.000001', MASTER_LOG_POS = 4, MASTER_CONNECT_RETRY = 1",
            "START SLAVE",
        )
        self.wait_until_level()

    def wait_until_level(self) -> None:
        """Wait until the replica has all that the primary has.

        Raises:
            ServerError: it has stopped; the message says why.
        """
        if not wait_until(self.is_level):
            raise ServerError("the replica does not catch up")

    def is_level(self) -> bool:
        """Whether the replica has all that the primary has.

        Raises:
            ServerError: as `wait_until_level`.
        """
        (ahead,) = _run(self.primary, "SHOW MASTER STATUS")
        (found,) = _run(self.replica, "SHOW SLAVE STATUS")
        if error := found["Last_Error"]:
            raise ServerError(error)
        reached = (found["Relay_Master_Log_File"], found["Exec_Master_Log_Pos"])
        return bool(reached == (ahead["File"], ahead["Position"]))

    def fall_behind(self) -> None:
        """From now on the replica does not follow the primary."""
        _run(self.replica, "STOP SLAVE")

    def demote(self) -> None:
        """The primary no longer takes writes; existing connections stay."""
        _run(self.primary, "SET GLOBAL read_only = 1")

    def take_over(self) -> None:
        """The replica becomes the primary, with its data."""
        _run(self.replica, "STOP SLAVE", "RESET SLAVE ALL", "SET GLOBAL read_only = 0")


@contextmanager
def started_pair(is_semi_synchronous: bool = False, binlog_format: str = "MIXED") -> Iterator[Pair]:
    """A primary with an empty database, and a server that does not follow it yet.

    Args:
        is_semi_synchronous: a commit waits until the replica has it, or for ten seconds.
        binlog_format: what the replica receives.
    """
    both = [f"--binlog-format={binlog_format}", *(SEMI_SYNCHRONOUS if is_semi_synchronous else ())]
    with (
        MariaDB(survives_power_cut=False, extra=[*PRIMARY, *both]) as primary,
        MariaDB(survives_power_cut=False, extra=[*REPLICA, *both]) as replica,
    ):
        yield Pair(primary, replica)


def _run(server: MariaDB, *statements: str) -> list[dict[str, Any]]:
    """Run statements as root; the rows of the last one."""
    connection = server.connect_as_root(cursorclass=pymysql.cursors.DictCursor)
    with connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return list(cursor.fetchall())
