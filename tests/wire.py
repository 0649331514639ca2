"""A wire to a server that can be cut at any moment: a TCP proxy in a process of its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.servers import ServerError, dies_with_parent, free_port

if TYPE_CHECKING:
    from tests.site_under_test import Servers

CHUNK: Final = 1 << 16


class Wire:
    """A port that leads to another, and what can befall the way between them."""

    def __init__(self, port: int) -> None:
        self.port: Final = free_port()
        self._process: Final = subprocess.Popen(
            [*dies_with_parent(), sys.executable, "-m", "tests.wire", str(self.port), str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[1],
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"ready\n":
            raise ServerError(f"the wire to port {port} did not come up")

    def cut(self) -> None:
        """Break all connections now; new ones work."""
        self._tell("cut")

    def swallow(self) -> None:
        """From now on what clients send arrives, but their connections break instead of bringing replies."""
        self._tell("swallow")

    def swallow_reply(self, number: int) -> None:
        """Once: instead of this reply from now, 1 for the next one, its connection breaks."""
        self._tell(f"swallow {number}")

    def hang(self) -> None:
        """From now on nothing passes, in either direction; connections stay open."""
        self._tell("hang")

    def mend(self) -> None:
        """Everything passes again, also what was held up."""
        self._tell("mend")

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()

    def _tell(self, order: str) -> None:
        """Give an order, and wait until it is obeyed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{order}\n".encode())
        self._process.stdin.flush()
        self._process.stdout.readline()


class Wires:
    """A wire to each server of a site."""

    def __init__(self, servers: Servers) -> None:
        self.to: Final = {
            name: Wire(getattr(servers, name).port) for name in ("cache", "journal", "database")
        }

    @property
    def settings(self) -> dict[str, Any]:
        """What makes an engine go by these wires: arguments of `Site.engine`."""
        return {
            "cache_url": f"redis://127.0.0.1:{self.to['cache'].port}",
            "journal_url": f"redis://127.0.0.1:{self.to['journal'].port}",
            "database_port": self.to["database"].port,
        }

    def __enter__(self) -> Wires:
        return self

    def __exit__(self, *_: object) -> None:
        for wire in self.to.values():
            wire.close()


class _Proxy:
    """The other side: runs in the process of the wire."""

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self.target = target
        self.swallows = False
        # Replies until the one that is swallowed alone; 0 when none is.
        self.countdown = 0
        self.flows = asyncio.Event()
        self.writers: set[asyncio.StreamWriter] = set()

    async def run(self) -> None:
        self.flows.set()
        server = await asyncio.start_server(self.connect, "127.0.0.1", self.port)
        orders = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
        print("ready", flush=True)
        async with server:
            while order := (await orders.readline()).decode().strip():
                self.obey(*order.split())
                print("done", flush=True)

    def obey(self, order: str, number: str = "0") -> None:
        self.countdown = int(number)
        if order == "cut":
            for writer in list(self.writers):
                writer.transport.abort()
            return
        self.swallows = order == "swallow" and not self.countdown
        if order == "hang":
            self.flows.clear()
        else:
            self.flows.set()

    def is_swallowed(self) -> bool:
        if self.countdown:
            self.countdown -= 1
            return self.countdown == 0
        return self.swallows

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, far_writer}
        self.writers |= ends
        await asyncio.gather(self.pump(reader, far_writer, False), self.pump(far_reader, writer, True))
        self.writers -= ends

    async def pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, replies: bool) -> None:
        with suppress(OSError):
            while data := await source.read(CHUNK):
                await self.flows.wait()
                if replies and self.is_swallowed():
                    break
                target.write(data)
                await target.drain()
        target.transport.abort()


if __name__ == "__main__":
    asyncio.run(_Proxy(int(sys.argv[1]), int(sys.argv[2])).run())
