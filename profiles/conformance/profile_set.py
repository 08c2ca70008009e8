"""ProfileSet: StructureDefinitions at hand, their snapshots, and resources checked against them.

https://hl7.org/fhir/R4/profiling.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from importlib.resources import files
from threading import RLock
from typing import Any

import msgspec
import zstandard

from profiles.conformance.artifacts import (
    check_canonical_url,
    check_capabilities,
    check_code_system,
    check_search_parameter,
    check_structure_definition,
    check_value_set,
)
from profiles.conformance.base import BaseRules
from profiles.conformance.bindings import Bindings
from profiles.conformance.bundles import check_bundle
from profiles.conformance.code_forms import LOINC
from profiles.conformance.codes import Codes, r4_terminology
from profiles.conformance.compile import Compiler
from profiles.conformance.element_tests import codings_of, named_type
from profiles.conformance.extensions import check_extension
from profiles.conformance.questionnaires import check_questionnaire, check_response
from profiles.conformance.rules import Rule
from profiles.conformance.run import DEFAULT, Check, Enough, Options, allowance
from profiles.conformance.snapshot import STRUCTURE, SnapshotError, tree_of
from profiles.conformance.tree import Element, flatten
from profiles.definitions import load
from profiles.fhirpath import Budget, Environment
from profiles.fhirpath.model import Node, shape, shape_of_resource
from profiles.issues import Issue
from profiles.structure import Validator
from terminology.registry import Terminology

Resource = dict[str, Any]
# What code meets in definitions or resources that are not built as they should be.
_MALFORMED = (TypeError, AttributeError, KeyError, ValueError, IndexError)


class ProfileSet:
    """The profiles of R4 and those given. Immutable; rules are compiled at their first use and kept."""

    def __init__(
        self, resources: Iterable[Resource] = (), terminology: Callable[[], Terminology] = r4_terminology
    ) -> None:
        """``resources``: StructureDefinitions, ValueSets and CodeSystems besides those of R4; others are left out.

        ImplementationGuides among them may name profiles that all resources of a type have to satisfy (``global``).

        ``terminology``: gives what is known of codes now, besides ``resources`` (default: R4's own).
        """
        self._definitions = load()
        self._validator = Validator(self._definitions)
        self._given: dict[str, Resource] = {}
        self._global: dict[str, list[str]] = {}
        self._codes_given: list[Resource] = []
        for resource in resources:
            kind, url = resource.get("resourceType"), resource.get("url")
            if kind == "StructureDefinition" and isinstance(url, str):
                self._given[url] = resource
                self._given[f"{url}|{resource.get('version', '')}"] = resource
            elif kind == "ImplementationGuide":
                for one in resource.get("global", ()):
                    self._global.setdefault(str(one.get("type")), []).append(str(one.get("profile")))
            elif kind in ("ValueSet", "CodeSystem"):
                self._codes_given.append(resource)
        self._terminology = terminology
        self._codes: tuple[Terminology, Codes] | None = None
        self._trees: dict[str, Element | SnapshotError] = {}
        self._rules: dict[str, Rule] = {}
        # Validation runs in several threads; a tree or rule is seen by others only when it is complete.
        self._lock = RLock()
        self._making: set[str] = set()
        self.specials: dict[str, tuple[Callable[[Node, Check], None], ...]] = {
            "Extension": (lambda node, check: check_extension(node, check, self),),
            "Resource": (self._claims,),
            "Bundle": (check_bundle,),
            "StructureDefinition": (lambda node, check: check_structure_definition(node, check, self),),
            "SearchParameter": (check_search_parameter,),
            "CapabilityStatement": (check_capabilities,),
            "CodeSystem": (check_code_system,),
            "ValueSet": (check_value_set,),
            "Questionnaire": (check_questionnaire,),
            "QuestionnaireResponse": (lambda node, check: check_response(node, check, self),),
            "Observation": (self._vital_signs,),
        }
        for name in self._definitions.resource_types:
            if {"url", "version", "status"} <= self._definitions.type(name).elements.keys():
                self.specials[name] = (*self.specials.get(name, ()), check_canonical_url)
        self._base = BaseRules(self._definitions, self)

    @classmethod
    def load(
        cls, resources: Iterable[Resource] = (), terminology: Callable[[], Terminology] = r4_terminology
    ) -> ProfileSet:
        """The set of these resources besides R4's own."""
        return cls(resources, terminology)

    @property
    def bindings(self) -> Bindings:
        """What is known of codes now; asked for once per resource, since that costs more than a code."""
        now = self._terminology()
        known = self._codes
        if known is None or known[0] is not now:
            known = self._codes = now, Codes(self._codes_given, now)
        return known[1]

    def release(self) -> None:
        """Let go of what was compiled, once another set takes its place; what is still asked is compiled again.

        Rules, trees and the set refer to each other: they would stay until the garbage collector comes by.
        """
        with self._lock:
            self._rules.clear()
            self._trees.clear()
            self._codes = None
            self._base.release()

    # Definitions

    def definition(self, url: str) -> Resource | None:
        """The StructureDefinition of a canonical URL (perhaps with ``|version``); None if it is not known."""
        plain, _, version = url.partition("|")
        found = self._given.get(url) or self._given.get(plain)
        if found is None:
            found = _base_definition(plain)
        if found is None or (version and not str(found.get("version", "")).startswith(version)):
            return None
        return found

    def urls(self) -> list[str]:
        """The URLs of the StructureDefinitions that were given."""
        return sorted(url for url in self._given if "|" not in url)

    def tree(self, url: str) -> Element:
        """The elements of a StructureDefinition as a tree. Raises SnapshotError where that cannot be had."""
        found = self._trees.get(url)
        if found is None:
            definition = self.definition(url)
            if definition is None:
                raise SnapshotError(f"the StructureDefinition {url[:200]} is not known")
            with self._lock:
                found = self._trees[url] = self._grown(url, definition)
        if isinstance(found, SnapshotError):
            raise found
        return found

    def _grown(self, url: str, definition: Resource) -> Element | SnapshotError:
        if url in self._making:
            return SnapshotError(f"the StructureDefinition {url} is based on itself")
        self._making.add(url)
        try:
            return tree_of(definition, self.tree)
        except SnapshotError as error:
            return error
        except ValueError as error:
            return SnapshotError(str(error))
        finally:
            self._making.discard(url)

    def snapshot(self, url: str) -> Resource:
        """The StructureDefinition with its snapshot, which is generated where it has none. Raises SnapshotError."""
        root = self.tree(url)
        definition = self.definition(url) or {}
        return {k: v for k, v in definition.items() if k != "snapshot"} | {"snapshot": {"element": flatten(root)}}

    def is_modifier(self, url: str) -> bool:
        """Whether an extension modifies the meaning of what it stands on."""
        return self.tree(url).facts.get("isModifier") is True

    def part_urls(self, url: str) -> frozenset[str]:
        """The urls of the parts of a complex extension."""
        inner = self.tree(url).children.get("extension")
        if inner is None:
            return frozenset()
        parts = [one.children.get("url") for one in inner.slices.values()]
        named = {str(part.facts.get("fixedUri")) for part in parts if part is not None}
        return frozenset(named | set(inner.slices))

    # Rules

    def rule(self, url: str) -> Rule | None:
        """The compiled profile; None if it is not known. Raises SnapshotError where it cannot be compiled."""
        found = self._rules.get(url)
        if found is None:
            definition = self.definition(url)
            if definition is None:
                return None
            with self._lock:
                found = self._rules.get(url)
                if found is None:
                    found = self._rules[url] = self._compiled(definition, self.tree(url))
        return found

    def _compiled(self, definition: Resource, root: Element) -> Rule:
        rule = Rule(str(definition["url"]), root.name)
        try:
            if definition["url"] in self._given or definition.get("derivation") == "constraint":
                Compiler(rule.url, root, self.tree, self._rule_or_none).fill(rule, self.tree(STRUCTURE + root.name))
        except SnapshotError:
            raise
        except (*_MALFORMED, RecursionError) as error:
            raise SnapshotError(f"the profile is malformed: {type(error).__name__} {error}") from None
        return rule

    def _rule_or_none(self, url: str) -> Rule | None:
        try:
            return self.rule(url)
        except SnapshotError:
            return None

    def usable(self, url: str, node: Node, check: Check) -> Rule | None:
        """The rule of a profile that is claimed at a node; where it cannot be used, that is noted."""
        try:
            rule = self.rule(url)
        except SnapshotError as error:
            check.add("exception", f"the profile {url} cannot be used: {error}", node)
            return None
        if rule is None:
            check.add("not-found", f"the profile {url} is not known here", node, "warning")
        return rule

    # Checks

    def check(self, resource: Resource, profiles: Sequence[str] = (), options: Options = DEFAULT) -> list[Issue]:
        """All that is wrong with a parsed resource: its structure, the rules of R4, the profiles it claims and these.

        Each Issue has the FHIRPath of the element as ``expression``, a severity, a code, and a text that names the
        profile. A profile that is not known is an error where it is asked for, a warning where it is claimed.
        """
        found = self._validator.check(resource)
        if not isinstance(resource, dict) or resource.get("resourceType") not in self._definitions.resource_types:
            return found
        return _distinct([*found, *self.beyond_structure(resource, profiles, options, bool(found))])

    def beyond_structure(
        self, resource: Resource, profiles: Sequence[str] = (), options: Options = DEFAULT, broken: bool = False
    ) -> list[Issue]:
        """The same without structure, for a resource whose structure has been checked (``broken``: and is wrong)."""
        node = Node(resource, shape_of_resource(resource))
        bindings = self.bindings
        budget = allowance(resource)
        check = Check(node, options, bindings, self._environment(options, bindings, budget), budget)
        try:
            self._base.visit(node, check)
            for url in profiles:
                self._ask(url, node, check)
        except Enough:
            pass
        except (*_MALFORMED, RecursionError):
            if not broken:
                raise
        return check.found

    def _environment(self, options: Options, bindings: Bindings, budget: Budget) -> Environment:
        def member_of(value: Any, url: str) -> bool | None:
            node = Node(value, shape("CodeableConcept" if isinstance(value, dict) and "coding" in value else "Coding"))
            verdicts = [bindings.validate(url, s, c, v) for s, c, v in codings_of(node)]
            if any(v.valid for v in verdicts):
                return True
            return None if any(v.outcome == "unknown" for v in verdicts) else False

        def conforms_to(value: Any, url: str) -> bool | None:
            rule = self._rule_or_none(url)
            if rule is None or not isinstance(value, dict):
                return None
            node = Node(value, shape_of_resource(value) if "resourceType" in value else shape(rule.path))
            check = Check(node, options, bindings, Environment(), budget)
            return rule.path in node.shape.lineage and check.conforms(node, rule)

        def resolve(reference: str) -> dict[str, Any] | None:
            found = None if options.resolve is None else options.resolve(reference)
            kind = named_type(reference)
            return found if found is not None or not kind else {"resourceType": kind}  # the type at least is known

        return Environment(
            member_of=member_of, conforms_to=conforms_to, resolve=None if options.resolve is None else resolve
        )

    def _ask(self, url: str, node: Node, check: Check) -> None:
        if self.definition(url) is None:
            check.add("not-found", f"the profile {url} is not known here", node)
            return
        rule = self.usable(url, node, check)
        if rule is not None:
            self._apply(rule, node, check)

    def _apply(self, rule: Rule, node: Node, check: Check) -> None:
        if rule.path not in node.shape.lineage:
            check.add("structure", f"the profile {rule.url} is for {rule.path}, not for {node.shape.name}", node)
            return
        self.apply(rule, node, check)

    def apply(self, rule: Rule, node: Node, check: Check) -> None:
        """Check a node against a rule; where the profile is such that this cannot be done, that is noted."""
        try:
            rule.check(node, check)
        except _MALFORMED as error:
            text = f"the profile {rule.url} cannot be evaluated here: {type(error).__name__} {error}"
            check.add("exception", text, node)

    def kind_of(self, url: str) -> str:
        """The resource type of a StructureDefinition or ValueSet that is known; empty for other URLs."""
        if self.definition(url) is not None:
            return "StructureDefinition"
        return "ValueSet" if self.bindings.has(url) else ""

    def _vital_signs(self, node: Node, check: Check) -> None:
        """An Observation of a vital sign satisfies its profile: https://hl7.org/fhir/R4/observation-vitalsigns.html"""
        code = node.content.get("code")
        codings = code.get("coding") if isinstance(code, dict) else None
        for coding in codings if isinstance(codings, list) else ():
            if isinstance(coding, dict) and coding.get("system") == LOINC:
                name = _VITAL_SIGNS.get(str(coding.get("code")))
                if name is not None and STRUCTURE + name in _claimed(node):
                    continue  # it is held against it anyway
                rule = self.usable(STRUCTURE + name, node, check) if name else None
                for issue in check.issues_of(node, rule) if rule is not None else ():
                    severity = check.options.in_words if issue.severity == "error" else issue.severity
                    check.add(issue.code, issue.diagnostics, issue.expression[0], severity)

    def _claims(self, node: Node, check: Check) -> None:
        """The profiles that a resource itself claims, at any place."""
        if not check.options.claims:
            return
        for url in self._global.get(node.shape.name, ()):
            self._ask(url, node, check)
        for place, url in enumerate(_claimed(node)):
            if not isinstance(url, str):
                continue
            if self.definition(url) is None:
                at = f"{node.path}.meta.profile[{place}]"
                check.add("not-found", f"the profile {url} is claimed and not known here", at, "warning")
                continue
            rule = self.usable(url, node, check)
            if rule is not None:
                self._apply(rule, node, check)


_VITAL_SIGNS = {
    "85353-1": "vitalspanel",
    "9279-1": "resprate",
    "8867-4": "heartrate",
    "2708-6": "oxygensat",
    "8310-5": "bodytemp",
    "8302-2": "bodyheight",
    "9843-4": "headcircum",
    "29463-7": "bodyweight",
    "39156-5": "bmi",
    "85354-9": "bp",
}


def _claimed(node: Node) -> list[Any]:
    meta = node.content.get("meta")
    claimed = meta.get("profile") if isinstance(meta, dict) else None
    return claimed if isinstance(claimed, list) else []


def _distinct(issues: list[Issue]) -> list[Issue]:
    return list(dict.fromkeys(issues))


@cache
def _base_rows() -> dict[str, msgspec.Raw]:
    content = files("profiles.definitions").joinpath("data", "structures.json.zst").read_bytes()
    return msgspec.json.decode(zstandard.decompress(content), type=dict[str, msgspec.Raw])


@lru_cache(maxsize=4096)
def _base_definition(url: str) -> Resource | None:
    row = _base_rows().get(url)
    if row is None:
        return None
    found: Resource = msgspec.json.decode(row)
    return found
