"""Certificates for TLS, made for one run of the tests."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from tests.support.servers import find_program

KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
HERE: Final = "DNS:localhost,IP:127.0.0.1"
ELSEWHERE: Final = "DNS:elsewhere.example"


class Certificates:
    """A CA and what it signs, as PEM files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder: Final = folder
        self.ca: Final = self._make_ca("ca")
        self.other_ca: Final = self._make_ca("other-ca")
        self.server: Final = self._sign("server", HERE)
        self.client: Final = self._sign("client", HERE)
        self.elsewhere: Final = self._sign("elsewhere", ELSEWHERE)
        self.expired: Final = self._sign("expired", HERE, days=0)

    def key(self, certificate: Path) -> Path:
        """The file of a certificate's key."""
        return certificate.with_suffix(".key")

    def _make_ca(self, name: str) -> Path:
        certificate = self.folder / f"{name}.pem"
        self._openssl(
            "req", "-x509", *KEY, "-keyout", str(self.key(certificate)), "-out", str(certificate),
            "-subj", f"/CN={name}", "-days", "2",
        )  # fmt: skip
        return certificate

    def _sign(self, name: str, names: str, days: int = 2) -> Path:
        certificate = self.folder / f"{name}.pem"
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={names}\n")
        self._openssl(
            "req", *KEY, "-keyout", str(self.key(certificate)), "-out", str(request),
            "-subj", f"/CN={name}",
        )  # fmt: skip
        self._openssl(
            "x509", "-req", "-in", str(request), "-out", str(certificate), "-days", str(days),
            "-CA", str(self.ca), "-CAkey", str(self.key(self.ca)), "-CAcreateserial",
            "-extfile", str(extensions),
        )  # fmt: skip
        return certificate

    @staticmethod
    def _openssl(*arguments: str) -> None:
        subprocess.run([find_program("openssl"), *arguments], check=True, capture_output=True)
