"""FhirPathError: an expression that cannot be read, or cannot be evaluated on what it was given.

https://hl7.org/fhirpath/N1/
"""

from __future__ import annotations


class FhirPathError(ValueError):
    """Why an expression was refused; ``position`` is the offset in its text where reading failed."""

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message if position is None else f"{message} at character {position + 1}")
        self.position = position


class TooCostlyError(FhirPathError):
    """The expression asked for more steps, time or memory than one evaluation may have."""
