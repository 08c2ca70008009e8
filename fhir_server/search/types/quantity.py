"""Quantity parameters: numbers with units, money and ranges; UCUM units also in canonical form.

https://hl7.org/fhir/R4/search.html#quantity. A quantity in UCUM has a second row under the
key ``code:ucum`` with its value in base units, so that 5 g is found as 5000 mg; the row as
given serves searches that name no system.
"""

from __future__ import annotations

import math
from typing import Any

from fhir_server.search.context import Context, bad_value, no_modifier, per_source, prefixed, split, unescape
from fhir_server.search.plan import Indexed
from fhir_server.search.rows import Rows
from fhir_server.search.sinks import Factory, Setting, Sink
from fhir_server.search.tree import Node, Param, Quantity
from fhir_server.search.types.number import read_number
from terminology import ucum
from terminology.comparators import bounds

CANONICAL = "ucum:canonical"
CURRENCY = "urn:iso:std:iso:4217"


def _add(out: Rows, key: str, low: float, high: float, value: Any) -> None:
    """The rows of a range of values with the unit of the Quantity ``value``."""
    system, code, unit = value.get("system", ""), value.get("code", ""), value.get("unit", "")
    if not (type(system) is str and type(code) is str and type(unit) is str):
        return
    out.qty.append((key, low, high, system, code or unit))
    if code and unit and unit != code:  # "||unit" also asks for the printed unit
        out.qty.append((key, low, high, "", unit))
    if system == ucum.SYSTEM and code and (base := ucum.canonical(code)) is not None:
        least = base.scale(low)
        out.qty.append((key + ":ucum", least, least if low == high else base.scale(high), CANONICAL, base.code))


def _quantity(key: str, setting: Setting) -> Sink:
    def sink(value: Any, out: Rows) -> None:
        number = value.get("value")
        if number is None or type(number) is bool or not math.isfinite(plain := float(number)):
            return
        comparator = value.get("comparator")
        low, high = bounds(plain, comparator) if comparator is not None else (plain, plain)
        _add(out, key, low, high, value)

    return sink


def _range(key: str, setting: Setting) -> Sink:
    def sink(value: Any, out: Rows) -> None:
        low, high = value.get("low"), value.get("high")
        if low or high:
            _add(
                out,
                key,
                float(low["value"]) if low else -math.inf,
                float(high["value"]) if high else math.inf,
                low or high,
            )

    return sink


def _sampled_data(key: str, setting: Setting) -> Sink:
    """The range that the samples cover."""

    def sink(value: Any, out: Rows) -> None:
        origin, factor = value["origin"], float(value.get("factor", 1))
        lower, upper = value.get("lowerLimit"), value.get("upperLimit")
        limits = {"L": lower, "U": upper}
        numbers: list[float] = []
        for word in str(value.get("data", "")).split():
            if word == "E":
                continue
            limit = limits.get(word, word)
            if limit is not None:
                numbers.append(float(limit))
        if numbers:
            ends = [float(origin["value"]) + factor * n for n in (min(numbers), max(numbers))]
            _add(out, key, min(ends), max(ends), origin)

    return sink


def _money(key: str, setting: Setting) -> Sink:
    def sink(value: Any, out: Rows) -> None:
        number, currency = value.get("value"), value.get("currency", "")
        if number is not None and type(currency) is str:
            out.qty.append((key, float(number), float(number), CURRENCY if currency else "", currency))

    return sink


SINKS: dict[str, Factory] = {
    **dict.fromkeys(("Quantity", "SimpleQuantity", "MoneyQuantity", "Age", "Duration", "Count", "Distance"), _quantity),
    "Range": _range,
    "SampledData": _sampled_data,
    "Money": _money,
}

MODIFIERS = ("missing",)


def node(context: Context, indexed: Indexed, modifier: str, text: str) -> Node:
    """The condition that one quantity asks: ``5.4``, ``5.4|system|code`` or ``5.4||code``."""
    if modifier:
        raise no_modifier(indexed, modifier, MODIFIERS)
    parts = [unescape(part) for part in split(text, "|")]
    prefix, rest = prefixed(parts[0])
    found = read_number(rest, prefix)
    if found is None or len(parts) not in (1, 3):
        raise bad_value(
            indexed, text, "it is a prefix, a number and perhaps a unit, like 5.4, 5.4||mg or 5.4|system|code"
        )
    system, code = (parts[1] or None, parts[2] or None) if len(parts) == 3 else (None, None)
    if system == ucum.SYSTEM and code and (base := ucum.canonical(code)) is not None:
        value, low, high = (base.scale(float(n)) for n in found)
        return per_source(
            indexed,
            lambda p, _: Quantity(Param(p.type, f"{p.key}:ucum"), prefix, value, low, high, CANONICAL, base.code),
        )
    value, low, high = map(float, found)
    return per_source(indexed, lambda p, _: Quantity(p, prefix, value, low, high, system, code))
