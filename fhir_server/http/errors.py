"""The one place where refusals and faults become answers: an OperationOutcome, never a stack trace.

https://hl7.org/fhir/R4/http.html#Status-Codes, https://hl7.org/fhir/R4/operationoutcome.html
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Sequence
from dataclasses import replace

from fhir_server.errors import FhirError
from fhir_server.http.exchange import Response
from fhir_server.search.national import masked
from profiles.issues import Issue, operation_outcome
from profiles.lossless import ParseError

log = logging.getLogger("yidang")
_ISSUES_MAX, _TEXT_MAX = 100, 1000


def refusal(error: Exception) -> FhirError | None:
    """``error`` as a refusal that the requester can understand, or None for a fault of ours."""
    if isinstance(error, FhirError):
        return error
    if isinstance(error, ParseError):
        return FhirError(str(error), code="structure")
    if isinstance(error, RecursionError):  # only what is sent has any depth: chains, filters, resources
        return FhirError("The request is nested too deeply", code="too-costly")
    return None


def _shortened(issues: Sequence[Issue]) -> list[Issue]:
    """The issues in a measure that a person reads: what is quoted from the request may be of any length."""
    shown = [
        replace(
            issue,
            diagnostics=_cut(masked(issue.diagnostics)),
            expression=tuple(_cut(masked(text)) for text in issue.expression),
        )
        for issue in issues[:_ISSUES_MAX]
    ]
    if len(issues) > _ISSUES_MAX:
        shown.append(Issue("incomplete", f"{len(issues) - _ISSUES_MAX} more issues are not shown", (), "information"))
    return shown


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT_MAX else f"{text[:_TEXT_MAX]}…"


def error_response(error: Exception, correlation: str, where: str) -> Response:
    """The answer to a request that raised ``error``.

    ``where`` is the request's method and path shape, for the log: neither ids nor query values,
    nor the error's own text, which might quote a record.
    """
    refused = refusal(error)
    if refused is not None:
        return Response(refused.status, resource=operation_outcome(_shortened(refused.issues)))
    frames = "".join(traceback.format_tb(error.__traceback__))
    log.error("fault %s at %s: %s\n%s", correlation, where, type(error).__name__, frames)
    text = f"The server failed; the operator finds the cause in its log under {correlation}"
    return Response(500, resource=operation_outcome([Issue("exception", text, severity="fatal")]))
