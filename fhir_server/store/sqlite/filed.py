"""The index rows of a version that is stored, made anew from its text: to check, purge or lead them elsewhere."""

from __future__ import annotations

import sqlite3

from fhir_server.search.extract import Extractor
from fhir_server.search.rows import Rows
from fhir_server.store.sqlite import postings
from fhir_server.store.sqlite.bodies import Bodies
from fhir_server.store.sqlite.names import Names
from fhir_server.store.sqlite.rows import find_lid
from profiles.lossless import parse


def file_rows_of(
    connection: sqlite3.Connection, rid: int, extractor: Extractor, names: Names, bodies: Bodies
) -> postings.Tables:
    """The index rows that the version ``rid`` has (or should have) in the file."""
    t, body, pat, org, *labels = connection.execute(
        "SELECT t, body, pat, org, class, sensitivity FROM res WHERE rid=?", (rid,)
    ).fetchone()
    found = postings.empty()
    rows: Rows = extractor.rows(parse(bodies.unpack(body, rid)))

    def lid(type_: str, id_: str) -> int:
        number = find_lid(connection, names, type_, id_)
        return -1 if number is None else number

    postings.tables(rows, t, rid, (pat, org, postings.label(*labels)), names, lid, found)
    return found
