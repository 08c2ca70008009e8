"""Syntax tree to closures: each expression becomes a function of a Scope, each path step one of a collection.

https://hl7.org/fhirpath/N1/#expressions
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from profiles.fhirpath import operators, types, values
from profiles.fhirpath.errors import FhirPathError
from profiles.fhirpath.functions import FUNCTIONS, TYPE_FUNCTIONS
from profiles.fhirpath.model import Items, Node, TypeInfo, children, is_type, shape
from profiles.fhirpath.quantity import Quantity
from profiles.fhirpath.scope import Ev, Scope, Step, single
from profiles.fhirpath.syntax import (
    Binary,
    Call,
    Chain,
    Expr,
    Index,
    Literal,
    Member,
    Path,
    Polarity,
    Special,
    TypeTest,
    Variable,
)
from profiles.fhirpath.syntax import Step as StepSyntax
from profiles.fhirpath.variables import variable

_SPEND_FROM = 16  # short collections are paid for by the loop that makes them
_UNORDERED = frozenset({"children", "descendants"})
_ORDERED = frozenset({"first", "last", "tail", "skip", "take"})


class Compiler:
    """Compiles trees; ``strict`` refuses elements that a type does not have, and casts of several items."""

    def __init__(self, strict: bool) -> None:
        self.strict = strict

    def expression(self, tree: Expr) -> Ev:
        """The closure of one expression."""
        return _EXPRESSIONS[type(tree)](self, tree)

    def _literal(self, tree: Literal) -> Ev:
        items = list(tree.items)
        return lambda scope: items

    def _special(self, tree: Special) -> Ev:
        if tree.name == "this":
            return lambda scope: scope.this
        if tree.name == "index":
            return lambda scope: [] if scope.index is None else [scope.index]
        return lambda scope: [] if scope.total is None else scope.total

    def _variable(self, tree: Variable) -> Ev:
        name = tree.name
        return lambda scope: variable(name, scope.run)

    def _member(self, tree: Member) -> Ev:
        """A name at the head: the type that ``$this`` is of, or one of its elements."""
        name, step = tree.name, self.step(tree)
        if not name[0].isupper():
            return lambda scope: step(scope.this, scope)
        strict = self.strict and is_type(name)

        def type_or_element(scope: Scope) -> Items:
            found = [item for item in scope.this if item.__class__ is Node and name in item.shape.lineage]
            if strict and not found and scope.this:
                raise FhirPathError(f"the expression starts at {name}, not at {values.describe(scope.this[0])}")
            return found or step(scope.this, scope)

        return type_or_element

    def _call(self, tree: Call) -> Ev:
        step = self.step(tree)
        return lambda scope: step(scope.this, scope)

    def _path(self, tree: Path) -> Ev:
        head = self.expression(tree.head)
        if self.strict:
            self._check_path(tree)
        steps = tuple(self.step(step) for step in tree.steps)
        if not steps:
            return head
        if len(steps) == 1:
            only = steps[0]
            return lambda scope: only(head(scope), scope)

        def walk(scope: Scope) -> Items:
            items = head(scope)
            for step in steps:
                items = step(items, scope)
            return items

        return walk

    def _check_path(self, tree: Path) -> None:
        """Refuse what can be seen without data: order asked of the unordered, an element the cast type lacks."""
        for before, after in pairwise((tree.head, *tree.steps)):
            ordered = isinstance(after, Index) or (isinstance(after, Call) and after.name in _ORDERED)
            if ordered and isinstance(before, Call) and before.name in _UNORDERED:
                raise FhirPathError(f"{before.name}() has no order")
        cast, first = tree.head, tree.steps[0] if tree.steps else None
        if isinstance(cast, TypeTest) and cast.operator == "as" and isinstance(first, Member):
            name = types.checked(cast.type).name
            if is_type(name) and first.name not in shape(name).members:
                raise FhirPathError(f"{name} has no element '{first.name}'")

    def step(self, tree: StepSyntax) -> Step:
        """The closure of one path step."""
        if isinstance(tree, Member):
            return self._member_step(tree.name)
        if isinstance(tree, Index):
            return self._index_step(self.expression(tree.index))
        return self._call_step(tree)

    def _member_step(self, name: str) -> Step:
        strict = self.strict

        def step(items: Items, scope: Scope) -> Items:
            out: Items = []
            for item in items:
                if item.__class__ is Node:
                    if not children(item, name, out) and strict:
                        raise FhirPathError(f"{item.shape.name} has no element '{name}'")
                else:
                    out += _system_member(item, name)
            if len(out) > _SPEND_FROM:
                scope.run.spend(len(out))
            return out

        return step

    def _index_step(self, index: Ev) -> Step:
        def step(items: Items, scope: Scope) -> Items:
            at = values.system(single(index(scope), "[]"))
            if at is None:
                return []
            if not isinstance(at, int) or isinstance(at, bool):
                raise FhirPathError(f"an index must be an Integer, not {values.describe(at)}")
            return items[at : at + 1] if at >= 0 else []

        return step

    def _call_step(self, tree: Call) -> Step:
        if tree.name in TYPE_FUNCTIONS and len(tree.args) == 1:
            return self._type_step(tree.name, types.from_argument(tree.args[0]))
        function = FUNCTIONS.get(tree.name)
        if function is None:
            raise FhirPathError(f"there is no function '{tree.name}'", tree.position)
        if not function.least <= len(tree.args) <= function.most:
            raise FhirPathError(f"{tree.name}() does not take {len(tree.args)} arguments", tree.position)
        if tree.name == "sort":
            return self._sort_step(tree)
        args, apply = tuple(self.expression(arg) for arg in tree.args), function.apply
        return lambda items, scope: apply(items, args, scope)

    def _sort_step(self, tree: Call) -> Step:
        """sort() reads a minus before an argument as "descending"."""
        keys: list[tuple[Ev, bool]] = []
        for arg in tree.args:
            descending = isinstance(arg, Polarity) and arg.sign == "-"
            operand = arg.operand if isinstance(arg, Polarity) and descending else arg
            keys.append((self.expression(operand), descending))
        if not keys:
            keys.append((lambda scope: scope.this, False))
        sort = FUNCTIONS["sort"].apply
        return lambda items, scope: sort(items, tuple(keys), scope)

    def _type_step(self, function: str, name: Any) -> Step:
        if function == "is":
            test = types.is_test(name)
            return lambda items, scope: [test(item) for item in _one(items, "is()")]
        cast = types.as_test(name)
        several = function == "ofType" or not self.strict
        return lambda items, scope: [item for item in (items if several else _one(items, "as()")) if cast(item)]

    def _type_test(self, tree: TypeTest) -> Ev:
        operand, step = self.expression(tree.operand), self._type_step(tree.operator, types.checked(tree.type))
        return lambda scope: step(operand(scope), scope)

    def _polarity(self, tree: Polarity) -> Ev:
        operand = self.expression(tree.operand)
        sign = operators.negative if tree.sign == "-" else operators.positive
        return lambda scope: sign(operand(scope))

    def _binary(self, tree: Binary) -> Ev:
        left, right = self.expression(tree.left), self.expression(tree.right)
        if tree.operator == "implies":
            return _implies(left, right)
        operator = operators.BINARY[tree.operator]
        if tree.operator == "=" and isinstance(tree.right, Literal):
            constant = tree.right.items[0] if tree.right.items else None
            if isinstance(constant, str):
                return _equals_text(left, constant)
        return lambda scope: operator(left(scope), right(scope), scope.run)

    def _chain(self, tree: Chain) -> Ev:
        operands = tuple(self.expression(operand) for operand in tree.operands)
        if tree.operator == "|":
            return _union(operands)
        return _all_or_any(operands, tree.operator)


def _one(items: Items, what: str) -> Items:
    single(items, what)
    return items


def _system_member(item: Any, name: str) -> Items:
    """The members that system values have: of type information, and of a Quantity."""
    if isinstance(item, TypeInfo) and name in ("namespace", "name"):
        return [getattr(item, name)]
    if isinstance(item, Quantity) and name in ("value", "unit", "code"):
        return [item.value if name == "value" else item.unit]
    return []


def _equals_text(left: Ev, text: str) -> Ev:
    """``left = 'text'``, by far the most frequent comparison, without the detours of the general one."""
    texts = [text]

    def equals(scope: Scope) -> Items:
        items = left(scope)
        if len(items) == 1:
            item = items[0]
            if item.__class__ is Node and item.shape.system == "String" and item.value is not None:
                return [item.value == text]
        verdict = values.all_equal(items, texts)
        return [] if verdict is None else [verdict]

    return equals


def _union(operands: tuple[Ev, ...]) -> Ev:
    def union(scope: Scope) -> Items:
        joined: Items = []
        for operand in operands:
            joined += operand(scope)
        return values.distinct(joined, scope.run.spend) if len(joined) > 1 else joined

    return union


def _all_or_any(operands: tuple[Ev, ...], operator: str) -> Ev:
    decisive = operator == "or"

    def decide(scope: Scope) -> Items:
        open_ = False
        for operand in operands:
            verdict = operators.boolean(operand(scope), operator)
            if verdict is decisive:
                return [decisive]
            open_ = open_ or verdict is None
        return [] if open_ else [not decisive]

    return decide


def _implies(left: Ev, right: Ev) -> Ev:
    def implies(scope: Scope) -> Items:
        if_ = operators.boolean(left(scope), "implies")
        if if_ is False:
            return [True]
        then = operators.boolean(right(scope), "implies")
        if if_ is None:
            return [True] if then else []
        return [] if then is None else [then]

    return implies


_EXPRESSIONS: dict[type, Callable[[Compiler, Any], Ev]] = {
    Literal: Compiler._literal,
    Special: Compiler._special,
    Variable: Compiler._variable,
    Member: Compiler._member,
    Call: Compiler._call,
    Path: Compiler._path,
    TypeTest: Compiler._type_test,
    Polarity: Compiler._polarity,
    Binary: Compiler._binary,
    Chain: Compiler._chain,
}
