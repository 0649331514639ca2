"""Wires to servers that can be cut at any time: TCP proxies, many in one other process."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.support.servers import SCHEDULES, ServerError, dies_with_parent, free_port

if TYPE_CHECKING:
    from tests.support.site_under_test import Servers

SERVERS: Final = ("cache", "journal", "database")


class Exchange:
    """A process that serves wires."""

    def __init__(self) -> None:
        self._lock: Final = threading.Lock()
        self._wires = 0
        self._process: Final = subprocess.Popen(
            [*dies_with_parent(), sys.executable, "-m", "tests.support.wire"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )

    def lay(self, port: int, target: int) -> int:
        """Lay a wire from one port to another; its number."""
        with self._lock:
            number = self._wires
            self._wires += 1
        self.send(number, f"lay {port} {target}")
        return number

    def send(self, wire: int, order: str) -> None:
        """Send an order for a wire, and wait until it is done.

        Raises:
            ServerError: the process is dead.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(f"{wire} {order}\n".encode())
            self._process.stdin.flush()
            if self._process.stdout.readline() != b"done\n":
                raise ServerError(f"wire {wire} did not obey: {order}")

    def close(self) -> None:
        """End the process, and with it all wires."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Exchange:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Wire:
    """A port that leads to another, with faults between them.

    Args:
        port: where it leads.
        exchange: the process that serves it; by default its own.
    """

    def __init__(self, port: int, exchange: Exchange | None = None) -> None:
        self.port: Final = free_port()
        self._is_alone: Final = exchange is None
        self._exchange: Final = exchange or Exchange()
        self._number: Final = self._exchange.lay(self.port, port)

    def cut(self) -> None:
        """Break all connections now; new ones work."""
        self._send("cut")

    def swallow(self) -> None:
        """From now on clients' requests arrive, but their connections break instead of bringing
        replies."""
        self._send("swallow")

    def swallow_reply(self, number: int) -> None:
        """Once: a connection breaks instead of bringing this reply; 1 is the next one."""
        self._send(f"swallow {number}")

    def hang(self) -> None:
        """From now on nothing passes, in either direction; connections stay open."""
        self._send("hang")

    def forget(self) -> None:
        """From now on nothing passes over existing connections, without an error; new ones work.
        Firewalls treat idle connections like this."""
        self._send("forget")

    def delay(self, milliseconds: int) -> None:
        """From now on everything that passes takes this long, in each direction."""
        self._send(f"delay {milliseconds}")

    def refuse(self) -> None:
        """Break all connections now, and refuse new ones: the server cannot be reached."""
        self._send("refuse")
        self._send("cut")

    def lead(self, port: int) -> None:
        """From now on new connections lead to another port; those that are there stay as they
        are."""
        self._send(f"lead {port}")

    def mend(self) -> None:
        """Everything passes again, including what was delayed."""
        self._send("mend")

    def close(self) -> None:
        """End the process, if it is this wire's own."""
        if self._is_alone:
            self._exchange.close()

    def _send(self, order: str) -> None:
        self._exchange.send(self._number, order)


