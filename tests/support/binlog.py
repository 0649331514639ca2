"""A private MariaDB with a replica."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pymysql.cursors

from tests.support.servers import MariaDB, ServerError, wait_until

FORMATS: Final = ("ROW", "MIXED")


class Primary(MariaDB):
    """A server that keeps a binary log.

    Args:
        binlog_format: what its replicas are sent.
        extra: as of `MariaDB`.
    """

    name = "mariadb-primary"

    def __init__(self, binlog_format: str = "ROW", extra: Sequence[str] = ()) -> None:
        logs = ("--server-id=1", "--log-bin=bin", f"--binlog-format={binlog_format}")
        super().__init__("64M", "64M", survives_power_cut=False, extra=(*logs, *extra))


class Replica(MariaDB):
    """An asynchronous replica, from its primary's first statement on."""

    name = "mariadb-replica"

    def __init__(self, primary: Primary, extra: Sequence[str] = ()) -> None:
        self.primary: Final = primary
        super().__init__("64M", "64M", survives_power_cut=False, extra=("--server-id=2", *extra))

    def start(self) -> None:
        """As of `MariaDB`; follows the primary then."""
        is_new = not self.data.exists()
        super().start()
        if not is_new:
            return
        with self.primary.connect_as_root() as connection, connection.cursor() as cursor:
            cursor.execute("CREATE USER replica@'%' IDENTIFIED BY 'replica'")
            cursor.execute("GRANT REPLICATION SLAVE ON *.* TO replica@'%'")
        with self.connect_as_root() as connection, connection.cursor() as cursor:
            # What both have made for themselves.
            cursor.execute(f"DROP DATABASE `{self.database}`")
            cursor.execute(f"DROP USER '{self.user}'@'%'")
            cursor.execute(
                "CHANGE MASTER TO master_host = %s, master_port = %s, master_user = 'replica', "
                "master_password = 'replica', master_log_file = 'bin.000001', master_log_pos = 4",
                (self.host, self.primary.port),
            )
            cursor.execute("START SLAVE")

    def catch_up(self) -> None:
        """Wait until it has all that the primary has now.

        Raises:
            ServerError: it has stopped; the message says why.
        """
        (status,) = self._ask(self.primary, "SHOW MASTER STATUS")
        position = (status["File"], status["Position"])

        def has_all() -> bool:
            (status,) = self._ask(self, "SHOW SLAVE STATUS")
            if status["Last_Error"]:
                raise ServerError(status["Last_Error"])
            return (status["Relay_Master_Log_File"], status["Exec_Master_Log_Pos"]) >= position

        if not wait_until(has_all):
            raise ServerError("the replica does not catch up")

    @staticmethod
    def _ask(server: MariaDB, sql: str) -> tuple[dict[str, Any], ...]:
        with (
            server.connect_as_root(cursorclass=pymysql.cursors.DictCursor) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(sql)
            return tuple(cursor.fetchall())
