"""Searches on one connection: pages, totals and included resources as of a snapshot sequence."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from heapq import merge
from typing import Any

from consent import Access
from consent.classes import usual_classes
from fhir_server.errors import Gone
from fhir_server.search import tree
from fhir_server.search.tree import Query, Total
from fhir_server.store.protocol import Page, Stored
from fhir_server.store.sqlite.access import Gate, Kept
from fhir_server.store.sqlite.bodies import Bodies
from fhir_server.store.sqlite.compile import Compiler, Driver, looks_around
from fhir_server.store.sqlite.conditions import Place
from fhir_server.store.sqlite.cursor import Cursor
from fhir_server.store.sqlite.includes import Including
from fhir_server.store.sqlite.keys import vault_of
from fhir_server.store.sqlite.names import Names
from fhir_server.store.sqlite.openness import Open
from fhir_server.store.sqlite.ordering import NATURAL, NEWEST, OLDEST, Ordering, ordering
from fhir_server.store.sqlite.rows import BY_RID, COLUMNS, Versions, find_lid, last_rid
from fhir_server.store.sqlite.schema import ALIVE, ELEMENTS
from fhir_server.store.sqlite.sets import Sizes
from fhir_server.store.sqlite.sql import FALSE, Sql, conjunction
from fhir_server.store.sqlite.text import text_rows

PrimaryDate = Callable[[str], str | None]


@dataclass(slots=True)
class Row:
    """One match: its sort values (the last is the rid), and its columns where they were read with it."""

    values: tuple[Any, ...]
    rid: int
    columns: tuple[Any, ...] | None


class Search:
    """Search on one connection; used by one thread at a time.

    ``primary_date(type)`` names the date parameter whose value is the sort column,
    ``patient_keys(type)`` the references that make a resource a patient's. ``include_max``:
    most included resources of one page; a link continues. ``opened``: what the process knows of whole populations.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        names: Names,
        bodies: Bodies,
        primary_date: PrimaryDate,
        patient_keys: Callable[[str], tuple[str, ...]],
        include_max: int = 1000,
        opened: Open | None = None,
    ) -> None:
        self.connection = connection
        self.names = names
        self._versions = Versions(connection, names, bodies)
        self._primary_date = primary_date
        self._include_max = include_max
        self._patient_keys = patient_keys
        self._sizes: Sizes = {}
        self._text_key = vault_of(connection).text_key
        self.kept = Kept(connection, opened or Open())
        connection.create_function("distance_km", 4, distance_km, deterministic=True)

    def gate(self, access: Access, letter: str) -> Gate:
        """What ``access`` lets through for a letter of its scopes."""
        return Gate(self.connection, self.names, access, letter, self._constraint, self.kept)

    def _constraint(self, type_: str, condition: object) -> Sql:
        """The search constraint of a scope as a condition on ``r``; it looks at nothing but the row itself."""
        if not isinstance(condition, tree.Node):
            return FALSE
        closed = self.gate(Access("constraint of a scope"), "s")
        return self.compiler(ALIVE, closed).test(self.names.type(type_), condition, Place("r.rid", "r.sk", joined=True))

    # -- pages ---------------------------------------------------------------------------------

    def page(self, query: Query, access: Access, cursor: Cursor | None) -> tuple[Page, Cursor | None, Cursor | None]:
        """One page with its includes, the cursor of the next page, and that of the left-out includes.

        Everything is read in one read transaction. Raises Gone when the cursor's snapshot is purged.
        """
        self.connection.execute("BEGIN")
        try:
            snapshot = self._snapshot(cursor)
            gate = self.gate(access, "s")
            rows, kind, more = self._rows(query, gate, snapshot, cursor)
            total = cursor.total if cursor else None
            if cursor is None and query.total is not Total.NONE:
                total = self._count(query, gate, snapshot)
            elif cursor is None and not more and query.count > 0:
                total = len(rows)
            skip = cursor.skip if cursor else 0
            rids = [row.rid for row in rows]
            including = Including(self.connection, self.names, snapshot, gate, self._include_max)
            included, left = including.included(query.includes, rids, skip)
            page = Page(
                matches=[] if skip else self._load(rows),
                includes=self._load([Row((), rid, None) for rid in included]),
                total=total,
                fragments=self._fragments(query, rids, snapshot, gate),
            )
            following = Cursor(snapshot, kind, rows[-1].values, total) if more and rows else None
            rest = (
                Cursor(snapshot, kind, cursor.last if cursor else None, total, skip + len(included)) if left else None
            )
            return page, following, rest
        finally:
            self.connection.execute("COMMIT")

    def _fragments(self, query: Query, rids: list[int], snapshot: int, gate: Gate) -> dict[int, list[int]]:
        """Which contained resources of these rows satisfy the query."""
        found: dict[int, list[int]] = {}
        for contains in query.fragments:
            inner = self.compiler(snapshot, gate).contained(contains)
            chosen = Sql("(SELECT value FROM json_each(?))", (json.dumps(rids),))
            sql = Sql("SELECT DISTINCT rid FROM (") + inner + f") WHERE rid/{ELEMENTS} IN " + chosen + " ORDER BY rid"
            for (element,) in self.connection.execute(sql.text, sql.args):
                found.setdefault(element // ELEMENTS, []).append(element % ELEMENTS)
        return found

    def _snapshot(self, cursor: Cursor | None) -> int:
        if cursor is None:
            return last_rid(self.connection)
        horizon = self.connection.execute("SELECT value FROM state WHERE name='horizon'").fetchone()[0]
        if cursor.snapshot < horizon:
            raise Gone("this page link has expired: start the search again", "http._cursor", code="expired")
        return cursor.snapshot

    def _rows(self, query: Query, gate: Gate, snapshot: int, cursor: Cursor | None) -> tuple[list[Row], str, bool]:
        """The page's rows in order, the kind of order, and whether more follow."""
        if query.count == 0:
            return [], OLDEST, False
        kind = cursor.order if cursor else None
        last = cursor.last if cursor else None
        several = len(query.where) > 1
        lists: list[list[Row]] = []
        order = Ordering(OLDEST, (), ())
        for type_, node in query.where:
            found, order = self._one_type(type_, node, query, gate, snapshot, kind, last, several)
            lists.append(found)
        rows = lists[0] if len(lists) == 1 else list(merge(*lists, key=lambda row: order.python_key(row.values)))
        return rows[: query.count], order.kind, len(rows) > query.count

    def _one_type(
        self,
        type_: str,
        node: tree.Node,
        query: Query,
        gate: Gate,
        snapshot: int,
        kind: str | None,
        last: tuple[Any, ...] | None,
        several: bool,
    ) -> tuple[list[Row], Ordering]:
        t = self.names.type(type_)
        compiler = self.compiler(snapshot, gate)
        primary = None if several else self._primary_date(type_)
        driver, rest = compiler.plan(t, node, page=True)
        order = ordering(query.sort, t, self.names, primary, driver.sorted and not several, gate.row)
        if kind is not None and order.kind != kind:
            order = Ordering(kind, (), ())
        if order.kind in (NEWEST, OLDEST) and driver == compiler.listing(t):
            driver = Driver(Sql("SELECT x.sk, x.rid FROM res x INDEXED BY res_t WHERE x.t=?", (t,)), True, True)
        sql = self._select(compiler, t, driver, rest, order, gate, last, query.count + 1)
        if sql is None:
            return [], order
        keyed, natural = 2 + len(order.keys), order.kind == NATURAL
        found = self.connection.execute(sql.text, sql.args).fetchall()
        return [
            Row((row[0], row[1]) if natural else (*row[2:keyed], row[1]), row[1], row[keyed:] or None) for row in found
        ], order

    def _select(
        self,
        compiler: Compiler,
        t: int,
        driver: Driver,
        rest: tree.Node,
        order: Ordering,
        gate: Gate,
        last: tuple[Any, ...] | None,
        limit: int,
    ) -> Sql | None:
        """The page's statement; None where nothing can match."""
        s = compiler.snapshot
        test = compiler.test(t, rest, Place("d.rid", driver.sk, joined=True))
        # Looking for what points to a row costs more than asking whether the row may be seen.
        last_two = [gate.condition, test] if looks_around(rest) else [test, gate.condition]
        found = [Sql("d.rid<=?", (s,)), Sql("r.till>? AND r.body IS NOT NULL", (s,)), *last_two]
        if conjunction(found) == FALSE:
            return None
        rows = Sql(" FROM (") + driver.rows + ") d CROSS JOIN res r ON r.rid=d.rid WHERE "
        if order.keys:
            return _sorted(Sql("SELECT d.rid") + rows + conjunction(found), order, last, limit)
        # Where nothing is sorted, the texts of the page's rows can come along; a sort would read those of all rows.
        ordered = driver.sorted if order.kind == NATURAL else driver.by_rid
        columns = f", {COLUMNS}" if ordered else ""
        where = conjunction([*found, order.after(last, driver.sk)])
        tail = f" ORDER BY {order.order_by(driver.sk)} LIMIT {limit}"
        return Sql(f"SELECT {driver.sk}, d.rid{columns}") + rows + where + tail

    def compiler(self, snapshot: int, gate: Gate) -> Compiler:
        """A compiler for conditions as of ``snapshot``, on whose behalf ``gate`` says."""
        return Compiler(
            self.connection,
            self.names,
            snapshot,
            lambda t, node: text_rows(t, node, self._text_key),
            lambda type_, id_: find_lid(self.connection, self.names, type_, id_),
            self._sizes,
            self._patient_keys,
            gate,
        )

    def _load(self, rows: list[Row]) -> list[Stored]:
        run, version = self.connection.execute, self._versions.of
        return [version(row.columns or run(BY_RID, (row.rid,)).fetchone()) for row in rows]

    # -- counts --------------------------------------------------------------------------------

    def count(self, query: Query, access: Access) -> int:
        """The number of matches now."""
        self.connection.execute("BEGIN")
        try:
            return self._count(query, self.gate(access, "s"), last_rid(self.connection))
        finally:
            self.connection.execute("COMMIT")

    def _count(self, query: Query, gate: Gate, snapshot: int) -> int:
        any_dead = self.connection.execute("SELECT 1 FROM dead LIMIT 1").fetchone() is not None
        total = 0
        for type_, node in query.where:
            t = self.names.type(type_)
            compiler = self.compiler(snapshot, gate)
            driver, rest = compiler.plan(t, node)
            conditions = [compiler.test(t, rest, Place("d.rid", driver.sk, not driver.sorted))]
            if any_dead:
                conditions.append(Sql("NOT EXISTS(SELECT 1 FROM dead z WHERE z.rid=d.rid AND z.till<=?)", (snapshot,)))
            # Of one person's rows each may be asked about; of a population's what is known of everybody is used.
            known = () if driver.of_few else usual_classes(type_)
            rows, joined = driver.rows, "" if driver.sorted else " CROSS JOIN res r ON r.rid=d.rid"
            if driver.postings is not None:
                # What may not be seen is left out where it stands: the rest need not be told apart.
                each = "DISTINCT x.sk, x.rid" if driver.twice else "x.sk, x.rid"
                seen = gate.posting("x", t, known)
                rows = Sql(f"SELECT {each} FROM ") + driver.postings + " AND " + seen
            else:
                seen = gate.posting("d", t, known) if driver.sorted else gate.condition
                conditions.append(seen)
            if FALSE in (seen, conjunction(conditions)):
                continue
            sql = Sql("SELECT count(*) FROM (") + rows + f") d{joined} WHERE " + conjunction(conditions)
            total += self.connection.execute(sql.text, sql.args).fetchone()[0]
        return total

    # -- the writer's searches -----------------------------------------------------------------

    def find(self, type_: str, query: Query, limit: int, access: Access) -> list[Stored]:
        """Up to ``limit`` matches that are current in the open write transaction and may be seen."""
        wanted = replace(query, count=limit, sort=(), where=tuple(x for x in query.where if x[0] == type_))
        rows, _, _ = self._rows(wanted, self.gate(access, "s"), last_rid(self.connection), None)
        return self._load(rows)


def _sorted(candidates: Sql, order: Ordering, last: tuple[Any, ...] | None, limit: int) -> Sql:
    """The rows of a page in the order of sort keys, from all candidates (``SELECT rid``)."""
    head = Sql("WITH candidates AS MATERIALIZED (") + candidates + ") SELECT 0, d.rid"
    for i, key in enumerate(order.keys):
        head = head + ", " + key + f" AS k{i}"
    head = head + " FROM candidates d"
    for join in order.joins:
        head = head + join
    return head + " WHERE " + order.after(last, "0") + f" ORDER BY {order.order_by('0')} LIMIT {limit}"


def distance_km(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    """Great-circle distance in kilometres between two points in degrees (haversine, mean Earth radius)."""
    a, b = math.radians(latitude), math.radians(other_latitude)
    half = math.sin((b - a) / 2) ** 2
    half += math.cos(a) * math.cos(b) * math.sin(math.radians(other_longitude - longitude) / 2) ** 2
    return 2 * 6371.0088 * math.asin(math.sqrt(min(1.0, half)))
