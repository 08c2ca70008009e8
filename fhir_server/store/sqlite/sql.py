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


TRUE = Sql("1")
FALSE = Sql("0")


def joined(separator: str, parts: Iterable[Sql]) -> Sql:
    """The fragments with ``separator`` between them."""
    found = list(parts)
    return Sql(separator.join(part.text for part in found), tuple(arg for part in found for arg in part.args))


def conjunction(parts: Iterable[Sql]) -> Sql:
    """``(a AND b …)``; true when there is nothing to satisfy."""
    found = [part for part in parts if part != TRUE]
    if not found:
        return TRUE
    return Sql("(") + joined(" AND ", found) + ")"


def disjunction(parts: Iterable[Sql]) -> Sql:
    """``(a OR b …)``; false when there is nothing to choose from."""
    found = [part for part in parts if part != FALSE]
    if not found:
        return FALSE
    return Sql("(") + joined(" OR ", found) + ")"


def marks(count: int) -> str:
    """``?,?,?``"""
    return ",".join("?" * count)
