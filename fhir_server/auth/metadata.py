"""What clients are told about the authorisation server: three well-known documents.

https://hl7.org/fhir/smart-app-launch/conformance.html, https://www.rfc-editor.org/rfc/rfc8414,
https://openid.net/specs/openid-connect-discovery-1_0.html
"""

from __future__ import annotations

from typing import Any

from consent.vocabulary import Purpose
from fhir_server.auth.client_auth import ALGORITHMS
from fhir_server.auth.clients import GRANTS
from fhir_server.auth.keys import ALGORITHM
from fhir_server.auth.origin import Origin
from fhir_server.auth.scopes import PLAIN

_METHODS = ("private_key_jwt", "client_secret_basic", "client_secret_post", "none")
_SCOPES = (*PLAIN, "launch/encounter", *(f"{context}/*.cruds" for context in ("patient", "user", "system")))
CAPABILITIES = (
    "launch-ehr",
    "launch-standalone",
    "authorize-post",
    "client-public",
    "client-confidential-symmetric",
    "client-confidential-asymmetric",
    "sso-openid-connect",
    "context-banner",
    "context-ehr-patient",
    "context-ehr-encounter",
    "context-standalone-patient",
    "permission-offline",
    "permission-online",
    "permission-patient",
    "permission-user",
    "permission-v1",
    "permission-v2",
)


def server(origin: Origin) -> dict[str, Any]:
    """The metadata of the OAuth server."""
    at = f"{origin.issuer}/auth"
    return {
        "issuer": origin.issuer,
        "authorization_endpoint": f"{at}/authorize",
        "token_endpoint": f"{at}/token",
        "introspection_endpoint": f"{at}/introspect",
        "revocation_endpoint": f"{at}/revoke",
        "userinfo_endpoint": f"{at}/userinfo",
        "jwks_uri": f"{at}/jwks",
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(GRANTS),
        "scopes_supported": list(_SCOPES),
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        **{
            f"{endpoint}_endpoint_{name}": list(values)
            for endpoint in ("token", "introspection", "revocation")
            for name, values in (
                ("auth_methods_supported", _METHODS[:-1] if endpoint == "introspection" else _METHODS),
                ("auth_signing_alg_values_supported", ALGORITHMS),
            )
        },
        "purposes_of_use_supported": list(Purpose.__members__),
    }


def openid(origin: Origin) -> dict[str, Any]:
    """The metadata of the OpenID provider."""
    return {
        **server(origin),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "claims_supported": [
            "iss",
            "sub",
            "aud",
            "exp",
            "iat",
            "auth_time",
            "nonce",
            "amr",
            "at_hash",
            "name",
            "fhirUser",
        ],
        "claims_parameter_supported": False,
        "prompt_values_supported": ["none", "login", "consent"],
    }


def smart(origin: Origin) -> dict[str, Any]:
    """The ``smart-configuration`` of the FHIR base."""
    return {**server(origin), "capabilities": list(CAPABILITIES)}
