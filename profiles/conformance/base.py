"""The rules of R4 itself beyond structure: invariants, bindings, extensions, references, wherever a type stands.

https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from profiles.conformance.data_types import SPECIAL
from profiles.conformance.element_tests import check_bound, named_type
from profiles.conformance.invariants import BEST_PRACTICE, PROVEN, QUICK, Invariant, Quick
from profiles.conformance.run import Check
from profiles.definitions import Definitions, ElementDef
from profiles.fhirpath.model import Member, Node, append_member, shape
from profiles.structure.references import with_published_targets

if TYPE_CHECKING:
    from profiles.conformance.profile_set import ProfileSet

_BEST_PRACTICES = frozenset({"con-3", "dom-6"})  # as R4 marks them
Special = Callable[[Node, Check], None]


class _MemberPlan:
    """What is looked at under one JSON key: ``visit`` whether its values have rules of their own."""

    __slots__ = ("binding", "canonical", "coded", "invariants", "label", "member", "targets", "visit")

    def __init__(self, member: Member, label: str) -> None:
        self.member = member
        self.label = label
        self.binding: tuple[str, str] | None = None
        self.invariants: tuple[Invariant, ...] = ()
        self.targets: tuple[str, ...] = ()
        self.visit = True
        self.coded = False
        self.canonical = False


class _Plan:
    """What is looked at in one type."""

    __slots__ = ("invariants", "members", "specials")

    def __init__(self) -> None:
        self.invariants: tuple[tuple[Quick | None, Invariant], ...] = ()
        self.specials: tuple[Special, ...] = ()
        self.members: dict[str, _MemberPlan] = {}


class BaseRules:
    """The walk of one definition set; ``specials`` are checks by type name that others add."""

    def __init__(self, definitions: Definitions, profiles: ProfileSet) -> None:
        self._definitions = definitions
        self._profiles = profiles
        self._plans: dict[str, _Plan] = {}

    def release(self) -> None:
        """Let go of the plans; they are made again where they are asked for."""
        self._plans.clear()

    def visit(self, node: Node, check: Check) -> None:
        """Check a node and all below it."""
        plan = self._plans.get(node.shape.name)
        if plan is None:
            plan = self._plans[node.shape.name] = self._plan(node)
        content = node.value
        if content.__class__ is not dict:
            content = node.companion
            if content.__class__ is not dict:
                return
        for quick, invariant in plan.invariants:
            if quick is None or not quick(content):
                invariant.check(node, check)
        for special in plan.specials:
            special(node, check)
        members = plan.members
        for key in content:
            found = members.get(key)
            if found is None:
                if key[:1] != "_" or key[1:] in content:
                    continue
                found = members.get(key[1:])
                if found is None:
                    continue
            elif not found.visit and found.member.companion not in content:
                continue
            self._member(found, node, content, check)

    def _member(self, plan: _MemberPlan, node: Node, content: dict[str, Any], check: Check) -> None:
        values: list[Any] = []
        append_member(node, content, plan.member, values)
        binding = plan.binding
        if plan.coded and None in (node_.value for node_ in values):
            _check_missing_codes(values, plan.label, check)
        if plan.canonical:
            _check_canonicals(values, check)
        if binding is not None and (binding[0] != "preferred" or check.options.hints):
            for value in values:
                check_bound(value, check, binding[1], binding[0], plan.label)
        for value in values:
            for invariant in plan.invariants:
                invariant.check(value, check)
            if plan.targets:
                self._reference(value, plan, check)
            if value.value.__class__ is dict or value.companion is not None:
                self.visit(value, check)

    def _reference(self, node: Node, plan: _MemberPlan, check: Check) -> None:
        """A reference that can be followed leads to a resource of a type that is allowed here."""
        reference = node.value.get("reference") if isinstance(node.value, dict) else None
        if not isinstance(reference, str) or (check.alone and not reference.startswith("#")):
            return
        target = check.resolve(reference, node)
        if target is None:
            target = check.by_id(reference, node)
            if target is not None and named_type(reference) not in ("", target.shape.name):
                check.add("structure", f"'{reference}' is the id of a {target.shape.name} in the Bundle", node)
        if target is None and check.options.must_resolve and named_type(reference):
            check.add("not-found", f"the reference '{reference}' leads nowhere", node)
        if target is not None and target.shape.name not in plan.targets and target.shape.name != "Element":
            check.add(
                "structure",
                f"the reference leads to a resource of type {target.shape.name}, allowed are {', '.join(plan.targets)}",
                node,
            )

    def keys(self, type_name: str) -> frozenset[str]:
        """The keys of the invariants that are evaluated in a type and directly in its elements."""
        plan = self._plan(Node({}, shape(type_name)))
        inner = (invariant for member in plan.members.values() for invariant in member.invariants)
        return frozenset(i.key for i in (*(invariant for _, invariant in plan.invariants), *inner))

    # Plans

    def _plan(self, node: Node) -> _Plan:
        name = node.shape.name
        plan = _Plan()
        try:
            definition = self._definitions.type(name)
        except KeyError:
            return plan
        top, _, below = name.partition(".")
        plan.invariants = tuple((QUICK.get(i.key), i) for i in self._stated(top, name) if i.key not in PROVEN)
        names = (*node.shape.lineage, name) if not below else (name, "BackboneElement")
        plan.specials = tuple(f for n in dict.fromkeys(names) for f in (*SPECIAL.get(n, ()), *self._own(n)))
        for key, element in definition.elements.items():
            plan.members[key] = self._member_plan(name, top, key, with_published_targets(name, element), node)
        return plan

    def _own(self, name: str) -> tuple[Special, ...]:
        return tuple(self._profiles.specials.get(name, ()))

    def _stated(self, top: str, path: str) -> list[Invariant]:
        """The invariants that stand at a path of a type, and for a type those of its base types."""
        out: dict[str, Invariant] = {}
        for stated in self._definitions.invariants(top):
            at = stated.path
            if at == path or (path == top and "." not in at):
                facts: dict[str, Any] = {
                    "key": stated.key,
                    "severity": stated.severity,
                    "human": stated.human,
                    "expression": stated.expression,
                }
                if stated.key in _BEST_PRACTICES:
                    facts["extension"] = [{"url": BEST_PRACTICE, "valueBoolean": True}]
                out[stated.key] = Invariant(facts, "")
        return list(out.values())

    def _member_plan(self, name: str, top: str, key: str, element: ElementDef, node: Node) -> _MemberPlan:
        found = _MemberPlan(node.shape.by_key[key], f"{name}.{element.name}")
        kind = element.type
        paths = (f"{name}.{element.name}", f"{name}.{element.name}[x]")
        if kind not in paths:  # a backbone's stand in its own plan
            found.invariants = tuple(i for path in paths for i in self._stated(top, path) if i.key not in PROVEN)
        if element.targets and kind == "Reference":
            found.targets = element.targets
        binding = element.binding
        if binding is not None and binding.strength in ("required", "extensible", "preferred"):
            found.coded = binding.strength == "required" and kind == "code"
            proven = binding.strength == "required" and self._definitions.codes(binding.valueset) is not None
            if not proven:
                found.binding = (binding.strength, binding.valueset)
        found.canonical = kind == "canonical"
        if element.primitive and not (found.binding or found.invariants or found.canonical):
            found.visit = False
        return found


def _check_canonicals(values: list[Any], check: Check) -> None:
    """https://hl7.org/fhir/R4/references.html#canonical"""
    for value in values:
        if isinstance(value.value, str) and not value.value.startswith("#") and not _ABSOLUTE.match(value.value):
            text = f"a canonical reference is an absolute URL, not '{value.value}'"
            check.add("invalid", text, value, check.options.in_words)


_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+")


def _check_missing_codes(values: list[Any], label: str, check: Check) -> None:
    """A code of a required value set is there: that it is absent is in no value set."""
    for value in values:
        if value.value is None:
            check.add("code-invalid", f"{label}: a code is required", value, check.options.in_words)
