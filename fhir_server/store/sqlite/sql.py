"""SQL text with its arguments, so that fragments compose without losing count of the question marks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple


class Sql(NamedTuple):
    """A fragment: its text has one ``?`` for each of ``args``."""

    text: str
    args: tuple[Any, ...] = ()

    def __add__(self, other: object) -> Sql:
        """Concatenation with another fragment or bare text."""
        if isinstance(other, Sql):
            return Sql(self.text + other.text, self.args + other.args)
        return Sql(self.text + str(other), self.args)


_WIDE = 64
TRUE = Sql("1")
FALSE = Sql("0")


def joined(separator: str, parts: Iterable[Sql]) -> Sql:
    """The fragments with ``separator`` between them."""
    found = list(parts)
    return Sql(separator.join(part.text for part in found), tuple(arg for part in found for arg in part.args))


def conjunction(parts: Iterable[Sql]) -> Sql:
    """``(a AND b …)``; true when there is nothing to satisfy."""
    found = [part for part in parts if part != TRUE]
    if FALSE in found:  # never left to SQLite, which finds no plan for some indexes beside a constant
        return FALSE
    return _grouped(" AND ", found) if found else TRUE


def disjunction(parts: Iterable[Sql]) -> Sql:
    """``(a OR b …)``; false when there is nothing to choose from."""
    found = [part for part in parts if part != FALSE]
    if TRUE in found:
        return TRUE
    return _grouped(" OR ", found) if found else FALSE


def _grouped(operator: str, parts: list[Sql]) -> Sql:
    """The parts in parentheses, as a balanced tree where they are many: SQLite bounds the depth of expressions."""
    if len(parts) == 1:
        return parts[0]
    if len(parts) > _WIDE:
        half = len(parts) // 2
        parts = [_grouped(operator, parts[:half]), _grouped(operator, parts[half:])]
    return Sql("(") + joined(operator, parts) + ")"


def marks(count: int) -> str:
    """``?,?,?``"""
    return ",".join("?" * count)
