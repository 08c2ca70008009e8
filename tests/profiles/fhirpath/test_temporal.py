"""Dates and times of any precision compare, move and print as the calendar does."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiles.fhirpath.temporal import Temporal, add, boundary, compare, from_datetime, in_utc, parse_temporal

ZONES = st.integers(-12 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(datetime(1000, 1, 1), datetime(9000, 1, 1), timezones=ZONES).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)


def parsed(text: str) -> Temporal:
    value = parse_temporal("DateTime", text)
    assert value is not None
    return value


@settings(max_examples=100, deadline=None)
@given(MOMENTS, MOMENTS)
def test_moments_are_ordered_as_datetimes_are(one: datetime, other: datetime) -> None:
    expected = (one > other) - (one < other)
    assert compare(from_datetime(one), from_datetime(other)) == expected


@settings(max_examples=100, deadline=None)
@given(MOMENTS)
def test_a_moment_prints_as_it_was_read_and_stays_itself_in_utc(moment: datetime) -> None:
    value = from_datetime(moment)
    assert parse_temporal("DateTime", str(value)) == value
    assert compare(in_utc(value), value) == 0


@settings(max_examples=100, deadline=None)
@given(MOMENTS, st.integers(-40_000, 40_000), st.sampled_from(["week", "day", "hour", "minute", "second"]))
def test_adding_definite_units_is_what_timedelta_does(moment: datetime, amount: int, unit: str) -> None:
    expected = from_datetime(moment.replace(tzinfo=None) + timedelta(**{unit + "s": amount}))
    moved = add(from_datetime(moment), Decimal(amount), unit)
    assert moved is not None and moved.parts == expected.parts


@settings(max_examples=100, deadline=None)
@given(MOMENTS, st.integers(-1200, 1200))
def test_adding_months_and_taking_them_away_keeps_year_and_month(moment: datetime, months: int) -> None:
    value = from_datetime(moment)
    there = add(value, Decimal(months), "month")
    assert there is not None
    back = add(there, Decimal(-months), "month")
    assert back is not None and back.parts[:2] == value.parts[:2]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("2020", "2021", -1),
        ("2020", "2020-01", None),
        ("2020-01-01T10:00Z", "2020-01-01T10:00", None),
        ("2020-01-03T10:00Z", "2020-01-01T10:00", 1),
        ("2020-01-01T00:30+08:00", "2019-12-31T16:30Z", 0),
        ("2020-01-01T10:00:00", "2020-01-01T10:00:00.000", 0),
    ],
)
def test_what_is_not_known_is_not_decided(one: str, other: str, expected: int | None) -> None:
    assert compare(parsed(one), parsed(other)) == expected


@pytest.mark.parametrize(
    "text",
    ["2020-13", "2021-02-29", "2020-01-32", "0000", "2020-01T10:00", "2020-01-01T24:00", "2020-01-01T10:60", "x", "",
     "2020-01-01T10:00:61", "2020-01-01T10:00+15:00", "2020-1-1", "20200101", " 2020", "2020\n"],
)  # fmt: skip
def test_what_is_no_moment_is_not_read(text: str) -> None:
    assert parse_temporal("DateTime", text) is None


def test_boundaries_enclose_what_a_value_may_mean() -> None:
    february = parsed("2024-02")
    assert str(boundary(february, 8, False)) == "2024-02-01"
    assert str(boundary(february, 8, True)) == "2024-02-29"
    assert str(boundary(february, 17, True)) == "2024-02-29T23:59:59.999-12:00"
    assert boundary(february, 7, True) is None
