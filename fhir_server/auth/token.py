"""The token endpoint: one function per grant. https://www.rfc-editor.org/rfc/rfc6749#section-3.2

Codes and refresh tokens are good once. Who shows one a second time has stolen it, or it was stolen from him: all
tokens that came of it end. https://www.rfc-editor.org/rfc/rfc9700#section-4.14
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from consent.requester import Requester
from fhir_server.auth import keys
from fhir_server.auth.authorize import without_session
from fhir_server.auth.clients import CODE, CREDENTIALS, NEVER_FOR_SYSTEMS, REFRESH, SYSTEM_ROLE, Client
from fhir_server.auth.file import AuthFile
from fhir_server.auth.issue import issue, requester_of, token_hash
from fhir_server.auth.oauth import OAuthError, invalid_grant, invalid_request
from fhir_server.auth.origin import Origin
from fhir_server.auth.scopes import grantable
from fhir_server.auth.verify import STANDING

SYSTEM_SECONDS = 300  # SMART: at most five minutes for backend services
USER_SECONDS = 900
ID_SECONDS = 300
ONLINE_SECONDS, OFFLINE_SECONDS = 12 * 3600, 90 * 24 * 3600
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request of a client that has proved who it is."""

    auth_file: AuthFile
    client: Client
    form: Mapping[str, str]
    origin: Origin
    now: float


@dataclass(frozen=True, slots=True)
class Granted:
    """What the client is answered, and who its token stands for (for the record)."""

    body: dict[str, Any]
    requester: Requester


def exchange(request: Exchange) -> Granted:
    """The tokens that are asked for. Raises OAuthError."""
    kind = request.form.get("grant_type", "")
    grant = _GRANTS.get(kind)
    if grant is None:
        raise OAuthError("unsupported_grant_type", f"grant_type must be one of {', '.join(_GRANTS)}")
    if kind not in request.client.grants:
        raise OAuthError("unauthorized_client", f"The client is not registered for {kind}")
    return grant(request)


def _code(request: Exchange) -> Granted:
    with request.auth_file.write() as connection:  # a refusal changes something too: it is raised afterwards
        outcome = _redeemed(request, connection)
    if isinstance(outcome, OAuthError):
        raise outcome
    return outcome


def _redeemed(request: Exchange, connection: sqlite3.Connection) -> Granted | OAuthError:
    shown = token_hash(request.form.get("code", ""))
    row = connection.execute("SELECT * FROM codes WHERE hash = ?", (shown,)).fetchone()
    if row is None or row["client"] != request.client.id:
        return invalid_grant("The code is not known")
    if row["used"] is not None:
        _end_family(connection, row["family"], request.now)
        return invalid_grant("The code was used before; all tokens that came of it are revoked")
    # Burnt whatever comes next: nobody tries verifiers one after the other.
    connection.execute("UPDATE codes SET used = ? WHERE hash = ?", (request.now, shown))
    if row["expires"] <= request.now:
        return invalid_grant("The code has expired")
    facts = json.loads(row["facts"])
    if request.form.get("redirect_uri", facts["redirect_uri"]) != facts["redirect_uri"]:
        return invalid_grant("The redirect_uri is not the one that the code was sent to")
    if not _is_verifier(request.form.get("code_verifier", ""), facts["challenge"]):
        return invalid_grant("The code_verifier is not the one of the code_challenge (PKCE)")
    stays = without_session(facts["scope"])
    claims = json.dumps({**facts["requester"], "scope": facts["scope"], "client": row["client"]})
    base = _Base(
        requester_of(claims, ""),
        facts["scope"],
        row["account"],
        "" if stays else facts["session"],
        row["family"],
        facts["extra"],
    )
    lifetime = OFFLINE_SECONDS if stays else ONLINE_SECONDS
    return _granted(request, base, base.scope, request.now + lifetime, facts["nonce"])


def _is_verifier(verifier: str, challenge: str) -> bool:
    if not _VERIFIER.fullmatch(verifier):
        return False
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
    return hmac.compare_digest(digest, challenge.encode())


