"""Tokens of another OpenID provider: a real one, with its own HTTP server, in this process."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from consent.requester import Scope
from fhir_server.auth.external import ExternalIssuer
from fhir_server.auth.file import AuthFile
from fhir_server.auth.issue import issue
from fhir_server.auth.verify import Authenticator
from fhir_server.errors import Unauthorized
from fhir_server.settings import Settings
from tests.auth.protocol import DOCTOR, MASTER

BASE = "https://alliance.example/fhir"


class Provider:
    """An OpenID provider on this machine."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"use": "sig"}, auto_kid=True)
        self.extra: list[dict[str, Any]] = []
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(provider.documents().get(self.path, {})).encode()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_port}/realms/county"
        self.named = self.issuer
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def documents(self) -> dict[str, Any]:
        return {
            "/realms/county/.well-known/openid-configuration": {
                "issuer": self.named,
                "jwks_uri": f"{self.issuer}/keys",
            },
            "/realms/county/keys": {"keys": [self.key.as_dict(private=False), *self.extra]},
        }

    def token(self, header: dict[str, Any] | None = None, key: RSAKey | None = None, **changes: Any) -> str:
        claims = {
            "iss": self.issuer,
            "aud": BASE,
            "exp": int(time.time()) + 300,
            "jti": "token-1",
            "azp": "emr-front-end",
            "fhirUser": f"{BASE}/Practitioner/wang",
            "scope": "openid user/Observation.rs",
            "institution": "county-hospital",
            "role": "physician",
            "purpose": "TREAT",
            "name": "王医生",
            **changes,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        key = key or self.key
        return jwt.encode({"alg": "RS256", "kid": key.kid, "typ": "at+jwt", **(header or {})}, claims, key)


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    made = Provider()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def auth_file(tmp_path: Path) -> Iterator[AuthFile]:
    made = AuthFile.open(tmp_path, MASTER)
    yield made
    made.close()


@pytest.fixture
def authenticator(provider: Provider, auth_file: AuthFile) -> Iterator[Authenticator]:
    made = Authenticator(auth_file, Settings(base_url=BASE, oidc_issuer=provider.issuer))
    yield made
    made.close()


def test_the_claims_of_a_staff_member_become_a_requester(provider: Provider, authenticator: Authenticator) -> None:
    found = authenticator.requester(f"Bearer {provider.token()}", time.time())
    assert (found.kind, found.subject, found.client) == ("staff", "Practitioner/wang", "emr-front-end")
    assert (found.institution, found.role, found.purpose) == ("county-hospital", "physician", "TREAT")
    assert found.scopes == (Scope("user", "Observation", "rs"),)
    assert (found.token, found.name) == ("token-1", "王医生")


def test_residents_and_systems_come_by_their_references(provider: Provider, authenticator: Authenticator) -> None:
    token = provider.token(fhirUser="Patient/li", purpose="PATRQT", role="physician", patient="li")
    found = authenticator.requester(f"Bearer {token}", time.time())
    assert (found.kind, found.person, found.patient, found.role, found.institution) == ("resident", "li", "li", "", "")
    token = provider.token(fhirUser="Device/lab", role=None, scp=["system/*.rs"], scope=None)
    found = authenticator.requester(f"Bearer {token}", time.time())
    assert (found.kind, found.role, found.scopes) == ("system", "system", (Scope("system", "*", "rs"),))


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"iss": None},
        {"aud": "https://other.example/fhir"},
        {"aud": None},
        {"aud": []},
        {"exp": None},
        {"exp": 1},
        {"exp": "later"},
        {"nbf": 10**11},
        {"fhirUser": None},
        {"fhirUser": "Organization/x"},
        {"fhirUser": "https://evil.example/fhir/Practitioner/wang"},
        {"fhirUser": "Practitioner/a/b"},
        {"fhirUser": ["Practitioner/wang"]},
        {"azp": None},
        {"institution": None},
        {"institution": "a b"},
        {"institution": {"id": "x"}},
        {"role": None},
        {"role": "king"},
        {"role": "system"},
        {"purpose": None},
        {"purpose": "CURIOSITY"},
        {"purpose": "PUBHLTH"},
        {"fhirUser": "Device/lab", "role": None, "purpose": "BTG"},
        {"header": {"typ": "logout+jwt"}},
        {"header": {"kid": "unknown"}},
    ],
)
def test_a_token_that_says_too_little_or_wrong_gives_no_access(
    provider: Provider, authenticator: Authenticator, changes: dict[str, Any]
) -> None:
    with pytest.raises(Unauthorized):
        authenticator.requester(f"Bearer {provider.token(**changes)}", time.time())


