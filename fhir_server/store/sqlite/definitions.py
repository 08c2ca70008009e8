"""The CodeSystems, ValueSets and ConceptMaps that are stored, for the terminology service: only what is nobody's.

https://hl7.org/fhir/R4/terminology-service.html. ``state.terminology`` counts the commits that wrote any, so that every
process notices what another one wrote.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from consent.vocabulary import RecordClass
from fhir_server.store.sqlite.bodies import Bodies
from fhir_server.store.sqlite.names import Names
from fhir_server.store.sqlite.schema import ALIVE
from profiles.lossless import parse

TYPES = frozenset({"CodeSystem", "ValueSet", "ConceptMap"})
_SHARED = f"r.till={ALIVE} AND r.class={int(RecordClass.SHARED)} AND r.body IS NOT NULL"


def version(connection: sqlite3.Connection) -> int:
    """How often definitions have changed."""
    row = connection.execute("SELECT value FROM state WHERE name='terminology'").fetchone()
    return 0 if row is None else int(row[0])


def count(connection: sqlite3.Connection) -> None:
    """Note, in the commit that changes definitions, that it does."""
    connection.execute("UPDATE state SET value=value+1 WHERE name='terminology'")


class Definitions:
    """The stored definitions on one connection; used by one thread at a time.

    ``keys``: by type the index key of the canonical URL.
    """

    def __init__(self, connection: sqlite3.Connection, names: Names, bodies: Bodies, keys: Mapping[str, str]) -> None:
        self._connection, self._names, self._bodies, self._keys = connection, names, bodies, keys

    def version(self) -> int:
        """How often definitions have changed."""
        return version(self._connection)

    def urls(self, type: str) -> list[str]:
        """The canonical URLs of the stored resources of this type."""
        sql = f"SELECT DISTINCT x.code FROM tok x CROSS JOIN res r ON r.rid=x.rid WHERE x.p=? AND x.s=0 AND {_SHARED}"
        return [url for (url,) in self._connection.execute(sql, (self._url(type),))]

    def of(self, type: str, url: str) -> list[dict[str, Any]]:
        """The stored resources of this type and URL, the last written first."""
        sql = (
            "SELECT r.body, r.rid FROM tok x CROSS JOIN res r ON r.rid=x.rid"
            f" WHERE x.p=? AND x.code=? AND x.s=0 AND {_SHARED} ORDER BY r.rid DESC"
        )
        rows = self._connection.execute(sql, (self._url(type), url)).fetchall()
        return [parse(self._bodies.unpack(*row)) for row in rows]

    def one(self, type: str, id: str) -> dict[str, Any] | None:
        """The stored resource of this type and id."""
        sql = f"SELECT r.body, r.rid FROM ent e JOIN res r ON r.rid=e.cur WHERE e.id=? AND e.t=? AND {_SHARED}"
        row = self._connection.execute(sql, (id, self._names.type(type))).fetchone()
        return None if row is None else parse(self._bodies.unpack(*row))

    def _url(self, type: str) -> int:
        return self._names.param(self._names.type(type), self._keys[type])
