"""Concepts and code systems as terminology sees them, wherever they are kept.

https://hl7.org/fhir/R4/codesystem.html. Codes are opaque: nothing is read into ``I10.x00x002``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from terminology.versions import joined
from terminology.words import line

CONCEPT_PROPERTIES = "http://hl7.org/fhir/concept-properties#"
STANDARDS_STATUS = "http://hl7.org/fhir/StructureDefinition/structuredefinition-standards-status"
_EXTENSION = "http://hl7.org/fhir/StructureDefinition/"
# Extensions of a concept that an expansion tells as properties: code, uri suffix.
TOLD_EXTENSIONS: Mapping[str, str] = {
    f"{_EXTENSION}codesystem-conceptOrder": "order",
    f"{_EXTENSION}valueset-conceptOrder": "order",
    f"{_EXTENSION}codesystem-label": "label",
    f"{_EXTENSION}valueset-label": "label",
    f"{_EXTENSION}itemWeight": "weight",
    f"{_EXTENSION}ordinalValue": "weight",
    f"{_EXTENSION}codesystem-ordinalValue": "weight",
    f"{_EXTENSION}valueset-ordinalValue": "weight",
}
TOLD_URIS = {"weight": CONCEPT_PROPERTIES + "itemWeight"}
_RETIRED = frozenset({"retired", "inactive"})
_SPECIAL = ("status", "inactive", "notSelectable", "parent", "child", "deprecated", "deprecationDate")

Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Designation:
    """One more name of a concept. ``status`` as its standards status says; ``source``: the supplement it is from."""

    value: str
    language: str | None = None
    use: Raw | None = None
    extension: Sequence[Raw] = ()
    source: str = ""

    @property
    def withdrawn(self) -> str:
        """The status for which it should not be used any more, or ''."""
        status = _standards_status(self.extension)
        return status if status in ("deprecated", "withdrawn") else ""

    def resource(self) -> dict[str, Any]:
        """As in an expansion."""
        known = [dict(one) for one in self.extension if str(one.get("url", "")).startswith(_EXTENSION)]
        found: dict[str, Any] = {"extension": known} if known else {}
        if self.language:
            found["language"] = self.language
        if self.use:
            found["use"] = dict(self.use)
        return {**found, "value": self.value}


@dataclass(frozen=True, slots=True)
class Property:
    """A property of a concept: ``key`` is the element (``valueCode`` …) that holds ``value``."""

    code: str
    key: str
    value: Any

    @property
    def text(self) -> str:
        """The value as filters compare it."""
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        if isinstance(self.value, Mapping):
            return str(self.value.get("code", ""))
        return str(self.value)


@dataclass(frozen=True, slots=True)
class Concept:
    """One concept. ``ordinal`` is its place in the code system (depth first; -1 where there is no list).

    ``status`` is that of its property or its standards status (``retired``, ``deprecated`` …), '' unknown.
    """

    code: str
    display: str | None = None
    definition: str | None = None
    designations: tuple[Designation, ...] = ()
    properties: tuple[Property, ...] = ()
    extension: Sequence[Raw] = ()
    inactive: bool = False
    abstract: bool = False
    status: str = ""
    ordinal: int = -1

    @property
    def deprecated(self) -> bool:
        """Whether it should not be used any more, though it is active."""
        return self.status in ("deprecated", "withdrawn") and not self.inactive

    def values(self, code: str) -> list[Property]:
        """Its properties of this code."""
        return [p for p in self.properties if p.code == code]

    def line(self) -> str:
        """What it is found by."""
        return line(self.code, [x for x in (self.display, *(d.value for d in self.designations)) if x])


@dataclass(frozen=True, slots=True)
class PropertyDef:
    """A property that a code system defines."""

    code: str
    uri: str = ""
    type: str = "string"
    description: str = ""


@dataclass(frozen=True, slots=True)
class SystemInfo:
    """What a CodeSystem resource says of the system itself."""

    url: str
    version: str | None = None
    name: str = ""
    title: str = ""
    status: str = "active"
    experimental: bool = False
    standards_status: str = ""
    language: str | None = None
    case_sensitive: bool = True
    content: str = "complete"
    hierarchy: str = ""
    supplements: str = ""
    valueset: str = ""
    properties: Mapping[str, PropertyDef] = field(default_factory=dict)

    @property
    def canonical(self) -> str:
        """``url|version``."""
        return joined(self.url, self.version)

    def property_uri(self, code: str) -> str:
        """What the property means."""
        found = self.properties.get(code)
        if found is not None and found.uri:
            return found.uri
        return TOLD_URIS.get(code, CONCEPT_PROPERTIES + code)

    def special(self) -> dict[str, str]:
        """By the property's code what it means, for those properties that terminology itself understands."""
        named = {code: code for code in _SPECIAL}
        for code, definition in self.properties.items():
            meaning = definition.uri.removeprefix(CONCEPT_PROPERTIES)
            if definition.uri.startswith(CONCEPT_PROPERTIES) and meaning in _SPECIAL:
                named[code] = meaning
        return named


