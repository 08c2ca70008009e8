"""The endpoints of the authorisation server, as routes of FastAPI; what they do is in the modules beside this one."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from anyio import from_thread
from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from consent.requester import Requester
from fhir_server.auth import authorize, flow, keys, limits, metadata, token
from fhir_server.auth.call import Call, read_call
from fhir_server.auth.client_auth import Proof, authenticate, claimed_client
from fhir_server.auth.clients import CODE, REFRESH, Client, find
from fhir_server.auth.file import AuthFile
from fhir_server.auth.headers import data_headers
from fhir_server.auth.issue import requester_of, token_hash
from fhir_server.auth.oauth import OAuthError, invalid_client, invalid_grant, invalid_request
from fhir_server.auth.origin import Origin, origin_of
from fhir_server.auth.pace import Pace
from fhir_server.auth.remote_keys import RemoteKeys
from fhir_server.auth.verify import STANDING
from fhir_server.settings import Settings

_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_FAILURES = limits.Rate(30, 60.0)  # refusals of one client at one address
_MOST_A_MINUTE = 600  # requests for codes and tokens of one address (a hospital may be one) to one process
_LAUNCH_SECONDS = 300
_HOUR = 3600
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that belongs on record: ``kind`` is token, refused-token, revoke, introspect or launch."""

    kind: str
    requester: Requester | None
    client: str
    address: str
    detail: str


Asking = Callable[[str, Requester], Coroutine[Any, Any, bool]]
"""A question to the records about an id (of an account, of a Patient) and a requester."""


def router(
    auth_file: AuthFile,
    settings: Settings,
    clock: Callable[[], float] = time.time,
    note: Callable[[Notice], None] = lambda notice: None,
    remote: RemoteKeys | None = None,
    stands: Asking | None = None,
    sees: Asking | None = None,
) -> APIRouter:
    """The routes; ``clock`` gives seconds since 1970, ``note`` takes what belongs on record.

    ``stands``: whether the account still is what a token says, by the records; asked when it is refreshed.
    ``sees``: whether the Patient of this id may be seen by the requester; asked when an app is launched with one.
    """
    server = _Server(auth_file, settings, clock, note, remote or RemoteKeys(clock), stands, sees)
    keys.ensure(auth_file, clock())
    routes = APIRouter(tags=["auth"])
    for path, make in (
        ("/fhir/.well-known/smart-configuration", metadata.smart),
        ("/.well-known/openid-configuration", metadata.openid),
        ("/fhir/.well-known/openid-configuration", metadata.openid),
        ("/.well-known/oauth-authorization-server", metadata.server),
    ):
        routes.add_api_route(path, server.document(make), methods=["GET", "OPTIONS"], response_model=None)
    for path, methods, endpoint in (
        ("/auth/jwks", ["GET"], server.jwks),
        ("/auth/token", ["POST"], server.token),
        ("/auth/introspect", ["POST"], server.introspect),
        ("/auth/revoke", ["POST"], server.revoke),
        ("/auth/userinfo", ["GET", "POST"], server.userinfo),
        ("/auth/launch", ["POST"], server.launch),
    ):
        routes.add_api_route(path, server.answering(endpoint), methods=[*methods, "OPTIONS"], response_model=None)
    # Shown to a person, in the browser's own window: no other origin's script has business here.
    routes.add_api_route("/auth/authorize", server.authorize, methods=["GET", "POST"], response_model=None)
    return routes


