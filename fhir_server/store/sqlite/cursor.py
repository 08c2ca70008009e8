"""Paging tokens: where a walk stands, encrypted so that nobody can read, make or move one.

A token holds the sort values of the last row shown, a name perhaps, and links stand in logs; it is bound to
the search URL and to the requester.
"""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fhir_server.ciphers import Damaged, decrypt, encrypt
from fhir_server.errors import BadRequest


@dataclass(frozen=True, slots=True)
class Cursor:
    """Position of a walk: snapshot sequence, order, the last row's keys, the total of the first page.

    ``skip`` counts the included resources already shown of the page that starts after ``last``.
    """

    snapshot: int
    order: str
    last: tuple[Any, ...] | None
    total: int | None
    skip: int = 0


def seal(cursor: Cursor, binding: str, secret: bytes) -> str:
    """The token of a cursor for this search and requester (``binding``)."""
    payload = json.dumps(asdict(cursor), separators=(",", ":"), ensure_ascii=False).encode()
    return base64.urlsafe_b64encode(encrypt(AESGCM(secret), payload, binding.encode())).rstrip(b"=").decode()


def unseal(token: str, binding: str, secret: bytes) -> Cursor:
    """The cursor of a token. Raises BadRequest when it is not one of ours for this search and requester."""
    try:
        data = base64.urlsafe_b64decode(token.encode() + b"=" * (-len(token) % 4))
    except ValueError:
        data = b""
    try:
        found = json.loads(decrypt(AESGCM(secret), data, binding.encode()))
    except Damaged:
        raise BadRequest("the paging link is not valid for this search", "http._cursor") from None
    last = found["last"]
    return Cursor(
        found["snapshot"], found["order"], None if last is None else tuple(last), found["total"], found["skip"]
    )
