"""Operation ConceptMap/$translate: a code in other terms, by the concept maps that are known.

https://hl7.org/fhir/R4/conceptmap-operation-translate.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhir_server.http.exchange import Request, Response
from fhir_server.operations.terminology import answered
from terminology import service

if TYPE_CHECKING:
    from fhir_server.context import Context


async def translate(request: Request, context: Context) -> Response:
    """``ConceptMap/$translate`` and ``ConceptMap/[id]/$translate``; ``reverse`` from the target to the source."""
    return await answered(request, context, service.translate, quick=False)
