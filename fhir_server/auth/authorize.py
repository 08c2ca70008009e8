"""The authorization endpoint: an app asks for access, and at the end is sent a code.

https://www.rfc-editor.org/rfc/rfc6749#section-4.1, PKCE https://www.rfc-editor.org/rfc/rfc7636,
https://hl7.org/fhir/smart-app-launch/app-launch.html. Between the two lie the pages (``flow``, ``pages``).
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from urllib.parse import urlencode, urlsplit

from fhir_server.auth.clients import CODE, REFRESH, Client, find
from fhir_server.auth.file import AuthFile
from fhir_server.auth.flow import Approved, Asked, Complete
from fhir_server.auth.issue import new_secret, token_hash
from fhir_server.auth.oauth import OAuthError, invalid_request
from fhir_server.auth.origin import Origin
from fhir_server.auth.scopes import grantable, parse_all

CODE_SECONDS = 60
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)  # SHA-256 in base64url
_LONGEST = 8 * 1024
_KEEPING = frozenset({"offline_access", "online_access"})


class Refused(OAuthError):
    """A refusal that the app is told, by the redirection to ``location``."""

    def __init__(self, location: str, error: OAuthError) -> None:
        super().__init__(error.error, error.description)
        self.location = location


def asked_of(auth_file: AuthFile, pairs: Sequence[tuple[str, str]], origin: Origin, now: float) -> Asked:
    """The request of an app, found right.

    Raises OAuthError where nobody can be redirected (client or redirect URI are not known), otherwise Refused.
    """
    parameters = single(pairs)
    client = find(auth_file, parameters.get("client_id", ""))
    if client is None or CODE not in client.grants:
        raise OAuthError("invalid_client", "The app is not registered here (client_id)")
    redirect_uri = parameters.get("redirect_uri", "")
    if redirect_uri not in client.redirect_uris:
        raise invalid_request("The redirect_uri is not one that the app is registered with")
    state = parameters.get("state", "")
    try:
        return _asked(auth_file, client, parameters, origin, now)
    except OAuthError as error:
        raise Refused(_refusal(redirect_uri, error, state, origin.issuer), error) from None


def single(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The parameters, each at most once; empty ones count as left out. https://www.rfc-editor.org/rfc/rfc6749#section-3.1"""
    given = [(name, value) for name, value in pairs if value]
    if len({name for name, _ in given}) < len(given):
        raise invalid_request("A parameter is given twice")
    if any(len(value) > _LONGEST for _, value in given if _ != "client_assertion"):
        raise invalid_request("A parameter is too long")
    return dict(given)


def _asked(auth_file: AuthFile, client: Client, parameters: Mapping[str, str], origin: Origin, now: float) -> Asked:
    for name, error in (("request", "request_not_supported"), ("request_uri", "request_uri_not_supported")):
        if name in parameters:
            raise OAuthError(error, f"{name} is not supported")
    if parameters.get("response_type") != "code":
        raise OAuthError("unsupported_response_type", "The response_type must be code")
    if parameters.get("response_mode", "query") != "query":
        raise invalid_request("The response_mode must be query")
    if parameters.get("code_challenge_method") != "S256":
        raise invalid_request("PKCE is required: code_challenge_method must be S256")
    if not _CHALLENGE.fullmatch(parameters.get("code_challenge", "")):
        raise invalid_request("PKCE is required: code_challenge must be a SHA-256 hash in base64url")
    launch = _launch(auth_file, client, parameters, now)
    scope = _scope(client, parameters.get("scope", ""), launch)
    _check_audience(parameters, origin, scope)
    if "none" in parameters.get("prompt", "").split():
        raise OAuthError("login_required", "Somebody has to sign in and approve each time")
    max_age = parameters.get("max_age", "")
    if max_age and not (max_age.isascii() and max_age.isdigit() and len(max_age) < 10):
        raise invalid_request("max_age must be a number of seconds")
    return Asked(
        client=client.id,
        client_name=client.name,
        redirect_uri=parameters["redirect_uri"],
        scope=scope,
        state=parameters.get("state", ""),
        patient=launch.get("patient", ""),
        encounter=launch.get("encounter", ""),
        login_hint=parameters.get("login_hint", ""),
        login_again="login" in parameters.get("prompt", "").split(),
        max_age=int(max_age) if max_age else None,
        extra={
            "challenge": parameters["code_challenge"],
            "nonce": parameters.get("nonce", ""),
            "issuer": origin.issuer,
            "institution": client.institution,
            "purposes": " ".join(client.purposes),
            "launch_account": launch.get("account", ""),
            "banner": launch.get("banner", ""),
            "intent": launch.get("intent", ""),
        },
    )


def _scope(client: Client, asked: str, launch: Mapping[str, str]) -> str:
    """What may be granted of what is ``asked``. Raises OAuthError where that is nothing."""
    granted = grantable(asked, client.scope, ("patient", "user")).split()
    withheld: set[str] = set() if REFRESH in client.grants else set(_KEEPING)
    if not launch:
        withheld |= {"launch"}
    if not launch.get("encounter"):
        withheld |= {"launch/encounter"}
    scope = " ".join(part for part in granted if part not in withheld)
    if not scope:
        raise OAuthError("invalid_scope", "The app is registered for none of these scopes")
    return scope


