"""The operators of FHIRPath on evaluated collections.

https://hl7.org/fhirpath/N1/#operations
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any

from profiles.fhirpath import numbers, quantity, temporal, values
from profiles.fhirpath.errors import FhirPathError
from profiles.fhirpath.model import Items, Node
from profiles.fhirpath.quantity import Quantity, duration_unit
from profiles.fhirpath.scope import Run, single
from profiles.fhirpath.temporal import Temporal
from profiles.fhirpath.values import describe, system

Operator = Callable[[Items, Items, Run], Items]


def boolean(items: Items, what: str) -> bool | None:
    """A collection where a Boolean is wanted: None if empty, True for one item of any other type."""
    item = single(items, what)
    if item is None or item.__class__ is bool:
        return item
    value = system(item)
    return value if value.__class__ is bool else True


def _operands(left: Items, right: Items, what: str) -> tuple[Any, Any] | None:
    one, other = system(single(left, what)), system(single(right, what))
    return None if one is None or other is None else (one, other)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _number(value: int | Decimal) -> Items:
    if isinstance(value, int):
        return [] if numbers.in_range(value) is None else [value]
    return [value] if numbers.is_sane(value) or not value else []


def _mismatch(operator: str, one: Any, other: Any) -> FhirPathError:
    return FhirPathError(f"'{operator}' does not join {describe(one)} and {describe(other)}")


def _plus(left: Items, right: Items, run: Run) -> Items:
    return _sum(left, right, run, "+")


def _minus(left: Items, right: Items, run: Run) -> Items:
    return _sum(left, right, run, "-")


def _sum(left: Items, right: Items, run: Run, sign: str) -> Items:
    pair = _operands(left, right, sign)
    if pair is None:
        return []
    one, other = pair
    if _is_number(one) and _is_number(other):
        return _arithmetic(one, other, sign)
    if sign == "+" and isinstance(one, str) and isinstance(other, str):
        return [run.made_text(one + other)]
    if isinstance(one, Temporal) and isinstance(other, Quantity):
        return _moved(one, other, sign)
    if isinstance(one, Quantity) and isinstance(other, Quantity):
        converted = quantity.convert(other, one.unit)
        total = [] if converted is None else _arithmetic(one.value, converted, sign)
        return [Quantity(Decimal(value), one.unit) for value in total]
    raise _mismatch(sign, one, other)


def _arithmetic(one: int | Decimal, other: int | Decimal, sign: str) -> Items:
    if isinstance(one, int) and isinstance(other, int):
        return _number(one + other if sign == "+" else one - other)
    with localcontext() as context:
        context.clear_traps()
        one, other = Decimal(one), Decimal(other)
        return _number(one + other if sign == "+" else one - other)


def _moved(value: Temporal, by: Quantity, sign: str) -> Items:
    unit = duration_unit(by.unit)
    if unit is None:
        raise FhirPathError(f"a date or time cannot be moved by '{by.unit}': use a calendar duration")
    if not numbers.is_sane(by.value) or abs(by.value) > 10**15:
        return []
    moved = temporal.add(value, -by.value if sign == "-" else by.value, unit)
    return [] if moved is None else [moved]


def _times(left: Items, right: Items, run: Run) -> Items:
    return _product(left, right, "*")


def _divided(left: Items, right: Items, run: Run) -> Items:
    return _product(left, right, "/")


def _product(left: Items, right: Items, operator: str) -> Items:
    pair = _operands(left, right, operator)
    if pair is None:
        return []
    one, other = pair
    divide = operator == "/"
    if _is_number(one) and _is_number(other):
        if divide and not other:
            return []
        with localcontext() as context:
            context.clear_traps()
            if divide:
                return _number(Decimal(one) / Decimal(other))
            if isinstance(one, int) and isinstance(other, int):
                return _number(one * other)
            return _number(Decimal(one) * Decimal(other))
    ours = Quantity(Decimal(one)) if _is_number(one) else one
    theirs = Quantity(Decimal(other)) if _is_number(other) else other
    if not (isinstance(ours, Quantity) and isinstance(theirs, Quantity)):
        raise _mismatch(operator, one, other)
    product = quantity.multiply(ours, theirs, divide=divide)
    return [] if product is None else [product]


def _whole_division(operator: str) -> Operator:
    def divide(left: Items, right: Items, run: Run) -> Items:
        pair = _operands(left, right, operator)
        if pair is None:
            return []
        one, other = pair
        if not (_is_number(one) and _is_number(other)):
            raise _mismatch(operator, one, other)
        if not other:
            return []
        with localcontext() as context:
            context.clear_traps()
            # Decimal's own // and % round towards zero, as FHIRPath does; int's do not.
            big, small = Decimal(one), Decimal(other)
            result = big // small if operator == "div" else big % small
        if not result.is_finite():
            return []
        if operator == "div" or (isinstance(one, int) and isinstance(other, int)):
            number = numbers.whole(result)
            return [] if number is None else [number]
        return [result]

    return divide


def _joined(left: Items, right: Items, run: Run) -> Items:
    one, other = system(single(left, "&")), system(single(right, "&"))
    texts = ["" if value is None else value for value in (one, other)]
    if not all(isinstance(value, str) for value in texts):
        raise _mismatch("&", one, other)
    return [run.made_text(texts[0] + texts[1])]


def _equal(left: Items, right: Items, run: Run) -> Items:
    run.spend(_weight(left))
    verdict = values.equal(left[0], right[0]) if len(left) == len(right) == 1 else values.all_equal(left, right)
    return [] if verdict is None else [verdict]


def _weight(items: Items) -> int:
    """What comparing these for equality costs: objects are compared whole."""
    return len(items) * 64 if items and items[0].__class__ is Node and items[0].shape.system is None else len(items)


def _not_equal(left: Items, right: Items, run: Run) -> Items:
    run.spend(_weight(left))
    verdict = values.all_equal(left, right)
    return [] if verdict is None else [not verdict]


def _equivalent(left: Items, right: Items, run: Run) -> Items:
    return [values.all_equivalent(left, right, run.spend)]


def _not_equivalent(left: Items, right: Items, run: Run) -> Items:
    return [not values.all_equivalent(left, right, run.spend)]


def _ordered(operator: str, holds: Callable[[int], bool]) -> Operator:
    def compare(left: Items, right: Items, run: Run) -> Items:
        one, other = single(left, operator), single(right, operator)
        order = None if one is None or other is None else values.compare(one, other)
        return [] if order is None else [holds(order)]

    return compare


def _in(left: Items, right: Items, run: Run) -> Items:
    item = single(left, "in")
    if item is None:
        return []
    run.spend(_weight(right))
    return [any(values.equal(item, other) for other in right)]


def _contains(left: Items, right: Items, run: Run) -> Items:
    return _in(right, left, run)


def _xor(left: Items, right: Items, run: Run) -> Items:
    one, other = boolean(left, "xor"), boolean(right, "xor")
    return [] if one is None or other is None else [one is not other]


BINARY: dict[str, Operator] = {
    "+": _plus,
    "-": _minus,
    "*": _times,
    "/": _divided,
    "div": _whole_division("div"),
    "mod": _whole_division("mod"),
    "&": _joined,
    "=": _equal,
    "!=": _not_equal,
    "~": _equivalent,
    "!~": _not_equivalent,
    "<": _ordered("<", lambda order: order < 0),
    ">": _ordered(">", lambda order: order > 0),
    "<=": _ordered("<=", lambda order: order <= 0),
    ">=": _ordered(">=", lambda order: order >= 0),
    "in": _in,
    "contains": _contains,
    "xor": _xor,
}
"""Operators which evaluate both sides; ``and``, ``or``, ``implies`` need not and are compiled."""


def negative(items: Items) -> Items:
    """The number or quantity with its sign turned."""
    value = system(single(items, "-"))
    if value is None:
        return []
    if isinstance(value, Quantity):
        return [Quantity(-value.value, value.unit)]
    if not _is_number(value):
        raise FhirPathError(f"'-' needs a number, not {describe(value)}")
    return [-value]


def positive(items: Items) -> Items:
    """The number or quantity itself."""
    value = system(single(items, "+"))
    if value is not None and not _is_number(value) and not isinstance(value, Quantity):
        raise FhirPathError(f"'+' needs a number, not {describe(value)}")
    return [] if value is None else [value]
