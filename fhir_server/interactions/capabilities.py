"""FHIR capabilities interaction: the CapabilityStatement, generated from what is really registered.

https://hl7.org/fhir/R4/http.html#capabilities, https://hl7.org/fhir/R4/capabilitystatement.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fhir_server.errors import BadRequest, NotSupported
from fhir_server.http.exchange import Request, Response
from fhir_server.http.negotiate import FHIR_JSON, FHIR_XML, JSON_PATCH, MERGE_PATCH
from fhir_server.http.routes import Operation, Routes
from fhir_server.http.summary import wanted_part
from fhir_server.interactions.terminology_capabilities import terminology_capabilities
from fhir_server.search.context import UnknownParameter
from fhir_server.search.parse import parse
from fhir_server.search.plan import Indexed
from fhir_server.search.types import date, number, quantity, reference, special, string, token, uri
from fhir_server.terminology import aside
from profiles.lossless import encode

if TYPE_CHECKING:
    from fhir_server.context import Context
    from fhir_server.search.extract import Extractor

RELEASED = "2026-11-22"  # of the software: the statement may change only with it or with custom parameters
_RESOURCE_INTERACTIONS = (
    "read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create", "search-type",
)  # fmt: skip
_SYSTEM_INTERACTIONS = ("transaction", "batch", "search-system", "history-system")
GUIDE = "urn:yidang:guide:alliance"  # its profiles are always in force (profiles.alliance)
_MODES = ("full", "normative", "terminology")
MODIFIERS: dict[str, tuple[str, ...]] = {
    "number": number.MODIFIERS,
    "date": date.MODIFIERS,
    "string": string.MODIFIERS,
    "token": token.MODIFIERS,
    "reference": reference.MODIFIERS,
    "composite": ("missing",),
    "quantity": quantity.MODIFIERS,
    "uri": uri.MODIFIERS,
    "special": special.MODIFIERS,
}
_PREFIXED = frozenset({"number", "date", "quantity"})
_RESULT_PARAMETERS = (
    ("_has", "special", "Resources that others refer to: _has:[type]:[reference]:[parameter], nested and in chains"),
    ("_list", "special", "Resources that are entries of the List with this id"),
    ("_type", "special", "System searches: only these types"),
    ("_filter", "special", "A filter expression"),
)


async def capabilities(request: Request, context: Context) -> Response:
    """``GET [base]/metadata``: the statement, 304 where the client has it.

    ``mode=terminology`` gives the TerminologyCapabilities; an unknown mode raises BadRequest.
    """
    mode = request.param("mode") or "full"
    if mode not in _MODES:
        raise BadRequest(f"mode must be {', '.join(_MODES)}, not '{mode}'", "http.mode", code="value")
    if mode == "terminology":
        told = await aside(terminology_capabilities, context, request.base_url, RELEASED)
        body = encode(told)
    else:
        body = _text(context, request.base_url)
    part = wanted_part([pair for pair in request.query if pair[0] != "mode"], context.definitions)
    if part is not None:
        body = part(body)
    tag = f'W/"{hashlib.blake2b(body, digest_size=8).hexdigest()}"'
    headers = [("ETag", tag)]
    known = {name.strip() for name in request.headers.get("if-none-match", "").split(",")}
    if tag in known or "*" in known:
        return Response(304, headers=headers)
    return Response(200, body, headers=headers)


_Params = Mapping[str, Mapping[str, Indexed]]

_texts: dict[tuple[int, int, int, int, str], tuple[object, bytes]] = {}


def _text(context: Context, base_url: str) -> bytes:
    """The statement's JSON, kept as long as the routes, the search parameters and the profiles are the same."""
    profiles = context.profiles.current() if context.profiles is not None else None
    key = (id(context.routes), id(context.extractor), context.extractor.generation, id(profiles), base_url)
    found = _texts.get(key)
    if found is None:
        if len(_texts) >= 16:  # the Host header may vary without bound
            _texts.clear()
        # The tables are kept with the text, so that their ids cannot be given to others meanwhile.
        found = _texts[key] = ((context.routes, context.extractor, profiles), encode(statement(context, base_url)))
    return found[1]


