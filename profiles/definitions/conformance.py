"""Compile what validation against profiles needs: StructureDefinitions, in brief.

https://hl7.org/fhir/R4/structuredefinition.html. Types keep their snapshot, profiles and extensions only their
differential (snapshots are made from these).
"""

from __future__ import annotations

from typing import Any

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
