"""Compiled profiles: rules that check nodes, with only what a profile says beyond the base definition.

https://hl7.org/fhir/R4/profiling.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from profiles.conformance.run import Check
from profiles.fhirpath.model import Node, children

Test = Callable[[Node, Check], None]
Match = Callable[[Node, Check], bool]


class Rule:
    """What one element of a profile demands of a value: ``tests`` of the value itself, then its children."""

    __slots__ = ("kids", "path", "tests", "url")

    def __init__(self, url: str, path: str) -> None:
        self.url = url
        self.path = path
        self.tests: tuple[Test, ...] = ()
        self.kids: tuple[Kid, ...] = ()

    @property
    def trivial(self) -> bool:
        """Whether it demands nothing."""
        return not self.tests and not self.kids

    def check(self, node: Node, check: Check) -> None:
        """Note what is wrong with the node."""
        for test in self.tests:
            test(node, check)
        for kid in self.kids:
            kid.check(node, check)


class Kid:
    """What a profile demands of the children of one name: how many, of which types, and each of them.

    ``most`` is None for ``*``; ``types`` are the codes allowed (None: as the base has it); ``rule`` may be trivial.
    """

    __slots__ = ("label", "least", "most", "name", "rule", "slicing", "types", "url")

    def __init__(self, name: str, label: str, url: str) -> None:
        self.name = name
        self.label = label
        self.url = url
        self.least = 0
        self.most: int | None = None
        self.types: frozenset[str] | None = None
        self.rule: Rule | None = None
        self.slicing: Slicing | None = None

    @property
    def trivial(self) -> bool:
        """Whether it demands nothing."""
        return self.least == 0 and self.most is None and self.types is None and not (self.rule or self.slicing)

    def check(self, node: Node, check: Check) -> None:
        """Note what is wrong with the children of the node."""
        found: list[Any] = []
        children(node, self.name, found)
        self.count(len(found), node, check)
        if not found:
            if self.slicing is not None:
                self.slicing.check(found, node, check)
            return
        if self.types is not None:
            for child in found:
                if child.shape.name not in self.types and not self._is_type(child):
                    allowed = ", ".join(sorted(self.types))
                    check.add(
                        "structure",
                        f"{self.label}: the type {child.shape.name} is not allowed, only {allowed} ({self.url})",
                        child,
                    )
        rule = self.rule
        if rule is not None:
            for child in found:
                rule.check(child, check)
        if self.slicing is not None:
            self.slicing.check(found, node, check)

    def _is_type(self, child: Node) -> bool:
        return self.types is not None and not self.types.isdisjoint(child.shape.lineage)

    def count(self, number: int, node: Node, check: Check) -> None:
        """Note where there are too few or too many."""
        if number < self.least:
            check.add(
                "required", f"{self.label}: at least {self.least} required, {number} found ({self.url})", self._at(node)
            )
        elif self.most is not None and number > self.most:
            check.add(
                "structure", f"{self.label}: at most {self.most} allowed, {number} found ({self.url})", self._at(node)
            )

    def _at(self, node: Node) -> str:
        return f"{node.path}.{self.name}"


class Slice:
    """One slice: which values belong to it (``match``), and the Kid with what is demanded of them."""

    __slots__ = ("kid", "match", "name")

    def __init__(self, name: str, match: Match, kid: Kid) -> None:
        self.name = name
        self.match = match
        self.kid = kid


class Slicing:
    """The slices of one element. ``rules``: open, closed, openAtEnd; ``ordered``: they come in their order."""

    __slots__ = ("label", "name", "ordered", "rules", "slices", "url")

    def __init__(self, name: str, label: str, url: str, rules: str, ordered: bool, slices: tuple[Slice, ...]) -> None:
        self.name = name
        self.label = label
        self.url = url
        self.rules = rules
        self.ordered = ordered
        self.slices = slices

    def check(self, found: list[Node], node: Node, check: Check) -> None:
        """Give each value to its slice, and check slices and what is left over."""
        groups: list[list[Node]] = [[] for _ in self.slices]
        last, outside = 0, False
        for value in found:
            place = self._place(value, check)
            if place is None:
                outside = True
                if self.rules == "closed":
                    check.add(
                        "structure",
                        f"{self.label}: the value fits no slice, and others are not allowed ({self.url})",
                        value,
                    )
                continue
            if outside and self.rules == "openAtEnd":
                check.add("structure", f"{self.label}: what fits no slice comes last ({self.url})", value)
                outside = False
            if self.ordered and place < last:
                check.add(
                    "structure",
                    f"{self.label}: the slice '{self.slices[place].name}' is out of order ({self.url})",
                    value,
                )
            last = max(last, place)
            groups[place].append(value)
        for one, group in zip(self.slices, groups, strict=True):
            kid = one.kid
            kid.count(len(group), node, check)
            if kid.rule is not None:
                for value in group:
                    kid.rule.check(value, check)
            if kid.slicing is not None:
                kid.slicing.check(group, node, check)

    def _place(self, value: Node, check: Check) -> int | None:
        for place, one in enumerate(self.slices):
            if one.match(value, check):
                return place
        return None
