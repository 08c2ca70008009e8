"""FHIR update interaction: by id (also update as create) and conditional.

https://hl7.org/fhir/R4/http.html#update, https://hl7.org/fhir/R4/http.html#cond-update
"""

from __future__ import annotations

from typing import Any

from fhir_server.context import Context
from fhir_server.errors import BadRequest, Conflict
from fhir_server.http.conditional import check_if_match, check_if_none_match
from fhir_server.http.exchange import Request, Response
from fhir_server.interactions import binary
from fhir_server.interactions.change import Change, Work, carry_out, check_id, checked, prepared, put
from fhir_server.interactions.criteria import criteria, only_match
from fhir_server.interactions.integrity import check_references
from fhir_server.records import register
from fhir_server.search.tree import Query
from fhir_server.store.protocol import Prepared, Stored, Transaction


async def update(request: Request, context: Context) -> Response:
    """``PUT [base]/[type]/[id]``: 200, 201 when that made the resource, 400 for another id, 412 for If-Match."""
    return await carry_out(plan, request, context)


async def conditional_update(request: Request, context: Context) -> Response:
    """``PUT [base]/[type]?criteria``: updates the only match, creates without one, 412 for several."""
    return await carry_out(conditional_plan, request, context)


def plan(request: Request, context: Context) -> Work:
    """The write that makes the resource of ``request`` the next version of its id."""
    id = check_id(request.id, "http.url")
    resource = binary.resource_of(request)
    named = resource.get("id")
    if named != id:
        said = f"is '{named}'" if named is not None else "is missing"
        raise BadRequest(f"The id in the resource {said}, but the URL says '{id}'", f"{request.type}.id", code="value")
    checked(resource, request, context)
    ready = prepared(resource, id, context)

    def work(transaction: Transaction) -> Change:
        return _replace(transaction, ready, request, context)

    return work


def conditional_plan(request: Request, context: Context) -> Work:
    """The write that updates what the criteria of ``request`` find, or creates it."""
    if not request.query:
        raise BadRequest(f"PUT needs an id ({request.type}/[id]) or search criteria", "http.url")
    condition = criteria(request.type, request.query, context)
    resource = checked(binary.resource_of(request), request, context)
    named = resource.get("id")

    def work(transaction: Transaction) -> Change:
        found = only_match(transaction, request.type, condition)
        if found is None and named is not None:
            current = transaction.read(request.type, check_id(named, f"{request.type}.id"))
            if current is not None and not current.deleted:
                raise Conflict(f"{request.type}/{named} exists, but does not satisfy the condition", "http.url")
        if found is not None and named not in (None, found.id):
            raise BadRequest(
                f"The id in the resource is '{named}', but the condition finds {request.type}/{found.id}",
                f"{request.type}.id",
                code="value",
            )
        id = found.id if found is not None else named
        return _replace(transaction, prepared(resource, id, context), request, context)

    if register.registers(request.type, context.access):
        return _feed(resource, condition, work, request, context)
    return work


def _feed(resource: dict[str, Any], condition: Query, usual: Work, request: Request, context: Context) -> Work:
    """The write by which an institution feeds a person under its own identifier (IHE PIXm ITI-104)."""
    patient = register.incoming(resource, context)

    def work(transaction: Transaction) -> Change:
        found = only_match(transaction, "Patient", condition)
        if found is not None and found.custodian == context.access.party:
            return usual(transaction)
        check_if_match(request, found)
        return Change(*register.fed(patient, found, transaction, context), located=found is None)

    return work


def _replace(transaction: Transaction, ready: Prepared, request: Request, context: Context) -> Change:
    current: Stored | None = transaction.read(ready.type, ready.id)
    check_if_match(request, current)
    check_if_none_match(request, current)
    stored = put(transaction, ready, current, "PUT", context)
    check_references(transaction, [ready], context)
    # Who may update but not read sees no version before; its number tells that there was one.
    new = stored.version == 1 if current is None else current.deleted
    what = "created" if new else "updated" if stored is not current else "left as it was: nothing changed"
    return Change(201 if new else 200, stored, f"{stored.type}/{stored.id} was {what}")
