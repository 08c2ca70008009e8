"""Expansion of value sets: which codes, in which order and language, page by page.

https://hl7.org/fhir/R4/valueset-operation-expand.html. What R5 added to an expansion (properties) stands in its
extensions for R4 (https://hl7.org/fhir/versions.html#extensions).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from terminology.compose import Composer, Part
from terminology.concepts import STANDARDS_STATUS, TOLD_EXTENSIONS, CodeSystem, Concept, Designation, Raw
from terminology.displays import Names, chosen
from terminology.errors import Invalid, TooCostly
from terminology.languages import NO_LANGUAGE, Languages, languages
from terminology.reasons import standing_of
from terminology.valuesets import Listed, ValueSet
from terminology.words import query_words, says

_PROPERTY = "http://hl7.org/fhir/5.0/StructureDefinition/extension-ValueSet.expansion.property"
_CONTAINS_PROPERTY = "http://hl7.org/fhir/5.0/StructureDefinition/extension-ValueSet.expansion.contains.property"
_EXTENSION = "http://hl7.org/fhir/StructureDefinition/"
_ECHOED = frozenset(
    _EXTENSION + name
    for name in ("rendering-style", "rendering-xhtml", "valueset-deprecated", "valueset-concept-definition")
)
PREFERRED = {
    "system": "http://terminology.hl7.org/CodeSystem/hl7TermMaintInfra",
    "code": "preferredForLanguage",
    "display": "Preferred For Language",
}
_HEAD = ("url", "identifier", "version", "name", "title", "status", "experimental", "date", "publisher")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an expansion should be like; ``told`` are the parameters to repeat in it, in their order.

    ``most``: how many codes an expansion, or a page of it, may have. ``nested``: children within their parents, where
    the value set is the whole or a branch of one hierarchy. ``properties``: codes of properties to show.
    """

    filter: str = ""
    offset: int = 0
    count: int | None = None
    active: bool = False
    nested: bool = True
    designations: bool = False
    definition: bool = False
    languages: Languages = NO_LANGUAGE
    properties: tuple[str, ...] = ()
    designation_filter: tuple[str, ...] = ()
    told: tuple[Raw, ...] = ()
    most: int = 10_000


@dataclass(slots=True)
class _Page:
    """What is shown: parts with the places of the page, and how many there are in all."""

    parts: list[Part] = field(default_factory=list)
    total: int = 0


def expand(composer: Composer, valueset: ValueSet, wanted: Wanted, identifier: str, timestamp: str) -> dict[str, Any]:
    """The ValueSet with its expansion. ``identifier`` (a URI) and ``timestamp`` name the expansion.

    Raises TooCostly where there are more codes than may be listed at once, and other TerminologyErrors.
    """
    if wanted.offset < 0 or (wanted.count is not None and wanted.count < 0):
        raise Invalid("offset and count are whole numbers from 0 on")
    wanted = _told_by(valueset, wanted)
    parts = composer.members(valueset, active=wanted.active)
    nested = wanted.nested and not wanted.filter and wanted.count is None and not wanted.offset and _is_branch(valueset)
    page = _page(parts, wanted)
    shown = _Shown(wanted, _mixed(valueset))
    contains = shown.trees(page.parts[0]) if nested and len(page.parts) == 1 else shown.lists(page.parts)
    expansion: dict[str, Any] = {
        "identifier": identifier,
        "timestamp": timestamp,
        "total": page.total,
        **({"offset": wanted.offset} if wanted.count is not None or wanted.offset else {}),
        "parameter": [*wanted.told, *_used(composer, valueset)],
    }
    extensions = [*_unclosed(composer), *shown.definitions()]
    if extensions:
        expansion = {"extension": extensions, **expansion}
    if contains:
        expansion["contains"] = contains
    head = {key: valueset.resource[key] for key in _HEAD if key in valueset.resource}
    out: dict[str, Any] = {"resourceType": "ValueSet"}
    if "language" in valueset.resource:
        out["language"] = valueset.resource["language"]
    if wanted.definition and "extension" in valueset.resource:
        out["extension"] = valueset.resource["extension"]
    out |= {"status": "unknown", **head}
    if wanted.definition and "compose" in valueset.resource:
        out["compose"] = valueset.resource["compose"]
    return {**out, "expansion": expansion}


def _told_by(valueset: ValueSet, wanted: Wanted) -> Wanted:
    """With the languages that the value set fixes, where the request does not say any."""
    told = valueset.parameters.get("displayLanguage") or valueset.resource.get("language")
    if wanted.languages or not told:
        return wanted
    try:
        found = languages(told)
    except ValueError:
        return wanted
    parameter = {"name": "displayLanguage", "valueCode": told}
    return replace(wanted, languages=found, told=(parameter, *wanted.told))


