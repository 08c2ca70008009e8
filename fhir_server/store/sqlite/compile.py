"""The query tree compiled to SQL over the postings: which rows drive, which are tested.

A search walks one *driver* (postings in newest-first order where there are any) and tests every
other condition on each of its rows by key. CROSS JOIN keeps SQLite from turning that round.
"""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass

from fhir_server.search import tree
from fhir_server.search.normalise import normalise
from fhir_server.search.tree import Node
from fhir_server.store.sqlite import ranges
from fhir_server.store.sqlite.names import Names
from fhir_server.store.sqlite.postings import CONTAINED, LISTING, PATIENT_CODE, is_text, patient_code
from fhir_server.store.sqlite.rows import METHOD_NUMBER
from fhir_server.store.sqlite.schema import ELEMENTS, UNDATED
from fhir_server.store.sqlite.sql import FALSE, TRUE, Sql, conjunction, disjunction, joined

SHORT = 32  # a list of fewer rows beats one that nobody has counted
FEW = 400  # lists are counted no further to find the shortest
_MOST_SIZES, _SIZE_SECONDS = 20_000, 60.0
MANY = 2000  # a larger set is not gathered to show its first page
DEEP = 6  # levels of parentheses of a part of a statement
_BRACKETS = re.compile(r"[()]")
SEVERAL = 40  # alternatives that are merged in order; more are gathered
PROBES = 30  # up to so many referenced resources are looked up one by one
_NUMBERS = "SELECT value FROM json_each(?)"
DELETION = METHOD_NUMBER["DELETE"]
_NOTHING = Sql("SELECT NULL AS sk, NULL AS rid WHERE 0")
# A code may stand in several systems. For a page, DISTINCT would cost the order of the index; for a count it is cheap.
_SAME = (
    " AND NOT EXISTS(SELECT 1 FROM {0} o WHERE o.p=x.p AND o.{1}=x.{1} AND o.sk=x.sk AND o.rid=x.rid AND o.{2}<x.{2})"
)
_ONCE = _SAME.format("tok", "code", "s")


