"""Value sets as terminology sees them: what is included, what is excluded. https://hl7.org/fhir/R4/valueset.html"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from terminology.concepts import STANDARDS_STATUS, Designation, Raw, designation_of
from terminology.versions import joined

_EXTENSION = "http://hl7.org/fhir/StructureDefinition/"
_SUPPLEMENT = f"{_EXTENSION}valueset-supplement"
_PARAMETER = f"{_EXTENSION}valueset-expansion-parameter"
_DEPRECATED = f"{_EXTENSION}valueset-deprecated"
_DEFINITION = f"{_EXTENSION}valueset-concept-definition"


@dataclass(frozen=True, slots=True)
class Listed:
    """A concept that a value set names itself."""

    code: str
    display: str | None = None
    designations: tuple[Designation, ...] = ()
    extension: Sequence[Raw] = ()

    @property
    def status(self) -> str:
        """What the value set says of its use here: ``deprecated`` or another standards status, '' nothing."""
        for one in self.extension:
            if one.get("url") == _DEPRECATED and (one.get("valueBoolean") is True or one.get("valueCode") == "true"):
                return "deprecated"
            if one.get("url") == STANDARDS_STATUS:
                return str(one.get("valueCode", ""))
        return ""

    @property
    def definition(self) -> str | None:
        """The definition that the value set gives it."""
        return next((e.get("valueString") for e in self.extension if e.get("url") == _DEFINITION), None)


@dataclass(frozen=True, slots=True)
class Filter:
    """``property op value``; a missing value is ''. ``place``: where it stands, for messages."""

    property: str
    op: str
    value: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class Include:
    """One include or exclude. ``concepts`` None: not by enumeration.

    ``withheld``: it enumerates codes of others that are not shipped with this server.
    """

    system: str = ""
    version: str | None = None
    concepts: Mapping[str, Listed] | None = None
    filters: tuple[Filter, ...] = ()
    valuesets: tuple[str, ...] = ()
    withheld: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry of a stored expansion."""

    system: str
    version: str | None
    listed: Listed
    abstract: bool = False
    inactive: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class ValueSet:
    """A value set. ``inactive``: whether inactive codes belong to it (None: not said).

    ``contained`` are the value sets in it, by ``#id``; ``parameters`` those that it fixes for its expansion;
    ``expansion`` is the stored one (None: there is none).
    """

    url: str
    version: str | None
    resource: Raw
    include: tuple[Include, ...] = ()
    exclude: tuple[Include, ...] = ()
    inactive: bool | None = None
    supplements: tuple[str, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    contained: Mapping[str, ValueSet] = field(default_factory=dict)
    expansion: tuple[Stored, ...] | None = None

    @property
    def canonical(self) -> str:
        """``url|version``."""
        return joined(self.url, self.version)

    @property
    def standards_status(self) -> str:
        """``withdrawn``, ``deprecated``, … or ''."""
        found = (e.get("valueCode", "") for e in self.resource.get("extension", ()) if e.get("url") == STANDARDS_STATUS)
        return next(found, "")


def valueset_of(resource: Raw) -> ValueSet:
    """The value set of a ValueSet resource."""
    compose = resource.get("compose", {})
    expansion = resource.get("expansion")
    extensions = resource.get("extension", ())
    contained = {
        f"#{one['id']}": valueset_of(one)
        for one in resource.get("contained", ())
        if one.get("resourceType") == "ValueSet" and "id" in one
    }
    supplements = [
        s for e in extensions if e.get("url") == _SUPPLEMENT and isinstance(s := e.get("valueCanonical"), str)
    ]
    return ValueSet(
        url=resource.get("url", ""),
        version=resource.get("version"),
        resource=resource,
        include=tuple(_include(x, f"include[{n}]") for n, x in enumerate(compose.get("include", ()))),
        exclude=tuple(_include(x, f"exclude[{n}]") for n, x in enumerate(compose.get("exclude", ()))),
        inactive=compose.get("inactive"),
        supplements=tuple(supplements),
        parameters=dict(_parameters((*extensions, *compose.get("extension", ())))),
        contained=contained,
        expansion=tuple(_stored(expansion.get("contains", ()))) if expansion and "contains" in expansion else None,
    )


def _include(raw: Raw, place: str) -> Include:
    concepts = raw.get("concept")
    return Include(
        system=raw.get("system", ""),
        version=raw.get("version"),
        concepts={c["code"]: _listed(c) for c in concepts} if concepts is not None else None,
        filters=tuple(
            Filter(f.get("property", ""), f.get("op", ""), f.get("value", ""), f"ValueSet.compose.{place}.filter[{n}]")
            for n, f in enumerate(raw.get("filter", ()))
        ),
        valuesets=tuple(raw.get("valueSet", ())),
        withheld=raw.get("withheld") is True,
    )


def _listed(raw: Raw) -> Listed:
    designations = tuple(designation_of(d) for d in raw.get("designation", ()) if d.get("value"))
    return Listed(raw["code"], raw.get("display"), designations, raw.get("extension", ()))


def _parameters(extensions: Sequence[Raw]) -> Iterator[tuple[str, str]]:
    """The expansion parameters that a value set fixes: a name and a value, in whichever order."""
    for one in extensions:
        if one.get("url") != _PARAMETER:
            continue
        values = {part.get("url", "name"): _value(part) for part in one.get("extension", ())}
        if isinstance(values.get("name"), str) and values.get("value") is not None:
            yield str(values["name"]), str(values["value"])


def _value(part: Raw) -> Any:
    return next((value for key, value in part.items() if key.startswith("value")), None)


def _stored(contains: Sequence[Raw]) -> Iterator[Stored]:
    for one in contains:
        if "code" in one:
            yield Stored(
                one.get("system", ""),
                one.get("version"),
                _listed(one),
                one.get("abstract") is True,
                one.get("inactive") is True,
            )
        yield from _stored(one.get("contains", ()))
