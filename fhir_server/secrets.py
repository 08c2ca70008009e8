"""The master key: what all keys of a data folder hang on, and what is derived from it.

A master key wraps data keys (``wrap``) and the folder's root secret, from which keys for keyed
hashes and for small secrets come (``derive``, ``seal``). Envelope encryption as in NIST SP 800-57
part 1 §6; derivation is HKDF (https://www.rfc-editor.org/rfc/rfc5869). Where the master key comes
from is the operator's choice: ``fhir_server.keyring``. docs/security.md has the whole.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fhir_server import keyring
from fhir_server.ciphers import AES, KEY_BYTES, NUMBERS, SM4, Damaged, cipher, decrypt, encrypt
from fhir_server.keyring import KeyUnavailable, Ring, write_private

ROOT = "root.key"  # beside the records: the root secret, wrapped by the master key
_ID = 4  # bytes of a master key's id
_FORMAT = 1
_DIGESTS = {AES: "sha256", SM4: "sm3"}
_HASHES: dict[str, type[hashes.SHA256] | type[hashes.SM3]] = {"sha256": hashes.SHA256, "sm3": hashes.SM3}

__all__ = ["Damaged", "KeyUnavailable", "MasterKey"]


class MasterKey:
    """The present master key and the older ones that blobs may still be wrapped with.

    ``algorithm`` is the cipher of what is newly encrypted (``YIDANG_CIPHER``: aes-256-gcm or sm4-gcm);
    everything encrypted names its own. Made by ``open`` or, for one process's life, ``ephemeral``.
    """

    def __init__(self, ring: Ring, algorithm: str, folder: Path | None) -> None:
        if algorithm not in NUMBERS:
            raise ValueError(f"YIDANG_CIPHER must be one of {', '.join(NUMBERS)}, not '{algorithm}'")
        self._ring = ring
        self.algorithm = algorithm
        self._folder = folder
        self._keys: dict[str, bytes] = {}
        self._derived: dict[tuple[str, int], bytes] = {}
        self.current = ""
        self.reload()
        self._root, self.digest = self._load_root()

    @classmethod
    def open(cls, folder: Path, environment: Mapping[str, str] = os.environ) -> MasterKey:
        """The master key of the data in ``folder``, as ``environment`` says where it is.

        Without any setting it is ``folder/master.key``, made when the folder has no records yet.
        Raises KeyUnavailable (a ValueError) when there is none, or not the one that the folder needs.
        """
        return cls(keyring.ring(folder, environment), environment.get("YIDANG_CIPHER", AES), folder)

    @classmethod
    def ephemeral(cls, algorithm: str = AES) -> MasterKey:
        """A master key that lives only in this process (tests, throw-away stores)."""
        return cls(keyring.InMemory(), algorithm, None)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all known master keys, the present one last."""
        return tuple(self._keys)

    def reload(self) -> None:
        """Read the ring again: another process may have added a key."""
        self._keys = {key_id(key): key for key in self._ring.read()}
        if not self._keys:
            raise KeyUnavailable(f"there is no master key in {self._ring.place}")
        self.current = self.ids[-1]

    def add(self) -> str:
        """Make a new present master key; the old ones stay for what they wrapped. Returns its id.

        Raises KeyUnavailable where the ring cannot be written here (environment variable).
        """
        self._ring.add()
        self.reload()
        self.keep_root()
        return self.current

    def retire(self) -> list[str]:
        """Forget all master keys but the present one (after everything is wrapped anew); the ids that went."""
        gone = [id_ for id_ in self.ids if id_ != self.current]
        self.keep_root()
        if gone:
            self._ring.keep_last()
            self.reload()
        return gone

    # -- wrapping --------------------------------------------------------------------------------

    def wrap(self, key: bytes, context: bytes = b"") -> bytes:
        """``key`` encrypted under the present master key; ``context`` says what it is the key of."""
        id_ = self.current
        aead = cipher(self.algorithm, self._fitting(id_, self.algorithm))
        head = bytes((_FORMAT, NUMBERS[self.algorithm])) + bytes.fromhex(id_)
        return head + encrypt(aead, key, head + context)

    def unwrap(self, blob: bytes, context: bytes = b"") -> bytes:
        """The key of a wrapped blob. Raises Damaged, or KeyUnavailable when its master key is not here."""
        id_, head = self.master_of(blob), blob[: 2 + _ID]
        if id_ not in self._keys:
            self.reload()
        if id_ not in self._keys:
            raise KeyUnavailable(f"the data need master key {id_}, but {self._ring.place} has {', '.join(self.ids)}")
        algorithm = next(name for name, number in NUMBERS.items() if number == blob[1])
        return decrypt(cipher(algorithm, self._fitting(id_, algorithm)), blob[2 + _ID :], head + context)

    def master_of(self, blob: bytes) -> str:
        """The id of the master key that wrapped the blob. Raises Damaged."""
        if len(blob) < 2 + _ID or blob[0] != _FORMAT or blob[1] not in NUMBERS.values():
            raise Damaged("a wrapped key is damaged or of another version")
        return blob[2 : 2 + _ID].hex()

    def _fitting(self, id_: str, algorithm: str) -> bytes:
        """The master key in the form that the algorithm takes, different for each."""
        digest = _DIGESTS[algorithm]
        return _hkdf(self._keys[id_], f"yidang wrap {algorithm}", KEY_BYTES[algorithm], digest)

    # -- the root secret and what comes of it ------------------------------------------------------

    def derive(self, purpose: str, length: int = 32) -> bytes:
        """The key for a purpose; always the same in one data folder, also after the master key was changed."""
        key = self._derived.get((purpose, length))
        if key is None:
            key = self._derived[purpose, length] = _hkdf(self._root, f"yidang {purpose}", length, self.digest)
        return key

    def mac(self, purpose: str, value: bytes) -> bytes:
        """The keyed hash (HMAC-SHA-256 or HMAC-SM3, 32 bytes) of a value under the purpose's key."""
        return hmac.new(self.derive(purpose), value, self.digest).digest()

    def seal(self, purpose: str, text: bytes, context: bytes = b"") -> bytes:
        """A small secret (a TOTP secret, a private key) encrypted for storage.

        ``context`` binds it to its place, e.g. the id of its row: ``unseal`` needs the same.
        """
        head = bytes((_FORMAT, NUMBERS[self.algorithm]))
        aead = cipher(self.algorithm, self.derive(f"seal {purpose}", KEY_BYTES[self.algorithm]))
        return head + encrypt(aead, text, head + context)

    def unseal(self, purpose: str, blob: bytes, context: bytes = b"") -> bytes:
        """The secret of ``seal``. Raises Damaged when it was altered or belongs to another place."""
        if len(blob) < 2 or blob[0] != _FORMAT or blob[1] not in NUMBERS.values():
            raise Damaged("a sealed secret is damaged or of another version")
        algorithm = next(name for name, number in NUMBERS.items() if number == blob[1])
        aead = cipher(algorithm, self.derive(f"seal {purpose}", KEY_BYTES[algorithm]))
        return decrypt(aead, blob[2:], blob[:2] + context)

    def root_blob(self) -> bytes:
        """The root secret wrapped, for a copy beside the records (their backup must hold it too)."""
        return json.dumps(
            {"digest": self.digest, "wrapped": _text(self.wrap(self._root, _root_context(self.digest)))}
        ).encode()

    def has_root(self, blob: bytes) -> bool:
        """Whether ``blob`` (of ``root_blob``) is the root secret of this folder. Raises Damaged, KeyUnavailable."""
        root, digest = self._open_root(blob)
        return hmac.compare_digest(root, self._root) and digest == self.digest

    def _open_root(self, blob: bytes) -> tuple[bytes, str]:
        try:
            told = json.loads(blob)
            digest, wrapped = told["digest"], base64.b64decode(told["wrapped"], validate=True)
            if digest not in _HASHES:
                raise ValueError(digest)
        except (ValueError, KeyError, TypeError):
            raise Damaged("the wrapped root secret is damaged") from None
        return self.unwrap(wrapped, _root_context(digest)), digest

    def _load_root(self) -> tuple[bytes, str]:
        digest = _DIGESTS[self.algorithm]
        if self._folder is None:
            return os.urandom(32), digest
        file = self._folder / ROOT
        if not file.exists():
            blob = keyring.root_of(self._folder)  # of restored records: their own
            if blob is None:
                keyring.refuse_orphans(self._folder, f"the root secret {file}", but=file)
                self._root, self.digest = os.urandom(32), digest
                blob = self.root_blob()
            write_private(file, blob, replace=False)
        return self._open_root(file.read_bytes())

    def keep_root(self) -> None:
        """Have the root secret of the folder wrapped by the present master key."""
        if self._folder is not None:
            write_private(self._folder / ROOT, self.root_blob(), replace=True)


def key_id(key: bytes) -> str:
    """The id of a master key: a short fingerprint, so that a wrong key is told from a right one."""
    return hashlib.sha256(b"yidang master key id\0" + key).digest()[:_ID].hex()


def _root_context(digest: str) -> bytes:
    return f"root {digest}".encode()


def _text(blob: bytes) -> str:
    return base64.b64encode(blob).decode()


def _hkdf(key: bytes, info: str, length: int, digest: str) -> bytes:
    return HKDF(_HASHES[digest](), length, salt=None, info=info.encode()).derive(key)
