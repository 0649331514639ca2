"""URLs of Redis mean what they mean to redis-py, to which Frappe gives them, or are refused."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from memora._engine import Engine, InvalidInput, Settings
from tests.servers.test_settings import PLAIN
from tests.support.site_under_test import PLAYER, Record, Site, ids, session

# The commands that both clients send to a server first.
SIGNS_ON: Final = {b"AUTH", b"SELECT"}
REPLIES: Final = {b"INFO": b"$11\r\nrun_id:here\r\n", b"PING": b"+PONG\r\n"}


class Listener:
    """Records the clients' first commands, and accepts them."""

    def __init__(self, folder: Path) -> None:
        self.socket: Final = str(folder / "a socket")
        self.said: list[tuple[str, ...]] = []
        listener = self

        class TcpServer(socketserver.ThreadingTCPServer):
            daemon_threads = True

        class SocketServer(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while header := self.rfile.readline():
                    words = []
                    for _ in range(int(header[1:])):
                        length = int(self.rfile.readline()[1:])
                        words.append(self.rfile.read(length + 2)[:-2])
                    if words[0] in SIGNS_ON:
                        listener.said.append(tuple(word.decode() for word in words))
                    self.wfile.write(REPLIES.get(words[0], b"+OK\r\n"))

        self.servers: Final = [
            TcpServer(("127.0.0.1", 0), Handler),
            SocketServer(self.socket, Handler),
        ]
        for server in self.servers:
            threading.Thread(target=server.serve_forever, daemon=True).start()
        self.port: Final[int] = self.servers[0].server_address[1]

    def close(self) -> None:
        """Listen no more."""
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def heard_from_redis_py(self, url: str) -> list[tuple[str, ...]]:
        """How redis-py signs on with this URL."""
        self.said = []
        with contextlib.closing(redis.Redis.from_url(url)) as client:
            client.ping()
        return self.said

    def heard_from_memora(self, url: str) -> list[tuple[str, ...]]:
        """How memora does."""
        self.said = []
        settings = PLAIN | {"cache_url": url, "redis_timeout_ms": 5_000}
        engine = Engine(Settings(**settings))
        assert engine.cache_available()
        engine.close()
        return self.said


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listener]:
    """Somebody who listens."""
    listener = Listener(tmp_path_factory.mktemp("redis"))
    yield listener
    listener.close()


SAME: Final = [
    "redis://HOST",
    "redis://localhost:PORT",
    "redis://LocalHost:PORT",
    "redis://HOST/",
    "redis://HOST/0",
    "redis://HOST/5",
    "redis://HOST/5/",
    "redis://HOST//5",
    "redis://HOST/%35",
    "redis://HOST?db=3",
    "redis://HOST/?db=3",
    "redis://HOST/5?db=3",
    "redis://HOST/5?db=",
    "redis://HOST?db=3&db=4",
    "redis://HOST?db=+3",
    "redis://HOST?db=%33",
    "redis://HOST?db=%2533",
    "redis://:pw@HOST",
    "redis://user@HOST",
    "redis://user:@HOST",
    "redis://user:pw@HOST/2",
    "redis://user:p:w@HOST",
    "redis://user:p@w@HOST",
    "redis://user:p%40s%3Aw%2Frd%25@HOST",
    "redis://us%20er:p+w@HOST",
    "redis://user:100%@HOST",
    "redis://HOST?username=user&password=pw",
    "redis://HOST?password=pw",
    "redis://HOST?password=p+w%2Bx%252By",
    "redis://:url@HOST?username=query&password=query",
    "redis://user:pw@HOST?username=other",
    "redis://user:öä€@HOST",
    "redis://user:%C3%B6@HOST",
    "redis://user:p;w@HOST",
    "unix://SOCKET",
    "unix://SOCKET?db=2",
    "unix://user:pw@SOCKET?db=2",
    "unix://:pw@SOCKET",
    "unix://SOCKET?username=user&password=pw&db=7",
    "redis://HOST?socket_timeout=5&socket_connect_timeout=4.5",
    "redis://HOST?socket_keepalive=True&retry_on_timeout=yes&max_connections=7",
    "redis://HOST?health_check_interval=30&decode_responses=True&encoding=utf-8",
    "redis://HOST?client_name=school",
]