def _refresh(request: Exchange) -> Granted:
    shown = token_hash(request.form.get("refresh_token", ""))
    with request.auth_file.write() as connection:
        row = connection.execute(STANDING, (shown, "refresh")).fetchone()
        if row is None or row["client"] != request.client.id:
            raise invalid_grant("The refresh token is not known")
        reused = row["used"] is not None
        if reused:
            _end_family(connection, row["family"], request.now)
        elif row["good"] and request.now < row["expires"]:
            return _refreshed(request, connection, row)
    if reused:
        raise invalid_grant("The refresh token was used before; all tokens of this authorization are revoked")
    raise invalid_grant("The refresh token has expired or was revoked")


def _refreshed(request: Exchange, connection: sqlite3.Connection, row: sqlite3.Row) -> Granted:
    claims = json.loads(row["claims"])
    # What the client is registered for may have become less since.
    whole = grantable(claims["scope"], request.client.scope, ("patient", "user"))
    scope = grantable(request.form.get("scope", whole), whole, ("patient", "user"))
    if not scope:
        raise OAuthError("invalid_scope", "Only scopes that were granted before may be asked for")
    connection.execute(
        "UPDATE tokens SET used = ? WHERE hash = ?", (request.now, token_hash(request.form["refresh_token"]))
    )
    extra = {name: claims[name] for name in ("auth_time", "amr", "banner", "intent") if name in claims}
    base = _Base(requester_of(row["claims"], ""), whole, row["account"], row["session"], row["family"], extra)
    return _granted(request, base, scope, row["expires"], "")


def _end_family(connection: sqlite3.Connection, family: str, now: float) -> None:
    connection.execute("UPDATE tokens SET revoked = ? WHERE family = ? AND revoked IS NULL", (now, family))


@dataclass(frozen=True, slots=True)
class _Base:
    """What an authorization by a person rests on."""

    requester: Requester
    scope: str
    account: str
    session: str
    family: str
    extra: Mapping[str, Any]


def _granted(request: Exchange, base: _Base, scope: str, until: float, nonce: str) -> Granted:
    """The answer to an app. ``until``: when its refresh tokens end, however often they are used."""

    def token(use: str, scope: str, lifetime: float) -> str:
        return issue(
            request.auth_file,
            base.requester,
            lifetime,
            scope=scope,
            now=request.now,
            account=base.account,
            session=base.session,
            family=base.family,
            use=use,
            extra=base.extra,
        )

    parts = scope.split()
    requester = base.requester
    body: dict[str, Any] = {
        "access_token": token("access", scope, USER_SECONDS),
        "token_type": "Bearer",
        "expires_in": USER_SECONDS,
        "scope": scope,
        "purpose": requester.purpose,
    }
    if REFRESH in request.client.grants and {"offline_access", "online_access"} & set(base.scope.split()):
        body["refresh_token"] = token("refresh", base.scope, until - request.now)
    if requester.patient:
        body["patient"] = requester.patient
        body["need_patient_banner"] = base.extra.get("banner") != "no"
    if requester.encounter:
        body["encounter"] = requester.encounter
    if base.extra.get("intent"):
        body["intent"] = base.extra["intent"]
    if "openid" in parts:
        body["id_token"] = keys.sign(request.auth_file, _id_claims(request, base, parts, nonce, body["access_token"]))
    return Granted(body, requester)


def _id_claims(request: Exchange, base: _Base, parts: list[str], nonce: str, access_token: str) -> dict[str, Any]:
    """https://openid.net/specs/openid-connect-core-1_0.html#IDToken."""
    half = hashlib.sha256(access_token.encode()).digest()[:16]
    claims: dict[str, Any] = {
        "iss": request.origin.issuer,
        "sub": base.account,
        "aud": request.client.id,
        "iat": int(request.now),
        "exp": int(request.now) + ID_SECONDS,
        "auth_time": base.extra.get("auth_time"),
        "amr": base.extra.get("amr"),
        "at_hash": base64.urlsafe_b64encode(half).rstrip(b"=").decode(),
        "nonce": nonce,
        **person_claims(base.requester, parts, request.origin),
    }
    return {name: value for name, value in claims.items() if value}


