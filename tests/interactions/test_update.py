"""Updating resources over HTTP: by id, as create, on conditions."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest


def patient(id: str | None = None, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", **({"id": id} if id else {}), **more}


def fresh() -> str:
    return f"u-{uuid.uuid4()}"


def test_an_update_makes_a_new_version_and_keeps_the_clients_id(client: httpx.Client) -> None:
    id = fresh()
    first = client.put(f"Patient/{id}", json=patient(id))
    assert (first.status_code, first.headers["etag"]) == (201, 'W/"1"')
    assert first.headers["location"].endswith(f"/Patient/{id}/_history/1")
    second = client.put(f"Patient/{id}", json=patient(id, gender="male"))
    assert (second.status_code, second.headers["etag"]) == (200, 'W/"2"')
    assert second.json()["meta"]["versionId"] == "2"
    assert client.get(f"Patient/{id}").json() == second.json()


def test_an_update_after_a_deletion_brings_the_resource_back(client: httpx.Client) -> None:
    id = fresh()
    client.put(f"Patient/{id}", json=patient(id))
    client.delete(f"Patient/{id}")
    back = client.put(f"Patient/{id}", json=patient(id))
    assert (back.status_code, back.headers["etag"]) == (201, 'W/"3"')


@pytest.mark.parametrize(
    ("url", "id", "status"),
    [
        ("Patient/a", "b", 400),
        ("Patient/a", None, 400),
        ("Patient/a_b", "a_b", 400),
        (f"Patient/{'x' * 65}", "x" * 65, 400),
        ("Patient/%2e%2e%2fa", "../a", 400),
        ("Patient", None, 400),
    ],
)
def test_ids_must_agree_and_be_well_formed(client: httpx.Client, url: str, id: str | None, status: int) -> None:
    answer = client.put(url, json=patient(id))
    assert answer.status_code == status
    assert answer.json()["issue"][0]["severity"] == "error"


def test_if_match_guards_against_lost_updates(client: httpx.Client) -> None:
    id = fresh()
    client.put(f"Patient/{id}", json=patient(id))
    for header in ('W/"1"', '"2"', "3"):
        assert client.put(f"Patient/{id}", json=patient(id), headers={"If-Match": header}).status_code == 200
    stale = client.put(f"Patient/{id}", json=patient(id), headers={"If-Match": 'W/"1"'})
    assert stale.status_code == 412
    assert stale.json()["issue"][0]["expression"] == ["http.If-Match"]
    assert client.get(f"Patient/{id}").headers["etag"] == 'W/"4"'
    missing = client.put(f"Patient/{id}-x", json=patient(f"{id}-x"), headers={"If-Match": 'W/"1"'})
    assert missing.status_code == 412


def test_if_none_match_star_only_creates(client: httpx.Client) -> None:
    id = fresh()
    headers = {"If-None-Match": "*"}
    assert client.put(f"Patient/{id}", json=patient(id), headers=headers).status_code == 201
    assert client.put(f"Patient/{id}", json=patient(id), headers=headers).status_code == 412


def test_a_conditional_update_finds_its_resource(client: httpx.Client) -> None:
    value = fresh()
    body = patient(identifier=[{"system": "http://x.org/u", "value": value}])
    url = f"Patient?identifier=http://x.org/u|{value}"
    first = client.put(url, json=body)
    assert first.status_code == 201
    second = client.put(url, json={**body, "gender": "male"})
    assert (second.status_code, second.json()["id"]) == (200, first.json()["id"])
    assert second.headers["etag"] == 'W/"2"'
    assert client.put(url, json={**body, "id": "other"}).status_code == 400
    assert client.put(url, json=body, headers={"If-Match": 'W/"1"'}).status_code == 412
    client.post("Patient", json=body)
    assert client.put(url, json=body).status_code == 412


def test_a_conditional_update_may_bring_its_id(client: httpx.Client) -> None:
    id = fresh()
    url = f"Patient?identifier={id}"
    made = client.put(url, json=patient(id, identifier=[{"value": id}]))
    assert (made.status_code, made.json()["id"]) == (201, id)
    other = client.put(f"Patient?identifier={fresh()}", json=patient(id))
    assert other.status_code == 409


def test_unknown_criteria_are_never_ignored(client: httpx.Client) -> None:
    answer = client.put("Patient?nonsense=1", json=patient(), headers={"Prefer": "handling=lenient"})
    assert answer.status_code == 400
