"""Quantities in other units: what equals what, and what has no way across."""

from __future__ import annotations

import math

import pytest

from terminology import ucum
from terminology.conversion import ANALYTES, NotConvertible, analyte, as_amount, convert, convertible


@pytest.mark.parametrize(
    ("loinc", "value", "unit", "to", "wanted"),
    [
        ("14771-0", 90, "mg/dL", "mmol/L", 4.9957),
        ("1558-6", 5.0, "mmol/L", "mg/dL", 90.078),
        ("14682-9", 1.0, "mg/dL", "umol/L", 88.40),
        ("3094-0", 20, "mg/dL", "mmol/L", 7.139),
        ("14933-6", 6.0, "mg/dL", "umol/L", 356.9),
        ("14647-2", 200, "mg/dL", "mmol/L", 5.172),
        ("14927-8", 150, "mg/dL", "mmol/L", 1.694),
        ("14631-6", 1.2, "mg/dL", "umol/L", 20.52),
        ("2000-8", 9.0, "mg/dL", "mmol/L", 2.2455),
        ("718-7", 10, "mmol/L", "g/L", 161.145),
        ("14920-3", 1.2, "ng/dL", "pmol/L", 15.447),
        ("14928-6", 3.0, "pg/mL", "pmol/L", 4.6085),
        ("4548-4", 48, "mmol/mol", "%", 6.543),
        ("4548-4", 6.5, "%", "mmol/mol", 47.53),
        ("718-7", 13.5, "g/dL", "g/L", 135),
        ("8310-5", 98.6, "[degF]", "Cel", 37),
        ("2823-3", 4.1, "meq/L", "mmol/L", 4.1),
        ("6690-2", 5.2, "10*3/uL", "10*9/L", 5.2),
        ("3016-3", 2.5, "u[IU]/mL", "m[IU]/L", 2.5),
        ("6301-6", 1.1, "1", "{INR}", 1.1),
    ],
)
def test_a_quantity_is_the_same_in_another_unit(loinc: str, value: float, unit: str, to: str, wanted: float) -> None:
    found = convert(value, unit, to, loinc)
    assert math.isclose(found, wanted, rel_tol=2e-4)
    assert math.isclose(convert(found, to, unit, loinc), value, rel_tol=1e-9), "and back"


@pytest.mark.parametrize(
    ("loinc", "unit", "to"),
    [
        ("", "mg/dL", "mmol/L"),
        ("8310-5", "mg/dL", "mmol/L"),
        ("14771-0", "mg/dL", "kg"),
        ("14771-0", "mg/dL", "U/L"),
        ("48065-7", "ng/mL{DDU}", "mg/L{FEU}"),
        ("48065-7", "nonsense", "mg/L{FEU}"),
        ("2744-1", "[pH]", "1"),
    ],
)
def test_there_is_no_way_between_different_things(loinc: str, unit: str, to: str) -> None:
    with pytest.raises(NotConvertible):
        convert(1.0, unit, to, loinc)
    assert not convertible(unit, to, loinc)


def test_what_cannot_be_read_is_itself_in_its_own_unit() -> None:
    assert convert(7.4, "[pH]", "[pH]") == 7.4


@pytest.mark.parametrize("one", ANALYTES, ids=lambda one: one.en)
def test_every_analyte_says_its_molar_mass_and_its_codes(one: object) -> None:
    assert isinstance(one, type(ANALYTES[0]))
    assert one.molar_mass > 1 and one.source and one.substance and one.mass
    for code in one.mass:
        assert as_amount(code) in one.substance
        assert analyte(code) is not None
    assert as_amount(one.substance[0]) == one.substance[0]


@pytest.mark.parametrize("unit", sorted(ucum.COMMON))
def test_common_units_convert_to_their_base_and_back(unit: str) -> None:
    base = ucum.COMMON[unit].code
    if ucum.canonical(base) is None:
        pytest.skip("a base that is only a name")
    assert math.isclose(convert(convert(3.0, unit, base), base, unit), 3.0, rel_tol=1e-9)
