"""The ``%variables`` that FHIR defines, and those that the caller gives.

https://hl7.org/fhir/R4/fhirpath.html#variables
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from profiles.fhirpath.errors import FhirPathError
from profiles.fhirpath.model import UNTYPED, Items, Node, shape, shape_of_resource
from profiles.fhirpath.scope import Run

_CONSTANTS = {
    "sct": "http://snomed.info/sct",
    "loinc": "http://loinc.org",
    "ucum": "http://unitsofmeasure.org",
}
_PREFIXES = {
    "vs-": "http://hl7.org/fhir/ValueSet/",
    "ext-": "http://hl7.org/fhir/StructureDefinition/",
}


def _root_resource(run: Run) -> Node:
    """The container of a contained resource, else the resource itself (not the Bundle around it)."""
    resource = run.context.resource()
    if resource.name == "contained" and resource.parent is not None:
        return resource.parent.resource()
    return resource


_NODES: dict[str, Callable[[Run], Node]] = {
    "context": lambda run: run.context,
    "resource": lambda run: run.context.resource(),
    "rootResource": _root_resource,
}


def variable(name: str, run: Run) -> Items:
    """The value of ``%name``; raises FhirPathError if there is none."""
    given = run.environment.variables
    if name in given:
        return as_items(given[name])
    node = _NODES.get(name)
    if node is not None:
        return [node(run)]
    if name in _CONSTANTS:
        return [_CONSTANTS[name]]
    for prefix, url in _PREFIXES.items():
        if name.startswith(prefix):
            return [url + name.removeprefix(prefix)]
    raise FhirPathError(f"there is no variable '%{name}'")


def as_items(value: Any) -> Items:
    """A caller's value as a collection: resources become nodes, None is empty, a list is its items."""
    if value is None:
        return []
    if isinstance(value, list):
        return [item for one in value for item in as_items(one)]
    return [node_of(value)] if isinstance(value, dict) else [value]


def node_of(value: dict[str, Any], type_name: str | None = None) -> Node:
    """The node of a resource, or of an element of the type named."""
    if type_name is None:
        return Node(value, shape_of_resource(value))
    try:
        return Node(value, shape(type_name))
    except KeyError:
        return Node(value, UNTYPED)
