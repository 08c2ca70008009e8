"""Index rows: what a resource is found by, as plain tuples that a store files in its tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Text = str  # the class below has a member named str


@dataclass(slots=True)
class Rows:
    """All index values of one resource. The first member of each tuple is the index key (``Param.key``).

    ``tok``: (key, system, code), '' where absent; uris and canonicals have system ''
    (a canonical ``url|version`` gives (key, '', url) and (key, version, url)).
    ``str``: (key, normalised, exact). ``dat``: (key, low, high) in microseconds.
    ``qty``: (key, low, high, system, code), numbers with '' and ''.
    ``ref``: (key, type, id) of resources of this server. ``geo``: (key, latitude, longitude).
    ``elements``: (element number, table name, row) of composite components, whose rows
    have component keys (``code-value-quantity$0``).
    ``present``: codes of the parameters that have a value (for ``:missing``).
    ``date``: the primary clinical date in milliseconds, for newest-first order.
    ``contained``: place, type and rows of each contained resource; one that the container refers
    to has a row in ``tok`` which says by what (``tree.inside_key``). ``inside``: (key, id) of those references.
    ``patients``: ids of the Patients in whose compartment the resource is, first the subject.
    """

    tok: list[tuple[Text, Text, Text]] = field(default_factory=list)
    str: list[tuple[Text, Text, Text]] = field(default_factory=list)
    dat: list[tuple[Text, int, int]] = field(default_factory=list)
    qty: list[tuple[Text, float, float, Text, Text]] = field(default_factory=list)
    ref: list[tuple[Text, Text, Text]] = field(default_factory=list)
    geo: list[tuple[Text, float, float]] = field(default_factory=list)
    elements: list[tuple[int, Text, tuple[Any, ...]]] = field(default_factory=list)
    present: set[Text] = field(default_factory=set)
    date: int | None = None
    patients: list[Text] = field(default_factory=list)
    contained: list[tuple[int, Text, Rows]] = field(default_factory=list)
    inside: list[tuple[Text, Text]] = field(default_factory=list)
