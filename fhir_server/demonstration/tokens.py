"""Access tokens of the demonstration's clients and people, got as an outside program gets them: over HTTP.

Systems sign an assertion (private_key_jwt); people sign in on the pages, which speak JSON too, and approve the app.
https://hl7.org/fhir/smart-app-launch/
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPMessage, HTTPSConnection
from typing import Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey

from fhir_server.auth import totp
from fhir_server.demonstration.entrance import RESIDENT_APP, STAFF_APP

Entry = dict[str, Any]
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_MOST_STEPS = 12
_STAFF_SCOPE = "openid fhirUser user/*.cruds"
_RESIDENT_SCOPE = "openid fhirUser launch/patient patient/*.rs patient/Consent.cruds"


class Refused(Exception):
    """The server gave no token; the text says why."""


class _Browser:
    """Requests to one server, with its cookies."""

    def __init__(self, base: str) -> None:
        self.base = base
        self._cookies: dict[str, str] = {}

    def ask(self, method: str, address: str, body: bytes = b"", kind: str = "") -> tuple[int, HTTPMessage, bytes]:
        """Status, headers and body of the answer. Raises Refused where nobody answers."""
        parts = urlsplit(urljoin(self.base, address))
        maker = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = maker(parts.netloc, timeout=60)
        headers = {"Accept": "application/json", "Cookie": "; ".join(f"{k}={v}" for k, v in self._cookies.items())}
        if kind:
            headers["Content-Type"] = kind
        try:
            path = f"{parts.path}?{parts.query}" if parts.query else parts.path
            connection.request(method, path, body or None, {k: v for k, v in headers.items() if v})
            response = connection.getresponse()
            text = response.read()
        except OSError as error:
            raise Refused(f"{parts.netloc} does not answer ({error}); is the demonstration being served?") from None
        finally:
            connection.close()
        for cookie in response.headers.get_all("Set-Cookie") or ():
            name, _, value = cookie.partition(";")[0].partition("=")
            self._cookies[name.strip()] = value.strip()
        return response.status, response.headers, text

    def json(self, method: str, address: str, body: bytes = b"", kind: str = "") -> Entry:
        """The JSON object of a good answer. Raises Refused."""
        status, _, text = self.ask(method, address, body, kind)
        try:
            found = json.loads(text)
        except ValueError:
            found = {}
        if status >= 400 or not isinstance(found, dict):
            raise Refused(f"{address}: {status} {_reason(found)}".strip())
        return found


def _reason(found: Any) -> str:
    return str(found.get("error_description") or found.get("error") or "") if isinstance(found, dict) else ""


def _configuration(browser: _Browser) -> Entry:
    return browser.json("GET", f"{browser.base}/.well-known/smart-configuration")


def of_system(base: str, client: Entry, scope: str = "") -> str:
    """The access token of an institution's system. Raises Refused."""
    browser = _Browser(base)
    endpoint = _configuration(browser)["token_endpoint"]
    now = int(time.time())
    claims = {
        "iss": client["client_id"],
        "sub": client["client_id"],
        "aud": endpoint,
        "iat": now,
        "exp": now + 240,
        "jti": secrets.token_hex(16),
    }
    header = {"alg": "ES256", "typ": "JWT", "kid": client["jwk"]["kid"]}
    form = {
        "grant_type": "client_credentials",
        "scope": scope or client["scope"],
        "client_assertion_type": _ASSERTION,
        "client_assertion": jwt.encode(header, claims, ECKey.import_key(client["jwk"])),
    }
    return str(_post(browser, endpoint, form)["access_token"])


def _post(browser: _Browser, address: str, form: dict[str, str]) -> Entry:
    return browser.json("POST", address, urlencode(form).encode(), "application/x-www-form-urlencoded")


