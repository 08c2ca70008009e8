"""The functions that FHIR adds to FHIRPath.

https://hl7.org/fhir/R4/fhirpath.html#functions
"""

from __future__ import annotations

from typing import Any

from profiles.definitions import load
from profiles.fhirpath.errors import FhirPathError
from profiles.fhirpath.functions.signature import Args, Function, Table, text_argument, text_input
from profiles.fhirpath.model import UNTYPED, Items, Node, children, is_type, shape_of_resource
from profiles.fhirpath.results import plain
from profiles.fhirpath.scope import Scope, single
from profiles.fhirpath.values import system

_BASE = "http://hl7.org/fhir/StructureDefinition/"


def _extension(items: Items, args: Args, scope: Scope) -> Items:
    url = text_argument(args, 0, scope, "extension()")
    found: Items = []
    for item in items:
        if item.__class__ is Node and "extension" in item.content:
            children(item, "extension", found)
    scope.run.spend(len(found))
    return [node for node in found if isinstance(node.value, dict) and node.value.get("url") == url]


def _has_value(items: Items, args: Args, scope: Scope) -> Items:
    return [len(items) == 1 and _primitive_value(items[0]) is not None]


def _get_value(items: Items, args: Args, scope: Scope) -> Items:
    value = _primitive_value(items[0]) if len(items) == 1 else None
    return [] if value is None else [value]


def _primitive_value(item: Any) -> Any:
    if item.__class__ is Node and item.shape.system is None:
        return None
    return system(item)


def _resolve(items: Items, args: Args, scope: Scope) -> Items:
    out: Items = []
    for item in items:
        scope.run.spend(1)
        value = item.value if item.__class__ is Node else item
        reference = value.get("reference") if isinstance(value, dict) else value
        if isinstance(reference, str):
            target = _target(reference, item, scope)
            if target is not None:
                out.append(target)
    return out


def _target(reference: str, item: Any, scope: Scope) -> Node | None:
    """What a reference points at: contained, in the same Bundle, or what the caller's ``resolve`` finds."""
    start = item if isinstance(item, Node) else scope.run.context
    if reference.startswith("#"):
        return _contained(reference[1:], start)
    entry = _entries(start, scope).get(reference)
    if entry is not None:
        return entry
    resolve = scope.run.resolve
    if resolve is not None:
        found = resolve(reference)
        return None if found is None else Node(found, shape_of_resource(found))
    # Nobody to ask: a literal reference still tells the type (`where(resolve() is Patient)`).
    parts = reference.partition("?")[0].split("/")
    if "_history" in parts:
        parts = parts[: parts.index("_history")]
    if len(parts) < 2 or parts[-2] not in load().resource_types:
        return None
    stub = {"resourceType": parts[-2], "id": parts[-1]}
    return Node(stub, shape_of_resource(stub))


def _entries(node: Node, scope: Scope) -> dict[str, Node]:
    """The resources of the Bundle that the node stands in, by full URL and by ``Type/id``."""
    found = scope.run.entries
    if found is None:
        found = scope.run.entries = {}
        top = node
        while top.parent is not None:
            top = top.parent
        if top.shape.name == "Bundle":
            entries: Items = []
            children(top, "entry", entries)
            scope.run.spend(len(entries))
            for entry in entries:
                inner: Items = []
                children(entry, "resource", inner)
                for resource in inner:
                    url, key = entry.content.get("fullUrl"), _resource_key([resource], (), scope)
                    found.update({str(name): resource for name in (url, *key) if name})
    return found


def _contained(name: str, node: Node) -> Node | None:
    holder = node.resource()
    if holder.name == "contained" and holder.parent is not None:
        holder = holder.parent.resource()
    if not name:
        return holder
    inner: Items = []
    children(holder, "contained", inner)
    return next((n for n in inner if isinstance(n.value, dict) and n.value.get("id") == name), None)


def _member_of(items: Items, args: Args, scope: Scope) -> Items:
    url = text_argument(args, 0, scope, "memberOf()")
    item = single(items, "memberOf()")
    if item is None or url is None:
        return []
    ask = scope.run.environment.member_of
    value = plain(item)
    verdict = ask(value, url) if ask is not None else _enumerated(value, url)
    return [] if verdict is None else [verdict]


def _enumerated(value: Any, url: str) -> bool | None:
    """Membership in a value set of R4 that can be enumerated; None where it cannot."""
    systems = load().codings(url)
    if systems is None:
        return None
    if isinstance(value, str):
        return any(value in codes for codes in systems.values())
    if not isinstance(value, dict):
        return None
    codings = value.get("coding", [value])
    return isinstance(codings, list) and any(
        isinstance(coding, dict) and coding.get("code") in systems.get(str(coding.get("system")), ())
        for coding in codings
    )


def _conforms_to(items: Items, args: Args, scope: Scope) -> Items:
    url = text_argument(args, 0, scope, "conformsTo()")
    item = single(items, "conformsTo()")
    if item is None or url is None:
        return []
    ask = scope.run.environment.conforms_to
    if ask is not None:
        verdict = ask(plain(item), url)
        return [] if verdict is None else [verdict]
    name = url.removeprefix(_BASE)
    if name == url or not is_type(name):
        raise FhirPathError(f"the profile '{url}' is not known here")
    return [isinstance(item, Node) and name in item.shape.lineage]


def _html_checks(items: Items, args: Args, scope: Scope) -> Items:
    text = text_input(items, "htmlChecks()")
    if text is None:
        return []
    # Imported late: the structural validator, which owns this check, may itself evaluate invariants.
    from profiles.structure.narrative import check_narrative

    scope.run.spend(len(text) >> 4)
    return [check_narrative(text) is None]


def _check_modifiers(items: Items, args: Args, scope: Scope) -> Items:
    """The input, if it has no modifier extension but those named."""
    allowed = {text_argument(args, place, scope, "checkModifiers()") for place in range(len(args))}
    found: Items = []
    for item in items:
        if item.__class__ is Node:
            children(item, "modifierExtension", found)
    if any(node.value.get("url") not in allowed for node in found if isinstance(node.value, dict)):
        raise FhirPathError("there is a modifier extension that is not understood")
    return items


def _resource_key(items: Items, args: Args, scope: Scope) -> Items:
    """``Type/id`` of each resource, as SQL on FHIR joins by."""
    return [
        f"{node.value['resourceType']}/{node.value['id']}"
        for node in items
        if node.__class__ is Node and node.shape is not UNTYPED and {"resourceType", "id"} <= node.content.keys()
    ]


TABLE: Table = {
    "extension": Function(_extension, 1, 1),
    "hasValue": Function(_has_value),
    "getValue": Function(_get_value),
    "resolve": Function(_resolve),
    "memberOf": Function(_member_of, 1, 1),
    "conformsTo": Function(_conforms_to, 1, 1),
    "htmlChecks": Function(_html_checks),
    "checkModifiers": Function(_check_modifiers, 0, 16),
    "getResourceKey": Function(_resource_key),
}
