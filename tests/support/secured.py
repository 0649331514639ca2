"""Servers that are spoken to over TLS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from tests.conftest import started_servers
from tests.support.certificates import Certificates
from tests.support.servers import free_port
from tests.support.site_under_test import Servers

# MariaDB's certificate: it reads the file again on request.
OF_MARIADB: Final = "mariadb.pem"


@dataclass(frozen=True)
class Secured:
    """Servers with TLS."""

    servers: Servers
    certificates: Certificates
    ports: dict[str, int]

    def url(self, role: str, host: str = "localhost", **options: str) -> str:
        """The URL of a Redis over TLS, with redis-py's options, `ssl_` before their names."""
        number = {"cache": 13, "journal": 0}[role]
        query = urlencode({f"ssl_{name}": value for name, value in options.items()})
        return f"rediss://{host}:{self.ports[role]}/{number}?{query}"

    def database(self, **changes: Any) -> dict[str, Any]:
        """The settings of MariaDB over TLS."""
        made = self.certificates
        return {
            "database_host": "localhost",
            "database_ssl_ca": str(made.ca),
            "database_ssl_cert": str(made.client),
            "database_ssl_key": str(made.key(made.client)),
        } | changes

    def settings(self) -> dict[str, Any]:
        """All of them, the strictest way."""
        made = self.certificates
        options = {
            "ca_certs": str(made.ca),
            "certfile": str(made.client),
            "keyfile": str(made.key(made.client)),
            "check_hostname": "true",
        }
        urls = {f"{role}_url": self.url(role, **options) for role in self.ports}
        return urls | self.database()

    def show(self, role: str, certificate: Path) -> None:
        """From now on a server shows this certificate to new connections."""
        key = self.certificates.key(certificate)
        if role == "database":
            shown = self.certificates.folder / OF_MARIADB
            shown.write_bytes(certificate.read_bytes())
            self.certificates.key(shown).write_bytes(key.read_bytes())
            with self.servers.database.connect_as_root() as root, root.cursor() as cursor:
                cursor.execute("FLUSH SSL")
            return
        with getattr(self.servers, role).client() as client:
            client.execute_command(
                "CONFIG", "SET", "tls-cert-file", str(certificate), "tls-key-file", str(key)
            )


@contextmanager
def started_with_tls(folder: Path) -> Iterator[Secured]:
    """All servers of a site, which accept connections with and without TLS.

    Args:
        folder: where their certificates are made.
    """
    made = Certificates(folder)
    own = made.folder / OF_MARIADB
    own.write_bytes(made.server.read_bytes())
    made.key(own).write_bytes(made.key(made.server).read_bytes())
    files = {"ca": made.ca, "cert": own, "key": made.key(own)}
    extra = [f"--ssl-{name}={file}" for name, file in files.items()]
    with started_servers(extra=extra, has_tls=True) as servers:
        ports = {}
        for role in ("cache", "journal"):
            ports[role] = free_port()
            with getattr(servers, role).client() as client:
                client.execute_command(
                    "CONFIG", "SET", "tls-cert-file", str(made.server), "tls-key-file",
                    str(made.key(made.server)), "tls-ca-cert-file", str(made.ca),
                    "tls-auth-clients", "optional", "tls-port", ports[role],
                )  # fmt: skip
        yield Secured(servers, made, ports)
