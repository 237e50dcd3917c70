"""Keys and certificates made with the `openssl` command: they live as long as a test."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path
from typing import Optional


class Authority:
    """Signs certificates into files of a folder; its own is `file`."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.file, self.key = str(folder / f"{name}.pem"), str(folder / f"{name}.key")
        openssl("req", "-x509", *new_key(self.key), "-out", self.file, "-subj", f"/CN={name}", "-days", "2")

    def sign(self, name: str, subject: str, alternative_names: str, days: int = 2) -> tuple[str, str]:
        """The files of a certificate and its key; with -1 days it has expired."""
        base = self.folder / f"{self.name}-{name}"
        certificate, key, request, extensions = (f"{base}.{end}" for end in ("pem", "key", "csr", "ext"))
        openssl("req", *new_key(key), "-out", request, "-subj", f"/CN={subject}")
        Path(extensions).write_text(f"subjectAltName={alternative_names}\n")
        openssl("x509", "-req", "-in", request, "-CA", self.file, "-CAkey", self.key, "-CAcreateserial",
                "-days", str(days), "-extfile", extensions, "-out", certificate)
        return certificate, key


def new_key(file: str) -> list[str]:
    return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", file]


def openssl(*arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def server_context(certificate: tuple[str, str], client_authority: Optional[str] = None) -> ssl.SSLContext:
    """A server's side that chooses apus/1; with an authority it wants a certificate of its clients."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.set_alpn_protocols(["apus/1"])
    if client_authority:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_authority)
    return context
