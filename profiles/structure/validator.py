"""The structural validator: a resource in, findings out.

https://hl7.org/fhir/R4/validation.html (structure, cardinality, value domains, required bindings)
"""

from __future__ import annotations

from profiles.definitions import Definitions
from profiles.issues import Issue
from profiles.structure.walk import Walk


class Validator:
    """Checks resources against the R4 definitions."""

    def __init__(self, definitions: Definitions) -> None:
        self._walk = Walk(definitions)

    def check(self, resource: object) -> list[Issue]:
        """What is wrong with the structure of a parsed resource; empty if nothing is. Never raises."""
        return self._walk.issues(resource)
