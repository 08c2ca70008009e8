"""Binary: bytes of any content type, kept as a resource and given back as they came.

https://hl7.org/fhir/R4/binary.html#rest
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Any

from fhir_server.errors import BadRequest, NotAcceptable
from fhir_server.http.body import parsed_body
from fhir_server.http.exchange import Request
from fhir_server.http.negotiate import FHIR_JSON, FHIR_XML, JSON_TYPES, XML_TYPES, media_type, ranges
from fhir_server.store.protocol import Stored
from profiles.lossless import ParseError, parse

_FHIR = frozenset({FHIR_JSON, FHIR_XML, "application/json+fhir", "application/xml+fhir"})
_CONTENT_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+[\x20-\x7e]*", re.ASCII)
_CONTEXT = re.compile(r"(?:.*/)?[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?")


@dataclass(slots=True)
class Content:
    """The bytes of a Binary with their type and the headers that go with them."""

    data: bytes
    content_type: str
    headers: list[tuple[str, str]] = field(default_factory=list)


def resource_of(request: Request) -> dict[str, Any]:
    """The resource in the body of a create or update; for Binary any content type is taken as its bytes."""
    if request.type != "Binary" or request.resource is not None:
        return parsed_body(request)
    header = request.headers.get("content-type", "")
    name = media_type(header)[0]
    if not header or name in _FHIR or (name in (*JSON_TYPES, *XML_TYPES) and _holds_binary(request.body)):
        return parsed_body(request)
    if not _CONTENT_TYPE.fullmatch(header):
        raise BadRequest(f"'{header}' is not a content type", "http.Content-Type")
    resource: dict[str, Any] = {"resourceType": "Binary"}
    if request.id:
        resource["id"] = request.id
    resource["contentType"] = header
    context = request.headers.get("x-security-context")
    if context is not None:
        if not _CONTEXT.fullmatch(context):
            raise BadRequest(f"'{context}' is not a reference to a resource", "http.X-Security-Context")
        resource["securityContext"] = {"reference": context}
    if request.body:
        resource["data"] = base64.b64encode(request.body).decode()
    return resource


def _holds_binary(body: bytes) -> bool:
    """Whether a body of a general type (application/json, text/xml) is a FHIR Binary, not somebody's own document."""
    start = body[:512]
    return (b"Binary" in start and b"resourceType" in start) or b"<Binary" in start


def content(stored: Stored, request: Request) -> Content | None:
    """What a read gives: the bytes in their own type, or None where the resource is to be shown as FHIR.

    The FHIR form goes to those who ask for it by ``_format`` or by a FHIR type in Accept, or who accept JSON
    or XML and not the Binary's own type. Raises NotAcceptable where neither will do.
    """
    if any(name in ("_format", "_summary", "_elements") for name, _ in request.query):
        return None
    accept = request.headers.get("accept", "*/*")
    wanted = ranges(accept)
    if any(r.media_type in _FHIR for r in wanted):
        return None
    try:
        resource = parse(stored.body or b"{}")
    except ParseError:
        return None
    content_type = resource.get("contentType", "application/octet-stream")
    name = media_type(content_type)[0]
    if not any(r.covers(name) and r.quality for r in wanted):
        if any(r.media_type in (*JSON_TYPES, *XML_TYPES) for r in wanted):
            return None
        raise NotAcceptable(f"The Binary is of type '{name}', which '{accept}' does not take", "http.Accept")
    try:
        data = base64.b64decode(resource.get("data", ""))
    except binascii.Error:
        return None
    headers = [("X-Content-Type-Options", "nosniff"), ("Content-Security-Policy", "sandbox")]
    context = resource.get("securityContext", {}).get("reference")
    if isinstance(context, str) and context.isascii() and context.isprintable():
        headers.append(("X-Security-Context", context))
    return Content(data, content_type if _CONTENT_TYPE.fullmatch(content_type) else "application/octet-stream", headers)
