"""FHIR patch interaction: JSON Patch, JSON Merge Patch and FHIRPath Patch, by id and conditional.

https://hl7.org/fhir/R4/http.html#patch
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fhir_server.context import Context
from fhir_server.errors import BadRequest, Gone, NotFound, UnsupportedMediaType
from fhir_server.http.body import parsed_body
from fhir_server.http.conditional import check_if_match
from fhir_server.http.exchange import Request, Response
from fhir_server.http.negotiate import JSON_PATCH, JSON_TYPES, MERGE_PATCH, XML_TYPES, media_type
from fhir_server.interactions.change import Change, Work, carry_out, checked, prepared, put
from fhir_server.interactions.criteria import asks_terminology, criteria, only_match
from fhir_server.interactions.integrity import check_references
from fhir_server.interactions.patch import fhirpath_patch, json_patch, merge_patch
from fhir_server.store.protocol import Prepared, Stored, Transaction
from fhir_server.terminology import aside
from profiles.lossless import ParseError, parse

Patch = Callable[[dict[str, Any]], dict[str, Any]]
_DOCUMENTS = {JSON_PATCH: json_patch.apply, MERGE_PATCH: merge_patch.apply}


async def patch(request: Request, context: Context) -> Response:
    """``PATCH [base]/[type]/[id]``: 200, 404, 410, 412 for If-Match, 422 where it cannot be applied."""
    return await carry_out(plan, request, context, long=True)


async def conditional_patch(request: Request, context: Context) -> Response:
    """``PATCH [base]/[type]?criteria``: patches the only match, 404 without one, 412 for several."""
    if not request.query:
        raise BadRequest(f"PATCH needs an id ({request.type}/[id]) or search criteria", "http.url")
    asked = (request.type, request.query, context)
    condition = await aside(criteria, *asked) if asks_terminology(request.query) else criteria(*asked)
    found = (await context.store.search(replace(condition, count=2), context.access)).matches
    seen = found[0] if len(found) == 1 else None

    def find(transaction: Transaction) -> Stored:
        current = only_match(transaction, request.type, condition)
        if current is None:
            raise NotFound(f"No {request.type} satisfies the condition")
        return current

    return await carry_out(lambda asked, within: _plan(asked, within, seen, find), request, context, long=True)


def patch_of(request: Request) -> Patch:
    """The function that applies the patch in the body of ``request``.

    A body of type application/json without resourceType counts as a JSON Merge Patch.
    Raises UnsupportedMediaType for other patch formats, BadRequest for a body that is none.
    """
    content_type = media_type(request.headers.get("content-type", ""))[0]
    if request.resource is None and content_type in _DOCUMENTS:
        return _with(_DOCUMENTS[content_type], _document(request))
    if request.resource is not None or content_type in (*JSON_TYPES, *XML_TYPES):
        if content_type == "application/json" and request.resource is None:
            document = _document(request)
            if isinstance(document, dict) and "resourceType" not in document:
                return _with(merge_patch.apply, document)
        parameters = parsed_body(request)
        if parameters["resourceType"] != "Parameters":
            raise BadRequest("A FHIRPath Patch is a Parameters resource", "Parameters", code="structure")
        return _with(fhirpath_patch.apply, parameters)
    raise UnsupportedMediaType(
        f"A patch of type '{content_type}' is not understood; {', '.join(_DOCUMENTS)} and FHIRPath Patch are",
        "http.Content-Type",
    )


def _document(request: Request) -> Any:
    try:
        return parse(request.body)
    except ParseError as error:
        raise BadRequest(f"The patch cannot be parsed: {error}", code="structure") from None


def _with(apply: Callable[[dict[str, Any], Any], dict[str, Any]], patch: Any) -> Patch:
    return lambda resource: apply(resource, patch)


def plan(request: Request, context: Context) -> Work:
    """The write that patches the resource of ``request``."""

    def find(transaction: Transaction) -> Stored:
        current = transaction.read(request.type, request.id)
        if current is None:
            raise NotFound(f"There is no {request.type}/{request.id}")
        return current

    return _plan(request, context, context.store.read(request.type, request.id, context.access), find)


def _plan(request: Request, context: Context, seen: Stored | None, find: Callable[[Transaction], Stored]) -> Work:
    """The write that patches what ``find`` finds.

    The patch is applied to the version that was ``seen`` just now, outside of the write; only if another
    version came between is it applied again inside, where others wait.
    """
    change = patch_of(request)
    ahead = None
    if seen is not None and not seen.deleted:
        check_if_match(request, seen)  # before the patch: what does not fit another version tells nothing
        ahead = _applied(seen, change, request, context)

    def work(transaction: Transaction) -> Change:
        current = find(transaction)
        check_if_match(request, current)
        fresh = seen is not None and (seen.id, seen.version) == (current.id, current.version)
        ready = ahead if ahead is not None and fresh else _applied(current, change, request, context)
        return _written(transaction, current, ready, context)

    return work


def _applied(current: Stored, change: Patch, request: Request, context: Context) -> Prepared:
    """``current`` with the patch applied, checked and ready to be put."""
    if current.body is None:
        raise Gone(f"{current.type}/{current.id} is deleted since version {current.version}")
    resource = checked(change(parse(current.body)), request, context)
    if resource.get("id") != current.id:
        raise BadRequest("A patch cannot change the id", f"{current.type}.id", code="value")
    return prepared(resource, current.id, context)


def _written(transaction: Transaction, current: Stored, ready: Prepared, context: Context) -> Change:
    stored = put(transaction, ready, current, "PATCH", context)
    check_references(transaction, [ready], context)
    return Change(200, stored, f"{stored.type}/{stored.id} was patched")
