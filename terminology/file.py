"""A file of loaded terminology: big code systems, value sets and maps in SQLite, read by any number of processes.

https://www.sqlite.org/. Concepts stay on the disk; of a code system that is searched by text its lines are kept in
memory. Versions stand side by side; loading the same version again replaces it, in one transaction.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import msgspec
import zstandard

from terminology.conceptmaps import ConceptMap, Elements, Group, Target, conceptmap_of
from terminology.concepts import CodeSystem, Concept, Raw, concept_of, info_of
from terminology.valuesets import ValueSet, valueset_of
from terminology.words import Haystack

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
_SEARCHED = 6  # code systems whose lines are kept in memory
Progress = Callable[[int], None]


class TerminologyFile:
    """The file at ``path``; it need not be there. Reading connections are one a thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()

    def connection(self) -> sqlite3.Connection | None:
        """This thread's own connection; None without a file."""
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None and self._path.is_file():
            found = sqlite3.connect(f"{self._path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
            if found.execute("PRAGMA user_version").fetchone()[0] != LAYOUT:  # still being made, or of another kind
                found.close()
                return None
            found.execute("PRAGMA mmap_size=4294967296")
            self._local.connection = found
        return found

    def stamp(self) -> int | None:
        """What changes with every load; None without a file."""
        connection = self.connection()
        if connection is None:
            return None
        return int(connection.execute("SELECT value FROM state WHERE name='changes'").fetchone()[0])

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
        comes twice.
        """
        with closing(self._writing()) as connection:
            n = self._new_system(connection, head)
            size, lines = _fill(connection, n, head, concepts, progress)
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


Connect = Callable[[], sqlite3.Connection | None]


class FileLayer:
    """What is in a terminology file, as a layer; good until the file changes."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._made: dict[tuple[str, str], Sequence[Any]] = {}
        self._haystack = lru_cache(maxsize=_SEARCHED)(self._read_lines)

    def _rows(self, sql: str, *args: Any) -> list[tuple[Any, ...]]:
        connection = self._connect()
        return [] if connection is None else connection.execute(sql, args).fetchall()

    def systems(self, url: str) -> Sequence[CodeSystem]:
        """The loaded versions of a code system."""
        return self._once("CodeSystem", url, self._systems)

    def _systems(self, url: str) -> list[CodeSystem]:
        rows = self._rows("SELECT n, head, size FROM system WHERE url=?", url)
        return [FileSystem(self._connect, n, msgspec.json.decode(head), size, self._haystack) for n, head, size in rows]

    def valuesets(self, url: str) -> Sequence[ValueSet]:
        """The loaded versions of a value set."""
        return self._once("ValueSet", url, lambda x: [valueset_of(raw) for raw in self._resources("ValueSet", x)])

    def maps(self) -> Sequence[ConceptMap]:
        """The loaded concept maps."""
        return self._once("ConceptMap", "", lambda _: [self._map(raw) for raw in self._resources("ConceptMap", None)])

    def system_urls(self) -> Iterable[str]:
        """The URLs of the loaded code systems."""
        return [url for (url,) in self._rows("SELECT DISTINCT url FROM system")]

    def _resources(self, kind: str, url: str | None) -> Iterator[Raw]:
        rows = self._rows("SELECT body FROM resource WHERE kind=? AND (? IS NULL OR url=?)", kind, url, url)
        for (body,) in rows:
            yield msgspec.json.decode(body)

    def _map(self, raw: Raw) -> ConceptMap:
        """A concept map whose mappings stay in the file."""
        made = conceptmap_of(raw)
        groups = tuple(
            group if "element" in raw["group"][part] else self._kept(group, made, part)
            for part, group in enumerate(made.groups)
        )
        return ConceptMap(made.url, made.version, made.resource, made.source, made.target, groups)

    def _kept(self, group: Group, made: ConceptMap, part: int) -> Group:
        elements: Elements = _FileElements(self._rows, (made.url, made.version or "", part))
        ends = (group.source, group.source_version, group.target, group.target_version)
        return Group(*ends, elements, group.unmapped)

    def _read_lines(self, n: int) -> Haystack:
        rows = self._rows("SELECT lines FROM system WHERE n=?", n)
        text = zstandard.decompress(rows[0][0]).decode() if rows and rows[0][0] else ""
        return Haystack(text.split("\n") if text else [])

    def _once(self, kind: str, url: str, make: Callable[[str], list[Any]]) -> Sequence[Any]:
        key = kind, url
        if key not in self._made:
            if len(self._made) > 10_000:
                self._made.clear()
            self._made[key] = make(url)
        return self._made[key]


class _FileElements:
    """The mappings of one group, asked of the file."""

    def __init__(self, rows: Callable[..., list[tuple[Any, ...]]], key: tuple[str, str, int]) -> None:
        self._rows, self._key = rows, key

    def forward(self, code: str) -> Sequence[Target] | None:
        """What a source's code is mapped to."""
        sql = "SELECT body FROM mapping WHERE url=? AND version=? AND part=? AND source=?"
        found = [_target(msgspec.json.decode(body)) for (body,) in self._rows(sql, *self._key, code)]
        return found or None

    def backward(self, code: str) -> Sequence[tuple[str, str | None, Target]]:
        """The sources that are mapped to a target's code."""
        sql = (
            "SELECT source, display, body FROM mapping INDEXED BY mapping_target"
            " WHERE url=? AND version=? AND part=? AND target=?"
        )
        rows = self._rows(sql, *self._key, code)
        return [(source, display, _target(msgspec.json.decode(body))) for source, display, body in rows]


def _target(raw: Raw) -> Target:
    equivalence = raw.get("equivalence", "equivalent")
    return Target(raw.get("code", ""), raw.get("display"), equivalence, raw.get("comment"))


class FileSystem(CodeSystem):
    """One version of a code system in a terminology file."""

    def __init__(self, connect: Connect, n: int, head: Raw, size: int, haystack: Callable[[int], Haystack]) -> None:
        self.info = info_of(head)
        self._connect, self._n, self._size, self._haystack = connect, n, size, haystack
        self._special = self.info.special()
        self._found = lru_cache(maxsize=2_048)(self._look_up)

    def _rows(self, sql: str, *args: Any) -> list[tuple[Any, ...]]:
        connection = self._connect()
        return [] if connection is None else connection.execute(sql, args).fetchall()

    def _concept(self, place: int, body: str) -> Concept:
        return concept_of(msgspec.json.decode(body), self._special, place)

    @property
    def size(self) -> int:
        """How many concepts are known."""
        return self._size

    def find(self, code: str) -> Concept | None:
        """The concept of this code."""
        return self._found(code)

    def _look_up(self, code: str) -> Concept | None:
        rows = self._rows("SELECT place, body FROM concept INDEXED BY concept_code WHERE n=? AND code=?", self._n, code)
        if not rows and not self.info.case_sensitive:
            sql = "SELECT place, body FROM concept INDEXED BY concept_folded WHERE n=? AND folded=? ORDER BY place"
            rows = self._rows(sql + " LIMIT 1", self._n, code.casefold())
        return self._concept(*rows[0]) if rows else None

    def at(self, ordinals: Sequence[int]) -> list[Concept]:
        """The concepts at these places."""
        if isinstance(ordinals, range) and ordinals.step == 1:
            sql = "SELECT place, body FROM concept WHERE n=? AND place>=? AND place<? ORDER BY place"
            return [self._concept(*row) for row in self._rows(sql, self._n, ordinals.start, ordinals.stop)]
        sql = (
            "SELECT c.place, c.body FROM json_each(?) w CROSS JOIN concept c ON c.n=? AND c.place=w.value"
            " ORDER BY w.key"
        )
        wanted = msgspec.json.encode(list(ordinals)).decode()
        return [self._concept(*row) for row in self._rows(sql, wanted, self._n)]

    def codes(self, ordinals: Sequence[int]) -> list[str]:
        """The codes at these places."""
        if isinstance(ordinals, range) and ordinals.step == 1:
            sql = "SELECT code FROM concept WHERE n=? AND place>=? AND place<? ORDER BY place"
            return [code for (code,) in self._rows(sql, self._n, ordinals.start, ordinals.stop)]
        sql = "SELECT c.code FROM json_each(?) w CROSS JOIN concept c ON c.n=? AND c.place=w.value ORDER BY w.key"
        wanted = msgspec.json.encode(list(ordinals)).decode()
        return [code for (code,) in self._rows(sql, wanted, self._n)]

    def parents(self, ordinal: int) -> Sequence[int]:
        """The places of the parents."""
        return [n for (n,) in self._rows("SELECT parent FROM edge WHERE n=? AND child=?", self._n, ordinal)]

    def children(self, ordinal: int) -> Sequence[int]:
        """The places of the children."""
        return [
            n
            for (n,) in self._rows(
                "SELECT child FROM edge INDEXED BY edge_parent WHERE n=? AND parent=?", self._n, ordinal
            )
        ]

    def descendants(self, ordinal: int) -> set[int]:
        """The places of all below."""
        sql = (
            "WITH RECURSIVE below(place) AS (SELECT child FROM edge WHERE n=?1 AND parent=?2"
            " UNION SELECT e.child FROM below b JOIN edge e INDEXED BY edge_parent ON e.n=?1 AND e.parent=b.place)"
            " SELECT place FROM below"
        )
        return {n for (n,) in self._rows(sql, self._n, ordinal)} - {ordinal}

    def search(self, text: str) -> list[int]:
        """The places of what the text finds."""
        return self._haystack(self._n).find(text)

    def holders(self, property: str, value: str | None) -> set[int]:
        """The places of concepts with this value of the property."""
        sql = "SELECT place FROM property WHERE n=? AND code=?" + ("" if value is None else " AND value=?")
        args = (self._n, property, *(() if value is None else (value,)))
        return {n for (n,) in self._rows(sql, *args)}

    @cached_property
    def _inactive(self) -> set[int]:
        return {
            n
            for (n,) in self._rows(
                "SELECT place FROM concept INDEXED BY concept_inactive WHERE n=? AND inactive", self._n
            )
        }

    def inactive(self) -> set[int]:
        """The places of the inactive concepts."""
        return self._inactive
