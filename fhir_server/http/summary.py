"""``_summary`` and ``_elements``: a part of a resource, marked SUBSETTED, with what is mandatory kept.

https://hl7.org/fhir/R4/search.html#summary, https://hl7.org/fhir/R4/search.html#elements
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fhir_server.errors import BadRequest
from profiles.definitions import Definitions, ElementDef
from profiles.lossless import encode, parse

SUMMARIES = ("true", "text", "data", "count", "false")
SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
_ALWAYS = frozenset({"resourceType", "id", "meta"})
_MODIFYING = frozenset({"modifierExtension", "implicitRules"})

Subsetter = Callable[[bytes], bytes]


def subsetter(summary: str | None, elements: tuple[str, ...], definitions: Definitions) -> Subsetter | None:
    """The function from a resource's JSON text to that of the wanted part; None when the whole is wanted."""
    if summary in ("true", "text", "data"):
        kind = summary
        return lambda body: encode(summarised(parse(body), kind, definitions))
    if elements:
        names = frozenset(elements)
        return lambda body: encode(only_elements(parse(body), names, definitions))
    return None


def wanted_part(pairs: list[tuple[str, str]], definitions: Definitions) -> Subsetter | None:
    """The subsetter that ``_summary`` or ``_elements`` of a read ask for.

    Raises BadRequest for an unknown ``_summary`` or both at once.
    """
    summary = next((value for name, value in pairs if name == "_summary"), None)
    elements = element_names(value for name, value in pairs if name == "_elements")
    if summary is not None and summary not in SUMMARIES:
        raise BadRequest(f"_summary must be one of {', '.join(SUMMARIES)}, not '{summary}'", "http._summary")
    if summary not in (None, "false") and elements:
        raise BadRequest("_summary and _elements exclude each other", "http._elements")
    return subsetter(summary, elements, definitions)


def element_names(values: Any) -> tuple[str, ...]:
    """The names of ``_elements`` values: separated by commas."""
    return tuple(name.strip() for value in values for name in value.split(",") if name.strip())


def summarised(resource: dict[str, Any], summary: str, definitions: Definitions) -> dict[str, Any]:
    """The part of ``resource`` for ``_summary`` true, text or data."""
    if summary == "data":
        kept = {key: value for key, value in resource.items() if key not in ("text", "_text")}
    elif summary == "text":
        known = definitions.type(resource["resourceType"]).elements
        kept = {key: value for key, value in resource.items() if key == "text" or _needed(key, known)}
    else:
        kept = _summary_of(resource, resource["resourceType"], definitions)
    return _tagged(kept)


def only_elements(resource: dict[str, Any], names: frozenset[str], definitions: Definitions) -> dict[str, Any]:
    """The part of ``resource`` with the top-level elements ``names`` (``value`` stands for ``value[x]``)."""
    type_name = resource["resourceType"]
    known = definitions.type(type_name).elements
    plain = {
        name.partition(".")[2] if name.startswith(f"{type_name}.") else name
        for name in names
        if "." not in name or name.startswith(f"{type_name}.")
    }
    plain = {name.removesuffix("[x]").partition(".")[0] for name in plain}

    def wanted(key: str) -> bool:
        bare = key.removeprefix("_")
        element = known.get(bare)
        return bare in plain or (element is not None and element.name in plain) or _needed(key, known)

    return _tagged({key: value for key, value in resource.items() if wanted(key)})


def _needed(key: str, known: dict[str, ElementDef]) -> bool:
    if key in _ALWAYS:
        return True
    element = known.get(key.removeprefix("_"))
    return element is not None and (element.min > 0 or element.key in _MODIFYING)


def _summary_of(value: dict[str, Any], type_name: str, definitions: Definitions) -> dict[str, Any]:
    known = definitions.type(type_name).elements
    kept: dict[str, Any] = {}
    for key, item in value.items():
        element = known.get(key.removeprefix("_"))
        if _needed(key, known) or (element is not None and element.summary):
            inner = item if key.startswith("_") or element is None else _inner(item, element, definitions)
            if inner or inner is False or inner == 0:
                kept[key] = inner
            elif _needed(key, known):
                kept[key] = item
    return kept


def _inner(item: Any, element: ElementDef, definitions: Definitions) -> Any:
    # Whole: data types that have no summary elements of their own, resources in Bundles, extensions.
    if element.primitive or element.type in ("Resource", "Extension", "Meta"):
        return item
    if not any(part.summary for part in definitions.type(element.type).elements.values()):
        return item
    if isinstance(item, list):
        parts = [_summary_of(one, element.type, definitions) for one in item if isinstance(one, dict)]
        return [part for part in parts if part]
    return _summary_of(item, element.type, definitions)


def _tagged(resource: dict[str, Any]) -> dict[str, Any]:
    meta = resource.get("meta", {})
    tags = meta.get("tag", [])
    if any(tag.get("code") == "SUBSETTED" and tag.get("system") == SUBSETTED["system"] for tag in tags):
        return resource
    tagged = {**meta, "tag": [*tags, SUBSETTED]}
    if "meta" in resource:
        return {**resource, "meta": tagged}
    head: dict[str, Any] = {key: resource[key] for key in ("resourceType", "id") if key in resource}
    return {**head, "meta": tagged, **resource}