def of_person(base: str, client: Entry, person: Entry, wish: dict[str, str], scope: str = "") -> str:
    """The access token of somebody who signs in to an app and approves what it asks for. Raises Refused.

    ``person``: an entry of staff or residents. ``wish``: what to choose: institution, department, role, purpose,
    patient.
    """
    if not person.get("login"):
        raise Refused("this person has no account; a guardian acts for children, for instance")
    browser = _Browser(base)
    known = _configuration(browser)
    staff = client["client_id"] == STAFF_APP
    redirect, verifier, state = client["redirect_uris"][0], secrets.token_urlsafe(48), secrets.token_urlsafe(16)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    asked = {
        "response_type": "code",
        "client_id": client["client_id"],
        "redirect_uri": redirect,
        "scope": scope or (_STAFF_SCOPE if staff else _RESIDENT_SCOPE),
        "state": state,
        "aud": base,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    code = _approved(browser, f"{known['authorization_endpoint']}?{urlencode(asked)}", redirect, state, person, wish)
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect}
    form |= {"client_id": client["client_id"], "code_verifier": verifier}
    return str(_post(browser, known["token_endpoint"], form)["access_token"])


def _approved(browser: _Browser, address: str, redirect: str, state: str, person: Entry, wish: dict[str, str]) -> str:
    """Go from page to page until the app is given a code."""
    for _ in range(_MOST_STEPS):
        status, headers, text = browser.ask("GET", address)
        if status in (302, 303, 307):
            address = urljoin(urljoin(browser.base, address), str(headers["Location"]))
        elif status == 200:
            address = _answered(browser, address, json.loads(text), person, wish)
        else:
            raise Refused(f"{urlsplit(address).path}: {status} {_reason(_parsed(text))}")
        if address.startswith(f"{redirect}?"):
            answer = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
            if answer.get("state") != state or "code" not in answer:
                raise Refused(_reason(answer) or "the app was given no code")
            return answer["code"]
    raise Refused("sign-in did not come to an end")


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _answered(browser: _Browser, address: str, page: Entry, person: Entry, wish: dict[str, str]) -> str:
    """Fill in the page at ``address``; where the browser is sent next."""
    step = page.get("step", "")
    given = dict(wish)
    if step == "choose_role" and "institution" not in given and person.get("institution"):
        given["institution"] = person["institution"]
    answers: dict[str, Callable[[], list[dict[str, str]]]] = {
        "sign_in": lambda: [{"login": str(person["login"]), "password": str(person["password"])}],
        "totp": lambda: _codes(person),
        "choose_role": lambda: [given],
        "choose_patient": lambda: [given],
        "choose_person": lambda: [{"patient": wish.get("patient") or str(person.get("patient", ""))}],
        "approve": lambda: [{"approve": "yes"}],
    }
    if step not in answers:
        raise Refused(f"sign-in stops at '{step}': {_reason(page)}")
    reason = ""
    for answer in answers[step]():
        fields = {**answer, "flow": page.get("flow", ""), "csrf": page.get("csrf", "")}
        status, headers, text = browser.ask("POST", address, json.dumps(fields).encode(), "application/json")
        if status in (302, 303):
            return urljoin(urljoin(browser.base, address), str(headers["Location"]))
        reason = f"{status} {_reason(_parsed(text))}"
    raise Refused(f"{step}: {reason}")


def _codes(person: Entry) -> list[dict[str, str]]:
    """One-time codes to try: a code is good once, so that soon after another sign-in the next one is needed."""
    secret, now = person.get("totp_secret"), time.time()
    if not secret:
        raise Refused("a one-time code is asked for, and there is no secret in the file")
    return [{"code": totp.code_now(secret, now)}, {"code": totp.code_now(secret, now + totp.STEP_SECONDS)}]


def entry_of(demo: Entry, kind: str, name: str) -> Entry:
    """The entry of a client (by id), a member of staff or a resident (by login or id). Raises Refused."""
    keys = {"clients": ("client_id",), "staff": ("login", "practitioner"), "residents": ("login", "patient")}[kind]
    for entry in demo[kind]:
        if name in (entry[key] for key in keys):
            found: Entry = entry
            return found
    raise Refused(f"there is no '{name}' among the {kind} of the file")


def app_of(demo: Entry, kind: str) -> Entry:
    """The app that staff, or residents, sign in to."""
    return entry_of(demo, "clients", STAFF_APP if kind == "staff" else RESIDENT_APP)
