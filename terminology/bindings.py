"""What a validator asks of terminology: is this code in that value set? https://hl7.org/fhir/R4/terminologies.html#binding

The contract between ``profiles`` and ``terminology``: a validator takes any ``Bindings`` and knows nothing else of
terminology; ``terminology.registry.Terminology`` is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Verdict(StrEnum):
    """The three answers. UNKNOWN: the value set, or the code system that decides, is not known here."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Result:
    """The answer about one code.

    ``reason`` says why a code is invalid or undecided (English, one sentence; '' when valid). ``display`` is the
    display to use ('' unknown). ``code`` is the issue code that fits the reason: ``code-invalid`` (not in the value
    set or the code system), ``invalid`` (the display is wrong), ``not-found`` (value set or code system unknown),
    ``not-supported``, ``too-costly``. ``warnings`` do not make the code invalid (inactive, other case, …).
    """

    verdict: Verdict
    reason: str = ""
    code: str = ""
    display: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether the code is certainly in the value set."""
        return self.verdict is Verdict.VALID

    @property
    def invalid(self) -> bool:
        """Whether the code is certainly not in the value set (or its display is wrong)."""
        return self.verdict is Verdict.INVALID

    @property
    def unknown(self) -> bool:
        """Whether it cannot be decided."""
        return self.verdict is Verdict.UNKNOWN


class Bindings(Protocol):
    """What decides whether codes are in value sets."""

    def validate(
        self,
        valueset_url: str,
        system: str | None,
        code: str,
        version: str | None = None,
        display: str | None = None,
    ) -> Result:
        """Whether ``code`` of ``system`` is in the value set ``valueset_url`` (canonical, perhaps with ``|version``).

        ``system`` None: an element of type ``code``, whose system the value set implies. ``version`` is that of the
        code system as the Coding has it; ``display`` is checked when given. Never raises: what cannot be decided
        is UNKNOWN.
        """
        ...
