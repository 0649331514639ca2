"""Private nodes of Galera: MariaDB servers that all take writes, and certify each other's."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.support.servers import MariaDB, ServerError, free_port, wait_until

PROVIDER: Final = Path("/usr/lib/galera/libgalera_smm.so")


class GaleraNode(MariaDB):
    """A node.

    Args:
        others: nodes that it joins, and takes its data from; none: it starts its own cluster.
        extra: as for `MariaDB`.
    """

    name = "galera"

    def __init__(self, others: Sequence[GaleraNode] = (), extra: Sequence[str] = ()) -> None:
        if not PROVIDER.exists():
            raise ServerError("Galera is not installed: apt-get install galera-4 rsync")
        super().__init__("64M", "64M", survives_power_cut=False, extra=extra)
        self.others: Final = list(others)
        self.group_port: Final = free_port()
        self._transfer_ports: Final = (free_port(), free_port())

    def command(self) -> list[str]:
        """The command line of a node."""
        group = ",".join(f"{self.host}:{other.group_port}" for other in self.others)
        whole, rest = self._transfer_ports
        provider = {
            "base_port": self.group_port,
            "gmcast.listen_addr": f"tcp://{self.host}:{self.group_port}",
            "ist.recv_addr": f"{self.host}:{rest}",
            "gcache.size": "32M",
            # A node that was killed joins the nodes that run now, not an earlier group.
            "pc.recovery": "false",
        }
        return [
            *super().command(),
            "--binlog-format=ROW",
            "--innodb-autoinc-lock-mode=2",
            "--wsrep-on=ON",
            f"--wsrep-provider={PROVIDER}",
            f"--wsrep-cluster-address=gcomm://{group}",
            f"--wsrep-node-address={self.host}:{self.group_port}",
            f"--wsrep-node-name={self.port}",
            "--wsrep-provider-options=" + ";".join(f"{key}={provider[key]}" for key in provider),
            "--wsrep-sst-method=rsync",
            f"--wsrep-sst-receive-address={self.host}:{whole}",
            "--wsrep-slave-threads=2",
        ]

    def is_synced(self) -> bool:
        """Whether it has all that the others have, and takes writes."""
        with self.connect_as_root() as connection, connection.cursor() as cursor:
            cursor.execute("SHOW GLOBAL STATUS LIKE 'wsrep_local_state_comment'")
            (_, state), *_ = cursor.fetchall()
            return str(state) == "Synced"

    def start(self) -> None:
        """As of `MariaDB`; waits until it has the others' data."""
        super().start()
        if not wait_until(self.is_synced):
            raise ServerError(f"a node of Galera did not join:\n{self.log_end()}")

    def _install(self) -> None:
        if not self.others:
            super()._install()
            return
        (self.folder / "init.sql").touch()
        self.data.mkdir()
        if os.geteuid() == 0:
            # rsync, which brings the data, becomes this user.
            self.folder.chmod(0o711)
            shutil.chown(self.data, "nobody")
