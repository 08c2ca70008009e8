"""``_include`` and ``_revinclude``: rows that the matches refer to, or that refer to them.

https://hl7.org/fhir/R4/search.html#include. The list of a page is deterministic at its snapshot, so
that a continuation takes up exactly where the cap cut it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from consent import Access
from fhir_server.search.tree import Include
from fhir_server.store.sqlite.access import access_condition
from fhir_server.store.sqlite.sql import Sql, marks

if TYPE_CHECKING:
    from fhir_server.store.sqlite.searching import Search

_CHUNK = 500


def included(
    search: Search, wanted: tuple[Include, ...], matches: list[int], snapshot: int, access: Access, skip: int
) -> tuple[list[int], bool]:
    """Rids of the included resources of a page, from the ``skip``-th on, and whether some are left over.

    At most ``search.include_max`` at once.
    """
    most = skip + search.include_max
    if not wanted or not matches:
        return [], False
    seen = set(matches)
    found: list[int] = []
    fresh, iterate = matches, [x for x in wanted if x.iterate]
    while fresh:
        step: list[int] = []
        for include in wanted if fresh is matches else iterate:
            for rid in _follow(search, include, fresh, snapshot, access):
                if rid not in seen:
                    seen.add(rid)
                    step.append(rid)
        found += step
        fresh = step if iterate else []
        if len(found) > most:
            break
    return found[skip:most], len(found) > most


def _follow(search: Search, include: Include, rids: list[int], snapshot: int, access: Access) -> list[int]:
    """One include step from these rows, in order of rid."""
    t = search.names.type(include.source)
    run = search.connection.execute
    alive = Sql(f"r.till>{snapshot} AND r.rid<={snapshot} AND r.body IS NOT NULL AND ") + access_condition(access, "r")
    key = Sql("")
    if include.key is not None:
        key = Sql(" AND x.p=?", (search.names.param(t, include.key),))
    found: set[int] = set()
    for start in range(0, len(rids), _CHUNK):
        part = rids[start : start + _CHUNK]
        rows = _pointing_here(include, t, part, key) if include.reverse else _pointed_at(search, include, t, part, key)
        sql = rows + alive
        found.update(row[0] for row in run(sql.text, sql.args))
    return sorted(found)


def _pointed_at(search: Search, include: Include, t: int, rids: list[int], key: Sql) -> Sql:
    head = Sql(
        f"SELECT r.rid FROM res s CROSS JOIN link x ON x.rid=s.rid CROSS JOIN res r INDEXED BY res_lid ON r.lid=x.key"
        f" WHERE s.rid IN ({marks(len(rids))}) AND s.t=?",
        (*rids, t),
    )
    target = Sql("") if include.target is None else Sql(" AND r.t=?", (search.names.type(include.target),))
    return head + key + target + " AND "


def _pointing_here(include: Include, t: int, rids: list[int], key: Sql) -> Sql:
    params = key if include.key is not None else Sql(" AND x.p IN (SELECT p FROM param WHERE t=?)", (t,))
    return (
        Sql(
            f"SELECT r.rid FROM res s CROSS JOIN ref x ON x.key=s.lid CROSS JOIN res r ON r.rid=x.rid"
            f" WHERE s.rid IN ({marks(len(rids))})",
            tuple(rids),
        )
        + params
        + Sql(" AND r.t=? AND ", (t,))
    )
