"""Numbers within bounds: whole parts and plain texts of decimals whose exponent may be hostile.

https://hl7.org/fhirpath/N1/#math: an operation that overflows gives the empty collection.
"""

from __future__ import annotations

from decimal import Decimal

MAX_INTEGER = 2**31 - 1
_MAX_DIGITS = 64


def is_sane(value: Decimal) -> bool:
    """Whether the value can be written out in at most some sixty digits on either side of the point."""
    return value.is_finite() and -_MAX_DIGITS <= value.adjusted() <= _MAX_DIGITS


def whole(value: Decimal) -> int | None:
    """The integer without the fraction (towards zero); None out of the range of an Integer."""
    if value.is_finite() and value.adjusted() < 0:
        return 0
    return in_range(int(value)) if is_sane(value) else None


def in_range(value: int) -> int | None:
    """The integer, or None if FHIRPath's Integer cannot hold it."""
    return value if -MAX_INTEGER - 1 <= value <= MAX_INTEGER else None


def text(value: Decimal) -> str:
    """The number in digits, without exponent where that is not too long."""
    return f"{value:f}" if is_sane(value) or not value else str(value)
