"""Patient/$quality and Organization/$quality-report over HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from profiles.definitions import load
from profiles.lossless import parse
from profiles.quality import MEASURE, RULES
from profiles.structure import Validator

VILLAGE = {"resourceType": "Organization", "active": True, "name": "下坝村卫生室"}


def create(client: httpx.Client, resource: dict[str, Any]) -> str:
    made = client.post(resource["resourceType"], json=resource)
    assert made.status_code == 201, made.text
    id: str = made.json()["id"]
    return id


def organization(client: httpx.Client) -> str:
    return create(client, VILLAGE)


def patient(client: httpx.Client, institution: str, **more: Any) -> str:
    keeper = {"reference": f"Organization/{institution}"}
    return create(client, {"resourceType": "Patient", "managingOrganization": keeper, "gender": "male", **more})


def value(part: dict[str, Any]) -> Any:
    return next(v for k, v in part.items() if k.startswith("value"))


def reasons(answer: httpx.Response) -> dict[str, dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    found = {}
    for one in answer.json()["parameter"]:
        if one["name"] == "reason":
            parts = {part["name"]: part for part in one["part"]}
            found[value(parts["rule"])] = parts
    return found


def simple(answer: httpx.Response) -> dict[str, Any]:
    return {one["name"]: value(one) for one in answer.json()["parameter"] if "part" not in one}


def test_a_poor_file_has_its_reasons_and_a_mended_one_a_better_score(client: httpx.Client) -> None:
    institution = organization(client)
    id = patient(client, institution, birthDate="1960-01-01", deceasedDateTime="1950-01-01")
    answer = client.get(f"Patient/{id}/$quality")
    found = reasons(answer)
    assert {"identity-number-missing", "name-missing", "death-before-birth"} <= set(found)
    reason = found["death-before-birth"]
    assert value(reason["severity"]) == "error" and value(reason["text"]) == "死亡早于出生"
    finding = {part["name"]: value(part) for part in reason["finding"]["part"]}
    assert finding["element"] == "Patient.deceased" and "早于" in finding["text"]
    before = simple(answer)
    assert before["band"] in ("poor", "bad") and before["items"] == 1 and "分" in before["text"]
    mended = {
        "resourceType": "Patient",
        "id": id,
        "name": [{"text": "吴杰健"}],
        "gender": "male",
        "birthDate": "1960-01-01",
        "managingOrganization": {"reference": f"Organization/{institution}"},
    }
    assert client.put(f"Patient/{id}", json=mended).status_code == 200
    after = simple(client.get(f"Patient/{id}/$quality"))
    assert after["score"] > before["score"]


def test_wrong_numbers_units_and_duplicates_are_found(client: httpx.Client) -> None:
    number = {"system": "urn:oid:2.16.156.10011.1.3", "value": "11010519491231002X"}
    id = patient(client, organization(client), birthDate="1949-12-30", identifier=[number])
    assert {"identity-number-differs"} <= set(reasons(client.get(f"Patient/{id}/$quality")))
    definition = {
        "resourceType": "ObservationDefinition",
        "code": {"coding": [{"system": "http://loinc.org", "code": "14682-9"}], "text": "肌酐"},
        "quantitativeDetails": {
            "unit": {"coding": [{"code": "umol/L"}]},
            "customaryUnit": {"coding": [{"code": "mg/dL"}]},
        },
        "qualifiedInterval": [{"category": "absolute", "range": {"low": {"value": 5}, "high": {"value": 4000}}}],
    }
    create(client, definition)
    creatinine = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "14682-9"}], "text": "肌酐"},
        "subject": {"reference": f"Patient/{id}"},
        "effectiveDateTime": "2025-03-01T08:00:00+08:00",
        "valueQuantity": {"value": 1.1, "unit": "umol/L", "system": "http://unitsofmeasure.org", "code": "umol/L"},
    }
    first, second = create(client, creatinine), create(client, creatinine)
    found = reasons(client.get(f"Patient/{id}/$quality"))
    assert {"unit-mistaken", "duplicate-observation"} <= set(found)
    twice = {part["name"]: value(part) for part in found["duplicate-observation"]["finding"]["part"]}
    assert {twice["element"], twice["text"].split()[1]} == {f"Observation/{first}", f"Observation/{second}"}


def test_an_unknown_patient_or_parameter_is_refused(client: httpx.Client) -> None:
    assert client.get("Patient/there-is-none/$quality").status_code == 404
    id = patient(client, organization(client))
    assert client.get(f"Patient/{id}/$quality?rule=x").status_code == 400
    client.delete(f"Patient/{id}")
    assert client.get(f"Patient/{id}/$quality").status_code == 410
    assert client.get("Organization/there-is-none/$quality-report").status_code == 404


def test_the_report_on_an_institution_counts_its_files_and_names_the_worst(client: httpx.Client) -> None:
    mine, other = organization(client), organization(client)
    good = {"birthDate": "1980-02-03", "name": [{"text": "王秀英"}]}
    fine = patient(client, mine, **good, address=[{"text": "一档县青山镇一村12号"}])
    bad = patient(client, mine, birthDate="2999-01-01")
    patient(client, other, **good)
    answer = client.get(f"Organization/{mine}/$quality-report")
    assert answer.status_code == 200, answer.text
    report = answer.json()
    assert Validator(load()).check(parse(answer.content)) == []
    assert report["measure"].startswith(MEASURE) and report["reporter"]["reference"] == f"Organization/{mine}"
    scores, *rules = report["group"]
    assert scores["population"][0]["count"] == 2
    strata = scores["stratifier"][0]["stratum"]
    assert sum(one["population"][0]["count"] for one in strata) == 2
    counts = {one["code"]["coding"][0]["code"]: [p["count"] for p in one["population"]] for one in rules}
    assert counts["name-missing"] == [2, 1] and counts["birth-date-future"] == [2, 1]
    assert set(counts) <= {rule.id for rule in RULES}
    (worst,) = report["contained"]
    assert [entry["item"]["reference"] for entry in worst["entry"]] == [f"Patient/{bad}", f"Patient/{fine}"]
    assert {"url": "urn:yidang:quality-failed", "valueCode": "name-missing"} in worst["entry"][0]["extension"]


def test_a_cut_report_says_so(client: httpx.Client) -> None:
    mine = organization(client)
    for _ in range(3):
        patient(client, mine)
    report = client.get(f"Organization/{mine}/$quality-report?limit=2&worst=0").json()
    assert report["group"][0]["population"][0]["count"] == 2
    assert report["extension"] == [{"url": "urn:yidang:quality-partial", "valueBoolean": True}]
    assert "contained" not in report
    whole = client.get(f"Organization/{mine}/$quality-report?limit=3&worst=1").json()
    assert len(whole["contained"][0]["entry"]) == 1
    assert all(one["url"] != "urn:yidang:quality-partial" for one in whole["extension"])


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "worst=-1", "limit=99999", "limit=²", "colour=red"])
def test_wrong_parameters_of_the_report_are_refused(client: httpx.Client, query: str) -> None:
    answer = client.get(f"Organization/x/$quality-report?{query}")
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["expression"] == [f"http.{query.split('=')[0]}"]
