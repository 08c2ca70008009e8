"""FHIR values as FHIRPath sees them: nodes that know their type and their place in the resource.

https://hl7.org/fhir/R4/fhirpath.html#types
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, TypeAlias

from profiles.definitions import ElementDef, load
from profiles.fhirpath.quantity import Quantity
from profiles.fhirpath.temporal import Temporal

SYSTEM_TYPES = frozenset(
    {"Any", "Boolean", "String", "Integer", "Decimal", "Date", "DateTime", "Time", "Quantity", "SimpleTypeInfo"}
)
_PRIMITIVE_SYSTEM = {
    "boolean": "Boolean",
    "integer": "Integer",
    "unsignedInt": "Integer",
    "positiveInt": "Integer",
    "decimal": "Decimal",
    "date": "Date",
    "dateTime": "DateTime",
    "instant": "DateTime",
    "time": "Time",
}
_ABSTRACT = frozenset({"Resource", "DomainResource"})


class Shape:
    """A type, ready for walking: ``members`` by FHIRPath name, ``by_key`` by JSON key.

    ``system`` names the FHIRPath type of a primitive; ``lineage`` holds the type and its base types.
    """

    __slots__ = ("by_key", "lineage", "members", "name", "order", "primitive", "quantity", "system")

    def __init__(self, name: str, lineage: tuple[str, ...], elements: dict[str, ElementDef]) -> None:
        self.name = name
        self.lineage = frozenset(lineage)
        self.primitive = False
        self.system: str | None = None
        self.quantity = "Quantity" in self.lineage
        self.by_key = {key: Member(element) for key, element in elements.items()}
        self.order = {key: place for place, key in enumerate(elements)}
        self.members: dict[str, dict[str, Member]] = {}
        for member in self.by_key.values():
            self.members.setdefault(member.name, {})[member.key] = member


class Member:
    """An element of a shape under one JSON key."""

    __slots__ = ("_shape", "choice", "companion", "is_list", "key", "name", "primitive", "type")

    def __init__(self, element: ElementDef) -> None:
        self.key = element.key
        self.companion = "_" + element.key
        self.name = element.name
        self.type = element.type
        self.is_list = element.is_list
        self.choice = element.choice
        self.primitive = element.primitive
        self._shape: Shape | None = None

    def shape_of(self, value: Any) -> Shape:
        """The shape of a value of this element: a resource's own type where any resource may stand."""
        found = self._shape
        if found is None:
            if self.type in _ABSTRACT:
                return shape_of_resource(value)
            found = self._shape = shape(self.type)
        return found


@lru_cache(maxsize=1024)
def shape(name: str) -> Shape:
    """The shape of a type of the R4 definitions; raises KeyError if there is none."""
    definition = load().type(name)
    lineage, base = [name], definition.base
    while base:
        lineage.append(base)
        base = load().type(base).base
    if definition.kind == "primitive" and "Element" not in lineage:
        lineage.append("Element")
    found = Shape(name, tuple(lineage), definition.elements)
    found.primitive = definition.kind == "primitive"
    if found.primitive:
        found.system = _PRIMITIVE_SYSTEM.get(name, "String")
    return found


@lru_cache(maxsize=1024)
def is_type(name: str) -> bool:
    """Whether R4 has a type of this name."""
    try:
        load().type(name)
    except KeyError:
        return False
    return True


UNTYPED = Shape("Element", ("Element",), {})
"""The shape of what the definitions do not describe; its members are found by their JSON keys."""


@cache
def _resource_shapes() -> dict[str, Shape | None]:
    """Every resource type; its shape is filled in when first asked for."""
    return dict.fromkeys(load().resource_types)


def shape_of_resource(value: Any) -> Shape:
    """The shape that a resource's ``resourceType`` names."""
    name = value.get("resourceType") if value.__class__ is dict else None
    shapes = _resource_shapes()
    if name.__class__ is not str or name not in shapes:
        return UNTYPED
    found = shapes[name]
    if found is None:
        found = shapes[name] = shape(name)
    return found


class Node:
    """A value at its place: under ``key`` (and ``index`` in a list) of ``parent``.

    ``value`` is the JSON value; of a primitive that has only extensions it is None.
    ``companion`` is the ``_key`` object of a primitive, if any. ``name`` is the element's FHIRPath name.
    """

    __slots__ = ("companion", "index", "key", "name", "parent", "shape", "value")

    def __init__(
        self,
        value: Any,
        shape: Shape,
        parent: Node | None = None,
        key: str = "",
        index: int | None = None,
        companion: dict[str, Any] | None = None,
        name: str = "",
    ) -> None:
        self.value = value
        self.shape = shape
        self.parent = parent
        self.key = key
        self.index = index
        self.companion = companion
        self.name = name

    @property
    def content(self) -> dict[str, Any]:
        """The object that holds the children: the value itself, or a primitive's ``_key`` object."""
        inner = self.value if self.value.__class__ is dict else self.companion
        return inner if inner.__class__ is dict else {}

    @property
    def path(self) -> str:
        """The FHIRPath of this node from the top of the resource, e.g. ``Patient.name[0].given[1]``."""
        parts: list[str] = []
        node: Node | None = self
        while node is not None:
            place = "" if node.index is None else f"[{node.index}]"
            parts.append((node.name or node.shape.name) + place)
            node = node.parent
        return ".".join(reversed(parts))

    def resource(self) -> Node:
        """The nearest resource that holds this node (itself, if it is one)."""
        node = self
        while node.parent is not None and not (node.value.__class__ is dict and "resourceType" in node.value):
            node = node.parent
        return node