class _Server:
    """The endpoints on one auth file."""

    def __init__(
        self,
        auth_file: AuthFile,
        settings: Settings,
        clock: Callable[[], float],
        note: Callable[[Notice], None],
        remote: RemoteKeys,
        stands: Asking | None,
        sees: Asking | None,
    ) -> None:
        self._file = auth_file
        self._settings = settings
        self._clock = clock
        self._note = note
        self._remote = remote
        self._stands = stands
        self._sees = sees
        self._pace = Pace(_MOST_A_MINUTE, 60)
        self._cleared = 0.0

    # How requests are taken and answered

    def answering(self, work: Callable[[Call], Response]) -> Callable[[Request], Any]:
        """An endpoint that does ``work`` in a thread, and answers refusals as JSON."""

        async def endpoint(request: Request) -> Response:
            if request.method == "OPTIONS":
                return self._preflight()
            try:
                call = await read_call(request, self._settings, self._clock())
                response = await run_in_threadpool(work, call)
            except OAuthError as error:
                response = _refusal(error)
            return self._open_to_browsers(response)

        return endpoint

    def document(self, make: Callable[[Origin], dict[str, Any]]) -> Callable[[Request], Any]:
        """An endpoint that answers the metadata ``make`` gives."""

        async def endpoint(request: Request) -> Response:
            if request.method == "OPTIONS":
                return self._preflight()
            try:
                response: Response = JSONResponse(make(origin_of(request, self._settings)))
                response.headers["Cache-Control"] = "max-age=300"
            except OAuthError as error:
                response = _refusal(error)
            return self._open_to_browsers(response)

        return endpoint

    def _open_to_browsers(self, response: Response) -> Response:
        """Let apps in browsers read the answer; no cookie is of any use at these addresses."""
        response.headers.update(dict(data_headers(self._settings.base_url.startswith("https:"))))
        if self._settings.cors_origin:
            response.headers["Access-Control-Allow-Origin"] = self._settings.cors_origin
        return response

    def _preflight(self) -> Response:
        headers = {
            "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
            "Access-Control-Allow-Headers": "Accept, Authorization, Content-Type",
            "Access-Control-Max-Age": "3600",
        }
        return self._open_to_browsers(Response(status_code=204, headers=headers))

    def _client(self, call: Call) -> tuple[Client, Mapping[str, str]]:
        """The client that sends the form, and the form. Raises OAuthError, after too many refusals for all."""
        form = call.form()
        proof = Proof(form, call.request.headers.get("authorization"), call.origin.audiences, call.now)
        key = f"client {claimed_client(proof)} {limits.address_key(call.address)}"
        self._check_refusals(key, call.now)
        try:
            return authenticate(self._file, proof, self._remote), form
        except OAuthError as error:
            limits.try_rate(self._file, key, _FAILURES, call.now)
            self._note(Notice("refused-token", None, claimed_client(proof), call.address, error.description))
            raise

    def _check_refusals(self, key: str, now: float) -> None:
        row = self._file.row(
            "SELECT count(*) FROM login_attempts WHERE key = ? AND at > ?", key, now - _FAILURES.seconds
        )
        if row is not None and row[0] >= _FAILURES.most:
            raise OAuthError("temporarily_unavailable", "Too many refused requests; try again in a minute", 429)

    # The endpoints

    async def authorize(self, request: Request) -> Response:
        """An app sends a person here to approve its access. https://www.rfc-editor.org/rfc/rfc6749#section-3.1"""
        try:
            call = await read_call(request, self._settings, self._clock())
            return await run_in_threadpool(self._authorize, call)
        except OAuthError as error:
            return _refusal(error)

    def _authorize(self, call: Call) -> Response:
        self._pace.check(call.address, call.now)
        pairs = call.pairs() if call.request.method == "POST" else call.query()
        try:
            asked = authorize.asked_of(self._file, pairs, call.origin, call.now)
        except authorize.Refused as refused:
            return RedirectResponse(refused.location, 303, _NO_STORE)
        return RedirectResponse(flow.begin(self._file, asked, call.now), 303, _NO_STORE)

    def token(self, call: Call) -> Response:
        """Tokens for a code, a refresh token, or a system's own assertion."""
        self._pace.check(call.address, call.now)
        self._clear(call.now)
        client, form = self._client(call)
        try:
            self._check_standing(form)
            granted = token.exchange(token.Exchange(self._file, client, form, call.origin, call.now))
        except OAuthError as error:
            self._note(Notice("refused-token", None, client.id, call.address, error.description))
            raise
        self._note(Notice("token", granted.requester, client.id, call.address, form["grant_type"]))
        return JSONResponse(granted.body, headers=_NO_STORE)

    def _check_standing(self, form: Mapping[str, str]) -> None:
        """Refuse to refresh what a person is no longer: roles end in the records. Raises OAuthError."""
        shown = form.get("refresh_token") if form.get("grant_type") == REFRESH else None
        row = self._file.row(STANDING, token_hash(shown), "refresh") if shown else None
        if self._stands is None or row is None or not row["account"]:
            return
        if not from_thread.run(self._stands, row["account"], requester_of(row["claims"], row["id"])):
            raise invalid_grant("The person is no longer what the token says")

    def introspect(self, call: Call) -> Response:
        """What a token stands for; only confidential clients are told."""
        client, form = self._client(call)
        if client.kind == "public":
            raise invalid_client("Only clients that prove who they are may introspect")
        told = token.introspect(self._file, client, _shown(form), call.origin, call.now)
        self._note(Notice("introspect", None, client.id, call.address, str(told.get("jti", ""))))
        return JSONResponse(told, headers=_NO_STORE)

    def revoke(self, call: Call) -> Response:
        """End a token; one that is not known has ended already."""
        client, form = self._client(call)
        token.revoke(self._file, client, _shown(form), call.now)
        self._note(Notice("revoke", None, client.id, call.address, ""))
        return Response(headers=_NO_STORE)

    def jwks(self, call: Call) -> Response:
        """The keys of our id_tokens."""
        return JSONResponse(keys.published(self._file, call.now), headers={"Cache-Control": "max-age=300"})

    def userinfo(self, call: Call) -> Response:
        """Who signed in. https://openid.net/specs/openid-connect-core-1_0.html#UserInfo"""
        account, claims, requester = self._bearer(call)
        parts = claims["scope"].split()
        if "openid" not in parts or not account:
            raise OAuthError("insufficient_scope", "The token has no scope openid", 403)
        told = {"sub": account, **token.person_claims(requester, parts, call.origin)}
        return JSONResponse(told, headers=_NO_STORE)

    def launch(self, call: Call) -> Response:
        """Open an app with the patient that the staff member has before him.

        https://hl7.org/fhir/smart-app-launch/app-launch.html#launch-app-ehr-launch
        """
        account, _, requester = self._bearer(call)
        if requester.kind != "staff" or not account:
            raise OAuthError("insufficient_scope", "Only staff open apps from their workplace", 403)
        given = call.json()
        client = find(self._file, str(given.get("client_id", "")))
        if client is None or CODE not in client.grants or "launch" not in client.scope.split():
            raise invalid_request("The app is not registered for being launched (client_id)")
        if client.institution and client.institution != requester.institution:
            raise invalid_request("The app is another institution's")
        facts = _launch_facts(given)
        patient = facts.get("patient", "")
        if patient and self._sees is not None and not from_thread.run(self._sees, patient, requester):
            raise invalid_request("There is no such patient")
        handle = authorize.new_launch(self._file, client.id, account, facts, call.now, _LAUNCH_SECONDS)
        self._note(Notice("launch", requester, client.id, call.address, ""))
        answer = {"launch": handle, "iss": call.origin.fhir, "expires_in": _LAUNCH_SECONDS}
        if client.launch_uri:
            answer["url"] = authorize.with_parameters(client.launch_uri, {"iss": call.origin.fhir, "launch": handle})
        return JSONResponse(answer, 201, _NO_STORE)

    def _bearer(self, call: Call) -> tuple[str, dict[str, Any], Requester]:
        """Account, claims and requester of the access token. Raises OAuthError."""
        scheme, _, shown = call.request.headers.get("authorization", "").partition(" ")
        row = self._file.row(STANDING, token_hash(shown), "access") if scheme.lower() == "bearer" else None
        if row is None or not row["good"] or row["expires"] <= call.now:
            raise OAuthError("invalid_token", "The access token is missing, unknown, expired or revoked", 401)
        return row["account"], json.loads(row["claims"]), requester_of(row["claims"], row["id"])

    def _clear(self, now: float) -> None:
        if now - self._cleared > _HOUR:
            self._cleared = now
            token.clear(self._file, now)


