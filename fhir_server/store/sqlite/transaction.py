"""What a write does: versions, lasting numbers and postings, inside the writer's open transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from consent import Access
from consent.classes import CLASS_OF_TYPE
from consent.labels import label_source
from consent.vocabulary import RecordClass
from consent.writing import Before, guardian_of
from fhir_server.errors import Conflict, Forbidden, NotFound
from fhir_server.search.extract import Extractor
from fhir_server.search.rows import Rows
from fhir_server.search.tree import Query
from fhir_server.store.prepare import stamp
from fhir_server.store.protocol import Prepared, Stored
from fhir_server.store.sqlite import definitions, merging, postings, registry
from fhir_server.store.sqlite.bodies import Bodies
from fhir_server.store.sqlite.filed import file_rows_of
from fhir_server.store.sqlite.filing import Filing, Place
from fhir_server.store.sqlite.granting import RULING, Filed, Granting
from fhir_server.store.sqlite.instant import InstantFormat
from fhir_server.store.sqlite.judge import LETTING, Judge, MakeGate
from fhir_server.store.sqlite.names import Names
from fhir_server.store.sqlite.numbers import Numbers
from fhir_server.store.sqlite.rows import COLUMNS, CURRENT, METHOD_NUMBER, Versions, kept
from fhir_server.store.sqlite.schema import ALIVE, UNDATED
from fhir_server.store.sqlite.sql import Sql
from profiles.lossless import parse

_INSERT_VERSION = "INSERT INTO res VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
_MOST_LIDS = 200_000
Mark = tuple[int, tuple[int, int], frozenset[str], int]
Find = Callable[[str, Query, int, Access], Sequence[Stored]]


class SqliteTransaction:
    """The Transaction handed to write functions; the writer keeps one for its whole life.

    Index rows gather in ``pending`` and are filed at the end of each write function, or before a
    search inside it.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        bodies: Bodies,
        zone: ZoneInfo,
        find: Find,
        gate: MakeGate,
        names: Names,
        extractor: Extractor,
    ) -> None:
        self._connection = connection
        self._bodies = bodies
        self._instant = InstantFormat(zone)
        self._find = find
        self._extractor = extractor
        self._versions_of = Versions(connection, names, bodies)
        self._granting = Granting(connection, self.lid_of)
        self._filing = Filing(connection, self.lid_of, names.type)
        self._judge = Judge(connection, gate, self._granting)
        self.names = names
        self.pending = postings.empty()
        self._numbers = Numbers(connection)
        self._lids: dict[tuple[str, str], int] = {}
        self._parameters: set[str] = set()
        self._defined = False  # whether something was written that terminology is made of
        self._versions: list[tuple[Any, ...]] = []
        self._heads: set[tuple[int, str]] = set()
        self._merges = 0
        self.bodies = bodies
        self.access = Access("no write function is running")
        self.written: list[Stored] = []
        self.rid = self.time = 0

    # -- the writer's side ----------------------------------------------------------------------

    def begin(self, now: int) -> None:
        """A new commit starts at ``now`` (µs); numbers go on where the file stands."""
        row = self._connection.execute("SELECT rid, time FROM res ORDER BY rid DESC LIMIT 1").fetchone()
        self.rid, last = row or (0, 0)
        self.time = max(now - now % 1000, last)
        self._numbers.begin()
        registry.refresh(self._connection, self._extractor)
        merges = self._connection.execute("SELECT value FROM state WHERE name='standing'").fetchone()[0]
        if merges != self._merges:  # another process led numbers elsewhere
            self._merges = merges
            self._lids.clear()
        self._bodies.keys.begin()
        self._text = self._instant(self.time)

    def mark(self) -> Mark:
        """Where the numbers stand, for ``undo``."""
        return self.rid, self._numbers.mark(), frozenset(self._parameters), len(self.written)

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
        self.rid, numbers, parameters, written = mark
        fresh = self._numbers.undo(numbers)
        del self.written[written:]
        self._versions.clear()
        self._heads.clear()
        self._parameters = set(parameters)
        for entries in self.pending.values():
            entries.clear()
        self.names.forget()
        self._bodies.keys.undo()
        if fresh:
            self._lids.clear()

    def index(self, rows: Rows, t: int, rid: int, whose: postings.Whose) -> None:
        """Gather index rows of a version that is there already (for reindexing)."""
        postings.tables(rows, t, rid, whose, self.names, self.lid_of, self.pending)

    def oldest_dead(self) -> int:
        """When (µs) the oldest version that still has index rows was superseded; the far future if none was."""
        row = self._connection.execute(
            "SELECT n.time FROM dead d JOIN res n ON n.rid=d.till ORDER BY d.rid LIMIT 1"
        ).fetchone()
        return ALIVE if row is None else int(row[0])

    def end(self) -> None:
        """Everything is filed; write the counters (before COMMIT)."""
        self._numbers.end()
        if self._parameters:
            registry.queue(self._connection, sorted(self._parameters), self.rid, self.time)
            self._parameters.clear()
        if self._defined:
            definitions.count(self._connection)
            self._defined = False

    def settle(self, committed: bool) -> None:
        """The commit is done (or failed)."""
        self._bodies.keys.settle(committed)
        if committed:
            self.names.settle()
        else:
            self.undo((0, (0, 0), frozenset(), 0))
            self.names.reset()
            self._lids.clear()
        self.written.clear()
        if len(self._lids) > _MOST_LIDS:
            self._lids.clear()

    # -- the write function's side --------------------------------------------------------------

    def read(self, type: str, id: str) -> Stored | None:
        """The current version, deleted ones too, or None where there is none that may be seen."""
        self._flush_versions()
        row = self._connection.execute(CURRENT, (id, self.names.type(type))).fetchone()
        if row is None or not self._visible(row[0], "r"):
            return None
        return self._versions_of.of(row)

    def find(self, type: str, query: Query, limit: int) -> Sequence[Stored]:
        """Up to ``limit`` current matches that may be seen, the writes before it included."""
        self.flush()
        return self._find(type, query, limit, self.access)

    def put(self, prepared: Prepared, method: str) -> Stored:
        """Write the next version of the prepared resource."""
        t = self.names.type(prepared.type)
        restricted = not self.access.unrestricted
        replaced = self._may_replace(prepared, t) if restricted else None
        resource = self._extractor.relative(prepared.resource, prepared.template)
        lid, version, before = self._next(prepared.type, t, prepared.id)
        rid = self.rid
        stale = prepared.generation != self._extractor.generation  # custom parameters came or went meanwhile
        rows = self._extractor.rows(prepared.resource) if stale else prepared.rows
        patient = kept(self._connection, lid) if prepared.type == "Patient" else 0
        if label_source(resource) or ("encounter" in resource and not self.access.party):
            self._flush_versions()  # what it takes its labels or its custodian from may be of this very write
        place = self._filing.place(resource, rows.patients, patient, before, self.access.party)
        whose = (place.pat, place.org, postings.label(place.record_class, place.sensitivity))
        postings.tables(rows, t, rid, whose, self.names, self.lid_of, self.pending)
        text = stamp(prepared.template, version, self._text)
        sk, present = postings.sort_key(rows), postings.present_bits(rows, t, self.names)
        body = self._bodies.pack(text, rid, place.pat, self.time)
        self._insert((rid, lid, t, version, sk, present, method), place, prepared.id, body)
        if before is not None:
            self._relabel(lid, before, place)
        if restricted:
            if not self.access.plainly("c" if before is None else "u", prepared.type):
                self.flush()
            elif prepared.type in LETTING:
                self._flush_versions()
            self._judge.may_file(self.access, self.rid, resource, place, before, replaced)
        self._grant(resource, lid, place, replaced)
        self._follow(resource, lid, place)
        return self._wrote(prepared.type, prepared.id, version, method, text, place)

    def delete(self, type: str, id: str) -> Stored | None:
        """Write a deletion; None when there is nothing to delete, or nothing that may be known."""
        t = self.names.type(type)
        if not self.access.allows("d", type):
            raise Forbidden(f"No scope of this token gives 'd' on {type}")
        self._flush_versions()
        row = self._connection.execute(
            "SELECT r.rid, r.body IS NULL FROM ent e CROSS JOIN res r ON r.rid=e.cur WHERE e.id=? AND e.t=?", (id, t)
        ).fetchone()
        if row is None or row[1] or not self._visible(row[0], "d"):
            return None
        self._judge.own(self.access, row[0], "d", type)
        self._judge.may_delete(self.access, self._resource(row[0]))
        lid, version, place = self._next(type, t, id)
        assert place is not None
        self._insert((self.rid, lid, t, version, UNDATED, 0, "DELETE"), place, id, None)
        self._granting.drop(type, lid)
        return self._wrote(type, id, version, "DELETE", None, place)

    def once(self, name: str) -> bool:
        """Note that the piece of work ``name`` is done; False when it was before."""
        run = self._connection.execute
        return run("INSERT OR IGNORE INTO state VALUES(?, 1)", (f"once:{name}",)).rowcount == 1

    def alias(self, source: str, target: str) -> None:
        """Lead the Patient ``source`` (id) to ``target``: what belongs to it is found, and judged, in the other's file.

        Raises Conflict where that would lead in a circle.
        """
        one, other = self._patient_number(source), self._patient_number(target)
        if kept(self._connection, other) == kept(self._connection, one):
            raise Conflict("These two are one person already")
        self._lead(one, other)

    def unalias(self, source: str) -> None:
        """Undo ``alias``: each resource is in the file of the Patient that it names again."""
        self._lead(self._patient_number(source), None)

    def _patient_number(self, id_: str) -> int:
        row = self._connection.execute(
            "SELECT lid FROM ent WHERE id=? AND t=?", (id_, self.names.type("Patient"))
        ).fetchone()
        if row is None:
            raise NotFound(f"There is no Patient/{id_}")
        return int(row[0])

    def _lead(self, source: int, target: int | None) -> None:
        if not self.access.unrestricted:
            raise Forbidden("Patients are merged by the server's own operation")
        self.flush()
        stale = merging.lead(self._connection, self.names, self._bodies, self._extractor, source, target)
        self._lids.clear()
        self._refile(stale)

    # -- access -----------------------------------------------------------------------------------

    def _visible(self, rid: int, letter: str) -> bool:
        """Whether the requester may see this version."""
        return self._judge.visible(self.access, rid, letter)

    def _may_replace(self, prepared: Prepared, t: int) -> Before | None:
        """What is written over; None where it is new. Refuses what is not one's own."""
        letter = "c" if prepared.fresh else "u"
        if not self.access.allows(letter, prepared.type):
            raise Forbidden(f"No scope of this token gives '{letter}' on {prepared.type}")
        if prepared.fresh:
            return None
        self._flush_versions()
        row = self._connection.execute("SELECT cur FROM ent WHERE id=? AND t=?", (prepared.id, t)).fetchone()
        new = row is None or row[0] == 0
        if new and self.access.administers and CLASS_OF_TYPE.get(prepared.type) is RecordClass.SHARED:
            return None  # what is nobody's may be seen by everybody: nothing is learnt by trying
        # The id of something new is given here: whether one is taken must not be learnt by trying.
        if new or not self._visible(row[0], "u"):
            raise NotFound(f"There is no {prepared.type}/{prepared.id}")
        self._judge.own(self.access, row[0], "u", prepared.type)
        return Before(self._resource(row[0]))

    def _resource(self, rid: int) -> dict[str, Any] | None:
        """The resource of a version, with plain references to this server; None for a deletion."""
        row = self._connection.execute(f"SELECT {COLUMNS} FROM res r WHERE r.rid=?", (rid,)).fetchone()
        body = self._versions_of.of(row).body
        return None if body is None else self._extractor.relative(parse(body), body)

    # -- parts of a write -------------------------------------------------------------------------

    def _wrote(self, type: str, id: str, version: int, method: str, text: bytes | None, place: Place) -> Stored:
        reference = self._versions_of.reference
        patient = reference(place.pat)[8:] if place.pat > 0 else ""
        custodian = reference(place.org) if place.org else ""
        labels = (place.record_class, place.sensitivity)
        stored = Stored(type, id, version, self.rid, self.time, method, text, patient, custodian, *labels)
        self.written.append(stored)
        return stored

    def _relabel(self, lid: int, before: Place, place: Place) -> None:
        """What is protected now is protected in its earlier versions too."""
        if before.sensitivity | place.sensitivity != before.sensitivity or before.record_class != place.record_class:
            change = Sql("sensitivity=sensitivity|?, class=?", (place.sensitivity, place.record_class))
            self._file_anew(lid, change, self.rid)

    def _follow(self, resource: dict[str, Any], lid: int, place: Place) -> None:
        """What takes its protection from another resource keeps to it; whatever takes it from this one, to this."""
        run, source = self._connection.execute, label_source(resource)
        if source:
            run("DELETE FROM follows WHERE lid=?", (lid,))
            run("INSERT INTO follows VALUES(?,?)", (self._lid_of_reference(source), lid))
        self._lead_followers(lid, place, frozenset({lid}))

    def _lead_followers(self, lid: int, place: Place, passed: frozenset[int]) -> None:
        found = self._connection.execute("SELECT lid FROM follows WHERE src=?", (lid,)).fetchall()
        for follower in {one for (one,) in found} - passed:
            change = Sql(
                "sensitivity=sensitivity|?, class=?, pat=CASE pat WHEN 0 THEN ? ELSE pat END",
                (place.sensitivity, place.record_class, place.pat),
            )
            self._file_anew(follower, change, ALIVE)
            self._lead_followers(follower, place, passed | {follower})

    def _file_anew(self, lid: int, change: Sql, before: int) -> None:
        """Change the access columns of the versions below the sequence ``before``, and of their index rows."""
        self.flush()
        run, filed = self._connection.execute, (self._extractor, self.names, self._bodies)
        indexed = f"(till={ALIVE} OR EXISTS(SELECT 1 FROM dead z WHERE z.rid=res.rid)) AND body IS NOT NULL"
        rids = [rid for (rid,) in run(f"SELECT rid FROM res WHERE lid=? AND rid<? AND {indexed}", (lid, before))]
        for rid in rids:
            postings.remove_rows(self._connection, file_rows_of(self._connection, rid, *filed))
        run(f"UPDATE res SET {change.text} WHERE lid=? AND rid<?", (*change.args, lid, before))
        for rid in rids:
            postings.file_rows(self._connection, file_rows_of(self._connection, rid, *filed))

    def _grant(self, resource: dict[str, Any], lid: int, place: Place, replaced: Before | None) -> None:
        """File the rules that the resource gives."""
        type_ = resource["resourceType"]
        if type_ not in RULING:
            return
        access = self.access
        self._flush_versions()
        party = access.party if place.org and place.org == self._lid_of_reference(access.party) else ""
        custodian = party or self._versions_of.reference(place.org)
        trusted = self._granting.trust(lid, access.unrestricted, resource, replaced.resource if replaced else None)
        known_anew = type_ == "Patient" and self._granting.person(resource, lid)
        self._granting.file(resource, Filed(lid, place.pat, custodian, trusted), self.time)
        if known_anew or (type_ == "RelatedPerson" and guardian_of(resource) is not None):
            self.flush()
            self._refile(self._granting.resting_on(place.pat, type_, self.names))

    def _refile(self, lids: list[int]) -> None:
        """Make the rules of these resources anew: something that they depend on has changed."""
        for lid in lids:
            row = self._connection.execute(
                f"SELECT {COLUMNS} FROM res r WHERE r.lid=? AND r.till={ALIVE} AND r.body IS NOT NULL", (lid,)
            ).fetchone()
            if row is not None:
                stored = self._versions_of.of(row)
                body = stored.body or b""
                resource = self._extractor.relative(parse(body), body)
                filed = Filed(lid, row[7], stored.custodian, self._granting.trusted(lid))
                self._granting.file(resource, filed, self.time)

    def _lid_of_reference(self, reference: str) -> int:
        type_, _, id_ = reference.partition("/")
        return self.lid_of(type_, id_) if id_ else 0

    def _insert(
        self, version: tuple[int, int, int, int, int, int, str], place: Place, id: str, body: bytes | None
    ) -> None:
        rid, lid, t, ver, sk, present, method = version
        numbers = (rid, lid, t, ver, self.time, ALIVE, sk)
        self._versions.append((*numbers, *place, present, METHOD_NUMBER[method], id, body))
        self._heads.add((t, id))

    def _next(self, type_: str, t: int, id_: str) -> tuple[int, int, Place | None]:
        """Take the next rid for type/id: its lid, version number, and the place of the present version, which ends."""
        run = self._connection.execute
        self.rid += 1
        if type_ == "SearchParameter":
            self._parameters.add(id_)
        elif type_ in definitions.TYPES:
            self._defined = True
        # Most are new: one statement both looks and enters.
        lid = self._numbers.next(type_)
        if run("INSERT OR IGNORE INTO ent VALUES(?,?,?,?)", (id_, t, lid, self.rid)).rowcount:
            self._numbers.take(type_)
            self._lids[type_, id_] = lid
            return lid, 1, None
        lid, current = run("SELECT lid, cur FROM ent WHERE id=? AND t=?", (id_, t)).fetchone()
        if (t, id_) in self._heads:  # written a moment ago by the same write function
            self._flush_versions()
        run("UPDATE ent SET cur=? WHERE id=? AND t=?", (self.rid, id_, t))
        if current == 0:
            return lid, 1, None
        version, was_deleted, *place = run(
            "SELECT ver, body IS NULL, pat, org, class, sensitivity FROM res WHERE rid=?", (current,)
        ).fetchone()
        run("UPDATE res SET till=? WHERE rid=?", (self.rid, current))
        if not was_deleted:
            run("INSERT INTO dead VALUES(?,?)", (current, self.rid))
        return lid, version + 1, Place(*place)

    def lid_of(self, type_: str, id_: str) -> int:
        """The lasting number of a referenced resource, given now if it has none; of a merged Patient the kept one's."""
        lid = self._lids.get((type_, id_))
        if lid is None:
            t = self.names.type(type_)
            row = self._connection.execute("SELECT lid FROM ent WHERE id=? AND t=?", (id_, t)).fetchone()
            if row is None:
                lid = self._numbers.take(type_)
                self._connection.execute("INSERT INTO ent VALUES(?,?,?,0)", (id_, t, lid))
            else:
                lid = kept(self._connection, row[0]) if type_ == "Patient" else row[0]
            self._lids[type_, id_] = lid
        return lid
