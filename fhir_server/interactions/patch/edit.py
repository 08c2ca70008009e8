"""Edits of a FHIR JSON object by element: values with their ``_key`` siblings, lists, choices, order of keys.

https://hl7.org/fhir/R4/json.html#primitive
"""

from __future__ import annotations

from typing import Any, NamedTuple

from fhir_server.errors import BadRequest
from fhir_server.interactions.patch.duplicate import duplicate
from profiles.fhirpath import Location
from profiles.fhirpath.model import UNTYPED, Member, Node, Shape


class EditError(Exception):
    """Why an edit does not fit the resource."""


class Value(NamedTuple):
    """A value for the element ``member``: ``companion`` is the ``_key`` object of a primitive, or None."""

    member: Member
    value: Any
    companion: Any


# --- reading the value of an operation ---


def read_value(part: dict[str, Any], shape: Shape, name: str, where: str) -> Value:
    """The value in a parameter part, for the element ``name`` of ``shape``.

    The part holds a value[x], a resource, or parts that name the elements of an anonymous type. Raises EditError
    where the type has no such element or takes no such value, BadRequest where the part holds no one value.
    """
    found = {key: part[key] for key in part if key.lstrip("_").startswith("value") or key in ("resource", "part")}
    keys = {key.lstrip("_") for key in found}
    if len(keys) != 1:
        raise BadRequest("A value[x], a resource or parts are needed, and only one of them", where, code="structure")
    key = keys.pop()
    member = _member(shape, name, key)
    if key == "part":
        if member.primitive:
            raise EditError(f"{name} is a primitive and takes a value[x]")
        return Value(member, _object(part["part"], member.shape_of({}), where), None)
    value = duplicate(part.get(key))
    companion = duplicate(part.get("_" + key))
    if isinstance(value, list) or not (companion is None or isinstance(companion, dict)) or value is companion:
        raise BadRequest("A value is one primitive or object", where, code="structure")
    if member.primitive == isinstance(value, dict) or (companion is not None and not member.primitive):
        raise EditError(f"{name} takes {'a primitive' if member.primitive else 'an object'}")
    return Value(member, value, companion)


def _member(shape: Shape, name: str, value_key: str) -> Member:
    """The element of this name, for a choice in the type that the value has."""
    plain = name.removesuffix("[x]")
    choices = shape.members.get(plain) or ({plain: shape.by_key[plain]} if plain in shape.by_key else None)
    if choices is None:
        known = "a type that is not known here" if shape is UNTYPED else shape.name
        raise EditError(f"{known} has no element '{name}'")
    if len(choices) == 1:
        return next(iter(choices.values()))
    member = choices.get(plain + value_key.removeprefix("value"))
    if member is None:
        raise EditError(f"{shape.name}.{plain}[x] does not take a {value_key.removeprefix('value')}")
    return member


def _object(parts: Any, shape: Shape, where: str) -> dict[str, Any]:
    """The object whose elements the parts name."""
    if not isinstance(parts, list) or not parts or not all(isinstance(part, dict) for part in parts):
        raise BadRequest("part is a list of objects, and not empty", where, code="structure")
    built: dict[str, Any] = {}
    for place, part in enumerate(parts):
        name = part.get("name")
        if not isinstance(name, str):
            raise BadRequest("A part needs a name", f"{where}.part[{place}].name", code="required")
        add(built, shape, read_value(part, shape, name, f"{where}.part[{place}]"))
    return built


# --- edits ---


def content(location: Location) -> dict[str, Any]:
    """The object that holds the children of an element; for a primitive its ``_key`` object, made if need be."""
    node = location.node
    if isinstance(node.value, dict):
        return node.value
    if node.companion is None and node.parent is not None:
        node.companion = {}
        container = node.parent.content
        if node.index is None:
            _put_key(container, node.parent.shape, "_" + node.key, node.companion)
        else:
            values, companions = _pair(container, node.key)
            companions[node.index] = node.companion
            _store(container, node.key, values, companions, node.parent.shape)
    return node.content


