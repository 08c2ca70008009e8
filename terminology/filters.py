"""Filters of value sets: does a concept pass, and which concepts of a code system pass.

https://hl7.org/fhir/R4/valueset-filter-operator.html (and ``child-of``, ``descendent-leaf`` of R5)
"""

from __future__ import annotations

from collections.abc import Callable

from terminology.concepts import CodeSystem, Concept
from terminology.errors import BadDefinition, Unsupported
from terminology.patterns import matcher, weight
from terminology.valuesets import Filter

_HIERARCHY = frozenset({"is-a", "descendent-of", "is-not-a", "generalizes", "child-of", "descendent-leaf"})
_OPERATORS = frozenset({"=", "in", "not-in", "regex", "exists"}) | _HIERARCHY
_OWN = frozenset({"concept", "code"})  # names under which filters speak of the code itself

Test = Callable[[Concept], bool]


def checked(one: Filter, system: CodeSystem) -> None:
    """Raise BadDefinition or Unsupported where ``one`` cannot be asked of ``system``."""
    if not one.value:
        raise BadDefinition(
            f"The system {system.info.url} filter with property = {one.property}, op = {one.op} has no value",
            where=one.place,
            key="UNABLE_TO_HANDLE_SYSTEM_FILTER_WITH_NO_VALUE",
        )
    if one.op not in _OPERATORS:
        raise Unsupported(f"The filter operator '{one.op}' is not known", tx="vs-invalid", where=one.place)
    if one.op in _HIERARCHY and one.property not in _OWN:
        raise Unsupported(
            f"The filter operator '{one.op}' is for the property 'concept', not for '{one.property}'",
            tx="vs-invalid",
            where=one.place,
        )
    if not system.listed:
        raise Unsupported(
            f"The codes of {system.info.url} follow a grammar; they cannot be filtered by {one.property} {one.op}",
            tx="vs-invalid",
            where=one.place,
        )


def cost(one: Filter, system: CodeSystem) -> int:
    """How many codes ``selected`` looks at one by one, besides those that pass."""
    if one.op == "regex":
        return system.size * (1 + weight(one.value).size // 100)
    if one.op in _HIERARCHY or one.op in ("=", "in"):
        return 1 if one.property not in ("display", "definition", "parent", "child", "inactive") else system.size
    return system.size


def selected(one: Filter, system: CodeSystem) -> set[int]:
    """The places of the concepts that pass."""
    checked(one, system)
    if one.op in _HIERARCHY:
        return _related(one, system)
    if one.property in _OWN and one.op in ("=", "in"):
        wanted = (system.find(code) for code in ([one.value] if one.op == "=" else _codes(one.value)))
        return {found.ordinal for found in wanted if found is not None}
    if one.property not in (*_OWN, "display", "definition", "parent", "child", "inactive"):
        if one.op == "=":
            return system.holders(one.property, one.value)
        if one.op == "in":
            return set().union(*(system.holders(one.property, value) for value in _codes(one.value)))
        if one.op == "exists":
            having = system.holders(one.property, None)
            return having if one.value == "true" else set(range(system.size)) - having
    test = _test(one, system)
    return {concept.ordinal for concept in system.at(range(system.size)) if test(concept)}


def passes(one: Filter, system: CodeSystem, concept: Concept) -> bool:
    """Whether ``concept`` passes."""
    checked(one, system)
    if one.op not in _HIERARCHY:
        return _test(one, system)(concept)
    other = system.find(one.value)
    if other is None:
        return one.op == "is-not-a"
    match one.op:
        case "is-a":
            return concept.ordinal == other.ordinal or other.ordinal in system.ancestors(concept.ordinal)
        case "descendent-of":
            return other.ordinal in system.ancestors(concept.ordinal)
        case "is-not-a":
            return concept.ordinal != other.ordinal and other.ordinal not in system.ancestors(concept.ordinal)
        case "generalizes":
            return concept.ordinal == other.ordinal or concept.ordinal in system.ancestors(other.ordinal)
        case "child-of":
            return other.ordinal in system.parents(concept.ordinal)
    return not system.children(concept.ordinal) and other.ordinal in system.ancestors(concept.ordinal)


def _related(one: Filter, system: CodeSystem) -> set[int]:
    found = system.find(one.value)
    if found is None:
        return set(range(system.size)) if one.op == "is-not-a" else set()
    place = found.ordinal
    match one.op:
        case "is-a":
            return {place, *system.descendants(place)}
        case "descendent-of":
            return system.descendants(place)
        case "is-not-a":
            return set(range(system.size)) - {place, *system.descendants(place)}
        case "generalizes":
            return {place, *system.ancestors(place)}
        case "child-of":
            return set(system.children(place))
    return {n for n in system.descendants(place) if not system.children(n)}


def _test(one: Filter, system: CodeSystem) -> Test:
    values = _reader(one.property, system)
    match one.op:
        case "=":
            return lambda concept: one.value in values(concept)
        case "in":
            wanted = frozenset(_codes(one.value))
            return lambda concept: not wanted.isdisjoint(values(concept))
        case "not-in":
            unwanted = frozenset(_codes(one.value))
            return lambda concept: unwanted.isdisjoint(values(concept))
        case "exists":
            there = one.value == "true"
            return lambda concept: bool(values(concept)) is there
    matches = matcher(one.value)
    return lambda concept: any(matches(value) for value in values(concept))


def _reader(property: str, system: CodeSystem) -> Callable[[Concept], list[str]]:
    """What a filter on the property looks at."""
    match property:
        case "concept" | "code":
            return lambda concept: [concept.code]
        case "display":
            return lambda concept: [x for x in (concept.display, *(d.value for d in concept.designations)) if x]
        case "definition":
            return lambda concept: [concept.definition] if concept.definition else []
        case "parent":
            return lambda concept: [c.code for c in system.at(system.parents(concept.ordinal))]
        case "child":
            return lambda concept: [c.code for c in system.at(system.children(concept.ordinal))]
        case "inactive":
            return lambda concept: ["true" if concept.inactive else "false"]
    return lambda concept: [p.text for p in concept.values(property)]


def _codes(text: str) -> list[str]:
    return [code for part in text.split(",") if (code := part.strip())]
