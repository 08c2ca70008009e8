"""$everything over HTTP: complete, each once, nobody else's, in pages or whole."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest


@pytest.fixture(scope="module")
def record(client: httpx.Client) -> dict[str, str]:
    """A patient's record of known resources; the ids by name."""
    ids = {
        name: f"{name}-{uuid.uuid4().hex[:8]}"
        for name in (
            "patient", "other", "doctor", "clinic", "parent", "drug", "encounter", "early", "late", "order", "device",
            "strange", "spare", "condition",
        )
    }  # fmt: skip
    patient = {"reference": f"Patient/{ids['patient']}"}

    def coded(kind: str, name: str, **elements: Any) -> dict[str, Any]:
        return {"resourceType": kind, "id": ids[name], "status": "final", "code": {"text": "x"}, **elements}

    resources: list[dict[str, Any]] = [
        {"resourceType": "Organization", "id": ids["parent"], "name": "County"},
        {"resourceType": "Organization", "id": ids["clinic"], "partOf": {"reference": f"Organization/{ids['parent']}"}},
        {"resourceType": "Practitioner", "id": ids["doctor"]},
        {"resourceType": "Practitioner", "id": ids["spare"]},
        {"resourceType": "Medication", "id": ids["drug"]},
        {"resourceType": "Patient", "id": ids["other"]},
        {
            "resourceType": "Patient",
            "id": ids["patient"],
            "managingOrganization": {"reference": f"Organization/{ids['clinic']}"},
        },
        {
            "resourceType": "Encounter",
            "id": ids["encounter"],
            "status": "finished",
            "class": {"code": "AMB"},
            "subject": patient,
            "diagnosis": [{"condition": {"reference": f"Condition/{ids['condition']}"}}],
            "period": {"start": "2020-05-01", "end": "2020-05-02"},
        },
        {"resourceType": "Condition", "id": ids["condition"], "subject": patient},
        coded(
            "Observation", "early", subject=patient, effectiveDateTime="2019-01-01",
            performer=[{"reference": f"Practitioner/{ids['doctor']}"}],
        ),
        coded(
            "Observation", "late", subject=patient, effectiveDateTime="2021-06-01",
            encounter={"reference": f"Encounter/{ids['encounter']}"},
            hasMember=[{"reference": f"Observation/{ids['strange']}"}],
        ),
        coded("Observation", "strange", subject={"reference": f"Patient/{ids['other']}"}),
        {
            "resourceType": "MedicationRequest",
            "id": ids["order"],
            "status": "active",
            "intent": "order",
            "subject": patient,
            "medicationReference": {"reference": f"Medication/{ids['drug']}"},
        },
        {"resourceType": "Device", "id": ids["device"], "patient": patient},
    ]  # fmt: skip
    for resource in resources:
        url = f"{resource['resourceType']}/{resource['id']}"
        assert client.put(url, json=resource).status_code == 201, resource
    return ids


MEMBERS = ("patient", "encounter", "condition", "early", "late", "order", "device")
REFERENCED = ("doctor", "clinic", "parent", "drug")


def names(record: dict[str, str], bundle: dict[str, Any], mode: str = "") -> list[str]:
    by_id = {id: name for name, id in record.items()}
    return [
        by_id[item["resource"]["id"]] for item in bundle.get("entry", []) if not mode or item["search"]["mode"] == mode
    ]


def everything(client: httpx.Client, record: dict[str, str], query: str = "", of: str = "Patient") -> dict[str, Any]:
    answer = client.get(f"{of}/{record[of.lower()]}/$everything{query}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_the_whole_record_comes_with_what_it_refers_to_and_nobody_elses(
    client: httpx.Client, record: dict[str, str]
) -> None:
    bundle = everything(client, record)
    assert bundle["type"] == "searchset"
    assert sorted(names(record, bundle, "match")) == sorted(MEMBERS)
    assert sorted(names(record, bundle, "include")) == sorted(REFERENCED)
    assert bundle["total"] == len(MEMBERS)
    assert names(record, bundle)[0] == "patient"
    assert [link["relation"] for link in bundle["link"]] == ["self"]