def _check_audience(parameters: Mapping[str, str], origin: Origin, scope: str) -> None:
    """Refuse an app that means another server: its user would give our token away. RFC 8707, and SMART's ``aud``."""
    named = [parameters[name] for name in ("aud", "resource") if name in parameters]
    if not named and parse_all(scope):
        raise invalid_request(f"aud must name the FHIR server that is meant ({origin.fhir})")
    if not all(origin.is_fhir(address) for address in named):
        raise invalid_request(f"aud names another server than {origin.fhir}")


def _launch(auth_file: AuthFile, client: Client, parameters: Mapping[str, str], now: float) -> dict[str, str]:
    """The context of an EHR launch; empty for a standalone one."""
    handle = parameters.get("launch")
    if handle is None:
        return {}
    row = auth_file.row(
        "SELECT account, facts FROM launches WHERE hash = ? AND client = ? AND expires > ?",
        token_hash(handle),
        client.id,
        now,
    )
    if row is None or "launch" not in parameters.get("scope", "").split():
        raise invalid_request("The launch is not known, or has expired, or the scope launch is missing")
    facts: dict[str, str] = json.loads(row["facts"])
    return {**facts, "account": row["account"]}


def completer(auth_file: AuthFile, clock: Callable[[], float]) -> Complete:
    """What the pages call when a person has approved, or not: gives the address to send the browser to."""

    def complete(asked: Asked, approved: Approved | None) -> str:
        return _completed(auth_file, asked, approved, clock())

    return complete


def _completed(auth_file: AuthFile, asked: Asked, approved: Approved | None, now: float) -> str:
    issuer = asked.extra["issuer"]
    reason = "Not allowed by the person who was asked" if approved is None else _unfit(auth_file, asked, approved)
    if approved is None or reason:
        return _refusal(asked.redirect_uri, OAuthError("access_denied", reason), asked.state, issuer)
    code = new_secret()
    facts = {
        "redirect_uri": asked.redirect_uri,
        "challenge": asked.extra["challenge"],
        "requester": {name: value for name, value in asdict(approved.requester).items() if name != "scopes" and value},
        "scope": _within(approved.scope, asked.scope),
        "session": approved.session,
        "nonce": asked.extra["nonce"],
        "extra": {
            "auth_time": int(approved.at),
            "amr": list(approved.amr),
            "banner": asked.extra["banner"],
            "intent": asked.extra["intent"],
        },
    }
    with auth_file.write() as connection:
        connection.execute("DELETE FROM codes WHERE expires < ?", (now - 24 * 3600,))
        connection.execute(
            "INSERT INTO codes(hash, client, account, family, facts, expires) VALUES (?, ?, ?, ?, ?, ?)",
            (
                token_hash(code),
                asked.client,
                approved.account,
                secrets.token_hex(8),
                json.dumps(facts, ensure_ascii=False),
                now + CODE_SECONDS,
            ),
        )
    return with_parameters(asked.redirect_uri, {"code": code, "state": asked.state, "iss": issuer})


def _unfit(auth_file: AuthFile, asked: Asked, approved: Approved) -> str:
    """Why what was approved is not what the app may have; '' where it is."""
    requester = approved.requester
    purposes = asked.extra["purposes"].split()
    if find(auth_file, asked.client) is None:
        return "The app was revoked"
    if requester.kind not in ("staff", "resident") or not approved.account:
        return "Nobody signed in"
    if asked.extra["institution"] and requester.institution != asked.extra["institution"]:
        return "The app is another institution's"
    if purposes and requester.purpose not in purposes:
        return "The app is not for this purpose of use"
    if asked.extra["launch_account"] and approved.account != asked.extra["launch_account"]:
        return "Somebody else launched the app"
    if asked.patient and (requester.patient, requester.encounter) != (asked.patient, asked.encounter):
        return "The launch was for another patient"
    if not _within(approved.scope, asked.scope):
        return "Nothing was approved"
    return ""


def _within(scope: str, asked: str) -> str:
    """Those parts of ``scope`` that were asked for."""
    allowed = frozenset(asked.split())
    return " ".join(part for part in scope.split() if part in allowed)


def _refusal(redirect_uri: str, error: OAuthError, state: str, issuer: str) -> str:
    return with_parameters(redirect_uri, {**error.body(), "state": state, "iss": issuer})


def with_parameters(address: str, parameters: Mapping[str, str]) -> str:
    """``address`` with ``parameters`` (those that are not empty) added to its query."""
    query = urlencode({name: value for name, value in parameters.items() if value})
    return f"{address}{'&' if urlsplit(address).query else '?'}{query}"


def new_launch(
    auth_file: AuthFile, client: str, account: str, facts: Mapping[str, str], now: float, seconds: float
) -> str:
    """Keep the context of an EHR launch; returns the handle that the app is opened with."""
    handle = new_secret()
    with auth_file.write() as connection:
        connection.execute("DELETE FROM launches WHERE expires < ?", (now,))
        connection.execute(
            "INSERT INTO launches(hash, client, account, facts, expires) VALUES (?, ?, ?, ?, ?)",
            (token_hash(handle), client, account, json.dumps(dict(facts)), now + seconds),
        )
    return handle


def without_session(scope: str) -> bool:
    """Whether an authorization for ``scope`` outlives the sign-in that it was given in."""
    return "offline_access" in scope.split()