def _shown(form: Mapping[str, str]) -> str:
    if "token" not in form:
        raise invalid_request("token is missing")
    return form["token"]


def _launch_facts(given: Mapping[str, Any]) -> dict[str, str]:
    """The context that a launch carries. Raises OAuthError where it is none."""
    facts = {name: given[name] for name in ("patient", "encounter") if given.get(name) is not None}
    if not all(isinstance(value, str) and _ID.fullmatch(value) for value in facts.values()):
        raise invalid_request("patient and encounter are ids")
    if "encounter" in facts and "patient" not in facts:
        raise invalid_request("An encounter is some patient's: patient is missing")
    intent = given.get("intent", "")
    if not isinstance(intent, str) or len(intent) > 256:
        raise invalid_request("intent is a short text")
    return {**facts, "intent": intent, "banner": "no" if given.get("need_patient_banner") is False else ""}


def _refusal(error: OAuthError) -> Response:
    headers = dict(_NO_STORE)
    if error.status == 401:
        scheme = "Bearer" if error.error == "invalid_token" else "Basic"
        headers["WWW-Authenticate"] = f'{scheme} realm="yidang", error="{error.error}"'
    if error.status == 429:
        headers["Retry-After"] = str(int(_FAILURES.seconds))
    return JSONResponse(error.body(), error.status, headers)