class TypeInfo:
    """What ``type()`` gives: a namespace ("System" or "FHIR") and a name."""

    __slots__ = ("name", "namespace")

    def __init__(self, namespace: str, name: str) -> None:
        self.namespace = namespace
        self.name = name


Item: TypeAlias = Node | bool | int | Decimal | str | Temporal | Quantity | TypeInfo
Items: TypeAlias = list[Any]
"""A collection; its items are of the classes in Item."""


def children(node: Node, name: str, out: Items) -> bool:
    """Append the children of this name to ``out``; False if the type has no such element."""
    content = node.value
    if content.__class__ is not dict:
        content = node.companion
        if content.__class__ is not dict:
            return name in node.shape.members or node.shape is UNTYPED
    found = node.shape.members.get(name)
    if found is None:
        return _untyped_children(node, content, name, out)
    if len(found) == 1:
        for member in found.values():
            append_member(node, content, member, out)
    else:
        seen = None
        for key in content:
            member_or_none = found.get(key) or (found.get(key[1:]) if key[:1] == "_" else None)
            if member_or_none is not None and member_or_none is not seen:
                seen = member_or_none
                append_member(node, content, seen, out)
    return True


def all_children(node: Node, out: Items) -> None:
    """Append every child, in the order of the JSON keys."""
    content = node.content
    by_key = node.shape.by_key
    seen: set[str] = set()
    for raw in content:
        key = raw[1:] if raw[:1] == "_" else raw
        if key in seen or key == "resourceType":
            continue
        seen.add(key)
        member = by_key.get(key)
        if member is not None:
            append_member(node, content, member, out)
        elif node.shape is UNTYPED:
            _append_untyped(node, content, key, key, out)


def append_member(node: Node, content: dict[str, Any], member: Member, out: Items) -> None:
    """Append the values of one member, as nodes."""
    value = content.get(member.key)
    if not member.primitive:
        if value.__class__ is list:
            for index, one in enumerate(value):
                out.append(Node(one, member.shape_of(one), node, member.key, index, None, member.name))
        elif value is not None:
            out.append(Node(value, member.shape_of(value), node, member.key, None, None, member.name))
        return
    companion = content.get(member.companion)
    if value is None and companion is None:
        return
    kind = member.shape_of(value)
    if value.__class__ is list or companion.__class__ is list:
        for index, (one, more) in enumerate(_zipped(value, companion)):
            if one is not None or more is not None:
                out.append(Node(one, kind, node, member.key, index, more, member.name))
    else:
        out.append(Node(value, kind, node, member.key, None, companion, member.name))


def _zipped(values: Any, companions: Any) -> Iterator[tuple[Any, Any]]:
    """Each primitive of a list with its extensions; either list may be shorter or missing."""
    values = values if isinstance(values, list) else [values] if values is not None else []
    companions = companions if isinstance(companions, list) else [companions] if companions is not None else []
    for index in range(max(len(values), len(companions))):
        yield (
            values[index] if index < len(values) else None,
            companions[index] if index < len(companions) else None,
        )


def _untyped_children(node: Node, content: dict[str, Any], name: str, out: Items) -> bool:
    if node.shape is not UNTYPED:
        return False
    for key in list(content):
        plain = key.removeprefix("_")
        if plain != key and plain in content:
            continue
        if plain == name or (plain.startswith(name) and plain[len(name) :][:1].isupper()):
            _append_untyped(node, content, plain, name, out)
    return True


def _append_untyped(node: Node, content: dict[str, Any], key: str, name: str, out: Items) -> None:
    value, companion = content.get(key), content.get("_" + key)
    if isinstance(value, list) or isinstance(companion, list):
        for index, (one, more) in enumerate(_zipped(value, companion)):
            if one is not None or more is not None:
                out.append(Node(one, _guessed(one), node, key, index, more, name))
    elif value is not None or companion is not None:
        out.append(Node(value, _guessed(value), node, key, None, companion, name))


def _guessed(value: Any) -> Shape:
    match value:
        case bool():
            return shape("boolean")
        case int():
            return shape("integer")
        case Decimal():
            return shape("decimal")
        case str():
            return shape("string")
        case dict() if "resourceType" in value:
            return shape_of_resource(value)
    return UNTYPED
