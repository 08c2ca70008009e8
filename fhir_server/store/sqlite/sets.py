"""The rows of one condition: each as ``SELECT rid`` over the postings, and the lasting numbers that chains need."""

from __future__ import annotations

import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from fhir_server.search import tree
from fhir_server.search.normalise import normalise
from fhir_server.search.tree import Node, inside_key
from fhir_server.store.sqlite import canonicals, ranges
from fhir_server.store.sqlite.access import Gate
from fhir_server.store.sqlite.names import Names
from fhir_server.store.sqlite.postings import CONTAINED, is_text
from fhir_server.store.sqlite.rows import METHOD_NUMBER
from fhir_server.store.sqlite.schema import ELEMENTS
from fhir_server.store.sqlite.sql import TRUE, Sql, joined

NOTHING = Sql("SELECT NULL AS rid WHERE 0")
NUMBERS = "SELECT value FROM json_each(?)"
_DELETION = METHOD_NUMBER["DELETE"]
Sizes = dict[tuple[int, Node], tuple[int, float]]  # of token lists: counted rows, and until when they are good


@dataclass(frozen=True, slots=True)
class LidReference(Node):
    """A chain whose targets are found already: the reference points to one of these numbers."""

    param: tree.Param
    lids: tuple[int, ...]
    type: str = ""


