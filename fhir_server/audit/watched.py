"""WatchedStore: a store that notes, for the current exchange, every version that it hands out.

One wrapper for all paths, so that no interaction can forget to tell what it showed. A list of rows is noted by one
``extend``; a row costs nothing by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from consent.access import Access
from fhir_server.audit.exchange import CURRENT
from fhir_server.search.tree import Query
from fhir_server.store.protocol import HistoryPage, HistoryScope, Page, Store, Stored, Transaction

T = TypeVar("T")


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
            exchange.seen.extend(page.matches)
            exchange.seen.extend(page.includes)
        return page

    async def count(self, query: Query, access: Access) -> int:
        """The number of matches."""
        return await self.store.count(query, access)

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


def _noted(stored: Stored | None) -> Stored | None:
    if stored is not None:
        exchange = CURRENT.get()
        if exchange is not None:
            exchange.seen.append(stored)
    return stored
