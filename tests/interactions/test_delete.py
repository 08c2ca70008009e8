"""Deleting resources over HTTP, one by id or those that criteria find."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import httpx

from tests.conftest import Running


def make(client: httpx.Client, value: str) -> str:
    answer = client.post("Patient", json={"resourceType": "Patient", "identifier": [{"value": value}]})
    assert answer.status_code == 201, answer.text
    id: str = answer.json()["id"]
    return id


def test_a_deletion_is_a_version_and_may_be_repeated(client: httpx.Client) -> None:
    id = make(client, "d")
    first = client.delete(f"Patient/{id}")
    assert (first.status_code, first.content, first.headers["etag"]) == (204, b"", 'W/"2"')
    assert client.delete(f"Patient/{id}").status_code == 204
    assert client.get(f"Patient/{id}/_history").json()["total"] == 2
    assert client.delete(f"Patient/{uuid.uuid4()}").status_code == 204


def test_a_deletion_can_tell_what_it_did(client: httpx.Client) -> None:
    id = make(client, "d")
    answer = client.delete(f"Patient/{id}", headers={"Prefer": "return=OperationOutcome"})
    assert answer.status_code == 200
    assert answer.json()["issue"][0]["diagnostics"] == f"Patient/{id} was deleted"


def test_a_deletion_honours_if_match(client: httpx.Client) -> None:
    id = make(client, "d")
    assert client.delete(f"Patient/{id}", headers={"If-Match": 'W/"9"'}).status_code == 412
    assert client.get(f"Patient/{id}").status_code == 200
    assert client.delete(f"Patient/{id}", headers={"If-Match": 'W/"1"'}).status_code == 204


def test_a_conditional_deletion_deletes_what_it_finds(client: httpx.Client) -> None:
    value = str(uuid.uuid4())
    ids = [make(client, value) for _ in range(3)]
    other = make(client, f"{value}-other")
    assert client.delete(f"Patient?identifier={value}").status_code == 204
    assert {client.get(f"Patient/{id}").status_code for id in ids} == {410}
    assert client.get(f"Patient/{other}").status_code == 200
    assert client.delete(f"Patient?identifier={value}").status_code == 204


def test_count_limits_a_conditional_deletion(client: httpx.Client) -> None:
    value = str(uuid.uuid4())
    ids = [make(client, value) for _ in range(3)]
    assert client.delete(f"Patient?identifier={value}&_count=2").status_code == 204
    assert sorted(client.get(f"Patient/{id}").status_code for id in ids) == [200, 410, 410]
    assert client.delete(f"Patient?identifier={value}&_count=0").status_code == 400


def test_a_deletion_without_criteria_is_refused(client: httpx.Client) -> None:
    assert client.delete("Patient").status_code == 412
    assert client.delete("Patient?_format=json").status_code == 412
    assert client.delete("Patient?nonsense=1").status_code == 400


def test_the_setting_bounds_conditional_deletions(start_server: Callable[..., Running]) -> None:
    server = start_server("--open", environment={"YIDANG_DELETE_MAX": "1"})
    with server.client() as client:
        make(client, "a")
        make(client, "a")
        assert client.delete("Patient?identifier=a").status_code == 412
        assert client.get("Patient?identifier=a").json()["total"] == 2
        make(client, "b")
        assert client.delete("Patient?identifier=b").status_code == 204
