"""Number parameters, and the precision that a written number implies.

https://hl7.org/fhir/R4/search.html#number
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Any, NamedTuple

from fhir_server.search.context import Context, bad_value, no_modifier, per_source, prefixed
from fhir_server.search.plan import Indexed
from fhir_server.search.rows import Rows
from fhir_server.search.sinks import Factory, Setting, Sink
from fhir_server.search.tree import Node, Prefix, Quantity

_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d{1,3})?", re.ASCII)
_MOST_DIGITS = 60


def _decimal(key: str, setting: Setting) -> Sink:
    def sink(value: Any, out: Rows) -> None:
        if type(value) is not bool and math.isfinite(number := float(value)):
            out.qty.append((key, number, number, "", ""))

    return sink


def _range(key: str, setting: Setting) -> Sink:
    def sink(value: Any, out: Rows) -> None:
        low, high = value.get("low"), value.get("high")
        if low or high:
            out.qty.append(
                (key, float(low["value"]) if low else -math.inf, float(high["value"]) if high else math.inf, "", "")
            )

    return sink


SINKS: dict[str, Factory] = {
    **dict.fromkeys(("decimal", "integer", "positiveInt", "unsignedInt"), _decimal),
    "Range": _range,
}

MODIFIERS = ("missing",)


class Written(NamedTuple):
    """A number in a search: its value and the half-open range [low, high) that it stands for."""

    value: Decimal
    low: Decimal
    high: Decimal


def read_number(text: str, prefix: Prefix) -> Written | None:
    """A written number with its implied precision (``ap``: 10 % around), None for anything else.

    100 stands for [99.5, 100.5), 100.00 for [99.995, 100.005); with an exponent, as in the
    specification's own example, 1e2 for [95, 105).
    """
    if _NUMBER.fullmatch(text) is None or len(text) > _MOST_DIGITS:
        return None
    value = Decimal(text)
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        return None
    half = Decimal(5).scaleb(exponent - (2 if exponent > 0 else 1))
    if prefix is Prefix.AP:
        half = max(half, abs(value) / 10)
    return Written(value, value - half, value + half)


def node(context: Context, indexed: Indexed, modifier: str, text: str) -> Node:
    """The condition that one number asks."""
    if modifier:
        raise no_modifier(indexed, modifier, MODIFIERS)
    prefix, rest = prefixed(text)
    found = read_number(rest, prefix)
    if found is None:
        raise bad_value(indexed, text, "it is a prefix and a number like 100, 5.40 or 1e-3")
    value, low, high = map(float, found)
    return per_source(indexed, lambda p, _: Quantity(p, prefix, value, low, high, "", ""))
