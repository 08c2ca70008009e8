"""Keyed hashes: national identity numbers are indexed and asked for as HMAC values, never in clear.

https://www.rfc-editor.org/rfc/rfc2104, truncated to 128 bits. The same function makes the value of an index
row and of a query, so equality is all that can be asked, whatever way the number was written.
"""

from __future__ import annotations

import base64
import hmac
import os
import re
from typing import Any

from .national import TYPES, is_national, normal, replaced, replaced_qualified

MARK = "~"  # before a hash: in an index row, and in the links of an answer
_BYTES = 16
_SHORTEST = 5  # characters of a number that is looked for without its system
_HASHED = re.compile(r"~[A-Za-z0-9_-]{22}")
_ESCAPED = re.compile(r"\\([\\,|$])")


class Shield:
    """The hashes of one key; until a store gives its key, of one that lives with the process."""

    def __init__(self) -> None:
        self._key = os.urandom(32)
        self._digest = "sha256"
        self._given = False

    def use(self, key: bytes, digest: str) -> None:
        """Hash with this key from now on. Raises ValueError when another was given before: rows would not agree."""
        if self._given and (key, digest) != (self._key, self._digest):
            raise ValueError("an Extractor serves the records of one folder only")
        self._key, self._digest, self._given = key, digest, True

    def hashed(self, value: str) -> str:
        """What stands for a number; a hash stands for itself."""
        if is_hash(value):
            return value
        found = hmac.digest(self._key, normal(value).encode(), self._digest)[:_BYTES]
        return MARK + base64.urlsafe_b64encode(found).rstrip(b"=").decode()

    def code(self, system: str, code: str) -> str:
        """A code as it is indexed and asked for under a known system."""
        return self.hashed(code) if code and is_national(system) else replaced(code, self.hashed)

    def identifier(self, system: str, number: str, kind: object) -> str:
        """An Identifier's number as it is indexed; ``kind``: its CodeableConcept of type."""
        if number and not system and _telling(kind):
            return self.hashed(number)
        return self.code(system, number)

    def spellings(self, value: str) -> tuple[str, ...]:
        """What a number without a system may be indexed as: as it is, or hashed (none is shorter than a passport's)."""
        if len(value) < _SHORTEST:
            return (value,)
        return tuple(dict.fromkeys((replaced(value, self.hashed), self.hashed(value))))

    def conceal(self, text: str) -> str:
        """The value of a search parameter with the numbers in it replaced by their hashes, which ask for the same."""
        text = replaced_qualified(text, lambda _, value: self.hashed(_ESCAPED.sub(r"\1", value)))
        return replaced(text, self.hashed)

    def concealed(self, value: Any) -> Any:
        """A copy of a resource, or of a part, in which hashes stand for the numbers that name a person."""
        if value.__class__ is dict:
            found = {key: self.concealed(inner) for key, inner in value.items()}
            number, system = value.get("value"), value.get("system", "")
            if number.__class__ is str and system.__class__ is str:
                found["value"] = self.identifier(system, number, value.get("type"))
            return found
        if value.__class__ is list:
            return [self.concealed(one) for one in value]
        return replaced(value, self.hashed) if value.__class__ is str else value


def is_hash(text: str) -> bool:
    """Whether ``text`` is the hash of a number, not a number."""
    return _HASHED.fullmatch(text) is not None


def _telling(kind: object) -> bool:
    codings = kind.get("coding") if isinstance(kind, dict) else None
    return isinstance(codings, list) and any(isinstance(c, dict) and c.get("code") in TYPES for c in codings)
