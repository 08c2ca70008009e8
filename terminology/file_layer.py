"""What is in a terminology file, read: a layer of code systems whose concepts stay on the disk, value sets and maps.

https://www.sqlite.org/; the file is written by ``terminology.file``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from typing import Any

import msgspec
import zstandard

from terminology.conceptmaps import ConceptMap, Elements, Group, Target, conceptmap_of
from terminology.concepts import CodeSystem, Concept, Raw, concept_of, info_of
from terminology.valuesets import ValueSet, valueset_of
from terminology.words import Haystack

_SEARCHED = 6  # code systems whose lines are kept in memory

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
