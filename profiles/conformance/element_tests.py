"""The tests that one ElementDefinition makes of a value: fixed, pattern, limits, length, binding, references.

https://hl7.org/fhir/R4/elementdefinition.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from profiles.conformance import values
from profiles.conformance.bindings import Verdict
from profiles.conformance.run import Check
from profiles.conformance.tree import Facts
from profiles.definitions import load
from profiles.fhirpath.model import Node

if TYPE_CHECKING:
    from profiles.conformance.rules import Rule, Test

# https://hl7.org/fhir/R5/elementdefinition.html#additional-bindings, as guides for R4 write it
_ADDITIONAL = frozenset(
    {
        "http://hl7.org/fhir/tools/StructureDefinition/additional-binding",
        "http://hl7.org/fhir/StructureDefinition/elementdefinition-additionalBinding",
        "http://hl7.org/fhir/5.0/StructureDefinition/extension-ElementDefinition.binding.additional",
    }
)
_PURPOSES = {"required": "required", "maximum": "required", "extensible": "extensible", "preferred": "preferred"}
_MAX_VALUE_SET = "http://hl7.org/fhir/StructureDefinition/elementdefinition-maxValueSet"
_PROFILE_ELEMENT = "http://hl7.org/fhir/StructureDefinition/elementdefinition-profile-element"
_MIN_LENGTH = "http://hl7.org/fhir/StructureDefinition/minLength"
_MUST_HAVE_VALUE = "http://hl7.org/fhir/5.0/StructureDefinition/extension-ElementDefinition.mustHaveValue"
_ALTERNATIVES = "http://hl7.org/fhir/5.0/StructureDefinition/extension-ElementDefinition.valueAlternatives"
_STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"
CODED = frozenset({"code", "Coding", "CodeableConcept", "Quantity", "string", "uri", "CodeableReference"})
_SEVERITY = {"required": "error", "extensible": "warning", "preferred": "information"}


def of_value(facts: Facts, base: Facts, url: str, label: str) -> Iterator[Test]:
    """The tests of the value alone that ``facts`` has and ``base`` has not."""
    for key, wanted in facts.items():
        if base.get(key) == wanted:
            continue
        if key.startswith("fixed"):
            yield _equal(values.fixed(wanted), wanted, "must be", url, label)
        elif key.startswith("pattern"):
            yield _equal(values.pattern(wanted), wanted, "must have", url, label)
        elif key == "maxLength":
            yield _length(int(wanted), url, label)
        elif key.startswith(("minValue", "maxValue")):
            yield _limit(key, wanted, url, label)
        elif key == "extension":
            yield from _extended(wanted, url, label)


def _equal(test: Callable[[Any], bool], wanted: Any, words: str, url: str, label: str) -> Test:
    text = f"{label} {words} {values.shown(wanted)} ({url})"

    def check_equal(node: Node, check: Check) -> None:
        if not test(node.value):
            check.add("value", f"{text}, not {values.shown(node.value)}", node)

    return check_equal


def _extended(extensions: list[Facts], url: str, label: str) -> Iterator[Test]:
    """What extensions of an ElementDefinition add: the least length, and that there is a value."""
    for extension in extensions:
        if extension.get("url") == _MIN_LENGTH and "valueInteger" in extension:
            yield _least_length(int(extension["valueInteger"]), url, label)
        elif extension.get("url") == _MUST_HAVE_VALUE and extension.get("valueBoolean") is True:
            yield _value_present(frozenset(), url, label)
    others = [e.get("valueCanonical") for e in extensions if e.get("url") == _ALTERNATIVES]
    if others:
        yield _value_present(frozenset(str(other) for other in others), url, label)


def _least_length(least: int, url: str, label: str) -> Test:
    def check_length(node: Node, check: Check) -> None:
        if isinstance(node.value, str) and len(node.value) < least:
            check.add("value", f"{label} has at least {least} characters, not {len(node.value)} ({url})", node)

    return check_length


def _value_present(alternatives: frozenset[str], url: str, label: str) -> Test:
    """That there is a value, or one of the extensions that may stand for it."""

    def check_present(node: Node, check: Check) -> None:
        urls = {e.get("url") for e in node.content.get("extension", ()) if isinstance(e, dict)}
        if node.value is None and alternatives.isdisjoint(urls):
            check.add("required", f"{label} has a value, not only extensions ({url})", node)

    return check_present


def _length(most: int, url: str, label: str) -> Test:
    def check_length(node: Node, check: Check) -> None:
        if isinstance(node.value, str) and len(node.value) > most:
            check.add("too-long", f"{label} holds at most {most} characters, not {len(node.value)} ({url})", node)

    return check_length


def _limit(key: str, bound: Any, url: str, label: str) -> Test:
    compare, lower = values.limit(key, bound), key.startswith("min")
    words = "at least" if lower else "at most"

    def check_limit(node: Node, check: Check) -> None:
        order = compare(node.value)
        if order is not None and (order < 0 if lower else order > 0):
            check.add("value", f"{label} must be {words} {values.shown(bound)} ({url})", node)

    return check_limit


def binding(facts: Facts, base: Facts, url: str, label: str) -> Iterator[Test]:
    """The test of a binding that differs from the base's, and of its maximal value set."""
    bound = facts.get("binding")
    if not isinstance(bound, dict):
        return
    before = base.get("binding") or {}
    valueset, strength = bound.get("valueSet"), bound.get("strength")
    same = before.get("valueSet") == valueset and before.get("strength") == strength
    if isinstance(valueset, str) and strength in _SEVERITY and not same:
        yield _bound(valueset, str(strength), url, label)
    for extension in bound.get("extension", ()):
        if extension.get("url") in _ADDITIONAL:
            parts = {p.get("url"): v for p in extension.get("extension", ()) for k, v in p.items() if k[:5] == "value"}
            strength = _PURPOSES.get(str(parts.get("purpose")))
            if strength is not None and isinstance(parts.get("valueSet"), str):
                yield _bound(parts["valueSet"], strength, url, label)
        if extension.get("url") == _MAX_VALUE_SET:
            most = extension.get("valueCanonical") or extension.get("valueUri")
            if isinstance(most, str):
                yield _bound(most, "required", url, label)


