"""Code systems with what supplements add to their concepts.

https://hl7.org/fhir/R4/codesystem.html#supplements
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from terminology.concepts import CodeSystem, Concept, Designation


class Supplemented(CodeSystem):
    """A code system with what supplements add to its concepts."""

    def __init__(self, base: CodeSystem, supplements: Sequence[CodeSystem]) -> None:
        self._base, self._supplements = base, supplements
        properties = {**base.info.properties}
        for one in supplements:
            properties |= one.info.properties
        self.info = replace(base.info, properties=properties)

    @property
    def listed(self) -> bool:
        """Whether its concepts can be enumerated."""
        return self._base.listed

    @property
    def size(self) -> int:
        """How many concepts are known."""
        return self._base.size

    def supplements(self) -> tuple[str, ...]:
        """The supplements in force."""
        return tuple(s.info.canonical for s in self._supplements)

    def find(self, code: str) -> Concept | None:
        """The concept of this code."""
        found = self._base.find(code)
        return None if found is None else self._joined(found)

    def at(self, ordinals: Sequence[int]) -> list[Concept]:
        """The concepts at these places."""
        return [self._joined(concept) for concept in self._base.at(ordinals)]

    def codes(self, ordinals: Sequence[int]) -> list[str]:
        """The codes at these places."""
        return self._base.codes(ordinals)

    def parents(self, ordinal: int) -> Sequence[int]:
        """The places of the parents."""
        return self._base.parents(ordinal)

    def children(self, ordinal: int) -> Sequence[int]:
        """The places of the children."""
        return self._base.children(ordinal)

    def search(self, text: str) -> list[int]:
        """The places of what the text finds."""
        added = {
            found.ordinal
            for one in self._supplements
            for place in one.search(text)
            if (found := self._base.find(one.at((place,))[0].code)) is not None
        }
        return sorted({*self._base.search(text), *added})

    def holders(self, property: str, value: str | None) -> set[int]:
        """The places of concepts with this value of the property."""
        found = set(self._base.holders(property, value))
        for one in self._supplements:
            for concept in one.at(sorted(one.holders(property, value))):
                mine = self._base.find(concept.code)
                if mine is not None:
                    found.add(mine.ordinal)
        return found

    def inactive(self) -> set[int]:
        """The places of the inactive concepts."""
        return self._base.inactive()

    def descendants(self, ordinal: int) -> set[int]:
        """The places of all below."""
        return self._base.descendants(ordinal)

    def _joined(self, concept: Concept) -> Concept:
        for one in self._supplements:
            more = one.find(concept.code)
            if more is not None:
                named = (more.display,) if more.display and more.display != concept.display else ()
                displays = tuple(Designation(d, one.info.language, None, (), one.info.canonical) for d in named)
                concept = replace(
                    concept,
                    display=concept.display or more.display,
                    designations=(*concept.designations, *displays, *more.designations),
                    properties=(*concept.properties, *more.properties),
                    extension=(*concept.extension, *more.extension),
                )
        return concept
