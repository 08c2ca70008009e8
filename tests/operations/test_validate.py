"""$validate over HTTP: always an OperationOutcome, nothing stored."""

from __future__ import annotations

import asyncio
import threading
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.http.exchange import Request
from fhir_server.interactions.update import update
from fhir_server.local import open_records
from fhir_server.operations.validate import validate
from profiles.issues import Issue
from profiles.lossless import encode


def severities(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    assert answer.json()["resourceType"] == "OperationOutcome"
    return [issue["severity"] for issue in answer.json()["issue"]]


def call(**parts: Any) -> dict[str, Any]:
    parameters = [{"name": n, **({"resource": v} if n == "resource" else {"valueCode": v})} for n, v in parts.items()]
    return {"resourceType": "Parameters", "parameter": parameters}


NARRATIVE = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">男</div>'}
GOOD: dict[str, Any] = {"resourceType": "Patient", "text": NARRATIVE, "gender": "male"}
BAD: dict[str, Any] = {**GOOD, "gender": "nobody"}


def test_a_bare_resource_is_validated_and_not_stored(client: httpx.Client) -> None:
    name = f"V{uuid.uuid4()}"
    assert severities(client.post("Patient/$validate", json={**GOOD, "name": [{"family": name}]})) == ["information"]
    assert client.get(f"Patient?family={name}&_total=accurate").json()["total"] == 0
    found = client.post("Patient/$validate", json=BAD)
    assert severities(found) == ["error"]
    assert found.json()["issue"][0]["expression"] == ["Patient.gender"]


def test_a_parameters_body_is_understood(client: httpx.Client) -> None:
    assert severities(client.post("Patient/$validate", json=call(resource=GOOD, mode="create"))) == ["information"]
    assert severities(client.post("Patient/$validate", json=call(resource=BAD))) == ["error"]


def test_a_parameters_resource_can_itself_be_validated(client: httpx.Client) -> None:
    own = {"resourceType": "Parameters", "parameter": [{"name": "x", "valueString": "y"}]}
    assert severities(client.post("Parameters/$validate", json=own)) == ["information"]
    assert "error" in severities(client.post("Parameters/$validate", json={**own, "colour": 1}))


def test_the_stored_instance_is_validated_without_a_body(client: httpx.Client) -> None:
    id = client.post("Patient", json=GOOD).json()["id"]
    assert severities(client.get(f"Patient/{id}/$validate")) == ["information"]
    assert severities(client.post(f"Patient/{id}/$validate", json={**GOOD, "id": id})) == ["information"]
    assert severities(client.post(f"Patient/{id}/$validate", json={**GOOD, "id": "other"})) == ["error"]
    assert severities(client.get(f"Patient/{id}/$validate?mode=delete")) == ["information"]


@pytest.mark.parametrize(
    ("method", "url", "body", "status"),
    [
        ("POST", "Patient/$validate?mode=make", GOOD, 400),
        ("POST", "Patient/$validate?colour=red", GOOD, 400),
        ("POST", "Patient/$validate", call(resource=GOOD, profile=""), 400),
        ("POST", "Patient/$validate", None, 400),
        ("GET", "Patient/there-is-none/$validate", None, 404),
        ("POST", "Patient/$validate", call(mode="delete"), 400),
        ("POST", "Patient/$validate", {"resourceType": "Parameters", "parameter": [{"value": 1}]}, 400),
    ],
)
def test_a_request_that_cannot_be_understood_is_refused(
    client: httpx.Client, method: str, url: str, body: dict[str, Any] | None, status: int
) -> None:
    answer = client.request(method, url, json=body) if body else client.request(method, url)
    assert answer.status_code == status
    assert answer.json()["resourceType"] == "OperationOutcome"


def test_another_type_than_that_of_the_url_is_told(client: httpx.Client) -> None:
    assert "error" in severities(client.post("Observation/$validate", json=GOOD))


def test_the_mode_profile_is_not_offered_yet(client: httpx.Client) -> None:
    answer = client.post("Patient/$validate?mode=profile", json={"resourceType": "Patient"})
    assert answer.status_code == 501


class Watched:
    """A validator that notes in which thread it works."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []

    def check(self, resource: dict[str, Any]) -> list[Issue]:
        self.threads.append(threading.current_thread())
        return []


@pytest.mark.parametrize(("name", "apart"), [("王", False), ("王" * 30_000, True)])
def test_a_large_stored_resource_is_validated_outside_the_event_loop(tmp_path: Path, name: str, apart: bool) -> None:
    context = open_records(tmp_path, "test")
    try:
        body = encode({**GOOD, "id": "p1", "name": [{"text": name}]})
        given = Request("PUT", ("Patient", "p1"), [], {}, body, "http://t/fhir", "c", type="Patient", id="p1")
        assert asyncio.run(update(given, context)).status == 201
        watched = Watched()
        asked = replace(given, method="GET", body=b"")
        asyncio.run(validate(asked, replace(context, validator=watched)))  # type: ignore[arg-type]
        assert [thread is not threading.main_thread() for thread in watched.threads] == [apart]
    finally:
        context.profiles.close() if context.profiles else None
        context.store.close()
