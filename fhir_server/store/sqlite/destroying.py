"""Last deletion: a person's keys are destroyed, and with them every copy of the file's texts (PIPL art. 47).

Index rows, words and rules of the person go with them; what stays are opaque numbers, so that reads answer 410.
Each step is a commit of its own. The person's keys are marked first: from then on nothing is written to the file,
and an interrupted destruction is gone on with by the same command.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from fhir_server.errors import Gone
from fhir_server.search.extract import Extractor
from fhir_server.store.sqlite import keys, postings, text
from fhir_server.store.sqlite.bodies import Bodies, key_number
from fhir_server.store.sqlite.filed import file_rows_of
from fhir_server.store.sqlite.names import Names
from fhir_server.store.sqlite.rekeying import again
from fhir_server.store.sqlite.rows import DESTROYED, kept
from fhir_server.store.sqlite.schema import ALIVE, UNDATED
from fhir_server.store.sqlite.sql import marks

_HEAD = 13  # bytes of a frame that tell its key


def persons(connection: sqlite3.Connection, names: Names, id_: str) -> list[int]:
    """The lasting numbers of the Patient and of all that were merged into it. Empty where it is not known."""
    row = connection.execute("SELECT lid FROM ent WHERE id=? AND t=?", (id_, names.type("Patient"))).fetchone()
    if row is None:
        return []
    found = [kept(connection, row[0])]
    for lid in found:
        found += [source for (source,) in connection.execute("SELECT lid FROM alias WHERE target=?", (lid,))]
    return found


def begin(connection: sqlite3.Connection, group: list[int], now: int) -> None:
    """Close the file: from this commit on nothing can be written to it."""
    for lid in group:
        if connection.execute("SELECT 1 FROM dek WHERE owner=?", (lid,)).fetchone() is None:
            # Nothing was written yet under a key of its own: a marker keeps it so.
            number = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM dek").fetchone()[0]
            connection.execute("INSERT INTO dek VALUES(?,?,NULL,'','','destroying',?)", (number, lid, now))
    connection.execute(
        f"UPDATE dek SET state='destroying' WHERE owner IN ({marks(len(group))}) AND state<>'destroyed'", group
    )
    keys.bump(connection)


def concerned(connection: sqlite3.Connection, group: list[int]) -> tuple[list[int], list[int]]:
    """Versions of the file, and versions of other files that are under its keys (after an undone merge)."""
    owned = {n for (n,) in connection.execute(f"SELECT id FROM dek WHERE owner IN ({marks(len(group))})", group)}
    own, strange = [], []
    everything = connection.execute(f"SELECT rid, pat, method, substr(body, 1, {_HEAD + 64}) FROM res")
    for rid, pat, method, head in everything:
        if pat in group:
            if method != DESTROYED:
                own.append(rid)
        elif head is not None and key_number(head)[0] in owned:
            strange.append(rid)
    return own, strange


def erase(connection: sqlite3.Connection, names: Names, bodies: Bodies, extractor: Extractor, rids: list[int]) -> None:
    """Take these versions out of the index and remove their texts."""
    for rid in rids:
        t, lid, till, body = connection.execute("SELECT t, lid, till, body FROM res WHERE rid=?", (rid,)).fetchone()
        dead = connection.execute("SELECT 1 FROM dead WHERE rid=?", (rid,)).fetchone() is not None
        if body is not None and (till == ALIVE or dead):
            postings.remove_rows(connection, file_rows_of(connection, rid, extractor, names, bodies))
            text.forget(connection, rid, t, bodies.unpack(body, rid))
        connection.execute("DELETE FROM dead WHERE rid=?", (rid,))
        connection.execute("INSERT INTO ruled(pat) SELECT DISTINCT pat FROM grants WHERE src=?", (lid,))
        connection.execute("DELETE FROM grants WHERE src=?", (lid,))
        connection.execute("DELETE FROM member WHERE src=?", (lid,))
        connection.execute("UPDATE res SET body=NULL, method=?, sk=?, present=0 WHERE rid=?", (DESTROYED, UNDATED, rid))


def hand_over(connection: sqlite3.Connection, bodies: Bodies, rids: list[int], now: int) -> None:
    """Encrypt versions of other files under their own keys."""
    for rid in rids:
        pat, body = connection.execute("SELECT pat, body FROM res WHERE rid=?", (rid,)).fetchone()
        if body is not None:
            again(connection, bodies, rid, pat, body, now)


def end(connection: sqlite3.Connection, group: list[int]) -> None:
    """Destroy the keys, and what access knew of the person."""
    places = marks(len(group))
    concerned = f"FROM grants WHERE pat IN ({places}) OR grantee IN ({places})"
    connection.execute(f"INSERT INTO ruled(pat) SELECT DISTINCT pat {concerned}", (*group, *group))
    connection.execute(f"DELETE {concerned}", (*group, *group))
    connection.execute(f"DELETE FROM person WHERE pat IN ({places})", group)
    connection.execute(f"UPDATE dek SET state='destroyed', wrapped=NULL WHERE owner IN ({places})", group)
    connection.execute("UPDATE state SET value=value+1 WHERE name='standing'")
    keys.bump(connection)


def merge_words(connection: sqlite3.Connection, first: bool) -> bool:
    """One step of folding the text index together, after which it holds nothing of what was removed; more to do?"""
    before = connection.total_changes
    connection.execute("INSERT INTO text(text, rank) VALUES('merge', ?)", (-200 if first else 200,))
    return connection.total_changes - before >= 2


def steps(rids: list[int], size: int = 50) -> Iterator[list[int]]:
    """The versions in portions of one commit."""
    for start in range(0, len(rids), size):
        yield rids[start : start + size]


def refuse_destroyed(connection: sqlite3.Connection, group: list[int]) -> None:
    """Raise Gone when the file is destroyed already."""
    states = {s for (s,) in connection.execute(f"SELECT state FROM dek WHERE owner IN ({marks(len(group))})", group)}
    if states == {"destroyed"}:
        raise Gone(keys.GONE)
