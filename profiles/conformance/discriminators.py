"""Discriminators: which slice a value belongs to, as a closure made from the slice's own definition.

https://hl7.org/fhir/R4/profiling.html#discriminator
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from profiles.conformance import values
from profiles.conformance.element_tests import codings_of
from profiles.conformance.rules import Match, Rule
from profiles.conformance.run import Check
from profiles.conformance.snapshot import Lookup, SnapshotError
from profiles.conformance.tree import Element, Facts
from profiles.definitions import load
from profiles.fhirpath.model import Node, children, shape_of_resource

_STEP = re.compile(r"([A-Za-z$][\w]*)(?:\(\s*(?:'([^']*)'|\"([^\"]*)\"|([\w.]*))\s*\))?(?:\.|$)")
_DEEP = 6

Step = tuple[str, str | None]
"""A name, and the argument where it is a function: ("code", None), ("extension", url), ("resolve", "")."""


def steps_of(path: str) -> list[Step] | None:
    """The steps of a discriminator's path; None if it is of no form that discriminators may have."""
    found: list[Step] = []
    at = 0
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None:
            return None
        is_call = "(" in match[0]
        argument = next((g for g in match.groups()[1:] if g is not None), "") if is_call else None
        if match[1] != "$this":
            found.append((match[1], argument))
        at = match.end()
    return found


class Matcher:
    """Makes the ``match`` of slices; ``child`` finds the child of an element in its type too."""

    def __init__(
        self,
        lookup: Lookup,
        rule_of: Callable[[str], Rule | None],
        child: Callable[[Element, str], Element | None],
    ) -> None:
        self._lookup = lookup
        self._rule_of = rule_of
        self._child = child

    def of(self, sliced: Element, one: Element, slicing: Facts) -> Match | None:
        """Whether a node belongs to the slice ``one``; None where its definition does not say."""
        if sliced.name in ("extension", "modifierExtension"):
            url = self._extension_url(one)
            if url is not None:
                return lambda node, check: node.content.get("url") == url
        told = slicing.get("discriminator") or []
        if not told and sliced.name.endswith("[x]"):
            told = [{"type": "type", "path": "$this"}]
        tests: list[Match] = []
        for discriminator in told:
            try:
                test = self._test(sliced, one, str(discriminator.get("type")), str(discriminator.get("path")))
            except SnapshotError:
                return None
            if test is not None:
                tests.append(test)
        if not tests:
            return None
        if len(tests) == 1:
            return tests[0]
        return lambda node, check: all(test(node, check) for test in tests)

    def _extension_url(self, one: Element) -> str | None:
        for kind in one.types:
            for profile in kind.get("profile", ()):
                return str(profile).partition("|")[0]
        url = one.children.get("url")
        found = None if url is None else url.facts.get("fixedUri")
        return found if isinstance(found, str) else None

    def _bound(self, sliced: Element, steps: list[Step]) -> frozenset[str]:
        """The value sets that all values are bound to, whatever their slice."""
        ends, _ = self._descend(sliced, steps)
        return frozenset(str(e.facts["binding"].get("valueSet")) for e in ends if "binding" in e.facts)

    def _test(self, sliced: Element, one: Element, kind: str, path: str) -> Match | None:
        steps = steps_of(path)
        if steps is None:
            return None
        ends, implied = self._descend(one, steps)
        if not ends and not implied:
            return None
        walk = _walk(steps)
        if kind == "exists":
            return _existence(ends, walk)
        if kind == "type":
            return self._type(ends, walk)
        if kind == "profile":
            return self._profile(ends, walk)
        test = self._value(ends, implied, self._bound(sliced, steps))
        if test is None:
            return _existence(ends, walk) if ends and steps else None
        inner = test

        def match(node: Node, check: Check) -> bool:
            return any(inner(found, check) for found in walk(node, check))

        return match

    def _descend(self, one: Element, steps: list[Step]) -> tuple[list[Element], list[Any]]:
        """The elements that the path leads to in the slice's definition, and the values a pattern above implies."""
        ends, implied = [one], _wanted(one)
        for name, argument in steps:
            after: list[Element] = []
            if argument is None:
                implied = [v for value in implied for v in _members(value, name)]
            elif name not in ("ofType", "as"):
                implied = []
            for element in ends:
                after += self._next(element, name, argument)
            ends = after
            implied += [value for element in ends for value in _wanted(element)]
        return ends, implied

    def _next(self, element: Element, name: str, argument: str | None) -> list[Element]:
        if argument is None:
            child = self._child(element, name)
            if child is None:
                return []
            return [child, *[s for s in child.slices.values() if int(s.facts.get("min", 0)) > 0]]
        if name == "resolve":
            targets = [t for kind in element.types for t in kind.get("targetProfile", ())]
            return [_referred(t, self._lookup) for t in targets]
        if name == "extension":
            child = self._child(element, "extension")
            found = [] if child is None else [s for s in child.slices.values() if self._extension_url(s) == argument]
            return found or [self._extension(str(argument))]
        if name in ("ofType", "as"):
            kept = Element(element.name, dict(element.facts), element.slice_name)
            kept.children, kept.slices = element.children, element.slices
            kept.facts["type"] = [kind for kind in element.types if kind.get("code") == argument]
            return [kept]
        return []

    def _extension(self, url: str) -> Element:
        return self._lookup(url)

    def _type(self, ends: list[Element], walk: Walk) -> Match:
        codes = {str(kind.get("code")) for element in ends for kind in element.types}
        codes |= {element.name for element in ends if not element.types}
        codes |= {code.rpartition(".")[2].lower() for code in codes if "fhirpath" in code}

        def match(node: Node, check: Check) -> bool:
            return any(not codes.isdisjoint(found.shape.lineage) for found in walk(node, check))

        return match

    def _profile(self, ends: list[Element], walk: Walk) -> Match | None:
        urls = [p for element in ends for kind in element.types for p in kind.get("profile", ())]
        urls += [str(e.facts["_url"]) for e in ends if "_url" in e.facts]
        if not urls:
            return None  # this slice says nothing of it

        def match(node: Node, check: Check) -> bool:
            for found in walk(node, check):
                for url in urls:
                    rule = self._rule_of(url)
                    if rule is not None and rule.path in found.shape.lineage and check.conforms(found, rule):
                        return True
            return False

        return match

    def _value(self, ends: list[Element], implied: list[Any], bound: frozenset[str]) -> Match | None:
        tests = [test for element in ends if (test := self._of_element(element, 0, bound)) is not None]
        for value in implied:
            tests.append(_of_value(values.pattern(value)))
        if not tests:
            return None
        return lambda node, check: any(test(node, check) for test in tests)

    def _of_element(self, element: Element, depth: int, known: frozenset[str] = frozenset()) -> Match | None:
        """What the element's definition, or that of its children, says of the value itself."""
        facts = element.facts
        for key, wanted in facts.items():
            if key.startswith(("fixed", "pattern")):
                test = (values.fixed if key.startswith("fixed") else values.pattern)(wanted)
                return _of_value(test)
        bound = facts.get("binding")
        if isinstance(bound, dict) and bound.get("strength") == "required" and "valueSet" in bound and depth == 0:
            valueset = bound["valueSet"]
            if valueset in known:
                return None
            return lambda node, check: _is_bound(node, check, valueset)
        if depth > _DEEP:
            return None
        parts: list[tuple[str, Match]] = []
        for child in element.children.values():
            options = [child, *[s for s in child.slices.values() if int(s.facts.get("min", 0)) > 0]]
            for option in options:
                inner = self._of_element(option, depth + 1)
                if inner is not None:
                    parts.append((child.name.removesuffix("[x]"), inner))
        if not parts:
            return self._of_profile(element, depth)

        def match(node: Node, check: Check) -> bool:
            for name, inner in parts:
                found: list[Any] = []
                children(node, name, found)
                if not any(inner(one, check) for one in found):
                    return False
            return True

        return match

    def _of_profile(self, element: Element, depth: int) -> Match | None:
        profiles = [p for kind in element.types for p in kind.get("profile", ())]
        if len(profiles) != 1:
            return None
        return self._of_element(self._lookup(profiles[0]), depth + 1)