def _is_branch(valueset: ValueSet) -> bool:
    """Whether the value set is one hierarchy or a part of it, so that showing parents and children makes sense."""
    if len(valueset.include) != 1 or valueset.exclude:
        return False
    only = valueset.include[0]
    return bool(only.system) and only.concepts is None and not only.valuesets


def _mixed(valueset: ValueSet) -> frozenset[str]:
    """The code systems of which the value set names several versions, so that each code has to say its own."""
    named: dict[str, set[str]] = {}
    for one in valueset.include:
        named.setdefault(one.system, set()).add(one.version or "")
    return frozenset(url for url, versions in named.items() if len(versions) > 1)


def _page(parts: Sequence[Part], wanted: Wanted) -> _Page:
    if wanted.filter:
        parts = [_filtered(part, wanted.filter) for part in parts]
    found = _Page(total=sum(len(part.places) for part in parts))
    left = found.total - wanted.offset
    if (left if wanted.count is None else min(left, wanted.count)) > wanted.most:
        raise TooCostly(
            f"The value set has {found.total} codes; at most {wanted.most} are listed at once: ask for them by pages"
            " (count and offset) or with a filter",
            key="VALUESET_TOO_COSTLY",
            diagnostics=f"{found.total} codes",
        )
    first, left = wanted.offset, found.total if wanted.count is None else wanted.count
    for part in parts:
        here = part.places[first : first + left]
        first = max(0, first - len(part.places))
        left -= len(here)
        if here:
            found.parts.append(Part(part.system, here, part.listed))
    return found


def _filtered(part: Part, text: str) -> Part:
    """Those that ``text`` finds: by the names of the code system, and those that the value set gives."""
    hits = part.system.search(text)
    if isinstance(part.places, range) and len(part.places) == part.system.size:
        found: Sequence[int] = hits
    else:
        among = set(hits)
        found = [n for n in part.places if n in among]
    renamed = [one for one in part.listed.values() if one.display or one.designations]
    if renamed:
        words = query_words(text)
        keep = set(found)
        for one in renamed:
            concept = part.system.find(one.code)
            if concept is not None and concept.ordinal not in keep and says(_line(concept, one), words):
                keep.add(concept.ordinal)
        found = [n for n in part.places if n in keep]
    return Part(part.system, found, part.listed)


def _line(concept: Concept, listed: Listed) -> str:
    more = Concept(concept.code, listed.display, designations=listed.designations)
    return f"{concept.line()} | {more.line()}"


class _Shown:
    """Makes the entries of an expansion, and remembers which properties they show."""

    def __init__(self, wanted: Wanted, mixed: frozenset[str]) -> None:
        self._wanted, self._mixed = wanted, mixed
        self._properties: dict[str, str] = {}

    def definitions(self) -> list[Raw]:
        """The properties that are shown, as extensions of the expansion."""
        return [
            {"url": _PROPERTY, "extension": [{"url": "code", "valueCode": code}, {"url": "uri", "valueUri": uri}]}
            for code, uri in self._properties.items()
        ]

    def lists(self, parts: Iterable[Part]) -> list[dict[str, Any]]:
        """All entries one after the other."""
        return [self._entry(part, concept) for part in parts for concept in part.system.at(part.places)]

    def trees(self, part: Part) -> list[dict[str, Any]]:
        """Entries within the entry of their (first shown) parent."""
        roots: list[dict[str, Any]] = []
        made: dict[int, dict[str, Any]] = {}
        concepts = part.system.at(part.places)
        for concept in concepts:
            made[concept.ordinal] = self._entry(part, concept)
        for concept in concepts:
            above = next((n for n in part.system.parents(concept.ordinal) if n in made), None)
            entry = made[concept.ordinal]
            if above is None or _circular(part.system, concept.ordinal, made):
                roots.append(entry)
            else:
                made[above].setdefault("contains", []).append(entry)
        return roots

    def _entry(self, part: Part, concept: Concept) -> dict[str, Any]:
        system, wanted = part.system, self._wanted
        listed = part.listed.get(concept.code)
        names = Names(system, concept, listed)
        told = (*(listed.extension if listed is not None else ()), *concept.extension)
        extensions = [dict(one) for one in told if one.get("url") in _ECHOED]
        if listed is not None:
            extensions += [dict(one) for one in listed.extension if one.get("url") == STANDARDS_STATUS]
        extensions += self._told_properties(system, concept, listed)
        out: dict[str, Any] = {"extension": extensions} if extensions else {}
        out["system"] = system.info.url
        if system.info.version and system.info.url in self._mixed:
            out["version"] = system.info.version
        if concept.abstract:
            out["abstract"] = True
        if concept.inactive:
            out["inactive"] = True
        out["code"] = concept.code
        display = chosen(names, wanted.languages)
        if display is not None:
            out["display"] = display.value
        if wanted.designations:
            designations = self._designations(names, display)
            if designations:
                out["designation"] = designations
        return out

    def _designations(self, names: Names, display: Designation | None) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        language = names.system.info.language
        if names.main and (display is None or names.main != display.value):
            found.append({**({"language": language} if language else {}), "use": PREFERRED, "value": names.main})
        own = names.listed.designations if names.listed is not None else ()
        for one in (*names.concept.designations, *own):
            if one is not display and self._asked(one.language, one.use):
                found.append(one.resource())
        return found

    def _asked(self, language: str | None, use: Raw | None) -> bool:
        """Whether the ``designation`` parameters (a language, or ``system|code`` of a use) ask for it."""
        if not self._wanted.designation_filter:
            return True
        given = {language or "", f"{(use or {}).get('system', '')}|{(use or {}).get('code', '')}"}
        given.add(f"urn:ietf:bcp:47|{language}")
        return not given.isdisjoint(self._wanted.designation_filter)

    def _told_properties(self, system: CodeSystem, concept: Concept, listed: Listed | None) -> list[dict[str, Any]]:
        """The properties to show, as extensions: those asked for, order, label and weight, and a status."""
        found: dict[str, dict[str, Any]] = {}
        for one in (*concept.extension, *(listed.extension if listed is not None else ())):
            code = TOLD_EXTENSIONS.get(one.get("url", ""))
            value = next((v for k, v in one.items() if k.startswith("value")), None)
            if code is not None and value is not None:
                found[code] = {"valueString" if code == "label" else "valueDecimal": value}
        if concept.status not in ("", "active"):
            found["status"] = {"valueCode": concept.status}
        several: list[tuple[str, dict[str, Any]]] = []
        for code in self._wanted.properties:
            if code == "definition":
                if concept.definition:
                    found["definition"] = {"valueString": concept.definition}
            elif code in ("parent", "child") and not concept.values(code):
                places = (system.parents if code == "parent" else system.children)(concept.ordinal)
                several += [(code, {"valueCode": other.code}) for other in system.at(places)]
            elif code == "inactive" and not concept.values(code):
                several.append((code, {"valueBoolean": concept.inactive}))
            elif code not in found:
                several += [(code, {one.key: one.value}) for one in concept.values(code)]
        shown = [*found.items(), *several]
        for code, _ in shown:
            self._properties.setdefault(code, system.info.property_uri(code))
        return [
            {"url": _CONTAINS_PROPERTY, "extension": [{"url": "code", "valueCode": code}, {"url": "value", **value}]}
            for code, value in shown
        ]


