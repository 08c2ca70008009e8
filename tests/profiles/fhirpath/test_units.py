"""UCUM units convert exactly, as an independent UCUM library does approximately."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from profiles.fhirpath import quantity
from profiles.fhirpath.quantity import Quantity
from profiles.fhirpath.units import unit

PAIRS = [("g", "mg"), ("kg", "[lb_av]"), ("mg/dL", "g/L"), ("mmol/L", "umol/mL"), ("mm[Hg]", "kPa"), ("cm", "[in_i]"),
         ("kg/m2", "g/cm2"), ("L/min", "mL/s"), ("h", "s"), ("wk", "d"), ("a", "mo"), ("10*9/L", "10*3/uL"),
         ("J", "cal"), ("ug/kg/min", "mg/kg/h"), ("%", "1"), ("m/s", "km/h"), ("[ft_i]", "m"), ("[oz_av]", "g"),
         ("mL/min", "L/h"), ("/min", "Hz"), ("N", "kg.m/s2"), ("bar", "Pa"), ("V", "mV"), ("U/L", "nkat/mL"),
         ("Cel", "K"), ("[degF]", "Cel"), ("Bq", "Ci"), ("[gal_us]", "L"), ("deg", "rad"), ("mg/g", "%")]  # fmt: skip


@pytest.fixture(scope="module")
def oracle() -> Any:
    ucumvert = pytest.importorskip("ucumvert")
    return ucumvert.PintUcumRegistry()


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_conversions_agree_with_another_library(one: str, other: str, oracle: Any) -> None:
    ours = quantity.convert(Quantity(Decimal("12.5"), one), other)
    assert ours is not None
    theirs = oracle.Quantity(12.5, oracle.from_ucum(one).units).to(oracle.from_ucum(other).units).magnitude
    theirs *= oracle.from_ucum(one).magnitude / oracle.from_ucum(other).magnitude if one[0] != "C" else 1
    assert float(ours) == pytest.approx(theirs, rel=1e-4)


@pytest.mark.parametrize(("one", "other"), [("g", "mL"), ("g", "furlong"), ("mol", "g"), ("[IU]", "g"), ("a", "m")])
def test_units_of_different_measures_do_not_compare(one: str, other: str) -> None:
    assert quantity.compare(Quantity(Decimal(1), one), Quantity(Decimal(1), other)) is None


@pytest.mark.parametrize(
    "code", ["", "m.", ".m", "m//s", "mm3g", "g/(", "gg", "m99999", "ü", "x" * 100, "0", "g mg", "{"]
)
def test_what_is_no_unit_is_not_taken_for_one(code: str) -> None:
    assert unit(code) is None


def test_annotations_do_not_change_a_unit() -> None:
    assert unit("{beats}/min") == unit("/min")
    assert unit("mL/min/{1.73_m2}") == unit("mL/min")


def test_a_year_of_the_calendar_is_not_a_definite_year() -> None:
    year, definite = Quantity(Decimal(1), "year"), Quantity(Decimal(1), "a")
    assert quantity.compare(year, definite) is None
    assert quantity.compare(year, definite, loose=True) == 0
    assert quantity.compare(year, Quantity(Decimal(12), "month")) == 0
