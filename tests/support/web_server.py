"""A web server for what the stand-in for Frappe answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from werkzeug.serving import WSGIRequestHandler, make_server

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


class Quiet(WSGIRequestHandler):
    """Logs no line for each request."""

    def log(self, *_args: object, **_more: object) -> None:
        pass


@contextmanager
def served(application: WSGIApplication) -> Iterator[str]:
    """Serve an application on a free port, in a thread of its own; its URL."""
    server = make_server("127.0.0.1", 0, application, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
