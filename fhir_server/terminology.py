"""The terminology of a server: stored, loaded, of packages, the alliance's lists, those of its guide, and base R4.

https://hl7.org/fhir/R4/terminology-service.html. It is put together anew when definitions were written, by this or
another process, or code systems were loaded.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, Protocol, TypeVar, runtime_checkable

from fhir_server.errors import BadRequest
from fhir_server.search.codes import Codes
from fhir_server.validation.packaged_codes import PackagedCodes
from profiles.alliance import resources as definitions
from terminology.alliance import alliance
from terminology.base import base
from terminology.compose import Composer, whole_systems
from terminology.conceptmaps import ConceptMap, conceptmap_of
from terminology.concepts import CodeSystem
from terminology.errors import NotKnown, TerminologyError
from terminology.file import FILE, TerminologyFile
from terminology.lookup import known_code, known_system
from terminology.memory import MemorySystem
from terminology.registry import Layer, Resources, Terminology
from terminology.valuesets import ValueSet, valueset_of

_KINDS = frozenset({"CodeSystem", "ValueSet", "ConceptMap"})
_KEPT = 64  # value sets and hierarchies whose codes are remembered for searches
# Apart from the threads that large bodies are read in: what a large value set takes holds up no writes.
_POOL = ThreadPoolExecutor(2, "yidang-terminology")
Found = TypeVar("Found")


async def aside(work: Callable[..., Found], *arguments: Any) -> Found:
    """What ``work`` gives, worked out in one of the threads for terminology."""
    run = contextvars.copy_context().run
    return await asyncio.get_running_loop().run_in_executor(_POOL, lambda: run(work, *arguments))


class StoredDefinitions(Protocol):
    """The definitions in a store, for use in one thread."""

    def version(self) -> int:
        """How often definitions have changed."""
        ...

    def urls(self, type: str) -> list[str]:
        """The canonical URLs of the resources of this type."""
        ...

    def of(self, type: str, url: str) -> list[dict[str, Any]]:
        """The resources of this type and URL."""
        ...

    def one(self, type: str, id: str) -> dict[str, Any] | None:
        """The resource of this type and id."""
        ...


@runtime_checkable
class Defining(Protocol):
    """A store that tells its definitions."""

    def definitions(self) -> StoredDefinitions:
        """Those of this moment, for use in this thread."""
        ...


class StoreLayer:
    """The definitions in a store; each is read when it is first asked for, and kept."""

    def __init__(self, definitions: Callable[[], StoredDefinitions]) -> None:
        self._definitions = definitions
        self._made: dict[tuple[str, str], Sequence[Any]] = {}
        self._maps: list[ConceptMap] | None = None
        self._urls: list[str] | None = None

    def systems(self, url: str) -> Sequence[CodeSystem]:
        """The versions of a code system that are stored."""
        return self._all("CodeSystem", url, MemorySystem)

    def valuesets(self, url: str) -> Sequence[ValueSet]:
        """The versions of a value set that are stored."""
        return self._all("ValueSet", url, valueset_of)

    def maps(self) -> Sequence[ConceptMap]:
        """The concept maps that are stored."""
        if self._maps is None:
            urls = self._definitions().urls("ConceptMap")
            self._maps = [one for url in urls for one in self._all("ConceptMap", url, conceptmap_of)]
        return self._maps

    def system_urls(self) -> Iterable[str]:
        """The URLs of the code systems that are stored."""
        if self._urls is None:
            self._urls = self._definitions().urls("CodeSystem")
        return self._urls

    def _all(self, kind: str, url: str, make: Callable[[dict[str, Any]], Any]) -> Sequence[Any]:
        key = kind, url
        if key not in self._made:
            if len(self._made) > 10_000:
                self._made.clear()
            self._made[key] = [make(resource) for resource in self._definitions().of(kind, url)]
        return self._made[key]


class ServedTerminology:
    """Gives the terminology of the moment: the same object as long as nothing has changed."""

    def __init__(self, store: object, folder: Path) -> None:
        self._store = store if isinstance(store, Defining) else None
        self._file = TerminologyFile(folder / FILE)
        self._packages = PackagedCodes(folder)
        self._stamp: tuple[object, ...] | None = None
        self._made: Terminology | None = None

    def resource(self, type: str, id: str) -> dict[str, Any] | None:
        """The stored definition of this type and id."""
        return self._store.definitions().one(type, id) if self._store is not None else None

    def __call__(self) -> Terminology:
        """What is known now."""
        stored = self._store.definitions().version() if self._store is not None else 0
        packaged = self._packages.layer()
        stamp = stored, self._file.stamp(), id(packaged)
        if self._made is None or stamp != self._stamp:
            layers: list[Layer] = []
            if self._store is not None:
                layers.append(StoreLayer(self._store.definitions))
            self._made = Terminology((*layers, self._file.layer(), packaged, alliance(), guide(), base()))
            self._stamp = stamp
        return self._made


class SearchedCodes:
    """What searches ask of terminology (``search.codes.CodeSource``); answers are kept while it stays the same."""

    def __init__(self, served: ServedTerminology) -> None:
        self._served = served
        self._lock = Lock()  # searches are read in several threads

    def members(self, valueset: str) -> Codes:
        """The codes of a value set: a canonical URL, or ``ValueSet/[id]`` of this server."""
        terminology = self._served()
        return self._kept(terminology, ("members", valueset), lambda: self._members(terminology, valueset))

    def below(self, system: str, code: str) -> Codes:
        """The code and all that it subsumes."""
        return self._related("below", system, code, lambda known, place: known.descendants(place))

    def above(self, system: str, code: str) -> Codes:
        """The code and all by which it is subsumed."""
        return self._related("above", system, code, lambda known, place: known.ancestors(place))

    def _members(self, terminology: Terminology, text: str) -> Codes:
        composer = Composer(terminology)
        if text.startswith("ValueSet/"):
            resource = self._served.resource("ValueSet", text.removeprefix("ValueSet/"))
            if resource is None:
                raise NotKnown(f"There is no {text}")
            valueset = valueset_of(resource)
        else:
            valueset = composer.valueset(text)
        whole = whole_systems(composer, valueset)
        if whole is not None:
            return dict.fromkeys(whole)
        found: dict[str, list[str]] = {}
        for part in composer.members(valueset):
            found.setdefault(part.system.info.url, []).extend(part.system.codes(part.places))
        return {system: tuple(codes) for system, codes in found.items()}

    def _related(self, how: str, url: str, code: str, places: Callable[[CodeSystem, int], set[int]]) -> Codes:
        terminology = self._served()

        def related() -> Codes:
            system = known_system(Composer(terminology), url, None)
            concept = known_code(system, code)
            found = places(system, concept.ordinal) if system.listed else set()
            return {url: (concept.code, *system.codes(sorted(found)))}

        return self._kept(terminology, (how, url, code), related)

    def _kept(self, terminology: Terminology, key: tuple[str, ...], make: Callable[[], Codes]) -> Codes:
        """What was worked out before, or now; of those kept the longest unused goes first."""
        memory = terminology.memory
        with self._lock:
            found: Codes | None = memory.pop(key, None)
            if found is not None:
                memory[key] = found
                return found
        try:
            found = make()
        except TerminologyError as error:
            raise BadRequest(error.issue.text, code=error.issue.code) from None
        with self._lock:
            memory[key] = found
            if len(memory) > _KEPT:
                del memory[next(iter(memory))]
        return found


@cache
def guide() -> Resources:
    """The code systems, value sets and maps of the alliance's implementation guide."""
    return Resources([one for one in definitions() if one["resourceType"] in _KINDS])


@cache
def base_terminology() -> Terminology:
    """What every server knows: base R4 and the lists of the alliance."""
    return Terminology((alliance(), guide(), base()))
