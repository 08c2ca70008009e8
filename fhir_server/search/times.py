"""FHIR dates as half-open intervals of microseconds since 1970 UTC, by their precision.

https://hl7.org/fhir/R4/search.html#date: a date stands for the whole interval that its
precision covers; without a zone it is read in the zone of the deployment.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from .tree import MAX_TIME, MIN_TIME

Interval = tuple[int, int]
Reader = Callable[[str], Interval | None]

SECOND = 1_000_000
DAY = 86_400 * SECOND
_LONG = 64  # characters; longer texts would fill the memory if they were remembered
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_SHANGHAI = 8 * 3600 * SECOND
_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+ -]\d\d:\d\d)?)?)?)?", re.ASCII
)


def _offset(text: str) -> int:
    """The microseconds east of UTC of ``Z`` or ``+08:00`` (a blank stands for a plus lost in a URL)."""
    if text == "Z":
        return 0
    east = (int(text[1:3]) * 3600 + int(text[4:6]) * 60) * SECOND
    return -east if text[0] == "-" else east


def _zone_offset(zone: str) -> Callable[[int], int]:
    """From local microseconds to the offset of ``zone`` at that local time."""
    if zone == "Asia/Shanghai":  # one offset since 1992; the same reading serves both sides before that
        return lambda local: _SHANGHAI
    place = ZoneInfo(zone)
    start = datetime(1970, 1, 1)

    def offset(local: int) -> int:
        try:
            found = (start + timedelta(microseconds=local)).replace(tzinfo=place).utcoffset()
        except OverflowError:
            found = None
        return (found or timedelta()) // timedelta(microseconds=1)

    return offset


def _span(groups: tuple[str | None, ...]) -> Interval:
    """Local [low, high) of the matched parts. Raises ValueError for no such day or time."""
    year, month, day, hour, minute, second, fraction, _ = groups
    y = int(year or 0)
    if month is None:
        return _days(y, 1, 1), (_days(y + 1, 1, 1) if y < 9999 else _days(y, 12, 31) + DAY)
    m = int(month)
    if day is None:
        low = _days(y, m, 1)
        return low, (_days(y, m + 1, 1) if m < 12 else _days(y, 12, 31) + DAY)
    low = _days(y, m, int(day))
    if hour is None or minute is None:
        return low, low + DAY
    h, mi, s = int(hour), int(minute), int(second or 0)
    if h > 24 or mi > 59 or s > 60 or (h == 24 and (mi or s)):
        raise ValueError("no such time of day")
    low += (h * 3600 + mi * 60 + s) * SECOND
    if second is None:
        return low, low + 60 * SECOND
    if fraction is None:
        return low, low + SECOND
    digits = fraction[:6]
    step = 10 ** (6 - len(digits))
    low += int(digits) * step
    return low, low + step


def _days(year: int, month: int, day: int) -> int:
    return (date(year, month, day).toordinal() - _EPOCH_DAY) * DAY


@lru_cache(maxsize=8)
def interval_reader(zone: str = "Asia/Shanghai") -> Reader:
    """The function from a FHIR date, dateTime or instant to its interval, None for anything else.

    Also reads minutes without seconds, which searches may give. Raises
    ``zoneinfo.ZoneInfoNotFoundError`` for an unknown zone.
    """
    offset_at = _zone_offset(zone)

    def read(text: str) -> Interval | None:
        return remembered(text) if len(text) <= _LONG else calculated(text)

    def calculated(text: str) -> Interval | None:
        found = _DATE.fullmatch(text)
        if found is None:
            return None
        groups = found.groups()
        try:
            low, high = _span(groups)
        except ValueError:
            return None
        if (given := groups[7]) is not None:
            shift = _offset(given)
            return low - shift, high - shift
        return low - offset_at(low), high - offset_at(high)

    remembered = lru_cache(maxsize=65_536)(calculated)
    return read


def widen(interval: Interval, now: int) -> Interval:
    """The interval of an approximate date: 10 % of its distance from ``now`` on both sides."""
    low, high = interval
    distance = max(low - now, now - high, 0) // 10
    return max(low - distance, MIN_TIME), min(high + distance, MAX_TIME)
