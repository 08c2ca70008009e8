"""Patching resources over HTTP in all formats, by id and on conditions."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.conftest import FHIR_JSON

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


HOSTILE_PATH = (
    "Patient.name.given.where(%resource.name.given.where(%resource.name.given.count() > 3).count() > 4)"  # cubic
)


@pytest.mark.parametrize("conditional", [False, True], ids=["by id", "conditional"])
def test_others_are_answered_while_a_costly_patch_is_worked_out(client: httpx.Client, conditional: bool) -> None:
    name = f"patch-{uuid.uuid4()}"
    names = [{"family": "x", "given": [str(n) for n in range(200)]} for _ in range(100)]
    client.put(f"Patient/{name}", json={"resourceType": "Patient", "id": name, "name": names})
    parts = [{"name": "type", "valueCode": "delete"}, {"name": "path", "valueString": HOSTILE_PATH}]
    patch = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}
    url = f"{client.base_url}Patient{f'?_id={name}' if conditional else f'/{name}'}"
    with ThreadPoolExecutor(1) as pool:
        refused = pool.submit(httpx.patch, url, json=patch, headers={"Content-Type": FHIR_JSON}, timeout=60)
        answered = 0
        while not refused.done():
            body = {"resourceType": "Basic", "code": {"text": "meanwhile"}}
            assert client.post("Basic", json=body).status_code == 201
            answered += 1
        assert refused.result().status_code == 422
        assert refused.result().json()["issue"][0]["code"] == "too-costly"
    assert answered > 3


def test_a_stale_version_is_told_before_what_is_wrong_with_the_patch(client: httpx.Client, id: str) -> None:
    wrong = [{"op": "test", "path": "/gender", "value": "unknown"}]
    for url in (f"Patient/{id}", f"Patient?_id={id}"):
        answer = client.patch(url, json=wrong, headers={**JSON_PATCH, "If-Match": 'W/"9"'})
        assert answer.status_code == 412
        assert f"Patient/{id} has version 1" in answer.json()["issue"][0]["diagnostics"]


def test_the_formats_of_patches_are_told(client: httpx.Client, id: str) -> None:
    refused = client.patch(f"Patient/{id}", content=b"x", headers={"Content-Type": "text/plain"})
    assert refused.status_code == 415
    for answer in (refused, client.options(f"Patient/{id}")):
        assert "application/json-patch+json" in answer.headers["accept-patch"]
    assert "accept-patch" not in client.options("metadata").headers
