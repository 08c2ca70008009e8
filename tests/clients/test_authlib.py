"""Authlib's OAuth client gets and uses our tokens unchanged, and its models judge our metadata."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from authlib.oidc.discovery import OpenIDProviderMetadata

from tests.auth import alliance
from tests.auth.alliance import BACK, LI
from tests.auth.protocol import VERIFIER
from tests.conftest import Running


@pytest.fixture(scope="module")
def served(start_server: Callable[..., Running], tmp_path_factory: pytest.TempPathFactory) -> Running:
    folder = tmp_path_factory.mktemp("authlib")
    alliance.build(folder)
    return start_server(data=folder)


@pytest.fixture(scope="module")
def known(served: Running) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{served.root}/.well-known/openid-configuration").json()
    return found


def secured(metadata: dict[str, Any]) -> dict[str, Any]:
    """Metadata as they are behind a proxy with TLS: Authlib takes no other."""
    found: dict[str, Any] = json.loads(json.dumps(metadata).replace("http://", "https://"))
    return found


def test_the_metadata_are_right(served: Running, known: dict[str, Any]) -> None:
    OpenIDProviderMetadata(secured(known)).validate()
    oauth = httpx.get(f"{served.root}/.well-known/oauth-authorization-server").json()
    AuthorizationServerMetadata(secured(oauth)).validate()
    smart = httpx.get(f"{served.url}/.well-known/smart-configuration").json()
    AuthorizationServerMetadata(secured(smart)).validate()


def test_a_system_gets_a_token_by_private_key_jwt(served: Running, known: dict[str, Any]) -> None:
    def proof() -> PrivateKeyJWT:
        """By default Authlib's are good for an hour; SMART wants five minutes."""
        claims = {"exp": int(time.time()) + 240}
        return PrivateKeyJWT(known["token_endpoint"], claims, {"kid": alliance.KEY.kid}, "ES384")

    with OAuth2Client(
        "laboratory", alliance.KEY, token_endpoint_auth_method="private_key_jwt", scope="system/*.rs"
    ) as client:
        client.register_client_auth_method(proof())
        token = client.fetch_token(known["token_endpoint"], grant_type="client_credentials")
        assert token["scope"] == "system/*.rs"
        assert client.get(f"{served.url}/Patient/{LI}").status_code == 200
        client.register_client_auth_method(proof())
        told = client.introspect_token(known["introspection_endpoint"], token["access_token"]).json()
        assert told["active"] is True


def test_an_app_gets_refreshes_and_revokes_tokens(served: Running, known: dict[str, Any]) -> None:
    client = OAuth2Client(
        "app",
        token_endpoint_auth_method="none",
        scope="openid launch/patient patient/*.rs offline_access",
        redirect_uri=BACK,
        code_challenge_method="S256",
    )
    address, state = client.create_authorization_url(
        known["authorization_endpoint"], code_verifier=VERIFIER, aud=served.url
    )
    back = alliance.resident().visit(address)
    first = client.fetch_token(
        known["token_endpoint"], authorization_response=back, state=state, code_verifier=VERIFIER
    )
    assert (first["patient"], client.get(f"{served.url}/Patient/{LI}").status_code) == (LI, 200)
    second = client.refresh_token(known["token_endpoint"], first["refresh_token"])
    assert second["access_token"] != first["access_token"]
    client.revoke_token(known["revocation_endpoint"], second["refresh_token"], token_type_hint="refresh_token")
    assert client.get(f"{served.url}/Patient/{LI}").status_code == 401
