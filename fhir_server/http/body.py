"""The body of a request: received up to its limit, decompressed, parsed.

https://hl7.org/fhir/R4/http.html#mime-type
"""

from __future__ import annotations

import zlib
from typing import Any

from fhir_server.errors import BadRequest, TooLarge, UnsupportedMediaType
from fhir_server.http.exchange import Request
from fhir_server.http.negotiate import body_is_xml
from profiles.lossless import ParseError, parse
from profiles.xml_format import from_xml

_GZIP_WINDOW = 16 + zlib.MAX_WBITS


def decompressed(body: bytes, encoding: str, limit: int) -> bytes:
    """``body`` without its Content-Encoding; never makes more than ``limit`` bytes of it.

    Raises TooLarge beyond the limit, BadRequest for broken gzip, UnsupportedMediaType for another encoding.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    if name not in ("gzip", "x-gzip"):
        raise UnsupportedMediaType(f"Content-Encoding '{encoding}' is not understood; gzip is", "http.Content-Encoding")
    pieces: list[bytes] = []
    size = 0
    try:
        while body:  # a gzip body may have several members
            inflater = zlib.decompressobj(_GZIP_WINDOW)
            pieces.append(inflater.decompress(body, limit - size + 1))
            size += len(pieces[-1])
            if size > limit:
                raise TooLarge(f"The body is over {limit} bytes when decompressed", "http.Content-Encoding")
            if not inflater.eof:
                raise BadRequest("The gzip body is cut short", "http.Content-Encoding")
            body = inflater.unused_data
    except zlib.error as error:
        raise BadRequest(f"The body is not gzip: {error}", "http.Content-Encoding") from None
    return b"".join(pieces)


def parsed_body(request: Request) -> dict[str, Any]:
    """The resource in the body (or that of the Bundle entry).

    Raises BadRequest where there is none or it cannot be parsed, UnsupportedMediaType for other formats.
    """
    if request.resource is not None:
        return request.resource
    if not request.body.strip():
        raise BadRequest("The body is empty; a resource is needed", code="required")
    try:
        resource = from_xml(request.body) if body_is_xml(request) else parse(request.body)
    except ParseError as error:
        raise BadRequest(f"The body cannot be parsed: {error}", code="structure") from None
    if not isinstance(resource, dict):
        raise BadRequest("The body must be a resource: a JSON object with resourceType", code="structure")
    if not isinstance(resource.get("resourceType"), str):
        raise BadRequest("The resource has no resourceType", "resourceType", code="structure")
    return resource
