"""Dates, times and date-times of stated precision: reading, comparing, arithmetic, boundaries.

https://hl7.org/fhirpath/N1/#datetime-arithmetic and #comparison
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

Kind = Literal["Date", "DateTime", "Time"]

_DATE_TIME = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?(?:(T)(?:(\d\d)(?::(\d\d)(?::(\d\d(?:\.\d+)?))?)?(Z|[+-]\d\d:\d\d)?)?)?"
)
_TIME = re.compile(r"T?(\d\d)(?::(\d\d)(?::(\d\d(?:\.\d+)?))?)?")
_DAY_SECONDS = 86_400
_MAX_OFFSET_DAYS = 1


@dataclass(frozen=True, slots=True)
class Temporal:
    """A date, date-time or time; ``parts`` from the largest unit down to the precision that is known.

    Date and DateTime: year, month, day, hour, minute, second; Time: hour, minute, second.
    Seconds are Decimal and keep the digits as written. ``offset`` is minutes east of UTC, None if not said.
    """

    kind: Kind
    parts: tuple[int | Decimal, ...]
    offset: int | None = None

    def __str__(self) -> str:
        if self.kind == "Time":
            return _clock_text(self.parts)
        text = "-".join(f"{p:0{w}d}" for p, w in zip(self.parts[:3], (4, 2, 2), strict=False))
        if self.kind == "DateTime":
            text += "T" + _clock_text(self.parts[3:]) if len(self.parts) > 3 else "T" if len(self.parts) < 3 else ""
        return text + _offset_text(self.offset)


def _clock_text(parts: tuple[int | Decimal, ...]) -> str:
    texts = [f"{part:02d}" for part in parts[:2]]
    if len(parts) > 2:
        whole, dot, fraction = f"{parts[2]:f}".partition(".")
        texts.append(whole.zfill(2) + dot + fraction)
    return ":".join(texts)


def _offset_text(offset: int | None) -> str:
    if offset is None:
        return ""
    if offset == 0:
        return "Z"
    hours, minutes = divmod(abs(offset), 60)
    return f"{'-' if offset < 0 else '+'}{hours:02d}:{minutes:02d}"


def parse_temporal(kind: Kind, text: str) -> Temporal | None:
    """The value written in ``text`` (without ``@``); None if it is no such value, or not in the calendar."""
    if kind == "Time":
        match = _TIME.fullmatch(text)
        return _checked(Temporal("Time", _clock(match[1], match[2], match[3]))) if match else None
    match = _DATE_TIME.fullmatch(text)
    if match is None or (kind == "Date" and match[4]):
        return None
    day = tuple(int(part) for part in match.group(1, 2, 3) if part)
    clock = _clock(match[5], match[6], match[7])
    if clock and len(day) < 3:
        return None
    return _checked(Temporal(kind, day + clock, _offset(match[8])))


def _clock(*texts: str | None) -> tuple[int | Decimal, ...]:
    hour, minute, second = texts
    known: tuple[int | Decimal, ...] = tuple(int(part) for part in (hour, minute) if part)
    return (*known, Decimal(second)) if second else known


def _offset(text: str | None) -> int | None:
    if not text:
        return None
    if text == "Z":
        return 0
    minutes = int(text[1:3]) * 60 + int(text[4:6])
    return -minutes if text[0] == "-" else minutes


def _checked(value: Temporal) -> Temporal | None:
    clock = value.parts if value.kind == "Time" else value.parts[3:]
    if any(part >= limit for part, limit in zip(clock, (24, 60, 60), strict=False)):
        return None
    if value.kind != "Time":
        year, month, day = (*value.parts[:3], 1, 1)[:3]
        if not (year >= 1 and 1 <= month <= 12 and 1 <= day <= monthrange(int(year), int(month))[1]):
            return None
    return value if value.offset is None or abs(value.offset) <= 14 * 60 else None


def from_datetime(moment: datetime) -> Temporal:
    """The DateTime of a moment with a zone, to the millisecond."""
    offset = moment.utcoffset()
    second = Decimal(moment.second) + Decimal(moment.microsecond // 1000) / 1000
    parts = (moment.year, moment.month, moment.day, moment.hour, moment.minute, second.quantize(Decimal("0.001")))
    return Temporal("DateTime", parts, None if offset is None else int(offset.total_seconds()) // 60)


def shares_scale(left: Temporal, right: Temporal) -> bool:
    """Whether the two can be compared at all: times with times, dates and date-times with each other."""
    return (left.kind == "Time") == (right.kind == "Time")


def compare(left: Temporal, right: Temporal) -> int | None:
    """-1, 0 or 1; None where a missing part or a missing zone leaves it open. Both must share a scale."""
    if left.offset != right.offset and len(left.parts) > 3 and len(right.parts) > 3:
        if left.offset is None or right.offset is None:
            days = _ordinal(left) - _ordinal(right)
            return None if abs(days) <= _MAX_OFFSET_DAYS else (1 if days > 0 else -1)
        left, right = in_utc(left), in_utc(right)
    for mine, theirs in zip(left.parts, right.parts, strict=False):
        if mine != theirs:
            return -1 if mine < theirs else 1
    return 0 if len(left.parts) == len(right.parts) else None


def in_utc(value: Temporal) -> Temporal:
    """The same moment in UTC, of the same precision."""
    if not value.offset or len(value.parts) < 4:
        return value
    moved = _shift_seconds(value, Decimal(-value.offset * 60))
    return value if moved is None else Temporal(value.kind, moved.parts[: len(value.parts)], 0)


def _ordinal(value: Temporal) -> int:
    year, month, day = (*value.parts[:3], 1, 1)[:3]
    return date(int(year), int(month), int(day)).toordinal()


def _shift_seconds(value: Temporal, seconds: Decimal) -> Temporal | None:
    """The value moved by seconds; its precision may grow to seconds; None outside the calendar."""
    clock = value.parts if value.kind == "Time" else value.parts[3:]
    total = seconds + sum((part * unit for part, unit in zip(clock, (3600, 60, 1), strict=False)), Decimal(0))
    days = int(total // _DAY_SECONDS)
    rest = total - days * _DAY_SECONDS
    if rest < 0:  # Decimal's // rounds towards zero
        days, rest = days - 1, rest + _DAY_SECONDS
    hours, rest = int(rest // 3600), rest % 3600
    moved: tuple[int | Decimal, ...] = (hours, int(rest // 60), rest % 60)
    if value.kind == "Time":
        return Temporal("Time", moved)
    return _with_ordinal(value, _ordinal(value) + days, moved)


def _with_ordinal(value: Temporal, ordinal: int, clock: tuple[int | Decimal, ...]) -> Temporal | None:
    if not 1 <= ordinal <= date.max.toordinal():
        return None
    day = date.fromordinal(ordinal)
    return Temporal(value.kind, (day.year, day.month, day.day, *clock), value.offset)


_SECONDS = {"hour": 3600, "minute": 60, "second": 1}
# How many of a unit make one of the next larger one, for values that do not know the smaller unit.
_COARSER = {
    "second": ("minute", 60),
    "minute": ("hour", 60),
    "hour": ("day", 24),
    "day": ("month", 30),
    "month": ("year", 12),
}
_DEPTH = {"year": 1, "month": 2, "day": 3, "hour": 4, "minute": 5, "second": 6}


def add(value: Temporal, amount: Decimal, unit: str) -> Temporal | None:
    """``value`` moved by ``amount`` of a calendar unit (year, month, week, day, hour, minute, second, millisecond).

    Fractions count for seconds and milliseconds only. Returns None outside the years 1 to 9999.
    """
    if unit == "week":
        unit, amount = "day", Decimal(int(amount)) * 7
    elif unit == "millisecond":
        unit, amount = "second", amount / 1000
    if unit != "second":
        amount = Decimal(int(amount))
    if value.kind == "Time":
        return _added_to_time(value, amount, unit)
    while _DEPTH[unit] > len(value.parts) and not (value.kind == "DateTime" and unit in _SECONDS):
        if _DEPTH[unit] - 1 >= len(value.parts):
            unit, size = _COARSER[unit]
            amount = Decimal(int(amount / size))
    if unit in ("year", "month"):
        return _add_months(value, int(amount) * (12 if unit == "year" else 1))
    if unit == "day":
        return _with_ordinal(value, _ordinal(value) + int(amount), value.parts[3:])
    return _cut(_shift_seconds(value, amount * _SECONDS[unit]), len(value.parts))


def _added_to_time(value: Temporal, amount: Decimal, unit: str) -> Temporal | None:
    seconds = _SECONDS.get(unit)
    return value if seconds is None else _cut(_shift_seconds(value, amount * seconds), len(value.parts))


def _cut(value: Temporal | None, length: int) -> Temporal | None:
    return value and Temporal(value.kind, value.parts[:length], value.offset)


def _add_months(value: Temporal, months: int) -> Temporal | None:
    year, month = int(value.parts[0]), int(value.parts[1]) if len(value.parts) > 1 else 1
    year, month = divmod(year * 12 + month - 1 + months, 12)
    if not 1 <= year <= 9999:
        return None
    parts: tuple[int | Decimal, ...] = (year, month + 1)[: len(value.parts)]
    if len(value.parts) > 2:
        # The last day of the month where that month is shorter.
        parts = (*parts, min(int(value.parts[2]), monthrange(year, month + 1)[1]), *value.parts[3:])
    return Temporal(value.kind, parts, value.offset)


# Digits of precision, as lowBoundary and precision count them, to the number of parts.
_DATE_DIGITS = {4: 1, 6: 2, 8: 3, 10: 4, 12: 5, 14: 6, 17: 6}
_TIME_DIGITS = {2: 1, 4: 2, 6: 3, 9: 3}


def precision(value: Temporal) -> int:
    """The digits known: 4 for a year, 6 month, 8 day, 10, 12, 14 to the second, 17 to the millisecond."""
    scale = _TIME_DIGITS if value.kind == "Time" else _DATE_DIGITS
    whole = len(scale) - 1  # the number of parts of a full value
    if len(value.parts) < whole:
        return next(digits for digits, length in scale.items() if length == len(value.parts))
    fraction = f"{value.parts[-1]:f}".partition(".")[2]
    return list(scale)[-2] + len(fraction)


def boundary(value: Temporal, digits: int | None, high: bool) -> Temporal | None:
    """The first (or last) moment that ``value`` may mean, told to ``digits``; None for a precision there is not."""
    time = value.kind == "Time"
    scale = _TIME_DIGITS if time else _DATE_DIGITS
    length = scale.get(digits or {"Time": 9, "Date": 8, "DateTime": 17}[value.kind])
    if length is None:
        return None
    limits: tuple[int | Decimal, ...] = (23, 59, Decimal("59.999")) if high else (0, 0, Decimal("0.000"))
    parts = list(value.parts)
    if not time:
        while len(parts) < 3:
            # The last day of the month is known once the month is.
            last = 12 if len(parts) == 1 else monthrange(int(parts[0]), int(parts[1]))[1]
            parts.append(last if high else 1)
        limits = (9999, 12, 31, *limits)
    full = (*parts, *limits[len(parts) :])
    if digits in (9, 17, None) and len(value.parts) == len(limits):
        full = (*full[:-1], _to_millisecond(Decimal(full[-1]), high))
    kind: Kind = "DateTime" if not time and length > 3 else value.kind
    offset = value.offset
    if offset is None and not time and length > 3:
        # The zone that is not said may be any: the earliest is 14 hours ahead, the latest 12 behind.
        offset = -12 * 60 if high else 14 * 60
    return Temporal(kind, full[:length], offset if length > 3 else None)


def _to_millisecond(second: Decimal, high: bool) -> Decimal:
    missing = max(0, 3 - len(f"{second:f}".partition(".")[2]))
    unknown = Decimal("0.999") if missing == 3 else Decimal(10**missing - 1) / 1000
    return (second + (unknown if high and missing else 0)).quantize(Decimal("0.001"))
