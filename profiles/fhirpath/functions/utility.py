"""Clock, boundaries, precision, tracing and type information.

https://hl7.org/fhirpath/N1/#utility-functions and https://hl7.org/fhirpath/#utility-functions (boundaries)
"""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal, localcontext
from typing import Any

from profiles.fhirpath import numbers, quantity, temporal
from profiles.fhirpath.errors import FhirPathError
from profiles.fhirpath.functions.signature import (
    Apply,
    Args,
    Function,
    Table,
    argument,
    integer_argument,
    on,
    text_argument,
)
from profiles.fhirpath.model import Items
from profiles.fhirpath.quantity import Quantity
from profiles.fhirpath.results import plain
from profiles.fhirpath.scope import Scope, single
from profiles.fhirpath.temporal import Temporal
from profiles.fhirpath.values import describe, system, type_info

_MAX_DECIMALS = 28
_DEFAULT_DECIMALS = 8


def _now(items: Items, args: Args, scope: Scope) -> Items:
    return [temporal.from_datetime(scope.run.moment())]


def _today(items: Items, args: Args, scope: Scope) -> Items:
    moment = scope.run.moment()
    return [Temporal("Date", (moment.year, moment.month, moment.day))]


def _time_of_day(items: Items, args: Args, scope: Scope) -> Items:
    return [Temporal("Time", temporal.from_datetime(scope.run.moment()).parts[3:])]


def _trace(items: Items, args: Args, scope: Scope) -> Items:
    tell = scope.run.environment.trace
    if tell is not None:
        name = text_argument(args, 0, scope, "trace()") or ""
        shown = items
        if len(args) > 1:
            shown = [found for index, item in enumerate(items) for found in args[1](on(item, index, scope))]
        tell(name, [value for item in shown if (value := plain(item)) is not None])
    return items


def _type(items: Items, args: Args, scope: Scope) -> Items:
    return [type_info(item) for item in items]


def _boundary(name: str, high: bool) -> Apply:
    def apply(items: Items, args: Args, scope: Scope) -> Items:
        value, digits = system(single(items, name)), integer_argument(args, 0, scope, name)
        if value is None:
            return []
        bound = _bound(value, digits, high, name)
        return [] if bound is None else [bound]

    return apply


def _bound(value: Any, digits: int | None, high: bool, name: str) -> Any:
    if isinstance(value, Temporal):
        return temporal.boundary(value, digits, high)
    if isinstance(value, Quantity):
        bound = _decimal_bound(value.value, digits, high)
        return None if bound is None else Quantity(bound, value.unit)
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return _decimal_bound(Decimal(value), digits, high)
    raise FhirPathError(f"{name} works on numbers, quantities, dates and times, not on {describe(value)}")


def _decimal_bound(value: Decimal, digits: int | None, high: bool) -> Decimal | None:
    """Half a unit of the last digit away, told to ``digits``: rounded outwards half up, inwards cut off."""
    digits = _DEFAULT_DECIMALS if digits is None else digits
    if not 0 <= digits <= _MAX_DECIMALS or not numbers.is_sane(value):
        return None
    exponent = value.as_tuple().exponent
    half = Decimal(5).scaleb(min(0, exponent if isinstance(exponent, int) else 0) - 1)
    outwards = high != value.is_signed()
    with localcontext() as context:
        context.prec = 2 * 64 + _MAX_DECIMALS
        moved = value + half if high else value - half
        return moved.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP if outwards else ROUND_DOWN)


def _precision(items: Items, args: Args, scope: Scope) -> Items:
    value = system(single(items, "precision()"))
    if value is None:
        return []
    if isinstance(value, Temporal):
        return [temporal.precision(value)]
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        exponent = Decimal(value).as_tuple().exponent
        return [max(0, -exponent)] if isinstance(exponent, int) else []
    raise FhirPathError(f"precision() works on numbers, dates and times, not on {describe(value)}")


def _comparable(items: Items, args: Args, scope: Scope) -> Items:
    one, other = system(single(items, "comparable()")), argument(args, 0, scope, "comparable()")
    if not (isinstance(one, Quantity) and isinstance(other, Quantity)):
        return []
    return [quantity.comparable(one, other)]


TABLE: Table = {
    "now": Function(_now),
    "today": Function(_today),
    "timeOfDay": Function(_time_of_day),
    "trace": Function(_trace, 1, 2),
    "type": Function(_type),
    "lowBoundary": Function(_boundary("lowBoundary()", False), 0, 1),
    "highBoundary": Function(_boundary("highBoundary()", True), 0, 1),
    "precision": Function(_precision),
    "comparable": Function(_comparable, 1, 1),
}
