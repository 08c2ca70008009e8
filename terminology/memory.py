"""Code systems kept in memory, read from CodeSystem resources. https://hl7.org/fhir/R4/codesystem.html"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from terminology.concepts import CodeSystem, Concept, Raw, concept_of, in_order, info_of
from terminology.words import Haystack


class MemorySystem(CodeSystem):
    """The code system of a CodeSystem resource; of equal codes the first counts."""

    def __init__(self, resource: Raw) -> None:
        self.info = info_of(resource)
        special = self.info.special()
        source = self.info.canonical if self.info.content == "supplement" else ""
        self._concepts: list[Concept] = []
        self._parents: list[tuple[int, ...]] = []
        self._by_code: dict[str, int] = {}
        named: list[tuple[int, str, bool]] = []  # relations told by properties: place, other code, is it the parent
        for raw, parent in in_order(resource.get("concept", ())):
            place = len(self._concepts)
            concept = concept_of(raw, special, place, source)
            self._concepts.append(concept)
            self._parents.append((parent,) if parent >= 0 else ())
            self._by_code.setdefault(concept.code, place)
            for one in concept.properties:
                meaning = special.get(one.code)
                if meaning in ("parent", "child"):
                    named.append((place, one.text, meaning == "parent"))
        for place, other, is_parent in named:
            there = self._by_code.get(other)
            if there is not None:
                below, above = (place, there) if is_parent else (there, place)
                if above not in self._parents[below] and above != below:
                    self._parents[below] = (*self._parents[below], above)

    @property
    def size(self) -> int:
        """How many concepts are known."""
        return len(self._concepts)

    @cached_property
    def _folded(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for code, place in self._by_code.items():
            found.setdefault(code.casefold(), place)
        return found

    def find(self, code: str) -> Concept | None:
        """The concept of this code."""
        place = self._by_code.get(code)
        if place is None and not self.info.case_sensitive:
            place = self._folded.get(code.casefold())
        return None if place is None else self._concepts[place]

    def at(self, ordinals: Sequence[int]) -> list[Concept]:
        """The concepts at these places."""
        return [self._concepts[n] for n in ordinals]

    def parents(self, ordinal: int) -> Sequence[int]:
        """The places of the parents."""
        return self._parents[ordinal]

    @cached_property
    def _children(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for place, parents in enumerate(self._parents):
            for parent in parents:
                found.setdefault(parent, []).append(place)
        return found

    def children(self, ordinal: int) -> Sequence[int]:
        """The places of the children."""
        return self._children.get(ordinal, ())

    @cached_property
    def _haystack(self) -> Haystack:
        return Haystack([concept.line() for concept in self._concepts])

    def search(self, text: str) -> list[int]:
        """The places of what the text finds."""
        return self._haystack.find(text)

    @cached_property
    def _holders(self) -> dict[str, dict[str, set[int]]]:
        found: dict[str, dict[str, set[int]]] = {}
        for concept in self._concepts:
            for one in concept.properties:
                found.setdefault(one.code, {}).setdefault(one.text, set()).add(concept.ordinal)
        return found

    def holders(self, property: str, value: str | None) -> set[int]:
        """The places of concepts with this value of the property."""
        values = self._holders.get(property, {})
        return set().union(*values.values()) if value is None else set(values.get(value, ()))

    @cached_property
    def _inactive(self) -> set[int]:
        return super().inactive()

    def inactive(self) -> set[int]:
        """The places of the inactive concepts."""
        return self._inactive