class Wires:
    """A wire to each server of a site, for one process.

    Args:
        servers: of the site.
        exchange: the process that serves them; by default their own.
    """

    def __init__(self, servers: Servers, exchange: Exchange | None = None) -> None:
        self._are_alone: Final = exchange is None
        self._exchange: Final = exchange or Exchange()
        self.to: Final = {
            name: Wire(getattr(servers, name).port, self._exchange) for name in SERVERS
        }

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments of `Site.engine` that make an engine use these wires."""
        return {
            "cache_url": f"redis://127.0.0.1:{self.to['cache'].port}/{SCHEDULES}",
            "journal_url": f"redis://127.0.0.1:{self.to['journal'].port}",
            "database_port": self.to["database"].port,
        }

    def close(self) -> None:
        """End the process, if it is their own."""
        if self._are_alone:
            self._exchange.close()

    def __enter__(self) -> Wires:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _End(asyncio.Protocol):
    """One end of a connection: sends on what its peer receives."""

    def __init__(self, line: _Line, peer: _End | None = None) -> None:
        self.line = line
        self.peer = peer
        # The far end is the server's: it receives replies.
        self.is_far = peer is not None
        self.transport: asyncio.Transport | None = None
        self.is_forgotten = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.line.ends.add(self)
        if self.peer is None:
            # Nothing is read before the peer exists.
            transport.pause_reading()
            asyncio.get_running_loop().create_task(self.line.link(self))
        elif self.line.hangs:
            transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        if self.is_forgotten:
            return
        if self.is_far and self.line.is_swallowed():
            self.abort()
        elif self.peer is not None and self.peer.transport is not None:
            self.line.later(self.peer.transport.write, data)

    def connection_lost(self, _: Exception | None) -> None:
        self.line.ends.discard(self)
        if self.peer is None or self.peer.transport is None:
            return
        if self.is_far:
            # The server's last words arrive.
            self.line.later(self.peer.transport.close)
        else:
            self.peer.transport.abort()

    def pause_writing(self) -> None:
        if self.peer is not None:
            self.peer.stop()

    def resume_writing(self) -> None:
        if self.peer is not None and not self.line.hangs:
            self.peer.go_on()

    def stop(self) -> None:
        if self.transport is not None:
            self.transport.pause_reading()

    def go_on(self) -> None:
        if self.transport is not None and self.peer is not None:
            self.transport.resume_reading()

    def abort(self) -> None:
        for end in (self, self.peer):
            if end is not None and end.transport is not None:
                end.transport.abort()


class _Line:
    """One wire, in the process that serves it."""

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self.target = target
        self.swallows = False
        self.hangs = False
        # Replies until the one that is swallowed alone; 0 when none is.
        self.countdown = 0
        # The delay of everything that passes, in seconds.
        self.delay = 0.0
        self.ends: set[_End] = set()
        self.server: asyncio.Server | None = None
        # Keeps the port ours while new connections are refused.
        self.closed_door: socket.socket | None = None

    async def obey(self, order: str, number: str = "0") -> None:
        if order == "cut":
            for end in list(self.ends):
                end.abort()
            return
        if order == "lead":
            self.target = int(number)
            return
        if order == "forget":
            for end in self.ends:
                end.is_forgotten = True
            return
        if order == "delay":
            self.delay = int(number) / 1000
            return
        self.countdown = int(number)
        self.swallows = order == "swallow" and not self.countdown
        self.hangs = order == "hang"
        if order == "refuse":
            self.refuse()
        else:
            await self.listen()
        for end in list(self.ends):
            if self.hangs:
                end.stop()
            else:
                end.go_on()

    def later(self, action: Callable[..., None], *arguments: Any) -> None:
        """Do something once it has come to the other end."""
        if self.delay:
            asyncio.get_running_loop().call_later(self.delay, action, *arguments)
        else:
            action(*arguments)

    async def listen(self) -> None:
        if self.server is None:
            door = self.closed_door or self.door()
            self.closed_door = None
            self.server = await asyncio.get_running_loop().create_server(
                lambda: _End(self), sock=door
            )

    def refuse(self) -> None:
        if self.server is not None:
            self.server.close()
            self.server = None
            self.closed_door = self.door()

    def door(self) -> socket.socket:
        door = socket.socket()
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(("127.0.0.1", self.port))
        return door

    async def link(self, near: _End) -> None:
        """Connect a client's end with the server."""
        far = _End(self, near)
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: far, "127.0.0.1", self.target
            )
        except OSError:
            near.abort()
            return
        near.peer = far
        if near not in self.ends:
            far.abort()
        elif not self.hangs:
            near.go_on()

    def is_swallowed(self) -> bool:
        if self.countdown:
            self.countdown -= 1
            return self.countdown == 0
        return self.swallows


async def _serve() -> None:
    """Obey orders, each a line: a wire's number, what to do, arguments."""
    lines: dict[str, _Line] = {}
    orders = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while order := (await orders.readline()).decode().split():
        number, what, *arguments = order
        if what == "lay":
            port, target = arguments
            lines[number] = _Line(int(port), int(target))
            await lines[number].listen()
        else:
            await lines[number].obey(what, *arguments)
        print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(_serve())
