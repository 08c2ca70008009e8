"""Conversions between the system types: toX() and convertsToX().

https://hl7.org/fhirpath/N1/#conversion
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from profiles.fhirpath import quantity
from profiles.fhirpath.functions.signature import Args, Function, Table, text_argument
from profiles.fhirpath.model import Items
from profiles.fhirpath.numbers import in_range
from profiles.fhirpath.quantity import CALENDAR_UNITS, Quantity
from profiles.fhirpath.scope import Scope, single
from profiles.fhirpath.temporal import Kind, Temporal, parse_temporal
from profiles.fhirpath.values import system, text_of

_INTEGER = re.compile(r"[+-]?\d{1,10}")
_DECIMAL = re.compile(r"[+-]?\d{1,64}(?:\.\d{1,64})?")
_QUANTITY = re.compile(r"([+-]?\d{1,64}(?:\.\d{1,64})?)\s*(?:'([^']+)'|([a-zA-Z]+))?")
_TRUE = frozenset({"true", "t", "yes", "y", "1", "1.0"})
_FALSE = frozenset({"false", "f", "no", "n", "0", "0.0"})


def _boolean(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | Decimal):
        return {1: True, 0: False}.get(int(value)) if value in (0, 1) else None
    if isinstance(value, str):
        word = value.lower()
        return True if word in _TRUE else False if word in _FALSE else None
    return None


def _integer(value: Any) -> int | None:
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return in_range(int(value))
    return None


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, int | Decimal):
        return Decimal(value)
    return Decimal(value) if isinstance(value, str) and _DECIMAL.fullmatch(value) else None


def _quantity(value: Any) -> Quantity | None:
    if isinstance(value, Quantity):
        return value
    if isinstance(value, int | Decimal):
        return Quantity(Decimal(value))
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    word = match[3]
    if word and word not in CALENDAR_UNITS:
        return None
    unit = CALENDAR_UNITS[word] if word else CALENDAR_UNITS.get(match[2] or "", match[2])
    return Quantity(Decimal(match[1]), unit or "1")


def _temporal(kind: Kind) -> Callable[[Any], Temporal | None]:
    def convert(value: Any) -> Temporal | None:
        if isinstance(value, str):
            return parse_temporal(kind, value)
        if not isinstance(value, Temporal) or (value.kind == "Time") != (kind == "Time"):
            return None
        return Temporal(kind, value.parts[:3] if kind == "Date" else value.parts, value.offset)

    return convert


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "Boolean": _boolean,
    "Integer": _integer,
    "Decimal": _decimal,
    "String": text_of,
    "Quantity": _quantity,
    "Date": _temporal("Date"),
    "DateTime": _temporal("DateTime"),
    "Time": _temporal("Time"),
}


def _converted(items: Items, args: Args, scope: Scope, name: str, convert: Callable[[Any], Any]) -> tuple[bool, Any]:
    """Whether there is an input, and what it converts to (None if it does not)."""
    value = system(single(items, name))
    if value is None:
        return False, None
    result = convert(value)
    unit = text_argument(args, 0, scope, name)
    if unit is not None and isinstance(result, Quantity):
        unit = CALENDAR_UNITS.get(unit, unit)
        number = quantity.convert(result, unit)
        result = None if number is None else Quantity(number, unit)
    return True, result


def _functions(type_name: str, convert: Callable[[Any], Any]) -> Table:
    to_name, test_name = f"to{type_name}", f"convertsTo{type_name}"
    most = 1 if type_name == "Quantity" else 0

    def to(items: Items, args: Args, scope: Scope) -> Items:
        _, result = _converted(items, args, scope, f"{to_name}()", convert)
        return [] if result is None else [result]

    def converts(items: Items, args: Args, scope: Scope) -> Items:
        given, result = _converted(items, args, scope, f"{test_name}()", convert)
        return [result is not None] if given else []

    return {to_name: Function(to, 0, most), test_name: Function(converts, 0, most)}


TABLE: Table = {
    name: function
    for type_name, convert in _CONVERSIONS.items()
    for name, function in _functions(type_name, convert).items()
}
