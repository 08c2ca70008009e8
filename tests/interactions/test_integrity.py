"""References need not resolve, unless the setting demands it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.conftest import Running


@pytest.fixture(scope="module")
def strict(start_server: Callable[..., Running]) -> Iterator[httpx.Client]:
    server = start_server("--open", environment={"YIDANG_REFERENTIAL_INTEGRITY": "true"})
    with server.client() as client:
        yield client


def observation(id: str, subject: str) -> dict[str, Any]:
    reference = {"reference": subject}
    return {"resourceType": "Observation", "id": id, "status": "final", "code": {"text": "x"}, "subject": reference}


def test_references_may_point_to_nothing_by_default(client: httpx.Client) -> None:
    assert client.put("Observation/loose", json=observation("loose", "Patient/nobody-at-all")).status_code == 201


def test_the_setting_refuses_references_to_nothing(strict: httpx.Client) -> None:
    refused = strict.put("Observation/o", json=observation("o", "Patient/p"))
    assert refused.status_code == 422
    assert "Patient/p" in refused.json()["issue"][0]["diagnostics"]
    assert strict.get("Observation/o").status_code == 404
    strict.put("Patient/p", json={"resourceType": "Patient", "id": "p"})
    assert strict.put("Observation/o", json=observation("o", "Patient/p")).status_code == 201
    patch = [{"op": "replace", "path": "/subject/reference", "value": "Patient/q"}]
    headers = {"Content-Type": "application/json-patch+json"}
    assert strict.patch("Observation/o", json=patch, headers=headers).status_code == 422


def test_the_setting_keeps_what_is_referred_to(strict: httpx.Client) -> None:
    strict.put("Patient/kept", json={"resourceType": "Patient", "id": "kept"})
    strict.put("Observation/keeper", json=observation("keeper", "Patient/kept"))
    refused = strict.delete("Patient/kept")
    assert refused.status_code == 409
    assert "Observation/keeper" in refused.json()["issue"][0]["diagnostics"]
    assert strict.get("Patient/kept").status_code == 200
    assert strict.delete("Observation/keeper").status_code == 204
    assert strict.delete("Patient/kept").status_code == 204


def test_the_resources_of_a_transaction_may_refer_to_each_other(strict: httpx.Client) -> None:
    def entry(resource: dict[str, Any]) -> dict[str, Any]:
        url = f"{resource['resourceType']}/{resource['id']}"
        return {"resource": resource, "request": {"method": "PUT", "url": url}}

    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [entry(observation("t", "Patient/t")), entry({"resourceType": "Patient", "id": "t"})],
    }
    assert strict.post("", json=bundle).status_code == 200
    bundle["entry"] = [entry(observation("u", "Patient/u"))]
    assert strict.post("", json=bundle).status_code == 422
    deletions = [{"request": {"method": "DELETE", "url": url}} for url in ("Patient/t", "Observation/t")]
    assert strict.post("", json={**bundle, "entry": deletions[:1]}).status_code == 409
    assert strict.post("", json={**bundle, "entry": deletions}).status_code == 200
