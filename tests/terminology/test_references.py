"""The shipped reference intervals and how values are judged by them, also after an institution changed them."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import date
from importlib.resources import files
from typing import Any

import pytest

from profiles.definitions import load
from profiles.lossless import encode, parse
from profiles.structure import Validator
from terminology.conversion import LOINC, convertible
from terminology.references import Verdict, age_at, definitions, interpret, interpret_observation, misread_unit
from terminology.references import references_of as compiled
from terminology.references.definitions import EXCLUDED, TO_CONFIRM
from terminology.references.printed import unit_code
from terminology.references.table import items

UCUM = "http://unitsofmeasure.org"
SHIPPED = definitions()
REFERENCES = compiled(SHIPPED)


def quantity(value: float, unit: str, **more: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit, **more}


@pytest.mark.parametrize("resource", SHIPPED, ids=lambda one: one["id"])
def test_each_shipped_definition_is_valid(resource: dict[str, Any]) -> None:
    assert Validator(load()).check(parse(encode(resource))) == []


def test_the_table_agrees_with_the_list_of_laboratory_items() -> None:
    path = files("terminology").joinpath("data", "alliance", "CodeSystem-lab-item.json")
    if not path.is_file():
        pytest.skip("the list of laboratory items is not in this build")
    concepts = {one["code"]: one for one in json.loads(path.read_text("utf-8"))["concept"]}
    ours = {item.local: item for item in items() if item.local}
    assert set(ours) <= set(concepts)
    for code, item in ours.items():
        told = {p["code"]: next(v for k, v in p.items() if k.startswith("value")) for p in concepts[code]["property"]}
        assert told.get("unit", "") == item.unit
        assert concepts[code]["display"] == item.zh
        for side, limit in (
            ("low", item.critical and item.critical.low),
            ("high", item.critical and item.critical.high),
        ):
            assert told.get(f"critical-{side}", limit) == limit


@pytest.mark.parametrize("item", [item for item in items() if item.unit], ids=lambda item: item.en)
def test_intervals_lie_within_each_other_and_the_customary_unit_converts(item: Any) -> None:
    for span in item.reference:
        for outer in (item.critical, item.absolute):
            if outer is not None:
                assert outer.low is None or span.low is None or outer.low <= span.low
                assert outer.high is None or span.high is None or outer.high >= span.high
    if item.customary:
        assert convertible(item.customary, item.unit, item.loinc)


@pytest.mark.parametrize(
    ("loinc", "value", "unit", "gender", "age", "wanted"),
    [
        ("14771-0", 5.0, "mmol/L", "male", 50, Verdict.NORMAL),
        ("14771-0", 6.1, "mmol/L", "male", 50, Verdict.NORMAL),
        ("14771-0", 6.2, "mmol/L", "male", 50, Verdict.HIGH),
        ("14771-0", 3.0, "mmol/L", "male", 50, Verdict.LOW),
        ("14771-0", 2.5, "mmol/L", "male", 50, Verdict.LOW),
        ("14771-0", 2.4, "mmol/L", "male", 50, Verdict.CRITICAL_LOW),
        ("14771-0", 450, "mg/dL", "male", 50, Verdict.CRITICAL_HIGH),
        ("1558-6", 90, "mg/dL", "male", 50, Verdict.NORMAL),
        ("14771-0", 95, "mmol/L", "male", 50, Verdict.IMPLAUSIBLE),
        ("1988-5", 10, "mg/L", "male", 50, Verdict.HIGH),
        ("1988-5", 9.9, "mg/L", "male", 50, Verdict.NORMAL),
        ("718-7", 120, "g/L", "female", 50, Verdict.NORMAL),
        ("718-7", 12.0, "g/dL", "male", 50, Verdict.LOW),
        ("718-7", 120, "g/L", "", 50, Verdict.UNKNOWN),
        ("718-7", 140, "g/L", "", 50, Verdict.NORMAL),
        ("718-7", 45, "g/L", "unknown", 50, Verdict.CRITICAL_LOW),
        ("2823-3", 7.0, "mmol/L", "male", 5, Verdict.CRITICAL_HIGH),
        ("2823-3", 5.0, "mmol/L", "male", 5, Verdict.UNKNOWN),
        ("2823-3", 7.0, "mmol/L", "male", 0.01, Verdict.UNKNOWN),
        ("14682-9", 90, "umol/L", "male", 70, Verdict.UNKNOWN),
        ("6768-6", 50, "U/L", "female", 49.9, Verdict.NORMAL),
        ("8867-4", 35, "/min", "male", 50, Verdict.CRITICAL_LOW),
        ("8310-5", 98.6, "[degF]", "male", 50, Verdict.NORMAL),
        ("14771-0", 5.0, "kg", "male", 50, Verdict.UNKNOWN),
        ("8302-2", 170, "cm", "male", 50, Verdict.UNKNOWN),
        ("0000-0", 5.0, "kg", "male", 50, Verdict.UNKNOWN),
        ("5196-1", 5.0, "kg", "male", 50, Verdict.UNKNOWN),
    ],
)
def test_a_value_is_judged(loinc: str, value: float, unit: str, gender: str, age: float, wanted: Verdict) -> None:
    found = interpret(REFERENCES, loinc, quantity(value, unit), gender, age)
    assert found.verdict is wanted, found
    if wanted is Verdict.UNKNOWN:
        assert found.reason
    else:
        assert found.interval is not None and found.definition is not None and not found.assumed
    assert wanted.critical == (wanted in (Verdict.CRITICAL_LOW, Verdict.CRITICAL_HIGH))


def test_an_unknown_age_is_taken_as_an_adults_and_said() -> None:
    found = interpret(REFERENCES, "2823-3", quantity(7.0, "mmol/L"))
    assert found.verdict is Verdict.CRITICAL_HIGH and found.assumed


@pytest.mark.parametrize(
    ("comparator", "value", "wanted"),
    [
        ("<", 0.05, Verdict.NORMAL),
        ("<", 0.5, Verdict.UNKNOWN),
        (">", 100, Verdict.HIGH),
        (">=", 0.05, Verdict.HIGH),
        ("<=", 0.04, Verdict.NORMAL),
    ],
)
def test_bounded_values_are_judged_where_every_value_is_the_same(
    comparator: str, value: float, wanted: Verdict
) -> None:
    given = quantity(value, "ng/mL", comparator=comparator)
    assert interpret(REFERENCES, "33959-8", given, "male", 50).verdict is wanted


@pytest.mark.parametrize("given", [{}, {"value": "x", "code": "g/L"}, {"value": True}, {"value": 5}, {"value": 1e999}])
def test_what_is_no_quantity_has_no_verdict(given: dict[str, Any]) -> None:
    assert interpret(REFERENCES, "718-7", given, "male", 50).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("loinc", "value", "unit", "meant"),
    [
        ("14771-0", 95, "mmol/L", "mg/dL"),
        ("14682-9", 1.1, "umol/L", "mg/dL"),
        ("718-7", 13.5, "g/L", "g/dL"),
        ("777-3", 210_000, "10*9/L", "10*6/L"),
        ("8310-5", 98.4, "Cel", "[degF]"),
        ("8302-2", 1.72, "cm", "m"),
        ("29463-7", 3200, "kg", "g"),
        ("8480-6", 16, "mm[Hg]", "kPa"),
        ("14771-0", 100_000, "mmol/L", ""),
        ("14771-0", 5, "mmol/L", ""),
        ("2823-3", 40, "mmol/L", ""),
    ],
)
def test_a_mistaken_unit_is_recognised(loinc: str, value: float, unit: str, meant: str) -> None:
    assert misread_unit(interpret(REFERENCES, loinc, quantity(value, unit), "male", 50)) == meant


def test_a_pressure_is_judged_by_its_components() -> None:
    component = [
        {"code": {"coding": [{"system": LOINC, "code": code}]}, "valueQuantity": quantity(value, "mm[Hg]")}
        for code, value in (("8480-6", 185), ("8462-4", 85))
    ]
    found = list(interpret_observation(REFERENCES, {"component": component}, "male", 60))
    assert [(element, one.verdict) for element, one in found] == [
        ("Observation.component[0]", Verdict.CRITICAL_HIGH),
        ("Observation.component[1]", Verdict.NORMAL),
    ]


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ({"valueCodeableConcept": {"text": "阴性"}}, Verdict.NORMAL),
        ({"valueCodeableConcept": {"text": "阳性（+）"}}, Verdict.ABNORMAL),
        ({"valueCodeableConcept": {"coding": [{"code": "NEG"}]}}, Verdict.NORMAL),
        ({"valueString": "Positive"}, Verdict.ABNORMAL),
        ({"valueString": "see text"}, Verdict.UNKNOWN),
        ({"valueBoolean": True}, Verdict.UNKNOWN),
    ],
)
def test_what_is_absent_or_present(value: dict[str, Any], wanted: Verdict) -> None:
    observation = {"code": {"coding": [{"system": LOINC, "code": "5196-1"}]}, **value}
    assert [one.verdict for _, one in interpret_observation(REFERENCES, observation)] == [wanted]


def changed(loinc: str, **interval: Any) -> dict[str, Any]:
    found = deepcopy(next(one for one in SHIPPED if one["id"] == f"reference-{loinc}"))
    found["qualifiedInterval"].append(interval)
    return found


def test_an_interval_for_fewer_people_prevails() -> None:
    low, high = {"value": 100}, {"value": 130}
    pregnant = {"coding": [{"code": "pregnancy"}]}
    resource = changed("718-7", category="reference", range={"low": low, "high": high}, context=pregnant)
    mine = compiled([resource])
    value = quantity(110, "g/L")
    assert interpret(mine, "718-7", value, "female", 30).verdict is Verdict.LOW
    assert interpret(mine, "718-7", value, "female", 30, frozenset({"pregnancy"})).verdict is Verdict.NORMAL


def test_a_definition_in_another_unit_is_followed() -> None:
    resource = changed("14771-0")
    resource["quantitativeDetails"]["unit"]["coding"][0]["code"] = "mg/dL"
    mine = compiled([resource])
    found = interpret(mine, "14771-0", quantity(5.0, "mmol/L"), "male", 50)
    assert (found.verdict, found.unit) == (Verdict.NORMAL, "mg/dL")
    assert found.value == pytest.approx(90.078)


@pytest.mark.parametrize(
    "broken",
    [
        {"resourceType": "ObservationDefinition"},
        {"resourceType": "ObservationDefinition", "code": {"coding": "x"}},
        {"resourceType": "Patient"},
        {"resourceType": "ObservationDefinition", "code": {"coding": [{"code": "c"}]}, "qualifiedInterval": [{}]},
    ],
)
def test_a_definition_that_cannot_be_understood_is_left_out(broken: dict[str, Any]) -> None:
    assert interpret(compiled([broken]), [{"code": "c"}], quantity(1, "g")).verdict is Verdict.UNKNOWN


def test_what_is_of_no_standard_is_marked_to_be_confirmed() -> None:
    for resource in SHIPPED:
        for interval in resource.get("qualifiedInterval", ()):
            marked = any(e["url"] == TO_CONFIRM for e in interval["extension"])
            assert marked or interval["category"] == "reference"
    pressure = next(one for one in SHIPPED if one["id"] == "reference-8480-6")["qualifiedInterval"][0]
    assert not any("试剂" in e["valueString"] for e in pressure["extension"]), "a pressure depends on no assay"
    crp = next(one for one in SHIPPED if one["id"] == "reference-1988-5")
    high = crp["qualifiedInterval"][0]["range"]["high"]
    assert high["extension"] == [{"url": EXCLUDED, "valueBoolean": True}]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"system": UCUM, "code": "mmol/L"}, "mmol/L"),
        ({"unit": "×10^9/L"}, "10*9/L"),
        ({"unit": "mmHg"}, "mm[Hg]"),
        ({"unit": "μmol/L"}, "umol/L"),
        ({"unit": "℃"}, "Cel"),
        ({"unit": "次/分"}, "/min"),
        ({"unit": "毫克"}, ""),
        ({"system": "urn:other", "code": "x", "unit": "g/L"}, "g/L"),
        ({}, ""),
    ],
)
def test_printed_units_are_read(given: dict[str, str], code: str) -> None:
    assert unit_code(given) == code


@pytest.mark.parametrize(
    ("birth", "day", "age"),
    [
        ("2000-06-15", date(2018, 6, 14), 17.997),
        ("2000-06-15", date(2018, 6, 15), 18.0),
        ("2000-02-29", date(2001, 3, 1), 1.0),
        ("2026-11-01", date(2026, 11, 29), 0.0767),
        ("2000", date(2026, 1, 1), 25.47),
        ("2030-01-01", date(2026, 1, 1), None),
        ("", date(2026, 1, 1), None),
    ],
)
def test_ages(birth: str, day: date, age: float | None) -> None:
    assert age_at(birth, day) == (None if age is None else pytest.approx(age, abs=0.01))