Sizes = dict[tuple[int, Node], tuple[int, float]]  # of token lists: counted rows, and until when they are good


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tested row stands: SQL expressions of its rid and sk; whether its ``res r`` is joined."""

    rid: str
    sk: str
    joined: bool = False


@dataclass(frozen=True, slots=True)
class Driver:
    """Rows (sk, rid), each rid once. ``sorted``: they come in (sk, rid) order; otherwise they have rid only."""

    rows: Sql
    sorted: bool

    @property
    def sk(self) -> str:
        """The sort column of the rows ``d``, where ``res r`` is joined."""
        return "d.sk" if self.sorted else "r.sk"


@dataclass(frozen=True, slots=True)
class LidReference(Node):
    """A chain whose targets are found already: the reference points to one of these numbers."""

    param: tree.Param
    lids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AnyToken(Node):
    """Many alternatives of one token parameter in one system (None: any)."""

    param: tree.Param
    system: str | None
    codes: tuple[str, ...]


class Compiler:
    """Compiles conditions as of one snapshot sequence. Made anew for each search.

    ``text`` gives the rows that match a full-text condition as ``SELECT rid``.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        names: Names,
        snapshot: int,
        text: Callable[[int, tree.Text], Sql],
        lid: Callable[[str, str], int | None],
        sizes: Sizes,
        patient_keys: Callable[[str], tuple[str, ...]],
    ) -> None:
        self._connection = connection
        self._names = names
        self._text = text
        self._find_lid = lid
        self._lids: dict[tuple[str, str], int | None] = {}
        self._sizes = sizes
        self._patient_keys = patient_keys
        self.snapshot = snapshot

    # -- conditions on a given row -------------------------------------------------------------

    def test(self, t: int, node: Node, d: Place) -> Sql:
        """A boolean expression: does the row at ``d``, of type number ``t``, satisfy ``node``?"""
        match node:
            case tree.And(nodes):
                return conjunction(self.test(t, x, d) for x in nodes)
            case tree.Or(nodes):
                return disjunction(self.test(t, x, d) for x in self._fewer(nodes))
            case tree.Not(inner):
                return self._negated(self.test(t, inner, d))
            case tree.Token(_, _, str()) | tree.Uri(_, tree.UriMode.EXACT, _) | tree.Reference():
                rows = self._exact(t, node)
                if rows is None:
                    return FALSE
                table, where = rows
                tail = Sql(f" AND x.sk={d.sk} AND x.rid={d.rid})")
                return Sql(f"EXISTS(SELECT 1 FROM {table} x WHERE ") + where + tail
            case tree.Date(param, _, _, _):
                p = self._names.param(t, param.key)
                return (
                    Sql(f"EXISTS(SELECT 1 FROM dat x WHERE x.rid={d.rid} AND x.p=? AND ", (p,))
                    + ranges.date_condition(node, "x")
                    + ")"
                )
            case tree.Quantity(param):
                p, s = self._names.param(t, param.key), self._system(node.system)
                if s is None and node.system is not None:
                    return FALSE
                return (
                    Sql(f"EXISTS(SELECT 1 FROM qty x WHERE x.rid={d.rid} AND x.p=? AND ", (p,))
                    + ranges.quantity_condition(node, "x", s)
                    + ")"
                )
            case tree.String(param) if node.mode is not tree.StringMode.EXACT and not is_text(param.key):
                p = self._names.param(t, param.key)
                return (
                    Sql(f"EXISTS(SELECT 1 FROM str x INDEXED BY str_rid WHERE x.rid={d.rid} AND x.p=? AND ", (p,))
                    + self._string(node)
                    + ")"
                )
            case LidReference(param, lids):
                p = self._names.param(t, param.key)
                return Sql(
                    f"EXISTS(SELECT 1 FROM link x WHERE x.rid={d.rid} AND x.p=? AND +x.key IN ({_NUMBERS}))",
                    (p, json.dumps(lids)),
                )
            case tree.Chain(param, target, inner):
                p = self._names.param(t, param.key)
                return (
                    Sql(f"EXISTS(SELECT 1 FROM link x WHERE x.rid={d.rid} AND x.p=? AND +x.key IN (", (p,))
                    + self.lids(target, inner)
                    + "))"
                )
            case tree.Missing(param, missing):
                return self._missing(t, param.key, missing, d)
            case tree.Composite():
                return self._composite_test(t, node, d)
            case tree.LastUpdated():
                return self._last_updated(node, d)
            case _:
                return Sql(f"{d.rid} IN (") + self._set(t, node) + ")"

    @staticmethod
    def _negated(test: Sql) -> Sql:
        if test == TRUE:
            return FALSE
        return TRUE if test == FALSE else Sql("NOT ") + test

    def _missing(self, t: int, key: str, missing: bool, d: Place) -> Sql:
        bit = self._names.bit(t, key)
        if bit is None:  # a type with more parameters than bits
            p = self._names.param(t, key)
            parts = [f"SELECT rid FROM {table} WHERE p=?" for table in ("tok", "str", "dat", "qty", "link", "geo")]
            found = Sql(f"{d.rid} IN ({' UNION ALL '.join(parts)})", (p,) * len(parts))
            return self._negated(found) if missing else found
        if bit < 0:
            return TRUE if missing else FALSE
        wanted = 0 if missing else 1
        if d.joined:
            return Sql(f"(r.present>>{bit} & 1)={wanted}")
        return Sql(f"(SELECT y.present>>{bit} & 1 FROM res y WHERE y.rid={d.rid})={wanted}")

    def _last_updated(self, node: tree.LastUpdated, d: Place) -> Sql:
        instant = tree.Date(tree.Param("", ""), node.prefix, node.low, node.high)
        # A stored instant is the interval of its millisecond.
        columns = Sql(
            f"EXISTS(SELECT 1 FROM (SELECT y.time AS low, y.time+1000 AS high FROM res y WHERE y.rid={d.rid})"
        )
        return columns + " x WHERE " + ranges.date_condition(instant, "x") + ")"

    def _composite_test(self, t: int, node: tree.Composite, d: Place) -> Sql:
        first = node.components[0]
        rows = self._exact(t, first) if isinstance(first, tree.Token | tree.Reference) else None
        if rows is None:
            return Sql(f"{d.rid} IN (") + self._composite_set(t, node) + ")"
        table, where = rows
        element = Place("e.rid", str(UNDATED))
        others = conjunction(self.test(t, component, element) for component in node.components[1:])
        span = Sql(f" AND e.sk={UNDATED} AND e.rid BETWEEN {d.rid}*{ELEMENTS} AND {d.rid}*{ELEMENTS}+{ELEMENTS - 1}")
        text = where.text.replace("x.", "e.")
        return Sql(f"EXISTS(SELECT 1 FROM {table} e WHERE {text}", where.args) + span + " AND " + others + ")"

    def _lid(self, type_: str, id_: str) -> int | None:
        """The lasting number of a resource, looked up once."""
        key = (type_, id_)
        if key not in self._lids:
            self._lids[key] = self._find_lid(type_, id_)
        return self._lids[key]

    # -- rows of one condition -----------------------------------------------------------------

    def _system(self, uri: str | None) -> int | None:
        return None if uri is None else self._names.system(uri)

    def _exact(self, t: int, node: Node) -> tuple[str, Sql] | None:
        """Table and key condition (alias x) of an equality posting; None when there can be no row."""
        match node:
            case tree.Token(param, system, str() as code):
                p = self._names.param(t, param.key)
                if system is None:
                    return "tok", Sql("x.p=? AND x.code=?", (p, code))
                s = self._names.system(system)
                return None if s is None else ("tok", Sql("x.p=? AND x.code=? AND x.s=?", (p, code, s)))
            case tree.Uri(param, tree.UriMode.EXACT, value):
                p = self._names.param(t, param.key)
                return "tok", Sql("x.p=? AND x.code=? AND x.s=0", (p, value))
            case tree.Reference(param, str() as type_, id_):
                lid = self._lid(type_, id_)
                p = self._names.param(t, param.key)
                return None if lid is None else ("ref", Sql("x.p=? AND x.key=?", (p, lid)))
            case tree.Reference(param, None, id_):
                p = self._names.param(t, param.key)
                lids = Sql("SELECT lid FROM ent WHERE id=?", (id_,))
                return "ref", Sql("x.p=? AND x.key IN (", (p,)) + lids + ")"
        return None

    def _string(self, node: tree.String) -> Sql:
        """The condition on a row of ``str`` or ``txt`` (alias x); EXACT has a column of its own."""
        value = node.value
        return {
            tree.StringMode.EXACT: Sql("CASE x.exact WHEN '' THEN x.v ELSE x.exact END=?", (value,)),
            tree.StringMode.PREFIX: Sql("x.v>=? AND x.v<?", (value, value + "\U0010ffff")),
            tree.StringMode.CONTAINS: Sql("instr(x.v, ?)>0", (value,)),
            tree.StringMode.EQUAL: Sql("x.v=?", (value,)),
            tree.StringMode.SUFFIX: Sql("substr(x.v, -length(?))=?", (value, value)),
        }[node.mode]

    def _set(self, t: int, node: Node) -> Sql:
        """``SELECT rid`` of every posting that satisfies ``node`` (in any order, perhaps repeated)."""
        match node:
            case tree.Token(_, _, str()) | tree.Uri(_, tree.UriMode.EXACT, _) | tree.Reference():
                rows = self._exact(t, node)
                if rows is None:
                    return Sql("SELECT NULL WHERE 0")
                return Sql(f"SELECT x.rid FROM {rows[0]} x WHERE ") + rows[1]
            case tree.Token(param, system, None):
                p, s = self._names.param(t, param.key), self._system(system)
                if system is None:
                    return Sql("SELECT x.rid FROM tok x WHERE x.p=?", (p,))
                return Sql("SELECT x.rid FROM tok x WHERE x.p=? AND x.s=?", (p, s))
            case tree.String(param, mode, value):
                p = self._names.param(t, param.key)
                if mode is tree.StringMode.EXACT:
                    return self._exact_string(p, node)
                table = "txt" if is_text(param.key) else "str"
                return Sql(f"SELECT x.rid FROM {table} x WHERE x.p=? AND ", (p,)) + self._string(node)
            case tree.Uri(param, mode, value):
                return self._uri(self._names.param(t, param.key), mode, value)
            case tree.Date(param):
                return ranges.date_rows(node, self._names.param(t, param.key))
            case tree.Quantity(param):
                s = self._system(node.system)
                if s is None and node.system is not None:
                    return Sql("SELECT NULL WHERE 0")
                return ranges.quantity_rows(node, self._names.param(t, param.key), s)
            case AnyToken(param, system, codes):
                p, s = self._names.param(t, param.key), self._system(system)
                same = Sql("") if system is None else Sql(" AND x.s=?", (s,))
                many = Sql("x.code IN (" + _NUMBERS + ")", (json.dumps(codes),))
                return Sql("SELECT x.rid FROM tok x WHERE x.p=? AND ", (p,)) + many + same
            case LidReference(param, lids):
                p = self._names.param(t, param.key)
                return Sql(f"SELECT x.rid FROM ref x WHERE x.p=? AND x.key IN ({_NUMBERS})", (p, json.dumps(lids)))
            case tree.Chain(param, target, inner):
                p = self._names.param(t, param.key)
                return Sql("SELECT x.rid FROM ref x WHERE x.p=? AND x.key IN (", (p,)) + self.lids(target, inner) + ")"
            case tree.Has(param, inner):
                return self._of_lids(t, self._pointed_at(param, inner))
            case tree.Id(ids):
                return self._of_lids(
                    t, Sql(f"SELECT lid FROM ent WHERE id IN ({_NUMBERS}) AND t=?", (json.dumps(ids), t))
                )
            case tree.InList(id_):
                item = self._names.param(self._names.type("List"), "item")
                list_ = self.rids("List", tree.Id((id_,)))
                return self._of_lids(
                    t, Sql("SELECT x.key FROM link x WHERE x.p=? AND x.rid IN (", (item,)) + list_ + ")"
                )
            case tree.InCompartment():
                return self._compartment(t, node)
            case tree.Composite():
                return self._composite_set(t, node)
            case tree.Contains():
                of_type = Sql(f") e CROSS JOIN res r ON r.rid=e.rid/{ELEMENTS} WHERE r.t=?", (t,))
                return Sql("SELECT r.rid FROM (") + self.contained(node) + of_type
            case tree.Near(param, latitude, longitude, km):
                return self._near(self._names.param(t, param.key), latitude, longitude, km)
            case tree.Text():
                return self._text(t, node)
            case _:
                return self.matching(t, node)

    def _exact_string(self, p: int, node: tree.String) -> Sql:
        return (
            Sql("SELECT x.rid FROM str x WHERE x.p=? AND x.v=? AND x.exact=''", (p, node.value))
            + " UNION ALL "
            + Sql("SELECT x.rid FROM str x WHERE x.p=? AND x.v=? AND x.exact=?", (p, normalise(node.value), node.value))
        )

    def _uri(self, p: int, mode: tree.UriMode, value: str) -> Sql:
        rows = Sql("SELECT x.rid FROM tok x WHERE x.p=? AND x.s=0 AND ", (p,))
        if mode is tree.UriMode.BELOW:
            return rows + Sql("x.code>=? AND x.code<?", (value, value + "\U0010ffff"))
        return rows + Sql("substr(?, 1, length(x.code))=x.code", (value,))

    def _near(self, p: int, latitude: float, longitude: float, km: float) -> Sql:
        reach = km / 110.574 + 1e-9  # degrees of latitude; the exact distance is tested on the rows
        return Sql(
            "SELECT x.rid FROM geo x WHERE x.p=? AND x.latitude BETWEEN ? AND ?"
            " AND distance_km(x.latitude, x.longitude, ?, ?)<=?",
            (p, latitude - reach, latitude + reach, latitude, longitude, km),
        )

    def _compartment(self, t: int, node: tree.InCompartment) -> Sql:
        lid = self._lid(node.type, node.id)
        if lid is None:
            return Sql("SELECT NULL WHERE 0")
        parts = [
            Sql("SELECT x.rid FROM ref x WHERE x.p=? AND x.key=?", (self._names.param(t, key), lid))
            for key in node.keys
        ]
        if node.itself:
            parts.append(self._of_lids(t, Sql("SELECT ?", (lid,))))
        return joined(" UNION ALL ", parts) if parts else Sql("SELECT NULL WHERE 0")

    def _composite_set(self, t: int, node: tree.Composite) -> Sql:
        sets = [Sql("SELECT rid FROM (") + self._set(t, component) + ")" for component in node.components]
        return Sql(f"SELECT rid/{ELEMENTS} FROM (") + joined(" INTERSECT ", sets) + ")"

    # -- lasting numbers (chains) ---------------------------------------------------------------

    def lids(self, type_: str, node: Node) -> Sql:
        """``SELECT lid`` of the resources of ``type_`` that satisfy ``node`` at the snapshot."""
        t = self._names.type(type_)
        alive = Sql(" d CROSS JOIN res r ON r.rid=d.rid WHERE r.till>? AND r.rid<=?", (self.snapshot, self.snapshot))
        return Sql("SELECT r.lid FROM (") + self.matching(t, node) + ")" + alive

    def rids(self, type_: str, node: Node) -> Sql:
        """``SELECT rid`` of the resources of ``type_`` that satisfy ``node`` at the snapshot."""
        t, s = self._names.type(type_), self.snapshot
        current = ") d WHERE d.rid<=? AND NOT EXISTS(SELECT 1 FROM dead z WHERE z.rid=d.rid AND z.till<=?)"
        return Sql("SELECT d.rid FROM (") + self.matching(t, node) + Sql(current, (s, s))

    def _pointed_at(self, param: tree.Param, node: Node) -> Sql:
        """``SELECT lid`` of what ``param`` of the resources satisfying ``node`` points to."""
        p = self._names.param(self._names.type(param.type), param.key)
        rids = self.rids(param.type, node)
        return Sql("SELECT x.key FROM (") + rids + Sql(") s CROSS JOIN link x ON x.rid=s.rid AND x.p=?", (p,))

    def _of_lids(self, t: int, lids: Sql) -> Sql:
        """``SELECT rid`` of the versions, current at the snapshot, of these resources of type ``t``."""
        s = self.snapshot
        head = Sql("SELECT r.rid FROM res r INDEXED BY res_lid WHERE r.lid IN (") + lids
        return head + Sql(f") AND r.t=? AND r.rid<=? AND r.till>? AND r.method<>{DELETION}", (t, s, s))

    # -- whole conditions ----------------------------------------------------------------------

    def matching(self, t: int, node: Node) -> Sql:
        """``SELECT rid`` of the postings of type ``t`` that satisfy the whole of ``node``."""
        driver, rest = self.plan(t, node)
        where = self.test(t, rest, Place("d.rid", driver.sk, not driver.sorted))
        rows = Sql("SELECT d.rid FROM (") + driver.rows + ") d"
        if where != TRUE:
            rows = rows + ("" if driver.sorted else " CROSS JOIN res r ON r.rid=d.rid") + " WHERE " + where
        return rows if depth(rows.text) < DEEP else self._gathered(rows)

    def contained(self, node: tree.Contains) -> Sql:
        """``SELECT rid`` of the contained resources that satisfy the node: ``rid * ELEMENTS + place``."""
        t = self._names.type(CONTAINED + node.type)
        driver, rest = self.plan(t, node.node)
        where = self.test(t, rest, Place("d.rid", str(UNDATED)))
        return Sql("SELECT d.rid FROM (") + driver.rows + ") d WHERE " + where

    def _gathered(self, rows: Sql) -> Sql:
        """The same numbers, read now: SQLite's parser takes only so much nesting in one statement."""
        found = self._connection.execute(rows.text, rows.args).fetchall()
        return Sql(f"SELECT value AS rid FROM ({_NUMBERS})", (json.dumps([row[0] for row in found]),))

    def plan(self, t: int, node: Node, page: bool = False) -> tuple[Driver, Node]:
        """The driver for ``node`` and the condition that is left to test on its rows.

        ``page``: only the first few rows are wanted, so that a walk through the whole type which
        ends early beats the gathering of a large set.
        """
        nodes = self._of_patient([self._simpler(x) for x in _flat(node)])
        chosen = self._shortest(t, nodes)
        if chosen is None or chosen[1] >= FEW:
            for i, x in enumerate(nodes):
                found = self._resolved(x) if isinstance(x, tree.Chain) else None
                if found is not None:
                    nodes[i], chosen = found, (i, 0)
                    break
        if chosen is None:
            weak = [(i, 0) for i, x in enumerate(nodes) if _sets(x) and not (page and self._size(t, x, MANY) >= MANY)]
            chosen = weak[0] if weak else None
        if chosen is None:
            return self.listing(t), tree.And(tuple(nodes))
        driver = self._driver(t, nodes.pop(chosen[0]), page)
        return driver, tree.And(tuple(nodes))

    def _of_patient(self, nodes: list[Node]) -> list[Node]:
        """A code within one patient's record has postings of its own; the reference stays to be tested."""
        for reference in nodes:
            match reference:
                case tree.Reference(param, "Patient", id_) if param.key in self._patient_keys(param.type):
                    lid = self._lid("Patient", id_)
                case tree.InCompartment("Patient", id_, _, False):
                    lid = self._lid("Patient", id_)
                case _:
                    continue
            for i, token in enumerate(nodes):
                match token:
                    case tree.Token(tree.Param(type_, "code"), system, str() as code) if lid is not None:
                        of_patient = tree.Param(type_, PATIENT_CODE)
                        return [*nodes[:i], tree.Token(of_patient, system, patient_code(lid, code)), *nodes[i + 1 :]]
        return nodes

    def _simpler(self, node: Node) -> Node:
        """A long list of alternatives as few conditions."""
        if not isinstance(node, tree.Or) or len(node.nodes) <= SEVERAL:
            return node
        fewer = self._fewer(node.nodes)
        return fewer[0] if len(fewer) == 1 else tree.Or(tuple(fewer))

    def _fewer(self, nodes: tuple[Node, ...]) -> list[Node]:
        """Alternatives of the same parameter gathered, where they are many."""
        if len(nodes) <= SEVERAL:
            return list(nodes)
        codes: dict[tuple[tree.Param, str | None], list[str]] = {}
        lids: dict[tree.Param, list[int]] = {}
        rest: list[Node] = []
        for node in nodes:
            match node:
                case tree.Token(param, system, str() as code):
                    codes.setdefault((param, system), []).append(code)
                case tree.Uri(param, tree.UriMode.EXACT, value):
                    codes.setdefault((param, ""), []).append(value)
                case tree.Reference(param, str() as type_, id_):
                    lid = self._lid(type_, id_)
                    lids.setdefault(param, []).extend(() if lid is None else (lid,))
                case _:
                    rest.append(node)
        rest += [AnyToken(param, system, tuple(found)) for (param, system), found in codes.items()]
        return rest + [LidReference(param, tuple(found)) for param, found in lids.items()]

    def _shortest(self, t: int, nodes: list[Node]) -> tuple[int, int] | None:
        """Place and size (up to FEW; 0 where it was not counted) of the best posting driver.

        What refers to one resource is nearly always a short list: it is counted only against a shorter
        one. Lengths of token lists are remembered.
        """
        candidates = [i for i, x in enumerate(nodes) if _drives(x)]
        if not candidates:
            return None
        if len(candidates) == 1 and not any(isinstance(x, tree.Chain) for x in nodes):
            return candidates[0], 0
        for i in candidates:
            match nodes[i]:
                case tree.Token(tree.Param(_, key)) if key == PATIENT_CODE:
                    return i, 0
        references = [i for i in candidates if isinstance(nodes[i], tree.Reference)]
        others = [(self._known_size(t, nodes[i]), i) for i in candidates if i not in references]
        best = min(others, default=None)
        if len(references) == 1 and (best is None or best[0] >= SHORT):
            return references[0], 0
        counted = [(self._size(t, nodes[i], FEW), i) for i in references]
        size, chosen = min([*others, *counted])
        return chosen, size

    def _known_size(self, t: int, node: Node) -> int:
        """``_size`` up to FEW, remembered for a while where it is the length of a token list."""
        if not isinstance(node, tree.Token | tree.Uri):
            return self._size(t, node, FEW)
        key, now = (t, node), time.monotonic()
        size, until = self._sizes.get(key, (0, 0.0))
        if until < now:
            if len(self._sizes) >= _MOST_SIZES:
                self._sizes.clear()
            size = self._size(t, node, FEW)
            self._sizes[key] = (size, now + _SIZE_SECONDS)
        return size

    def _resolved(self, chain: tree.Chain) -> LidReference | None:
        """The chain's targets where they are few."""
        sql = self.lids(chain.type, chain.node)
        lids = self._connection.execute(sql.text + f" LIMIT {PROBES + 1}", sql.args).fetchall()
        return LidReference(chain.param, tuple({row[0] for row in lids})) if len(lids) <= PROBES else None

    def _size(self, t: int, node: Node, most: int) -> int:
        """How many rows a condition has, counted no further than ``most``."""
        rows = self._driver(t, node, True).rows if _posting(node) else self._set(t, node)
        sql = Sql("SELECT count(*) FROM (SELECT 1 FROM (") + rows + f") LIMIT {most})"
        size: int = self._connection.execute(sql.text, sql.args).fetchone()[0]
        return size

    def listing(self, t: int) -> Driver:
        """Every resource of the type, newest first."""
        p = self._names.param(t, LISTING)
        return Driver(Sql("SELECT x.sk, x.rid FROM tok x WHERE x.p=? AND x.code=''", (p,)), True)

    def _driver(self, t: int, node: Node, page: bool) -> Driver:
        match node:
            case tree.Token(_, _, str()) | tree.Uri(_, tree.UriMode.EXACT, _) | tree.Reference(_, str(), _):
                rows = self._exact(t, node)
                if rows is None:
                    return Driver(_NOTHING, True)
                several = isinstance(node, tree.Token) and node.system is None
                if several and not page:
                    return Driver(Sql(f"SELECT DISTINCT x.sk, x.rid FROM {rows[0]} x WHERE ") + rows[1], True)
                once = _ONCE if several else ""
                return Driver(Sql(f"SELECT x.sk, x.rid FROM {rows[0]} x WHERE ") + rows[1] + once, True)
            case tree.Or(nodes) if nodes and len(nodes) <= SEVERAL and all(_posting(x) for x in nodes):
                parts = [self._driver(t, x, page).rows for x in nodes]
                return Driver(joined(" UNION ", parts) + " ORDER BY 1, 2", True)
            case tree.InCompartment(_, _, keys, itself) if keys and not itself:
                lid = self._lid(node.type, node.id)
                if lid is None:
                    return Driver(_NOTHING, True)
                parts = [
                    Sql("SELECT x.sk, x.rid FROM ref x WHERE x.p=? AND x.key=?", (self._names.param(t, key), lid))
                    for key in keys
                ]
                return Driver(joined(" UNION ", parts) + (" ORDER BY 1, 2" if len(parts) > 1 else ""), True)
            case _:
                found = Sql("SELECT DISTINCT rid FROM (SELECT NULL AS rid WHERE 0 UNION ALL ")
                return Driver(found + self._set(t, node) + ") WHERE rid IS NOT NULL", False)


