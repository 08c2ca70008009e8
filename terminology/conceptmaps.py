"""Concept maps as terminology sees them, and translation by them, forwards and backwards.

https://hl7.org/fhir/R4/conceptmap.html, https://hl7.org/fhir/R4/conceptmap-operation-translate.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from terminology.concepts import Raw
from terminology.versions import fits, joined, split_canonical

# https://hl7.org/fhir/R4/valueset-concept-map-equivalence.html; what it is when read backwards
REVERSED = {
    "wider": "narrower",
    "narrower": "wider",
    "subsumes": "specializes",
    "specializes": "subsumes",
}
NO_MATCH = frozenset({"unmatched", "disjoint"})


@dataclass(frozen=True, slots=True)
class Target:
    """What a code is mapped to. ``depends_on`` and ``product`` as the resource has them."""

    code: str
    display: str | None
    equivalence: str
    comment: str | None = None
    depends_on: Sequence[Raw] = ()
    product: Sequence[Raw] = ()


@dataclass(frozen=True, slots=True)
class Unmapped:
    """What becomes of codes that no element names: ``provided``, ``fixed`` or ``other-map``."""

    mode: str
    code: str | None = None
    display: str | None = None
    url: str | None = None


class Elements(Protocol):
    """The mappings of a group, wherever they are kept."""

    def forward(self, code: str) -> Sequence[Target] | None:
        """What a source's code is mapped to; None where the map does not name it."""
        ...

    def backward(self, code: str) -> Sequence[tuple[str, str | None, Target]]:
        """Code and display of each source that is mapped to a target's code, with that mapping."""
        ...


class ListedElements:
    """Mappings at hand."""

    def __init__(self, elements: Mapping[str, Sequence[Target]], displays: Mapping[str, str]) -> None:
        self._elements, self._displays = elements, displays

    def forward(self, code: str) -> Sequence[Target] | None:
        """What a source's code is mapped to."""
        return self._elements.get(code)

    @cached_property
    def _back(self) -> dict[str, list[tuple[str, str | None, Target]]]:
        found: dict[str, list[tuple[str, str | None, Target]]] = {}
        for code, targets in self._elements.items():
            for target in targets:
                found.setdefault(target.code, []).append((code, self._displays.get(code), target))
        return found

    def backward(self, code: str) -> Sequence[tuple[str, str | None, Target]]:
        """The sources that are mapped to a target's code."""
        return self._back.get(code, ())


@dataclass(frozen=True, slots=True)
class Group:
    """The mappings from one code system to another."""

    source: str
    source_version: str | None
    target: str
    target_version: str | None
    elements: Elements
    unmapped: Unmapped | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ConceptMap:
    """A concept map. ``source`` and ``target`` are the value sets that it is for ('' not said)."""

    url: str
    version: str | None
    resource: Raw
    source: str
    target: str
    groups: tuple[Group, ...]

    @property
    def canonical(self) -> str:
        """``url|version``."""
        return joined(self.url, self.version)


@dataclass(frozen=True, slots=True)
class Match:
    """One translation: the target's code (of the source, when read backwards), how it relates, by which map."""

    system: str
    version: str | None
    code: str
    display: str | None
    equivalence: str
    map: str
    source_system: str
    source_code: str
    product: Sequence[Raw] = ()
    comment: str | None = None


def conceptmap_of(resource: Raw) -> ConceptMap:
    """The concept map of a ConceptMap resource."""
    return ConceptMap(
        url=resource.get("url", ""),
        version=resource.get("version"),
        resource=resource,
        source=resource.get("sourceUri") or resource.get("sourceCanonical") or "",
        target=resource.get("targetUri") or resource.get("targetCanonical") or "",
        groups=tuple(_group(group) for group in resource.get("group", ())),
    )


