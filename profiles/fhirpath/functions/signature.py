"""The shape of a function of FHIRPath, and how arguments are read.

https://hl7.org/fhirpath/N1/#functions
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from profiles.fhirpath.errors import FhirPathError
from profiles.fhirpath.model import Items
from profiles.fhirpath.scope import Ev, Scope, single
from profiles.fhirpath.values import describe, system

Args: TypeAlias = tuple[Ev, ...]
Apply: TypeAlias = Callable[[Items, Any, Scope], Items]


class Function(NamedTuple):
    """``apply(items, args, scope)`` with ``least`` to ``most`` arguments, which it evaluates itself."""

    apply: Apply
    least: int = 0
    most: int = 0


Table: TypeAlias = dict[str, Function]


def argument(args: Args, place: int, scope: Scope, what: str) -> Any:
    """The system value of one argument: None if it is not given or empty."""
    if place >= len(args):
        return None
    return system(single(args[place](scope), what))


def text_argument(args: Args, place: int, scope: Scope, what: str) -> str | None:
    """The same where it must be a String."""
    value = argument(args, place, scope, what)
    if value is not None and not isinstance(value, str):
        raise FhirPathError(f"{what} needs a String, not {describe(value)}")
    return value


def integer_argument(args: Args, place: int, scope: Scope, what: str) -> int | None:
    """The same where it must be an Integer."""
    value = argument(args, place, scope, what)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise FhirPathError(f"{what} needs an Integer, not {describe(value)}")
    return value


def text_input(items: Items, what: str) -> str | None:
    """The only item as String; None if there is none; raises FhirPathError for another type."""
    value = system(single(items, what))
    if value is not None and not isinstance(value, str):
        raise FhirPathError(f"{what} works on a String, not on {describe(value)}")
    return value


def on(item: Any, index: int, scope: Scope) -> Scope:
    """The scope in which a criterion or projection sees ``item`` as ``$this``."""
    scope.run.spend(1)
    return Scope([item], scope.run, index, scope.total)
