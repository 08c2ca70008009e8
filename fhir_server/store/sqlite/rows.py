"""Versions as they are read: the columns of ``res`` that answers need."""

from __future__ import annotations

import sqlite3
from typing import Any

from fhir_server.store.protocol import Stored
from fhir_server.store.sqlite.bodies import Bodies
from fhir_server.store.sqlite.names import Names

_MOST_REFERENCES = 100_000
_MOST_MERGES = 20
METHODS = ("POST", "PUT", "PATCH", "DELETE")
DESTROYED = 4  # the method of versions that last deletion left without text; told as DELETE
METHOD_NUMBER = {name: number for number, name in enumerate(METHODS)}
COLUMNS = "r.rid, r.t, r.id, r.ver, r.time, r.method, r.body, r.pat, r.org, r.class, r.sensitivity"
BY_RID = f"SELECT {COLUMNS} FROM res r WHERE r.rid=?"
CURRENT = f"SELECT {COLUMNS} FROM ent e CROSS JOIN res r ON r.rid=e.cur WHERE e.id=? AND e.t=?"
VERSION = (
    f"SELECT {COLUMNS} FROM ent e CROSS JOIN res r INDEXED BY res_lid ON r.lid=e.lid WHERE e.id=? AND e.t=? AND r.ver=?"
)


class Versions:
    """Rows of COLUMNS as versions, on one connection.

    Whose file a row is in and who is its custodian stand there as lasting numbers; what these mean never
    changes, and is remembered.
    """

    def __init__(self, connection: sqlite3.Connection, names: Names, bodies: Bodies) -> None:
        self._connection = connection
        self.names = names
        self._bodies = bodies
        self._references: dict[int, str] = {}

    def of(self, row: tuple[Any, ...]) -> Stored:
        """The version of one row."""
        rid, t, id_, version, time, method, body, pat, org, class_, sensitivity = row
        text = None if body is None else self._bodies.unpack(body, rid)
        patient = self.reference(pat)[8:] if pat > 0 else ""  # without "Patient/"
        custodian = self.reference(org) if org > 0 else ""
        name = self.names.type_name(t)
        verb, gone = ("DELETE", True) if method == DESTROYED else (METHODS[method], False)
        return Stored(name, id_, version, rid, time, verb, text, patient, custodian, class_, sensitivity, gone)

    def reference(self, lid: int) -> str:
        """``Type/id`` of a lasting number; '' where nothing is stored under it."""
        found = self._references.get(lid)
        if found is None:
            row = self._connection.execute("SELECT t, id FROM res WHERE lid=? LIMIT 1", (lid,)).fetchone()
            if row is None:
                return ""
            if len(self._references) > _MOST_REFERENCES:
                self._references.clear()
            found = self._references[lid] = f"{self.names.type_name(row[0])}/{row[1]}"
        return found


def last_rid(connection: sqlite3.Connection) -> int:
    """The sequence of the newest committed version; 0 in an empty store."""
    newest: int | None = connection.execute("SELECT max(rid) FROM res").fetchone()[0]
    return newest or 0


def find_lid(connection: sqlite3.Connection, names: Names, type_: str, id_: str) -> int | None:
    """The lasting number of a resource that was stored or referred to; of a merged Patient that of the one kept."""
    row = connection.execute("SELECT lid FROM ent WHERE id=? AND t=?", (id_, names.type(type_))).fetchone()
    if row is None:
        return None
    return kept(connection, row[0]) if type_ == "Patient" else row[0]


def kept(connection: sqlite3.Connection, lid: int) -> int:
    """The number of the Patient that this one was merged into in the end, or its own."""
    for _ in range(_MOST_MERGES):
        row = connection.execute("SELECT target FROM alias WHERE lid=?", (lid,)).fetchone()
        if row is None:
            break
        lid = row[0]
    return lid
