"""Operation ValueSet/$validate-code: is this code in the value set?

https://hl7.org/fhir/R4/valueset-operation-validate-code.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhir_server.http.exchange import Request, Response
from fhir_server.operations.terminology import answered
from terminology import service

if TYPE_CHECKING:
    from fhir_server.context import Context


async def validate_value_set(request: Request, context: Context) -> Response:
    """``ValueSet/$validate-code`` and ``ValueSet/[id]/$validate-code``: the result, with all that is wrong."""
    return await answered(request, context, service.validate_code_in_valueset)
