"""Versions as they are read: the columns of ``res`` that answers need."""

from __future__ import annotations

import sqlite3
from typing import Any

from fhir_server.store.protocol import Stored
from fhir_server.store.sqlite.bodies import Bodies
from fhir_server.store.sqlite.names import Names

METHODS = ("POST", "PUT", "PATCH", "DELETE")
METHOD_NUMBER = {name: number for number, name in enumerate(METHODS)}
COLUMNS = "r.rid, r.t, r.id, r.ver, r.time, r.method, r.body"
BY_RID = f"SELECT {COLUMNS} FROM res r WHERE r.rid=?"
CURRENT = f"SELECT {COLUMNS} FROM ent e CROSS JOIN res r ON r.rid=e.cur WHERE e.id=? AND e.t=?"
VERSION = (
    f"SELECT {COLUMNS} FROM ent e CROSS JOIN res r INDEXED BY res_lid ON r.lid=e.lid WHERE e.id=? AND e.t=? AND r.ver=?"
)


def stored(row: tuple[Any, ...], names: Names, bodies: Bodies) -> Stored:
    """The version of one row of COLUMNS."""
    body = row[6]
    text = None if body is None else bodies.unpack(body)
    return Stored(names.type_name(row[1]), row[2], row[3], row[0], row[4], METHODS[row[5]], text)


def last_rid(connection: sqlite3.Connection) -> int:
    """The sequence of the newest committed version; 0 in an empty store."""
    newest: int | None = connection.execute("SELECT max(rid) FROM res").fetchone()[0]
    return newest or 0


def find_lid(connection: sqlite3.Connection, names: Names, type_: str, id_: str) -> int | None:
    """The lasting number of a resource that was stored or referred to."""
    row = connection.execute("SELECT lid FROM ent WHERE id=? AND t=?", (id_, names.type(type_))).fetchone()
    return None if row is None else row[0]
