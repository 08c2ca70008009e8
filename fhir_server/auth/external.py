"""Access tokens of an external OpenID provider: JWTs that it signed, their claims read as a Requester.

https://www.rfc-editor.org/rfc/rfc9068. Set by YIDANG_OIDC_ISSUER; docs/api/authorization.md names the claims.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, GuestProtocol, KeySet, RSAKey

from consent.requester import Kind, Requester
from consent.vocabulary import ROLES, Purpose
from fhir_server.auth.clients import NEVER_FOR_SYSTEMS, SYSTEM_ROLE, check_jwks_uri, public_keys
from fhir_server.auth.remote_keys import AGAIN_SECONDS, FRESH_SECONDS, Unavailable, fetch_json
from fhir_server.auth.scopes import parse_all
from fhir_server.settings import Settings

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "ES256", "ES384", "ES512")
BELIEVED_SECONDS = 3600.0  # so long keys are believed that cannot be fetched again
_SKEW_SECONDS = 30
_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})
_REFERENCE = re.compile(r"(Practitioner|Patient|Device)/([A-Za-z0-9.-]{1,64})", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}", re.ASCII)
_KINDS: dict[str, Kind] = {"Practitioner": "staff", "Patient": "resident", "Device": "system"}
# Our names of what a token says; by default the provider's claims have the same.
CLAIMS = (
    "fhirUser", "scope", "client_id", "institution", "department", "role", "role_id", "purpose", "patient", "encounter",
    "name",
)  # fmt: skip
_IDS = ("institution", "department", "role_id", "patient", "encounter")


class ExternalIssuer:
    """The provider. Its keys are fetched at the start and in the background: no request waits for the network."""

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], float] = time.time,
        fetch: Callable[[str], dict[str, Any]] = fetch_json,
    ) -> None:
        """Raise ValueError where the settings do not say enough."""
        check_jwks_uri(settings.oidc_issuer)
        self._issuer = settings.oidc_issuer
        self._base = settings.base_url.rstrip("/")
        self._audience = settings.oidc_audience or self._base
        if not self._audience:
            raise ValueError("YIDANG_OIDC_ISSUER needs YIDANG_OIDC_AUDIENCE or YIDANG_BASE_URL: whom tokens are for")
        self._claims = _mapping(settings.oidc_claims)
        self._clock = clock
        self._fetch = fetch
        self._lock = threading.Lock()
        self._keys: KeySet | None = None
        self._fetched = self._asked = -1e18
        self._refreshing: threading.Thread | None = None
        self._refresh()

    def requester(self, token: str, now: float) -> tuple[Requester, float] | None:
        """Who sends a token, and until when it is good; None where it is not right, or says too little."""
        try:
            decoded = jwt.decode(token, self._key, algorithms=ALGORITHMS)
        except (JoseError, ValueError, TypeError, RecursionError):
            return None
        claims = decoded.claims
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        expires, begins = claims.get("exp"), claims.get("nbf", 0)
        if claims.get("iss") != self._issuer or self._audience not in audiences:
            return None
        if not (_is_number(expires) and _is_number(begins)) or not begins - _SKEW_SECONDS <= now < expires:
            return None
        if str(decoded.header.get("typ", "JWT")).lower() not in _TYPES:
            return None
        found = self._mapped(claims)
        return None if found is None else (found, float(expires))

    def _mapped(self, claims: Mapping[str, Any]) -> Requester | None:
        """The claims as a Requester; None where one that is needed is missing or unknown."""
        told = {ours: claims.get(theirs) for ours, theirs in self._claims.items()}
        told["client_id"] = told["client_id"] or claims.get("azp")
        scope = told["scope"] if told["scope"] is not None else claims.get("scp")
        told["scope"] = " ".join(map(str, scope)) if isinstance(scope, list) else scope
        facts = {name: "" if value is None else value for name, value in told.items()}
        if not all(isinstance(value, str) for value in facts.values()):
            return None
        user = facts["fhirUser"].removeprefix(f"{self._base}/") if self._base else facts["fhirUser"]
        reference = _REFERENCE.fullmatch(user)
        if reference is None or any(facts[name] and not _ID.fullmatch(facts[name]) for name in _IDS):
            return None
        kind = _KINDS[reference[1]]
        if kind == "system":
            facts["role"] = SYSTEM_ROLE
        elif kind == "resident":
            facts |= {"institution": "", "department": "", "role": "", "role_id": ""}
        if not facts["client_id"] or not _is_fit(kind, facts):
            return None
        return Requester(
            kind=kind,
            subject=user,
            client=facts["client_id"],
            purpose=facts["purpose"],
            scopes=parse_all(facts["scope"]),
            institution=facts["institution"],
            department=facts["department"],
            role=facts["role"],
            role_id=facts["role_id"],
            person=reference[2] if kind == "resident" else "",
            patient=facts["patient"],
            encounter=facts["encounter"],
            token=str(claims.get("jti", ""))[:64],
            name=facts["name"],
        )

    # Keys

    def _key(self, guest: GuestProtocol) -> RSAKey | ECKey:
        kid = guest.headers().get("kid")
        with self._lock:
            now = self._clock()
            found = None
            if self._keys is not None and now - self._fetched < BELIEVED_SECONDS:
                found = next((key for key in self._keys.keys if key.kid == kid), None)
            if (found is None or now - self._fetched >= FRESH_SECONDS) and now - self._asked >= AGAIN_SECONDS:
                self._asked = now
                self._refreshing = threading.Thread(target=self._refresh, daemon=True)
                self._refreshing.start()
        if not isinstance(found, RSAKey | ECKey):
            raise ValueError("no such key")
        return found

    def _refresh(self) -> None:
        """Fetch the provider's keys; without them nobody gets in by its tokens."""
        try:
            about = self._fetch(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
            if about.get("issuer") != self._issuer:
                raise Unavailable("it names itself otherwise")
            published = self._fetch(str(about.get("jwks_uri")))["keys"]
            keys = public_keys(json.dumps({"keys": [key for key in published if _signs(key)]}))
        except (Unavailable, ValueError, KeyError, TypeError, AttributeError):
            return
        with self._lock:
            self._keys, self._fetched = keys, self._clock()

    def wait(self) -> None:
        """Wait until keys that are being fetched are there."""
        if self._refreshing is not None:
            self._refreshing.join()


def _signs(key: Mapping[str, Any]) -> bool:
    """Whether a published key is one for signatures of a kind that we take."""
    return key.get("kty") in ("RSA", "EC") and key.get("use", "sig") == "sig" and bool(key.get("kid"))


def _is_fit(kind: Kind, facts: Mapping[str, str]) -> bool:
    """Whether the token says enough, and nothing that its kind may not claim."""
    purpose = facts["purpose"]
    if purpose not in Purpose.__members__:
        return False
    if kind == "resident":
        return True
    role = ROLES.get(facts["role"])
    if role is None or not facts["institution"] or purpose not in role.purposes:
        return False
    if kind == "system":
        return purpose not in NEVER_FOR_SYSTEMS
    return role.code != SYSTEM_ROLE


def _mapping(text: str) -> dict[str, str]:
    """By our name of a fact the claim that has it, from a text such as ``institution=org role=job``."""
    given = dict(part.partition("=")[::2] for part in text.split())
    if unknown := set(given) - set(CLAIMS):
        raise ValueError(f"YIDANG_OIDC_CLAIMS maps {', '.join(CLAIMS)}, not {', '.join(sorted(unknown))}")
    if not all(given.values()):
        raise ValueError("YIDANG_OIDC_CLAIMS is a list such as 'institution=org role=job'")
    return {name: given.get(name, name) for name in CLAIMS}


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12