def depth(text: str) -> int:
    """How deep the parentheses of an SQL text nest."""
    level = deepest = 0
    for bracket in _BRACKETS.findall(text):
        level += 1 if bracket == "(" else -1
        deepest = max(deepest, level)
    return deepest


def _flat(node: Node) -> list[Node]:
    """The conditions of nested Ands in one list."""
    if not isinstance(node, tree.And):
        return [node]
    return [x for part in node.nodes for x in _flat(part)]


def _posting(node: Node) -> bool:
    """Whether the rows of the condition stand together in newest-first order."""
    match node:
        case tree.Token(_, _, str()) | tree.Reference(_, str(), _) | tree.Uri(_, tree.UriMode.EXACT, _):
            return True
    return False


def _drives(node: Node) -> bool:
    """Whether the condition can drive cheaply enough to be counted beforehand."""
    match node:
        case tree.Or(nodes):
            return bool(nodes) and len(nodes) <= SEVERAL and all(_posting(x) for x in nodes)
        case tree.InCompartment(_, _, keys, itself):
            return bool(keys) and not itself
        case tree.Id() | LidReference():
            return True
        case tree.Reference():
            return True
        case tree.String(_, mode, _):
            return mode not in (tree.StringMode.CONTAINS, tree.StringMode.SUFFIX)
    return _posting(node)


def _sets(node: Node) -> bool:
    """Whether the condition's rows can be listed without walking the whole type."""
    return not isinstance(node, tree.Not | tree.Missing | tree.LastUpdated | tree.Or | tree.And)
