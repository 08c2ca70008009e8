"""A file of loaded terminology: big code systems, value sets and maps in SQLite, read by any number of processes.

https://www.sqlite.org/. Concepts stay on the disk; of a code system that is searched by text its lines are kept in
memory. Versions stand side by side; loading the same version again replaces it, in one transaction.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import zstandard

from terminology.concepts import Raw, concept_of, info_of
from terminology.file_layer import FileLayer

FILE = "terminology.db"
LAYOUT = 1
_TABLES = """
CREATE TABLE state(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO state VALUES('changes', 0);
CREATE TABLE system(n INTEGER PRIMARY KEY, url TEXT NOT NULL, version TEXT, head TEXT NOT NULL, size INTEGER NOT NULL,
  lines BLOB NOT NULL, UNIQUE(url, version));
CREATE TABLE concept(n INTEGER, place INTEGER, code TEXT, folded TEXT, inactive INTEGER, body TEXT,
  PRIMARY KEY(n, place)) WITHOUT ROWID;
CREATE INDEX concept_code ON concept(n, code);
CREATE INDEX concept_folded ON concept(n, folded) WHERE folded IS NOT NULL;
CREATE INDEX concept_inactive ON concept(n, place) WHERE inactive;
CREATE TABLE edge(n INTEGER, child INTEGER, parent INTEGER, PRIMARY KEY(n, child, parent)) WITHOUT ROWID;
CREATE INDEX edge_parent ON edge(n, parent, child);
CREATE TABLE property(n INTEGER, code TEXT, value TEXT, place INTEGER, PRIMARY KEY(n, code, value, place))
  WITHOUT ROWID;
CREATE TABLE resource(kind TEXT, url TEXT, version TEXT, body TEXT NOT NULL, PRIMARY KEY(kind, url, version))
  WITHOUT ROWID;
CREATE TABLE mapping(url TEXT, version TEXT, part INTEGER, source TEXT, target TEXT, display TEXT, body TEXT,
  PRIMARY KEY(url, version, part, source, target)) WITHOUT ROWID;
CREATE INDEX mapping_target ON mapping(url, version, part, target);
"""
_BATCH = 5_000
Progress = Callable[[int], None]


class TerminologyFile:
    """The file at ``path``; it need not be there. Reading connections are one a thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()

    def connection(self) -> sqlite3.Connection | None:
        """This thread's own connection, to the file that is there now; None without a file."""
        file = self._identity()
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is not None and file != self._local.file:  # the file was taken away, or another put in its place
            found = self._local.connection = None
        if found is None and file is not None:
            found = sqlite3.connect(f"{self._path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
            if found.execute("PRAGMA user_version").fetchone()[0] != LAYOUT:  # still being made, or of another kind
                found.close()
                return None
            found.execute("PRAGMA mmap_size=4294967296")
            self._local.connection, self._local.file = found, file
        return found

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    def stamp(self) -> tuple[object, int] | None:
        """What changes with every load, and when another file is put in place; None without a file."""
        connection = self.connection()
        if connection is None:
            return None
        changes = connection.execute("SELECT value FROM state WHERE name='changes'").fetchone()[0]
        return self._local.file, int(changes)

    def layer(self) -> FileLayer:
        """What is in the file now, as a layer of terminology."""
        return FileLayer(self.connection)

    def listing(self) -> list[tuple[str, str, str, int]]:
        """Kind, URL, version and size of all that was loaded."""
        connection = self.connection()
        if connection is None:
            return []
        systems = connection.execute("SELECT 'CodeSystem', url, coalesce(version, ''), size FROM system")
        others = connection.execute(
            "SELECT kind, url, version, (SELECT count(*) FROM mapping m WHERE m.url=r.url AND m.version=r.version)"
            " FROM resource r"
        )
        return sorted([*systems, *others])

    # -- writing --------------------------------------------------------------------------------

    def _writing(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=60)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("BEGIN IMMEDIATE")
        layout = connection.execute("PRAGMA user_version").fetchone()[0]
        if layout == 0:
            for statement in _TABLES.split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={LAYOUT}")
        elif layout != LAYOUT:
            connection.close()
            raise ValueError(f"{self._path} has layout {layout}, this program needs {LAYOUT}")
        return connection

    def load_system(self, head: Raw, concepts: Iterable[Raw], progress: Progress = lambda _: None) -> int:
        """Put in one version of a code system; how many concepts it has.

        ``head`` is the CodeSystem without its concepts; each concept is as in a CodeSystem, its parents (codes) in the
        key ``parents`` in place of nesting. ``progress`` is told how many have come. Raises ValueError for a code that
        comes twice, and where there is none in what should be complete.
        """
        with closing(self._writing()) as connection:
            n = self._new_system(connection, head)
            size, lines = _fill(connection, n, head, concepts, progress)
            if not size and head.get("content") == "complete":
                raise ValueError(f"{head['url']} says that it is complete, but has no concepts")
            packed = zstandard.compress("\n".join(lines).encode(), 6)
            connection.execute("UPDATE system SET size=?, lines=? WHERE n=?", (size, packed, n))
            _commit(connection)
        return size

    def _new_system(self, connection: sqlite3.Connection, head: Raw) -> int:
        url, version = head["url"], head.get("version")
        old = connection.execute("SELECT n FROM system WHERE url=? AND version IS ?", (url, version)).fetchone()
        if old is not None:
            for table in ("concept", "edge", "property", "system"):
                connection.execute(f"DELETE FROM {table} WHERE n=?", old)
        text = msgspec.json.encode(head).decode()
        sql = "INSERT INTO system(url, version, head, size, lines) VALUES(?,?,?,0,x'')"
        number = connection.execute(sql, (url, version, text)).lastrowid
        assert number is not None
        return number

    def load_map(self, head: Raw, groups: Sequence[tuple[Raw, Iterable[tuple[str, str | None, Raw]]]]) -> int:
        """Put in one version of a concept map; how many mappings it has.

        ``head`` is the ConceptMap without groups; of each group its head (source, target, …) and its mappings: code,
        display and target (code, display, equivalence, comment).
        """
        total = 0
        with closing(self._writing()) as connection:
            url, version = head["url"], head.get("version", "")
            connection.execute("DELETE FROM mapping WHERE url=? AND version=?", (url, version))
            for part, (_, mappings) in enumerate(groups):
                rows = (
                    (url, version, part, source, target.get("code", ""), display, msgspec.json.encode(target).decode())
                    for source, display, target in mappings
                )
                sql = "INSERT OR REPLACE INTO mapping VALUES(?,?,?,?,?,?,?)"
                total += connection.executemany(sql, rows).rowcount
            body = {**head, "group": [dict(group) for group, _ in groups]}
            self._put(connection, "ConceptMap", url, version, body)
            _commit(connection)
        return total

    def load_resource(self, resource: Raw) -> None:
        """Put in a ValueSet (or a small ConceptMap) as it is."""
        with closing(self._writing()) as connection:
            kind, version = resource["resourceType"], resource.get("version", "")
            self._put(connection, kind, resource["url"], version, resource)
            _commit(connection)

    def remove(self, url: str, version: str | None) -> bool:
        """Take out a version of a code system, or a map or value set; whether there was any."""
        with closing(self._writing()) as connection:
            found = connection.execute(
                "SELECT n FROM system WHERE url=? AND version IS ?", (url, version or None)
            ).fetchone()
            gone = 0
            for table in ("concept", "edge", "property", "system") if found else ():
                gone += connection.execute(f"DELETE FROM {table} WHERE n=?", found).rowcount
            for table in ("mapping", "resource"):
                sql = f"DELETE FROM {table} WHERE url=? AND version=?"
                gone += connection.execute(sql, (url, version or "")).rowcount
            _commit(connection)
        return gone > 0

    @staticmethod
    def _put(connection: sqlite3.Connection, kind: str, url: str, version: str, body: Raw) -> None:
        text = msgspec.json.encode(body).decode()
        connection.execute("INSERT OR REPLACE INTO resource VALUES(?,?,?,?)", (kind, url, version, text))


def _commit(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE state SET value=value+1 WHERE name='changes'")
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _fill(
    connection: sqlite3.Connection, n: int, head: Raw, concepts: Iterable[Raw], progress: Progress
) -> tuple[int, list[str]]:
    """Write the concepts; how many, and the lines by which they are found."""
    info = info_of(head)
    special = info.special()
    lines: list[str] = []
    edges: list[tuple[int, str]] = []
    places: dict[str, int] = {}
    rows: list[tuple[Any, ...]] = []
    properties: list[tuple[int, str, str, int]] = []
    for place, raw in enumerate(concepts):
        concept = concept_of(raw, special, place)
        if concept.code in places:
            raise ValueError(
                f"the code '{concept.code}' comes twice (concepts {places[concept.code] + 1} and {place + 1})"
            )
        places[concept.code] = place
        lines.append(concept.line().replace("\n", " "))
        edges += [(place, parent) for parent in raw.get("parents", ())]
        edges += [(place, p.text) for p in concept.properties if special.get(p.code) == "parent"]
        properties += [(n, p.code, p.text, place) for p in concept.properties]
        folded = None if info.case_sensitive else concept.code.casefold()
        body = msgspec.json.encode({key: value for key, value in raw.items() if key != "parents"}).decode()
        rows.append((n, place, concept.code, folded, int(concept.inactive), body))
        if len(rows) >= _BATCH:
            _flush(connection, rows, properties)
            progress(place + 1)
    _flush(connection, rows, properties)
    known = ((n, child, places[parent]) for child, parent in edges if parent in places and places[parent] != child)
    connection.executemany("INSERT OR IGNORE INTO edge VALUES(?,?,?)", known)
    progress(len(lines))
    return len(lines), lines


def _flush(connection: sqlite3.Connection, rows: list[tuple[Any, ...]], properties: list[tuple[Any, ...]]) -> None:
    connection.executemany("INSERT INTO concept VALUES(?,?,?,?,?,?)", rows)
    connection.executemany("INSERT OR IGNORE INTO property VALUES(?,?,?,?)", properties)
    rows.clear()
    properties.clear()
