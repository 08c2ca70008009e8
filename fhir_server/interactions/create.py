"""FHIR create interaction, also conditional (If-None-Exist).

https://hl7.org/fhir/R4/http.html#create, https://hl7.org/fhir/R4/http.html#ccreate
"""

from __future__ import annotations

from typing import Any

from fhir_server.context import Context
from fhir_server.http.exchange import Request, Response
from fhir_server.interactions import binary
from fhir_server.interactions.change import Change, Work, carry_out, checked, prepared
from fhir_server.interactions.criteria import header_criteria, only_match
from fhir_server.interactions.integrity import check_references
from fhir_server.records import register
from fhir_server.search.tree import Query
from fhir_server.store.protocol import Transaction


async def create(request: Request, context: Context) -> Response:
    """``POST [base]/[type]``: 201; 200 where the condition finds the resource; 412 where it finds several."""
    return await carry_out(plan, request, context)


def plan(request: Request, context: Context, id: str | None = None) -> Work:
    """The write that creates the resource of ``request`` as ``id`` (default: a new id)."""
    resource = checked(binary.resource_of(request), request, context)
    header = request.headers.get("if-none-exist")
    condition = header_criteria(request.type, header, context) if header is not None else None
    if id is None and register.registers(request.type, context.access):
        return _registration(resource, condition, context)
    ready = prepared(resource, id, context)

    def work(transaction: Transaction) -> Change:
        if condition is not None and (found := only_match(transaction, request.type, condition)) is not None:
            return Change(200, found, f"{found.type}/{found.id} exists already and satisfies If-None-Exist")
        stored = transaction.put(ready, "POST")
        check_references(transaction, [ready], context)
        return Change(201, stored, f"{stored.type}/{stored.id} was created")

    return work


def _registration(resource: dict[str, Any], condition: Query | None, context: Context) -> Work:
    """The write by which an institution registers a person: found in the index, or made."""
    patient = register.incoming(resource, context)

    def work(transaction: Transaction) -> Change:
        if condition is not None and (found := only_match(transaction, "Patient", condition)) is not None:
            return Change(200, found, f"Patient/{found.id} exists already and satisfies If-None-Exist")
        return Change(*register.enrolled(patient, transaction, context), located=True)

    return work
