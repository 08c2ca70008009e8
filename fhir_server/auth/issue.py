"""Issuing tokens: opaque random strings; the file keeps only their hash and what they stand for."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import fields

from consent.requester import Requester
from fhir_server.auth.file import AuthFile
from fhir_server.auth.scopes import parse_all, render

_NOT_CLAIMS = frozenset({"scopes", "token"})
_CLAIMS = tuple(field.name for field in fields(Requester) if field.name not in _NOT_CLAIMS)


def token_hash(token: str) -> bytes:
    """The form in which a token, code or session is stored. They are 256 random bits: no salt is needed."""
    return hashlib.sha256(token.encode()).digest()


def new_secret() -> str:
    """A fresh token, code or session: 256 random bits."""
    return secrets.token_urlsafe(32)


def issue(
    auth_file: AuthFile,
    requester: Requester,
    lifetime: float = 300,
    *,
    scope: str | None = None,
    now: float | None = None,
    account: str = "",
    session: str = "",
    family: str = "",
    use: str = "access",
    extra: Mapping[str, object] | None = None,
) -> str:
    """A new token by which ``requester`` will be known for ``lifetime`` seconds.

    ``scope``: the granted scopes as the client is told (default: those of ``requester``). ``account``, ``session``:
    whose sign-in it rests on; it ends with either. ``family``: tokens of one authorization end together.
    ``extra``: what else is kept with it (the launch context, how the person signed in).
    """
    at = time.time() if now is None else now
    token = new_secret()
    granted = " ".join(map(render, requester.scopes)) if scope is None else scope
    row = (
        token_hash(token),
        secrets.token_hex(8),
        use,
        requester.client,
        account,
        session,
        family,
        claims_of(requester, granted, extra),
        at,
        at + lifetime,
    )
    with auth_file.write() as connection:
        connection.execute(
            "INSERT INTO tokens(hash, id, use, client, account, session, family, claims, created, expires)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        )
    return token


def claims_of(requester: Requester, scope: str, extra: Mapping[str, object] | None = None) -> str:
    """What is stored of ``requester``, as JSON."""
    claims = {name: value for name in _CLAIMS if (value := getattr(requester, name))}
    return json.dumps({**(extra or {}), **claims, "scope": scope}, ensure_ascii=False)


def requester_of(claims: str, token_id: str) -> Requester:
    """The Requester that was stored as ``claims``."""
    stored = json.loads(claims)
    facts = {name: stored.get(name, "") for name in _CLAIMS}
    return Requester(**facts, scopes=parse_all(stored.get("scope", "")), token=token_id)
