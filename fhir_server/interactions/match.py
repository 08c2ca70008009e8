"""Whether a resource that is not stored yet satisfies a search criterion, judged by its index rows.

https://hl7.org/fhir/R4/http.html#transaction: conditions of a transaction also see its own writes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fhir_server.search import tree
from fhir_server.search.rows import Rows

_DATES: dict[tree.Prefix, Callable[[int, int, int, int], bool]] = {
    tree.Prefix.EQ: lambda low, high, a, b: a <= low and high <= b,
    tree.Prefix.NE: lambda low, high, a, b: not (a <= low and high <= b),
    tree.Prefix.GT: lambda low, high, a, b: high > b,
    tree.Prefix.LT: lambda low, high, a, b: low < a,
    tree.Prefix.GE: lambda low, high, a, b: high > b or (a <= low and high <= b),
    tree.Prefix.LE: lambda low, high, a, b: low < a or (a <= low and high <= b),
    tree.Prefix.SA: lambda low, high, a, b: low >= b,
    tree.Prefix.EB: lambda low, high, a, b: high <= a,
    tree.Prefix.AP: lambda low, high, a, b: low < b and high > a,
}


def matches(node: tree.Node, id: str, rows: Rows) -> bool:
    """Whether the resource ``id`` with these rows satisfies ``node``.

    Conditions that look at other resources or at text (chains, ``_has``, ``_text``, lists, composites,
    quantities, distances) are never satisfied by a resource that is not stored yet.
    """
    test = _TESTS.get(type(node))
    return test is not None and test(node, id, rows)


def anchor(node: tree.Node) -> tuple[str, str] | None:
    """A (key, code) that every match must have among its tokens, if the criterion names one."""
    if isinstance(node, tree.Token) and node.code is not None:
        return node.param.key, node.code
    if isinstance(node, tree.And):
        return next((found for part in node.nodes if (found := anchor(part))), None)
    return None


def _token(node: tree.Token, id: str, rows: Rows) -> bool:
    return any(
        key == node.param.key
        and (node.system is None or node.system == system)
        and (node.code is None or node.code == code)
        for key, system, code in rows.tok
    )


def _string(node: tree.String, id: str, rows: Rows) -> bool:
    mode, wanted = node.mode, node.value
    for key, normalised, exact in rows.str:
        if (
            key == node.param.key
            and {
                tree.StringMode.EXACT: exact == wanted,
                tree.StringMode.PREFIX: normalised.startswith(wanted),
                tree.StringMode.CONTAINS: wanted in normalised,
                tree.StringMode.EQUAL: normalised == wanted,
                tree.StringMode.SUFFIX: normalised.endswith(wanted),
            }[mode]
        ):
            return True
    return False


def _uri(node: tree.Uri, id: str, rows: Rows) -> bool:
    mode, wanted = node.mode, node.value
    for key, _, stored in rows.tok:
        if (
            key == node.param.key
            and {
                tree.UriMode.EXACT: stored == wanted,
                tree.UriMode.BELOW: stored.startswith(wanted),
                tree.UriMode.ABOVE: wanted.startswith(stored),
            }[mode]
        ):
            return True
    return False


def _date(node: tree.Date, id: str, rows: Rows) -> bool:
    test = _DATES[node.prefix]
    return any(key == node.param.key and test(low, high, node.low, node.high) for key, low, high in rows.dat)


def _reference(node: tree.Reference, id: str, rows: Rows) -> bool:
    return any(
        key == node.param.key and node.type in (None, target) and target_id == node.id
        for key, target, target_id in rows.ref
    )


_TESTS: dict[type[tree.Node], Callable[[Any, str, Rows], bool]] = {
    tree.And: lambda node, id, rows: all(matches(part, id, rows) for part in node.nodes),
    tree.Or: lambda node, id, rows: any(matches(part, id, rows) for part in node.nodes),
    tree.Not: lambda node, id, rows: type(node.node) in _TESTS and not matches(node.node, id, rows),
    tree.Id: lambda node, id, rows: id in node.ids,
    tree.Missing: lambda node, id, rows: (node.param.key not in rows.present) is node.missing,
    tree.Token: _token,
    tree.String: _string,
    tree.Uri: _uri,
    tree.Date: _date,
    tree.Reference: _reference,
}
