"""Patching resources over HTTP in all formats, by id and on conditions."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest

JSON_PATCH = {"Content-Type": "application/json-patch+json"}
FEMALE = [{"op": "replace", "path": "/gender", "value": "female"}]
FHIRPATH: dict[str, Any] = {
    "resourceType": "Parameters",
    "parameter": [
        {
            "name": "operation",
            "part": [
                {"name": "type", "valueCode": "replace"},
                {"name": "path", "valueString": "Patient.gender"},
                {"name": "value", "valueCode": "female"},
            ],
        }
    ],
}
FHIRPATH_XML = (
    '<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="operation"/>'
    '<part><name value="type"/><valueCode value="replace"/></part>'
    '<part><name value="path"/><valueString value="Patient.gender"/></part>'
    '<part><name value="value"/><valueCode value="female"/></part></parameter></Parameters>'
)


@pytest.fixture
def id(client: httpx.Client) -> str:
    name = f"patch-{uuid.uuid4()}"
    body = {"resourceType": "Patient", "id": name, "identifier": [{"value": name}], "gender": "male"}
    assert client.put(f"Patient/{name}", json=body).status_code == 201
    return name


def test_a_json_patch_makes_a_new_version(client: httpx.Client, id: str) -> None:
    answer = client.patch(f"Patient/{id}", json=FEMALE, headers=JSON_PATCH)
    assert (answer.status_code, answer.headers["etag"]) == (200, 'W/"2"')
    assert answer.json()["gender"] == "female"
    entry = client.get(f"Patient/{id}/_history").json()["entry"][0]
    assert entry["request"] == {"method": "PATCH", "url": f"Patient/{id}"}


def test_a_fhirpath_patch_is_taken_as_json_and_xml(client: httpx.Client, id: str) -> None:
    assert client.patch(f"Patient/{id}", json=FHIRPATH).json()["gender"] == "female"
    client.patch(f"Patient/{id}", json=[{"op": "remove", "path": "/gender"}], headers=JSON_PATCH)
    client.patch(f"Patient/{id}", json=[{"op": "add", "path": "/gender", "value": "male"}], headers=JSON_PATCH)
    xml = client.patch(f"Patient/{id}", content=FHIRPATH_XML, headers={"Content-Type": "application/fhir+xml"})
    assert (xml.status_code, xml.json()["gender"]) == (200, "female")


def test_a_merge_patch_is_taken_by_its_type_or_as_bare_json(client: httpx.Client, id: str) -> None:
    for n, content_type in enumerate(("application/merge-patch+json", "application/json")):
        gender = ("female", "other")[n]
        answer = client.patch(f"Patient/{id}", json={"gender": gender}, headers={"Content-Type": content_type})
        assert (answer.status_code, answer.json()["gender"]) == (200, gender)
    gone = client.patch(f"Patient/{id}", json={"gender": None}, headers={"Content-Type": "application/json"})
    assert "gender" not in gone.json()


def test_if_match_guards_a_patch(client: httpx.Client, id: str) -> None:
    stale = client.patch(f"Patient/{id}", json=FEMALE, headers={**JSON_PATCH, "If-Match": 'W/"7"'})
    assert stale.status_code == 412
    fresh = client.patch(f"Patient/{id}", json=FEMALE, headers={**JSON_PATCH, "If-Match": 'W/"1"'})
    assert fresh.status_code == 200


def test_a_conditional_patch_needs_exactly_one_match(client: httpx.Client, id: str) -> None:
    url = f"Patient?identifier={id}"
    assert client.patch(url, json=FEMALE, headers=JSON_PATCH).json()["gender"] == "female"
    client.post("Patient", json={"resourceType": "Patient", "identifier": [{"value": id}]})
    assert client.patch(url, json=FEMALE, headers=JSON_PATCH).status_code == 412
    assert client.patch(f"Patient?identifier={uuid.uuid4()}", json=FEMALE, headers=JSON_PATCH).status_code == 404
    assert client.patch("Patient", json=FEMALE, headers=JSON_PATCH).status_code == 400


@pytest.mark.parametrize(
    ("operations", "status"),
    [
        ([{"op": "test", "path": "/gender", "value": "other"}], 422),
        ([{"op": "replace", "path": "/gender", "value": "blue"}], 422),
        ([{"op": "remove", "path": "/nothing"}], 422),
        ([{"op": "dance", "path": "/gender"}], 400),
        ([{"op": "replace", "path": "/id", "value": "other"}], 400),
        ([{"op": "replace", "path": "/resourceType", "value": "Basic"}], 400),
        ({"op": "remove"}, 400),
    ],
)
def test_a_patch_that_cannot_be_applied_changes_nothing(
    client: httpx.Client, id: str, operations: Any, status: int
) -> None:
    answer = client.patch(f"Patient/{id}", json=operations, headers=JSON_PATCH)
    assert answer.status_code == status, answer.text
    assert client.get(f"Patient/{id}").headers["etag"] == 'W/"1"'


def test_only_what_exists_can_be_patched(client: httpx.Client, id: str) -> None:
    assert client.patch(f"Patient/{uuid.uuid4()}", json=FEMALE, headers=JSON_PATCH).status_code == 404
    client.delete(f"Patient/{id}")
    assert client.patch(f"Patient/{id}", json=FEMALE, headers=JSON_PATCH).status_code == 410


def test_other_patch_formats_are_refused(client: httpx.Client, id: str) -> None:
    xml = {"Content-Type": "application/xml-patch+xml"}
    assert client.patch(f"Patient/{id}", content="<diff/>", headers=xml).status_code == 415
    assert client.patch(f"Patient/{id}", json={"resourceType": "Patient"}).status_code == 400
    assert client.patch(f"Patient/{id}", content="[", headers=JSON_PATCH).status_code == 400