def _of_value(test: values.Test) -> Match:
    return lambda node, check: test(node.value)


def _referred(url: str, lookup: Lookup) -> Element:
    tree = lookup(url)
    found = Element(tree.name, dict(tree.facts) | {"_url": url, "type": [{"code": tree.name}]})
    found.children, found.slices = tree.children, tree.slices
    return found


def _is_bound(node: Node, check: Check, valueset: str) -> bool:
    return any(
        check.bindings.validate(valueset, system, code, version).valid for system, code, version in codings_of(node)
    )


def _wanted(element: Element) -> list[Any]:
    return [value for key, value in element.facts.items() if key.startswith(("fixed", "pattern"))]


def _members(value: Any, name: str) -> list[Any]:
    """The members of this name of a pattern's value, those of lists too."""
    if isinstance(value, list):
        return [member for one in value for member in _members(one, name)]
    if not isinstance(value, dict) or name not in value:
        return []
    found = value[name]
    return found if isinstance(found, list) else [found]


def _existence(ends: list[Element], walk: Walk) -> Match | None:
    if any(int(element.facts.get("min", 0)) > 0 for element in ends):
        return lambda node, check: bool(walk(node, check))
    if any(element.facts.get("max") == "0" for element in ends):
        return lambda node, check: not walk(node, check)
    return None


Walk = Callable[[Node, Check], list[Node]]


def _walk(steps: list[Step]) -> Walk:
    """The path as a function of a node."""
    if not steps:
        return lambda node, check: [node]
    moves = [_move(name, argument) for name, argument in steps]
    if len(moves) == 1:
        only = moves[0]
        return lambda node, check: only([node], check)

    def walk(node: Node, check: Check) -> list[Node]:
        found = [node]
        for move in moves:
            found = move(found, check)
        return found

    return walk


def _move(name: str, argument: str | None) -> Callable[[list[Node], Check], list[Node]]:
    if argument is None:
        return lambda nodes, check: _children(nodes, name)
    if name == "extension":
        return lambda nodes, check: [n for n in _children(nodes, "extension") if n.content.get("url") == argument]
    if name in ("ofType", "as"):
        return lambda nodes, check: [n for n in nodes if argument in n.shape.lineage]
    return _resolved


def _children(nodes: list[Node], name: str) -> list[Node]:
    out: list[Any] = []
    for node in nodes:
        children(node, name, out)
    return out


def _resolved(nodes: list[Node], check: Check) -> list[Node]:
    out: list[Node] = []
    for node in nodes:
        reference = node.value.get("reference") if isinstance(node.value, dict) else node.value
        if isinstance(reference, str):
            target = check.resolve(reference, node) or _named(reference)
            if target is not None:
                out.append(target)
    return out


def _named(reference: str) -> Node | None:
    """A stand-in for what a literal reference names: it has a type, and nothing else."""
    parts = reference.partition("/_history/")[0].split("/")
    if len(parts) < 2 or parts[-2] not in load().resource_types:
        return None
    value = {"resourceType": parts[-2], "id": parts[-1]}
    return Node(value, shape_of_resource(value))
