"""Type specifiers: ``is``, ``as`` and ofType() decided for one item.

https://hl7.org/fhirpath/N1/#types
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from profiles.fhirpath.errors import FhirPathError
from profiles.fhirpath.model import SYSTEM_TYPES, Node, is_type
from profiles.fhirpath.syntax import Expr, Member, Path, TypeName
from profiles.fhirpath.values import system_name

Test = Callable[[Any], bool]


def checked(name: TypeName) -> TypeName:
    """The specifier, if it names a type that there is; raises FhirPathError."""
    known = {
        None: name.name in SYSTEM_TYPES or is_type(name.name),
        "System": True,  # nothing is of a System type that there is not
        "FHIR": is_type(name.name),
    }
    if not known.get(name.namespace, False):
        full = f"{name.namespace}.{name.name}" if name.namespace else name.name
        raise FhirPathError(f"there is no type '{full}'")
    return name


def from_argument(argument: Expr) -> TypeName:
    """The specifier that stands as an argument: ``is(Patient)``, ``ofType(FHIR.Patient)``."""
    parts = (argument.head, *argument.steps) if isinstance(argument, Path) else (argument,)
    names = [part.name for part in parts if isinstance(part, Member)]
    if len(names) != len(parts):
        raise FhirPathError("a type name expected as the argument")
    return checked(TypeName(".".join(names[:-1]) or None, names[-1]))


def is_test(name: TypeName) -> Test:
    """Whether an item is of the type or one that derives from it."""
    wanted, fhir, system = name.name, name.namespace != "System", name.namespace != "FHIR"

    def test(item: Any) -> bool:
        if item.__class__ is Node:
            return fhir and wanted in item.shape.lineage
        return system and (wanted == "Any" or system_name(item) == wanted)

    return test


def as_test(name: TypeName) -> Test:
    """The same for casts, which take a primitive only by its own type (a code is not cast to string)."""
    wanted, test = name.name, is_test(name)

    def exact(item: Any) -> bool:
        if item.__class__ is Node and item.shape.primitive:
            return name.namespace != "System" and item.shape.name == wanted
        return test(item)

    return exact
