"""Operation $validate: would this resource be accepted?

https://hl7.org/fhir/R4/resource-operation-validate.html
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fhir_server.errors import BadRequest, Gone, NotFound, NotSupported
from fhir_server.http.exchange import Request, Response
from fhir_server.operations.parameters import input_of, parts_of
from profiles.issues import Issue, operation_outcome
from profiles.lossless import parse

if TYPE_CHECKING:
    from fhir_server.context import Context

_MODES = ("create", "update", "delete")
_KNOWN = frozenset({"resource", "mode", "profile"})
_GENERAL = frozenset({"_format", "_pretty"})


async def validate(request: Request, context: Context) -> Response:
    """``[type]/$validate`` and ``[type]/[id]/$validate``: 200 with an OperationOutcome, whatever it says.

    Without a resource the instance level checks the stored one. Raises BadRequest for a request that cannot
    be understood, NotSupported for a profile, NotFound and Gone for an instance that is not there.
    """
    if len(request.body) >= context.settings.thread_from:  # long work would keep the others waiting
        return await asyncio.to_thread(_validated, request, context)
    return _validated(request, context)


def _validated(request: Request, context: Context) -> Response:
    resource, mode, profile = _input(request)
    if profile is not None:
        raise NotSupported(f"Validation against a profile ({profile}) is not offered yet", "http.profile")
    if mode == "profile":
        raise NotSupported("Validation of what fits a profile is not offered yet", "http.mode")
    if mode is not None and mode not in _MODES:
        raise BadRequest(f"mode must be {', '.join(_MODES)}, not '{mode}'", "http.mode", code="value")
    if request.id and (resource is None or mode in ("update", "delete")):
        stored = _stored(request, context)
        resource = resource if resource is not None else stored
    if resource is None:
        if mode == "delete":
            raise BadRequest("mode=delete needs an instance: [type]/[id]/$validate", "http.mode")
        raise BadRequest("There is no resource to validate", "Parameters.parameter", code="required")
    issues = [] if mode == "delete" else [*_identity(resource, request, mode), *context.validator.check(resource)]
    found = issues or [Issue("informational", "No problems were found", severity="information")]
    return Response(200, resource=operation_outcome(found))


def _input(request: Request) -> tuple[dict[str, Any] | None, str | None, str | None]:
    """The resource, mode and profile, from a Parameters body, a bare resource and the query."""
    values: dict[str, Any] = {}
    for name, value in request.query:
        if name not in _KNOWN - {"resource"} and name not in _GENERAL:
            raise BadRequest(f"$validate has no parameter '{name}'; it has mode and profile", f"http.{name}")
        values.setdefault(name, value)
    body = input_of(request)
    if body is None:
        return None, values.get("mode"), values.get("profile")
    if body.get("resourceType") != "Parameters" or (request.type == "Parameters" and not _is_call(body)):
        return body, values.get("mode"), values.get("profile")
    for part in parts_of(body, "validate"):
        name = part["name"]
        if name not in _KNOWN:
            raise BadRequest(
                f"$validate has no parameter '{name}'; it has {', '.join(sorted(_KNOWN))}",
                f"Parameters.parameter.where(name='{name}')",
            )
        if name == "resource":
            values[name] = part.get("resource")
            if not isinstance(values[name], dict):
                raise BadRequest(
                    "The parameter 'resource' must hold a resource", "Parameters.parameter.resource", code="structure"
                )
        else:
            values[name] = next((value for key, value in part.items() if key.startswith("value")), None)
    return values.get("resource"), values.get("mode"), values.get("profile")


def _is_call(body: dict[str, Any]) -> bool:
    return any(part["name"] == "resource" and "resource" in part for part in parts_of(body, "validate"))


def _stored(request: Request, context: Context) -> dict[str, Any]:
    stored = context.store.read(request.type, request.id, context.access)
    if stored is None:
        raise NotFound(f"There is no {request.type}/{request.id}")
    if stored.body is None:
        raise Gone(f"{request.type}/{request.id} is deleted since version {stored.version}")
    resource: dict[str, Any] = parse(stored.body)
    return resource


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
