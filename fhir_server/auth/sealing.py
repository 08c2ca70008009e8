"""Sealing: what is secret and must be read again (private keys, TOTP secrets) is stored encrypted.

The keys are derived from the server's master key: ``fhir_server.secrets``.
"""

from __future__ import annotations

import hmac
from pathlib import Path

from fhir_server.secrets import Damaged, MasterKey


def master_key(folder: Path) -> MasterKey:
    """The master key of the data in ``folder``. Raises ValueError where it cannot be had."""
    return MasterKey.open(folder)


class Sealer:
    """Seals with keys of its own, derived from the master key."""

    def __init__(self, master: MasterKey) -> None:
        self._master = master
        self._hash_key = master.derive("auth hash")

    def seal(self, plain: bytes, about: str) -> bytes:
        """``plain`` encrypted; ``about`` (what it is, whose) must be said again to open it."""
        return self._master.seal("auth", plain, about.encode())

    def open(self, sealed: bytes, about: str) -> bytes:
        """What was sealed. Raises ValueError where key, text or ``about`` are not those of the sealing."""
        try:
            return self._master.unseal("auth", sealed, about.encode())
        except Damaged:
            raise ValueError(f"{about} cannot be opened with this master key") from None

    def keyed_hash(self, text: str, about: str) -> str:
        """A hash of ``text`` that nobody can compute without the master key (for looking up, e.g. identity numbers)."""
        return hmac.new(self._hash_key, f"{about}\0{text}".encode(), self._master.digest).hexdigest()
