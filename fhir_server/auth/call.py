"""Call: one request to an endpoint, its body read and its parameters understood."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request

from fhir_server.auth import authorize
from fhir_server.auth.oauth import OAuthError, invalid_request
from fhir_server.auth.origin import Origin, origin_of
from fhir_server.settings import Settings

_FORM = "application/x-www-form-urlencoded"
_MOST_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Call:
    """A request with its body read."""

    request: Request
    body: bytes
    origin: Origin
    address: str
    now: float

    def pairs(self) -> list[tuple[str, str]]:
        """The form's fields. Raises OAuthError where the body is no form."""
        if self.request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
            raise invalid_request(f"The body must be {_FORM}")
        return _pairs(self.body)

    def query(self) -> list[tuple[str, str]]:
        """The parameters of the address."""
        return _pairs(self.request.scope["query_string"])

    def form(self) -> dict[str, str]:
        """The form's fields, each once."""
        return authorize.single(self.pairs())

    def json(self) -> dict[str, Any]:
        """The JSON object of the body. Raises OAuthError where it is none."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise invalid_request("The body must be a JSON object")
        return found


def _pairs(text: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text.decode(), keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError:
        raise invalid_request("The parameters are not understood (UTF-8, at most 100)") from None


async def read_call(request: Request, settings: Settings, now: float) -> Call:
    """``request`` with its body. Raises OAuthError where it is too long, or for another server."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _MOST_BYTES:
            raise OAuthError("invalid_request", "The body is too long", 413)
    address = request.client.host if request.client else ""
    return Call(request, body, origin_of(request, settings), address, now)