def statement(context: Context, base_url: str) -> dict[str, Any]:
    """The CapabilityStatement of the server at ``base_url``."""
    types = sorted(context.definitions.resource_types)
    offered = _Offered(context.extractor)
    params = {name: _searchable(context.extractor.indexed(name), offered) for name in types}
    for name, apart in context.routes.apart.items():
        params[name] = {code: param for code, param in params[name].items() if code in apart.parameters}
    names = context.routes.names()
    return {
        "resourceType": "CapabilityStatement",
        "id": "yidang",
        "url": f"{base_url}/metadata",
        "version": version("yidang"),
        "name": "Yidang",
        "title": "Yidang 一档: FHIR R4 server of a county medical alliance",
        "status": "active",
        "date": RELEASED,
        "publisher": "Yidang",
        "description": "What this server really offers, generated from its tables of routes and search parameters.",
        "kind": "instance",
        "software": {"name": "Yidang", "version": version("yidang"), "releaseDate": RELEASED},
        "implementation": {"description": "Yidang 一档", "url": base_url},
        "fhirVersion": "4.0.1",
        "implementationGuide": [GUIDE],
        "format": [FHIR_JSON, FHIR_XML, "json", "xml"],
        "patchFormat": [JSON_PATCH, MERGE_PATCH, FHIR_JSON, FHIR_XML],
        "rest": [
            {
                "mode": "server",
                "security": _security(context, base_url),
                "resource": [_resource(name, params, offered, context) for name in types],
                "interaction": [{"code": code} for code in _SYSTEM_INTERACTIONS if code in _offered(names)],
                "searchParam": _common(params, offered),
                "operation": _operations(context.routes, "system", ""),
                "compartment": [
                    f"http://hl7.org/fhir/CompartmentDefinition/{name[0].lower()}{name[1:]}"
                    for name in sorted(context.definitions.compartments)
                ],
            }
        ],
    }


def _security(context: Context, base_url: str) -> dict[str, Any]:
    """How a client gets in. https://hl7.org/fhir/smart-app-launch/conformance.html"""
    cors = bool(context.settings.cors_origin)
    if context.settings.open:
        return {"cors": cors, "description": "Development mode: everything is open."}
    root = base_url.removesuffix("/fhir")
    places = {"authorize": "authorize", "token": "token", "revoke": "revoke", "introspect": "introspect"}
    return {
        "extension": [
            {
                "url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
                "extension": [{"url": name, "valueUri": f"{root}/auth/{path}"} for name, path in places.items()],
            }
        ],
        "cors": cors,
        "service": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                        "code": "SMART-on-FHIR",
                        "display": "SMART-on-FHIR",
                    }
                ],
                "text": "OAuth2 (SMART App Launch 2): see .well-known/smart-configuration",
            }
        ],
        "description": "Access is decided for each request by the token's scopes and the resident's consent.",
    }


def _offered(names: set[str]) -> set[str]:
    """The interaction codes; batch and transaction come by one route."""
    return names | {"batch", "transaction"} if names & {"batch", "transaction", "bundle"} else names


def _searchable(params: Mapping[str, Indexed], offered: _Offered) -> dict[str, Indexed]:
    """The parameters that a search takes, sorted (``_query`` names queries that no server has by itself)."""
    return {code: params[code] for code in sorted(params) if code[0] != "_" or offered.takes(params[code])}


def _resource(name: str, params: _Params, offered: _Offered, context: Context) -> dict[str, Any]:
    names, apart = context.routes.names(name), name in context.routes.apart
    profiles = context.profiles.current().supported.get(name, []) if context.profiles is not None else []
    conditional_delete = "multiple" if context.settings.delete_max > 1 else "single"
    if "conditional-delete" not in names:
        conditional_delete = "not-supported"
    found = {
        "type": name,
        "profile": f"http://hl7.org/fhir/StructureDefinition/{name}",
        "supportedProfile": profiles,
        "interaction": [{"code": code} for code in _RESOURCE_INTERACTIONS if code in names],
        "versioning": "versioned-update" if "update" in names else "versioned",
        "readHistory": "vread" in names,
        "updateCreate": "update" in names,
        "conditionalCreate": "create" in names and not apart,
        "conditionalRead": "full-support" if "read" in names and not apart else "not-supported",
        "conditionalUpdate": "conditional-update" in names,
        "conditionalDelete": conditional_delete,
        "referencePolicy": ["literal", "logical", "enforced" if context.settings.referential_integrity else "local"],
        "searchInclude": [] if apart else ["*", *_pointing_from(name, params)],
        "searchRevInclude": [] if apart else _pointing_to(name, params),
        "searchParam": [_parameter(p, offered) for p in params[name].values()],
    }
    found["operation"] = _operations(context.routes, "", name)
    return {key: value for key, value in found.items() if value != []}


