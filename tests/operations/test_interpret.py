"""Observation/$interpret over HTTP: values judged by the definitions that the server holds."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from terminology.references import definitions

LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"


@pytest.fixture(scope="module")
def judge(client: httpx.Client) -> Iterator[httpx.Client]:
    """The session's server with the shipped definitions, of which it has none before."""
    mine = [one for one in definitions() if one["resourceType"] == "ObservationDefinition"]
    entries = [
        {"resource": one, "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}} for one in mine
    ]
    done = client.post("", json={"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert done.status_code == 200, done.text
    yield client


def results(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return [
        {part["name"]: next(v for k, v in part.items() if k.startswith("value")) for part in result["part"]}
        for result in answer.json()["parameter"]
    ]


def potassium(value: float, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": "2823-3"}]},
        "valueQuantity": {"value": value, "unit": "mmol/L", "system": UCUM, "code": "mmol/L"},
        **more,
    }


def test_a_plain_value_is_judged(judge: httpx.Client) -> None:
    query = {"code": f"{LOINC}|14771-0", "value": "450", "unit": "mg/dL", "gender": "female", "age": "60"}
    (found,) = results(judge.get("Observation/$interpret", params=query))
    assert found["verdict"] == "critical-high"
    assert found["interpretation"]["coding"][0]["code"] == "HH"
    assert found["value"]["value"] == 24.9784 and found["value"]["code"] == "mmol/L"
    assert (found["category"], found["interval"]["high"]["value"]) == ("critical", 22.2)
    assert found["definition"] == {"reference": "ObservationDefinition/reference-14771-0", "display": "空腹血糖"}
    assert "to-confirm" in found and "危急值" in found["text"] and "critically high" in found["text-en"]


def test_a_stored_observation_is_judged_by_the_sex_and_age_of_its_patient(judge: httpx.Client) -> None:
    patient = judge.post(
        "Patient", json={"resourceType": "Patient", "gender": "male", "birthDate": "1960-02-01"}
    ).json()
    observation = potassium(140, subject={"reference": f"Patient/{patient['id']}"}, effectiveDateTime="2026-03-01")
    observation["code"]["coding"][0]["code"] = "718-7"
    observation["valueQuantity"] = {"value": 12.0, "unit": "g/dL", "system": UCUM, "code": "g/dL"}
    stored = judge.post("Observation", json=observation).json()
    (found,) = results(judge.get(f"Observation/{stored['id']}/$interpret"))
    assert found["verdict"] == "low" and found["interval"]["low"]["value"] == 130
    (found,) = results(judge.get(f"Observation/{stored['id']}/$interpret", params={"gender": "female"}))
    assert found["verdict"] == "normal"
    (found,) = results(judge.get(f"Observation/{stored['id']}/$interpret", params={"age": "10"}))
    assert found["verdict"] == "unknown" and found["reason"]


def test_several_observations_and_components_are_judged_at_once(judge: httpx.Client) -> None:
    pressure = potassium(0, component=[])
    del pressure["valueQuantity"]
    pressure["code"]["coding"][0]["code"] = "85354-9"
    for code, value in (("8480-6", 120), ("8462-4", 112)):
        coding = {"coding": [{"system": LOINC, "code": code}]}
        pressure["component"].append({"code": coding, "valueQuantity": {"value": value, "unit": "mmHg"}})
    parts = [{"name": "observation", "resource": one} for one in (potassium(4.0), pressure)]
    parts.append({"name": "gender", "valueCode": "male"})
    found = results(judge.post("Observation/$interpret", json={"resourceType": "Parameters", "parameter": parts}))
    assert [one["verdict"] for one in found] == ["normal", "normal", "critical-high"]
    assert [one["element"] for one in found] == ["Observation", "Observation.component[0]", "Observation.component[1]"]
    assert found[0]["assumed-adult"] is True


def test_a_bare_observation_may_be_the_body(judge: httpx.Client) -> None:
    (found,) = results(judge.post("Observation/$interpret", json=potassium(2.1)))
    assert found["verdict"] == "critical-low"
    (found,) = results(judge.post("Observation/$interpret?age=0.01", json=potassium(2.1)))
    assert found["verdict"] == "unknown", "critical limits begin at 28 days"


def test_a_changed_definition_holds_for_the_next_question(judge: httpx.Client) -> None:
    code = f"own-{uuid.uuid4().hex[:8]}"
    query = {"code": f"urn:example|{code}", "value": "5", "unit": "g/L"}
    (found,) = results(judge.get("Observation/$interpret", params=query))
    assert found["verdict"] == "unknown" and "no definition" in found["reason"]
    definition = {
        "resourceType": "ObservationDefinition",
        "code": {"coding": [{"system": "urn:example", "code": code}]},
        "quantitativeDetails": {"unit": {"coding": [{"system": UCUM, "code": "g/L"}]}},
        "qualifiedInterval": [{"category": "reference", "range": {"high": {"value": 4}}}],
    }
    assert judge.post("ObservationDefinition", json=definition).status_code == 201
    (found,) = results(judge.get("Observation/$interpret", params=query))
    assert found["verdict"] == "high"


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({}, "code"),
        ({"code": "14771-0"}, "value"),
        ({"code": "14771-0", "value": "much"}, "value"),
        ({"code": "14771-0", "value": "nan"}, "value"),
        ({"code": "14771-0", "value": "5", "gender": "m"}, "gender"),
        ({"code": "14771-0", "value": "5", "age": "-1"}, "age"),
        ({"code": "14771-0", "value": "5", "colour": "red"}, "colour"),
        ({"code": "14771-0", "value": "1_000"}, "value"),
        ({"code": "14771-0", "value": "٥"}, "value"),
        ({"code": "14771-0", "value": "5", "birthDate": "garbage"}, "birthDate"),
        ({"code": "14771-0", "value": "5", "birthDate": "2999-01-01"}, "birthDate"),
        ({"code": "14771-0", "value": "5", "birthDate": "1990-02-31"}, "birthDate"),
        ({"code": "14771-0", "value": "5", "date": "garbage"}, "date"),
    ],
)
def test_what_cannot_be_understood_is_refused(judge: httpx.Client, query: dict[str, str], named: str) -> None:
    answer = judge.get("Observation/$interpret", params=query)
    assert answer.status_code == 400
    assert named in answer.json()["issue"][0]["diagnostics"]


@pytest.mark.parametrize(
    "body",
    [
        {"resourceType": "Patient"},
        {"resourceType": "Parameters", "parameter": [{"name": "observation", "valueString": "x"}]},
        {"resourceType": "Parameters", "parameter": [{"name": "observation", "resource": {"resourceType": "Patient"}}]},
        {"resourceType": "Observation", "valueString": "x", "code": "x"},
        {"resourceType": "Observation", "component": "x"},
        {"resourceType": "Observation", "subject": ["x"], "valueQuantity": "x", "code": {"coding": ["x"]}},
        {"resourceType": "Observation", "effectivePeriod": "x", "valueInteger": 5},
    ],
)
def test_bodies_of_another_shape_are_refused(judge: httpx.Client, body: dict[str, Any]) -> None:
    answer = judge.post("Observation/$interpret", json=body)
    assert answer.status_code == 400, answer.text


def test_an_absent_observation_is_not_found(judge: httpx.Client) -> None:
    assert judge.get("Observation/there-is-none/$interpret").status_code == 404
    stored = judge.post("Observation", json=potassium(4.0)).json()["id"]
    assert judge.get(f"Observation/{stored}/$interpret", params={"value": "5"}).status_code == 400
