"""Batches over HTTP, and what else is posted to the base."""

from __future__ import annotations

import gzip
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

SYNTHEA = Path(__file__).parents[2] / ".." / "shared" / "fhir" / "synthea"
SYSTEM = "http://example.org/batches"


def fresh() -> str:
    return f"b-{uuid.uuid4()}"


def entry(method: str, url: str, resource: dict[str, Any] | None = None, **more: str) -> dict[str, Any]:
    found: dict[str, Any] = {"request": {"method": method, "url": url, **more}}
    return found if resource is None else {"resource": resource, **found}


def batch(client: httpx.Client, *entries: Any, **headers: str) -> list[dict[str, Any]]:
    answer = client.post("", json={"resourceType": "Bundle", "type": "batch", "entry": list(entries)}, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["type"] == "batch-response"
    found: list[dict[str, Any]] = answer.json()["entry"]
    assert len(found) == len(entries)
    return found


def statuses(found: list[dict[str, Any]]) -> list[str]:
    return [item["response"]["status"][:3] for item in found]


def test_each_entry_succeeds_or_fails_by_itself_and_says_why(client: httpx.Client) -> None:
    id = fresh()
    found = batch(
        client,
        entry("POST", "Patient", {"resourceType": "Patient"}),
        entry("POST", "Patient", {"resourceType": "Patient", "gender": 7}),
        entry("GET", f"Patient/{id}"),
        entry("PUT", f"Patient/{id}", {"resourceType": "Patient", "id": id}),
        {"request": {"method": "FETCH", "url": "Patient"}},
        "nonsense",
        entry("GET", "Nothing/1"),
        entry("DELETE", f"Patient/{fresh()}"),
    )
    assert statuses(found) == ["201", "422", "200", "201", "400", "400", "404", "204"]
    outcome = found[1]["response"]["outcome"]
    assert outcome["issue"][0]["expression"] == ["Bundle.entry[1].resource.gender"]
    assert found[2]["resource"]["id"] == id  # reads come last
    assert found[0]["response"]["location"].startswith("http")
    assert found[4]["response"]["outcome"]["issue"][0]["expression"] == ["Bundle.entry[4].request.method"]


def test_searches_histories_and_operations_run_in_a_batch(client: httpx.Client) -> None:
    id = fresh()
    client.put(f"Patient/{id}", json={"resourceType": "Patient", "id": id, "gender": "other"})
    found = batch(
        client,
        entry("GET", f"Patient?_id={id}"),
        entry("GET", f"Patient/{id}/_history"),
        entry("GET", f"Patient/{id}/_history/1"),
        entry("GET", f"Patient/{id}/$meta"),
        entry("POST", "Patient/$validate", {"resourceType": "Patient", "gender": "nobody"}),
        entry("HEAD", f"Patient/{id}"),
        entry("GET", f"Patient/{id}", ifNoneMatch='W/"1"'),
        entry("GET", "metadata?_summary=true"),
    )
    assert statuses(found) == ["200", "200", "200", "200", "200", "200", "304", "200"]
    assert found[0]["resource"]["type"] == "searchset"
    assert found[1]["resource"]["type"] == "history"
    assert found[2]["resource"]["gender"] == "other"
    assert found[3]["resource"]["resourceType"] == "Parameters"
    assert found[4]["response"]["outcome"]["issue"][0]["severity"] == "error"
    assert "resource" not in found[5]
    assert found[7]["resource"]["resourceType"] == "CapabilityStatement"


def test_equal_conditional_creates_in_a_batch_make_one_resource(client: httpx.Client) -> None:
    value = fresh()
    patient = {"resourceType": "Patient", "identifier": [{"system": SYSTEM, "value": value}]}
    found = batch(client, *[entry("POST", "Patient", patient, ifNoneExist=f"identifier={SYSTEM}|{value}")] * 20)
    assert sorted(statuses(found)) == ["200"] * 19 + ["201"]
    assert client.get(f"Patient?identifier={SYSTEM}|{value}&_total=accurate").json()["total"] == 1


def test_prefer_decides_what_the_entries_hold(client: httpx.Client) -> None:
    patient = {"resourceType": "Patient", "active": True}
    assert "resource" not in batch(client, entry("POST", "Patient", patient))[0]
    kept = batch(client, entry("POST", "Patient", patient), Prefer="return=representation")[0]
    assert kept["resource"]["active"] is True


def test_a_batch_within_a_batch_is_refused_in_its_entry(client: httpx.Client) -> None:
    inner = {"resourceType": "Bundle", "type": "batch"}
    found = batch(client, entry("POST", "/", inner), entry("POST", "Bundle", {**inner, "type": "collection"}))
    assert statuses(found) == ["400", "201"]


@pytest.mark.parametrize("kind", ["document", "message", "collection", "searchset", "history", "batch-response"])
def test_other_bundles_are_refused_at_the_base_and_the_type_is_named(client: httpx.Client, kind: str) -> None:
    answer = client.post("", json={"resourceType": "Bundle", "type": kind})
    assert answer.status_code == 400
    assert f"'{kind}'" in answer.json()["issue"][0]["diagnostics"]
    assert answer.json()["issue"][0]["expression"] == ["Bundle.type"]


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"7", b'{"resourceType":"Bundle","type":"batch","entry":7}', b'{"resourceType":"Bundle"', b"\xff"],
)
def test_nonsense_at_the_base_is_refused_with_an_outcome(client: httpx.Client, body: bytes) -> None:
    answer = client.post("", content=body)
    assert answer.status_code == 400
    assert answer.json()["resourceType"] == "OperationOutcome"