def test_pages_give_every_member_once_while_others_write(client: httpx.Client, record: dict[str, str]) -> None:
    bundle = everything(client, record, "?_count=2")
    found = names(record, bundle, "match")
    included = names(record, bundle, "include")
    while following := [link["url"] for link in bundle["link"] if link["relation"] == "next"]:
        client.put(
            f"Condition/{record['condition']}",
            json={
                "resourceType": "Condition",
                "id": record["condition"],
                "subject": {"reference": f"Patient/{record['patient']}"},
                "note": [{"text": str(uuid.uuid4())}],
            },
        )
        bundle = client.get(following[0]).json()
        assert len(names(record, bundle, "match")) <= 2
        found += names(record, bundle, "match")
        included += names(record, bundle, "include")
    assert sorted(found) == sorted(MEMBERS)
    assert set(included) == set(REFERENCED)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?_type=Observation,Practitioner", {"early", "late", "doctor"}),
        ("?_type=Patient", {"patient"}),
        ("?start=2020-01-01", {*MEMBERS, *REFERENCED} - {"early", "doctor"}),
        ("?end=2019-12-31", {*MEMBERS, *REFERENCED} - {"late", "encounter"}),
        ("?start=2020-01-01&end=2020-12-31", {*MEMBERS, *REFERENCED} - {"early", "late", "doctor"}),
        ("?_since=2100-01-01", set()),
        ("?_since=2000-01-01T00:00:00Z", {*MEMBERS, *REFERENCED}),
    ],
)
def test_it_can_be_narrowed(client: httpx.Client, record: dict[str, str], query: str, expected: set[str]) -> None:
    assert set(names(record, everything(client, record, query))) == expected


def test_since_gives_what_changed_later(client: httpx.Client, record: dict[str, str]) -> None:
    moment = client.get(f"Device/{record['device']}").json()["meta"]["lastUpdated"]
    found = names(record, everything(client, record, f"?_since={moment.replace('+', '%2B')}"))
    assert "device" in found
    assert "early" not in found


def test_an_encounter_comes_with_its_patient_and_its_own_resources(
    client: httpx.Client, record: dict[str, str]
) -> None:
    found = names(record, everything(client, record, of="Encounter"))
    assert set(found) == {"encounter", "late", "patient", "condition", "clinic", "parent"}
    assert found[0] == "encounter"


def test_the_parameters_may_be_posted(client: httpx.Client, record: dict[str, str]) -> None:
    body = {"resourceType": "Parameters", "parameter": [{"name": "_type", "valueCode": "Device"}]}
    bundle = client.post(f"Patient/{record['patient']}/$everything", json=body).json()
    assert names(record, bundle) == ["device"]


def test_all_patients_are_walked_in_pages(client: httpx.Client, record: dict[str, str]) -> None:
    url: str | None = "Patient/$everything?_count=500"
    seen: list[str] = []
    while url:
        bundle = client.get(url).json()
        seen += [
            f"{item['resource']['resourceType']}/{item['resource']['id']}"
            for item in bundle.get("entry", [])
            if item["search"]["mode"] == "match"
        ]
        url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)
    assert len(seen) == len(set(seen))
    assert {f"Patient/{record['patient']}", f"Patient/{record['other']}", f"Observation/{record['strange']}"} <= set(
        seen
    )
    assert f"Practitioner/{record['spare']}" not in seen


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("Patient/there-is-none/$everything", 404),
        ("Patient/{patient}/$everything?_type=Nothing", 400),
        ("Patient/{patient}/$everything?start=yesterday", 400),
        ("Patient/{patient}/$everything?_count=0", 400),
        ("Patient/{patient}/$everything?colour=red", 400),
        ("Patient/{patient}/$everything?_cursor=xyz", 400),
        ("Observation/{early}/$everything", 404),
    ],
)
def test_what_cannot_be_understood_is_refused(
    client: httpx.Client, record: dict[str, str], url: str, status: int
) -> None:
    assert client.get(url.format(**record)).status_code == status


def test_pages_of_one_resource_give_the_whole_record(client: httpx.Client, record: dict[str, str]) -> None:
    bundle = everything(client, record, "?_count=1")
    found = names(record, bundle, "match")
    while following := [link["url"] for link in bundle["link"] if link["relation"] == "next"]:
        bundle = client.get(following[0]).json()
        assert len(names(record, bundle, "match")) <= 1
        found += names(record, bundle, "match")
    assert sorted(found) == sorted(MEMBERS)


def test_what_the_record_refers_to_comes_though_the_members_are_not_asked_for(
    client: httpx.Client, record: dict[str, str]
) -> None:
    bundle = everything(client, record, "?_type=Practitioner,Organization")
    assert sorted(names(record, bundle)) == ["clinic", "doctor", "parent"]
    assert {item["search"]["mode"] for item in bundle["entry"]} == {"include"}
    paged = everything(client, record, "?_type=Condition,Practitioner&_count=1")
    assert sorted(names(record, paged)) == ["condition", "doctor"]


def test_what_changed_since_comes_though_what_refers_to_it_did_not(
    client: httpx.Client, record: dict[str, str]
) -> None:
    doctor = {"resourceType": "Practitioner", "id": record["doctor"], "active": True}
    changed = client.put(f"Practitioner/{record['doctor']}", json=doctor).json()["meta"]["lastUpdated"]
    found = names(record, everything(client, record, f"?_since={changed.replace('+', '%2B')}"))
    assert "doctor" in found
    assert "early" not in found
