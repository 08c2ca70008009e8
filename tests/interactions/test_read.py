"""Reading resources and versions over HTTP."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any

import httpx
import pytest

from tests.conftest import FHIR_JSON


def put(client: httpx.Client, resource: dict[str, Any]) -> httpx.Response:
    answer = client.put(f"{resource['resourceType']}/{resource['id']}", json=resource)
    assert answer.status_code in (200, 201), answer.text
    return answer


def issue(answer: httpx.Response) -> dict[str, Any]:
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    found: dict[str, Any] = outcome["issue"][0]
    return found


def test_a_read_gives_the_resource_with_its_version_and_time(client: httpx.Client) -> None:
    put(client, {"resourceType": "Patient", "id": "read-1", "active": True})
    answer = client.get("Patient/read-1")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/fhir+json; charset=utf-8"
    assert answer.headers["etag"] == 'W/"1"'
    assert answer.headers["last-modified"].endswith("GMT")
    found = answer.json()
    assert found["active"] is True
    assert found["meta"]["versionId"] == "1"
    assert found["meta"]["lastUpdated"]


def test_head_gives_the_headers_only(client: httpx.Client) -> None:
    put(client, {"resourceType": "Patient", "id": "read-head"})
    get, head = client.get("Patient/read-head"), client.head("Patient/read-head")
    assert head.status_code == 200
    assert head.content == b""
    for name in ("etag", "last-modified", "content-type", "content-length"):
        assert head.headers[name] == get.headers[name]


def test_unknown_deleted_and_foreign_resources_differ(client: httpx.Client) -> None:
    put(client, {"resourceType": "Patient", "id": "read-gone"})
    assert client.delete("Patient/read-gone").status_code == 204
    assert client.get("Patient/read-gone").status_code == 410
    assert issue(client.get("Patient/read-gone"))["code"] == "deleted"
    assert client.get("Patient/read-never").status_code == 404
    assert issue(client.get("Patient/read-never"))["code"] == "not-found"
    assert client.get("Foo/1").status_code == 404
    assert "Foo" in issue(client.get("Foo/1"))["diagnostics"]


def test_each_version_can_be_read(client: httpx.Client) -> None:
    put(client, {"resourceType": "Patient", "id": "read-v", "gender": "male"})
    put(client, {"resourceType": "Patient", "id": "read-v", "gender": "female"})
    client.delete("Patient/read-v")
    first = client.get("Patient/read-v/_history/1")
    assert first.status_code == 200
    assert (first.json()["gender"], first.headers["etag"]) == ("male", 'W/"1"')
    assert client.get("Patient/read-v/_history/2").json()["gender"] == "female"
    assert client.get("Patient/read-v/_history/3").status_code == 410
    for unknown in ("4", "0", "01", "x", "-1", "9" * 30, "%C2%B2"):
        assert client.get(f"Patient/read-v/_history/{unknown}").status_code == 404


def test_conditional_reads_spare_the_body(client: httpx.Client) -> None:
    put(client, {"resourceType": "Patient", "id": "read-c"})
    fresh = client.get("Patient/read-c", headers={"If-None-Match": 'W/"1"'})
    assert (fresh.status_code, fresh.content, fresh.headers["etag"]) == (304, b"", 'W/"1"')
    assert client.get("Patient/read-c", headers={"If-None-Match": 'W/"2"'}).status_code == 200
    future = formatdate(time.time() + 5, usegmt=True)
    assert client.get("Patient/read-c", headers={"If-Modified-Since": future}).status_code == 304
    past = formatdate(time.time() - 3600, usegmt=True)
    assert client.get("Patient/read-c", headers={"If-Modified-Since": past}).status_code == 200
    assert client.get("Patient/read-c", headers={"If-Modified-Since": "soon"}).status_code == 400


def test_numbers_and_the_order_of_keys_come_back_as_sent(client: httpx.Client) -> None:
    text = (
        '{"valueQuantity":{"unit":"kg","value":1.00},"resourceType":"Observation","status":"final",'
        '"component":[{"code":{"text":"e"},"valueQuantity":{"value":1E-5}}],"code":{"text":"x"},"id":"read-n"}'
    )
    sent = client.put("Observation/read-n", content=text)
    assert sent.status_code == 201, sent.text
    found = client.get("Observation/read-n").text
    assert '"value":1.00' in found
    assert '"value":1E-5' in found
    assert found.index('"valueQuantity":{"unit"') < found.index('"status"') < found.index('"component"')


def test_xml_comes_by_accept_or_format(client: httpx.Client) -> None:
    put(client, {"resourceType": "Patient", "id": "read-x", "active": True})
    for answer in (
        client.get("Patient/read-x", headers={"Accept": "application/fhir+xml"}),
        client.get("Patient/read-x", params={"_format": "xml"}, headers={"Accept": FHIR_JSON}),
    ):
        assert answer.headers["content-type"] == "application/fhir+xml; charset=utf-8"
        assert b'<Patient xmlns="http://hl7.org/fhir"><id value="read-x"/>' in answer.content


def test_pretty_output_is_indented_and_has_the_same_numbers(client: httpx.Client) -> None:
    coded = '"status":"final","code":{"text":"x"}'
    body = f'{{"resourceType":"Observation","id":"read-p",{coded},"valueQuantity":{{"value":2.50}}}}'
    client.put("Observation/read-p", content=body)
    text = client.get("Observation/read-p?_pretty=true").text
    assert '\n  "status": "final"' in text
    assert '"value": 2.50' in text
    assert "\n  <status" in client.get("Observation/read-p?_pretty=true&_format=xml").text


@pytest.mark.parametrize(("accept", "status"), [("text/html", 406), ("image/png", 406), ("*/*", 200), ("", 200)])
def test_only_what_is_accepted_is_sent(client: httpx.Client, accept: str, status: int) -> None:
    put(client, {"resourceType": "Patient", "id": "read-a"})
    answer = client.get("Patient/read-a", headers={"Accept": accept})
    assert answer.status_code == status
    if status == 406:
        assert issue(answer)["expression"] == ["http.Accept"]


def test_parts_of_a_resource_are_tagged(client: httpx.Client) -> None:
    put(client, {"resourceType": "Patient", "id": "read-s", "active": True, "contact": [{"gender": "male"}]})
    found = client.get("Patient/read-s?_summary=true").json()
    assert "contact" not in found
    assert found["meta"]["tag"][0]["code"] == "SUBSETTED"
    found = client.get("Patient/read-s?_elements=contact").json()
    assert "contact" in found
    assert "active" not in found
    assert client.get("Patient/read-s?_summary=nonsense").status_code == 400
