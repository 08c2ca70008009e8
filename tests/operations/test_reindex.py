"""$reindex over HTTP: a custom search parameter becomes searchable, also for what was there before."""

from __future__ import annotations

import time
import uuid
from typing import Any

import httpx


def parts(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code in (200, 202), answer.text
    return {p["name"]: next(v for k, v in p.items() if k.startswith("value")) for p in answer.json()["parameter"]}


def until_done(client: httpx.Client, url: str) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while (found := parts(client.get(url)))["status"] in ("queued", "running"):
        assert time.monotonic() < deadline, found
    return found


def test_a_custom_parameter_is_indexed_told_of_and_searched(client: httpx.Client) -> None:
    code, value = f"hair-{uuid.uuid4().hex[:8]}", uuid.uuid4().hex
    url = f"http://example.org/{code}"
    patient = {"resourceType": "Patient", "extension": [{"url": url, "valueString": value}]}
    id = client.post("Patient", json=patient).json()["id"]
    assert client.get(f"Patient?{code}={value}").status_code == 400
    parameter = {
        "resourceType": "SearchParameter",
        "url": f"http://example.org/SearchParameter/{code}",
        "name": "Hair",
        "status": "active",
        "description": "The colour of hair",
        "code": code,
        "base": ["Patient"],
        "type": "string",
        "expression": f"Patient.extension.where(url='{url}').value",
    }
    made = client.post("SearchParameter", json=parameter)
    assert made.status_code == 201, made.text
    job = f"SearchParameter/{made.json()['id']}/$reindex"
    assert until_done(client, job)["status"] == "completed"
    found = client.get(f"Patient?{code}={value}").json()
    assert [item["resource"]["id"] for item in found["entry"]] == [id]
    patients = next(r for r in client.get("metadata").json()["rest"][0]["resource"] if r["type"] == "Patient")
    assert code in {item["name"] for item in patients["searchParam"]}
    again = client.post(job)
    assert again.status_code in (200, 202)
    assert until_done(client, job)["status"] == "completed"


def test_unknown_parameters_have_no_job(client: httpx.Client) -> None:
    assert client.get("SearchParameter/there-is-none/$reindex").status_code == 404
    assert client.post("Patient/there-is-none/$reindex").status_code == 404
