"""The ObservationDefinitions of the records, compiled: by which every judgement on a value is made.

They are nobody's, and the same for everybody who asks, so they are read without restriction and without a note.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import msgspec

from consent import Access
from fhir_server.records.acting import unseen
from fhir_server.search.extract import Extractor
from fhir_server.search.tree import And, Query
from terminology.references import References, references_of

if TYPE_CHECKING:
    from fhir_server.context import Context

_PAGE = 1000
# By the extractor of a store (it lives as long): the sequences of the versions that it was made of.
_KEPT: WeakKeyDictionary[Extractor, tuple[tuple[int, ...], References]] = WeakKeyDictionary()


async def references(context: Context) -> References:
    """The definitions of now; compiled again only when one of them changed."""
    query = Query((("ObservationDefinition", And(())),), count=_PAGE)
    access = Access.everything("reference intervals are nobody's")
    bodies: list[bytes] = []
    sequences: list[int] = []
    cursor: str | None = None
    with unseen():
        while True:
            page = await context.store.search(query, access, cursor, "references")
            bodies += [stored.body for stored in page.matches if stored.body is not None]
            sequences += [stored.sequence for stored in page.matches]
            cursor = page.cursor
            if cursor is None:
                break
    kept = _KEPT.get(context.extractor)
    if kept is not None and kept[0] == tuple(sequences):
        return kept[1]
    found: list[dict[str, Any]] = [msgspec.json.decode(body) for body in reversed(bodies)]  # the newest prevails
    made = references_of(found)
    _KEPT[context.extractor] = (tuple(sequences), made)
    return made
