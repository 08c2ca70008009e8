"""FHIR dates and times as half-open intervals of microseconds; without a zone they are read in Asia/Shanghai.

https://hl7.org/fhir/R4/datatypes.html#dateTime
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Asia/Shanghai")
FOREVER = 2**62
SECOND, DAY = 1_000_000, 86_400_000_000


def interval(value: str) -> tuple[int, int]:
    """The microseconds [first, first after) that a date or dateTime may mean; year 9999 never ends.

    Raises ValueError for what is no date.
    """
    try:
        low, high = _interval(value)
    except OverflowError as error:
        raise ValueError(f"{value} is no date") from error
    return low, FOREVER if value.startswith("9999") else high


def _interval(value: str) -> tuple[int, int]:
    if "T" in value:
        moment = datetime.fromisoformat(value.replace(":60", ":59"))  # a leap second
        moment = moment if moment.tzinfo else moment.replace(tzinfo=ZONE)
        first = _microseconds(moment)
        return first, first + (1_000 if "." in value else SECOND)
    match [int(part) for part in value.split("-")]:
        case [9999, *rest]:
            return _midnight(date(9999, *rest, *(1, 1)[len(rest) :])), FOREVER
        case [year]:
            return _midnight(date(year, 1, 1)), _midnight(date(year + 1, 1, 1))
        case [year, month]:
            return _midnight(date(year, month, 1)), _midnight(date(year + month // 12, month % 12 + 1, 1))
        case [year, month, day]:
            return _midnight(date(year, month, day)), _midnight(date(year, month, day) + timedelta(days=1))
    raise ValueError(f"{value} is no date")


def period_of(period: Mapping[str, Any] | None) -> tuple[int, int]:
    """The microseconds [low, high) of a Period, without bounds where it has none. Raises ValueError."""
    if not isinstance(period, Mapping):
        return -FOREVER, FOREVER
    low = interval(period["start"])[0] if "start" in period else -FOREVER
    high = interval(period["end"])[1] if "end" in period else FOREVER
    return low, high


def birthday(born: date, years: int) -> int:
    """When (µs) somebody born on this day turns ``years``."""
    leap = (born.month, born.day) == (2, 29)
    return _midnight(date(born.year + years, 3, 1) if leap else born.replace(year=born.year + years))


def _midnight(day: date) -> int:
    return _microseconds(datetime(day.year, day.month, day.day, tzinfo=ZONE))


_EPOCH = datetime(1970, 1, 1, tzinfo=ZoneInfo("UTC"))


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
