"""What a search asks of terminology: the codes of a value set, and those above or below a code.

https://hl7.org/fhir/R4/search.html#modifiers (``:in``, ``:not-in``, ``:above``, ``:below``)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

Codes = Mapping[str, Sequence[str] | None]  # by code system; None: every code of the system


class CodeSource(Protocol):
    """What knows codes. Every method raises BadRequest where it cannot tell, and says why."""

    def members(self, valueset: str) -> Codes:
        """The codes of a value set: a canonical URL, or ``ValueSet/[id]`` of this server."""
        ...

    def below(self, system: str, code: str) -> Codes:
        """The code and all that it subsumes."""
        ...

    def above(self, system: str, code: str) -> Codes:
        """The code and all by which it is subsumed."""
        ...
