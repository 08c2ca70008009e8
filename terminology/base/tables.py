"""Read the compiled terminology of R4; a resource is unpacked when it is first asked for.

https://hl7.org/fhir/R4/terminologies-systems.html; the data are built by ``build``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache, cached_property, lru_cache
from importlib.resources import files
from typing import Any

import msgspec
import zstandard

from terminology.conceptmaps import ConceptMap, conceptmap_of
from terminology.concepts import CodeSystem, Raw
from terminology.memory import MemorySystem
from terminology.valuesets import ValueSet, valueset_of

_raw_list = msgspec.json.Decoder(list[msgspec.Raw])


class BaseLayer:
    """The layer of what R4 itself defines."""

    def __init__(self) -> None:
        folder = files("terminology.base").joinpath("data")
        head = msgspec.json.decode(zstandard.decompress(folder.joinpath("index.json.zst").read_bytes()))
        self._places: list[int] = head["blocks"]
        self._index: dict[str, dict[str, list[int]]] = head["resources"]
        self._data = folder.joinpath("blocks.bin").read_bytes()
        self._made: dict[tuple[str, str], Any] = {}
        self._block = lru_cache(maxsize=2)(self._unpacked)

    def systems(self, url: str) -> Sequence[CodeSystem]:
        """The code system of this URL."""
        found = self._get("CodeSystem", url, MemorySystem)
        return () if found is None else (found,)

    def valuesets(self, url: str) -> Sequence[ValueSet]:
        """The value set of this URL."""
        found = self._get("ValueSet", url, valueset_of)
        return () if found is None else (found,)

    def maps(self) -> Sequence[ConceptMap]:
        """All concept maps."""
        return self._maps

    def system_urls(self) -> Iterable[str]:
        """The URLs of all code systems."""
        return self._index["CodeSystem"]

    def valueset_urls(self) -> Iterable[str]:
        """The URLs of all value sets."""
        return self._index["ValueSet"]

    @cached_property
    def _maps(self) -> list[ConceptMap]:
        return [self._get("ConceptMap", url, conceptmap_of) for url in self._index["ConceptMap"]]

    def _unpacked(self, number: int) -> list[msgspec.Raw]:
        return _raw_list.decode(zstandard.decompress(self._data[self._places[number] : self._places[number + 1]]))

    def _get(self, kind: str, url: str, make: Any) -> Any:
        place = self._index[kind].get(url)
        if place is None:
            return None
        key = (kind, url)
        if key not in self._made:
            raw: Raw = msgspec.json.decode(self._block(place[0])[place[1]])
            self._made[key] = make(raw)
        return self._made[key]


@cache
def base() -> BaseLayer:
    """The layer, opened once per process."""
    return BaseLayer()
