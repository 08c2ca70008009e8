"""WatchedStore: a store that notes, for the current exchange, every version that it hands out.

One wrapper for all paths, so that no interaction can forget to tell what it showed. A list of rows is noted by one
``extend``; a row costs nothing by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from consent.access import Access
from fhir_server.audit.exchange import CURRENT, Exchange
from fhir_server.search.tree import And, Chain, Contains, Has, Node, Not, Or, Param, Query, Token
from fhir_server.store.protocol import HistoryPage, HistoryScope, Page, Store, Stored, Transaction

T = TypeVar("T")
_MOST_SOUGHT = 20  # people, and identifiers, of one query
_EVERYTHING = Access.everything("whom a query names by an identifier")


class WatchedStore:
    """``store`` with its reads noted. Writes are told by the store's witness, in their commit."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def __getattr__(self, name: str) -> object:
        """What is beyond the protocol (maintenance, jobs)."""
        return getattr(self.store, name)

    def read(self, type: str, id: str, access: Access) -> Stored | None:
        """The current version, noted."""
        return _noted(self.store.read(type, id, access))

    def vread(self, type: str, id: str, version: int, access: Access) -> Stored | None:
        """That version, noted."""
        return _noted(self.store.vread(type, id, version, access))

    async def history(self, scope: HistoryScope, access: Access) -> HistoryPage:
        """The versions of the scope, noted."""
        page = await self.store.history(scope, access)
        exchange = CURRENT.get()
        if exchange is not None:
            exchange.seen.extend(page.entries)
        return page

    async def search(self, query: Query, access: Access, cursor: str | None = None, digest: str = "") -> Page:
        """One page of matches and includes, noted."""
        page = await self.store.search(query, access, cursor, digest)
        exchange = CURRENT.get()
        if exchange is not None:
            if not page.matches:
                await self._note_sought(query, exchange)
            exchange.seen.extend(page.matches)
            exchange.seen.extend(page.includes)
        return page

    async def count(self, query: Query, access: Access) -> int:
        """The number of matches; whom it counts by an identifier is noted, as no row tells it."""
        exchange = CURRENT.get()
        if exchange is not None:
            await self._note_sought(query, exchange)
        return await self.store.count(query, access)

    async def _note_sought(self, query: Query, exchange: Exchange) -> None:
        """Note the people whose identifiers the query names."""
        named = [token for _, node in query.where for token in identifiers(node)]
        if named:
            sought = Query((("Patient", Or(tuple(named[:_MOST_SOUGHT]))),), count=_MOST_SOUGHT)
            page = await self.store.search(sought, _EVERYTHING)
            exchange.patients += [found.patient for found in page.matches if found.patient]

    async def write(self, work: Callable[[Transaction], T], access: Access) -> T:
        """Run ``work`` atomically."""
        return await self.store.write(work, access)

    def feed(self, after: int, limit: int, access: Access) -> Iterator[Stored]:
        """Versions in commit order, each noted as it is taken."""
        for stored in self.store.feed(after, limit, access):
            _noted(stored)
            yield stored

    def noted(self, prefix: str, access: Access) -> frozenset[str]:
        """The names given to ``Transaction.once``."""
        return self.store.noted(prefix, access)

    def close(self) -> None:
        """Close the store."""
        self.store.close()


def identifiers(node: Node) -> list[Token]:
    """The conditions on a Patient's identifier that a query holds, however it leads to the Patient."""
    match node:
        case And(nodes) | Or(nodes):
            return [token for one in nodes for token in identifiers(one)]
        case Chain(_, _, inner) | Has(_, inner) | Not(inner) | Contains(_, inner):
            return identifiers(inner)
        case Token(param, system, code) if code is not None:
            if param.type == "Patient" and param.key.startswith("identifier"):
                return [node]
            if param.key.endswith(":identifier"):  # of a reference: subject:identifier=system|value
                return [Token(Param("Patient", "identifier"), system, code)]
    return []


def _noted(stored: Stored | None) -> Stored | None:
    if stored is not None:
        exchange = CURRENT.get()
        if exchange is not None:
            exchange.seen.append(stored)
    return stored
