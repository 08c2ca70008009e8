"""FHIR delete interaction: by id and conditional (single and multiple).

https://hl7.org/fhir/R4/http.html#delete, https://hl7.org/fhir/R4/http.html#cdelete
"""

from __future__ import annotations

from fhir_server.context import Context
from fhir_server.errors import BadRequest, PreconditionFailed
from fhir_server.http.conditional import check_if_match
from fhir_server.http.exchange import Request, Response
from fhir_server.interactions.change import Change, Work, carry_out
from fhir_server.interactions.criteria import criteria
from fhir_server.interactions.integrity import check_unreferenced
from fhir_server.records import register
from fhir_server.store.protocol import Transaction


async def delete(request: Request, context: Context) -> Response:
    """``DELETE [base]/[type]/[id]``: 204, also when there is nothing (any more); 412 for If-Match."""
    return await carry_out(plan, request, context)


async def conditional_delete(request: Request, context: Context) -> Response:
    """``DELETE [base]/[type]?criteria``: deletes all matches, at most ``delete_max`` or ``_count``; else 412."""
    return await carry_out(conditional_plan, request, context)


def plan(request: Request, context: Context) -> Work:
    """The write that deletes the resource of ``request``."""
    register.check_deletable(request.type, context.access)

    def work(transaction: Transaction) -> Change:
        if "if-match" in request.headers:
            check_if_match(request, transaction.read(request.type, request.id))
        stored = transaction.delete(request.type, request.id)
        check_unreferenced(transaction, [(request.type, request.id)], context)
        name = f"{request.type}/{request.id}"
        return Change(204, stored, f"{name} was deleted" if stored else f"{name} did not exist (any more)")

    return work


def conditional_plan(request: Request, context: Context) -> Work:
    """The write that deletes what the criteria of ``request`` find.

    With ``_count=n`` at most n of the matches go; without it more matches than the setting allows are
    refused, and nothing is deleted.
    """
    register.check_deletable(request.type, context.access)
    pairs = [pair for pair in request.query if pair[0] != "_count"]
    asked = _count(request)
    most = context.settings.delete_max
    if asked is not None and asked > most:
        raise PreconditionFailed(f"At most {most} resources are deleted at once", "http._count", code="too-costly")
    condition = criteria(request.type, pairs, context)

    def work(transaction: Transaction) -> Change:
        found = transaction.find(request.type, condition, asked if asked is not None else most + 1)
        if asked is None and len(found) > most:
            raise PreconditionFailed(
                f"More than {most} {request.type} satisfy the condition; make it more selective or give _count",
                code="multiple-matches",
            )
        deleted = None
        for stored in found:
            check_if_match(request, stored)
            deleted = transaction.delete(stored.type, stored.id)
        check_unreferenced(transaction, [(stored.type, stored.id) for stored in found], context)
        return Change(204, deleted if len(found) == 1 else None, f"{len(found)} {request.type} deleted")

    return work


def _count(request: Request) -> int | None:
    text = request.param("_count")
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) < 1:
        raise BadRequest(f"_count must be a whole number from 1 on, not '{text}'", "http._count")
    return int(text)
