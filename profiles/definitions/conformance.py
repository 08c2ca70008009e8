"""Compile what validation against profiles needs: StructureDefinitions, code systems and value sets, in brief.

https://hl7.org/fhir/R4/structuredefinition.html, https://hl7.org/fhir/R4/valueset.html. Types keep their snapshot,
profiles and extensions only their differential (snapshots are made from these). Of code systems that are not HL7's
own no codes are kept: a value set that lists them says only that it does (``foreign``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from profiles.definitions.valuesets import OWN_SYSTEMS

Resource = dict[str, Any]

_STRUCTURE = ("url", "version", "name", "status", "kind", "abstract", "context", "contextInvariant", "type")
_STRUCTURE_END = ("baseDefinition", "derivation")
_ELEMENT = [
    "id",
    "path",
    "sliceName",
    "slicing",
    "min",
    "max",
    "base",
    "contentReference",
    "type",
    "maxLength",
    "isModifier",
    "mustSupport",
]
_BEST_PRACTICE = "http://hl7.org/fhir/StructureDefinition/elementdefinition-bestpractice"


def structures(found: dict[str, Resource]) -> dict[str, Resource]:
    """Per URL each StructureDefinition without its texts."""
    return {url: _structure(found[url]) for url in sorted(found)}


def _structure(definition: Resource) -> Resource:
    out = {"resourceType": "StructureDefinition"} | {
        key: definition[key] for key in (*_STRUCTURE, *_STRUCTURE_END) if key in definition
    }
    view = "differential" if definition.get("derivation") == "constraint" else "snapshot"
    out[view] = {"element": [_element(element, view) for element in definition[view]["element"]]}
    return out


def _element(element: Resource, view: str) -> Resource:
    out = {key: element[key] for key in _ELEMENT if key in element}
    if view == "snapshot":
        out.pop("id", None)  # the path again
        out.pop("base", None)
    for key, value in element.items():
        if key.startswith(("fixed", "pattern", "minValue", "maxValue")):
            out[key] = value
    if "binding" in element:
        binding = element["binding"]
        out["binding"] = {key: binding[key] for key in ("strength", "valueSet") if key in binding}
    constraints = [_constraint(c) for c in element.get("constraint", ()) if c["key"] != "ele-1"]
    if constraints:
        out["constraint"] = constraints
    return out


def _constraint(constraint: Resource) -> Resource:
    out: Resource = {k: constraint[k] for k in ("key", "severity", "human", "expression", "source") if k in constraint}
    if any(e["url"] == _BEST_PRACTICE and e.get("valueBoolean") for e in constraint.get("extension", ())):
        out["extension"] = [{"url": _BEST_PRACTICE, "valueBoolean": True}]
    return out


def code_systems(found: dict[str, Resource]) -> dict[str, list[Any]]:
    """Per URL of HL7's own code systems: [version, content, case sensitive, [[code, display, children], …]]."""
    return {
        url: [
            found[url].get("version", ""),
            found[url].get("content", ""),
            found[url].get("caseSensitive", True),
            _concepts(found[url].get("concept", ())),
        ]
        for url in sorted(found)
        if url.startswith(OWN_SYSTEMS)
    }


def _concepts(concepts: Iterable[Resource]) -> list[list[Any]]:
    return [[c["code"], c.get("display", ""), *([_concepts(c["concept"])] if "concept" in c else [])] for c in concepts]


def value_sets(found: dict[str, Resource]) -> dict[str, Resource]:
    """Per URL the version and compose of each value set; what it includes of others' systems is only named."""
    return {url: _value_set(found[url]) for url in sorted(found)}


def _value_set(valueset: Resource) -> Resource:
    compose = valueset.get("compose", {})
    out: Resource = {"version": valueset.get("version", "")}
    for part in ("include", "exclude"):
        if part in compose:
            out[part] = [_included(include) for include in compose[part]]
    return out


def _included(include: Resource) -> Resource:
    out: Resource = {key: include[key] for key in ("system", "version", "valueSet", "filter") if key in include}
    if "concept" in include:
        if include.get("system", "").startswith(OWN_SYSTEMS):
            out["concept"] = [concept["code"] for concept in include["concept"]]
        else:
            out["foreign"] = True
    return out
