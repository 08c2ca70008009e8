"""FHIR patch interaction: JSON Patch and FHIRPath Patch, by id and conditional.

https://hl7.org/fhir/R4/http.html#patch
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fhir_server.context import Context
from fhir_server.errors import BadRequest, Gone, NotFound, UnsupportedMediaType
from fhir_server.http.body import parsed_body
from fhir_server.http.conditional import check_if_match
from fhir_server.http.exchange import Request, Response
from fhir_server.http.negotiate import JSON_PATCH, JSON_TYPES, XML_TYPES, media_type
from fhir_server.interactions.change import Change, Work, carry_out, checked, prepared, put
from fhir_server.interactions.criteria import criteria, only_match
from fhir_server.interactions.integrity import check_references
from fhir_server.interactions.patch import fhirpath_patch, json_patch
from fhir_server.store.protocol import Prepared, Stored, Transaction
from profiles.lossless import ParseError, parse

Patch = Callable[[dict[str, Any]], dict[str, Any]]


async def patch(request: Request, context: Context) -> Response:
    """``PATCH [base]/[type]/[id]``: 200, 404, 410, 412 for If-Match, 422 where it cannot be applied."""
    return await carry_out(plan, request, context)


async def conditional_patch(request: Request, context: Context) -> Response:
    """``PATCH [base]/[type]?criteria``: patches the only match, 404 without one, 412 for several."""
    return await carry_out(conditional_plan, request, context)


def patch_of(request: Request) -> Patch:
    """The function that applies the patch in the body of ``request``.

    Raises UnsupportedMediaType for other patch formats, BadRequest for a body that is none.
    """
    content_type = media_type(request.headers.get("content-type", ""))[0]
    if request.resource is None and content_type == JSON_PATCH:
        try:
            document = parse(request.body)
        except ParseError as error:
            raise BadRequest(f"The JSON Patch cannot be parsed: {error}", code="structure") from None
        return lambda resource: json_patch.apply(resource, document)
    if request.resource is not None or content_type in (*JSON_TYPES, *XML_TYPES):
        parameters = parsed_body(request)
        if parameters["resourceType"] != "Parameters":
            raise BadRequest("A FHIRPath Patch is a Parameters resource", "Parameters", code="structure")
        return lambda resource: fhirpath_patch.apply(resource, parameters)
    raise UnsupportedMediaType(
        f"A patch of type '{content_type}' is not understood; {JSON_PATCH} and Parameters (FHIRPath Patch) are",
        "http.Content-Type",
    )


def plan(request: Request, context: Context) -> Work:
    """The write that patches the resource of ``request``.

    The patch is applied to the version that is current now, outside of the write; only if another
    version came between is it applied again inside, where others wait.
    """
    change = patch_of(request)
    seen = context.store.read(request.type, request.id, context.access)
    ahead = None if seen is None or seen.deleted else _applied(seen, change, context)

    def work(transaction: Transaction) -> Change:
        current = transaction.read(request.type, request.id)
        if current is None:
            raise NotFound(f"There is no {request.type}/{request.id}")
        fresh = ahead is not None and seen is not None and seen.version == current.version
        ready = ahead if ahead is not None and fresh else _applied(current, change, context)
        return _written(transaction, current, ready, request, context)

    return work


def conditional_plan(request: Request, context: Context) -> Work:
    """The write that patches the only match of the criteria of ``request``."""
    if not request.query:
        raise BadRequest(f"PATCH needs an id ({request.type}/[id]) or search criteria", "http.url")
    change = patch_of(request)
    condition = criteria(request.type, request.query, context)

    def work(transaction: Transaction) -> Change:
        current = only_match(transaction, request.type, condition)
        if current is None:
            raise NotFound(f"No {request.type} satisfies the condition")
        return _written(transaction, current, _applied(current, change, context), request, context)

    return work


def _applied(current: Stored, change: Patch, context: Context) -> Prepared:
    """``current`` with the patch applied, checked and ready to be put."""
    if current.body is None:
        raise Gone(f"{current.type}/{current.id} is deleted since version {current.version}")
    resource = checked(change(parse(current.body)), current.type, context)
    if resource.get("id") != current.id:
        raise BadRequest("A patch cannot change the id", f"{current.type}.id", code="value")
    return prepared(resource, current.id, context)


def _written(transaction: Transaction, current: Stored, ready: Prepared, request: Request, context: Context) -> Change:
    check_if_match(request, current)
    stored = put(transaction, ready, current, "PATCH", context)
    check_references(transaction, [ready], context)
    return Change(200, stored, f"{stored.type}/{stored.id} was patched")
