"""What profiles ask of terminology: is this code in that value set?

https://hl7.org/fhir/R4/terminologies.html#binding. ``Bindings`` is all that validation needs to know of
terminology; ``profiles.conformance.codes`` asks a terminology.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer about a code: ``valid``, ``invalid`` or ``unknown`` (nobody here can tell); ``reason`` in words."""

    outcome: Literal["valid", "invalid", "unknown"]
    reason: str = ""

    @property
    def valid(self) -> bool:
        """Whether the code is known to be right."""
        return self.outcome == "valid"

    @property
    def invalid(self) -> bool:
        """Whether the code is known to be wrong."""
        return self.outcome == "invalid"


VALID = Verdict("valid")


class Bindings(Protocol):
    """A terminology as validation sees it."""

    def has(self, valueset: str) -> bool:
        """Whether the value set is known."""
        ...

    def validate(self, valueset: str, system: str | None, code: str, version: str = "", display: str = "") -> Verdict:
        """Whether the code is in the value set (canonical URL, perhaps with ``|version``).

        ``system`` None: a bare ``code`` element, of whichever system of the value set.
        """
        ...

    def lookup(self, system: str, code: str, version: str = "", display: str = "") -> Verdict:
        """Whether the code system has the code, and (where given) this display for it.

        ``invalid`` with a reason that begins with ``display`` says that only the display is wrong.
        """
        ...
