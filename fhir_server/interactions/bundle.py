"""FHIR batch and transaction interactions: a Bundle posted to the base.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fhir_server.audit.exchange import call_it, handed_out
from fhir_server.errors import BadRequest, FhirError
from fhir_server.http.body import parsed_body
from fhir_server.http.errors import error_response
from fhir_server.http.exchange import Request, Response
from fhir_server.http.prefer import returns
from fhir_server.interactions.answers import Answer, answer_bundle
from fhir_server.interactions.entries import Entry, at_entry, check_bundle, is_read, read_entry
from fhir_server.interactions.subrequest import outer_request, run_entry
from fhir_server.interactions.transaction import transact
from profiles.issues import Issue, operation_outcome

if TYPE_CHECKING:
    from fhir_server.context import Context

_TYPES = frozenset({"batch", "transaction"})
_AT_ONCE = 64  # entries of a batch under way together: their writes share group commits
_RANK = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2}


async def submit(request: Request, context: Context) -> Response:
    """POST of a batch or transaction Bundle to the base.

    Raises FhirError when the Bundle cannot be understood, or for any failing entry of a transaction.
    """
    if len(request.body) >= context.settings.thread_from:
        bundle = await asyncio.to_thread(parsed_body, request)
    else:
        bundle = parsed_body(request)
    check_bundle(bundle, _TYPES, context.settings.bundle_max, context.definitions)
    call_it(bundle["type"])
    if bundle["type"] == "transaction":
        answers = await transact(bundle, context, request)
        _prefer(answers, returns(request))
        body = answer_bundle("transaction-response", answers, request.base_url, context.settings.zone)
    else:
        answers = await batch(bundle, context, request)
        body = answer_bundle("batch-response", answers, request.base_url, context.settings.zone)
    return Response(200, body)


def _prefer(answers: list[Answer], wanted: str) -> None:
    """Add to the answers of a transaction's writes what the client wants returned, and note what they tell of."""
    for answer in answers:
        if answer.located and answer.stored is not None:
            handed_out(answer.stored)
            if wanted == "representation":
                answer.body = answer.stored.body
            elif wanted == "OperationOutcome":
                text = f"{answer.stored.type}/{answer.stored.id} has version {answer.stored.version}"
                told = Issue("informational", text, severity="information")
                answer.outcome = operation_outcome([told, *answer.findings])


async def batch(bundle: dict[str, Any], context: Context, outer: Request | None = None) -> list[Answer]:
    """Run a batch Bundle: each entry by itself; the answers in the order of the entries.

    The entries run by kind, deletions first and reads last, those of one kind side by side.
    Raises FhirError only for what is wrong with the Bundle as a whole.
    """
    outer = outer or outer_request()
    raw = check_bundle(bundle, frozenset({"batch"}), context.settings.bundle_max, context.definitions)
    answers: list[Answer | None] = [None] * len(raw)
    groups: dict[int, list[Entry]] = {}
    for index, item in enumerate(raw):
        try:
            entry = read_entry(item, index, outer.base_url, context.definitions)
        except FhirError as error:
            answers[index] = _failed(error, index, outer)
        else:
            groups.setdefault(3 if is_read(entry) else _RANK[entry.method], []).append(entry)
    for rank in sorted(groups):
        group = groups[rank]
        for start in range(0, len(group), _AT_ONCE):
            some = group[start : start + _AT_ONCE]
            done = await asyncio.gather(*(_run_entry(entry, outer, context) for entry in some))
            for entry, answer in zip(some, done, strict=True):
                answers[entry.index] = answer
    return [answer for answer in answers if answer is not None]


async def _run_entry(entry: Entry, outer: Request, context: Context) -> Answer:
    try:
        if not entry.segments and entry.method == "POST":
            raise BadRequest("A batch or transaction cannot hold another one", f"{entry.path}.request.url")
        return await run_entry(entry, outer, context)
    except Exception as error:
        return _failed(error, entry.index, outer)


def _failed(error: Exception, index: int, outer: Request) -> Answer:
    if isinstance(error, FhirError):
        moved = at_entry(error, f"Bundle.entry[{index}]")
        return Answer(moved.status, outcome=operation_outcome(moved.issues))
    response = error_response(error, outer.correlation, "POST / (batch entry)")
    return Answer(response.status, outcome=response.resource)
