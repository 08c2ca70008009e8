"""Operation CodeSystem/$subsumes: how two codes relate in the hierarchy.

https://hl7.org/fhir/R4/codesystem-operation-subsumes.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhir_server.http.exchange import Request, Response
from fhir_server.operations.terminology import answered
from terminology import service

if TYPE_CHECKING:
    from fhir_server.context import Context


async def subsumes(request: Request, context: Context) -> Response:
    """``CodeSystem/$subsumes`` and ``CodeSystem/[id]/$subsumes``: equivalent, subsumes, subsumed-by, not-subsumed."""
    return await answered(request, context, service.subsumes)
