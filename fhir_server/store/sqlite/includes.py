"""``_include`` and ``_revinclude``: rows that the matches refer to, or that refer to them.

https://hl7.org/fhir/R4/search.html#include. The list of a page is deterministic at its snapshot, so
that a continuation takes up exactly where the cap cut it.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass

from fhir_server.search.tree import Include
from fhir_server.store.sqlite import canonicals
from fhir_server.store.sqlite.access import Gate
from fhir_server.store.sqlite.names import Names
from fhir_server.store.sqlite.sets import NUMBERS
from fhir_server.store.sqlite.sql import Sql


@dataclass(frozen=True, slots=True)
class Including:
    """Finds what a page includes, as of one snapshot and for one requester; at most ``most`` at once."""

    connection: sqlite3.Connection
    names: Names
    snapshot: int
    gate: Gate
    most: int

    def included(self, wanted: tuple[Include, ...], matches: list[int], skip: int) -> tuple[list[int], bool]:
        """Rids of the included resources of a page, from the ``skip``-th on, and whether some are left over."""
        if not wanted or not matches:
            return [], False
        last = skip + self.most
        seen = set(matches)
        found: list[int] = []
        fresh, iterate = matches, [x for x in wanted if x.iterate]
        while fresh and len(found) <= last:
            step: list[int] = []
            for include in wanted if fresh is matches else iterate:
                for rid in self._follow(include, fresh):
                    if rid not in seen:
                        seen.add(rid)
                        step.append(rid)
            found += step
            fresh = step if iterate else []
        return found[skip:last], len(found) > last

    def _follow(self, include: Include, rids: list[int]) -> list[int]:
        """One include step from these rows, in order of rid."""
        t = self.names.type(include.source)
        key = Sql("")
        if include.key is not None:
            key = Sql(" AND x.p=?", (self.names.param(t, include.key),))
        rows = self._pointing_here(include, t, key) if include.reverse else self._pointed_at(include, t, key)
        found = self._current(Sql("", (json.dumps(rids),)) + rows)
        if include.canonical and include.key is not None:
            found |= self._current(self._by_url(include, t, rids))
        return sorted(found)

    def _current(self, rows: Sql) -> set[int]:
        """The rids ``r`` of these joins that are current at the snapshot and may be seen."""
        alive = Sql(" AND r.till>? AND r.rid<=? AND r.body IS NOT NULL AND ", (self.snapshot, self.snapshot))
        sql = Sql("SELECT DISTINCT r.rid FROM ") + rows + alive + self.gate.condition
        return {row[0] for row in self.connection.execute(sql.text, sql.args)}

    def _by_url(self, include: Include, t: int, rids: list[int]) -> Sql:
        """The joins of resources that are named by canonical URL, or (reversed) that name these."""
        target = None if include.target is None else self.names.type(include.target)
        pairs = canonicals.pairs(self.names.param(t, include.key or ""), target)
        ours, theirs = ("u", "x") if include.reverse else ("x", "u")
        these = Sql(f" AND {ours}.rid IN ({NUMBERS}))", (json.dumps(rids),))
        return Sql(f"res r WHERE r.rid IN (SELECT {theirs}.rid FROM ") + pairs + these

    def _pointed_at(self, include: Include, t: int, key: Sql) -> Sql:
        joins = "res s CROSS JOIN link x ON x.rid=s.rid CROSS JOIN res r INDEXED BY res_lid ON r.lid=x.key"
        target = Sql("") if include.target is None else Sql(" AND r.t=?", (self.names.type(include.target),))
        return Sql(f"{joins} WHERE s.rid IN ({NUMBERS}) AND s.t=?", (t,)) + key + target

    @staticmethod
    def _pointing_here(include: Include, t: int, key: Sql) -> Sql:
        params = key if include.key is not None else Sql(" AND x.p IN (SELECT p FROM param WHERE t=?)", (t,))
        joins = "res s CROSS JOIN ref x ON x.key=s.lid CROSS JOIN res r ON r.rid=x.rid"
        return Sql(f"{joins} WHERE s.rid IN ({NUMBERS})") + params + Sql(" AND r.t=?", (t,))