def test_another_key_or_none_gives_no_access(provider: Provider, authenticator: Authenticator) -> None:
    forged = provider.token(key=RSAKey.generate_key(2048, {"kid": provider.key.kid}))
    head, body, _ = provider.token().split(".")
    unsigned = "eyJhbGciOiJub25lIn0"
    for token in (forged, f"{head}.{body}.", f"{unsigned}.{body}.", f"{head}.{body}.AAAA", "..", "a.b.c"):
        with pytest.raises(Unauthorized):
            authenticator.requester(f"Bearer {token}", time.time())


def test_a_remembered_token_expires(provider: Provider, authenticator: Authenticator) -> None:
    token = provider.token()
    assert authenticator.requester(f"Bearer {token}", time.time())
    with pytest.raises(Unauthorized):
        authenticator.requester(f"Bearer {token}", time.time() + 301)


def test_our_own_tokens_are_known_beside(auth_file: AuthFile, authenticator: Authenticator) -> None:
    token = issue(auth_file, DOCTOR, 60)
    assert authenticator.requester(f"Bearer {token}", time.time()).subject == DOCTOR.subject


def test_without_a_provider_its_tokens_are_unknown(provider: Provider, auth_file: AuthFile) -> None:
    authenticator = Authenticator(auth_file, Settings(base_url=BASE))
    with pytest.raises(Unauthorized):
        authenticator.requester(f"Bearer {provider.token()}", time.time())
    authenticator.close()


def test_claims_may_have_other_names(provider: Provider, auth_file: AuthFile) -> None:
    settings = Settings(base_url=BASE, oidc_issuer=provider.issuer, oidc_claims="institution=org role=job")
    authenticator = Authenticator(auth_file, settings)
    token = provider.token(institution=None, role=None, org="township", job="nurse")
    found = authenticator.requester(f"Bearer {token}", time.time())
    assert (found.institution, found.role) == ("township", "nurse")
    authenticator.close()


def test_keys_that_rotate_are_fetched_beside_the_requests() -> None:
    provider = Provider()
    now = [1000.0]
    external = ExternalIssuer(Settings(base_url=BASE, oidc_issuer=provider.issuer), lambda: now[0])
    assert external.requester(provider.token(), time.time())
    provider.extra = [{"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "odd"}, {"kty": "oct", "k": "AA", "kid": "b"}]
    provider.key = RSAKey.generate_key(2048, {"use": "sig"}, auto_kid=True)
    token = provider.token()
    now[0] += 31
    assert external.requester(token, time.time()) is None
    external.wait()
    assert external.requester(token, time.time())
    provider.server.shutdown()
    provider.server.server_close()
    now[0] += 3601
    external.requester(token, time.time())
    external.wait()
    assert external.requester(token, time.time()) is None  # believed for an hour, not for ever


def test_a_provider_that_names_itself_otherwise_is_not_believed() -> None:
    provider = Provider()
    provider.named = "https://other.example"
    external = ExternalIssuer(Settings(base_url=BASE, oidc_issuer=provider.issuer))
    assert external.requester(provider.token(), time.time()) is None
    provider.server.shutdown()
    provider.server.server_close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"oidc_issuer": "http://idp.example"},
        {"oidc_issuer": "https://idp.example", "base_url": ""},
        {"oidc_issuer": "https://idp.example", "oidc_claims": "nonsense=x"},
        {"oidc_issuer": "https://idp.example", "oidc_claims": "role"},
    ],
)
def test_settings_that_do_not_say_enough_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"YIDANG_OIDC|https"):
        ExternalIssuer(Settings(**{"base_url": BASE, **wrong}), fetch=lambda address: {})