@pytest.mark.parametrize("url", SAME)
def test_it_means_the_same(listener: Listener, url: str) -> None:
    filled = url.replace("HOST", f"127.0.0.1:{listener.port}").replace("PORT", str(listener.port))
    filled = filled.replace("SOCKET", quote(listener.socket))
    assert listener.heard_from_memora(filled) == listener.heard_from_redis_py(filled)


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8)


@settings(max_examples=30)
@given(user=WORDS, word=WORDS, database=st.integers(0, 2**31), place=st.sampled_from("uqs"))
def test_any_user_and_password_mean_the_same(
    listener: Listener, user: str, word: str, database: int, place: str
) -> None:
    user, word = quote(user, ""), quote(word, "")
    host = f"127.0.0.1:{listener.port}"
    url = {
        "u": f"redis://{user}:{word}@{host}/{database}",
        "q": f"redis://{host}?username={user}&password={word}&db={database}",
        "s": f"unix://{user}:{word}@{quote(listener.socket)}?db={database}",
    }[place]
    assert listener.heard_from_memora(url) == listener.heard_from_redis_py(url)


@settings(max_examples=30)
@given(word=st.text("aB7%@:+&=;,!$'()*~-._ é"))
def test_what_is_not_encoded_means_the_same_or_is_refused(listener: Listener, word: str) -> None:
    url = f"redis://user:{word}@127.0.0.1:{listener.port}"
    try:
        heard = listener.heard_from_memora(url)
    except InvalidInput:
        return
    assert heard == listener.heard_from_redis_py(url)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("127.0.0.1:6379", "must begin with redis://"),
        ("http://127.0.0.1", "must begin with redis://"),
        ("valkey://h:6379", "must begin with redis://"),
        ("redis+sentinel://h:26379/mymaster", "must begin with redis://"),
        ("redis://:p#x@127.0.0.1:6379", "%23"),
        ("redis://:p/x@127.0.0.1:6379", "%40 for @"),
        ("redis://127.0.0.1:6379/mymaster", "database's number"),
        ("redis://127.0.0.1:6379?db=one", "db is not a number"),
        ("redis://127.0.0.1?socket_timeout=never", "socket_timeout must be seconds"),
        ("redis://127.0.0.1?retry=7", "option retry"),
        ("redis://127.0.0.1?ssl_cert_reqs=none", "ssl_cert_reqs needs rediss://"),
        ("unix://run/redis.sock", "unix:///path"),
    ],
)
@pytest.mark.parametrize(
    ("argument", "key"),
    [
        ("cache_url", "srs_cache_url"),
        ("frappe_cache_url", "redis_cache"),
        ("journal_url", "redis_queue (or srs_journal_url)"),
    ],
)
def test_what_memora_cannot_mean_is_refused_by_its_key(
    argument: str, key: str, url: str, why: str
) -> None:
    # Frappe's own counts if no other is named.
    plain = PLAIN | ({"cache_url": None} if argument == "frappe_cache_url" else {})
    with pytest.raises(InvalidInput) as refusal:
        Settings(**(plain | {argument: url}))
    assert str(refusal.value).startswith(f"{key} cannot be used: ")
    assert why in str(refusal.value)


def test_the_shorter_patience_counts(site: Site) -> None:
    """A URL may be meant for jobs, which wait longer than students."""
    site.add(PLAYER, [Record("q")])
    own: dict[str, Any] = {"cache_url": f"{site.servers.cache.url}?socket_timeout=0.05"}
    engine = site.engine(**own)
    assert ids(engine.due(PLAYER)) == ["q"]
    site.servers.cache.pause()
    # Otherwise it would wait for the site's whole timeout, and this test with it.
    assert not engine.cache_available()
    assert engine.submit(PLAYER, session_data=session("q"))["persistence_job_id"]