def _group(raw: Raw) -> Group:
    elements: dict[str, list[Target]] = {}
    displays: dict[str, str] = {}
    for element in raw.get("element", ()):
        code = element.get("code")
        if code is None:
            continue
        if element.get("display"):
            displays[code] = element["display"]
        elements.setdefault(code, []).extend(
            Target(
                t.get("code", ""),
                t.get("display"),
                t.get("equivalence", "equivalent"),
                t.get("comment"),
                t.get("dependsOn", ()),
                t.get("product", ()),
            )
            for t in element.get("target", ())
        )
    unmapped = raw.get("unmapped")
    return Group(
        raw.get("source", ""),
        raw.get("sourceVersion"),
        raw.get("target", ""),
        raw.get("targetVersion"),
        ListedElements(elements, displays),
        Unmapped(unmapped.get("mode", ""), unmapped.get("code"), unmapped.get("display"), unmapped.get("url"))
        if unmapped
        else None,
    )


@dataclass(frozen=True, slots=True)
class Sought:
    """What is to be translated: a code, of which system (None: any), and to where.

    ``reverse``: ``code`` is a target's, and its sources are sought. ``dependencies`` are the further values at hand.
    """

    code: str
    system: str | None = None
    version: str | None = None
    target_system: str | None = None
    source: str | None = None
    target: str | None = None
    reverse: bool = False
    dependencies: Mapping[str, Any] = field(default_factory=dict)


def translated(sought: Sought, maps: Iterable[ConceptMap], others: Mapping[str, ConceptMap]) -> list[Match]:
    """Every translation by ``maps``; ``others`` are those to which a map may hand on unmapped codes."""
    found: dict[tuple[str, str, str, str], Match] = {}
    for one in maps:
        if (sought.source and not _for(one.source, sought.source)) or (
            sought.target and not _for(one.target, sought.target)
        ):
            continue
        for match in _by(one, sought, others, frozenset()):
            found.setdefault((match.map, match.system, match.code, match.equivalence), match)
    return list(found.values())


def _for(scope: str, wanted: str) -> bool:
    (url, version), (asked, needed) = split_canonical(scope), split_canonical(wanted)
    return url == asked and (version is None or needed is None or version == needed)


def _by(one: ConceptMap, sought: Sought, others: Mapping[str, ConceptMap], seen: frozenset[str]) -> Iterator[Match]:
    for group in one.groups:
        if sought.reverse:
            yield from _backwards(one, group, sought)
        else:
            yield from _forwards(one, group, sought, others, seen)


def _fitting(url: str, version: str | None, wanted: str | None, needed: str | None) -> bool:
    return (wanted is None or url == wanted) and (version is None or needed is None or fits(needed, version))


def _forwards(
    one: ConceptMap, group: Group, sought: Sought, others: Mapping[str, ConceptMap], seen: frozenset[str]
) -> Iterator[Match]:
    if not _fitting(group.source, group.source_version, sought.system, sought.version):
        return
    if sought.target_system is not None and group.target != sought.target_system:
        return

    def made(code: str, display: str | None, equivalence: str, target: Target | None = None) -> Match:
        product, comment = (target.product, target.comment) if target else ((), None)
        names = (group.source, sought.code)
        return Match(
            group.target, group.target_version, code, display, equivalence, one.canonical, *names, product, comment
        )

    targets = group.elements.forward(sought.code)
    if targets is not None:
        for target in targets:
            if _depends(target, sought):
                yield made(target.code, target.display, target.equivalence, target)
    elif group.unmapped is not None:
        match group.unmapped:
            case Unmapped("provided"):
                yield made(sought.code, None, "equal")
            case Unmapped("fixed", str() as code, display):
                yield made(code, display, "inexact")
            case Unmapped("other-map", _, _, str() as url) if (further := others.get(url)) and url not in seen:
                yield from _by(further, sought, others, seen | {url})


def _backwards(one: ConceptMap, group: Group, sought: Sought) -> Iterator[Match]:
    if not _fitting(group.target, group.target_version, sought.system, sought.version):
        return
    if sought.target_system is not None and group.source != sought.target_system:
        return
    for code, display, target in group.elements.backward(sought.code):
        if target.equivalence in NO_MATCH:
            continue
        equivalence = REVERSED.get(target.equivalence, target.equivalence)
        names = (group.target, sought.code)
        yield Match(
            group.source,
            group.source_version,
            code,
            display,
            equivalence,
            one.canonical,
            *names,
            comment=target.comment,
        )


def _depends(target: Target, sought: Sought) -> bool:
    """Whether the values that the mapping depends on are at hand."""
    return all(sought.dependencies.get(d.get("property", "")) == d.get("value") for d in target.depends_on)
