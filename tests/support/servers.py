"""Private Redis and MariaDB servers for tests, demo and benches.

Each server lives in a folder of its own, under the system's temporary folder or another one,
listens on a free port of 127.0.0.1 only, and ends with the process that started it, even when that
process is killed.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, TypeVar

import pymysql
import pymysql.cursors
import redis

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 30.0
# Below Linux's range for outgoing connections: no other program takes the port while the server is
# down.
PORTS: Final = range(20000, 32000)
_given: Final[set[int]] = set()
# The database of the cache's Redis with the schedules, by default.
SCHEDULES: Final = 13
SERVER_FOLDERS: Final = "/usr/sbin:/usr/local/sbin:/sbin"
# Names another redis-server, or a valkey-server, for all of this.
OTHER_REDIS: Final = "MEMORA_REDIS_SERVER"
INSTALL_HINT: Final = "run `make setup`, or as root: apt-get install mariadb-server redis-server"

AnyStarted = TypeVar("AnyStarted", bound="Started")


class ServerError(Exception):
    """A private server is not installed or did not start; the message has the end of its log."""


class Started:
    """A program that runs for as long as a `with` lasts; a partial start is also ended."""

    def __enter__(self: AnyStarted) -> AnyStarted:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start it."""
        raise NotImplementedError

    def close(self) -> None:
        """End it, and leave nothing behind."""
        raise NotImplementedError


class Server(Started):
    """One server process: start, stop, kill, pause, resume and restart, always on the same port.

    Start it in the main thread: Linux ends it with the thread that started it.
    """

    name: str = "server"

    def __init__(self, parent: Path | None = None) -> None:
        self.folder: Final = Path(tempfile.mkdtemp(prefix=f"memora-{self.name}-", dir=parent))
        self.log: Final = self.folder / "server.log"
        self.host: Final = "127.0.0.1"
        self.port: Final = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id of the running server.

        Raises:
            ServerError: it does not run.
        """
        if self._process is None:
            raise ServerError(f"{self.name} does not run")
        return self._process.pid

    def command(self) -> list[str]:
        """The command line that runs the server in the foreground."""
        raise NotImplementedError

    def check(self) -> None:
        """Ask the server something; raises while it cannot answer."""
        raise NotImplementedError

    def start(self) -> None:
        """Start the server and wait until it answers. Does nothing when it runs.

        Raises:
            ServerError: it ended, or did not answer in time.
        """
        if self.is_running():
            return
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*dies_with_parent(), *self.command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
            )
        self._wait_until_ready()

    def stop(self) -> None:
        """End the server in an orderly way; after 30 seconds by force."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """End the server as a crash does (kill -9)."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def pause(self) -> None:
        """Freeze the server: it keeps its connections and answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen server continue."""
        os.kill(self.pid, signal.SIGCONT)

    def restart(self) -> None:
        """Stop in an orderly way and start again."""
        self.stop()
        self.start()

    def is_running(self) -> bool:
        """Whether the process is there; a frozen one is."""
        return self._process is not None and self._process.poll() is None

    def close(self) -> None:
        """End the server and remove its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return self.check()
            except (redis.RedisError, pymysql.MySQLError, OSError) as error:
                if not self.is_running() or time.monotonic() > deadline:
                    self.kill()
                    raise ServerError(
                        f"{self.name} did not start: {error}\n{self.log_end()}"
                    ) from error
            time.sleep(0.02)

    def log_end(self, lines: int = 30) -> str:
        """The last lines of what the server and its installer wrote."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""