def _bound(valueset: str, strength: str, url: str, label: str) -> Test:
    def check_binding(node: Node, check: Check) -> None:
        check_bound(node, check, valueset, strength, f"{label} ({url})" if url else label)

    return check_binding


def check_bound(node: Node, check: Check, valueset: str, strength: str, label: str) -> None:
    """Note where a coded value is not of the value set. Several codings: one that is in it is enough."""
    codings = list(codings_of(node))
    severity = _SEVERITY[strength]
    if not codings:
        if strength == "required" and node.shape.name in ("CodeableConcept", "Coding") and _has_content(node):
            check.add("code-invalid", f"{label}: a code of the value set {valueset} is required", node, severity)
        return
    verdicts: list[Verdict] = []
    for system, code, version in codings:
        verdict = check.bindings.validate(valueset, system, code, version)
        if verdict.valid:
            return
        verdicts.append(verdict)
    bad = next((v for v in verdicts if v.invalid), None)
    if bad is not None and all(v.invalid for v in verdicts):
        check.add("code-invalid", f"{label}: {bad.reason}", node, severity)
    elif strength == "required" and check.options.hints:
        check.add("not-found", f"{label}: {verdicts[0].reason or 'the code cannot be checked'}", node, "information")


def codings_of(node: Node) -> Iterator[tuple[str | None, str, str]]:
    """(system, code, version) of each coding of a coded value; system None for a bare code."""
    value = node.value
    if isinstance(value, str):
        yield None, value, ""
        return
    if not isinstance(value, dict):
        return
    parts: Iterable[Any] = value.get("coding", ()) if node.shape.name == "CodeableConcept" else (value,)
    for part in parts if isinstance(parts, list | tuple) else ():
        if isinstance(part, dict) and isinstance(part.get("code"), str):
            yield str(part.get("system", "")), part["code"], str(part.get("version", ""))


def _has_content(node: Node) -> bool:
    return isinstance(node.value, dict) and bool(node.value.keys() - {"id", "extension"})


