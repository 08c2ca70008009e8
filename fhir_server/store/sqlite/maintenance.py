"""Care of the record file: purge of superseded index rows, statistics, backup, and the check of everything."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fhir_server.ciphers import Damaged
from fhir_server.errors import Gone
from fhir_server.search.extract import Extractor
from fhir_server.store.sqlite import postings, schema, text
from fhir_server.store.sqlite.bodies import Bodies
from fhir_server.store.sqlite.filed import file_rows_of
from fhir_server.store.sqlite.keys import Vault
from fhir_server.store.sqlite.names import Names
from fhir_server.store.sqlite.registry import STEP_SECONDS
from fhir_server.store.sqlite.rows import DESTROYED, METHOD_NUMBER
from fhir_server.store.sqlite.transaction import SqliteTransaction
from fhir_server.store.sqlite.writer import Writer
from profiles.lossless import ParseError, parse

_PURGE = 200  # versions a step: a commit of a few milliseconds


def purge(writer: Writer, extractor: Extractor, transaction: SqliteTransaction, before: int) -> int:
    """Remove the index rows of versions superseded before the time ``before`` (µs), one step.

    Pages of searches begun before then can no longer be had. Returns how many versions it purged.
    """
    purged = 0

    def step(connection: sqlite3.Connection, tx: SqliteTransaction) -> None:
        nonlocal purged
        bodies = Bodies(connection)
        found = connection.execute(
            "SELECT d.rid, d.till FROM dead d JOIN res n ON n.rid=d.till WHERE n.time<? ORDER BY d.till LIMIT ?",
            (before, _PURGE),
        ).fetchall()
        until = time.monotonic() + STEP_SECONDS
        for rid, till in found:
            if time.monotonic() > until:
                break
            purged += 1
            rows = file_rows_of(connection, rid, extractor, tx.names, bodies)
            postings.remove_rows(connection, rows)
            t, body = connection.execute("SELECT t, body FROM res WHERE rid=?", (rid,)).fetchone()
            text.forget(connection, rid, t, bodies.unpack(body, rid))
            connection.execute("DELETE FROM dead WHERE rid=?", (rid,))
            connection.execute("UPDATE state SET value=max(value, ?) WHERE name='horizon'", (till,))

    if transaction.oldest_dead() < before:
        writer.housekeeping(step)
    return purged


def optimize(path: Path) -> None:
    """Refresh SQLite's statistics and fold the write-ahead log into the file."""
    connection = schema.connect(path, writer=True)
    connection.execute("PRAGMA analysis_limit=1000")
    # Begun as a write: a read that turns into one is refused at once when another process has written meanwhile.
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("ANALYZE")
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def backup(path: Path, target: Path) -> int:
    """A consistent copy in the new file ``target``, made in one read transaction; its last sequence."""
    if target.exists():
        raise FileExistsError(f"{target} exists")
    source, copy = schema.connect(path), sqlite3.connect(target, isolation_level=None)
    try:
        source.backup(copy, pages=-1)
        copy.execute("PRAGMA journal_mode=DELETE")
        newest: int | None = copy.execute("SELECT max(rid) FROM res").fetchone()[0]
        return newest or 0
    finally:
        source.close()
        copy.close()


def check(path: Path, extractor: Extractor, vault: Vault) -> Iterator[str]:
    """Compare the file with itself: pages, stored texts, versions, index rows against content.

    Yields one sentence for each problem.
    """
    connection = schema.connect(path, vault=vault)
    connection.execute("BEGIN")
    try:
        for (line,) in connection.execute("PRAGMA integrity_check(20)"):
            if line != "ok":
                yield f"SQLite: {line}"
        yield from _check_versions(connection)
        yield from _check_rows(connection, extractor)
    finally:
        connection.close()


def _check_versions(connection: sqlite3.Connection) -> Iterator[str]:
    """The chain of versions: one current version each, numbered from 1, none lost."""
    lost = connection.execute(
        "SELECT e.id FROM ent e LEFT JOIN res r ON r.rid=e.cur"
        " WHERE e.cur<>0 AND (r.rid IS NULL OR r.till<>? OR r.lid<>e.lid)",
        (schema.ALIVE,),
    )
    for (id_,) in lost:
        yield f"the current version of id {id_} is missing or not current"
    gaps = connection.execute("SELECT lid FROM res GROUP BY lid HAVING count(*)<>max(ver) OR min(ver)<>1")
    for (lid,) in gaps:
        yield f"the versions of resource number {lid} are not 1, 2, 3 …"
    for (lid,) in connection.execute(
        "SELECT lid FROM res WHERE till=? GROUP BY lid HAVING count(*)<>1", (schema.ALIVE,)
    ):
        yield f"resource number {lid} has several current versions"


def _check_rows(connection: sqlite3.Connection, extractor: Extractor) -> Iterator[str]:
    """Every stored text against its row, and its index rows against the tables, both ways."""
    names, bodies = Names(connection), Bodies(connection)
    expected = dict.fromkeys(postings.COLUMNS, 0)
    indexed = "r.body IS NOT NULL AND (r.till=? OR EXISTS(SELECT 1 FROM dead z WHERE z.rid=r.rid))"
    rids = connection.execute(
        f"SELECT r.rid, r.t, r.id, r.ver, r.method, r.body, {indexed} FROM res r ORDER BY r.rid", (schema.ALIVE,)
    )
    for rid, t, id_, version, method, body, has_rows in rids:
        if body is None:
            if method not in (METHOD_NUMBER["DELETE"], DESTROYED):
                yield f"version {rid} has no text"
            continue
        try:
            resource = parse(bodies.unpack(body, rid))
        except (Damaged, Gone, ParseError) as error:
            yield f"the text of version {rid} is damaged: {error}"
            continue
        yield from _check_text(resource, names.type_name(t), id_, version, rid)
        if has_rows:
            found = file_rows_of(connection, rid, extractor, names, bodies)
            for table, entries in found.items():
                distinct = {postings.key_of(table, entry) for entry in entries}
                expected[table] += len(distinct)
                for entry in distinct:
                    if connection.execute(postings.EXISTS[table], entry).fetchone() is None:
                        yield f"version {rid} lacks an index row in {table}"
    for table, count in expected.items():
        actual = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        if actual != count:
            yield f"{table} has {actual} index rows where the stored texts have {count}"


def _check_text(resource: Any, type_: str, id_: str, version: int, rid: int) -> Iterator[str]:
    meta = resource.get("meta", {})
    if (resource.get("resourceType"), resource.get("id"), meta.get("versionId")) != (type_, id_, str(version)):
        yield f"the text of version {rid} names another resource or version than its row"