def info_of(resource: Raw) -> SystemInfo:
    """What a CodeSystem resource says of the system itself."""
    properties = {
        p["code"]: PropertyDef(p["code"], p.get("uri", ""), p.get("type", "string"), p.get("description", ""))
        for p in resource.get("property", ())
        if isinstance(p.get("code"), str)
    }
    return SystemInfo(
        url=resource.get("url", ""),
        version=resource.get("version"),
        name=resource.get("name", ""),
        title=resource.get("title", ""),
        status=resource.get("status", "active"),
        experimental=resource.get("experimental") is True,
        standards_status=_standards_status(resource.get("extension", ())),
        language=resource.get("language"),
        case_sensitive=resource.get("caseSensitive") is not False,
        content=resource.get("content", "complete"),
        hierarchy=resource.get("hierarchyMeaning", ""),
        supplements=resource.get("supplements", ""),
        valueset=resource.get("valueSet", ""),
        properties=properties,
    )


def concept_of(raw: Raw, special: Mapping[str, str], ordinal: int = -1, source: str = "") -> Concept:
    """A concept of a CodeSystem resource, read with what its properties mean (``SystemInfo.special``)."""
    designations = tuple(designation_of(d, source) for d in raw.get("designation", ()) if d.get("value"))
    properties = tuple(p for x in raw.get("property", ()) if (p := _property(x)) is not None)
    inactive = abstract = False
    status = _standards_status(raw.get("extension", ()))
    for one in properties:
        match special.get(one.code):
            case "inactive":
                inactive = inactive or one.text == "true"
            case "notSelectable":
                abstract = one.text == "true"
            case "status":
                status = one.text
            case "deprecated" if one.text != "false":
                status = status or "deprecated"
    return Concept(
        raw["code"],
        raw.get("display"),
        raw.get("definition"),
        designations,
        properties,
        raw.get("extension", ()),
        inactive or status in _RETIRED,
        abstract,
        status,
        ordinal,
    )


def designation_of(raw: Raw, source: str = "") -> Designation:
    """A designation of a concept, in a code system or a value set."""
    return Designation(raw["value"], raw.get("language"), raw.get("use"), raw.get("extension", ()), source)


def _property(raw: Raw) -> Property | None:
    key = next((key for key in raw if key.startswith("value")), None)
    return Property(raw["code"], key, raw[key]) if key is not None and "code" in raw else None


def _standards_status(extensions: Iterable[Raw]) -> str:
    return next((e.get("valueCode", "") for e in extensions if e.get("url") == STANDARDS_STATUS), "")


class CodeSystem(ABC):
    """One version of a code system. Concepts have ordinals 0 … ``size`` - 1, where they can be listed."""

    info: SystemInfo

    @property
    def listed(self) -> bool:
        """Whether its concepts can be enumerated (a grammar cannot)."""
        return True

    @property
    def whole(self) -> bool:
        """Whether a code that is not found is none of the system: all are known, or it is a grammar."""
        return not self.listed or (self.info.content == "complete" and self.size > 0)

    @property
    @abstractmethod
    def size(self) -> int:
        """How many concepts are known."""

    @abstractmethod
    def find(self, code: str) -> Concept | None:
        """The concept of this code; where the system is not case sensitive, in any case."""

    @abstractmethod
    def at(self, ordinals: Sequence[int]) -> list[Concept]:
        """The concepts at these places."""

    def codes(self, ordinals: Sequence[int]) -> list[str]:
        """The codes at these places."""
        return [concept.code for concept in self.at(ordinals)]

    @abstractmethod
    def parents(self, ordinal: int) -> Sequence[int]:
        """The places of the parents."""

    @abstractmethod
    def children(self, ordinal: int) -> Sequence[int]:
        """The places of the children."""

    @abstractmethod
    def search(self, text: str) -> list[int]:
        """The places of the concepts that ``text`` finds, in order (see ``terminology.words``)."""

    @abstractmethod
    def holders(self, property: str, value: str | None) -> set[int]:
        """The places of concepts with this value of the property; None: with any value."""

    def inactive(self) -> set[int]:
        """The places of the inactive concepts."""
        return {c.ordinal for c in self.at(range(self.size)) if c.inactive}

    def supplements(self) -> tuple[str, ...]:
        """The canonical URLs of the supplements in force."""
        return ()

    def descendants(self, ordinal: int) -> set[int]:
        """The places of all below, itself not among them."""
        found: set[int] = set()
        waiting = [ordinal]
        while waiting:
            for child in self.children(waiting.pop()):
                if child not in found and child != ordinal:
                    found.add(child)
                    waiting.append(child)
        return found

    def ancestors(self, ordinal: int) -> set[int]:
        """The places of all above, itself not among them."""
        found: set[int] = set()
        waiting = [ordinal]
        while waiting:
            for parent in self.parents(waiting.pop()):
                if parent not in found and parent != ordinal:
                    found.add(parent)
                    waiting.append(parent)
        return found


def in_order(concepts: Iterable[Raw]) -> Iterator[tuple[Raw, int]]:
    """The nested concepts of a CodeSystem resource, depth first, each with the ordinal of its parent (-1 none)."""
    stack: list[tuple[Iterator[Raw], int]] = [(iter(concepts), -1)]
    ordinal = 0
    while stack:
        siblings, parent = stack[-1]
        raw = next(siblings, None)
        if raw is None:
            stack.pop()
            continue
        yield raw, parent
        if raw.get("concept"):
            stack.append((iter(raw["concept"]), ordinal))
        ordinal += 1
