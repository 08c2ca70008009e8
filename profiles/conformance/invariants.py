"""Invariants: FHIRPath constraints, evaluated only where a quick look cannot tell that they hold.

https://hl7.org/fhir/R4/elementdefinition.html#ElementDefinition.constraint
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

from profiles.conformance.run import STEPS, Check
from profiles.definitions import load
from profiles.fhirpath import Environment, Expression, FhirPathError, Location, TooCostlyError, compile
from profiles.fhirpath.model import Node
from profiles.fhirpath.parser import parse
from profiles.fhirpath.syntax import Binary, Call, Chain, Expr, Member, Path

BEST_PRACTICE = "http://hl7.org/fhir/StructureDefinition/elementdefinition-bestpractice"
# R4 and guides name FHIRPath's own types where they mean those of FHIR (que-7), and are understood everywhere.
_OWN_TYPE = re.compile(r"\b(is|as)\s+(Boolean|String|Integer|Decimal|DateTime|Date|Time)\b")
# Expressions of R4 that its own examples do not satisfy: what is absent is not refused.
_CORRECTED = {
    "bdl-8": "fullUrl.exists() implies fullUrl.contains('/_history/').not()",
    "ras-2": "probability.exists() implies (probability is decimal implies (probability as decimal) <= 100)",
}
# What the structural validation proves of every resource that passes it.
PROVEN = frozenset({"ele-1", "ext-1", "dom-2", "txt-1", "sqt-1", "ref-1"})


# An invariant that alone spends so much of what a resource is allowed is left out for a while.
_COSTLY_STEPS = STEPS // 4
_REST_SECONDS = 60.0


class Invariant:
    """One constraint, ready to be checked on nodes. ``unless``: JSON keys without which it certainly holds.

    ``source``: the profile that states it; empty for R4's own, which cost little and are always evaluated.
    ``inner``: it stands in the definition of what holds the element, so that a resource there is not ``%resource``.
    """

    __slots__ = (
        "_expression",
        "_fault",
        "_rest",
        "best_practice",
        "human",
        "inner",
        "key",
        "severity",
        "source",
        "unless",
    )

    def __init__(self, constraint: dict[str, Any], source: str, inner: bool = False) -> None:
        self.key = str(constraint.get("key", ""))
        self.severity = "warning" if constraint.get("severity") == "warning" else "error"
        self.human = str(constraint.get("human", ""))
        self.source = source
        self.inner = inner
        self.best_practice = any(
            isinstance(e, dict) and e.get("url") == BEST_PRACTICE and e.get("valueBoolean")
            for e in constraint.get("extension", ())
        )
        text = expression_of(constraint)
        self._expression: Expression | None = None
        self._fault = ""
        # Until when, and from how many values of a resource on, it is not evaluated. Smaller ones are: a large record
        # cannot take the rule away from those of others.
        self._rest = (0.0, 0)
        self.unless: tuple[str, ...] = ()
        try:
            self._expression = compile(text)
            self.unless = needed_keys(parse(text))
        except (FhirPathError, RecursionError) as error:
            self._fault = str(error)

    def check(self, node: Node, check: Check) -> None:
        """Note an issue where the constraint does not hold on the node."""
        if self.best_practice and not check.options.hints:
            return
        if self.unless:
            content = node.value if node.value.__class__ is dict else node.content
            for key in self.unless:
                if key in content:
                    break
            else:
                return
        if self._expression is None:
            check.add("not-supported", f"{self._name()} cannot be checked: {self._fault}", node, "warning")
            return
        try:
            holds = self._holds(self._expression, node, check)
        except FhirPathError as error:
            check.add("exception", f"{self._name()} cannot be evaluated here: {error}", node, "warning")
            return
        if holds is not True:
            severity = check.options.best_practice if self.best_practice else self.severity
            check.add("invariant", f"{self._name()}: {self.human}", node, severity)

    def _holds(self, expression: Expression, node: Node, check: Check) -> bool | None:
        """Whether it holds; raises FhirPathError, TooCostlyError where the resource has spent what it is allowed."""
        place, environment = Location(node), self._environment(node, check)
        if not self.source:
            return expression.holds(place, environment=environment)
        budget = check.budget
        before = budget.left
        if before <= 0 and not budget.covers(1):
            raise TooCostlyError("the expressions of profiles take too long on this resource")
        until, size = self._rest
        if until and time.monotonic() < until and check.size() >= size:
            raise TooCostlyError("it took too long on a resource of this size a short while ago")
        try:
            return expression.holds(place, environment=environment, budget=budget)
        except TooCostlyError:
            if before - budget.left >= _COSTLY_STEPS:
                self._rest = (time.monotonic() + _REST_SECONDS, check.size())
            raise

    def _environment(self, node: Node, check: Check) -> Environment:
        if not self.inner or node.parent is None or "resourceType" not in node.content:
            return check.environment
        holder = node.parent.resource()
        return replace(check.environment, variables={"resource": holder.value, "rootResource": holder.value})

    def _name(self) -> str:
        return f"{self.key} ({self.source})" if self.source else self.key


def expression_of(constraint: dict[str, Any]) -> str:
    """The FHIRPath of a constraint as it is evaluated."""
    text = _CORRECTED.get(str(constraint.get("key", ""))) or str(constraint.get("expression", ""))
    return _OWN_TYPE.sub(lambda match: f"{match[1]} {match[2][0].lower()}{match[2][1:]}", text)


def needed_keys(tree: Expr) -> tuple[str, ...]:
    """The JSON keys of the focus of which one must be there for the expression to be false; () if none is known.

    ``a.exists() implies …``, ``a.empty() or …`` and ``a.all(…)`` hold where there is no ``a``; so do conjunctions
    of such. A choice element has a key for each type, so names that could be choices are left alone.
    """
    found = _needed(tree)
    return () if found is None else tuple(sorted(found))


def _needed(tree: Expr) -> set[str] | None:
    """The keys without which the tree is certainly true; None if there are none."""
    tree = _unwrapped(tree)
    if isinstance(tree, Binary) and tree.operator == "implies":
        return _false_without(tree.left) or _needed(tree.right)
    if isinstance(tree, Chain) and tree.operator == "or":
        for operand in tree.operands:
            keys = _needed(operand)
            if keys is not None:
                return keys
        return None
    if isinstance(tree, Chain) and tree.operator == "and":
        return _joined([_needed(operand) for operand in tree.operands])
    if isinstance(tree, Path) and tree.steps and isinstance(tree.steps[-1], Call):
        last, before = tree.steps[-1], tree.steps[:-1]
        if last.name in ("empty", "all", "allTrue"):
            return _first_key(tree.head)
        if last.name == "not" and before and isinstance(before[-1], Call) and before[-1].name == "exists":
            return _first_key(tree.head)
    return None


def _false_without(tree: Expr) -> set[str] | None:
    """The keys without which the tree is certainly false."""
    tree = _unwrapped(tree)
    if isinstance(tree, Path) and tree.steps:
        last = tree.steps[-1]
        if isinstance(last, Call) and last.name in ("exists", "hasValue"):
            return _first_key(tree.head)
    if isinstance(tree, Chain) and tree.operator == "and":
        for operand in tree.operands:
            keys = _false_without(operand)
            if keys is not None:
                return keys
        return None
    if isinstance(tree, Chain) and tree.operator == "or":
        return _joined([_false_without(operand) for operand in tree.operands])
    return None


def _unwrapped(tree: Expr) -> Expr:
    """Without parentheses around the whole."""
    while isinstance(tree, Path) and not tree.steps:
        tree = tree.head
    return tree


def _joined(parts: list[set[str] | None]) -> set[str] | None:
    out: set[str] = set()
    for part in parts:
        if part is None:
            return None
        out |= part
    return out


@cache
def _choices() -> frozenset[str]:
    """The names of all choice elements of R4."""
    definitions = load()
    elements = (e for name in definitions.type_names for e in definitions.type(name).elements.values())
    return frozenset(element.name for element in elements if element.choice)


def _first_key(head: Expr) -> set[str] | None:
    if isinstance(head, Member) and head.name[:1].islower() and head.name not in _choices():
        return {head.name, "_" + head.name}
    return None


def _all_referred_to(resource: dict[str, Any]) -> bool:
    """Whether each contained resource is named somewhere, be it by the narrative, or names its container."""
    texts: set[str] = set()
    divs: list[str] = []
    waiting: list[Any] = [resource]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            for key, inner in one.items():
                if key == "div":
                    divs.append(str(inner))
                elif isinstance(inner, str):
                    if inner.startswith("#"):
                        texts.add(inner)
                else:
                    waiting.append(inner)
        elif isinstance(one, list):
            waiting += one
            texts.update(item for item in one if isinstance(item, str) and item.startswith("#"))
    contained = resource.get("contained")
    for inner in contained if isinstance(contained, list) else ():
        name = f"#{inner.get('id')}" if isinstance(inner, dict) else ""
        if name not in texts and not any(f'"{name}"' in div or f"'{name}'" in div for div in divs):
            return False
    return True


Quick = Callable[[dict[str, Any]], bool]
"""Whether an invariant certainly holds on a JSON object."""

# Invariants of R4 that nearly always hold and can be seen to at a glance.
QUICK: dict[str, Quick] = {
    "per-1": lambda v: "start" not in v or "end" not in v,
    "qty-3": lambda v: "code" not in v or "system" in v,
    "ref-1": lambda v: not str(v.get("reference", "")).startswith("#"),
    "cpt-2": lambda v: "value" not in v or "system" in v,
    "obs-6": lambda v: "dataAbsentReason" not in v,
    "obs-7": lambda v: "component" not in v or "code" not in v,
    "dom-3": lambda v: "contained" not in v or _all_referred_to(v),
    "dom-4": lambda v: "contained" not in v,
    "dom-5": lambda v: "contained" not in v,
    "dom-6": lambda v: "text" in v,
    "rat-1": lambda v: "numerator" in v and "denominator" in v,
    "att-1": lambda v: "data" not in v or "contentType" in v,
}
