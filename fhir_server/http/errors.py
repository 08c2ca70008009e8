"""The one place where refusals and faults become answers: an OperationOutcome, never a stack trace.

https://hl7.org/fhir/R4/http.html#Status-Codes, https://hl7.org/fhir/R4/operationoutcome.html
"""

from __future__ import annotations

import logging
import traceback

from fhir_server.errors import FhirError
from fhir_server.http.exchange import Response
from profiles.issues import Issue, operation_outcome
from profiles.lossless import ParseError

log = logging.getLogger("yidang")


def refusal(error: Exception) -> FhirError | None:
    """``error`` as a refusal that the requester can understand, or None for a fault of ours."""
    if isinstance(error, FhirError):
        return error
    if isinstance(error, ParseError):
        return FhirError(str(error), code="structure")
    return None


def error_response(error: Exception, correlation: str, where: str) -> Response:
    """The answer to a request that raised ``error``.

    ``where`` is the request's method and path shape, for the log: neither ids nor query values,
    nor the error's own text, which might quote a record.
    """
    refused = refusal(error)
    if refused is not None:
        return Response(refused.status, resource=operation_outcome(refused.issues))
    frames = "".join(traceback.format_tb(error.__traceback__))
    log.error("fault %s at %s: %s\n%s", correlation, where, type(error).__name__, frames)
    text = f"The server failed; the operator finds the cause in its log under {correlation}"
    return Response(500, resource=operation_outcome([Issue("exception", text, severity="fatal")]))