class Redis(Server):
    """A Redis server.

    Args:
        role: "cache" keeps nothing on disk and may evict, as Frappe's redis_cache; "journal" has
            appendonly on and never evicts, like a durable redis_queue.
        appendfsync: when the journal reaches the disk.
        parent: where its folder is.
        options: more of its configuration.
        must_be_installed: use the installed Redis, whichever is tested: others may have no TLS.
    """

    def __init__(
        self,
        role: Literal["cache", "journal"] = "cache",
        appendfsync: Literal["always", "everysec", "no"] = "everysec",
        parent: Path | None = None,
        options: Mapping[str, object] = MappingProxyType({}),
        must_be_installed: bool = False,
    ) -> None:
        self.must_be_installed: Final = must_be_installed
        self.name = f"redis-{role}"
        self.options: Final = options
        self.role: Final = role
        self.appendfsync: Final = appendfsync
        super().__init__(parent)

    @property
    def database(self) -> int:
        """The number of the database that memora uses: of the cache's, another one than Frappe."""
        return SCHEDULES if self.role == "cache" else 0

    @property
    def url(self) -> str:
        """`redis://host:port/database`."""
        return f"{self.server_url}/{self.database}"

    @property
    def server_url(self) -> str:
        """`redis://host:port`, as Frappe's configuration has it."""
        return f"redis://{self.host}:{self.port}"

    def client(self, database: int | None = None) -> redis.Redis[str]:
        """A new client that reads answers as text, of the database that memora uses or of another
        one."""
        number = self.database if database is None else database
        return redis.Redis(
            host=self.host, port=self.port, db=number, decode_responses=True, socket_timeout=60
        )

    def command(self) -> list[str]:
        """The command line of this role."""
        options = {
            "port": self.port,
            "bind": self.host,
            "dir": self.folder,
            "save": "",
            "daemonize": "no",
        }
        if self.role == "journal":
            options |= {
                "appendonly": "yes",
                "appendfsync": self.appendfsync,
                "maxmemory-policy": "noeviction",
            }
        else:
            options |= {"appendonly": "no", "maxmemory": "1gb", "maxmemory-policy": "allkeys-lru"}
        options |= self.options
        pairs = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        other = None if self.must_be_installed else os.environ.get(OTHER_REDIS)
        return [other or find_program("redis-server"), *pairs]

    def check(self) -> None:
        """PING."""
        with contextlib.closing(self.client(0)) as client:
            client.ping()

    def snapshot(self) -> None:
        """Write the cache to disk: the next start restores it."""
        with contextlib.closing(self.client()) as client:
            client.save()

    def forget(self) -> None:
        """Remove the files on disk: the next start is empty. Only while the server is down."""
        for path in self.folder.iterdir():
            if path != self.log:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


