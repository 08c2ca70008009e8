"""A small alliance of people who sign in, and the pages served to them without a network."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from consent.requester import Requester
from fhir_server.auth import accounts, pages, passwords, totp
from fhir_server.auth.directory import Person, Position
from fhir_server.auth.file import AuthFile
from fhir_server.auth.flow import Approved, Asked, begin
from fhir_server.auth.visit import Event, House
from fhir_server.secrets import MasterKey
from fhir_server.settings import Settings

PASSWORD = "Kite-over-7-hills"
HASHED = passwords.hashed(PASSWORD)
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
IDENTITY_NUMBER = "99010119800101001X"
BASE = "http://127.0.0.1:8080"
APP = "https://app.example/callback"
START = 1_800_000_000.0
COUNTY = Position("r1", "physician", "county", "一江县人民医院")
TOWNSHIP = Position("r2", "nurse", "township", "青山镇卫生院", "ward1", "内科")


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@dataclass
class Records:
    """A directory whose facts a test sets."""

    roles: dict[str, list[Position]] = field(default_factory=dict)
    families: dict[str, list[Person]] = field(default_factory=dict)
    visible: dict[str, Person] = field(default_factory=dict)
    looking: list[Requester] = field(default_factory=list)

    async def positions(self, practitioner: str) -> Sequence[Position]:
        return self.roles.get(practitioner, [])

    async def people(self, patient: str) -> Sequence[Person]:
        return self.families.get(patient, [])

    async def find(self, requester: Requester, text: str) -> Person | None:
        self.looking.append(requester)
        return self.visible.get(text)

    async def patient(self, requester: Requester, id: str) -> Person | None:
        return await self.find(requester, id)

    async def name(self, reference: str) -> str:
        found = self.visible.get(reference.partition("/")[2])
        return found.name if found else ""


@dataclass
class World:
    """Accounts, records, the pages, and what came of it."""

    file: AuthFile
    clock: Clock
    records: Records
    events: list[Event]
    answers: list[tuple[Asked, Approved | None]]
    app: FastAPI

    def browser(self, address: str = "10.0.0.1", base: str = BASE, **headers: str) -> Browser:
        return Browser(self, address, base, headers)

    def flow(self, scope: str = "openid fhirUser patient/*.rs", back: str = APP, **more: Any) -> str:
        """Begin an app's request; gives the address of the first page."""
        asked = Asked("app", "血压日记", back, scope, extra=more.pop("extra", {}), **more)
        return begin(self.file, asked, self.clock.now)

    def doctor(self, with_totp: bool = True, **more: Any) -> accounts.Account:
        """A physician of the county hospital, with the second factor set up."""
        self.records.roles["doctor"] = [COUNTY]
        made = self._create("staff", "doctor", login="doctor.li", name="李明", **more)
        if with_totp:
            accounts.set_totp(self.file, made.id, SECRET)
        return made

    def resident(self, **more: Any) -> accounts.Account:
        """A resident without second factor and without wards."""
        self.records.families["zhang"] = [Person("zhang", "张秀英", "1980-01-01")]
        given = {"identity_number": IDENTITY_NUMBER, "phone": "10012345678", "name": "张秀英", **more}
        return self._create("resident", "zhang", **given)

    def _create(self, kind: Any, subject: str, **more: Any) -> accounts.Account:
        return accounts.create(self.file, kind, subject, PASSWORD, now=self.clock.now, hashed=HASHED, **more)

    def code(self, secret: str = SECRET) -> str:
        return totp.code_now(secret, self.clock.now)


class Transport(httpx.BaseTransport):
    """Calls the application in this process."""

    def __init__(self, app: FastAPI, address: str) -> None:
        self._inner = httpx.ASGITransport(app, client=(address, 4000))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        async def call() -> httpx.Response:
            answer = await self._inner.handle_async_request(request)
            return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())

        return asyncio.run(call())


class Browser:
    """A browser without scripts: keeps cookies, fills in the form of the page, goes where it is sent."""

    def __init__(self, world: World, address: str, base: str, headers: dict[str, str]) -> None:
        self.client = httpx.Client(transport=Transport(world.app, address), base_url=base, headers=headers)
        self.page = httpx.Response(0)

    def get(self, path: str, **more: Any) -> httpx.Response:
        self.page = self.client.get(path, **more)
        while self.page.status_code == 303 and self.page.headers["location"].startswith("/"):
            self.page = self.client.get(self.page.headers["location"], **more)
        return self.page

    def submit(self, path: str, form: int = 0, **fields: Any) -> httpx.Response:
        """Fill in the page's form (its hidden fields come along) and send it; redirections of ours are followed."""
        return self.post(path, {**hidden_fields(self.page.text, form), **fields})

    def post(self, path: str, fields: dict[str, Any], **more: Any) -> httpx.Response:
        self.page = self.client.post(path, data=fields, **more)
        while self.page.status_code == 303 and self.page.headers["location"].startswith("/"):
            self.page = self.client.get(self.page.headers["location"])
        return self.page

    def sign_in(self, login: str, password: str = PASSWORD, path: str = "/auth/sign-in") -> httpx.Response:
        self.get(path)
        return self.submit("/auth/sign-in", login=login, password=password)

    def cookie(self) -> str | None:
        return self.client.cookies.get("yidang-session")


def hidden_fields(html: str, form: int = 0) -> dict[str, str]:
    """The hidden fields of a form of the page."""
    forms = re.findall(r"<form.*?</form>", html, re.DOTALL)
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', forms[form] if forms else "")
    return dict(found)


def make_world(folder: Path) -> World:
    file = AuthFile.open(folder, MasterKey.ephemeral())
    clock, records = Clock(), Records()
    events: list[Event] = []
    answers: list[tuple[Asked, Approved | None]] = []

    def complete(asked: Asked, approved: Approved | None) -> str:
        answers.append((asked, approved))
        return f"{asked.redirect_uri}?{'code=abc' if approved else 'error=access_denied'}&state={asked.state}"

    app = FastAPI()
    house = House(file, Settings(data=folder), records, complete, clock, events.append)
    app.include_router(pages.router(house))
    return World(file, clock, records, events, answers, app)
