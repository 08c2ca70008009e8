"""Point reads, history and feed on one connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from consent import Access
from fhir_server.store.protocol import HistoryPage, HistoryScope, Stored
from fhir_server.store.sqlite.access import NOW, STANDING, Gate, Kept, check_access
from fhir_server.store.sqlite.bodies import Bodies
from fhir_server.store.sqlite.explaining import Explaining
from fhir_server.store.sqlite.names import Names
from fhir_server.store.sqlite.rows import COLUMNS, CURRENT, VERSION, Versions, find_lid, last_rid
from fhir_server.store.sqlite.schema import ALIVE
from fhir_server.store.sqlite.sql import FALSE, TRUE, Sql, conjunction

MakeGate = Callable[[Access, str], Gate]
_MOST_READY = 2000


class _Ready(NamedTuple):
    """The whole statement of a plain read for one requester, and when (µs) it holds."""

    sql: str
    args: tuple[object, ...]
    since: int
    until: int


class Reading:
    """Reads on one connection; used by one thread at a time. ``gate`` says what an Access lets through.

    ``kept``: what the gates remember.
    """

    def __init__(
        self, connection: sqlite3.Connection, names: Names, bodies: Bodies, gate: MakeGate, kept: Kept
    ) -> None:
        self.connection = connection
        self._names = names
        self._versions = Versions(connection, names, bodies)
        self._gate = gate
        self._kept = kept
        self._ready: dict[int, _Ready] = {}

    def read(self, type_: str, id_: str, access: Access) -> Stored | None:
        """The current version (body None when deleted), or None."""
        check_access(access)
        t = self._names.type(type_)
        ready = self._ready.get(access.fingerprint)
        if ready is not None and ready.since <= access.now < ready.until:
            now = access.now
            args = [now if arg is NOW else arg for arg in ready.args]
            row = self.connection.execute(ready.sql, (id_, t, *args)).fetchone()
            if row is not None:
                return self._versions.of(row)
        return self._one(CURRENT, (id_, t), access, remember=True)

    def vread(self, type_: str, id_: str, version: int, access: Access) -> Stored | None:
        """That version, or None."""
        return self._one(VERSION, (id_, self._names.type(type_), version), access)

    def _one(self, sql: str, args: tuple[object, ...], access: Access, remember: bool = False) -> Stored | None:
        gate = self._gate(access, "r")
        condition = gate.condition
        if remember and condition not in (TRUE, FALSE) and gate.lasting:
            # The statement itself looks whether what it rests on still stands; where it does not, it finds nothing.
            if len(self._ready) >= _MOST_READY:
                self._ready.clear()
            text = f"{CURRENT} AND ({STANDING})=? AND {gate.template.text}"
            args_then = (self._kept.standing, *gate.template.args)
            self._ready[access.fingerprint] = _Ready(text, args_then, access.now, gate.until)
        if condition != TRUE:
            sql, args = f"{sql} AND {condition.text}", (*args, *condition.args)
        row = self.connection.execute(sql, args).fetchone()
        return None if row is None else self._versions.of(row)

    def history(self, scope: HistoryScope, access: Access) -> HistoryPage:
        """The versions of the scope, newest first."""
        self.connection.execute("BEGIN")
        try:
            snapshot = scope.snapshot if scope.snapshot is not None else last_rid(self.connection)
            allowed = self._gate(access, "r").condition
            where = conjunction([*self._scope(scope), Sql("r.rid<=?", (snapshot,)), allowed])
            hint = "INDEXED BY res_lid" if scope.id is not None else "INDEXED BY res_t" if scope.type else ""
            total = 0 if where == FALSE else self._fetch(Sql(f"SELECT count(*) FROM res r {hint} WHERE ") + where)[0][0]
            if not total:
                return HistoryPage([], 0)
            if scope.before is not None:
                where = conjunction([where, Sql("r.rid<?", (scope.before,))])
            select = Sql(f"SELECT {COLUMNS} FROM res r {hint} WHERE ") + where
            rows = self._fetch(select + f" ORDER BY r.rid DESC LIMIT {scope.count + 1}")
            entries = [self._versions.of(row) for row in rows[: scope.count]]
            following = None
            if len(rows) > scope.count and entries:
                following = replace(scope, before=entries[-1].sequence, snapshot=snapshot)
            return HistoryPage(entries, total, following)
        finally:
            self.connection.execute("COMMIT")

    def _scope(self, scope: HistoryScope) -> Iterator[Sql]:
        if scope.id is not None:
            t = self._names.type(scope.type or "")
            yield Sql("r.lid=(SELECT lid FROM ent WHERE id=? AND t=?)", (scope.id, t))
        elif scope.type is not None:
            yield Sql("r.t=?", (self._names.type(scope.type),))
        if scope.since is not None:
            yield Sql("r.time>=?", (scope.since,))
        if scope.at is not None:
            low, high = scope.at
            ended = f"(r.till={ALIVE} OR (SELECT y.time FROM res y WHERE y.rid=r.till)>?)"
            yield Sql(f"r.time<? AND {ended}", (high, low))

    def _fetch(self, sql: Sql) -> list[tuple[int, ...]]:
        return self.connection.execute(sql.text, sql.args).fetchall()

    def feed(self, after: int, limit: int, access: Access) -> list[Stored]:
        """Versions with sequences above ``after``, in commit order."""
        where = Sql("r.rid>? AND ", (after,)) + self._gate(access, "r").condition
        rows = self._fetch(Sql(f"SELECT {COLUMNS} FROM res r WHERE ") + where + f" ORDER BY r.rid LIMIT {limit}")
        return [self._versions.of(row) for row in rows]

    def grounds(self, sequence: int, access: Access) -> list[str]:
        """Why ``access`` lets the version ``sequence`` through (see ``Gate.grounds``); none when it does not."""
        return self._gate(access, "r").grounds(sequence)

    def rules(self, sequence: int, access: Access) -> list[tuple[str, str]]:
        """Kind and source (``Type/id``) of each rule that opens the version ``sequence``."""
        found = self._gate(access, "r").rules(sequence)
        return [(kind, self._versions.reference(src)) for kind, src in found]

    def explaining(self) -> Explaining:
        """Explanations of what access decides, on this connection."""
        return Explaining(self.connection, self._names, self._gate, self._versions.reference)

    def granted(self, access: Access, patients: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """For each of these Patients (ids) the kinds of rules by which ``access`` sees anything of the file."""
        return self._gate(access, "r").kinds(patients)

    def wards(self, guardian: str, now: int) -> list[str]:
        """The ids of the Patients whose guardian this Patient (id) is at ``now`` (µs)."""
        grantee = find_lid(self.connection, self._names, "Patient", guardian)
        found = self.connection.execute(
            "SELECT DISTINCT e.id FROM grants g JOIN ent e ON e.lid=g.pat"
            " WHERE g.grantee=? AND g.kind='guardian' AND g.permit=1 AND g.low<=? AND g.high>? ORDER BY e.id",
            (grantee, now, now),
        )
        return [id for (id,) in found]
