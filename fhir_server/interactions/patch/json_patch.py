"""JSON Patch on a resource: add, remove, replace, move, copy, test.

https://datatracker.ietf.org/doc/html/rfc6902, pointers by https://datatracker.ietf.org/doc/html/rfc6901
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

from fhir_server.errors import BadRequest, Unprocessable
from fhir_server.interactions.patch.duplicate import duplicate

MAX_OPERATIONS = 10_000
"""Most operations in one patch."""
MAX_COPIED = 100_000
"""Most values that the ``copy`` operations of one patch may make; each can double the resource."""

_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_BAD_TILDE = re.compile(r"~(?![01])")


def apply(resource: dict[str, Any], patch: Any) -> dict[str, Any]:
    """The resource after the operations of ``patch`` (a parsed JSON Patch document); ``resource`` is not changed.

    Numbers are kept as written; ``test`` compares them by value (1.0 is 1). Lists and objects which operations have
    emptied are dropped at the end, as FHIR has no empty ones. Whether ``id`` or ``resourceType`` may change is not
    judged here: the patch interaction must compare both before and after.

    Raises BadRequest for a document that is no JSON Patch, Unprocessable where an operation fails; the
    expression names the operation (``patch[2]``).
    """
    if not isinstance(patch, list):
        raise BadRequest("A JSON Patch is an array of operations", "patch", code="structure")
    if len(patch) > MAX_OPERATIONS:
        raise BadRequest(f"A JSON Patch may have at most {MAX_OPERATIONS} operations", "patch", code="too-long")
    document = _Document(duplicate(resource))
    for place, operation in enumerate(patch):
        read = _read(operation, f"patch[{place}]")
        try:
            _OPERATIONS[read.op](document, read)
        except _Failed as error:
            raise Unprocessable(f"{read.op} {read.path or '(whole)'}: {error}", read.where) from None
    result = document.pruned()
    if not isinstance(result, dict):
        raise Unprocessable("The patch leaves no JSON object", "patch")
    return result


class _Failed(Exception):
    """Why an operation cannot be carried out on this resource."""


class _Operation(NamedTuple):
    """One operation as it stands in the patch; ``where`` names it in errors."""

    op: str
    path: str
    source: str
    value: Any
    where: str


def _read(operation: Any, where: str) -> _Operation:
    """The operation, its members checked; raises BadRequest."""
    if not isinstance(operation, dict):
        raise BadRequest("An operation of a JSON Patch is an object", where, code="structure")
    op = operation.get("op")
    if not isinstance(op, str) or op not in _OPERATIONS:
        raise BadRequest(f"There is no JSON Patch operation {op!r}", f"{where}.op", code="value")
    for name in _NEEDS[op]:
        if name not in operation:
            raise BadRequest(f"The operation {op} needs '{name}'", f"{where}.{name}", code="required")
    for name in ("path", "from"):
        if name in _NEEDS[op]:
            _check_pointer(operation[name], f"{where}.{name}")
    return _Operation(op, str(operation["path"]), str(operation.get("from", "")), operation.get("value"), where)


def _check_pointer(pointer: Any, where: str) -> None:
    if not isinstance(pointer, str) or (pointer and pointer[0] != "/") or _BAD_TILDE.search(pointer):
        raise BadRequest(f"{pointer!r} is no JSON Pointer", where, code="value")


def _steps(pointer: str) -> list[str]:
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


class _Document:
    """The value under change, and which of its containers operations have emptied."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self.copied = 0
        self.emptied: dict[int, Any] = {}

    def get(self, pointer: str) -> Any:
        value = self.root
        for step in _steps(pointer):
            value = value[_key(value, step)]
        return value

    def parent(self, pointer: str) -> tuple[Any, str]:
        """The container that the last step of the pointer goes into, and that step."""
        steps = _steps(pointer)
        value = self.root
        for step in steps[:-1]:
            value = value[_key(value, step)]
        return value, steps[-1]

    def put(self, pointer: str, value: Any) -> None:
        """Add, as RFC 6902 says: into a list before the index, into an object under the key."""
        if not pointer:
            self.root = value
            return
        container, step = self.parent(pointer)
        if isinstance(container, list):
            container.insert(len(container) if step == "-" else _index(container, step, len(container)), value)
        elif isinstance(container, dict):
            container[step] = value
        else:
            raise _Failed("the parent is neither an object nor an array")

    def take(self, pointer: str) -> Any:
        if not pointer:
            raise _Failed("the whole resource cannot be removed")
        container, step = self.parent(pointer)
        key = _key(container, step)
        value = container.pop(key)
        if not container:
            self.emptied[id(container)] = container
        return value

    def pruned(self) -> Any:
        """The root without the containers that were emptied and stayed so."""
        if any(not container for container in self.emptied.values()):
            self._prune(self.root)
        return self.root

    def _prune(self, value: Any) -> bool:
        """Drop emptied containers inside ``value``; whether it is to be dropped itself."""
        if isinstance(value, dict):
            dropped = [key for key, inner in value.items() if isinstance(inner, dict | list) and self._prune(inner)]
            for key in dropped:
                del value[key]
        elif isinstance(value, list):
            kept = [inner for inner in value if not (isinstance(inner, dict | list) and self._prune(inner))]
            dropped = ["some"] if len(kept) < len(value) else []
            value[:] = kept
        return not value and (id(value) in self.emptied or bool(dropped))


