"""Operation ValueSet/$expand: the codes of a value set, by pages, filtered, in a language.

https://hl7.org/fhir/R4/valueset-operation-expand.html
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from fhir_server.http.exchange import Request, Response
from fhir_server.interactions.listing import instant
from fhir_server.operations.terminology import answered
from terminology import service
from terminology.arguments import Arguments
from terminology.registry import Terminology

if TYPE_CHECKING:
    from fhir_server.context import Context


async def expand(request: Request, context: Context) -> Response:
    """``ValueSet/$expand`` and ``ValueSet/[id]/$expand``; in a thread, as a large one may take some milliseconds."""
    identifier = f"urn:uuid:{uuid.uuid4()}"
    timestamp = instant(context.clock(), context.settings.zone)

    def run(terminology: Terminology, arguments: Arguments, instance: dict[str, Any] | None) -> dict[str, Any]:
        return service.expand(terminology, arguments, identifier, timestamp, instance, context.settings.expansion_max)

    return await answered(request, context, run, quick=False)
