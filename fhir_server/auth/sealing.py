"""Sealing: what is secret and must be read again (private keys, TOTP secrets) is stored encrypted.

AES-256-GCM; the key is derived from the server's master key. https://csrc.nist.gov/pubs/sp/800/38/d/final
"""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE = 12


def master_key(folder: Path) -> bytes:
    """The 32 bytes of ``folder/master.key``, made at the first start and readable by the server's user only."""
    path = folder / "master.key"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(descriptor, "w") as file:
            file.write(os.urandom(32).hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
    try:
        key = bytes.fromhex(path.read_text("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ValueError(f"{path} does not hold a key (64 hexadecimal digits)")
    return key


class Sealer:
    """Seals with a key of its own, derived from the master key."""

    def __init__(self, master: bytes) -> None:
        material = HKDF(algorithm=SHA256(), length=64, salt=None, info=b"yidang auth 1").derive(master)
        self._cipher = AESGCM(material[:32])
        self._hash_key = material[32:]

    def seal(self, plain: bytes, about: str) -> bytes:
        """``plain`` encrypted; ``about`` (what it is, whose) must be said again to open it."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, plain, about.encode())

    def open(self, sealed: bytes, about: str) -> bytes:
        """What was sealed. Raises ValueError where key, text or ``about`` are not those of the sealing."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], about.encode())
        except InvalidTag:
            raise ValueError(f"{about} cannot be opened with this master key") from None

    def keyed_hash(self, text: str, about: str) -> str:
        """A hash of ``text`` that nobody can compute without the master key (for looking up, e.g. identity numbers)."""
        return hmac.new(self._hash_key, f"{about}\0{text}".encode(), hashlib.sha256).hexdigest()
