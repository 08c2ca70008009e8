"""How the pages answer: HTML from the templates, or the same in JSON for programs that ask for it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from fhir_server.auth.headers import page_headers
from fhir_server.auth.visit import House, Visit
from fhir_server.auth.words import LANGUAGES, text


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong: a code of the texts, with the values in it."""

    code: str
    values: Mapping[str, object] = field(default_factory=dict)


_templates = Environment(
    loader=PackageLoader("fhir_server.auth"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
STYLE = files("fhir_server.auth").joinpath("static/style.css").read_bytes()
_STYLE_PATH = f"/auth/style.css?v={hashlib.sha256(STYLE).hexdigest()[:12]}"
_FOR_PAGES_ONLY = frozenset({"qr"})


def page(
    house: House, visit: Visit, name: str, status: int = 200, problem: Problem | None = None, **data: Any
) -> Response:
    """The page ``name`` with ``data`` (texts, lists and dicts of them, as they are told to programs, too)."""
    csrf = visit.csrf(house.auth_file)
    error = text(visit.language, problem.code, **problem.values) if problem else ""
    if visit.wants_json:
        told = {key: value for key, value in data.items() if key not in _FOR_PAGES_ONLY}
        answer = {"step": name, "flow": visit.flow.id if visit.flow else "", "csrf": csrf, **told}
        if problem:
            answer |= {"error": problem.code, "error_description": error}
        response: Response = JSONResponse(answer, status)
    else:
        index = LANGUAGES.index(visit.language)
        html = _templates.get_template(f"{name}.html").render(
            data,
            t=lambda key, /, **values: text(visit.language, key, **values),
            pick=lambda pair: pair[index],
            when=lambda seconds: _when(seconds, house.settings.zone),
            visit=visit,
            flow=visit.flow,
            account=visit.account if visit.session and visit.session.full else None,
            csrf=csrf,
            error=error,
            style=_STYLE_PATH,
            other=_other_language(visit),
        )
        response = HTMLResponse(html, status)
    if problem and "minutes" in problem.values:
        response.headers["Retry-After"] = str(60 * int(str(problem.values["minutes"])))
    return finished(visit, response)


def go(visit: Visit, address: str) -> Response:
    """Send the browser on."""
    return finished(visit, RedirectResponse(address, 303))


def finished(visit: Visit, response: Response) -> Response:
    """``response`` with the security headers and the cookies of the visit."""
    targets = (visit.flow.asked.redirect_uri,) if visit.flow else ()
    for name, value in page_headers(visit.https, targets):
        response.headers[name] = value
    for name, value, seconds in visit.cookies:
        response.set_cookie(name, value, max_age=seconds, path="/", secure=visit.https, httponly=True, samesite="lax")
    return response


def _when(seconds: float, zone: str) -> str:
    return datetime.fromtimestamp(seconds, UTC).astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")


def _other_language(visit: Visit) -> str:
    """The address of this page in the other language."""
    other = LANGUAGES[1 - LANGUAGES.index(visit.language)]
    return visit.path(visit.request.url.path.removeprefix("/auth/"), lang=other)
