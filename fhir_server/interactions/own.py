"""What a transaction itself writes, to be found by the criteria of its other entries.

https://hl7.org/fhir/R4/http.html#trules
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fhir_server.interactions.match import anchor, matches
from fhir_server.search.rows import Rows

if TYPE_CHECKING:
    from fhir_server.interactions.plan import Criterion, Step


@dataclass(slots=True)
class Own:
    """The resources which the transaction itself writes, to be found by criteria."""

    rows: Callable[[Step], Rows]
    by_type: dict[str, list[tuple[Step, Rows]]] = field(default_factory=dict)
    by_token: dict[tuple[str, str, str], list[tuple[Step, Rows]]] = field(default_factory=dict)
    wanted: frozenset[str] = frozenset()

    def add(self, step: Step) -> None:
        """Make a resource findable; it is indexed only if some criterion asks for its type."""
        if step.type not in self.wanted:
            return
        found = (step, self.rows(step))
        self.by_type.setdefault(step.type, []).append(found)
        for key, code in {(key, code) for key, _, code in found[1].tok}:
            self.by_token.setdefault((step.type, key, code), []).append(found)

    def find(self, criterion: Criterion) -> list[str]:
        """The ids of those that satisfy the criterion."""
        token = anchor(criterion.node)
        candidates = (
            self.by_type.get(criterion.type, ()) if token is None else self.by_token.get((criterion.type, *token), ())
        )
        return [step.id for step, rows in candidates if matches(criterion.node, step.id, rows)]
