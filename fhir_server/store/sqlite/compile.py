"""The query tree compiled to SQL over the postings: which rows drive, which are tested.

A search walks one *driver* (postings in newest-first order where there are any) and tests every
other condition on each of its rows by key. CROSS JOIN keeps SQLite from turning that round.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass

from fhir_server.search import tree
from fhir_server.search.tree import Node
from fhir_server.store.sqlite.conditions import SEVERAL, Conditions, Place
from fhir_server.store.sqlite.postings import CONTAINED, LISTING, PATIENT_CODE, patient_code
from fhir_server.store.sqlite.schema import UNDATED
from fhir_server.store.sqlite.sets import NOTHING, NUMBERS, LidReference
from fhir_server.store.sqlite.sql import FALSE, TRUE, Sql, joined

SHORT = 32  # a list of fewer rows beats one that nobody has counted
FEW = 400  # lists are counted no further to find the shortest
_MOST_SIZES, _SIZE_SECONDS = 20_000, 60.0
MANY = 2000  # a larger set is not gathered to show its first page
DEEP = 6  # levels of parentheses of a part of a statement
_BRACKETS = re.compile(r"[()]")
PROBES = 30  # up to so many referenced resources are looked up one by one
_ROW = "x.sk, x.rid, x.pat, x.org, x.label"
_NOTHING = Sql("SELECT NULL AS sk, NULL AS rid, 0 AS pat, 0 AS org, 0 AS label WHERE 0")
# A code may stand in several systems. For a page, grouping would cost the order of the index; for a count it is cheap.
_ONCE = " AND NOT EXISTS(SELECT 1 FROM tok o WHERE o.p=x.p AND o.code=x.code AND o.sk=x.sk AND o.rid=x.rid AND o.s<x.s)"


@dataclass(frozen=True, slots=True)
class Driver:
    """Rows (sk, rid, and the access columns of postings), each rid once.

    ``sorted``: they come in (sk, rid) order; otherwise they have rid only.

    ``by_rid``: they come in the order of rid instead, and have both.

    ``postings``: where the rows are those of one list, ``tok x WHERE …``; some stand there ``twice``.
    """

    rows: Sql
    sorted: bool
    by_rid: bool = False
    postings: Sql | None = None
    twice: bool = False

    @property
    def of_few(self) -> bool:
        """Whether the rows are those of one reference or of a code of one patient, so mostly a short list."""
        return " FROM ref " in self.rows.text or any(isinstance(arg, str) and "|" in arg for arg in self.rows.args)

    @property
    def sk(self) -> str:
        """The sort column of the rows ``d``, where ``res r`` is joined."""
        return "d.sk" if self.sorted else "r.sk"


class Compiler(Conditions):
    """Compiles whole conditions as of one snapshot sequence. Made anew for each search."""

    def matching(self, t: int, node: Node) -> Sql:
        """``SELECT rid`` of the postings of type ``t`` that satisfy the whole of ``node``."""
        driver, rest = self.plan(t, node)
        where = self.test(t, rest, Place("d.rid", driver.sk, not driver.sorted))
        rows = Sql("SELECT d.rid FROM (") + driver.rows + ") d"
        if where == FALSE:
            return NOTHING
        if where != TRUE:
            rows = rows + ("" if driver.sorted else " CROSS JOIN res r ON r.rid=d.rid") + " WHERE " + where
        return rows if depth(rows.text) < DEEP else self._gathered(rows)

    def contained(self, node: tree.Contains) -> Sql:
        """``SELECT rid`` of the contained resources that satisfy the node: ``rid * ELEMENTS + place``."""
        t = self._names.type(CONTAINED + node.type)
        driver, rest = self.plan(t, node.node)
        where = self.test(t, rest, Place("d.rid", str(UNDATED)))
        return NOTHING if where == FALSE else Sql("SELECT d.rid FROM (") + driver.rows + ") d WHERE " + where

    def _gathered(self, rows: Sql) -> Sql:
        """The same numbers, read now: SQLite's parser takes only so much nesting in one statement."""
        found = self._connection.execute(rows.text, rows.args).fetchall()
        return Sql(f"SELECT value AS rid FROM ({NUMBERS})", (json.dumps([row[0] for row in found]),))

    def plan(self, t: int, node: Node, page: bool = False) -> tuple[Driver, Node]:
        """The driver for ``node`` and the condition that is left to test on its rows.

        ``page``: only the first few rows are wanted, so that a walk through the whole type which
        ends early beats the gathering of a large set.
        """
        nodes = self._of_patients([self._simpler(x) for x in _flat(node)])
        chosen = self._shortest(t, nodes)
        if chosen is None or chosen[1] >= FEW:
            for i, x in enumerate(nodes):
                found = self._resolved(t, x) if isinstance(x, tree.Chain) else None
                if found is not None:
                    nodes[i], chosen = found, (i, 0)
                    nodes = self._of_patients(nodes)
                    chosen = next(((j, 0) for j, y in enumerate(nodes) if _of_patient(y)), chosen)
                    break
        if chosen is None:
            weak = [(i, 0) for i, x in enumerate(nodes) if _sets(x) and not (page and self._large(t, x))]
            chosen = weak[0] if weak else None
        if chosen is None:
            return self.listing(t), tree.And(tuple(nodes))
        driver = self._driver(t, nodes.pop(chosen[0]), page)
        return driver, tree.And(tuple(nodes))

    def _of_patients(self, nodes: list[Node]) -> list[Node]:
        """A code within the records of a few patients has postings of its own.

        The condition on the patients stays to be tested: a record holds more than its own subject's references.
        """
        lids = next((found for x in nodes if (found := self._patients(x))), None)
        if not lids:
            return nodes
        for i, token in enumerate(nodes):
            match token:
                case tree.Token(tree.Param(type_, "code"), system, str() as code):
                    param = tree.Param(type_, PATIENT_CODE)
                    codes = tuple(tree.Token(param, system, patient_code(lid, code)) for lid in lids)
                    return [*nodes[:i], codes[0] if len(codes) == 1 else tree.Or(codes), *nodes[i + 1 :]]
        return nodes

    def _patients(self, node: Node) -> tuple[int, ...]:
        """The lasting numbers of the few patients whose record the condition keeps to; () where it does not."""
        match node:
            case tree.Reference(param, "Patient", id_) if param.key in self._patient_keys(param.type):
                lid = self._lid("Patient", id_)
                return () if lid is None else (lid,)
            case tree.InCompartment("Patient", id_, _, False):
                lid = self._lid("Patient", id_)
                return () if lid is None else (lid,)
            case LidReference(param, lids, "Patient") if param.key in self._patient_keys(param.type):
                return lids if len(lids) <= SEVERAL else ()
        return ()

    def _simpler(self, node: Node) -> Node:
        """A long list of alternatives as few conditions."""
        if not isinstance(node, tree.Or) or len(node.nodes) <= SEVERAL:
            return node
        fewer = self._fewer(node.nodes)
        return fewer[0] if len(fewer) == 1 else tree.Or(tuple(fewer))

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
            if _of_patient(nodes[i]):
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

    def _resolved(self, t: int, chain: tree.Chain) -> LidReference | None:
        """The chain's targets where they are few and links alone lead to them."""
        if self.roundabout(t, chain):
            return None
        sql = self.lids(chain.type, chain.node)
        lids = self._connection.execute(sql.text + f" LIMIT {PROBES + 1}", sql.args).fetchall()
        if len(lids) > PROBES:
            return None
        return LidReference(chain.param, tuple({row[0] for row in lids}), chain.type)

    def _large(self, t: int, node: Node) -> bool:
        """Whether a condition's rows are so many that a walk through the type soon finds enough of them."""
        if isinstance(node, tree.Has) and not node.canonical:  # as many as point here, which are cheaper to count
            rows = self.all_rids(node.param.type, node.node)
            sql = Sql("SELECT count(*) FROM (SELECT 1 FROM (") + rows + f") LIMIT {MANY})"
            return bool(self._connection.execute(sql.text, sql.args).fetchone()[0] >= MANY)
        return self._size(t, node, MANY) >= MANY

    def _size(self, t: int, node: Node, most: int) -> int:
        """How many rows a condition has, counted no further than ``most``."""
        rows = self._driver(t, node, True).rows if _posting(node) else self._set(t, node)
        sql = Sql("SELECT count(*) FROM (SELECT 1 FROM (") + rows + f") LIMIT {most})"
        size: int = self._connection.execute(sql.text, sql.args).fetchone()[0]
        return size

    def listing(self, t: int) -> Driver:
        """Every resource of the type, newest first."""
        p = self._names.param(t, LISTING)
        postings = Sql("tok x WHERE x.p=? AND x.code=''", (p,))
        return Driver(Sql(f"SELECT {_ROW} FROM ") + postings, True, postings=postings)

    def _driver(self, t: int, node: Node, page: bool) -> Driver:
        match node:
            case tree.Token(_, _, str()) | tree.Uri(_, tree.UriMode.EXACT, _) | tree.Reference(_, str(), _):
                rows = self._exact(t, node)
                if rows is None:
                    return Driver(_NOTHING, True)
                postings = Sql(f"{rows[0]} x WHERE ") + rows[1]
                several = isinstance(node, tree.Token) and node.system is None
                if several and not page:
                    # Grouping, unlike DISTINCT, keeps to the order of the index.
                    each = postings + " GROUP BY x.sk, x.rid"
                    return Driver(Sql(f"SELECT {_ROW} FROM ") + each, True, postings=postings, twice=True)
                if several:
                    return Driver(Sql(f"SELECT {_ROW} FROM ") + postings + _ONCE, True)
                return Driver(Sql(f"SELECT {_ROW} FROM ") + postings, True, postings=postings)
            case tree.Or(nodes) if nodes and len(nodes) <= SEVERAL and all(_posting(x) for x in nodes):
                parts = [self._driver(t, x, page).rows for x in nodes]
                return Driver(joined(" UNION ", parts) + " ORDER BY 1, 2", True)
            case tree.InCompartment(_, _, keys, itself) if keys and not itself:
                lid = self._lid(node.type, node.id)
                if lid is None:
                    return Driver(_NOTHING, True)
                parts = [
                    Sql(f"SELECT {_ROW} FROM ref x WHERE x.p=? AND x.key=?", (self._names.param(t, key), lid))
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


def looks_around(node: Node) -> bool:
    """Whether a condition looks at what points to the row."""
    match node:
        case tree.And(nodes) | tree.Or(nodes):
            return any(looks_around(x) for x in nodes)
        case tree.Not(inner):
            return looks_around(inner)
    return isinstance(node, tree.Has)


def _flat(node: Node) -> list[Node]:
    """The conditions of nested Ands in one list."""
    if not isinstance(node, tree.And):
        return [node]
    return [x for part in node.nodes for x in _flat(part)]


def _of_patient(node: Node) -> bool:
    """Whether the condition is a code within the records of given patients."""
    match node:
        case tree.Token(tree.Param(_, key)):
            return key == PATIENT_CODE
        case tree.Or(nodes):
            return bool(nodes) and all(_of_patient(x) for x in nodes)
    return False


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
