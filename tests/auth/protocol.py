"""A small authorisation server in this process, its clients and their keys; what the tests of the protocol share."""

from __future__ import annotations

import atexit
import base64
import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from shutil import copytree, rmtree
from tempfile import mkdtemp
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from fastapi import FastAPI
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from consent.requester import Requester
from fhir_server.auth import authorize, clients, flow, keys
from fhir_server.auth.client_auth import ASSERTION_TYPE
from fhir_server.auth.file import AuthFile
from fhir_server.auth.remote_keys import RemoteKeys
from fhir_server.auth.verify import Authenticator
from fhir_server.auth.web import Notice, router
from fhir_server.secrets import MasterKey
from fhir_server.settings import Settings

ISSUER = "https://alliance.example"
FHIR = f"{ISSUER}/fhir"
TOKEN = f"{ISSUER}/auth/token"
BACK = "https://app.example/back"
START = 1_790_000_000.0
LABORATORY_KEY = RSAKey.generate_key(2048, {"use": "sig"}, auto_kid=True)
EMR_KEY = ECKey.generate_key("P-384", {"use": "sig"}, auto_kid=True)
MASTER = MasterKey.ephemeral()
VERIFIER = "a-verifier-of-43-letters-or-more-0123456789abc"
DOCTOR = Requester(
    kind="staff",
    subject="Practitioner/doctor-wang",
    client="",
    purpose="TREAT",
    scopes=(),
    institution="county-hospital",
    department="cardiology",
    role="physician",
    role_id="role-1",
    name="王医生",
)
RESIDENT = Requester(
    kind="resident",
    subject="Patient/li",
    client="",
    purpose="PATRQT",
    scopes=(),
    person="li",
    patient="li",
    name="李明",
)


def key_set(*keys: RSAKey | ECKey) -> str:
    return json.dumps({"keys": [key.as_dict(private=False) for key in keys]})


LABORATORY = clients.Client(
    "laboratory",
    "县医院检验系统",
    "key",
    ("client_credentials",),
    "system/*.cruds",
    institution="county-hospital",
    purposes=("TREAT", "RECOG"),
    jwks=key_set(LABORATORY_KEY),
)
EMR = replace(LABORATORY, id="emr", name="镇卫生院病历系统", institution="township", jwks=key_set(EMR_KEY))
APP = clients.Client(
    "app",
    "居民健康应用",
    "public",
    ("authorization_code", "refresh_token"),
    "openid fhirUser profile launch launch/patient offline_access online_access patient/*.rs user/*.cruds",
    redirect_uris=(BACK, "http://127.0.0.1:8000/back"),
    launch_uri="https://app.example/launch?lang=zh",
)
PORTAL = replace(APP, id="portal", name="门户", kind="secret", redirect_uris=("https://portal.example/back",))


