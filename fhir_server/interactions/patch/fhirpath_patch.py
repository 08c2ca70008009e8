"""FHIRPath Patch on a resource: add, insert, delete, replace, move, told by a Parameters resource.

https://hl7.org/fhir/R4/fhirpatch.html
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any, NamedTuple

from fhir_server.errors import BadRequest, Unprocessable
from fhir_server.interactions.patch import edit
from fhir_server.interactions.patch.duplicate import duplicate
from fhir_server.interactions.patch.edit import EditError, Value
from profiles.fhirpath import Environment, Expression, FhirPathError, Location, TooCostlyError, compile
from profiles.fhirpath.model import UNTYPED, shape

MAX_OPERATIONS = 1_000
"""Most operations in one patch."""
MAX_SECONDS = 1.0
"""Longest time that the paths of one patch may take together."""


def apply(resource: dict[str, Any], parameters: Any) -> dict[str, Any]:
    """The resource after the operations of ``parameters`` (a Parameters resource); ``resource`` is not changed.

    New elements stand where the specification's order of elements puts them; an object or list that a delete
    leaves empty goes too. Whether ``id`` or ``resourceType`` may change is not judged here: the patch interaction
    must compare both before and after.

    Raises BadRequest for Parameters that are no FHIRPath Patch, Unprocessable where an operation does not fit the
    resource; the expression names the operation (``Parameters.parameter[2]``).
    """
    result: dict[str, Any] = duplicate(resource)
    deadline = monotonic() + MAX_SECONDS
    for operation in _operations(parameters):
        try:
            _OPERATIONS[operation.type](_Target(result, operation, deadline))
        except EditError as error:
            raise Unprocessable(f"{operation.type} {operation.path.text}: {error}", operation.where) from None
        except TooCostlyError as error:
            raise Unprocessable(f"{operation.path.text}: {error}", operation.where, code="too-costly") from None
        except FhirPathError as error:
            raise Unprocessable(f"{operation.path.text}: {error}", operation.where) from None
    return result


class _Operation(NamedTuple):
    """One operation, its parameters read; ``where`` names it in errors."""

    type: str
    path: Expression
    parts: dict[str, dict[str, Any]]
    where: str

    def text(self, name: str) -> str:
        return str(_single_value(self.parts[name], f"{self.where}.{name}", str))

    def number(self, name: str) -> int:
        found: int = _single_value(self.parts[name], f"{self.where}.{name}", int)
        return found


def _operations(parameters: Any) -> list[_Operation]:
    if not isinstance(parameters, dict) or parameters.get("resourceType") != "Parameters":
        raise BadRequest("A FHIRPath Patch is a Parameters resource", "Parameters", code="structure")
    entries = parameters.get("parameter", [])
    if not isinstance(entries, list):
        raise BadRequest("Parameters.parameter is a list", "Parameters.parameter", code="structure")
    if len(entries) > MAX_OPERATIONS:
        raise BadRequest(f"A patch may have at most {MAX_OPERATIONS} operations", "Parameters", code="too-long")
    return [_read(entry, f"Parameters.parameter[{place}]") for place, entry in enumerate(entries)]


def _read(entry: Any, where: str) -> _Operation:
    """The operation in one parameter; raises BadRequest."""
    if not isinstance(entry, dict) or entry.get("name") != "operation" or not isinstance(entry.get("part"), list):
        raise BadRequest("Each parameter of a patch is an 'operation' with parts", where, code="structure")
    parts: dict[str, dict[str, Any]] = {}
    for place, part in enumerate(entry["part"]):
        name = part.get("name") if isinstance(part, dict) else None
        if not isinstance(name, str) or name not in _PART_NAMES or name in parts:
            problem = "twice" if isinstance(name, str) and name in parts else "unknown"
            raise BadRequest(f"The part '{name}' is {problem} here", f"{where}.part[{place}].name", code="value")
        parts[name] = part
    kind = _single_value(parts.get("type", {}), f"{where}.type", str)
    if kind not in _OPERATIONS:
        raise BadRequest(f"There is no patch operation '{kind}'", f"{where}.type", code="value")
    for needed in _NEEDS[kind]:
        if needed not in parts:
            raise BadRequest(f"The operation {kind} needs the part '{needed}'", where, code="required")
    text = _single_value(parts["path"], f"{where}.path", str)
    try:
        path = compile(text, strict=True)
    except FhirPathError as error:
        raise BadRequest(f"The path '{text[:100]}' cannot be read: {error}", f"{where}.path", code="value") from None
    return _Operation(kind, path, parts, where)


def _single_value(part: dict[str, Any], where: str, kind: type) -> Any:
    """The part's only value[x], of the Python type wanted; raises BadRequest."""
    values = [value for key, value in part.items() if key.startswith("value")]
    if len(values) != 1 or not isinstance(values[0], kind) or isinstance(values[0], bool):
        wanted = "an integer" if kind is int else "a string or code"
        raise BadRequest(f"{wanted.capitalize()} expected as the only value", where, code="value")
    return values[0]


