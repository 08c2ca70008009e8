"""Functions on numbers and quantities.

https://hl7.org/fhirpath/N1/#math
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal, localcontext

from profiles.fhirpath import numbers
from profiles.fhirpath.errors import FhirPathError
from profiles.fhirpath.functions.signature import Apply, Args, Function, Table, argument, integer_argument
from profiles.fhirpath.model import Items
from profiles.fhirpath.quantity import Quantity
from profiles.fhirpath.scope import Scope, single
from profiles.fhirpath.values import describe, system

Number = int | Decimal


def _number(items: Items, name: str) -> Number | None:
    value = system(single(items, name))
    if value is None or (isinstance(value, int | Decimal) and not isinstance(value, bool)):
        return value
    raise FhirPathError(f"{name} works on a number, not on {describe(value)}")


def _to_integer(name: str, rounding: Callable[[Decimal], Decimal]) -> Apply:
    def apply(items: Items, args: Args, scope: Scope) -> Items:
        value = _number(items, name)
        if value is None or not numbers.is_sane(Decimal(value)):
            return [] if value is None or value else [0]
        number = numbers.whole(rounding(Decimal(value)))
        return [] if number is None else [number]

    return apply


def _real(name: str, function: Callable[[Decimal], Decimal]) -> Apply:
    """A function of real numbers: empty where it has no (finite) result."""

    def apply(items: Items, args: Args, scope: Scope) -> Items:
        value = _number(items, name)
        return [] if value is None else _finite(lambda: function(Decimal(value)))

    return apply


def _finite(compute: Callable[[], Decimal]) -> Items:
    with localcontext() as context:
        context.clear_traps()
        context.prec, context.Emax, context.Emin = 28, 9_999, -9_999
        result = compute()
    return [result] if result.is_finite() else []


def _abs(items: Items, args: Args, scope: Scope) -> Items:
    value = system(single(items, "abs()"))
    if isinstance(value, Quantity):
        return [Quantity(abs(value.value), value.unit)]
    number = _number(items, "abs()")
    return [] if number is None else [abs(number)]


def _round(items: Items, args: Args, scope: Scope) -> Items:
    value, digits = _number(items, "round()"), integer_argument(args, 0, scope, "round()") or 0
    if digits < 0:
        raise FhirPathError("round() takes a precision of 0 or more")
    if value is None or isinstance(value, int):
        return [] if value is None else [value]
    if not numbers.is_sane(value) or digits >= 28:
        return [value]
    return _finite(lambda: value.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP))


def _log(items: Items, args: Args, scope: Scope) -> Items:
    value, base = _number(items, "log()"), argument(args, 0, scope, "log()")
    if value is None or base is None:
        return []
    if not isinstance(base, int | Decimal) or isinstance(base, bool):
        raise FhirPathError(f"log() needs a number, not {describe(base)}")
    if value <= 0 or base <= 0 or base == 1:
        return []
    if base == 10:
        return _finite(lambda: Decimal(value).log10())
    # One rounding less than the division has: 16.log(2) is 4, not 3.999….
    return _finite(lambda: round(Decimal(value).ln() / Decimal(base).ln(), 24).normalize())


def _power(items: Items, args: Args, scope: Scope) -> Items:
    value, exponent = _number(items, "power()"), argument(args, 0, scope, "power()")
    if value is None or exponent is None:
        return []
    if not isinstance(exponent, int | Decimal) or isinstance(exponent, bool):
        raise FhirPathError(f"power() needs a number, not {describe(exponent)}")
    result = _finite(lambda: Decimal(value) ** Decimal(exponent))
    if result and isinstance(value, int) and isinstance(exponent, int) and exponent >= 0:
        number = numbers.whole(result[0])
        return [] if number is None else [number]
    return result


TABLE: Table = {
    "abs": Function(_abs),
    "ceiling": Function(_to_integer("ceiling()", lambda value: value.to_integral_value(ROUND_CEILING))),
    "floor": Function(_to_integer("floor()", lambda value: value.to_integral_value(ROUND_FLOOR))),
    "truncate": Function(_to_integer("truncate()", lambda value: value)),
    "exp": Function(_real("exp()", Decimal.exp)),
    "ln": Function(_real("ln()", Decimal.ln)),
    "sqrt": Function(_real("sqrt()", Decimal.sqrt)),
    "log": Function(_log, 1, 1),
    "power": Function(_power, 1, 1),
    "round": Function(_round, 0, 1),
}
