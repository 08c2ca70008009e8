"""FHIR read interaction: the current version of a resource.

https://hl7.org/fhir/R4/http.html#read
"""

from __future__ import annotations

from fhir_server.context import Context
from fhir_server.errors import Gone, NotFound
from fhir_server.http.conditional import etag, http_date, not_modified
from fhir_server.http.exchange import Request, Response
from fhir_server.http.summary import wanted_part
from fhir_server.interactions import binary
from fhir_server.store.protocol import Stored


async def read(request: Request, context: Context) -> Response:
    """``GET [base]/[type]/[id]``: 200, 304, 404 when unknown, 410 when deleted."""
    stored = context.store.read(request.type, request.id, context.access)
    if stored is None:
        raise NotFound(f"There is no {request.type}/{request.id}")
    return shown(stored, request, context)


def shown(stored: Stored, request: Request, context: Context) -> Response:
    """The answer that shows one version: conditional headers, ``_summary``, ``_elements``, raw Binary.

    Raises Gone for a deletion.
    """
    if stored.body is None:
        if stored.destroyed:
            raise Gone("这份档案已按最后删除的要求销毁 / This was destroyed with the person's file, for good")
        raise Gone(f"{stored.type}/{stored.id} is deleted since version {stored.version}")
    headers = [("ETag", etag(stored.version)), ("Last-Modified", http_date(stored.updated))]
    if not_modified(request, stored):
        return Response(304, headers=headers, stored=stored)
    if stored.type == "Binary" and (raw := binary.content(stored, request)) is not None:
        return Response(200, raw.data, headers=headers + raw.headers, content_type=raw.content_type, stored=stored)
    body = stored.body
    if request.query and (part := wanted_part(request.query, context.definitions)) is not None:
        body = part(body)
    return Response(200, body, headers=headers, stored=stored)
