"""From a Response to the bytes and headers that go out: format, indentation, compression, common headers.

https://hl7.org/fhir/R4/http.html#mime-type
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec

from fhir_server.auth.headers import DATA
from fhir_server.http.exchange import Request, Response
from fhir_server.http.negotiate import JSON, Format
from fhir_server.settings import Settings
from profiles.lossless import encode, parse
from profiles.xml_format import to_xml

Header = tuple[bytes, bytes]
EXPOSED = b"Content-Location, ETag, Last-Modified, Location, X-Request-Id, X-Validation-Issues"
_GZIP_LEVEL = 4
VARY = b"Accept, Accept-Encoding, Prefer"
# On every FHIR answer: no cache keeps it, and no browser runs, frames or guesses at anything in it.
SECURITY: tuple[Header, ...] = (
    (b"cache-control", b"no-store"),
    *((name.lower().encode(), value.encode()) for name, value in DATA),
)


@dataclass(slots=True)
class Rendered:
    """What goes over the wire."""

    status: int
    headers: list[Header]
    body: bytes


def text_of(response: Response, format: Format, pretty: bool) -> bytes:
    """The FHIR body of ``response`` in ``format``; empty when it has none."""
    resource, body = response.resource, response.body
    if resource is None and not body:
        return b""
    if format.xml:
        return to_xml(parse(body) if resource is None else resource, pretty)
    if resource is not None:
        body = encode(resource)
    return msgspec.json.format(body, indent=2) if pretty else body


def render(
    response: Response, request: Request, settings: Settings, format: Format = JSON, pretty: bool = False
) -> Rendered:
    """``response`` as bytes and headers for ``request``."""
    if response.content_type is not None:
        body, content_type = response.body, response.content_type.encode("latin-1", "replace")
    elif format is JSON and not pretty and response.resource is None:
        body, content_type = response.body, b"application/fhir+json; charset=utf-8"
    else:
        body, content_type = text_of(response, format, pretty), format.content_type.encode()
    headers: list[Header] = [
        (name.lower().encode(), value.encode("latin-1", "replace")) for name, value in response.headers
    ]
    headers.append((b"vary", VARY))
    own = {name for name, _ in headers}
    headers += [header for header in SECURITY if header[0] not in own]
    headers.append((b"x-request-id", request.correlation.encode()))
    if body or response.content_type is not None:
        headers.append((b"content-type", content_type))
        if len(body) >= settings.compress_from and response.content_type is None and accepts_gzip(request):
            body = gzip.compress(body, _GZIP_LEVEL, mtime=0)
            headers.append((b"content-encoding", b"gzip"))
    if body or response.status not in (204, 304):
        headers.append((b"content-length", b"%d" % len(body)))
    if settings.cors_origin and "origin" in request.headers and _may_ask(request.headers["origin"], settings):
        headers.append((b"access-control-allow-origin", settings.cors_origin.encode()))
        headers.append((b"access-control-expose-headers", EXPOSED))
    return Rendered(response.status, headers, body)


def _may_ask(origin: str, settings: Settings) -> bool:
    """Whether pages of ``origin`` may read answers.

    Where tokens are demanded, pages of anywhere may: a browser adds none by itself, so who has none learns nothing.
    In the development mode any page somebody opens could read everything: only those of this machine may.
    """
    if not settings.open or settings.cors_origin != "*":
        return True
    return (urlsplit(origin).hostname or "") in ("localhost", "127.0.0.1", "::1")


def accepts_gzip(request: Request) -> bool:
    """Whether the client takes gzip (a ``q=0`` says that it does not)."""
    header = request.headers.get("accept-encoding")
    if not header:
        return False
    for part in header.split(","):
        name, _, parameters = part.partition(";")
        if name.strip().lower() in ("gzip", "x-gzip", "*"):
            return parameters.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