def person_claims(requester: Requester, parts: list[str], origin: Origin) -> dict[str, str]:
    """What is told about a person by the scopes ``parts``."""
    claims = {}
    if "fhirUser" in parts:
        claims["fhirUser"] = f"{origin.fhir}/{requester.subject}"
    if "profile" in parts:
        claims |= {"name": requester.name, "profile": f"{origin.fhir}/{requester.subject}"}
    return claims


def _credentials(request: Exchange) -> Granted:
    """https://hl7.org/fhir/smart-app-launch/backend-services.html."""
    client = request.client
    scope = grantable(request.form.get("scope", client.scope), client.scope, ("system",))
    if not scope:
        raise OAuthError("invalid_scope", "The system is registered for none of these scopes")
    purpose = request.form.get("purpose_of_use", client.purposes[0])
    if purpose not in client.purposes or purpose in NEVER_FOR_SYSTEMS:
        raise invalid_request(f"purpose_of_use must be one of {', '.join(client.purposes)}")
    requester = Requester(
        kind="system",
        subject=f"Device/{client.id}",
        client=client.id,
        purpose=purpose,
        scopes=(),
        institution=client.institution,
        role=SYSTEM_ROLE,
        name=client.name,
    )
    token = issue(request.auth_file, requester, SYSTEM_SECONDS, scope=scope, now=request.now)
    body = {
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": SYSTEM_SECONDS,
        "scope": scope,
        "purpose": purpose,
    }
    return Granted(body, requester)


_GRANTS: dict[str, Callable[[Exchange], Granted]] = {CODE: _code, REFRESH: _refresh, CREDENTIALS: _credentials}


def introspect(auth_file: AuthFile, client: Client, shown: str, origin: Origin, now: float) -> dict[str, Any]:
    """What a token stands for, where the client may know. https://www.rfc-editor.org/rfc/rfc7662"""
    key = token_hash(shown)
    row = auth_file.row(STANDING, key, "access") or auth_file.row(STANDING, key, "refresh")
    if row is None or not (row["client"] == client.id or client.introspects):
        return {"active": False}
    if not row["good"] or row["expires"] <= now or row["used"] is not None:
        return {"active": False}
    claims = json.loads(row["claims"])
    requester = requester_of(row["claims"], row["id"])
    told = {
        "active": True,
        "scope": claims["scope"],
        "client_id": row["client"],
        "token_type": "Bearer",
        "exp": int(row["expires"]),
        "iat": int(row["created"]),
        "sub": row["account"] or row["client"],
        "iss": origin.issuer,
        "jti": row["id"],
        "fhirUser": f"{origin.fhir}/{requester.subject}",
        **{name: claims.get(name) for name in ("institution", "department", "role", "purpose", "patient", "encounter")},
    }
    return {name: value for name, value in told.items() if value}


def revoke(auth_file: AuthFile, client: Client, shown: str, now: float) -> None:
    """End a token of the client; with a refresh token all that came of it. https://www.rfc-editor.org/rfc/rfc7009"""
    with auth_file.write() as connection:
        row = connection.execute(
            "SELECT use, family FROM tokens WHERE hash = ? AND client = ?", (token_hash(shown), client.id)
        ).fetchone()
        if row is None:
            return
        if row["use"] == "refresh":
            _end_family(connection, row["family"], now)
        connection.execute("UPDATE tokens SET revoked = ? WHERE hash = ?", (now, token_hash(shown)))


def clear(auth_file: AuthFile, now: float) -> None:
    """Forget tokens that ended a day ago: nothing can be done with them, and a reuse is met as an unknown one."""
    with auth_file.write() as connection:
        connection.execute("DELETE FROM tokens WHERE expires < ?", (now - 24 * 3600,))
