"""Conditions on a row that is given: each as a boolean expression that looks up its postings by key."""

from __future__ import annotations

import json
from dataclasses import dataclass

from consent.classes import usual_classes
from fhir_server.search import tree
from fhir_server.search.tree import Node
from fhir_server.store.sqlite import ranges
from fhir_server.store.sqlite.postings import is_text
from fhir_server.store.sqlite.schema import ELEMENTS, UNDATED
from fhir_server.store.sqlite.sets import NUMBERS, LidReference, Sets
from fhir_server.store.sqlite.sql import FALSE, TRUE, Sql, conjunction, disjunction

SEVERAL = 40  # alternatives that are merged in order; more are gathered


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tested row stands: SQL expressions of its rid and sk; whether its ``res r`` is joined."""

    rid: str
    sk: str
    joined: bool = False


class Conditions(Sets):
    """Tests of given rows, and rows of single conditions."""

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
                    f"EXISTS(SELECT 1 FROM link x WHERE x.rid={d.rid} AND x.p=? AND +x.key IN ({NUMBERS}))",
                    (p, json.dumps(lids)),
                )
            case tree.Chain(param, target, inner):
                p = self._names.param(t, param.key)
                linked = Sql(f"EXISTS(SELECT 1 FROM link x WHERE x.rid={d.rid} AND x.p=? AND +x.key IN (", (p,))
                others = [Sql(f"{d.rid} IN (") + rows + ")" for rows in self.roundabout(t, node)]
                return disjunction([linked + self.lids(target, inner) + "))", *others])
            case tree.Has(param, inner, False) if d.joined:
                return self._has_test(param, inner)
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

    def _has_test(self, param: tree.Param, inner: Node) -> Sql:
        """Does anything that satisfies ``inner`` point to ``r``? Asked from what points here."""
        t = self._names.type(param.type)
        satisfied = self.test(t, inner, Place("h.rid", "h.sk"))
        if satisfied == FALSE:
            return FALSE
        pointing = Sql(
            "EXISTS(SELECT 1 FROM ref h WHERE h.p=? AND h.key=r.lid AND ", (self._names.param(t, param.key),)
        )
        superseded = "NOT EXISTS(SELECT 1 FROM dead z WHERE z.rid=h.rid AND z.till<=?)"
        current = Sql(f" AND h.rid<=? AND {superseded} AND ", (self.snapshot, self.snapshot))
        return pointing + satisfied + current + self._gate.posting("h", t, usual_classes(param.type)) + ")"

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

    def _fewer(self, nodes: tuple[Node, ...]) -> list[Node]:
        """Alternatives of the same parameter gathered, where they are many."""
        if len(nodes) <= SEVERAL:
            return list(nodes)
        codes: dict[tuple[tree.Param, str | None], list[str]] = {}
        lids: dict[tree.Param, list[int]] = {}
        anywhere: dict[tree.Param, list[str]] = {}
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
                case tree.Reference(param, None, id_):
                    anywhere.setdefault(param, []).append(id_)
                case _:
                    rest.append(node)
        for param, ids in anywhere.items():
            same = self._connection.execute(f"SELECT lid FROM ent WHERE id IN ({NUMBERS})", (json.dumps(ids),))
            lids.setdefault(param, []).extend(row[0] for row in same)
        rest += [tree.Tokens(param, system, tuple(found)) for (param, system), found in codes.items()]
        return rest + [LidReference(param, tuple(found)) for param, found in lids.items()]
