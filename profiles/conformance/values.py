"""Fixed values, patterns, limits and lengths as closures over JSON values.

https://hl7.org/fhir/R4/elementdefinition.html#fixed-pattern
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from profiles.fhirpath import quantity, temporal

_UCUM = "http://unitsofmeasure.org"
Test = Callable[[Any], bool]


def number(value: Any) -> Any:
    """A float as the decimal it was written as; anything else as it is."""
    return Decimal(repr(value)) if value.__class__ is float else value


def fixed(wanted: Any) -> Test:
    """Whether a value is exactly ``wanted``."""
    if isinstance(wanted, dict):
        parts = {key: fixed(inner) for key, inner in wanted.items()}
        keys = parts.keys()
        return lambda value: (
            value.__class__ is dict and value.keys() == keys and all(test(value[key]) for key, test in parts.items())
        )
    if isinstance(wanted, list):
        tests = [fixed(inner) for inner in wanted]
        return lambda value: (
            value.__class__ is list
            and len(value) == len(tests)
            and all(test(one) for test, one in zip(tests, value, strict=True))
        )
    return _scalar(wanted)


def pattern(wanted: Any) -> Test:
    """Whether a value has all that ``wanted`` has, lists in any order and with more besides."""
    if isinstance(wanted, dict):
        parts = tuple((key, pattern(inner)) for key, inner in wanted.items())

        def has_parts(value: Any) -> bool:
            if value.__class__ is not dict:
                return False
            for key, test in parts:  # noqa: SIM110 (a generator would take twice the time)
                if key not in value or not test(value[key]):
                    return False
            return True

        return has_parts
    if isinstance(wanted, list):
        tests = tuple(pattern(inner) for inner in wanted)

        def has_items(value: Any) -> bool:
            if value.__class__ is not list:
                return False
            for test in tests:
                for one in value:
                    if test(one):
                        break
                else:
                    return False
            return True

        return has_items
    return _scalar(wanted)


def _scalar(wanted: Any) -> Test:
    wanted = number(wanted)
    if isinstance(wanted, bool):
        return lambda value: value is wanted
    if isinstance(wanted, str):
        return lambda value: bool(value == wanted)
    return lambda value: not isinstance(value, bool) and bool(number(value) == wanted)


def shown(value: Any, most: int = 120) -> str:
    """A JSON value in brief, for messages."""
    from profiles.lossless import encode

    text = encode(value).decode() if isinstance(value, dict | list) else str(value)
    return text if len(text) <= most else text[: most - 1] + "…"


def limit(key: str, bound: Any) -> Callable[[Any], int | None]:
    """Compares a value with the bound of ``minValue…`` or ``maxValue…``: -1, 0, 1, or None where nothing is known.

    A Quantity bounds quantities of the same unit, and dates as so much time from now (``-18 a``).
    """
    kind = key[8:]
    if kind == "Quantity" and isinstance(bound, dict):
        return lambda value: (
            _compare_times(value, _from_now(bound)) if isinstance(value, str) else _compare_quantities(value, bound)
        )
    if kind in ("Date", "DateTime", "Instant", "Time"):
        return lambda value: _compare_times(value, str(bound))
    wanted = number(bound)
    return lambda value: _compare_numbers(value, wanted)


def _from_now(bound: dict[str, Any]) -> str:
    days = _CALENDAR.get(str(bound.get("code") or bound.get("unit")))
    try:
        moment = datetime.now(UTC) + timedelta(days=float(number(bound["value"])) * (days or 0))
    except (KeyError, TypeError, ValueError, OverflowError):
        return ""
    return moment.strftime("%Y-%m-%d") if days else ""


_CALENDAR = {"a": 365.25, "mo": 30.4375, "wk": 7.0, "d": 1.0, "h": 1 / 24, "min": 1 / 1440, "s": 1 / 86400}


def _compare_numbers(value: Any, bound: Any) -> int | None:
    try:
        value = number(value)
        return int(value > bound) - int(value < bound)
    except (TypeError, InvalidOperation):
        return None


def _compare_quantities(value: Any, bound: dict[str, Any]) -> int | None:
    if not isinstance(value, dict) or "value" not in value:
        return None
    if value.get("code") != bound.get("code") or value.get("system") != bound.get("system"):
        ours, theirs = as_quantity(value), as_quantity(bound)
        return None if ours is None or theirs is None else quantity.compare(ours, theirs)
    return _compare_numbers(value["value"], number(bound["value"]))


def as_quantity(value: dict[str, Any]) -> quantity.Quantity | None:
    """A FHIR Quantity in UCUM units as FHIRPath has it; None for other units."""
    amount = number(value.get("value"))
    if value.get("system") != _UCUM or not isinstance(value.get("code"), str) or isinstance(amount, bool):
        return None
    return quantity.Quantity(Decimal(amount), value["code"]) if isinstance(amount, int | Decimal) else None


def _compare_times(value: Any, bound: str) -> int | None:
    ours, theirs = _moment(value), _moment(bound)
    if ours is None or theirs is None or not temporal.shares_scale(ours, theirs):
        return None
    return temporal.compare(ours, theirs)


def _moment(value: Any) -> temporal.Temporal | None:
    if not isinstance(value, str):
        return None
    if ":" in value and "-" not in value[:8]:
        return temporal.parse_temporal("Time", value)
    return temporal.parse_temporal("DateTime" if "T" in value else "Date", value)
