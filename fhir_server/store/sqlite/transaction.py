"""What a write does: versions, lasting numbers and postings, inside the writer's open transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from fhir_server.search.extract import Extractor
from fhir_server.search.rows import Rows
from fhir_server.search.tree import Query
from fhir_server.store.prepare import stamp
from fhir_server.store.protocol import Prepared, Stored
from fhir_server.store.sqlite import postings, registry
from fhir_server.store.sqlite.bodies import Bodies
from fhir_server.store.sqlite.instant import InstantFormat
from fhir_server.store.sqlite.names import Names
from fhir_server.store.sqlite.rows import CURRENT, METHOD_NUMBER, stored
from fhir_server.store.sqlite.schema import ALIVE, UNDATED

_INSERT_VERSION = "INSERT INTO res VALUES(?,?,?,?,?,?,?,?,0,0,0,?,?,?,?)"
_MOST_LIDS = 200_000
Mark = tuple[int, int, frozenset[str]]
Find = Callable[[str, Query, int], Sequence[Stored]]


class SqliteTransaction:
    """The Transaction handed to write functions; the writer keeps one for its whole life.

    Index rows gather in ``pending`` and are filed at the end of each write function, or before a
    search inside it.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        bodies: Bodies,
        instant: InstantFormat,
        find: Find,
        names: Names,
        extractor: Extractor,
    ) -> None:
        self._connection = connection
        self._bodies = bodies
        self._instant = instant
        self._find = find
        self._extractor = extractor
        self.names = names
        self.pending = postings.empty()
        self._lids: dict[tuple[str, str], int] = {}
        self._new_lids = False
        self._parameters: set[str] = set()
        self._versions: list[tuple[Any, ...]] = []
        self._heads: set[tuple[int, str]] = set()
        self.rid = self.lid = self.time = 0

    # -- the writer's side ----------------------------------------------------------------------

    def begin(self, now: int) -> None:
        """A new commit starts at ``now`` (µs); numbers go on where the file stands."""
        row = self._connection.execute("SELECT rid, time FROM res ORDER BY rid DESC LIMIT 1").fetchone()
        self.rid, last = row or (0, 0)
        self.time = max(now - now % 1000, last)
        self.lid = self._connection.execute("SELECT value FROM state WHERE name='lid'").fetchone()[0]
        registry.refresh(self._connection, self._extractor)
        self._text = self._instant(self.time)

    def mark(self) -> Mark:
        """Where the numbers stand, for ``undo``."""
        return self.rid, self.lid, frozenset(self._parameters)

    def flush(self) -> None:
        """File the gathered versions and index rows."""
        self._flush_versions()
        postings.file_rows(self._connection, self.pending)

    def _flush_versions(self) -> None:
        if self._versions:
            self._connection.executemany(_INSERT_VERSION, self._versions)
            self._versions.clear()
            self._heads.clear()

    def undo(self, mark: Mark) -> None:
        """Forget everything since ``mark`` (the savepoint is rolled back already)."""
        self.rid, self.lid, parameters = mark
        self._versions.clear()
        self._heads.clear()
        self._parameters = set(parameters)
        for entries in self.pending.values():
            entries.clear()
        self.names.forget()
        if self._new_lids:
            self._lids.clear()

    def index(self, rows: Rows, t: int, rid: int, pat: int) -> None:
        """Gather index rows of a version that is there already (for reindexing)."""
        postings.tables(rows, t, rid, pat, self.names, self._lid, self.pending)

    def oldest_dead(self) -> int:
        """When (µs) the oldest version that still has index rows was superseded; the far future if none was."""
        row = self._connection.execute(
            "SELECT n.time FROM dead d JOIN res n ON n.rid=d.till ORDER BY d.rid LIMIT 1"
        ).fetchone()
        return ALIVE if row is None else int(row[0])

    def end(self) -> None:
        """Everything is filed; write the counters (before COMMIT)."""
        if self._new_lids:
            self._connection.execute("UPDATE state SET value=? WHERE name='lid'", (self.lid,))
        if self._parameters:
            registry.queue(self._connection, sorted(self._parameters), self.rid, self.time)
            self._parameters.clear()

    def settle(self, committed: bool) -> None:
        """The commit is done (or failed)."""
        if committed:
            self.names.settle()
        else:
            self.undo((0, 0, frozenset()))
            self.names.reset()
            self._lids.clear()
        self._new_lids = False
        if len(self._lids) > _MOST_LIDS:
            self._lids.clear()

    # -- the write function's side --------------------------------------------------------------

    def read(self, type: str, id: str) -> Stored | None:
        """The current version, deleted ones too, or None."""
        self._flush_versions()
        row = self._connection.execute(CURRENT, (id, self.names.type(type))).fetchone()
        return None if row is None else stored(row, self.names, self._bodies)

    def find(self, type: str, query: Query, limit: int) -> Sequence[Stored]:
        """Up to ``limit`` current matches, the writes before it included."""
        self.flush()
        return self._find(type, query, limit)

    def put(self, prepared: Prepared, method: str) -> Stored:
        """Write the next version of the prepared resource."""
        t = self.names.type(prepared.type)
        lid, version = self._next(prepared.type, t, prepared.id)
        rid = self.rid
        stale = prepared.generation != self._extractor.generation  # custom parameters came or went meanwhile
        rows = self._extractor.rows(prepared.resource) if stale else prepared.rows
        pat = self._patient(prepared, lid)
        postings.tables(rows, t, rid, pat, self.names, self._lid, self.pending)
        text = stamp(prepared.template, version, self._text)
        self._insert(
            (rid, lid, t, version, postings.sort_key(rows), pat, postings.present_bits(rows, t, self.names), method),
            prepared.id,
            self._bodies.pack(text),
        )
        return Stored(prepared.type, prepared.id, version, rid, self.time, method, text)

    def delete(self, type: str, id: str) -> Stored | None:
        """Write a deletion; None when there is nothing to delete."""
        t = self.names.type(type)
        self._flush_versions()
        row = self._connection.execute(
            "SELECT r.pat, r.body IS NULL FROM ent e CROSS JOIN res r ON r.rid=e.cur WHERE e.id=? AND e.t=?", (id, t)
        ).fetchone()
        if row is None or row[1]:
            return None
        lid, version = self._next(type, t, id)
        self._insert((self.rid, lid, t, version, UNDATED, row[0], 0, "DELETE"), id, None)
        return Stored(type, id, version, self.rid, self.time, "DELETE", None)

    def once(self, name: str) -> bool:
        """Note that the piece of work ``name`` is done; False when it was before."""
        run = self._connection.execute
        return run("INSERT OR IGNORE INTO state VALUES(?, 1)", (f"once:{name}",)).rowcount == 1

    def _insert(self, version: tuple[int, int, int, int, int, int, int, str], id: str, body: bytes | None) -> None:
        rid, lid, t, ver, sk, pat, present, method = version
        self._versions.append((rid, lid, t, ver, self.time, ALIVE, sk, pat, present, METHOD_NUMBER[method], id, body))
        self._heads.add((t, id))

    def _next(self, type_: str, t: int, id_: str) -> tuple[int, int]:
        """Take the next rid for type/id: its lid and version number; the present version ends here."""
        run = self._connection.execute
        self.rid += 1
        if type_ == "SearchParameter":
            self._parameters.add(id_)
        # Most are new: one statement both looks and enters.
        if run("INSERT OR IGNORE INTO ent VALUES(?,?,?,?)", (id_, t, self.lid + 1, self.rid)).rowcount:
            self.lid += 1
            self._new_lids = True
            self._lids[type_, id_] = self.lid
            return self.lid, 1
        lid, current = run("SELECT lid, cur FROM ent WHERE id=? AND t=?", (id_, t)).fetchone()
        if (t, id_) in self._heads:  # written a moment ago by the same write function
            self._flush_versions()
        run("UPDATE ent SET cur=? WHERE id=? AND t=?", (self.rid, id_, t))
        if current == 0:
            return lid, 1
        version, was_deleted = run("SELECT ver, body IS NULL FROM res WHERE rid=?", (current,)).fetchone()
        run("UPDATE res SET till=? WHERE rid=?", (self.rid, current))
        if not was_deleted:
            run("INSERT INTO dead VALUES(?,?)", (current, self.rid))
        return lid, version + 1

    def _lid(self, type_: str, id_: str) -> int:
        """The lasting number of a referenced resource, given now if it has none."""
        lid = self._lids.get((type_, id_))
        if lid is None:
            t = self.names.type(type_)
            row = self._connection.execute("SELECT lid FROM ent WHERE id=? AND t=?", (id_, t)).fetchone()
            if row is None:
                self.lid += 1
                self._new_lids = True
                self._connection.execute("INSERT INTO ent VALUES(?,?,?,0)", (id_, t, self.lid))
                lid = self.lid
            else:
                lid = row[0]
            self._lids[type_, id_] = lid
        return lid

    def _patient(self, prepared: Prepared, lid: int) -> int:
        if prepared.type == "Patient":
            return lid
        patients = prepared.rows.patients
        return self._lid("Patient", patients[0]) if patients else 0