def _pointing_from(name: str, params: _Params) -> list[str]:
    return [f"{name}:{code}" for code, param in sorted(params[name].items()) if param.kind == "reference"]


def _pointing_to(name: str, params: _Params) -> list[str]:
    return [
        f"{other}:{code}"
        for other, of_type in params.items()
        for code, param in of_type.items()
        if param.kind == "reference" and name in param.targets
    ]


def _parameter(param: Indexed, offered: _Offered) -> dict[str, Any]:
    return {
        "name": param.code,
        "definition": param.definition.url,
        "type": param.kind,
        "documentation": _documentation(param, offered(param)),
    }


def _documentation(param: Indexed, modifiers: tuple[str, ...]) -> str:
    """What the parameter finds, its modifiers and prefixes, and where a chain may go on."""
    parts = [" ".join(param.definition.description.split()).rstrip(".")[:200] + "."]
    named = [f":{name}" for name in modifiers if name != "[type]" or len(param.targets) > 1]
    if named:
        parts.append(f"Modifiers: {', '.join(named)}.")
    if param.kind in _PREFIXED:
        parts.append("Prefixes: eq, ne, gt, lt, ge, le, sa, eb, ap.")
    if param.kind == "reference" and param.targets:
        shown = "any type" if len(param.targets) > 20 else ", ".join(param.targets)
        parts.append(f"Chains: any search parameter of {shown}, to any depth.")
    return " ".join(parts)


class _Offered:
    """Which modifiers a search really takes, found by asking its parser once for each kind of parameter."""

    def __init__(self, extractor: Extractor) -> None:
        self._extractor = extractor
        self._known: dict[str, tuple[str, ...]] = {}

    def __call__(self, param: Indexed) -> tuple[str, ...]:
        """The modifiers of ``param``; parameters of all resources (``_id`` …) have their own."""
        coded = not param.types or not param.types.isdisjoint(token.CODED)
        key = param.code if param.code[0] == "_" else f"{param.kind} {'Identifier' in param.types} {coded}"
        found = self._known.get(key)
        if found is None:
            wanted = MODIFIERS[param.kind]
            found = self._known[key] = tuple(m for m in wanted if m == "[type]" or self.takes(param, f":{m}"))
        return found

    def takes(self, param: Indexed, modifier: str = "") -> bool:
        """Whether the parser takes the parameter with the modifier (it may still dislike the value)."""
        value = "true" if modifier == ":missing" else "1"
        try:
            parse((param.type,), [(param.code + modifier, value)], self._extractor)
        except (NotSupported, UnknownParameter):
            return False
        except BadRequest:
            return True
        return True


def _common(params: _Params, offered: _Offered) -> list[dict[str, Any]]:
    """The parameters of system searches: those that every type has."""
    shared = set.intersection(*(set(of_type) for of_type in params.values()))
    first = next(iter(params.values()))
    found = [_parameter(first[code], offered) for code in sorted(shared)]
    known = {item["name"] for item in found}
    return found + [
        {"name": name, "type": kind, "documentation": text}
        for name, kind, text in _RESULT_PARAMETERS
        if name not in known
    ]


def _operations(routes: Routes, level: str, type_name: str) -> list[dict[str, Any]]:
    """The operations of the system level, or those of a type (its type and instance levels)."""

    def has(operation: Operation) -> bool:
        if level == "system":
            return operation.system
        return operation.offered("type", type_name) or operation.offered("instance", type_name)

    found: dict[str, dict[str, Any]] = {}
    for operation in routes.operations:
        if has(operation):
            found.setdefault(operation.code, {"name": operation.code, "definition": operation.definition})
    return list(found.values())