def _key(container: Any, step: str) -> Any:
    """The key or index of an existing member; raises _Failed."""
    if isinstance(container, dict):
        if step not in container:
            raise _Failed(f"there is no '{step}'")
        return step
    if isinstance(container, list):
        return _index(container, step, len(container) - 1)
    raise _Failed(f"'{step}' asks a member of a value that has none")


def _index(container: list[Any], step: str, last: int) -> int:
    if not _INDEX.fullmatch(step):
        raise _Failed(f"'{step}' is no array index")
    if int(step) > last:
        raise _Failed(f"index {step} is beyond the array of {len(container)}")
    return int(step)


def _size(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(map(_size, value.values()))
    return 1 + sum(map(_size, value)) if isinstance(value, list) else 1


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal: numbers by value, objects in any order of keys."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | Decimal) and isinstance(other, int | Decimal):
        return one == other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)


def _add(document: _Document, operation: _Operation) -> None:
    document.put(operation.path, duplicate(operation.value, operation.path.count("/")))


def _remove(document: _Document, operation: _Operation) -> None:
    document.take(operation.path)


def _replace(document: _Document, operation: _Operation) -> None:
    value = duplicate(operation.value, operation.path.count("/"))
    if not operation.path:
        document.root = value
        return
    container, step = document.parent(operation.path)
    container[_key(container, step)] = value


def _move(document: _Document, operation: _Operation) -> None:
    if operation.path.startswith(operation.source + "/"):
        raise _Failed("a value cannot be moved into itself")
    if operation.path == operation.source:
        document.get(operation.source)
        return
    value = document.take(operation.source)
    document.put(operation.path, duplicate(value, operation.path.count("/")))


def _copy(document: _Document, operation: _Operation) -> None:
    value = document.get(operation.source)
    document.copied += _size(value)
    if document.copied > MAX_COPIED:
        raise _Failed(f"the patch copies more than {MAX_COPIED} values")
    document.put(operation.path, duplicate(value, operation.path.count("/")))


def _test(document: _Document, operation: _Operation) -> None:
    if not same(document.get(operation.path), operation.value):
        raise _Failed("the value there is another one")


_OPERATIONS: dict[str, Callable[[_Document, _Operation], None]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}
_NEEDS = {
    "add": ("path", "value"),
    "remove": ("path",),
    "replace": ("path", "value"),
    "move": ("path", "from"),
    "copy": ("path", "from"),
    "test": ("path", "value"),
}