class MariaDB(Server):
    """A MariaDB server with one database, owned by a user who has rights on `memora_%` databases
    only.

    Args:
        innodb_buffer_pool_size: as MariaDB reads it, for example "256M".
        innodb_log_file_size: likewise; a large one keeps bulk loads from waiting.
        survives_power_cut: each commit waits for the disk. Without, it survives the end of the
            server.
        extra: more command-line options.
    """

    name = "mariadb"
    user: Final = "memora"
    password: Final = "memora-private"
    database: Final = "memora_site"

    def __init__(
        self,
        innodb_buffer_pool_size: str = "256M",
        innodb_log_file_size: str = "256M",
        survives_power_cut: bool = True,
        extra: Sequence[str] = (),
    ) -> None:
        self.extra: Final = tuple(extra)
        self.survives_power_cut: Final = survives_power_cut
        self.innodb_buffer_pool_size: Final = innodb_buffer_pool_size
        self.innodb_log_file_size: Final = innodb_log_file_size
        super().__init__()
        self.socket: Final = self.folder / "sock"
        self.data: Final = self.folder / "data"

    @property
    def settings(self) -> dict[str, Any]:
        """The `database_*` arguments of `memora._engine.Settings`."""
        return {
            "database_name": self.database,
            "database_user": self.user,
            "database_password": self.password,
            "database_host": self.host,
            "database_port": self.port,
        }

    def connect(self, **options: Any) -> pymysql.Connection[Any]:
        """A new PyMySQL connection of the site's user; `options` go to `pymysql.connect`."""
        defaults: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "database": self.database,
            "charset": "utf8mb4",
            "autocommit": True,
        }
        return pymysql.connect(**(defaults | options))

    def connect_as_root(self, **options: Any) -> pymysql.Connection[Any]:
        """A new connection of the administrator, for what the site's user may not do."""
        defaults: dict[str, Any] = {
            "unix_socket": str(self.socket),
            "user": "root",
            "autocommit": True,
        }
        return pymysql.connect(**(defaults | options))

    def start(self) -> None:
        """Make the data folder on first use, then start."""
        if not self.data.exists():
            self._install()
        super().start()

    def command(self) -> list[str]:
        """The command line, with nothing read from the machine's own settings."""
        return [
            find_program("mariadbd", "mysqld"),
            "--no-defaults",
            *self._own_user(),
            f"--datadir={self.data}",
            f"--socket={self.socket}",
            f"--port={self.port}",
            f"--bind-address={self.host}",
            f"--init-file={self.folder / 'init.sql'}",
            f"--pid-file={self.folder / 'pid'}",
            # A server that starts removes the temporary files of others from a folder that they
            # share.
            f"--tmpdir={self.folder}",
            f"--innodb-buffer-pool-size={self.innodb_buffer_pool_size}",
            f"--innodb-log-file-size={self.innodb_log_file_size}",
            *self._durability(),
            # As Frappe's own set-up asks for.
            "--character-set-server=utf8mb4",
            "--collation-server=utf8mb4_unicode_ci",
            "--skip-character-set-client-handshake",
            "--local-infile=1",
            "--skip-name-resolve",
            *self.extra,
        ]

    def check(self) -> None:
        """SELECT 1 as the site's user."""
        with contextlib.closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1")

    def status(self, name: str) -> int:
        """A counter of the whole server, such as `Com_select`. Asking counts as no SELECT."""
        with contextlib.closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("SHOW GLOBAL STATUS LIKE %s", (name,))
            return int(cursor.fetchone()[1])

    def _install(self) -> None:
        (self.folder / "init.sql").write_text(
            f"CREATE DATABASE IF NOT EXISTS `{self.database}`;\n"
            f"CREATE USER IF NOT EXISTS '{self.user}'@'%' IDENTIFIED BY '{self.password}';\n"
            f"GRANT ALL ON `memora\\_%`.* TO '{self.user}'@'%';\n"
        )
        command = [
            find_program("mariadb-install-db", "mysql_install_db"),
            "--no-defaults",
            *self._own_user(),
            f"--datadir={self.data}",
            # As in `command`: this starts a server, too.
            f"--tmpdir={self.folder}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ]
        with self.log.open("ab") as log:
            done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False)
        if done.returncode != 0:
            raise ServerError(f"mariadb-install-db failed:\n{self.log_end()}")

    def _durability(self) -> list[str]:
        """When it waits for the disk. What it has written outlives it in any case."""
        if self.survives_power_cut:
            return ["--innodb-flush-log-at-trx-commit=1"]
        return [
            "--innodb-flush-log-at-trx-commit=2",
            "--innodb-flush-method=nosync",
            "--debug-no-sync",
        ]

    @staticmethod
    def _own_user() -> list[str]:
        return ["--user=root"] if os.geteuid() == 0 else []


def free_port() -> int:
    """An unused port of 127.0.0.1, which this process was not given before.

    A server keeps its port while it is down, or not started yet: no other process of the same run
    of pytest is given it, either.
    """
    place = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    own = PORTS[place :: int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))]
    left = [port for port in own if port not in _given]
    # Not of the test's seed: two runs with one seed would try the same ports.
    for port in random.SystemRandom().sample(left, min(200, len(left))):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            _given.add(port)
            return port
    raise ServerError("no free port found")


def find_program(*names: str) -> str:
    """The path of the first of these programs that is installed.

    Raises:
        ServerError: none is; the message says how to install them.
    """
    places = os.pathsep.join([os.environ.get("PATH", ""), SERVER_FOLDERS])
    for name in names:
        if path := shutil.which(name, path=places):
            return path
    raise ServerError(f"{names[0]} is not installed: {INSTALL_HINT}")


def redis_version() -> int:
    """The major version of the Redis that is tested."""
    program = os.environ.get(OTHER_REDIS) or find_program("redis-server")
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return int(said.split("v=")[1].split(".")[0])


def dies_with_parent() -> list[str]:
    """A prefix for a command line that ends the program when we end, however we do."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL"] if setpriv else []


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Wait for something that another process does; whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not (held := condition()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return held
