"""What all writing interactions share: a plan made outside the store, carried out inside one write, answered by Prefer.

https://hl7.org/fhir/R4/http.html#ops
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fhir_server.audit.exchange import handed_out
from fhir_server.context import Context
from fhir_server.errors import BadRequest, Forbidden, Unprocessable
from fhir_server.http.conditional import etag, http_date
from fhir_server.http.exchange import Request, Response
from fhir_server.http.prefer import returns
from fhir_server.interactions.criteria import asks_terminology, text_asks_terminology
from fhir_server.records import register
from fhir_server.store.prepare import prepare
from fhir_server.store.protocol import Prepared, Stored, Transaction
from fhir_server.terminology import aside
from profiles.issues import Issue, operation_outcome
from profiles.lossless import parse

FINDINGS_HEADER = "X-Validation-Issues"
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


@dataclass(frozen=True, slots=True)
class Change:
    """What a write did: the status it is answered with, and the version that is now current (if any).

    ``note`` says in words what happened; ``stored`` may be an older version that was left as it is.
    """

    status: int
    stored: Stored | None
    note: str
    located: bool = False  # tell where it is by Location, though it was not created


Work = Callable[[Transaction], Change]
Plan = Callable[[Request, Context], Work]


async def carry_out(plan: Plan, request: Request, context: Context, long: bool = False) -> Response:
    """Make the plan (large bodies and ``long`` work in a thread, so that the event loop stays free), commit, answer."""
    if asks_terminology(request.query) or text_asks_terminology(request.headers.get("if-none-exist")):
        work = await aside(plan, request, context)
    elif long or len(request.body) >= context.settings.thread_from:
        work = await asyncio.to_thread(plan, request, context)
    else:
        work = plan(request, context)
    response = answer(await context.store.write(work, context.access), request)
    if request.findings:
        response.headers.append((FINDINGS_HEADER, str(len(request.findings))))
    return response


def answer(change: Change, request: Request) -> Response:
    """The Response to a change, with the body that Prefer asks for (the representation by default)."""
    stored, status = change.stored, change.status
    response = Response(status, stored=stored)
    if stored is None or stored.deleted:
        if returns(request) == "OperationOutcome" and status == 204:
            response.status = 200
            response.resource = _told(change, request)
        elif status != 204:
            response.resource = _told(change, request)
        if stored is not None:
            response.headers.append(("ETag", etag(stored.version)))
        return response
    handed_out(stored)
    place = f"{request.base_url}/{stored.type}/{stored.id}/_history/{stored.version}"
    response.headers = [
        ("ETag", etag(stored.version)),
        ("Last-Modified", http_date(stored.updated)),
        ("Location" if status == 201 or change.located else "Content-Location", place),
    ]
    wanted = returns(request)
    if wanted == "OperationOutcome":
        response.resource = _told(change, request)
    elif wanted != "minimal":
        response.body = stored.body or b""
    return response


def _told(change: Change, request: Request) -> dict[str, Any]:
    return operation_outcome([Issue("informational", change.note, severity="information"), *request.findings])


def check_id(id: str, expression: str = "id") -> str:
    """``id`` if it is a well-formed logical id; raises BadRequest otherwise."""
    if not isinstance(id, str) or not _ID.fullmatch(id):
        raise BadRequest("An id has 1 to 64 of the characters A-Z a-z 0-9 - .", expression, code="value")
    return id


def checked(resource: dict[str, Any], request: Request, context: Context) -> dict[str, Any]:
    """``resource`` if it is a valid resource of the request's type; warnings of profiles become the request's findings.

    Raises BadRequest for another type than the URL's, Unprocessable with all findings otherwise.
    """
    type = request.type
    name = resource.get("resourceType")
    if name != type:
        raise BadRequest(f"The resource is a '{name}', but the URL is for {type}", f"{type}.resourceType")
    issues = context.validator.check(resource)
    if issues and any(issue.severity in ("error", "fatal") for issue in issues):
        raise Unprocessable.of(issues)
    request.findings = judged(resource, context)
    return resource


def judged(resource: dict[str, Any], context: Context) -> list[Issue]:
    """What the policy of validation has to say of a resource of right structure. Raises Unprocessable."""
    if context.profiles is None:
        return []
    local = context.requester is None and not context.settings.open
    client = None if local else context.requester.client if context.requester else ""
    return context.profiles.judge(resource, client)


def prepared(resource: dict[str, Any], id: str | None, context: Context) -> Prepared:
    """The (checked) resource as ``id``, or as a new id, ready to be put."""
    ready = prepare(resource, id or context.new_id(), context.extractor)
    ready.fresh = not id
    return ready


def put(transaction: Transaction, ready: Prepared, current: Stored | None, method: str, context: Context) -> Stored:
    """Write ``ready`` over ``current``, unless the settings say that no change makes no version."""
    if current is not None and current.body is not None and register.registers(ready.type, context.access):
        ready = register.amended(transaction, ready, current, context)
    if context.settings.skip_unchanged and current is not None and current.body is not None:
        before, after = parse(current.body), parse(ready.template.replace(b"\x01", b'""').replace(b"\x02", b'""'))
        for resource in (before, after):
            resource["meta"] = {k: v for k, v in resource["meta"].items() if k not in ("versionId", "lastUpdated")}
        if before == after:
            return current
    stored = transaction.put(ready, method)
    if current is None and stored.version > 1 and register.registers(ready.type, context.access):
        # A scope lets it be changed, but not read: who it was could not be compared.
        raise Forbidden("Who changes a Patient needs a scope to read it too")
    return stored