@pytest.mark.skipif(not SYNTHEA.is_dir(), reason="the Synthea records are not beside the project")
def test_the_synthea_batches_and_a_patient_load_and_are_one_record(start_server: Callable[..., Any]) -> None:
    with start_server("--open").client() as client:
        names = ["0-hospital-information", "0-practitioner-information", "085e81c0-7a95-ef02-16ef-aa1b4344deed"]
        bundles = [gzip.decompress((SYNTHEA / f"{name}.json.gz").read_bytes()) for name in names]
        for body, count in zip(bundles, (388, 390, 146), strict=True):
            answer = client.post("", content=body)
            assert answer.status_code == 200, answer.text[:2000]
            assert [item["response"]["status"] for item in answer.json()["entry"]] == ["201 Created"] * count
        patient = client.get("Patient").json()["entry"][0]["resource"]["id"]
        observations = client.get(f"Observation?patient={patient}&_total=accurate&_count=1").json()
        assert observations["total"] == 56
        assert observations["entry"][0]["resource"]["subject"]["reference"] == f"Patient/{patient}"
        encounter = client.get("Encounter?_count=1").json()["entry"][0]["resource"]
        practitioner = encounter["participant"][0]["individual"]["reference"]
        assert client.get(practitioner).status_code == 200
        everything = client.get(f"Patient/{patient}/$everything").json()
        members = [item for item in everything["entry"] if item["search"]["mode"] == "match"]
        assert len(members) == 146
        # Loading the batches again makes nothing new where a condition was given.
        again = client.post("", content=bundles[0]).json()["entry"]
        assert {item["response"]["status"] for item in again} == {"200 OK"}


def test_if_modified_since_of_an_entry_is_an_instant(client: httpx.Client) -> None:
    id = fresh()
    updated = client.put(f"Patient/{id}", json={"resourceType": "Patient", "id": id}).json()["meta"]["lastUpdated"]
    url = f"Patient/{id}"
    found = batch(
        client,
        entry("GET", url, ifModifiedSince=updated),
        entry("GET", url, ifModifiedSince="2015-10-31T08:14:33.123+08:00"),
        entry("GET", url, ifModifiedSince="Sat, 31 Oct 2015 08:14:33 GMT"),
        entry("GET", url, ifModifiedSince="2015-10-31"),
    )
    assert statuses(found) == ["304", "200", "200", "400"]
    assert found[3]["response"]["outcome"]["issue"][0]["expression"] == ["Bundle.entry[3].request.ifModifiedSince"]


def test_an_answer_tells_the_instant_of_the_resource_in_the_same_text(client: httpx.Client) -> None:
    id = fresh()
    body = {"resourceType": "Patient", "id": id}
    made = batch(client, entry("PUT", f"Patient/{id}", body), Prefer="return=representation")[0]
    updated = made["resource"]["meta"]["lastUpdated"]
    assert updated.endswith("+08:00")
    history = client.get(f"Patient/{id}/_history").json()
    assert made["response"]["lastModified"] == history["entry"][0]["response"]["lastModified"] == updated
    assert history["meta"]["lastUpdated"].endswith("+08:00")


def test_a_batch_within_a_batch_is_refused_by_its_place(client: httpx.Client) -> None:
    found = batch(client, entry("GET", "Patient?_count=1"), entry("POST", "/", {"resourceType": "Bundle"}))
    assert statuses(found) == ["200", "400"]
    assert found[1]["response"]["outcome"]["issue"][0]["expression"] == ["Bundle.entry[1].request.url"]
