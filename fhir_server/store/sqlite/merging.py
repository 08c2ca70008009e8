"""Two Patients of one person: what refers to the one is filed under the other, and back.

Texts stay as they are; only numbers in the index, the access columns and the rules lead elsewhere, so that a
merge is undone by making them anew from the texts.
"""

from __future__ import annotations

import sqlite3

from fhir_server.search.extract import Extractor
from fhir_server.store.sqlite import postings
from fhir_server.store.sqlite.bodies import Bodies
from fhir_server.store.sqlite.filed import file_rows_of
from fhir_server.store.sqlite.names import Names
from fhir_server.store.sqlite.rows import find_lid, kept
from fhir_server.store.sqlite.schema import ALIVE, ELEMENTS
from profiles.lossless import parse

# The rows of elements and of contained resources have numbers of their own, which tell the version's.
_REFERRING = f"""
SELECT r.lid FROM ref x CROSS JOIN res r ON r.rid=x.rid WHERE x.p=? AND x.key=?
UNION SELECT r.lid FROM ref x CROSS JOIN res r ON r.rid=x.rid/{ELEMENTS} WHERE x.p=? AND x.key=?
"""
_INDEXED = f"body IS NOT NULL AND (till={ALIVE} OR EXISTS(SELECT 1 FROM dead z WHERE z.rid=res.rid))"


def lead(
    connection: sqlite3.Connection, names: Names, bodies: Bodies, extractor: Extractor, source: int, target: int | None
) -> list[int]:
    """File what belongs to the Patient ``source`` under ``target``; None: under itself again.

    In the writer's open transaction, everything flushed. Returns the resources (lids) whose rules are to be
    made anew.
    """
    run = connection.execute
    before = kept(connection, source)
    lids = _filed_under(connection, before) | {source}
    rids = [rid for lid in lids for (rid,) in run(f"SELECT rid FROM res WHERE lid=? AND {_INDEXED}", (lid,))]
    for rid in rids:
        postings.remove_rows(connection, file_rows_of(connection, rid, extractor, names, bodies))
    if target is None:
        run("DELETE FROM alias WHERE lid=?", (source,))
    else:
        run("INSERT OR REPLACE INTO alias VALUES(?,?)", (source, target))
    run("UPDATE state SET value=value+1 WHERE name='standing'")
    for lid in lids:
        _refile(connection, names, bodies, extractor, lid, before)
    for rid in rids:
        postings.file_rows(connection, file_rows_of(connection, rid, extractor, names, bodies))
    concerned = run("SELECT src FROM grants WHERE pat=? UNION SELECT src FROM grants WHERE grantee=?", (before, before))
    return [src for (src,) in concerned.fetchall()]


def _filed_under(connection: sqlite3.Connection, patient: int) -> set[int]:
    """The resources (lids) that refer to this Patient or are in its file, deleted ones too."""
    found: set[int] = set()
    for (p,) in connection.execute("SELECT p FROM param").fetchall():
        found |= {lid for (lid,) in connection.execute(_REFERRING, (p, patient, p, patient))}
    gone = connection.execute("SELECT lid FROM res INDEXED BY res_gone WHERE pat=? AND body IS NULL", (patient,))
    return found | {lid for (lid,) in gone}


def _refile(
    connection: sqlite3.Connection, names: Names, bodies: Bodies, extractor: Extractor, lid: int, before: int
) -> None:
    """Set whose file each version of a resource is in by what its text says; a deletion follows the version before."""
    versions = connection.execute("SELECT rid, t, pat, body FROM res WHERE lid=? ORDER BY ver", (lid,)).fetchall()
    pat = before
    for rid, t, filed, body in versions:
        if filed != before:
            continue
        if names.type_name(t) == "Patient":
            pat = kept(connection, lid)
        elif body is not None:
            patients = extractor.rows(parse(bodies.unpack(body, rid))).patients
            found = find_lid(connection, names, "Patient", patients[0]) if patients else None
            pat = before if found is None else found
        connection.execute("UPDATE res SET pat=? WHERE rid=?", (pat, rid))
