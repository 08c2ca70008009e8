"""Which client asks, and its proof: a signed assertion, a secret, or none (public apps).

https://www.rfc-editor.org/rfc/rfc7523, https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard
from urllib.parse import unquote_plus

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, GuestProtocol, KeySet, RSAKey

from fhir_server.auth.clients import Client, find, public_keys
from fhir_server.auth.file import AuthFile
from fhir_server.auth.issue import token_hash
from fhir_server.auth.oauth import OAuthError, invalid_client, invalid_request
from fhir_server.auth.remote_keys import RemoteKeys, Unavailable

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS = ("RS384", "ES384", "ES256", "RS256")
LONGEST_SECONDS = 300
_CURVES = {"P-256": "ES256", "P-384": "ES384"}
SKEW_SECONDS = 30  # how far the clocks of two machines may differ
_LONGEST_TEXT, _LONGEST_JTI = 16 * 1024, 256


@dataclass(frozen=True, slots=True)
class Proof:
    """What a request brings along. ``audiences``: those of an assertion that is for us."""

    form: Mapping[str, str]
    authorization: str | None
    audiences: tuple[str, ...]
    now: float


def authenticate(auth_file: AuthFile, proof: Proof, remote: RemoteKeys) -> Client:
    """The client that sends the request. Raises OAuthError where it does not prove who it is.

    There is one way for each client, the one it is registered for: who has a key is never believed without it.
    """
    form = proof.form
    basic = _basic(proof.authorization)
    asserted = "client_assertion" in form or "client_assertion_type" in form
    if (basic is not None) + ("client_secret" in form) + asserted > 1:
        raise invalid_request("One way of client authentication only")
    if asserted:
        return _by_assertion(auth_file, proof, remote)
    id, secret = basic or (form.get("client_id", ""), form.get("client_secret", ""))
    if basic is not None and form.get("client_id", id) != id:
        raise invalid_request("client_id is not that of the Authorization header")
    client = find(auth_file, id or _holder(auth_file, form))
    if client is None:
        raise invalid_client("The client is not known")
    if client.kind == "public" and not secret and basic is None:
        return client
    if client.kind == "secret" and client.is_secret(secret):
        return client
    raise invalid_client("The client did not prove who it is")


def _holder(auth_file: AuthFile, form: Mapping[str, str]) -> str:
    """The client of a refresh token that is shown without saying whose it is; '' where none is shown.

    Public apps may leave it out (npm's fhirclient does): the id would prove nothing that the token does not.
    """
    if form.get("grant_type") != "refresh_token" or "refresh_token" not in form:
        return ""
    row = auth_file.row(
        "SELECT client FROM tokens WHERE hash = ? AND use = 'refresh'", token_hash(form["refresh_token"])
    )
    return "" if row is None else str(row["client"])


def _basic(authorization: str | None) -> tuple[str, str] | None:
    """Id and secret of an Authorization header. https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1"""
    if authorization is None:
        return None
    scheme, _, text = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise invalid_client("Clients authenticate by Basic, or in the form")
    try:
        id, colon, secret = base64.b64decode(text.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        colon = ""
    if not colon:
        raise invalid_client("The Authorization header is not understood")
    return unquote_plus(id), unquote_plus(secret)


def _by_assertion(auth_file: AuthFile, proof: Proof, remote: RemoteKeys) -> Client:
    text = proof.form.get("client_assertion", "")
    if proof.form.get("client_assertion_type") != ASSERTION_TYPE or not 0 < len(text) <= _LONGEST_TEXT:
        raise invalid_client(f"client_assertion_type must be {ASSERTION_TYPE}")
    id = _claimed_issuer(text)
    client = find(auth_file, id)
    if client is None or client.kind != "key" or proof.form.get("client_id", id) != id:
        raise invalid_client("The client is not known, or has no key")
    try:
        token = jwt.decode(text, lambda guest: _key(client, guest, remote), algorithms=ALGORITHMS)
    except (JoseError, ValueError, TypeError):
        raise invalid_client("The signature of the assertion is not right") from None
    jti, expires = _checked(token.claims, client, proof)
    with auth_file.write() as connection:
        connection.execute("DELETE FROM assertions WHERE expires < ?", (proof.now - LONGEST_SECONDS,))
        fresh = connection.execute(
            "INSERT OR IGNORE INTO assertions(issuer, jti, expires) VALUES (?, ?, ?)", (client.id, jti, expires)
        ).rowcount
    if not fresh:
        raise invalid_client("The assertion was used before")
    return client


def _claimed_issuer(text: str) -> str:
    """Who the assertion says it is from; nothing is believed of it yet."""
    try:
        payload = json.loads(jws.extract_compact(text.encode()).payload)
    except (JoseError, ValueError, RecursionError):
        raise invalid_client("The assertion is no JWT") from None
    issuer = payload.get("iss") if isinstance(payload, dict) else None
    if not isinstance(issuer, str):
        raise invalid_client("The assertion does not say who it is from")
    return issuer


def _key(client: Client, guest: GuestProtocol, remote: RemoteKeys) -> RSAKey | ECKey:
    """The client's key that the header of an assertion names."""
    kid = guest.headers().get("kid")
    if not isinstance(kid, str):
        raise ValueError("no kid")
    try:
        keys: KeySet = public_keys(client.jwks) if client.jwks else remote.of(client.jwks_uri, kid)
    except Unavailable:
        raise OAuthError("invalid_client", "The client's keys cannot be fetched at present", 401) from None
    found = next((key for key in keys.keys if key.kid == kid), None)
    if not isinstance(found, RSAKey | ECKey):
        raise ValueError("no such key")
    return found


def _checked(claims: dict[str, Any], client: Client, proof: Proof) -> tuple[str, float]:
    """The ``jti`` of right claims, and until when it must be remembered."""
    if claims.get("iss") != client.id or claims.get("sub") != client.id:
        raise invalid_client("iss and sub of an assertion are the client's id")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if not any(isinstance(one, str) and one.rstrip("/") in proof.audiences for one in audiences):
        raise invalid_client("The assertion is for somebody else (aud)")
    expires, begins, issued = (claims.get(name) for name in ("exp", "nbf", "iat"))
    if not _is_time(expires) or not proof.now - SKEW_SECONDS < expires:
        raise invalid_client("The assertion has expired, or does not say when it does (exp)")
    if expires > proof.now + LONGEST_SECONDS + SKEW_SECONDS:
        raise invalid_client("An assertion is good for five minutes at most (exp)")
    if any(
        value is not None and (not _is_time(value) or value > proof.now + SKEW_SECONDS) for value in (begins, issued)
    ):
        raise invalid_client("The assertion is not good yet (nbf, iat)")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= _LONGEST_JTI:
        raise invalid_client("An assertion needs a jti")
    return jti, expires + SKEW_SECONDS


def _is_time(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12


def claimed_client(proof: Proof) -> str:
    """Who the request says it is from, proved or not; for counting refusals."""
    try:
        if "client_assertion" in proof.form:
            return _claimed_issuer(proof.form["client_assertion"][:_LONGEST_TEXT])[:64]
        basic = _basic(proof.authorization)
    except OAuthError:
        return ""
    return (basic[0] if basic else proof.form.get("client_id", ""))[:64]


def signed_assertion(client: str, private: dict[str, Any], audience: str, seconds: float) -> str:
    """An assertion of ``client`` signed with its private key (JWK), good for ``seconds``; what a client itself does.

    Raises ValueError where the key is none that we take.
    """
    try:
        key: RSAKey | ECKey = RSAKey.import_key(private) if private.get("kty") == "RSA" else ECKey.import_key(private)
        algorithm = private.get("alg") or ("RS384" if isinstance(key, RSAKey) else _CURVES[str(private.get("crv"))])
        claims = {
            "iss": client,
            "sub": client,
            "aud": audience,
            "exp": int(time.time() + seconds),
            "jti": secrets.token_urlsafe(16),
        }
        header = {"alg": algorithm, "kid": key.kid or key.thumbprint(), "typ": "JWT"}
        return jwt.encode(header, claims, key, algorithms=ALGORITHMS)
    except (JoseError, KeyError, TypeError, AttributeError):
        raise ValueError("this is no private key for RS384, ES384, ES256 or RS256") from None
