"""Authenticated encryption by name: AES-256-GCM, and SM4-GCM where commercial cryptography is demanded.

https://www.rfc-editor.org/rfc/rfc5116; SM4: GB/T 32907-2016, as GCM in RFC 8998.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE = 12  # bytes
TAG = 16
AES, SM4 = "aes-256-gcm", "sm4-gcm"


class Damaged(ValueError):
    """What was to be decrypted was altered, or belongs to another key or place."""


class Aead(Protocol):
    """One key of one algorithm."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        """The ciphertext and its tag."""
        ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        """The text; raises cryptography's InvalidTag when anything was altered."""
        ...


class Sm4Gcm:
    """SM4 in GCM with the methods of ``AESGCM``."""

    def __init__(self, key: bytes) -> None:
        self._algorithm = algorithms.SM4(key)

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        """The ciphertext and its tag."""
        context = Cipher(self._algorithm, modes.GCM(nonce)).encryptor()
        context.authenticate_additional_data(associated_data or b"")
        return context.update(data) + context.finalize() + context.tag

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        """The text; raises InvalidTag when anything was altered."""
        if len(data) < TAG:
            raise InvalidTag
        context = Cipher(self._algorithm, modes.GCM(nonce, data[-TAG:])).decryptor()
        context.authenticate_additional_data(associated_data or b"")
        return context.update(data[:-TAG]) + context.finalize()


# Per name: its number in stored frames (never changed), the bytes of a key, and the cipher of a key.
NUMBERS = {AES: 1, SM4: 2}
NAMES = {number: name for name, number in NUMBERS.items()}
KEY_BYTES = {AES: 32, SM4: 16}
_MAKERS: dict[str, Callable[[bytes], Aead]] = {AES: AESGCM, SM4: Sm4Gcm}


def cipher(algorithm: str, key: bytes) -> Aead:
    """The cipher of a key. Raises ValueError for an unknown algorithm or a key of the wrong length."""
    if algorithm not in _MAKERS:
        raise ValueError(f"there is no cipher '{algorithm}'; known are {', '.join(_MAKERS)}")
    if len(key) != KEY_BYTES[algorithm]:
        raise ValueError(f"a key of {algorithm} has {KEY_BYTES[algorithm]} bytes, not {len(key)}")
    return _MAKERS[algorithm](key)


def new_key(algorithm: str) -> bytes:
    """A random key for the algorithm."""
    return os.urandom(KEY_BYTES[algorithm])


def encrypt(aead: Aead, text: bytes, associated: bytes) -> bytes:
    """A fresh nonce, the ciphertext and its tag."""
    nonce = os.urandom(NONCE)
    return nonce + aead.encrypt(nonce, text, associated)


def decrypt(aead: Aead, sealed: bytes, associated: bytes) -> bytes:
    """The text of ``encrypt``. Raises Damaged."""
    if len(sealed) < NONCE + TAG:
        raise Damaged("an encrypted text is cut short")
    try:
        return aead.decrypt(sealed[:NONCE], sealed[NONCE:], associated)
    except InvalidTag:
        raise Damaged("an encrypted text was altered, or belongs to another key or place") from None
