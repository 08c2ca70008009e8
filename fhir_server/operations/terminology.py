"""What the terminology operations share: their arguments from a request, their refusals as OperationOutcomes.

https://hl7.org/fhir/R4/terminology-service.html. They speak of nobody: codes, value sets and maps are no records. A
stored resource on which an operation is called is read as any other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fhir_server.errors import FhirError, Gone, NotFound
from fhir_server.http.exchange import Request, Response
from fhir_server.operations.parameters import input_of
from fhir_server.search.national import masked
from fhir_server.terminology import aside
from profiles.lossless import parse
from terminology.arguments import Arguments, arguments_of
from terminology.errors import Invalid, TerminologyError, outcome
from terminology.registry import Terminology

if TYPE_CHECKING:
    from fhir_server.context import Context

Run = Callable[[Terminology, Arguments, dict[str, Any] | None], dict[str, Any]]
_MALFORMED = (AttributeError, KeyError, TypeError, ValueError)
_LONGEST = 2_000  # characters of a text that may quote the request


async def answered(request: Request, context: Context, run: Run, *, quick: bool = True) -> Response:
    """The answer of ``run`` to the request; a refusal of terminology is an OperationOutcome with its details.

    What is not ``quick``, or may bring definitions along, is worked out in a thread.
    """
    if quick and not request.body and request.resource is None:
        return _answer(request, context, run)
    return await aside(_answer, request, context, run)


def _answer(request: Request, context: Context, run: Run) -> Response:
    try:
        return Response(200, resource=_run(request, context, run))
    except TerminologyError as error:
        resource = outcome([error.issue])
        for issue in resource["issue"]:
            issue["details"]["text"] = masked(issue["details"]["text"])[:_LONGEST]
        return Response(error.status, resource=resource)


def _run(request: Request, context: Context, run: Run) -> dict[str, Any]:
    body = input_of(request)
    try:
        arguments = _arguments(request, body)
        return run(context.terminology(), arguments, _instance(request, context))
    except _MALFORMED:
        # A definition that came with the request may be no such resource: then say what is wrong with it.
        findings = [i for i in context.validator.check(body) if i.severity == "error"] if body is not None else []
        if findings:
            raise FhirError.of(findings) from None
        raise


def _arguments(request: Request, body: dict[str, Any] | None) -> Arguments:
    language = request.headers.get("accept-language")
    pairs: list[tuple[str, Any]] = list(request.query)
    if body is not None:
        if body.get("resourceType") != "Parameters":
            kind = body.get("resourceType")
            raise Invalid(f"The body of ${request.operation} is a Parameters resource, not a {kind}", code="structure")
        pairs += arguments_of(body).pairs
    return Arguments(pairs, language)


def _instance(request: Request, context: Context) -> dict[str, Any] | None:
    """The stored resource on which the operation is called."""
    if not request.id:
        return None
    stored = context.store.read(request.type, request.id, context.access)
    if stored is None:
        raise NotFound(f"There is no {request.type}/{request.id}")
    if stored.body is None:
        raise Gone(f"{request.type}/{request.id} is deleted since version {stored.version}")
    resource: dict[str, Any] = parse(stored.body)
    return resource
