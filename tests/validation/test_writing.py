"""Validation on write by policy, and $validate, over HTTP: packages, profiles written over FHIR, Prefer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from fhir_server.validation import packages
from fhir_server.validation.policy import FILE
from tests.conftest import Running
from tests.profiles.conformance.build import URL, element, profile
from tests.profiles.test_packages import package

NARRATIVE = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">人</div>'}
STRICT = "http://test.example/StructureDefinition/strict-device"
LATER = "http://test.example/StructureDefinition/later"
PATIENT: dict[str, Any] = {"resourceType": "Patient", "text": NARRATIVE}
CLAIMING: dict[str, Any] = {**PATIENT, "meta": {"profile": [URL]}}
OUTCOME = {"Prefer": "return=OperationOutcome"}


@pytest.fixture(scope="module")
def guided(start_server: Callable[..., Running], tmp_path_factory: pytest.TempPathFactory) -> Running:
    """A server whose data folder has a package and a policy."""
    data = tmp_path_factory.mktemp("guided") / "data"
    data.mkdir()
    needs_name = profile("Patient", element("Patient.name", min=1))
    needs_owner = profile("Device", element("Device.owner", min=1), url=STRICT)
    archive = data.parent / "guide.tgz"
    archive.write_bytes(package(("package/a.json", needs_name), ("package/b.json", needs_owner)))
    packages.add(data, archive)
    policy = {"types": {"Device": {"mode": "enforce", "profiles": [STRICT]}, "Group": "off"}}
    (data / FILE).write_text(json.dumps(policy))
    return start_server("--open", data=data)


@pytest.fixture(scope="module")
def guide(guided: Running) -> Iterator[httpx.Client]:
    with guided.client() as found:
        yield found


def issues(answer: httpx.Response) -> list[tuple[str, str]]:
    return [(issue["severity"], issue.get("expression", [""])[0]) for issue in answer.json()["issue"]]


def test_a_claimed_profile_is_warned_of_and_the_resource_kept(guide: httpx.Client) -> None:
    answer = guide.post("Patient", json=CLAIMING, headers=OUTCOME)
    assert answer.status_code == 201
    assert answer.headers["X-Validation-Issues"] == "1"
    assert issues(answer) == [("information", ""), ("warning", "Patient.name")]
    told = answer.json()["issue"][1]
    assert (told["code"], URL in told["diagnostics"]) == ("required", True)


def test_what_satisfies_its_claims_or_claims_nothing_is_not_spoken_of(guide: httpx.Client) -> None:
    for resource in (PATIENT, {**CLAIMING, "name": [{"text": "王"}]}):
        answer = guide.post("Patient", json=resource, headers=OUTCOME)
        assert answer.status_code == 201
        assert "X-Validation-Issues" not in answer.headers
        assert issues(answer) == [("information", "")]


def test_updates_and_patches_are_judged_too(guide: httpx.Client) -> None:
    id = guide.post("Patient", json={**CLAIMING, "name": [{"text": "王"}]}).json()["id"]
    answer = guide.put(f"Patient/{id}", json={**CLAIMING, "id": id}, headers=OUTCOME)
    assert issues(answer) == [("information", ""), ("warning", "Patient.name")]
    patched = guide.patch(
        f"Patient/{id}",
        content=json.dumps([{"op": "add", "path": "/active", "value": True}]),
        headers={**OUTCOME, "Content-Type": "application/json-patch+json"},
    )
    assert issues(patched) == [("information", ""), ("warning", "Patient.name")]


def test_an_enforced_profile_refuses_and_stores_nothing(guide: httpx.Client) -> None:
    device = {"resourceType": "Device", "text": NARRATIVE, "id": "strict-1"}
    answer = guide.put("Device/strict-1", json=device)
    assert answer.status_code == 422
    assert issues(answer) == [("error", "Device.owner")]
    assert guide.get("Device/strict-1").status_code == 404
    assert guide.put("Device/strict-1", json={**device, "owner": {"display": "县医院"}}).status_code == 201


def transaction(*resources: dict[str, Any]) -> dict[str, Any]:
    entries = [{"resource": r, "request": {"method": "POST", "url": r["resourceType"]}} for r in resources]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def test_a_transaction_is_judged_entry_by_entry(guide: httpx.Client) -> None:
    answer = guide.post("", json=transaction(PATIENT, CLAIMING), headers=OUTCOME)
    assert answer.status_code == 200
    outcomes = [entry["response"]["outcome"] for entry in answer.json()["entry"]]
    assert [len(outcome["issue"]) for outcome in outcomes] == [1, 2]
    refused = guide.post("", json=transaction(PATIENT, {"resourceType": "Device", "text": NARRATIVE}))
    assert refused.status_code == 422
    assert issues(refused) == [("error", "Bundle.entry[1].resource.owner")]


def test_a_type_may_be_left_alone(guide: httpx.Client) -> None:
    group = {"resourceType": "Group", "type": "person", "actual": True, "meta": {"profile": [URL]}}
    assert "X-Validation-Issues" not in guide.post("Group", json=group).headers


def parameters(**parts: Any) -> dict[str, Any]:
    listed = [
        {"name": name, **({"resource": one} if name == "resource" else {"valueUri": one})}
        for name, value in parts.items()
        for one in (value if isinstance(value, list) else [value])
    ]
    return {"resourceType": "Parameters", "parameter": listed}


def test_validate_checks_the_profiles_named(guide: httpx.Client) -> None:
    assert issues(guide.post("Patient/$validate", json=PATIENT)) == [("information", "")]
    named = guide.post("Patient/$validate", params={"profile": URL}, json=PATIENT)
    assert issues(named) == [("error", "Patient.name")]
    several = guide.post(
        "Patient/$validate", json=parameters(resource=PATIENT, profile=[URL, "http://test.example/no"])
    )
    assert issues(several) == [("error", "Patient.name"), ("error", "Patient")]
    claimed = guide.post("Patient/$validate", json=CLAIMING)
    assert issues(claimed) == [("error", "Patient.name")]
    wrong = guide.post("Device/$validate", params={"profile": URL}, json={"resourceType": "Device", "text": NARRATIVE})
    assert issues(wrong) == [("error", "Device")]


def test_the_stored_instance_can_be_validated_against_a_profile(guide: httpx.Client) -> None:
    id = guide.post("Patient", json=PATIENT).json()["id"]
    assert issues(guide.get(f"Patient/{id}/$validate", params={"profile": URL})) == [("error", "Patient.name")]


def test_a_profile_that_is_written_over_fhir_takes_part(guide: httpx.Client) -> None:
    later = profile("Patient", element("Patient.birthDate", min=1), url=LATER)
    asked = {"profile": LATER}
    assert issues(guide.post("Patient/$validate", params=asked, json=PATIENT)) == [("error", "Patient")]
    made = guide.post("StructureDefinition", json=later)
    assert made.status_code == 201, made.text
    assert issues(guide.post("Patient/$validate", params=asked, json=PATIENT)) == [("error", "Patient.birthDate")]
    claiming = {**PATIENT, "meta": {"profile": [LATER]}}
    assert guide.post("Patient", json=claiming).headers["X-Validation-Issues"] == "1"
    guide.delete(f"StructureDefinition/{made.json()['id']}")
    assert issues(guide.post("Patient/$validate", params=asked, json=PATIENT)) == [("error", "Patient")]


def test_a_questionnaire_response_is_held_against_its_questionnaire(guide: httpx.Client) -> None:
    url = "http://test.example/Questionnaire/smoking"
    item = {"linkId": "1", "type": "boolean", "required": True}
    guide.post("Questionnaire", json={"resourceType": "Questionnaire", "url": url, "status": "active", "item": [item]})
    response = {"resourceType": "QuestionnaireResponse", "text": NARRATIVE, "questionnaire": url, "status": "completed"}
    good = {**response, "item": [{"linkId": "1", "answer": [{"valueBoolean": True}]}]}
    assert issues(guide.post("QuestionnaireResponse/$validate", json=good)) == [("information", "")]
    bad = {**response, "item": [{"linkId": "1", "answer": [{"valueString": "yes"}]}]}
    assert issues(guide.post("QuestionnaireResponse/$validate", json=bad)) == [
        ("error", "QuestionnaireResponse.item[0].answer[0]")
    ]


def test_a_reference_to_a_record_is_followed(guide: httpx.Client) -> None:
    needs_named = profile(
        "Observation",
        element("Observation.subject", type=[{"code": "Reference", "targetProfile": [URL]}]),
        url="http://test.example/StructureDefinition/of-named",
    )
    guide.post("StructureDefinition", json=needs_named)
    nameless = guide.post("Patient", json=PATIENT).json()["id"]
    observation = {
        "resourceType": "Observation",
        "text": NARRATIVE,
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": f"Patient/{nameless}"},
    }
    asked = {"profile": needs_named["url"]}
    assert issues(guide.post("Observation/$validate", params=asked, json=observation)) == [
        ("error", "Observation.subject")
    ]


def test_a_broken_policy_or_package_leaves_the_old_one_in_force(guided: Running, guide: httpx.Client) -> None:
    (guided.data / "packages" / "broken#1.0.0.tgz").write_bytes(b"nothing")
    try:
        assert issues(guide.post("Patient/$validate", json=CLAIMING)) == [("error", "Patient.name")]
        deadline = time.monotonic() + 5
        while "broken#1.0.0.tgz" not in guided.log.read_text() and time.monotonic() < deadline:
            pass
        assert "broken#1.0.0.tgz" in guided.log.read_text()
    finally:
        (guided.data / "packages" / "broken#1.0.0.tgz").unlink()
