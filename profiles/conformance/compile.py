"""Compile a profile's tree to rules: what it says beyond the base definition, and nothing else.

https://hl7.org/fhir/R4/profiling.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from profiles.conformance import element_tests
from profiles.conformance.discriminators import Matcher
from profiles.conformance.invariants import PROVEN, Invariant
from profiles.conformance.rules import Kid, Rule, Slice, Slicing, Test
from profiles.conformance.snapshot import STRUCTURE, Lookup, SnapshotError
from profiles.conformance.tree import Element, Facts

RuleOf = Callable[[str], "Rule | None"]


class Compiler:
    """Compiles one profile. ``lookup`` gives trees by URL, ``rule_of`` the rules of other profiles."""

    def __init__(self, url: str, root: Element, lookup: Lookup, rule_of: RuleOf) -> None:
        self.url = url
        self._root = root
        self._lookup = lookup
        self._rule_of = rule_of
        self._matcher = Matcher(lookup, rule_of, self._child)

    def fill(self, rule: Rule, base: Element) -> None:
        """Put into ``rule`` all that the profile demands beyond ``base``."""
        self._fill(rule, self._root, base, self._root.name)

    def _fill(self, rule: Rule, element: Element, base: Element, label: str) -> None:
        rule.tests = tuple(self._tests(element, base, label))
        kids = []
        for child in element.children.values():
            before = base.children.get(child.name) or self._base_child(base, child.name)
            kid = self._kid(child, before or Element(child.name, {}), f"{label}.{child.name}")
            if not kid.trivial:
                kids.append(kid)
        rule.kids = tuple(kids)

    def _base_child(self, base: Element, name: str) -> Element | None:
        try:
            return self._child(base, name)
        except SnapshotError:
            return None

    def _child(self, element: Element, name: str) -> Element | None:
        """The child of this name, of the element itself or of its type or profile."""
        found = element.children.get(name) or element.children.get(f"{name}[x]")
        if found is not None:
            return found
        reference = element.facts.get("contentReference")
        if isinstance(reference, str):
            target = self._target(reference)
            return None if target is None else self._child(target, name)
        for kind in element.types:
            code = str(kind.get("code", ""))
            if not code or "/" in code:
                continue
            profiles = kind.get("profile") or []
            source = self._lookup(profiles[0] if len(profiles) == 1 else STRUCTURE + code)
            found = source.children.get(name) or source.children.get(f"{name}[x]")
            if found is not None:
                return found
        return None

    def _target(self, reference: str) -> Element | None:
        names = reference.rpartition("#")[2].split(".")
        target: Element | None = self._lookup(STRUCTURE + names[0])
        for name in names[1:]:
            target = None if target is None else target.children.get(name)
        return target

    # What is tested of a value

    def _tests(self, element: Element, base: Element, label: str) -> list[Test]:
        facts, before, url = element.facts, base.facts, self.url
        found: list[Test] = [
            *element_tests.of_value(facts, before, url, label),
            *element_tests.binding(facts, before, url, label),
        ]
        known = {_rule_of(c) for c in before.get("constraint", ())} | self._known_of_types(element)
        for constraint in facts.get("constraint", ()):
            if constraint.get("key") in PROVEN or "expression" not in constraint:
                continue
            if _rule_of(constraint) not in known:
                found.append(Invariant(constraint, url, "." in label).check)
        if element.types != base.types:
            found += self._type_tests(element, base, label)
        return found

    def _part_of(self, url: str, path: str) -> Rule | None:
        """The rule of one element, by its id, of another profile."""
        try:
            root = base = self._lookup(url)
        except SnapshotError:
            return None
        base = self._lookup(STRUCTURE + root.name)
        for step in path.split(".")[1:]:
            name, _, slice_name = step.partition(":")
            below = self._child(root, name)
            found = below if below is None or not slice_name else below.slices.get(slice_name)
            if found is None:
                return None
            root, base = found, self._base_child(base, name) or Element(name, {})
        rule = Rule(url, path)
        Compiler(url, self._lookup(url), self._lookup, self._rule_of)._fill(rule, root, base, path)
        return rule

    def _known_of_types(self, element: Element) -> set[Any]:
        """The constraints that the element's type states itself, which are checked wherever the type stands."""
        keys: set[Any] = set()
        for kind in element.types:
            code = str(kind.get("code", ""))
            if code and "/" not in code:
                try:
                    keys |= {_rule_of(c) for c in self._lookup(STRUCTURE + code).facts.get("constraint", ())}
                except SnapshotError:
                    continue
        return keys

    def _type_tests(self, element: Element, base: Element, label: str) -> list[Test]:
        found: list[Test] = []
        before = {p for kind in base.types for p in kind.get("profile", ())}
        by_code: dict[str, list[str]] = {}
        part = element_tests.profile_part(element.types)
        if part is not None:
            return [element_tests.profile_element(*part, self.url, label, self._part_of)]
        for kind in element.types:
            # What an extension holds is checked against its definition wherever it stands.
            if kind.get("code") != "Extension":
                new = [p for p in kind.get("profile", ()) if p not in before and not p.startswith(STRUCTURE + "Simple")]
                by_code.setdefault(str(kind.get("code")), []).extend(new)
        for code, wanted in by_code.items():
            if wanted:
                test = element_tests.profiles(wanted, self.url, label, self._rule_of)
                found.append(test if len(by_code) == 1 else _only_for(code, test))
        reference = element_tests.references(element.types, self.url, label, self._rule_of)
        if reference is not None and _targets(element.types) != _targets(base.types):
            found.append(reference if len(element.types) == 1 else _only_for("Reference", reference))
        return found

    # Children and slices

    def _kid(self, element: Element, base: Element, label: str) -> Kid:
        facts, before = element.facts, base.facts
        kid = Kid(element.name.removesuffix("[x]"), label, self.url)
        least = int(facts.get("min", 0))
        if least > int(before.get("min", 0)):
            kid.least = least
        if facts.get("max", "*") != before.get("max", "*"):
            kid.most = _most(facts)
        codes = {_code(kind) for kind in element.types}
        if (codes and codes < {_code(kind) for kind in base.types}) or (
            _is_resource(base) and not _is_resource(element)
        ):
            kid.types = frozenset(codes)
        rule = self._rule(element, base, label)
        if rule is not None:
            kid.rule = rule
        if element.slices:
            kid.slicing = self._slicing(element, label)
        return kid

    def _rule(self, element: Element, base: Element, label: str) -> Rule | None:
        rule = Rule(self.url, label)
        self._fill(rule, element, base, label)
        return None if rule.trivial else rule

    def _slicing(self, element: Element, label: str) -> Slicing:
        told = element.facts.get("slicing") or {}
        slices = []
        for name, one in element.slices.items():
            kid = Kid(element.name.removesuffix("[x]"), f"{label}:{name}", self.url)
            kid.least, kid.most = int(one.facts.get("min", 0)), _most(one.facts)
            kid.rule = self._rule(one, element, kid.label)
            if one.slices:
                kid.slicing = self._slicing(one, kid.label)
            match = self._matcher.of(element, one, told)
            if match is None:
                match = self._by_rule(one, kid)
            slices.append(Slice(name, match, kid))
        rules = str(told.get("rules", "open"))
        return Slicing(
            element.name.removesuffix("[x]"), label, self.url, rules, bool(told.get("ordered")), tuple(slices)
        )

    def _by_rule(self, one: Element, kid: Kid) -> Any:
        """Without a usable discriminator a value belongs to the slice whose rule it satisfies."""
        rule = kid.rule
        return lambda node, check: rule is None or check.conforms(node, rule)


def _rule_of(constraint: Facts) -> tuple[Any, Any]:
    return constraint.get("key"), constraint.get("expression")


def _most(facts: Facts) -> int | None:
    most = str(facts.get("max", "*"))
    return int(most) if most.isdigit() else None


def _code(kind: Facts) -> str:
    return str(kind.get("code", ""))


def _is_resource(element: Element) -> bool:
    return not element.types or any(_code(kind) in ("Resource", "DomainResource") for kind in element.types)


def _targets(types: list[Facts]) -> list[Any]:
    return [(kind.get("targetProfile"), kind.get("aggregation")) for kind in types if kind.get("code") == "Reference"]


def _only_for(code: str, test: Test) -> Test:
    def check_type(node: Any, check: Any) -> None:
        if code in node.shape.lineage:
            test(node, check)

    return check_type
