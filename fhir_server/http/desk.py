"""Desk: JSON endpoints outside the FHIR base that act in the record for a token's holder, admitted and audited alike.

Health code, break-glass and the like. Refusals are OperationOutcomes, as under the FHIR base.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request as WebRequest
from starlette.responses import Response as WebResponse

from fhir_server.audit.current import Auditor
from fhir_server.audit.event import who
from fhir_server.context import Context
from fhir_server.errors import BadRequest, Forbidden, TooLarge, Unauthorized
from fhir_server.http.admission import Admission
from fhir_server.http.errors import error_response
from fhir_server.http.exchange import Request
from profiles.lossless import encode, parse

_BODY_MAX = 64 * 1024
_PRIVATE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


@dataclass(frozen=True, slots=True)
class Asked:
    """One admitted request: its JSON object ({} without a body), its query, and the context of its requester."""

    body: Mapping[str, Any]
    query: Mapping[str, str]
    context: Context

    def text(self, name: str, most: int = 4000) -> str:
        """The text under ``name`` of the body. Raises BadRequest where it is missing, empty or too long."""
        value = self.body.get(name)
        if not isinstance(value, str) or not value.strip():
            raise BadRequest(f"'{name}' is missing", name, code="required")
        if len(value) > most:
            raise BadRequest(f"'{name}' is longer than {most} characters", name, code="too-long")
        if any(ord(sign) < 32 and sign not in "\n\r\t" for sign in value):
            raise BadRequest(f"'{name}' has control characters", name, code="value")
        return value.strip()


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer: a JSON object, or bytes of ``content_type``."""

    body: Mapping[str, Any] | bytes
    status: int = 200
    content_type: str = "application/json"


Work = Callable[[Asked], Awaitable[Answered]]


class Desk:
    """Serves endpoints on the context of one server process."""

    def __init__(self, context: Context, admission: Admission, auditor: Auditor) -> None:
        self._context = context
        self._admission = admission
        self._auditor = auditor
        prefix = os.urandom(6).hex()
        self._correlations = (f"{prefix}-d{number}" for number in itertools.count(1))

    def endpoint(self, work: Work) -> Callable[[WebRequest], Awaitable[WebResponse]]:
        """The endpoint that does ``work`` for whoever is admitted, and has it on record before it answers."""

        async def served(web: WebRequest) -> WebResponse:
            path = tuple(part for part in web.url.path.split("/") if part)
            headers = {name: value for name, value in web.headers.items() if name == "authorization"}
            request = Request(web.method, path, [], headers, b"", "", next(self._correlations))
            exchange = self._auditor.begin(request, None, web.client.host if web.client else "")
            headers_out = dict(_PRIVATE)
            try:
                context = self._admission.admit(request, self._context)
                exchange.who, exchange.access = who(context.requester), context.access
                answered = await work(Asked(await _object(web), dict(web.query_params), context))
                raw = answered.body if isinstance(answered.body, bytes) else encode(dict(answered.body))
                status, kind = answered.status, answered.content_type
            except Exception as error:
                status, kind, raw = self._refused(error, request)
                if isinstance(error, Unauthorized):
                    headers_out["WWW-Authenticate"] = 'Bearer realm="yidang"'
            try:
                await self._auditor.finish(exchange, status)
            except Exception as error:  # what cannot be put on record is not given out
                status, kind, raw = self._refused(error, request)
            return WebResponse(raw, status, headers_out, kind)

        return served

    @staticmethod
    def _refused(error: Exception, request: Request) -> tuple[int, str, bytes]:
        where = f"{request.method} /{'/'.join(request.segments[:1])}"
        refused = error_response(error, request.correlation, where)
        return refused.status, "application/fhir+json; charset=utf-8", encode(refused.resource)


async def _object(web: WebRequest) -> dict[str, Any]:
    """The JSON object that was sent."""
    raw = b""
    async for piece in web.stream():
        raw += piece
        if len(raw) > _BODY_MAX:
            raise TooLarge(f"The body is over the limit of {_BODY_MAX} bytes")
    if not raw:
        return {}
    found = parse(raw)
    if not isinstance(found, dict):
        raise BadRequest("The body must be a JSON object")
    return found


def staff(context: Context) -> str:
    """The id of the Practitioner who asks. Raises Forbidden for anybody else."""
    requester = context.requester
    if requester is None or requester.kind != "staff" or not requester.subject.startswith("Practitioner/"):
        raise Forbidden("Only a person of the staff may do this, signed in by name")
    return requester.subject.removeprefix("Practitioner/")