def add(container: dict[str, Any], shape: Shape, value: Value) -> None:
    """Append to a list, or set an element that is not there yet; raises EditError if it is."""
    member = value.member
    if member.is_list:
        values, companions = _pair(container, member.key)
        values.append(value.value)
        companions.append(value.companion)
        _store(container, member.key, values, companions, shape)
        return
    for other in shape.members.get(member.name, {member.key: member}).values():
        if other.key in container or other.companion in container:
            raise EditError(f"there is a {other.key} already: use replace")
    if value.value is not None:
        _put_key(container, shape, member.key, value.value)
    if value.companion is not None:
        _put_key(container, shape, member.companion, value.companion)


def insert(container: dict[str, Any], key: str, index: int, value: Value) -> None:
    """Insert into a list before ``index``."""
    values, companions = _pair(container, key)
    values.insert(index, value.value)
    companions.insert(index, value.companion)
    _store(container, key, values, companions, None)


def move(container: dict[str, Any], key: str, source: int, destination: int) -> None:
    """Take the item at ``source`` out of a list and put it in again at ``destination``."""
    values, companions = _pair(container, key)
    values.insert(destination, values.pop(source))
    companions.insert(destination, companions.pop(source))
    _store(container, key, values, companions, None)


def replace(container: dict[str, Any], key: str, index: int | None, value: Value) -> None:
    """Put a value in the place of another one; a choice may change its type and thereby its key."""
    if index is not None:
        values, companions = _pair(container, key)
        values[index], companions[index] = value.value, value.companion
        _store(container, key, values, companions, None)
        return
    fresh: dict[str, Any] = {}
    if value.value is not None:
        fresh[value.member.key] = value.value
    if value.companion is not None:
        fresh[value.member.companion] = value.companion
    rebuilt: dict[str, Any] = {}
    for name, inner in container.items():
        if name in (key, "_" + key):
            rebuilt.update(fresh)
        else:
            rebuilt[name] = inner
    container.clear()
    container.update(rebuilt)


def delete(location: Location) -> None:
    """Remove the element, and whatever above it is left empty."""
    node: Node | None = location.node
    while node is not None and node.parent is not None:
        container = node.parent.content
        if node.index is None:
            container.pop(node.key, None)
            container.pop("_" + node.key, None)
        else:
            values, companions = _pair(container, node.key)
            del values[node.index], companions[node.index]
            _store(container, node.key, values, companions, None)
        if container:
            return
        node = _emptied(node.parent)


def _emptied(node: Node) -> Node | None:
    """The node to remove next because its object is empty; None if a primitive only lost its ``_key`` object."""
    if not node.shape.primitive or node.value is None or node.parent is None:
        return node
    container = node.parent.content
    if node.index is None:
        container.pop("_" + node.key, None)
    else:
        values, companions = _pair(container, node.key)
        companions[node.index] = None
        _store(container, node.key, values, companions, None)
    return None


def length(container: dict[str, Any], key: str) -> int:
    """How many items the list under ``key`` has, items with extensions only included."""
    return len(_pair(container, key)[0])


def _pair(container: dict[str, Any], key: str) -> tuple[list[Any], list[Any]]:
    """The list under the key and that of its ``_key`` siblings, of the same length."""
    values, companions = _listed(container.get(key)), _listed(container.get("_" + key))
    size = max(len(values), len(companions))
    return values + [None] * (size - len(values)), companions + [None] * (size - len(companions))


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [] if value is None else [value]


def _store(container: dict[str, Any], key: str, values: list[Any], companions: list[Any], shape: Shape | None) -> None:
    """Write the two lists back, each only if it says anything."""
    for name, items in ((key, values), ("_" + key, companions)):
        if all(item is None for item in items):
            container.pop(name, None)
        elif name in container or shape is None:
            container[name] = items
        else:
            _put_key(container, shape, name, items)


def _put_key(container: dict[str, Any], shape: Shape, key: str, value: Any) -> None:
    """Add a key at the place that the specification's order gives it."""
    items = list(container.items())
    sibling = key[1:] if key[0] == "_" else "_" + key
    if sibling in container:
        at = list(container).index(sibling) + (key[0] == "_")
    else:
        place = _place(shape, key)
        before = [at for at, (name, _) in enumerate(items) if name == "resourceType" or _place(shape, name) <= place]
        at = before[-1] + 1 if before else 0
    items.insert(at, (key, value))
    container.clear()
    container.update(items)


def _place(shape: Shape, key: str) -> float:
    """The element's rank; unknown keys come last."""
    return shape.order.get(key.removeprefix("_"), float("inf"))
