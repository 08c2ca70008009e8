"""Comparisons of stored intervals with a search value, for dates and for quantities.

https://hl7.org/fhir/R4/search.html#prefix. Each gives the condition on one index row, and the
index ranges that hold every row which can satisfy it.
"""

from __future__ import annotations

from fhir_server.search.tree import Date, Prefix, Quantity
from fhir_server.store.sqlite.schema import LONG_SPAN
from fhir_server.store.sqlite.sql import Sql


def date_condition(node: Date, alias: str) -> Sql:
    """The stored half-open interval ``alias.low``/``alias.high`` against the node's."""
    low, high, a, b = f"{alias}.low", f"{alias}.high", node.low, node.high
    match node.prefix:
        case Prefix.EQ:
            return Sql(f"({low}>=? AND {high}<=?)", (a, b))
        case Prefix.NE:
            return Sql(f"({low}<? OR {high}>?)", (a, b))
        case Prefix.GT:
            return Sql(f"{high}>?", (b,))
        case Prefix.LT:
            return Sql(f"{low}<?", (a,))
        case Prefix.GE:
            return Sql(f"({high}>? OR ({low}>=? AND {high}<=?))", (b, a, b))
        case Prefix.LE:
            return Sql(f"({low}<? OR ({low}>=? AND {high}<=?))", (a, a, b))
        case Prefix.SA:
            return Sql(f"{low}>=?", (b,))
        case Prefix.EB:
            return Sql(f"{high}<=?", (a,))
        case Prefix.AP:
            return Sql(f"({low}<? AND {high}>?)", (b, a))


def date_rows(node: Date, p: int) -> Sql:
    """``SELECT rid`` of the rows of index key ``p`` that satisfy the node.

    Short intervals are found by their start; the few long ones (class 1) by start or end.
    """
    a, b = node.low, node.high
    condition = date_condition(node, "x")
    short: Sql | None = None
    match node.prefix:
        case Prefix.EQ:
            bounds = Sql("x.low>=? AND x.low<?", (a, b))
        case Prefix.LT | Prefix.EB:
            bounds = Sql("x.low<?", (a,))
        case Prefix.LE:
            bounds = Sql("x.low<?", (b,))
        case Prefix.SA:
            bounds = Sql("x.low>=?", (b,))
        case Prefix.NE:
            bounds = Sql("1")
        case Prefix.GT | Prefix.GE:
            short, bounds = Sql("x.low>?", (a - LONG_SPAN,)), Sql("x.high>?", (a,))
        case Prefix.AP:
            short, bounds = Sql("x.low>? AND x.low<?", (a - LONG_SPAN, b)), Sql("x.high>?", (a,))
    if short is None:
        head = Sql("SELECT x.rid FROM dat x INDEXED BY dat_low WHERE x.p=? AND x.long IN (0, 1) AND ", (p,))
        return head + bounds + " AND " + condition
    return (
        Sql("SELECT x.rid FROM dat x INDEXED BY dat_low WHERE x.p=? AND x.long=0 AND ", (p,))
        + short
        + " AND "
        + condition
        + " UNION ALL "
        + Sql("SELECT x.rid FROM dat x INDEXED BY dat_high WHERE x.long=1 AND x.p=? AND ", (p,))
        + bounds
        + " AND "
        + condition
    )


def quantity_condition(node: Quantity, alias: str, s: int | None) -> Sql:
    """The stored closed range ``alias.low``/``alias.high`` (and unit) against the node's."""
    low, high, v = f"{alias}.low", f"{alias}.high", node.value
    match node.prefix:
        case Prefix.EQ:
            test = Sql(f"({low}>=? AND {high}<?)", (node.low, node.high))
        case Prefix.NE:
            test = Sql(f"({low}<? OR {high}>=?)", (node.low, node.high))
        case Prefix.GT:
            test = Sql(f"{high}>?", (v,))
        case Prefix.GE:
            test = Sql(f"{high}>=?", (v,))
        case Prefix.LT:
            test = Sql(f"{low}<?", (v,))
        case Prefix.LE:
            test = Sql(f"{low}<=?", (v,))
        case Prefix.SA:
            test = Sql(f"{low}>?", (v,))
        case Prefix.EB:
            test = Sql(f"{high}<?", (v,))
        case Prefix.AP:
            test = Sql(f"({low}<? AND {high}>=?)", (node.high, node.low))
    if node.system is not None:
        test += Sql(f" AND {alias}.s=?", (s,))
    if node.code is not None:
        test += Sql(f" AND {alias}.code=?", (node.code,))
    return test


def quantity_rows(node: Quantity, p: int, s: int | None) -> Sql:
    """``SELECT rid`` of the rows of index key ``p`` that satisfy the node.

    Exact values (class 0) have low = high, so that every comparison is a range of low.
    """
    v = node.value
    exact = {
        Prefix.EQ: Sql("x.low>=? AND x.low<?", (node.low, node.high)),
        Prefix.NE: Sql("1"),
        Prefix.GT: Sql("x.low>?", (v,)),
        Prefix.SA: Sql("x.low>?", (v,)),
        Prefix.GE: Sql("x.low>=?", (v,)),
        Prefix.LT: Sql("x.low<?", (v,)),
        Prefix.EB: Sql("x.low<?", (v,)),
        Prefix.LE: Sql("x.low<=?", (v,)),
        Prefix.AP: Sql("x.low>=? AND x.low<?", (node.low, node.high)),
    }[node.prefix]
    condition = quantity_condition(node, "x", s)
    head = "SELECT x.rid FROM qty x INDEXED BY qty_low WHERE x.p=? AND x.wide="
    return (
        Sql(head + "0 AND ", (p,))
        + exact
        + " AND "
        + condition
        + " UNION ALL "
        + Sql(head + "1 AND ", (p,))
        + condition
    )
