"""Quantities: a Decimal with a UCUM unit or a calendar duration; comparing and arithmetic.

https://hl7.org/fhirpath/N1/#quantity
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from profiles.fhirpath import numbers
from profiles.fhirpath.units import Unit, base_code, unit

_WORDS = ("year", "month", "week", "day", "hour", "minute", "second", "millisecond")
CALENDAR_UNITS = {form: word for word in _WORDS for form in (word, word + "s")}
"""Each word for a calendar duration, singular and plural, to the singular."""

_DEFINITE = {"week": "wk", "day": "d", "hour": "h", "minute": "min", "second": "s", "millisecond": "ms"}
_MONTHS = {"year": 12, "month": 1}
# For equivalence a calendar year is as good as a definite one.
_LOOSE = {**_DEFINITE, "year": "a", "month": "mo"}


@dataclass(frozen=True, slots=True)
class Quantity:
    """``unit`` is a UCUM code ("1" for none) or the singular word of a calendar duration."""

    value: Decimal
    unit: str = "1"

    def __str__(self) -> str:
        if self.unit in _WORDS:
            return f"{numbers.text(self.value)} {self.unit}"
        return f"{numbers.text(self.value)} '{self.unit}'"


def duration_unit(code: str) -> str | None:
    """The calendar unit by which a date may be moved, for a calendar word or a definite UCUM unit up to the week."""
    if code in _WORDS:
        return code
    return next((word for word, definite in _DEFINITE.items() if definite == code), None)


def compare(left: Quantity, right: Quantity, *, loose: bool = False) -> int | None:
    """-1, 0 or 1; None where the units do not measure the same thing."""
    pair = _in_common(left, right, loose)
    return None if pair is None else (pair[0] > pair[1]) - (pair[0] < pair[1])


def _in_common(left: Quantity, right: Quantity, loose: bool) -> tuple[Fraction, Fraction] | None:
    if not (numbers.is_sane(left.value) and numbers.is_sane(right.value)):
        return None
    if left.unit == right.unit:
        return Fraction(left.value), Fraction(right.value)
    if left.unit in _MONTHS and right.unit in _MONTHS:
        return Fraction(left.value) * _MONTHS[left.unit], Fraction(right.value) * _MONTHS[right.unit]
    words = _LOOSE if loose else _DEFINITE
    ours, theirs = unit(words.get(left.unit, left.unit)), unit(words.get(right.unit, right.unit))
    if ours is None or theirs is None or ours.dimensions != theirs.dimensions:
        return None
    if not loose and (left.unit in _MONTHS or right.unit in _MONTHS):
        return None
    return _in_base(left.value, ours), _in_base(right.value, theirs)


def _in_base(value: Decimal, measure: Unit) -> Fraction:
    return Fraction(value) * measure.factor + measure.offset


def comparable(left: Quantity, right: Quantity) -> bool:
    """Whether the units measure the same thing."""
    return _in_common(left, right, True) is not None


def convert(value: Quantity, code: str) -> Decimal | None:
    """The number of ``value`` in another unit; None where that cannot be."""
    if value.unit == code:
        return value.value
    if not numbers.is_sane(value.value):
        return None
    ours, theirs = unit(_DEFINITE.get(value.unit, value.unit)), unit(_DEFINITE.get(code, code))
    if ours is None or theirs is None or ours.dimensions != theirs.dimensions:
        return None
    return _decimal((_in_base(value.value, ours) - theirs.offset) / theirs.factor)


def multiply(left: Quantity, right: Quantity, *, divide: bool = False) -> Quantity | None:
    """The product, or the quotient, in base units where the two differ; None for units not known or by zero."""
    if (divide and not right.value) or not (numbers.is_sane(left.value) and numbers.is_sane(right.value)):
        return None
    if right.unit == "1":
        return Quantity(left.value / right.value if divide else left.value * right.value, left.unit)
    ours, theirs = unit(_DEFINITE.get(left.unit, left.unit)), unit(_DEFINITE.get(right.unit, right.unit))
    if ours is None or theirs is None or ours.offset or theirs.offset:
        return None
    powers = dict(ours.dimensions)
    for base, power in theirs.dimensions:
        powers[base] = powers.get(base, 0) + (-power if divide else power)
    one, two = _in_base(left.value, ours), _in_base(right.value, theirs)
    dimensions = tuple(sorted((base, power) for base, power in powers.items() if power))
    return Quantity(_decimal(one / two if divide else one * two), base_code(dimensions))


def _decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)
