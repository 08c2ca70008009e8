"""Expression: a compiled FHIRPath, evaluated on resources and elements, or asked where its results stand.

https://hl7.org/fhir/R4/fhirpath.html
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from profiles.fhirpath import operators
from profiles.fhirpath.compiler import Compiler
from profiles.fhirpath.errors import FhirPathError
from profiles.fhirpath.fast import simple_path
from profiles.fhirpath.model import Items, Node
from profiles.fhirpath.parser import parse
from profiles.fhirpath.results import plain
from profiles.fhirpath.scope import DEFAULT, Budget, Environment, Ev, Resolve, Run, Scope
from profiles.fhirpath.syntax import Expr, Member, Path
from profiles.fhirpath.values import type_info
from profiles.fhirpath.variables import node_of

_START = 5  # what it costs to begin an evaluation, in steps


@dataclass(frozen=True, slots=True)
class Location:
    """Where an element stands: ``container[key]``, and there at ``index`` if the element repeats.

    ``container`` is the very object inside the resource (for children of a primitive its ``_key`` object);
    extensions of a primitive stand under ``"_" + key`` of the same container. ``name`` is the element's name
    (``value`` for the key ``valueQuantity``), ``parent_type`` the type that has it, ``type`` its own type.
    The resource itself has no container, key or index.
    """

    node: Node

    @property
    def container(self) -> dict[str, Any] | None:
        """The object that holds the element; None for the resource itself."""
        return None if self.node.parent is None else self.node.parent.content

    @property
    def key(self) -> str:
        """The JSON key in the container."""
        return self.node.key

    @property
    def index(self) -> int | None:
        """The place in the list under the key; None where the element does not repeat."""
        return self.node.index

    @property
    def path(self) -> str:
        """The FHIRPath from the top of the resource: ``Patient.name[0].given[1]``."""
        return self.node.path

    @property
    def name(self) -> str:
        """The element's name without its type: ``value`` for ``valueQuantity``."""
        return self.node.name

    @property
    def value(self) -> Any:
        """The JSON value; None for a primitive that has extensions only."""
        return self.node.value

    @property
    def type(self) -> str:
        """The type's name (``HumanName``, ``Patient.contact``, ``date``)."""
        return self.node.shape.name

    @property
    def parent_type(self) -> str:
        """The type of the element above; empty for the resource itself."""
        return "" if self.node.parent is None else self.node.parent.shape.name


class Expression:
    """A compiled expression; immutable and shared between threads. Made by ``compile``."""

    __slots__ = ("_evaluate", "_simple", "_strict", "_tree", "text")

    def __init__(self, text: str, tree: Expr, strict: bool) -> None:
        self.text = text
        self._tree = tree
        self._strict = strict
        self._evaluate: Ev = Compiler(strict).expression(tree)
        self._simple = None if strict else simple_path(tree)

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def items(
        self,
        focus: dict[str, Any] | Location,
        *,
        environment: Environment = DEFAULT,
        resolve: Resolve | None = None,
        type_name: str | None = None,
        budget: Budget | None = None,
    ) -> Items:
        """The result as items: nodes that know their place, and system values. Arguments as in ``evaluate``.

        ``budget``: shared with other evaluations; TooCostlyError where it is spent.
        """
        node = focus.node if isinstance(focus, Location) else node_of(focus, type_name)
        run = Run(environment, node, resolve, budget)
        try:
            return self._evaluate(Scope([node], run))
        except RecursionError:
            raise FhirPathError("the expression or the resource is nested too deeply") from None
        except (ArithmeticError, MemoryError) as error:
            raise FhirPathError(f"the expression cannot be computed: {type(error).__name__}") from None
        finally:
            if budget is not None:
                budget.left -= run.spent + _START

    def evaluate(
        self,
        focus: dict[str, Any] | Location,
        *,
        environment: Environment = DEFAULT,
        resolve: Resolve | None = None,
        type_name: str | None = None,
    ) -> list[Any]:
        """The values of the result as JSON values (dict, str, bool, int, Decimal); primitives without value left out.

        ``focus`` is a resource, a Location inside one, or (with ``type_name``) an element of that type.
        ``resolve`` finds the resource of a reference text; without it, resolve() knows contained resources and the
        types of literal references. Raises FhirPathError.
        """
        if self._simple is not None and focus.__class__ is dict and type_name is None:
            found = self._simple(focus)
            if found is not None:
                return found
        items = self.items(focus, environment=environment, resolve=resolve, type_name=type_name)
        return [value for item in items if (value := plain(item)) is not None]

    def typed(
        self, focus: dict[str, Any] | Location, *, environment: Environment = DEFAULT, resolve: Resolve | None = None
    ) -> list[tuple[str, Any]]:
        """The result as (type name, item): FHIR types as in ``Location.type``, system types capitalised."""
        items = self.items(focus, environment=environment, resolve=resolve)
        return [(item.shape.name if isinstance(item, Node) else type_info(item).name, item) for item in items]

    def holds(
        self,
        focus: dict[str, Any] | Location,
        *,
        environment: Environment = DEFAULT,
        resolve: Resolve | None = None,
        type_name: str | None = None,
        budget: Budget | None = None,
    ) -> bool | None:
        """The result as the truth of an invariant or criterion; None if it is empty. Raises FhirPathError."""
        items = self.items(focus, environment=environment, resolve=resolve, type_name=type_name, budget=budget)
        return operators.boolean(items, "a condition")

    def locate(
        self,
        resource: dict[str, Any] | Location,
        *,
        environment: Environment = DEFAULT,
        resolve: Resolve | None = None,
    ) -> list[Location]:
        """Where the elements of the result stand in the resource.

        Raises FhirPathError where the expression computes values instead of pointing at elements.
        """
        start = resource.node if isinstance(resource, Location) else None
        found: list[Location] = []
        for item in self.items(resource, environment=environment, resolve=resolve):
            if not isinstance(item, Node):
                raise FhirPathError(f"'{self.text}' computes a value; it does not point at an element")
            if _top(item).value is not (resource if start is None else _top(start).value):
                raise FhirPathError(f"'{self.text}' points outside of the resource")
            found.append(Location(item))
        return found

    def parent(self) -> tuple[Expression, str] | None:
        """The expression before the last element name, and that name; None if it does not end in one."""
        tree = self._tree
        if not isinstance(tree, Path) or not tree.steps or not isinstance(tree.steps[-1], Member):
            return None
        before = Path(tree.head, tree.steps[:-1]) if len(tree.steps) > 1 else tree.head
        return Expression(f"{self.text} (parent)", before, self._strict), tree.steps[-1].name


def _top(node: Node) -> Node:
    while node.parent is not None:
        node = node.parent
    return node


def compile(text: str, *, strict: bool = False) -> Expression:
    """The expression, compiled once and kept.

    ``strict`` makes evaluation refuse elements which a type does not have, casts of several items, and order asked
    of unordered collections. Raises FhirPathError for text that is no FHIRPath, or names no function or type.
    """
    return _compiled(text, strict) if len(text) <= _USUAL_LENGTH else _compiled_long(text, strict)


# Users write expressions too: long ones are kept in small number, so that they cannot fill the memory.
_USUAL_LENGTH = 512


def _compile(text: str, strict: bool) -> Expression:
    try:
        return Expression(text, parse(text), strict)
    except RecursionError:
        raise FhirPathError("the expression is nested too deeply") from None


_compiled = lru_cache(maxsize=2048)(_compile)
_compiled_long = lru_cache(maxsize=32)(_compile)
