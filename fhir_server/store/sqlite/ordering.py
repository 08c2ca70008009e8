"""The order of a search's rows and where a page starts: natural order, row order, or sort keys.

https://hl7.org/fhir/R4/search.html#sort. Resources without the sort value come last in both
directions; ties are broken by commit order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fhir_server.search.tree import Order, Sort
from fhir_server.store.sqlite.names import Names
from fhir_server.store.sqlite.sql import TRUE, Sql, marks

NATURAL = "natural"  # (sk, rid): newest clinical date first
NEWEST = "-rid"  # commit order, newest first
OLDEST = "rid"  # commit order
KEYS = "keys"  # the values of _sort


@dataclass(frozen=True, slots=True)
class Ordering:
    """One order as SQL over rows ``d(sk, rid)``: key columns, ORDER BY, and ``after`` a last row.

    ``joins`` bring the values of tokens, which are not kept by resource, for the rows of ``candidates``.
    """

    kind: str
    keys: tuple[Sql, ...]
    descending: tuple[bool, ...]
    joins: tuple[Sql, ...] = ()

    def order_by(self, sk: str) -> str:
        """The ORDER BY clause (key columns are named k0, k1 …; ``sk`` is the sort column)."""
        if self.kind != KEYS:
            return {NATURAL: f"{sk}, d.rid", NEWEST: "d.rid DESC", OLDEST: "d.rid"}[self.kind]
        parts: list[str] = []
        for i, descending in enumerate(self.descending):
            parts.append(f"k{i} IS NULL, k{i}{' DESC' if descending else ''}")
        return ", ".join([*parts, "d.rid"])

    def after(self, last: tuple[Any, ...] | None, sk: str) -> Sql:
        """The condition on rows that come after the row with these keys."""
        if last is None:
            return TRUE
        match self.kind:
            case "natural":
                return Sql(f"({sk}, d.rid)>(?, ?)", last)
            case "-rid":
                return Sql("d.rid<?", last)
            case "rid":
                return Sql("d.rid>?", last)
        return self._after_keys(last)

    def _after_keys(self, last: tuple[Any, ...]) -> Sql:
        """Lexicographic comparison written out, since NULL compares with nothing."""
        condition = Sql("d.rid>?", (last[-1],))
        for key, descending, value in reversed(list(zip(self.keys, self.descending, last[:-1], strict=True))):
            if value is None:
                condition = Sql("(") + key + " IS NULL AND " + condition + ")"
            else:
                beyond = key + Sql("<?" if descending else ">?", (value,))
                same = key + Sql("=? AND ", (value,)) + condition
                condition = Sql("(") + key + " IS NULL OR " + beyond + " OR (" + same + "))"
        return condition

    def python_key(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """A key by which rows of several types merge into this order."""
        if self.kind == NEWEST:
            return (-values[0],)
        if self.kind != KEYS:
            return values
        merged: list[Any] = []
        for value, descending in zip(values[:-1], self.descending, strict=True):
            merged.append((value is None, _Reversed(value) if descending else _Plain(value)))
        return (*merged, values[-1])


@dataclass(frozen=True, slots=True)
class _Plain:
    value: Any

    def __lt__(self, other: _Plain) -> bool:
        return self.value is not None and other.value is not None and bool(self.value < other.value)


@dataclass(frozen=True, slots=True)
class _Reversed:
    value: Any

    def __lt__(self, other: _Reversed) -> bool:
        return self.value is not None and other.value is not None and bool(self.value > other.value)


_COLUMNS = {
    Order.ID: "(SELECT y.id FROM res y WHERE y.rid=d.rid)",
    Order.LAST_UPDATED: "(SELECT y.time FROM res y WHERE y.rid=d.rid)",
}
_TABLES = {
    Order.DATE: ("dat", "low", ""),
    Order.NUMBER: ("qty", "low", ""),
    Order.STRING: ("str", "v", "INDEXED BY str_rid "),
    Order.REFERENCE: ("link", "key", ""),
}


def ordering(
    sort: tuple[Sort, ...],
    t: int | None,
    names: Names,
    primary_date: str | None,
    clinical: bool,
    seen: Callable[[str], Sql] = lambda rid: TRUE,
) -> Ordering:
    """The order of ``sort`` for rows of type number ``t`` (None: of several types).

    ``primary_date`` is the date parameter that ``sk`` holds; ``clinical`` says that the driver's
    rows come in natural order anyway; ``seen`` is the condition that the version of a rid may be seen.
    """
    if not sort:
        return Ordering(NATURAL if clinical else OLDEST, (), ())
    first = sort[0]
    if len(sort) == 1 and first.order is Order.LAST_UPDATED:
        return Ordering(NEWEST if first.descending else OLDEST, (), ())
    if (
        len(sort) == 1
        and first.order is Order.DATE
        and first.descending
        and first.key == primary_date
        and not first.also
    ):
        return Ordering(NATURAL, (), ())
    keys: list[Sql] = []
    joins: list[Sql] = []
    for i, item in enumerate(sort):
        if item.order is Order.TOKEN:
            joins.append(_token_values(item, i, t, names))
            keys.append(Sql(f"z{i}.v"))
        else:
            keys.append(_key(item, t, names, seen))
    return Ordering(KEYS, tuple(keys), tuple(item.descending for item in sort), tuple(joins))


def _numbers(item: Sort, t: int | None, names: Names) -> tuple[str, tuple[int, ...]]:
    """The numbers of the index keys that hold the sort's values, with their question marks."""
    keys = (item.key, *item.also)
    numbers = tuple(names.param(t, key) for key in keys) if t is not None else (0,)
    return marks(len(numbers)), numbers


def _token_values(item: Sort, number: int, t: int | None, names: Names) -> Sql:
    """A join ``z<number>(rid, v)``: the parameter's values of all candidates, gathered in one walk."""
    places, numbers = _numbers(item, t, names)
    pick = "max" if item.descending else "min"
    some = f"SELECT x.rid, {pick}(x.code) AS v FROM tok x WHERE x.p IN ({places})"
    gathered = f"{some} AND x.rid IN (SELECT rid FROM candidates)"
    return Sql(f" LEFT JOIN ({gathered} GROUP BY x.rid) z{number} ON z{number}.rid=d.rid", numbers)


def _key(item: Sort, t: int | None, names: Names, seen: Callable[[str], Sql]) -> Sql:
    """The sort value of row ``d``: the least of several values ascending, the greatest descending."""
    if (column := _COLUMNS.get(item.order)) is not None:
        return Sql(column)
    places, numbers = _numbers(item, t, names)
    pick = "max" if item.descending else "min"
    table, column_name, hint = _TABLES[item.order]
    if item.order is Order.REFERENCE:
        of_type = Sql("") if item.target is None else Sql(" AND y.t=?", (names.type(item.target),))
        # What is referred to and hidden sorts as what is referred to and absent.
        shown = seen("y.rid")
        of_type += Sql("") if shown == TRUE else Sql(" AND ") + shown
        target = Sql("(SELECT min(y.id) FROM res y INDEXED BY res_lid WHERE y.lid=x.key") + of_type + ")"
        rows = Sql(f") FROM link x WHERE x.rid=d.rid AND x.p IN ({places}))", numbers)
        return Sql(f"(SELECT {pick}(") + target + rows
    return Sql(
        f"(SELECT {pick}(x.{column_name}) FROM {table} x {hint}WHERE x.rid=d.rid AND x.p IN ({places}))", numbers
    )
