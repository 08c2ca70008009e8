"""Terminology: what is known of code systems, value sets and concept maps, in layers, and how it is found.

https://hl7.org/fhir/R4/terminology-service.html. A layer is where definitions are kept: the base of R4, a file of
loaded systems, the resources of a server, those of one request. Earlier layers hide equal versions of later ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from terminology.conceptmaps import ConceptMap, conceptmap_of
from terminology.concepts import CodeSystem, Raw
from terminology.grammars import GRAMMARS
from terminology.memory import MemorySystem
from terminology.supplements import Supplemented
from terminology.valuesets import Include, ValueSet, valueset_of
from terminology.versions import age, chosen, split_canonical

IMPLICIT = "?fhir_vs"  # behind the URL of a code system: the value set of all its codes


class Layer(Protocol):
    """A place where definitions are kept."""

    def systems(self, url: str) -> Sequence[CodeSystem]:
        """The versions of a code system that are here."""
        ...

    def valuesets(self, url: str) -> Sequence[ValueSet]:
        """The versions of a value set that are here."""
        ...

    def maps(self) -> Sequence[ConceptMap]:
        """The concept maps that are here."""
        ...

    def system_urls(self) -> Iterable[str]:
        """The URLs of the code systems that are here."""
        ...


class Resources:
    """A layer of CodeSystem, ValueSet and ConceptMap resources at hand; each is read when it is first asked for."""

    def __init__(self, resources: Iterable[Raw]) -> None:
        self._raw: dict[tuple[str, str], list[Raw]] = {}
        self._made: dict[tuple[str, str], Any] = {}
        for resource in resources:
            url = resource.get("url")
            if isinstance(url, str):
                self._raw.setdefault((resource.get("resourceType", ""), url), []).append(resource)

    def systems(self, url: str) -> Sequence[CodeSystem]:
        """The versions of a code system that are here."""
        found: Sequence[CodeSystem] = self._all("CodeSystem", url, MemorySystem)
        return found

    def valuesets(self, url: str) -> Sequence[ValueSet]:
        """The versions of a value set that are here."""
        found: Sequence[ValueSet] = self._all("ValueSet", url, valueset_of)
        return found

    def maps(self) -> Sequence[ConceptMap]:
        """The concept maps that are here."""
        urls = [url for kind, url in self._raw if kind == "ConceptMap"]
        return [one for url in urls for one in self._all("ConceptMap", url, conceptmap_of)]

    def system_urls(self) -> Iterable[str]:
        """The URLs of the code systems that are here."""
        return [url for kind, url in self._raw if kind == "CodeSystem"]

    def has(self, kind: str, url: str) -> bool:
        """Whether a resource of this type and URL is here."""
        return (kind, url) in self._raw

    def _all(self, kind: str, url: str, make: Any) -> Any:
        key = (kind, url)
        if key not in self._made:
            self._made[key] = [make(one) for one in self._raw.get(key, ())]
        return self._made[key]


class _Beneath:
    """A layer without the code systems and value sets that ``above`` has."""

    def __init__(self, layer: Layer, above: Resources) -> None:
        self._layer, self._above = layer, above

    def systems(self, url: str) -> Sequence[CodeSystem]:
        return () if self._above.has("CodeSystem", url) else self._layer.systems(url)

    def valuesets(self, url: str) -> Sequence[ValueSet]:
        return () if self._above.has("ValueSet", url) else self._layer.valuesets(url)

    def maps(self) -> Sequence[ConceptMap]:
        return self._layer.maps()

    def system_urls(self) -> Iterable[str]:
        return self._layer.system_urls()


class Terminology:
    """The definitions of several layers. Nothing is written here; answers may be remembered in ``memory``."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self._layers = tuple(layers)
        self._grammars = {one.info.url: one for one in GRAMMARS}
        self._systems: dict[str, tuple[CodeSystem, ...]] = {}
        self._supplemented: dict[tuple[int, tuple[str, ...]], CodeSystem] = {}
        self.memory: dict[Any, Any] = {}

    def over(self, resources: Sequence[Raw]) -> Terminology:
        """The same with ``resources`` before everything (those that a request brings along)."""
        return Terminology((Resources(resources), *self._layers)) if resources else self

    def replaced(self, resources: Sequence[Raw]) -> Terminology:
        """The same with ``resources`` in the place of all that has one of their URLs, whichever version."""
        if not resources:
            return self
        own = Resources(resources)
        return Terminology((own, *(_Beneath(layer, own) for layer in self._layers)))

    @property
    def layers(self) -> Sequence[Layer]:
        """Its layers, the first before the others."""
        return self._layers

    # -- code systems ---------------------------------------------------------------------------

    def versions(self, url: str) -> tuple[CodeSystem, ...]:
        """All versions of a code system (not supplements), the latest first."""
        found = self._systems.get(url)
        if found is None:
            if len(self._systems) > 4_096:
                self._systems.clear()
            by_version: dict[str | None, CodeSystem] = {}
            for layer in self._layers:
                for one in layer.systems(url):
                    if one.info.content != "supplement":
                        by_version.setdefault(one.info.version, one)
            listed = [one for one in by_version.values() if one.info.content != "not-present" or one.size]
            if not listed and url in self._grammars:
                listed = [self._grammars[url]]
            found = tuple(sorted(listed, key=lambda one: age(one.info.version), reverse=True))
            self._systems[url] = found
        return found

    def system(self, url: str, version: str | None = None) -> CodeSystem | None:
        """The version of a code system that fits ``version`` (None: the latest)."""
        known = self.versions(url)
        if not known:
            return None
        if version is None or not known[0].listed:
            return known[0]
        there, best = chosen((one.info.version for one in known), version)
        return next(one for one in known if one.info.version == best) if there else None

    def supplement(self, canonical: str) -> CodeSystem | None:
        """The supplement of this canonical URL."""
        url, version = split_canonical(canonical)
        found = [one for layer in self._layers for one in layer.systems(url) if one.info.content == "supplement"]
        there, best = chosen((one.info.version for one in found), version)
        return next(one for one in found if one.info.version == best) if there else None

    def with_supplements(self, system: CodeSystem, supplements: Sequence[CodeSystem]) -> CodeSystem:
        """``system`` with those of ``supplements`` that are its own."""
        own = [s for s in supplements if split_canonical(s.info.supplements)[0] == system.info.url]
        if not own:
            return system
        key = (id(system), tuple(s.info.canonical for s in own))
        found = self._supplemented.get(key)
        if found is None:
            if len(self._supplemented) > 64:
                self._supplemented.clear()
            found = self._supplemented[key] = Supplemented(system, own)
        return found

    def system_urls(self) -> list[str]:
        """The URLs of all code systems that are known, sorted."""
        return sorted({url for layer in self._layers for url in layer.system_urls()} | self._grammars.keys())

    # -- value sets -----------------------------------------------------------------------------

    def valueset(self, url: str, version: str | None = None) -> ValueSet | None:
        """The value set of this URL (perhaps ``url|version``), in the fitting version, or the latest."""
        bare, told = split_canonical(url)
        wanted = version or told
        found: dict[str | None, ValueSet] = {}
        for layer in self._layers:
            for one in layer.valuesets(bare):
                found.setdefault(one.version, one)
        there, best = chosen(found, wanted)
        return found[best] if there else self._implicit(bare)

    def valueset_versions(self, url: str) -> list[str]:
        """The versions of a value set that are known."""
        found = {one.version for layer in self._layers for one in layer.valuesets(url)}
        return sorted((v for v in found if v), key=age)

    def _implicit(self, url: str) -> ValueSet | None:
        """``[system]?fhir_vs``: all codes of the system."""
        system = url.removesuffix(IMPLICIT)
        if system == url or not self.versions(system):
            return None
        raw = {"resourceType": "ValueSet", "url": url, "status": "active"}
        return ValueSet(url, None, {**raw, "compose": {"include": [{"system": system}]}}, (Include(system),))

    # -- concept maps ---------------------------------------------------------------------------

    def maps(self) -> list[ConceptMap]:
        """All concept maps; of equal URL and version the first."""
        found: dict[tuple[str, str | None], ConceptMap] = {}
        for layer in self._layers:
            for one in layer.maps():
                found.setdefault((one.url, one.version), one)
        return list(found.values())

    def map(self, url: str, version: str | None = None) -> ConceptMap | None:
        """The concept map of this canonical URL."""
        bare, told = split_canonical(url)
        known = {one.version: one for one in reversed(self.maps()) if one.url == bare}
        there, best = chosen(known, version or told)
        return known[best] if there else None


def from_resources(resources: Iterable[Mapping[str, Any]], *beneath: Layer) -> Terminology:
    """A terminology of these resources, before other layers."""
    return Terminology((Resources(resources), *beneath))
