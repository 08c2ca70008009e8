"""The signed code that a resident shows: the health code, a number of its own and an expiry, as a JWS (ES256).

It names nobody and is small enough for a QR symbol (about 240 characters). Whoever has the published public key
can check it without a network: signature and time say that this server gave it to a signed-in resident within the
last minute. What it opens is decided by the server alone, which takes each number once (``health_code_desk``).
https://www.rfc-editor.org/rfc/rfc7515
"""

from __future__ import annotations

import io
import secrets
from dataclasses import dataclass
from typing import Any

import segno
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from fhir_server.records.health_code import read_code

ALGORITHM = "ES256"
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256
_SKEW = 30  # seconds by which the clocks of two server processes may differ
_LONGEST = 1000


class Forged(ValueError):
    """It is no code of ours: not signed by our key, or not of the form."""


class Expired(ValueError):
    """It was a code of ours, and its minute is over."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a code says: the health code of its bearer, its own number, when it was given and ends (seconds).

    ``by``: id of the Patient who showed it for the bearer (a guardian), '' where the bearer did.
    """

    code: str
    number: str
    given: int
    ends: int
    by: str = ""


class Signer:
    """Signs and checks codes with the key that comes of ``secret`` (hexadecimal, the same in all processes)."""

    def __init__(self, secret: str) -> None:
        scalar = int(secret, 16) % (_ORDER - 1) + 1
        private = ec.derive_private_key(scalar, ec.SECP256R1())
        self._key = ECKey.import_key(private)
        self._kid = self._key.thumbprint()[:8]

    def published(self) -> dict[str, Any]:
        """The JWK Set with which others check codes."""
        public = self._key.as_dict(private=False)
        return {"keys": [{**public, "kid": self._kid, "use": "sig", "alg": ALGORITHM}]}

    def sign(self, code: str, now: float, seconds: int, by: str = "") -> str:
        """A fresh code for the bearer of the health code ``code``, good for ``seconds``; ``by`` as of ``Claims``."""
        claims: dict[str, Any] = {"sub": code, "jti": secrets.token_urlsafe(9), "iat": int(now)}
        claims |= {"exp": int(now) + seconds, **({"act": by} if by else {})}
        return jwt.encode({"alg": ALGORITHM, "kid": self._kid}, claims, self._key, algorithms=[ALGORITHM])

    def check(self, text: str, now: float) -> Claims:
        """What the code says. Raises Forged and Expired."""
        return checked(text, self.published(), now)


def checked(text: str, published: dict[str, Any], now: float) -> Claims:
    """What the code says, checked with nothing but the published keys. Raises Forged and Expired."""
    if len(text) > _LONGEST or not text.isascii():
        raise Forged("it is no signed code")
    try:
        claims = jwt.decode(text, KeySet.import_key_set({"keys": published["keys"]}), algorithms=[ALGORITHM]).claims
    except (JoseError, ValueError, TypeError, KeyError):
        raise Forged("its signature is not this server's") from None
    code, number, by = claims.get("sub"), claims.get("jti"), claims.get("act", "")
    given, ends = claims.get("iat"), claims.get("exp")
    if not (isinstance(code, str) and isinstance(number, str) and isinstance(by, str)):
        raise Forged("it does not say what a code says")
    if type(given) is not int or type(ends) is not int or read_code(code) != code or given > now + _SKEW:
        raise Forged("it does not say what a code says")
    if now >= ends:
        raise Expired("it has expired; a fresh one is to be shown")
    return Claims(code, number, given, ends, by)


def picture(text: str) -> bytes:
    """The QR symbol of a code as SVG."""
    out = io.BytesIO()
    segno.make_qr(text, error="m").save(out, kind="svg", scale=4, border=4, xmldecl=False, svgns=True, nl=False)
    return out.getvalue()
