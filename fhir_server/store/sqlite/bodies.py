"""Stored texts: compressed (zstd with a dictionary kept in the record file), then encrypted with the owner's data key.

A frame names its format, algorithm and data key; it is bound to the version (``rid``) that it is the text of.
Reading a frame that was damaged or moved raises.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import zstandard
from cryptography.exceptions import InvalidTag

from fhir_server.ciphers import NONCE, TAG, Damaged
from fhir_server.store.sqlite.keys import OwnerKeys, vault_of

LEVEL = 1  # level 3 packs 1 % better and takes half as long again (measured)
SHIPPED = Path(__file__).parent / "resources.dict"
FORMAT = 1


class Bodies:
    """Pack and unpack on one connection; one instance a thread (the compression contexts are not thread-safe)."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        row = connection.execute("SELECT bytes FROM dictionary ORDER BY d DESC LIMIT 1").fetchone()
        if row is None:
            self._writer = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)
            self._reader = zstandard.ZstdDecompressor()
        else:
            data = zstandard.ZstdCompressionDict(row[0])
            data.precompute_compress(level=LEVEL)
            self._writer = zstandard.ZstdCompressor(dict_data=data, level=LEVEL, write_checksum=True)
            self._reader = zstandard.ZstdDecompressor(dict_data=data)
        self._connection = connection
        self._vault = vault_of(connection)
        self.keys = OwnerKeys(connection, self._vault)

    def pack(self, text: bytes, rid: int, owner: int, now: int) -> bytes:
        """The stored form of the text of version ``rid`` under the active key of ``owner`` (a Patient's lid; 0 nobody).

        Only in the writer's open transaction, which the key may be made in. Raises Gone where the owner's file
        was destroyed.
        """
        number, algorithm, aead = self.keys.active(max(owner, 0), now)
        head = _head(algorithm, number)
        nonce = os.urandom(NONCE)
        return head + nonce + aead.encrypt(nonce, self._writer.compress(text), head + rid.to_bytes(8, "big"))

    def unpack(self, frame: bytes, rid: int) -> bytes:
        """The text of a stored form. Raises Damaged when it was altered, or is that of another version.

        Raises Gone when its key was destroyed.
        """
        number, start = key_number(frame)
        aead = self._vault.aead(self._connection, number)
        body = start + NONCE
        try:
            packed = aead.decrypt(frame[start:body], frame[body:], frame[:start] + rid.to_bytes(8, "big"))
            return self._reader.decompress(packed)
        except (InvalidTag, ValueError, zstandard.ZstdError):
            raise Damaged(f"the stored text of version {rid} was altered, or is that of another version") from None


def _head(algorithm: int, number: int) -> bytes:
    """The clear beginning of a frame: format, algorithm, number of the data key (7 bits a byte, lowest first)."""
    if number < 128:
        return bytes((FORMAT, algorithm, number))
    out = bytearray((FORMAT, algorithm))
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def key_number(frame: bytes) -> tuple[int, int]:
    """The number of a frame's data key, and where the nonce begins. Raises Damaged."""
    if len(frame) < 3 + NONCE + TAG or frame[0] != FORMAT:
        raise Damaged("a stored text is cut short, or of another format")
    number, shift, place = 0, 0, 2
    while place < 12 and place < len(frame):
        byte = frame[place]
        number |= (byte & 127) << shift
        place += 1
        if byte < 128:
            return number, place
        shift += 7
    raise Damaged("a stored text names no data key")


def install_dictionary(connection: sqlite3.Connection) -> None:
    """Give a new record file the shipped dictionary (once; inside the caller's transaction)."""
    if connection.execute("SELECT 1 FROM dictionary").fetchone() is None and SHIPPED.exists():
        connection.execute("INSERT INTO dictionary(d, bytes) VALUES(1, ?)", (SHIPPED.read_bytes(),))
