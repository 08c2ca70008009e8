"""What a terminology file holds, ready to be kept: a code system, a concept map, or another resource."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Raw = Mapping[str, Any]
Mapped = tuple[str, str | None, Raw]  # a source's code, its display, and a ConceptMap target


class BadFile(ValueError):
    """A file that cannot be read as what it should be; the text says which line and why."""


@dataclass(frozen=True, slots=True)
class SystemContent:
    """A version of a code system: the CodeSystem without concepts, and the concepts one after the other.

    A concept is as in a CodeSystem, its parents (codes) in the key ``parents`` in place of nesting. ``expected``: how
    many there are, roughly (0 unknown), for progress.
    """

    head: Raw
    concepts: Iterable[Raw]
    expected: int = 0


@dataclass(frozen=True, slots=True)
class MapContent:
    """A version of a concept map: the ConceptMap without groups, and of each group its head and its mappings."""

    head: Raw
    groups: Sequence[tuple[Raw, Iterable[Mapped]]]


@dataclass(frozen=True, slots=True)
class ResourceContent:
    """A ValueSet, kept as it is."""

    resource: Raw


Content = SystemContent | MapContent | ResourceContent
