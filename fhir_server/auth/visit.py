"""Visit: one request to the pages: who is signed in, in which flow, what was posted, and whether it came from us.

A form is taken only with the token of its session (https://cheatsheetseries.owasp.org/cheatsheets/
Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html); JSON needs none, as no page of another site can send it.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request

from fhir_server.auth import accounts, flow, sessions
from fhir_server.auth.accounts import Account
from fhir_server.auth.directory import Directory
from fhir_server.auth.file import AuthFile
from fhir_server.auth.flow import Complete, Flow
from fhir_server.auth.headers import foreign
from fhir_server.auth.issue import new_secret
from fhir_server.auth.oauth import OAuthError
from fhir_server.auth.origin import origin_of
from fhir_server.auth.sessions import Session
from fhir_server.auth.words import LANGUAGES
from fhir_server.settings import Settings

_FORM = "application/x-www-form-urlencoded"
_MOST_BYTES = 64 * 1024
_MOST_FIELDS = 200
_YEAR = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Event:
    """Something that belongs on record.

    ``kind`` (of ``audit.kinds``): login (second factor and all), refused-login, lockout, logout, account (password or
    second factor changed), launch (an app was let in, or not), revoke. ``detail`` is a code, never what was typed.
    """

    kind: str
    account: str
    subject: str
    name: str
    address: str
    client: str = ""
    detail: str = ""
    patient: str = ""  # whose record an app was let in to


@dataclass(frozen=True, slots=True)
class House:
    """What the pages stand on; ``clock`` gives seconds since 1970."""

    auth_file: AuthFile
    settings: Settings
    directory: Directory
    complete: Complete
    clock: Callable[[], float]
    observe: Callable[[Event], None] = lambda event: None


class Halt(Exception):
    """The request is not gone on with: the text ``code`` of ``words.TEXTS`` says why."""

    def __init__(self, code: str, status: int = 400) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


@dataclass(slots=True)
class Visit:
    """One request. ``fields``: what was posted, each name with all its values; ``cookies``: (name, value, seconds)."""

    request: Request
    now: float
    origin: str
    language: str
    fields: dict[str, list[str]] = field(default_factory=dict)
    posted_json: bool = False
    token: str = ""
    session: Session | None = None
    account: Account | None = None
    flow: Flow | None = None
    form_secret: str = ""
    cookies: list[tuple[str, str, int | None]] = field(default_factory=list)

    @property
    def https(self) -> bool:
        """Whether the browser speaks to us in secret."""
        return self.origin.startswith("https:")

    @property
    def address(self) -> str:
        """Where the request came from."""
        return self.request.client.host if self.request.client else ""

    @property
    def agent(self) -> str:
        """What the browser calls itself."""
        return self.request.headers.get("user-agent", "")

    @property
    def wants_json(self) -> bool:
        """Whether a program asks, who is told in JSON what the page says."""
        accept = self.request.headers.get("accept", "")
        return "application/json" in accept and "text/html" not in accept

    def get(self, name: str) -> str:
        """The posted field, '' where it is not there."""
        return (self.fields.get(name) or [""])[-1]

    def cookie_name(self, name: str) -> str:
        """The name of a cookie; the prefix ties it to this host where the browser can know it is ours."""
        return f"__Host-yidang-{name}" if self.https else f"yidang-{name}"

    def keep_session(self, token: str) -> None:
        """Give the browser the session ``token`` ('' takes it away)."""
        self.cookies.append((self.cookie_name("session"), token, None if token else 0))
        self.token = token

    def path(self, page: str, **query: str) -> str:
        """The address of a page in this flow."""
        known = {"flow": self.flow.id} if self.flow else {}
        pairs = {**known, **query}
        return f"/auth/{page}?{urlencode(pairs)}" if pairs else f"/auth/{page}"

    def event(self, kind: str, detail: str = "", account: Account | None = None, patient: str = "") -> Event:
        """An event of this visit."""
        who = account or self.account
        client = self.flow.asked.client if self.flow else ""
        if who is None:
            return Event(kind, "", "", "", self.address, client, detail, patient)
        subject = f"{'Practitioner' if who.kind == 'staff' else 'Patient'}/{who.subject}"
        return Event(kind, who.id, subject, who.name, self.address, client, detail, patient)

    def csrf(self, auth_file: AuthFile) -> str:
        """The token of this session's forms."""
        return auth_file.sealer.keyed_hash(self.token if self.session else self.form_secret, "form")


async def begin(house: House, request: Request) -> Visit:
    """The visit of a request, with its body read. Raises Halt for what is not to be looked at."""
    try:
        origin = origin_of(request, house.settings).issuer
    except OAuthError:
        raise Halt("bad_host") from None
    visit = Visit(request, house.clock(), origin, _language(request))
    if request.query_params.get("lang") in LANGUAGES:
        visit.cookies.append(("yidang-lang", visit.language, _YEAR))
    if request.method == "POST":
        if foreign(dict(request.headers), origin):
            raise Halt("foreign", 403)
        await _read_fields(visit)
    return visit


def _language(request: Request) -> str:
    asked = request.query_params.get("lang") or request.cookies.get("yidang-lang", "")
    return asked if asked in LANGUAGES else LANGUAGES[0]


async def _read_fields(visit: Visit) -> None:
    body = b""
    async for piece in visit.request.stream():
        body += piece
        if len(body) > _MOST_BYTES:
            raise Halt("bad_form", 413)
    kind = visit.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        visit.posted_json = True
        visit.fields = _json_fields(body)
    elif kind == _FORM:
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
        except ValueError:
            raise Halt("bad_form") from None
        for name, value in pairs:
            visit.fields.setdefault(name, []).append(value)
    else:
        raise Halt("bad_form", 415)


def _json_fields(body: bytes) -> dict[str, list[str]]:
    """The members of a JSON object: texts, or lists of texts. Raises Halt for anything else."""
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise Halt("bad_form") from None
    if not isinstance(given, dict):
        raise Halt("bad_form")
    fields: dict[str, list[str]] = {}
    for name, value in given.items():
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(one, str) for one in values):
            raise Halt("bad_form")
        fields[name] = values
    return fields


def look_up(house: House, visit: Visit) -> None:
    """Find session, account and flow, and refuse a form without its token. Raises Halt."""
    cookies = visit.request.cookies
    visit.token = cookies.get(visit.cookie_name("session"), "")
    if visit.token:
        visit.session = sessions.find(house.auth_file, visit.token, visit.now)
    if visit.session is not None:
        visit.account = accounts.get(house.auth_file, visit.session.account)
    visit.form_secret = cookies.get(visit.cookie_name("form"), "")
    if visit.session is None and not visit.form_secret and visit.request.method == "GET":
        visit.form_secret = new_secret()
        visit.cookies.append((visit.cookie_name("form"), visit.form_secret, None))
    if visit.request.method == "POST" and not visit.posted_json:
        known = bool(visit.session or visit.form_secret)
        if not known or not hmac.compare_digest(visit.get("csrf").encode(), visit.csrf(house.auth_file).encode()):
            raise Halt("csrf", 403)
    id = visit.get("flow") or visit.request.query_params.get("flow", "")
    if id:
        visit.flow = flow.find(house.auth_file, id, visit.now)
        if visit.flow is None:
            raise Halt("flow_gone")