def references(types: list[Facts], url: str, label: str, rule_of: Callable[[str], Rule | None]) -> Test | None:
    """The test of a Reference against the target profiles and aggregation modes of its types."""
    targets = [t for kind in types if kind.get("code") == "Reference" for t in kind.get("targetProfile", ())]
    modes = {m for kind in types for m in kind.get("aggregation", ())}
    if not targets and not modes:
        return None
    if _STRUCTURE + "Resource" in targets and not modes:
        return None
    profiled = [t for t in targets if not is_base_type(t)]
    names = [t.removeprefix(_STRUCTURE) for t in targets if is_base_type(t)]

    def check_reference(node: Node, check: Check) -> None:
        reference = node.value.get("reference") if isinstance(node.value, dict) else None
        if not isinstance(reference, str):
            return
        target = check.resolve(reference, node)
        if modes:
            _check_mode(reference, target, node, check)
        if not targets:
            return
        if target is None:
            kind = named_type(reference)
            if kind and kind not in names and "Resource" not in names and not _may_be(kind, profiled, rule_of):
                allowed = ", ".join(targets)
                check.add("structure", f"{label}: {reference} is a {kind}, allowed are {allowed} ({url})", node)
            return
        kind = target.shape.name
        if kind in names or "Resource" in names:
            return
        tried = [(t, rule) for t in profiled if (rule := rule_of(t)) is not None]
        if len(tried) < len(profiled):
            return  # a target profile is not known: it may be the one
        if not any(rule.path == kind and check.conforms(target, rule) for _, rule in tried):
            allowed = ", ".join(names + [t for t, _ in tried])
            reasons = _reasons(target, [rule for _, rule in tried if rule.path == kind], check)
            check.add("structure", f"{label}: {reference} fits none of {allowed} ({url}){reasons}", node)

    def _check_mode(reference: str, target: Node | None, node: Node, check: Check) -> None:
        if reference.startswith("#"):
            mode = "contained"
        else:
            inside = target is not None and _top(target) is _top(node)
            mode = "bundled" if inside else "referenced"
        if mode not in modes and not (mode == "bundled" and "referenced" in modes):
            check.add(
                "structure", f"{label}: the reference is {mode}, allowed are {', '.join(sorted(modes))} ({url})", node
            )

    return check_reference


def named_type(reference: str) -> str:
    """The resource type that a literal reference names; empty where it names none."""
    parts = reference.partition("?")[0].partition("/_history/")[0].split("/")
    name = parts[-2] if len(parts) > 1 else reference.partition("?")[0] if "?" in reference else ""
    return name if name in load().resource_types else ""


def _may_be(kind: str, profiled: list[str], rule_of: Callable[[str], Rule | None]) -> bool:
    """Whether one of the profiles is for this type, or is not known."""
    rules = [rule_of(url) for url in profiled]
    return any(rule is None or rule.path in (kind, "Resource", "DomainResource") for rule in rules)


def _reasons(target: Node, rules: list[Rule], check: Check) -> str:
    if len(rules) != 1:
        return ""
    texts = [i.diagnostics for i in check.issues_of(target, rules[0]) if i.severity == "error"]
    return f": {'; '.join(texts[:3])}" if texts else ""


def is_base_type(url: str) -> bool:
    """Whether the canonical URL is that of a type of R4 itself, rather than of a profile."""
    name = url.removeprefix(_STRUCTURE)
    return name != url and name[:1].isupper() and "-" not in name and "|" not in name


def _top(node: Node) -> object:
    while node.parent is not None:
        node = node.parent
    return node.value


def profiles(wanted: list[str], url: str, label: str, rule_of: Callable[[str], Rule | None]) -> Test:
    """The test of a value against the profiles of its type: one of them is enough."""

    def check_profiles(node: Node, check: Check) -> None:
        rules = []
        for one in wanted:
            rule = rule_of(one)
            if rule is None:
                check.add("not-found", f"{label}: the profile {one} is not known here ({url})", node, "warning")
                return
            rules.append(rule)
        fitting = [r for r in rules if _fits_type(r, node)]
        if len(wanted) == 1:
            if fitting:
                fitting[0].check(node, check)
            else:
                check.add("structure", f"{label}: {node.shape.name} is not of the type of {wanted[0]} ({url})", node)
        elif not any(check.conforms(node, rule) for rule in fitting):
            check.add("structure", f"{label}: the value fits none of the profiles {', '.join(wanted)} ({url})", node)

    return check_profiles


def profile_part(types: list[Facts]) -> tuple[str, str] | None:
    """The profile and the element in it that a type refers to (extension elementdefinition-profile-element)."""
    if len(types) != 1:
        return None
    beside = types[0].get("_profile") or []
    for url, more in zip(types[0].get("profile") or (), beside, strict=False):
        for extension in (more or {}).get("extension", ()):
            if extension.get("url") == _PROFILE_ELEMENT and "valueString" in extension:
                return url, extension["valueString"]
    return None


def profile_element(wanted: str, path: str, url: str, label: str, part_of: Callable[[str, str], Rule | None]) -> Test:
    """The test of a value against one element of another profile."""
    known: list[Rule | None] = []

    def check_part(node: Node, check: Check) -> None:
        if not known:
            known.append(part_of(wanted, path))
        rule = known[0]
        if rule is None:
            check.add("not-found", f"{label}: the element {path} of {wanted} is not known ({url})", node, "warning")
        else:
            rule.check(node, check)

    return check_part


def _fits_type(rule: Rule, node: Node) -> bool:
    return rule.path in node.shape.lineage or node.shape.name.partition(".")[0] != node.shape.name
