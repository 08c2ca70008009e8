"""The Store protocol: the only door to the records. Every call says on whose behalf (``access``).

Reads see one snapshot each. Writes are functions run by the store's single writer inside an
atomic transaction; several waiting writes share one commit (group commit), each in a savepoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from consent import Access
from fhir_server.search.rows import Rows
from fhir_server.search.tree import Query

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stored:
    """One version of a resource. ``body`` is the exact JSON text, None for a deletion.

    ``sequence`` is the store-wide commit order, ``updated`` microseconds since 1970 UTC,
    ``method`` the interaction that made it (POST, PUT, PATCH, DELETE). ``patient`` is the id of the Patient
    in whose file it is ('' nobody's, or several persons'), ``custodian`` a reference to the Organization or
    Patient who wrote it ('' unknown), ``record_class`` a bit of ``consent.vocabulary.RecordClass``,
    ``sensitivity`` bits of its ``Sensitivity``. ``destroyed``: gone with the person's keys (last deletion).
    """

    type: str
    id: str
    version: int
    sequence: int
    updated: int
    method: str
    body: bytes | None
    patient: str = ""
    custodian: str = ""
    record_class: int = 0
    sensitivity: int = 0
    destroyed: bool = False

    @property
    def deleted(self) -> bool:
        """Whether this version is a deletion."""
        return self.body is None


@dataclass(slots=True)
class Prepared:
    """A resource ready to be committed: its text with two marks where version and time go, and its rows.

    Made by ``fhir_server.store.prepare.prepare``; ``resource`` is the parsed form.
    """

    type: str
    id: str
    template: bytes
    rows: Rows
    resource: dict[str, Any]
    generation: int = 0  # of the extractor that made the rows
    fresh: bool = False  # the id was given by this server just now


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a search. ``cursor`` is the opaque token of the next page, None on the last.

    ``includes`` are the included resources; ``include_cursor`` continues them where the cap cut.
    ``fragments``: by sequence of a match, the places of its contained resources that ``Query.fragments`` name.
    ``total`` is None when not asked for.
    """

    matches: Sequence[Stored]
    includes: Sequence[Stored] = ()
    cursor: str | None = None
    include_cursor: str | None = None
    total: int | None = None
    fragments: Mapping[int, Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HistoryScope:
    """Instance (type and id), type (type), or system history; times in microseconds.

    ``since``: versions at or after; ``at``: versions current at some moment of [low, high).
    """

    type: str | None = None
    id: str | None = None
    since: int | None = None
    at: tuple[int, int] | None = None
    count: int = 50
    before: int | None = None  # paging: only sequences below this one
    snapshot: int | None = None  # paging: only sequences up to this one


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Versions, newest first; ``next`` is the scope of the next page, None on the last."""

    entries: Sequence[Stored]
    total: int
    next: HistoryScope | None = None


class Transaction(Protocol):
    """What a write function may do. It runs in the writer's thread: no waiting, no network.

    ``access``: on whose behalf; the server's own steps within a client's write change it for their while.
    """

    access: Access

    def read(self, type: str, id: str) -> Stored | None:
        """The current version (deleted ones too), or None; sees the writes before it."""
        ...

    def find(self, type: str, query: Query, limit: int) -> Sequence[Stored]:
        """Up to ``limit`` current matches (for conditional interactions)."""
        ...

    def put(self, prepared: Prepared, method: str) -> Stored:
        """Write the next version of ``prepared.type``/``prepared.id`` (creating it if need be).

        Raises NotFound for what may not be known to exist, Forbidden for what is not the requester's own,
        Unprocessable where a resource would move to another person.
        """
        ...

    def delete(self, type: str, id: str) -> Stored | None:
        """Mark as deleted; None when there is nothing (or it is deleted already)."""
        ...

    def alias(self, source: str, target: str) -> None:
        """Lead the Patient ``source`` (id) to ``target``: what belongs to it is found, and judged, in the other's file.

        Raises Conflict where that would lead in a circle, Forbidden under a restricted access.
        """
        ...

    def unalias(self, source: str) -> None:
        """Undo ``alias``: each resource is in the file of the Patient that it names again."""
        ...

    def once(self, name: str) -> bool:
        """Note, as part of this write, that the piece of work ``name`` is done; False when it was before.

        For work that may be started again after an interruption (loading files).
        """
        ...


class Store(Protocol):
    """A record store. ``read``, ``vread``, ``history`` are quick and run inline in the event loop."""

    def read(self, type: str, id: str, access: Access) -> Stored | None:
        """The current version (a deleted one has body None), or None when unknown."""
        ...

    def vread(self, type: str, id: str, version: int, access: Access) -> Stored | None:
        """That version, or None."""
        ...

    async def history(self, scope: HistoryScope, access: Access) -> HistoryPage:
        """The versions of the scope, newest first."""
        ...

    async def search(self, query: Query, access: Access, cursor: str | None = None, digest: str = "") -> Page:
        """One page of matches with their includes.

        ``digest`` names the search URL; a cursor of another digest is refused (BadRequest),
        an expired one with Gone.
        """
        ...

    async def count(self, query: Query, access: Access) -> int:
        """The number of matches."""
        ...

    async def write(self, work: Callable[[Transaction], T], access: Access) -> T:
        """Run ``work`` atomically; when this returns, what it did survives a crash.

        Whatever ``work`` raises undoes it whole and is raised here.
        """
        ...

    def feed(self, after: int, limit: int, access: Access) -> Iterator[Stored]:
        """Versions in commit order with sequences above ``after``."""
        ...

    def noted(self, prefix: str, access: Access) -> frozenset[str]:
        """The names given to ``Transaction.once`` that begin with ``prefix``."""
        ...

    def close(self) -> None:
        """Finish the waiting writes and close the files."""
        ...
