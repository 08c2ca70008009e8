"""The keys that sign our id_tokens, and their rotation. https://www.rfc-editor.org/rfc/rfc7517

A new key signs at once; the one before stays published until nothing that it signed is good any more.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey

from fhir_server.auth.file import AuthFile

ALGORITHM = "RS256"  # the one that every OpenID Connect client understands
RETIRING_SECONDS = 24 * 3600
_BITS = 2048


@dataclass(frozen=True, slots=True)
class SigningKey:
    """What is known of a key without opening it."""

    kid: str
    alg: str
    status: str
    created: float
    retired: float | None


def rotate(auth_file: AuthFile, now: float | None = None) -> str:
    """Make a new key and let it sign from now on; returns its ``kid``. Keys long retired are destroyed."""
    at = time.time() if now is None else now
    with auth_file.write() as connection:
        connection.execute("DELETE FROM keys WHERE status = 'retiring' AND retired < ?", (at - RETIRING_SECONDS,))
        connection.execute("UPDATE keys SET status = 'retiring', retired = ? WHERE status = 'active'", (at,))
        return _add(auth_file, at)


def _add(auth_file: AuthFile, at: float) -> str:
    key = RSAKey.generate_key(_BITS, {"use": "sig", "alg": ALGORITHM}, auto_kid=True)
    kid = str(key.kid)
    sealed = auth_file.sealer.seal(json.dumps(key.as_dict(private=True)).encode(), f"signing key {kid}")
    with auth_file.write() as connection:
        connection.execute(
            "INSERT INTO keys(kid, alg, public, private, status, created) VALUES (?, ?, ?, ?, 'active', ?)",
            (kid, ALGORITHM, json.dumps(key.as_dict(private=False)), sealed, at),
        )
    return kid


def ensure(auth_file: AuthFile, now: float | None = None) -> None:
    """Make the first key where there is none."""
    with auth_file.write():
        if auth_file.row("SELECT 1 FROM keys WHERE status = 'active'") is None:
            _add(auth_file, time.time() if now is None else now)


def listed(auth_file: AuthFile) -> list[SigningKey]:
    """All keys, the newest first."""
    rows = auth_file.rows("SELECT kid, alg, status, created, retired FROM keys ORDER BY created DESC, kid")
    return [SigningKey(*row) for row in rows]


def published(auth_file: AuthFile, now: float) -> dict[str, Any]:
    """The JWK Set that others check our signatures with."""
    rows = auth_file.rows(
        "SELECT public FROM keys WHERE status = 'active' OR retired >= ? ORDER BY created DESC", now - RETIRING_SECONDS
    )
    return {"keys": [json.loads(row["public"]) for row in rows]}


def sign(auth_file: AuthFile, claims: dict[str, Any]) -> str:
    """``claims`` as a JWT signed by the active key."""
    row = auth_file.row("SELECT kid, private FROM keys WHERE status = 'active'")
    if row is None:
        ensure(auth_file)
        return sign(auth_file, claims)
    key = RSAKey.import_key(json.loads(auth_file.sealer.open(row["private"], f"signing key {row['kid']}")))
    return jwt.encode({"alg": ALGORITHM, "kid": row["kid"]}, claims, key, algorithms=[ALGORITHM])