def _circular(system: CodeSystem, ordinal: int, among: Mapping[int, object]) -> bool:
    """Whether the chain of (first shown) parents comes back."""
    seen = {ordinal}
    place: int | None = ordinal
    while place is not None:
        place = next((n for n in system.parents(place) if n in among), None)
        if place in seen:
            return True
        if place is not None:
            seen.add(place)
    return False


def _used(composer: Composer, valueset: ValueSet) -> list[Raw]:
    """What the expansion was made of, and what has to be said of that."""
    found: list[Raw] = []
    for name, pins in (("system-version", composer.pins.default), ("check-system-version", composer.pins.check)):
        for url in composer.pinned.get(name, ()):
            found.append({"name": name, "valueUri": f"{url}|{pins[url]}"})
    systems = composer.used.systems.values()
    forced = {one.info.url for one in systems} & composer.pins.force.keys()
    for url in sorted(forced):
        found.append({"name": "force-system-version", "valueUri": f"{url}|{composer.pins.force[url]}"})
    for one in composer.used.valuesets.values():
        if one.url in composer.pins.valuesets:
            pin = f"{one.url}|{composer.pins.valuesets[one.url]}"
            found.append({"name": "default-valueset-version", "valueUri": pin})
    found += [{"name": "used-codesystem", "valueUri": one.info.canonical} for one in systems]
    found += [{"name": "used-valueset", "valueUri": canonical} for canonical in composer.used.valuesets]
    found += [{"name": "used-supplement", "valueUri": canonical} for canonical in sorted(composer.used.supplements)]
    for system in systems:
        found += [{"name": f"warning-{status}", "valueUri": system.info.canonical} for status in standing_of(system)]
        if system.info.content == "fragment":
            found.append({"name": "used-fragment", "valueUri": system.info.canonical})
    for canonical, one in {valueset.canonical: valueset, **composer.used.valuesets}.items():
        if one.standards_status in ("withdrawn", "deprecated"):
            found.append({"name": f"warning-{one.standards_status}", "valueUri": canonical})
    return found


def _unclosed(composer: Composer) -> list[Raw]:
    """That there may be more codes, where a code system is known in part only."""
    for system in composer.used.systems.values():
        if system.info.content == "fragment":
            reason = f"This extension is based on a fragment of the code system {system.info.url}"
            return [
                {"url": f"{_EXTENSION}valueset-unclosed", "valueBoolean": True},
                {"url": f"{_EXTENSION}valueset-unclosed-reason", "valueString": reason},
            ]
    return []
