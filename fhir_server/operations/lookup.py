"""Operation CodeSystem/$lookup: what a code means.

https://hl7.org/fhir/R4/codesystem-operation-lookup.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhir_server.http.exchange import Request, Response
from fhir_server.operations.terminology import answered
from terminology import service

if TYPE_CHECKING:
    from fhir_server.context import Context


async def lookup(request: Request, context: Context) -> Response:
    """``CodeSystem/$lookup`` and ``CodeSystem/[id]/$lookup``: display, designations and properties of a code."""
    return await answered(request, context, service.lookup)
