"""Binary over HTTP: any bytes in, the same bytes out, in their own type."""

from __future__ import annotations

import base64
import uuid

import httpx
import pytest

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 300


def post(client: httpx.Client, data: bytes, content_type: str, **headers: str) -> httpx.Response:
    answer = client.post("Binary", content=data, headers={"Content-Type": content_type, **headers})
    assert answer.status_code == 201, answer.text
    return answer


def test_bytes_come_back_in_their_own_type(client: httpx.Client) -> None:
    made = post(client, PNG, "image/png")
    id = made.json()["id"]
    for accept in ("*/*", "image/png", "image/*", "text/html, image/png;q=0.5"):
        answer = client.get(f"Binary/{id}", headers={"Accept": accept})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
        assert answer.content == PNG
        assert answer.headers["etag"] == 'W/"1"'
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_fhir_form_comes_when_asked_for(client: httpx.Client) -> None:
    id = post(client, PNG, "image/png").json()["id"]
    for found in (
        client.get(f"Binary/{id}", headers={"Accept": "application/fhir+json"}),
        client.get(f"Binary/{id}?_format=json"),
        client.get(f"Binary/{id}", headers={"Accept": "application/json"}),
    ):
        resource = found.json()
        assert resource["contentType"] == "image/png"
        assert base64.b64decode(resource["data"]) == PNG
    assert b"<Binary" in client.get(f"Binary/{id}", headers={"Accept": "application/fhir+xml"}).content
    assert client.get(f"Binary/{id}", headers={"Accept": "application/pdf"}).status_code == 406


def test_a_fhir_binary_may_be_sent_too(client: httpx.Client) -> None:
    resource = {
        "resourceType": "Binary",
        "contentType": "text/plain; charset=utf-8",
        "data": base64.b64encode("好".encode()).decode(),
    }
    for content_type in ("application/fhir+json", "application/json"):
        made = client.post("Binary", json=resource, headers={"Content-Type": content_type})
        assert made.status_code == 201
        answer = client.get(f"Binary/{made.json()['id']}", headers={"Accept": "*/*"})
        assert (answer.headers["content-type"], answer.text) == ("text/plain; charset=utf-8", "好")


def test_somebodys_own_json_and_xml_are_bytes_too(client: httpx.Client) -> None:
    for data, content_type in ((b'{"a": 1.00}', "application/json"), (b"<a/>", "text/xml"), (b"a,b\n", "text/csv")):
        id = post(client, data, content_type).json()["id"]
        assert client.get(f"Binary/{id}", headers={"Accept": "*/*"}).content == data


def test_bytes_may_be_put_and_make_versions(client: httpx.Client) -> None:
    id = f"b-{uuid.uuid4()}"
    for n, data in enumerate((b"one", b"two"), 1):
        answer = client.put(f"Binary/{id}", content=data, headers={"Content-Type": "text/plain"})
        assert answer.headers["etag"] == f'W/"{n}"'
    assert client.get(f"Binary/{id}/_history/1", headers={"Accept": "*/*"}).content == b"one"
    assert client.get(f"Binary/{id}", headers={"Accept": "*/*", "If-None-Match": 'W/"2"'}).status_code == 304
    client.delete(f"Binary/{id}")
    assert client.get(f"Binary/{id}", headers={"Accept": "*/*"}).status_code == 410


def test_the_security_context_is_kept(client: httpx.Client) -> None:
    made = post(client, b"x", "text/plain", **{"X-Security-Context": "Patient/p1"})
    assert made.json()["securityContext"] == {"reference": "Patient/p1"}
    answer = client.get(f"Binary/{made.json()['id']}", headers={"Accept": "*/*"})
    assert answer.headers["x-security-context"] == "Patient/p1"
    bad = client.post("Binary", content=b"x", headers={"Content-Type": "text/plain", "X-Security-Context": "a b"})
    assert bad.status_code == 400


@pytest.mark.parametrize("content_type", ["nonsense", "text/", "/"])
def test_what_is_no_content_type_is_refused(client: httpx.Client, content_type: str) -> None:
    answer = client.post("Binary", content=b"x", headers={"Content-Type": content_type})
    assert answer.status_code in (400, 415)


def test_no_bytes_have_a_content_type_too(client: httpx.Client) -> None:
    id = post(client, b"", "text/plain").json()["id"]
    answer = client.get(f"Binary/{id}")
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, b"", "text/plain")