class Sets(ABC):
    """Rows of conditions as of one snapshot sequence.

    ``text`` gives the rows that match a full-text condition, ``lid`` the lasting number of a resource,
    ``patient_keys`` the references that make a resource of a type a patient's; ``sizes`` is kept
    from search to search. ``gate`` is applied to every other resource that a condition looks at: what the
    requester may not see has no part in what is found.
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
        gate: Gate,
    ) -> None:
        self._connection = connection
        self._names = names
        self._text = text
        self._find_lid = lid
        self._lids: dict[tuple[str, str], int | None] = {}
        self._sizes = sizes
        self._patient_keys = patient_keys
        self._gate = gate
        self.snapshot = snapshot

    @abstractmethod
    def matching(self, t: int, node: Node) -> Sql:
        """``SELECT rid`` of the postings of type ``t`` that satisfy the whole of ``node``."""

    @abstractmethod
    def contained(self, node: tree.Contains) -> Sql:
        """``SELECT rid`` of the contained resources that satisfy the node."""

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
                    return NOTHING
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
                    return NOTHING
                return ranges.quantity_rows(node, self._names.param(t, param.key), s)
            case tree.Tokens(param, system, codes):
                p, s = self._names.param(t, param.key), self._system(system)
                if s is None and system is not None:
                    return NOTHING
                same = Sql("") if system is None else Sql(" AND x.s=?", (s,))
                many = Sql("x.code IN (" + NUMBERS + ")", (json.dumps(codes),))
                return Sql("SELECT x.rid FROM tok x WHERE x.p=? AND ", (p,)) + many + same
            case LidReference(param, lids):
                p = self._names.param(t, param.key)
                return Sql(f"SELECT x.rid FROM ref x WHERE x.p=? AND x.key IN ({NUMBERS})", (p, json.dumps(lids)))
            case tree.Chain(param, target, inner):
                p = self._names.param(t, param.key)
                linked = (
                    Sql("SELECT x.rid FROM ref x WHERE x.p=? AND x.key IN (", (p,)) + self.lids(target, inner) + ")"
                )
                return joined(" UNION ALL ", [linked, *self.roundabout(t, node)])
            case tree.Has(param, inner):
                return self._of_lids(t, self._pointed_at(t, param, inner, node.canonical))
            case tree.Id(ids):
                return self._of_lids(
                    t, Sql(f"SELECT lid FROM ent WHERE id IN ({NUMBERS}) AND t=?", (json.dumps(ids), t))
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
            return NOTHING
        parts = [
            Sql("SELECT x.rid FROM ref x WHERE x.p=? AND x.key=?", (self._names.param(t, key), lid))
            for key in node.keys
        ]
        if node.itself:
            parts.append(self._of_lids(t, Sql("SELECT ?", (lid,))))
        return joined(" UNION ALL ", parts) if parts else NOTHING

    def _composite_set(self, t: int, node: tree.Composite) -> Sql:
        sets = [Sql("SELECT rid FROM (") + self._set(t, component) + ")" for component in node.components]
        return Sql(f"SELECT rid/{ELEMENTS} FROM (") + joined(" INTERSECT ", sets) + ")"

    # -- lasting numbers (chains) ---------------------------------------------------------------

    def lids(self, type_: str, node: Node) -> Sql:
        """``SELECT lid`` of the resources of ``type_`` that satisfy ``node`` at the snapshot."""
        t = self._names.type(type_)
        alive = Sql(" d CROSS JOIN res r ON r.rid=d.rid WHERE r.till>? AND r.rid<=?", (self.snapshot, self.snapshot))
        found = Sql("SELECT r.lid FROM (") + self.matching(t, node) + ")" + alive
        return found if self._gate.condition == TRUE else found + " AND " + self._gate.condition

    def rids(self, type_: str, node: Node) -> Sql:
        """``SELECT rid`` of the resources of ``type_`` that satisfy ``node`` at the snapshot and may be seen."""
        found = self.all_rids(type_, node)
        return found if self._gate.condition == TRUE else found + " AND " + self._gate.row("d.rid")

    def all_rids(self, type_: str, node: Node) -> Sql:
        """``rids`` without asking what may be seen: to guess how many there are, never for an answer."""
        t, s = self._names.type(type_), self.snapshot
        current = ") d WHERE d.rid<=? AND NOT EXISTS(SELECT 1 FROM dead z WHERE z.rid=d.rid AND z.till<=?)"
        return Sql("SELECT d.rid FROM (") + self.matching(t, node) + Sql(current, (s, s))

    def roundabout(self, t: int, node: tree.Chain) -> list[Sql]:
        """``SELECT rid`` of the rows of a chain that no link leads to: by canonical URL, or to a contained resource."""
        found: list[Sql] = []
        if node.canonical:
            pairs = canonicals.pairs(self._names.param(t, node.param.key), self._names.type(node.type))
            targets = Sql(" AND u.rid IN (") + self.rids(node.type, node.node) + ")"
            found.append(Sql("SELECT x.rid FROM ") + pairs + targets)
        inside = inside_key(node.param.type, node.param.key)
        if self._names.param(self._names.type(CONTAINED + node.type), inside):  # otherwise nobody ever wrote one
            found.append(Sql(f"SELECT rid/{ELEMENTS} AS rid FROM (") + self.contained(node.contained) + ")")
        return found

    def _pointed_at(self, t: int, param: tree.Param, node: Node, canonical: bool) -> Sql:
        """``SELECT lid`` of what ``param`` of the resources satisfying ``node`` points to (of type ``t`` by URL)."""
        p = self._names.param(self._names.type(param.type), param.key)
        rids = self.rids(param.type, node)
        linked = Sql("SELECT x.key FROM (") + rids + Sql(") s CROSS JOIN link x ON x.rid=s.rid AND x.p=?", (p,))
        if not canonical:
            return linked
        named = Sql("SELECT r.lid FROM res r WHERE r.rid IN (SELECT u.rid FROM ") + canonicals.pairs(p, t)
        return linked + " UNION ALL " + named + " AND x.rid IN (" + rids + "))"

    def _of_lids(self, t: int, lids: Sql) -> Sql:
        """``SELECT rid`` of the versions, current at the snapshot, of these resources of type ``t``."""
        s = self.snapshot
        head = Sql("SELECT r.rid FROM res r INDEXED BY res_lid WHERE r.lid IN (") + lids
        return head + Sql(f") AND r.t=? AND r.rid<=? AND r.till>? AND r.method<>{_DELETION}", (t, s, s))
