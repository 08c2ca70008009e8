"""Creating resources over HTTP, also on the condition that there is none yet."""

from __future__ import annotations

import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.conftest import Running

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def patient(value: str | None = None, **more: Any) -> dict[str, Any]:
    identifier = {"identifier": [{"system": "http://x.org/create", "value": value}]} if value else {}
    return {"resourceType": "Patient", **identifier, **more}


def test_a_created_resource_gets_an_id_a_version_and_a_location(client: httpx.Client) -> None:
    answer = client.post("Patient", json=patient(gender="female"))
    assert answer.status_code == 201
    found = answer.json()
    assert UUID.fullmatch(found["id"])
    assert found["meta"]["versionId"] == "1"
    assert answer.headers["etag"] == 'W/"1"'
    assert answer.headers["location"] == f"{str(client.base_url).rstrip('/')}/Patient/{found['id']}/_history/1"
    assert client.get(answer.headers["location"]).json() == found


def test_the_id_and_version_of_the_client_are_not_taken(client: httpx.Client) -> None:
    meta = {"versionId": "77", "lastUpdated": "1999-01-01T00:00:00Z", "tag": [{"code": "kept"}]}
    found = client.post("Patient", json=patient(id="mine", meta=meta)).json()
    assert found["id"] != "mine"
    assert found["meta"]["versionId"] == "1"
    assert found["meta"]["lastUpdated"] > "2020"
    assert found["meta"]["tag"] == [{"code": "kept"}]


@pytest.mark.parametrize(
    ("prefer", "kind"),
    [
        (None, "Patient"),
        ("return=representation", "Patient"),
        ("return=minimal", None),
        ("return=OperationOutcome", "OperationOutcome"),
        ("return=nonsense", "Patient"),
    ],
)
def test_prefer_decides_what_comes_back(client: httpx.Client, prefer: str | None, kind: str | None) -> None:
    answer = client.post("Patient", json=patient(), headers={"Prefer": prefer} if prefer else {})
    assert answer.status_code == 201
    assert answer.headers["location"]
    assert (answer.json()["resourceType"] if answer.content else None) == kind


def test_xml_bodies_are_taken(client: httpx.Client) -> None:
    xml = '<Patient xmlns="http://hl7.org/fhir"><name><family value="王"/></name><active value="true"/></Patient>'
    answer = client.post("Patient", content=xml.encode(), headers={"Content-Type": "application/fhir+xml"})
    assert answer.status_code == 201
    assert answer.json()["name"] == [{"family": "王"}]


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ("", 400, "empty"),
        ("{", 400, "cannot be parsed"),
        ('{"resourceType":"Observation","status":"final","code":{"text":"x"}}', 400, "Observation"),
        ('{"resourceType":"Nonsense"}', 400, "Nonsense"),
        ('{"name":[]}', 400, "resourceType"),
        ('{"resourceType":"Patient","colour":"red"}', 422, "colour"),
        ('{"resourceType":"Patient","gender":"blue"}', 422, "gender"),
        ('{"resourceType":"Patient","birthDate":"1970-02-30"}', 422, "birthDate"),
        ('{"resourceType":"Patient","active":"true"}', 422, "active"),
        ('{"resourceType":"Patient","name":{}}', 422, "name"),
    ],
)
def test_bad_bodies_are_refused_with_element_and_cause(client: httpx.Client, body: str, status: int, text: str) -> None:
    answer = client.post("Patient", content=body)
    assert answer.status_code == status, answer.text
    issue = answer.json()["issue"][0]
    assert text in f"{issue['diagnostics']} {issue.get('expression')}"


def test_all_findings_are_told_at_once(client: httpx.Client) -> None:
    answer = client.post("Patient", json=patient(gender="blue", birthDate="x"))
    expressions = {expression for issue in answer.json()["issue"] for expression in issue.get("expression", [])}
    assert {"Patient.gender", "Patient.birthDate"} <= expressions


def test_other_media_types_are_refused(client: httpx.Client) -> None:
    answer = client.post("Patient", content="a=b", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415
    assert answer.json()["issue"][0]["expression"] == ["http.Content-Type"]


def test_if_none_exist_creates_once(client: httpx.Client) -> None:
    value = str(uuid.uuid4())
    condition = {"If-None-Exist": f"identifier=http://x.org/create|{value}"}
    first = client.post("Patient", json=patient(value), headers=condition)
    again = client.post("Patient", json=patient(value, gender="male"), headers=condition)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == first.json()["id"]
    assert "gender" not in again.json()
    client.post("Patient", json=patient(value))
    several = client.post("Patient", json=patient(value), headers=condition)
    assert several.status_code == 412
    assert several.json()["issue"][0]["code"] == "multiple-matches"


@pytest.mark.parametrize(("condition", "status"), [("", 412), ("nonsense=1", 400), ("Observation?code=x", 400)])
def test_conditions_that_say_nothing_are_refused(client: httpx.Client, condition: str, status: int) -> None:
    assert client.post("Patient", json=patient(), headers={"If-None-Exist": condition}).status_code == status


def test_parallel_conditional_creates_make_one_resource(server: Running) -> None:
    value = str(uuid.uuid4())
    condition = {"If-None-Exist": f"identifier={value}"}

    def once(_: int) -> httpx.Response:
        with server.client() as client:
            return client.post("Patient", json=patient(value), headers=condition)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(once, range(16)))
    assert sorted(answer.status_code for answer in answers) == [200] * 15 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