def challenge_of(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


@dataclass
class World:
    """The server with its file, its clock (``now``) and an HTTP client that talks to it."""

    folder: Path
    auth_file: AuthFile
    http: httpx.Client
    authenticator: Authenticator
    portal_secret: str
    notices: list[Notice]
    now: float = START
    serial: int = 0
    published: dict[str, dict[str, Any]] = field(default_factory=dict)

    # a person

    def ask(self, **changes: str | None) -> httpx.Response:
        """The app sends somebody to the authorization endpoint."""
        parameters: dict[str, str | None] = {
            "response_type": "code",
            "client_id": "app",
            "redirect_uri": BACK,
            "scope": "openid fhirUser launch/patient patient/*.rs offline_access",
            "state": "opaque-state",
            "nonce": "nonce-1",
            "aud": FHIR,
            "code_challenge": challenge_of(VERIFIER),
            "code_challenge_method": "S256",
            **changes,
        }
        return self.http.get("/auth/authorize", params={k: v for k, v in parameters.items() if v is not None})

    def approve(
        self, answer: httpx.Response, account: str = "doctor", requester: Requester = DOCTOR, **changes: str
    ) -> dict[str, str]:
        """Somebody signs in and approves (without the pages); gives the parameters that the app is sent."""
        assert answer.status_code == 303, answer.text
        handle = parse_qs(urlsplit(answer.headers["location"]).query)["flow"][0]
        asked_flow = flow.find(self.auth_file, handle, self.now)
        assert asked_flow is not None
        asked = asked_flow.asked
        requester = replace(requester, patient=requester.patient or asked.patient, encounter=asked.encounter)
        approved = flow.Approved(
            replace(requester, **{k: v for k, v in changes.items() if k != "scope"}),
            changes.get("scope", asked.scope),
            account,
            f"session-{account}",
            self.now,
            ("pwd", "otp"),
        )
        return sent(authorize.completer(self.auth_file, lambda: self.now)(asked, approved))

    def redeem(self, code: str, **changes: str | None) -> httpx.Response:
        form: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": BACK,
            "client_id": "app",
            "code_verifier": VERIFIER,
            **changes,
        }
        return self.post("/auth/token", form)

    def tokens(self, account: str = "doctor", requester: Requester = DOCTOR, **changes: str | None) -> dict[str, Any]:
        """A whole launch; what the token endpoint answers at its end."""
        answer = self.redeem(self.approve(self.ask(**changes), account, requester)["code"])
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def refresh(self, token: str, **changes: str | None) -> httpx.Response:
        return self.post(
            "/auth/token", {"grant_type": "refresh_token", "refresh_token": token, "client_id": "app", **changes}
        )

    # a system

    def assertion(self, client: str = "laboratory", key: RSAKey | ECKey = LABORATORY_KEY, **changes: Any) -> str:
        self.serial += 1
        header = {"alg": "RS384" if isinstance(key, RSAKey) else "ES384", "kid": key.kid, "typ": "JWT"}
        header = {name: value for name, value in {**header, **changes.pop("header", {})}.items() if value is not None}
        claims = {
            "iss": client,
            "sub": client,
            "aud": TOKEN,
            "exp": int(self.now) + 240,
            "jti": f"jti-{self.serial}",
            **changes,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(header, claims, key, algorithms=[header["alg"]])

    def system(self, assertion: str | None = None, **form: str | None) -> httpx.Response:
        return self.post(
            "/auth/token",
            {
                "grant_type": "client_credentials",
                "client_assertion_type": ASSERTION_TYPE,
                "client_assertion": self.assertion() if assertion is None else assertion,
                "scope": "system/Observation.rs",
                **form,
            },
        )

    def post(self, path: str, form: dict[str, str | None], **more: Any) -> httpx.Response:
        return self.http.post(path, data={k: v for k, v in form.items() if v is not None}, **more)

    def requester(self, token: str) -> Requester:
        return self.authenticator.requester(f"Bearer {token}", self.now)


def sent(location: str) -> dict[str, str]:
    """The parameters that are sent to the app's address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


class Transport(httpx.BaseTransport):
    """Calls an ASGI application from synchronous tests."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        import asyncio

        async def call() -> httpx.Response:
            inner = httpx.ASGITransport(app=self._app, client=("192.0.2.7", 1234))
            answer = await inner.handle_async_request(request)
            return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())

        return asyncio.run(call())


@cache
def prepared() -> tuple[Path, str]:
    """A folder with the clients above, accounts and a key, made once; and the portal's secret."""
    folder = Path(mkdtemp(prefix="yidang-auth-"))
    atexit.register(rmtree, folder, ignore_errors=True)
    auth_file = AuthFile.open(folder, MASTER)
    for client in (LABORATORY, EMR, APP):
        clients.add(auth_file, client, START)
    secret = clients.add(auth_file, PORTAL, START)
    keys.ensure(auth_file, START)
    for id, requester in (("doctor", DOCTOR), ("resident", RESIDENT)):
        add_account(auth_file, id, requester)
    auth_file.close()
    return folder, secret


def add_account(auth_file: AuthFile, id: str, requester: Requester) -> str:
    """An account of ``requester`` with its role and a session."""
    with auth_file.write() as connection:
        connection.execute(
            "INSERT INTO accounts(id, kind, subject, name, created, changed) VALUES (?, ?, ?, ?, 0, 0)",
            (id, requester.kind, requester.subject, requester.name),
        )
        if requester.kind == "staff":
            connection.execute(
                "INSERT INTO account_roles(account, institution, department, role, role_id) VALUES (?, ?, ?, ?, ?)",
                (id, requester.institution, requester.department, requester.role, requester.role_id),
            )
        connection.execute(
            "INSERT INTO sessions(hash, id, account, created, seen, expires) VALUES (?, ?, ?, 0, 0, 9e9)",
            (f"hash of {id}".encode(), f"session-{id}", id),
        )
    return id


def world_in(folder: Path) -> World:
    """A server on ``folder`` with the clients above and the accounts ``doctor`` and ``resident``."""
    settings = Settings(data=folder, base_url=FHIR)
    template, secret = prepared()
    copytree(template, folder, dirs_exist_ok=True)
    auth_file = AuthFile.open(folder, MASTER)
    world = World(folder, auth_file, httpx.Client(), Authenticator(auth_file, settings), secret, [])
    world.http = server_on(world, settings, ISSUER)
    return world


def server_on(world: World, settings: Settings, address: str) -> httpx.Client:
    """An HTTP client of a server on the file of ``world``."""
    app = FastAPI()
    remote = RemoteKeys(lambda: world.now, lambda address: world.published[address])
    app.include_router(router(world.auth_file, settings, lambda: world.now, world.notices.append, remote))
    return httpx.Client(transport=Transport(app), base_url=address)
