"""OpenAPI 3.1 description of the FHIR API, generated from the table of routes and operations.

https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fhir_server.http.exchange import Request, Response
from fhir_server.http.negotiate import FHIR_JSON, FHIR_XML, JSON_PATCH
from fhir_server.http.routes import Operation, Route
from profiles.lossless import encode

if TYPE_CHECKING:
    from fhir_server.context import Context

_READ = ("_format", "_pretty", "_summary", "_elements")
_SEARCH = (*_READ, "_count", "_sort", "_total", "_include", "_revinclude", "_has", "_id", "_lastUpdated")
_HISTORY = ("_format", "_pretty", "_summary", "_elements", "_since", "_at", "_count")
_WRITE = ("_format", "_pretty")
_CONDITION = "The query holds the search criteria that name the resource. "
# name of the route: (summary, query parameters, headers, statuses beside the errors)
_ROUTES: dict[str, tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "read": ("Read the current version", _READ, ("If-None-Match", "If-Modified-Since"), ("200", "304")),
    "vread": ("Read one version", _READ, ("If-None-Match",), ("200", "304")),
    "create": ("Create a resource", _WRITE, ("If-None-Exist", "Prefer"), ("200", "201")),
    "update": ("Update or create a resource", _WRITE, ("If-Match", "If-None-Match", "Prefer"), ("200", "201")),
    "conditional-update": (_CONDITION + "Update or create it", _WRITE, ("If-Match", "Prefer"), ("200", "201")),
    "patch": ("Change parts of a resource", _WRITE, ("If-Match", "Prefer"), ("200",)),
    "conditional-patch": (_CONDITION + "Change parts of it", _WRITE, ("If-Match", "Prefer"), ("200",)),
    "delete": ("Delete a resource", (), ("If-Match",), ("204",)),
    "conditional-delete": (_CONDITION + "Delete the matches", ("_count",), ("If-Match",), ("204",)),
    "history-instance": ("Versions of a resource", _HISTORY, (), ("200",)),
    "history-type": ("Versions of resources of a type", _HISTORY, (), ("200",)),
    "history-system": ("Versions of all resources", _HISTORY, (), ("200",)),
    "search-type": ("Search a type", _SEARCH, ("Prefer",), ("200",)),
    "search-system": ("Search several or all types", ("_type", *_SEARCH), ("Prefer",), ("200",)),
    "search-compartment": ("Search a compartment", _SEARCH, ("Prefer",), ("200",)),
    "transaction": ("Run a batch or transaction Bundle", _WRITE, ("Prefer",), ("200",)),
    "capabilities": ("What this server offers", (*_READ, "mode"), ("If-None-Match",), ("200", "304")),
    "openapi": ("This description", (), (), ("200",)),
}
_TEXTS = {
    "_format": "Format of the answer: json or xml",
    "_pretty": "Indent the answer",
    "_summary": "Only a part of each resource",
    "_elements": "Only these elements, separated by commas",
    "_count": "Resources on a page",
    "_sort": "Search parameters to sort by, separated by commas, - before those that descend",
    "_total": "Whether to count all matches",
    "_include": "Also resources that the matches refer to: Type:parameter",
    "_revinclude": "Also resources that refer to the matches: Type:parameter",
    "_has": "Condition on resources that refer here; written _has:Type:reference:parameter",
    "_id": "Logical ids, separated by commas",
    "_lastUpdated": "When the current version was made, with a prefix (ge2026-01-01)",
    "_type": "Resource types, separated by commas",
    "_since": "Only versions made at or after this instant",
    "_at": "Only versions that were current at some moment of this time",
    "mode": "full, normative or terminology",
}
_ENUMS = {
    "_summary": ["true", "text", "data", "count", "false"],
    "_total": ["none", "estimate", "accurate"],
    "mode": ["full", "normative", "terminology"],
}
_HEADER_TEXTS = {
    "If-Match": 'The write happens only on this version: W/"3"',
    "If-None-Match": "Read: 304 for this version. Write: * refuses to change what exists",
    "If-Modified-Since": "304 unless changed since",
    "If-None-Exist": "Search criteria; nothing is created where they find one resource",
    "Prefer": "return=minimal, representation or OperationOutcome; handling=strict or lenient",
}
_BODIES = {"POST": "Resource", "PUT": "Resource", "PATCH": "Patch"}

_texts: dict[tuple[int, str], tuple[object, bytes]] = {}


async def openapi(request: Request, context: Context) -> Response:
    """``GET [base]/openapi.json``."""
    key = (id(context.routes), request.base_url)
    found = _texts.get(key)
    if found is None:
        if len(_texts) >= 16:  # the Host header may vary without bound
            _texts.clear()
        found = _texts[key] = (context.routes, encode(document(context, request.base_url)))
    tag = f'"{hashlib.blake2b(found[1], digest_size=8).hexdigest()}"'
    if request.headers.get("if-none-match") == tag:
        return Response(304, headers=[("ETag", tag)])
    return Response(200, found[1], headers=[("ETag", tag)], content_type="application/json")


def document(context: Context, base_url: str) -> dict[str, Any]:
    """The OpenAPI document of the server at ``base_url``."""
    paths: dict[str, dict[str, Any]] = {}
    for route in context.routes.routes:
        paths.setdefault(f"/{route.shape}", {})[route.method.lower()] = _route(route)
    for operation in context.routes.operations:
        for path in _operation_paths(operation):
            for method in ("get", "post") if operation.get else ("post",):
                paths.setdefault(path, {})[method] = _operation(operation, path, method)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Yidang 一档 FHIR R4 API",
            "version": version("yidang"),
            "description": "The CapabilityStatement at /metadata says more: every search parameter of every type.",
        },
        "servers": [{"url": base_url or "/fhir"}],
        "paths": paths,
        "components": _components(sorted(context.definitions.resource_types), sorted(context.definitions.compartments)),
    }


def _ref(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}


def _path_parameters(path: str) -> list[dict[str, str]]:
    return [_ref("parameters", name) for name in ("type", "id", "version", "compartment") if f"{{{name}}}" in path]


def _route(route: Route) -> dict[str, Any]:
    summary, query, headers, statuses = _ROUTES.get(route.name, (route.name, (), (), ("200",)))
    parameters = _path_parameters(route.shape)
    form = route.shape.endswith("_search")
    parameters += [_ref("parameters", name) for name in query] + [_ref("parameters", name) for name in headers]
    found: dict[str, Any] = {
        "operationId": f"{route.name}-{route.method.lower()}" if form else route.name,
        "summary": summary,
        "tags": ["system" if "{type}" not in route.shape else "resources"],
        "parameters": parameters,
        "responses": {status: _ref("responses", f"s{status}") for status in statuses}
        | {"4XX": _ref("responses", "refused"), "5XX": _ref("responses", "failed")},
    }
    if form:
        found["requestBody"] = _ref("requestBodies", "Search")
    elif route.name == "transaction":
        found["requestBody"] = _ref("requestBodies", "Bundle")
    elif route.method in _BODIES:
        found["requestBody"] = _ref("requestBodies", _BODIES[route.method])
    return {key: value for key, value in found.items() if value != []}


def _operation_paths(operation: Operation) -> list[str]:
    types = sorted(operation.types) or ["{type}"]
    paths = [f"/${operation.code}"] if operation.system else []
    for name in types:
        if operation.type:
            paths.append(f"/{name}/${operation.code}")
        if operation.instance:
            paths.append(f"/{name}/{{id}}/${operation.code}")
        if operation.version:
            paths.append(f"/{name}/{{id}}/_history/{{version}}/${operation.code}")
    return paths


def _operation(operation: Operation, path: str, method: str) -> dict[str, Any]:
    place = path.strip("/").replace("{", "").replace("}", "").replace("/", "-").replace("$", "")
    found: dict[str, Any] = {
        "operationId": f"{place}-{method}",
        "summary": f"Operation ${operation.code}",
        "tags": ["operations"],
        "externalDocs": {"url": operation.definition},
        "parameters": [*_path_parameters(path), _ref("parameters", "_format")],
        "responses": {
            "200": _ref("responses", "s200"),
            "4XX": _ref("responses", "refused"),
            "5XX": _ref("responses", "failed"),
        },
    }
    if method == "post":
        found["requestBody"] = {**_body("Resource", required=False), "description": "Parameters, or a resource"}
    return found


def _content(schema: str) -> dict[str, Any]:
    return {kind: {"schema": _ref("schemas", schema)} for kind in (FHIR_JSON, FHIR_XML)}


def _body(schema: str, required: bool = True) -> dict[str, Any]:
    return {"required": required, "content": _content(schema)}


def _components(types: list[str], compartments: list[str]) -> dict[str, Any]:
    def path_parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
        return {"name": name, "in": "path", "required": True, "schema": schema}

    id_schema = {"type": "string", "pattern": "^[A-Za-z0-9\\-.]{1,64}$"}
    parameters: dict[str, Any] = {
        "type": path_parameter("type", {"type": "string", "enum": types}),
        "id": path_parameter("id", id_schema),
        "version": path_parameter("version", id_schema),
        "compartment": {
            **path_parameter("compartment", {"type": "string"}),
            "description": f"A resource type or *; type is one of {', '.join(compartments)}",
        },
    }
    for name, text in _TEXTS.items():
        schema = {"type": "string"} | ({"enum": _ENUMS[name]} if name in _ENUMS else {})
        parameters[name] = {"name": name, "in": "query", "description": text, "schema": schema}
    for name, text in _HEADER_TEXTS.items():
        parameters[name] = {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}
    return {
        "parameters": parameters,
        "schemas": {name: _schema(name) for name in ("Resource", "Bundle", "OperationOutcome", "JsonPatch")},
        "requestBodies": {
            "Resource": _body("Resource"),
            "Bundle": _body("Bundle"),
            "Patch": {
                "required": True,
                "content": {JSON_PATCH: {"schema": _ref("schemas", "JsonPatch")}, **_content("Resource")},
            },
            "Search": {
                "required": True,
                "content": {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}},
            },
        },
        "responses": {
            "s200": {"description": "Done", "content": _content("Resource")},
            "s201": {"description": "Created", "content": _content("Resource")},
            "s204": {"description": "Done, nothing to show"},
            "s304": {"description": "Not modified"},
            "refused": {
                "description": "Refused: the OperationOutcome says why",
                "content": _content("OperationOutcome"),
            },
            "failed": {"description": "The server failed", "content": _content("OperationOutcome")},
        },
    }


def _schema(name: str) -> dict[str, Any]:
    if name == "JsonPatch":
        return {"type": "array", "items": {"type": "object", "required": ["op", "path"]}}
    kind: dict[str, Any] = {"type": "string"} if name == "Resource" else {"const": name}
    return {
        "type": "object",
        "description": f"A FHIR R4 {name}" if name != "Resource" else "Any FHIR R4 resource",
        "required": ["resourceType"],
        "properties": {"resourceType": kind},
    }
