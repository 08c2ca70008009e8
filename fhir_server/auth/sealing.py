"""Sealing: what is secret and must be read again (private keys, TOTP secrets) is stored encrypted.

The keys come from the server's master key (``fhir_server.secrets``).
"""

from __future__ import annotations

from fhir_server.secrets import MasterKey

_PURPOSE = "auth"


class Sealer:
    """Seals what auth.db keeps."""

    def __init__(self, master: MasterKey) -> None:
        self._master = master

    def seal(self, plain: bytes, about: str) -> bytes:
        """``plain`` encrypted; ``about`` (what it is, whose) must be said again to open it."""
        return self._master.seal(_PURPOSE, plain, about.encode())

    def open(self, sealed: bytes, about: str) -> bytes:
        """What was sealed. Raises ValueError where key, text or ``about`` are not those of the sealing."""
        return self._master.unseal(_PURPOSE, sealed, about.encode())

    def keyed_hash(self, text: str, about: str) -> str:
        """A hash of ``text`` that nobody can compute without the master key (for looking up, e.g. identity numbers)."""
        return self._master.mac(f"{_PURPOSE} {about}", text.encode()).hex()
