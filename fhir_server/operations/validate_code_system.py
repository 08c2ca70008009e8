"""Operation CodeSystem/$validate-code: is this a code of the system?

https://hl7.org/fhir/R4/codesystem-operation-validate-code.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhir_server.http.exchange import Request, Response
from fhir_server.operations.terminology import answered
from terminology import service

if TYPE_CHECKING:
    from fhir_server.context import Context


async def validate_code_system(request: Request, context: Context) -> Response:
    """``CodeSystem/$validate-code`` and ``CodeSystem/[id]/$validate-code``: the result, with all that is wrong."""
    return await answered(request, context, service.validate_code_in_system)