class _Target:
    """The resource under change and the operation on it."""

    def __init__(self, resource: dict[str, Any], operation: _Operation, deadline: float) -> None:
        self.resource = resource
        self.operation = operation
        self._environment = Environment(max_seconds=max(0.0, deadline - monotonic()))

    def locate(self, path: Expression) -> list[Location]:
        return path.locate(self.resource, environment=self._environment)

    def only(self, path: Expression | None = None) -> Location:
        found = self.locate(path or self.operation.path)
        if len(found) != 1:
            raise EditError("no element is there" if not found else f"{len(found)} elements are there, not one")
        return found[0]

    def whole_list(self) -> Location:
        """The first element of a list all of which the path names."""
        found = self.locate(self.operation.path)
        if not found:
            raise EditError("no element is there")
        first = found[0]
        if first.index is None:
            raise EditError(f"{first.path} does not repeat")
        members = [(id(location.container), location.key) for location in found]
        if len(set(members)) > 1 or len(found) != edit.length(first.container or {}, first.key):
            raise EditError("the path must name one whole list")
        return first

    def value(self, type_name: str, name: str) -> Value:
        """The operation's value, as the element of this name in the type takes it."""
        where = f"{self.operation.where}.value"
        return edit.read_value(self.operation.parts["value"], shape_named(type_name), name, where)


def shape_named(type_name: str) -> Any:
    """The shape of a type; the untyped one where the definitions do not know it."""
    try:
        return shape(type_name)
    except KeyError:
        return UNTYPED


def _add(target: _Target) -> None:
    location, name = target.only(), target.operation.text("name")
    value = target.value(location.type, name)
    edit.add(edit.content(location), shape_named(location.type), value)


def _insert(target: _Target) -> None:
    index = target.operation.number("index")
    if not target.locate(target.operation.path):
        _insert_first(target, index)
        return
    first = target.whole_list()
    value = target.value(first.parent_type, first.name)
    container = first.container or {}
    if not 0 <= index <= edit.length(container, first.key):
        raise EditError(f"index {index} is beyond the list of {edit.length(container, first.key)}")
    edit.insert(container, first.key, index, value)


def _insert_first(target: _Target, index: int) -> None:
    """Insert into a list that is not there yet, which must be at its start."""
    split = target.operation.path.parent()
    if split is None or index != 0:
        raise EditError("no element is there")
    holder = target.only(split[0])
    value = target.value(holder.type, split[1])
    if not value.member.is_list:
        raise EditError(f"{holder.path}.{split[1]} does not repeat")
    edit.add(edit.content(holder), shape_named(holder.type), value)


def _delete(target: _Target) -> None:
    found = target.locate(target.operation.path)
    if not found:
        return  # what is not there is deleted already
    if len(found) > 1:
        raise EditError(f"{len(found)} elements are there; only one can be deleted")
    if found[0].container is None:
        raise EditError("the resource itself cannot be deleted by a patch")
    edit.delete(found[0])


def _replace(target: _Target) -> None:
    location = target.only()
    if location.container is None:
        raise EditError("the resource itself cannot be replaced by a patch")
    value = target.value(location.parent_type, location.name)
    edit.replace(location.container, location.key, location.index, value)


def _move(target: _Target) -> None:
    first = target.whole_list()
    source, destination = target.operation.number("source"), target.operation.number("destination")
    size = edit.length(first.container or {}, first.key)
    for place in (source, destination):
        if not 0 <= place < size:
            raise EditError(f"index {place} is beyond the list of {size}")
    edit.move(first.container or {}, first.key, source, destination)


_OPERATIONS: dict[str, Callable[[_Target], None]] = {
    "add": _add,
    "insert": _insert,
    "delete": _delete,
    "replace": _replace,
    "move": _move,
}
_NEEDS = {
    "add": ("path", "name", "value"),
    "insert": ("path", "index", "value"),
    "delete": ("path",),
    "replace": ("path", "value"),
    "move": ("path", "source", "destination"),
}
_PART_NAMES = frozenset({"type", "path", "name", "value", "index", "source", "destination"})
