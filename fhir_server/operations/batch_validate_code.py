"""Operation ValueSet/$batch-validate-code: many codes in one request.

https://build.fhir.org/ig/HL7/fhir-tx-ecosystem-ig/
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhir_server.http.exchange import Request, Response
from fhir_server.operations.terminology import answered
from terminology import service

if TYPE_CHECKING:
    from fhir_server.context import Context


async def batch_validate_code(request: Request, context: Context) -> Response:
    """Each ``validation`` of the body is answered by the Parameters (or the refusal) of a ``$validate-code``."""
    return await answered(request, context, service.batch_validate_code)
