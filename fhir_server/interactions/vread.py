"""FHIR vread interaction: one version of a resource.

https://hl7.org/fhir/R4/http.html#vread
"""

from __future__ import annotations

from fhir_server.context import Context
from fhir_server.errors import NotFound
from fhir_server.http.exchange import Request, Response
from fhir_server.interactions.read import shown
from fhir_server.store.protocol import Stored

_DIGITS = 18  # more than a version number can have


async def vread(request: Request, context: Context) -> Response:
    """``GET [base]/[type]/[id]/_history/[vid]``: 200, 304, 404 when unknown, 410 when it is a deletion."""
    return shown(version_of(request, context), request, context)


def version_of(request: Request, context: Context) -> Stored:
    """The version that the path of ``request`` names (a deletion too). Raises NotFound where there is none."""
    version = request.version
    known = version.isascii() and version.isdigit() and len(version) <= _DIGITS and not version.startswith("0")
    stored = context.store.vread(request.type, request.id, int(version), context.access) if known else None
    if stored is None:
        raise NotFound(f"There is no version '{version}' of {request.type}/{request.id}")
    return stored
