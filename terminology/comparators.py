"""What a Quantity with a comparator stands for. https://hl7.org/fhir/R4/valueset-quantity-comparator.html"""

from __future__ import annotations

import math


def bounds(number: float, comparator: str | None) -> tuple[float, float]:
    """The closed range of values that ``number`` with a comparator stands for."""
    match comparator:
        case "<":
            return -math.inf, math.nextafter(number, -math.inf)
        case "<=":
            return -math.inf, number
        case ">":
            return math.nextafter(number, math.inf), math.inf
        case ">=":
            return number, math.inf
    return number, number
