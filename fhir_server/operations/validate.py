"""Operation $validate: would this resource be accepted, and does it satisfy these profiles?

https://hl7.org/fhir/R4/resource-operation-validate.html
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fhir_server.errors import BadRequest, FhirError, Gone, NotFound, NotSupported
from fhir_server.http.exchange import Request, Response
from fhir_server.interactions.criteria import criteria
from fhir_server.interactions.delete import plan as deletion
from fhir_server.operations.parameters import input_of, parts_of
from fhir_server.store.protocol import Transaction
from profiles.conformance import Options, ProfileSet
from profiles.issues import Issue, operation_outcome
from profiles.lossless import parse

if TYPE_CHECKING:
    from fhir_server.context import Context

_MODES = ("create", "update", "delete")
_KNOWN = frozenset({"resource", "mode", "profile"})
_GENERAL = frozenset({"_format", "_pretty"})
_MOST_PROFILES = 20


@dataclass(slots=True)
class _Call:
    """What is asked: the resource (None: the stored one), its size in bytes, the mode, the profiles."""

    resource: dict[str, Any] | None
    mode: str | None
    profiles: tuple[str, ...]
    size: int


async def validate(request: Request, context: Context) -> Response:
    """``[type]/$validate`` and ``[type]/[id]/$validate``: 200 with an OperationOutcome, whatever it says.

    Without a resource the instance level checks the stored one. Raises BadRequest for a request that cannot
    be understood, NotSupported for the mode profile, NotFound and Gone for an instance that is not there.
    """
    call = _input(request)
    if call.mode == "profile":
        raise NotSupported("Validation of what fits a profile is not offered", "http.mode")
    if call.mode is not None and call.mode not in _MODES:
        raise BadRequest(f"mode must be {', '.join(_MODES)}, not '{call.mode}'", "http.mode", code="value")
    if request.id and (call.resource is None or call.mode in ("update", "delete")):
        stored = _stored(request, context)
        if call.resource is None:
            call.resource, call.size = parse(stored), len(stored)
    if call.resource is None:
        if call.mode == "delete":
            raise BadRequest("mode=delete needs an instance: [type]/[id]/$validate", "http.mode")
        raise BadRequest("There is no resource to validate", "Parameters.parameter", code="required")
    check = _deletion(request, context) if call.mode == "delete" else _issues(call, request, context)
    issues = await check
    found = issues or [Issue("informational", "没有发现问题。No problems were found", severity="information")]
    return Response(200, resource=operation_outcome(found))


class _Undone(Exception):
    """A write was tried to its end, and is not to be kept."""


async def _deletion(request: Request, context: Context) -> list[Issue]:
    """Why the instance may not be deleted: all that the delete itself checks, tried and taken back."""

    def work(transaction: Transaction) -> None:
        delete(transaction)
        raise _Undone

    try:
        delete = deletion(request, context)
        await context.store.write(work, context.access)
    except _Undone:
        return []
    except FhirError as error:
        return list(error.issues)
    return []


async def _issues(call: _Call, request: Request, context: Context) -> list[Issue]:
    resource = call.resource or {}
    at_hand = await context.profiles.fresh() if context.profiles is not None else None
    profiles = at_hand.profiles if at_hand is not None else ProfileSet.load()
    extensions = at_hand.policy.unknown_extensions if at_hand is not None else "warning"
    form = await _questionnaire(resource, context)

    def resolve(reference: str) -> dict[str, Any] | None:
        if form is not None and form.get("url") == reference.partition("|")[0]:
            return form
        return _resolved(reference, request, context)

    def work() -> list[Issue]:
        found = [*_identity(resource, request, call.mode), *context.validator.check(resource)]
        if resource.get("resourceType") in context.definitions.resource_types:
            options = Options(unknown_extensions=extensions, resolve=resolve)
            found += profiles.beyond_structure(resource, call.profiles, options, bool(found))
        return list(dict.fromkeys(found))

    if call.size >= context.settings.thread_from:  # long work would keep the others waiting
        return await asyncio.to_thread(work)
    return work()


async def _questionnaire(resource: dict[str, Any], context: Context) -> dict[str, Any] | None:
    """The Questionnaire that a response answers, if it is among the records."""
    canonical = resource.get("questionnaire")
    if resource.get("resourceType") != "QuestionnaireResponse" or not isinstance(canonical, str):
        return None
    url, _, version = canonical.partition("|")
    pairs = [("url", url)] + ([("version", version)] if version else [])
    try:
        page = await context.store.search(criteria("Questionnaire", pairs, context), context.access)
    except FhirError:
        return None
    found = next((stored.body for stored in page.matches if stored.body is not None), None)
    return None if found is None else dict(parse(found))


def _resolved(reference: str, request: Request, context: Context) -> dict[str, Any] | None:
    """The resource of a literal reference to these records, as far as the requester may see it."""
    local = reference.removeprefix(f"{request.base_url}/")
    parts = local.partition("/_history/")[0].split("/")
    if len(parts) != 2 or parts[0] not in context.definitions.resource_types:
        return None
    stored = context.store.read(parts[0], parts[1], context.access)
    return None if stored is None or stored.body is None else dict(parse(stored.body))


def _input(request: Request) -> _Call:
    """The resource, mode and profiles, from a Parameters body, a bare resource and the query."""
    resource: dict[str, Any] | None = None
    modes: list[Any] = []
    profiles: list[Any] = []
    for name, value in request.query:
        if name not in _KNOWN - {"resource"} and name not in _GENERAL:
            raise BadRequest(f"$validate has no parameter '{name}'; it has mode and profile", f"http.{name}")
        if name in _KNOWN:
            (modes if name == "mode" else profiles).append(value)
    body = input_of(request)
    if body is not None and (
        body.get("resourceType") != "Parameters" or (request.type == "Parameters" and not _is_call(body))
    ):
        resource, body = body, None
    for part in parts_of(body, "validate") if body is not None else ():
        name = part["name"]
        if name not in _KNOWN:
            raise BadRequest(
                f"$validate has no parameter '{name}'; it has {', '.join(sorted(_KNOWN))}",
                f"Parameters.parameter.where(name='{name}')",
            )
        if name == "resource":
            resource = part.get("resource")
            if not isinstance(resource, dict):
                raise BadRequest(
                    "The parameter 'resource' must hold a resource", "Parameters.parameter.resource", code="structure"
                )
        else:
            given = next((value for key, value in part.items() if key.startswith("value")), None)
            (modes if name == "mode" else profiles).append(given)
    return _Call(resource, modes[0] if modes else None, _canonicals(profiles), len(request.body))


def _canonicals(profiles: list[Any]) -> tuple[str, ...]:
    if not all(isinstance(url, str) and url for url in profiles):
        raise BadRequest("A profile is named by its canonical URL", "http.profile", code="value")
    if len(profiles) > _MOST_PROFILES:
        raise BadRequest(f"At most {_MOST_PROFILES} profiles are checked at once", "http.profile", code="too-costly")
    return tuple(dict.fromkeys(profiles))


def _is_call(body: dict[str, Any]) -> bool:
    return any(part["name"] == "resource" and "resource" in part for part in parts_of(body, "validate"))


def _stored(request: Request, context: Context) -> bytes:
    stored = context.store.read(request.type, request.id, context.access)
    if stored is None:
        raise NotFound(f"There is no {request.type}/{request.id}")
    if stored.body is None:
        raise Gone(f"{request.type}/{request.id} is deleted since version {stored.version}")
    return stored.body


def _identity(resource: dict[str, Any], request: Request, mode: str | None) -> list[Issue]:
    """What is wrong with the type or id of the resource for this URL."""
    kind = resource.get("resourceType")
    if request.type and kind != request.type:
        return [Issue("invalid", f"The resource is a '{kind}', the URL is for {request.type}", (f"{request.type}",))]
    if request.id and mode != "create" and resource.get("id") != request.id:
        return [
            Issue("value", f"The id of the resource must be '{request.id}' for an update here", (f"{request.type}.id",))
        ]
    return []
