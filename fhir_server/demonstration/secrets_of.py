"""Keys, passwords and one-time-code secrets that follow from the seed: for made-up people only.

Whoever knows the seed knows them all. That is the purpose: the same seed gives the same file.
"""

from __future__ import annotations

import base64
import hmac
from typing import Any

from argon2 import PasswordHasher
from cryptography.hazmat.primitives.asymmetric import ec

from fhir_server.auth import passwords

# Cheap: these passwords are no secrets, and there may be thousands. Renewed at the first sign-in.
_hasher = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1, hash_len=32, salt_len=16)
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of the curve P-256


def _derived(seed: int, what: str, name: str) -> bytes:
    return hmac.digest(f"yidang demo {seed}".encode(), f"{what}\0{name}".encode(), "sha256")


def password(seed: int, login: str, personal: tuple[str, ...] = ()) -> str:
    """A password that the rules accept."""
    for attempt in range(100):
        digits = _derived(seed, f"password {attempt}", login).hex()
        found = f"Yd{digits[:5]}-{digits[5:10]}"
        if not passwords.weaknesses(found, personal):
            return found
    raise ValueError("no password can be derived")


def hashed(password: str) -> str:
    """The form in which a password is stored."""
    return _hasher.hash(passwords.spelled(password))


def totp_secret(seed: int, login: str) -> str:
    """A secret of one-time codes, base32."""
    return base64.b32encode(_derived(seed, "totp", login)[:20]).decode("ascii")


def private_jwk(seed: int, client: str) -> dict[str, Any]:
    """A private key for ES256."""
    number = int.from_bytes(_derived(seed, "key", client), "big") % (_ORDER - 1) + 1
    public = ec.derive_private_key(number, ec.SECP256R1()).public_key().public_numbers()
    return {
        "kty": "EC",
        "crv": "P-256",
        "kid": f"{client}-{seed}",
        "use": "sig",
        "alg": "ES256",
        "x": _text(public.x),
        "y": _text(public.y),
        "d": _text(number),
    }


def public_jwk(private: dict[str, Any]) -> dict[str, Any]:
    """The public part of a key."""
    return {name: value for name, value in private.items() if name != "d"}


def _text(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(32, "big")).decode("ascii").rstrip("=")
