"""fhirclient (SMART on FHIR, Python) does its ordinary work against the server.

https://github.com/smart-on-fhir/client-py
"""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from fhirclient.client import FHIRClient
from fhirclient.models.bundle import Bundle
from fhirclient.models.observation import Observation
from fhirclient.models.patient import Patient
from fhirclient.server import FHIRNotFoundException
from requests import HTTPError

from tests.conftest import Running

SYSTEM = "urn:fhirclient"


@pytest.fixture(scope="module")
def smart(server: Running) -> Any:
    found = FHIRClient(settings={"app_id": "tests", "api_base": server.url})
    assert found.prepare(), "the CapabilityStatement is not understood"
    return found


@pytest.fixture
def label() -> str:
    """An identifier value of this test alone."""
    return uuid.uuid4().hex


def patient(label: str) -> Any:
    name = {"family": "欧阳", "given": ["娜娜"]}
    return Patient({"identifier": [{"system": SYSTEM, "value": label}], "name": [name], "birthDate": "1990-02-03"})


def observation(subject: str, number: int) -> Any:
    return Observation(
        {
            "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
            "subject": {"reference": subject},
            "effectiveDateTime": f"2026-01-{number % 28 + 1:02d}T08:00:00+08:00",
            "valueQuantity": {"value": number, "unit": "/min"},
        }
    )


def created(smart: Any, label: str) -> Any:
    made = patient(label)
    answer = made.create(smart.server)
    return Patient(answer)


def test_the_capability_statement_is_read(smart: Any) -> None:
    statement = smart.server.capabilityStatement
    assert statement.fhirVersion == "4.0.1"
    assert "Patient" in {resource.type for resource in statement.rest[0].resource}


def test_a_resource_lives_its_life(smart: Any, label: str) -> None:
    made = created(smart, label)
    read = Patient.read(made.id, smart.server)
    assert read.as_json() == made.as_json()
    assert smart.human_name(read.name[0])
    assert read.birthDate.isostring == "1990-02-03"
    read.gender = "female"
    answer = read.update(smart.server)
    assert answer["meta"]["versionId"] == "2"
    assert Patient.read(made.id, smart.server).gender == "female"
    read.delete()
    with pytest.raises((FHIRNotFoundException, HTTPError)):
        Patient.read(made.id, smart.server)


def test_searches_with_chains_and_includes(smart: Any, label: str) -> None:
    made = created(smart, label)
    for number in range(4):
        observation(f"Patient/{made.id}", number).create(smart.server)
    (found,) = Patient.where({"identifier": f"{SYSTEM}|{label}"}).perform_resources(smart.server)
    assert found.id == made.id
    assert [p.id for p in Patient.where({"name": "欧阳娜娜", "identifier": label}).perform_resources(smart.server)] == [
        made.id
    ]
    chained = Observation.where(
        {"patient.identifier": f"{SYSTEM}|{label}", "date": {"$and": ["ge2026-01-02", "le2026-01-03"]}}
    )
    assert len(chained.perform_resources(smart.server)) == 2
    both = Observation.where({"patient": made.id}).include("subject").perform_resources(smart.server)
    assert sorted({one.resource_type for one in both}) == ["Observation", "Patient"]
    either = Patient.where({"identifier": label}).include("subject", Observation, reverse=True)
    assert len(either.perform_resources(smart.server)) == 5


def test_all_pages_are_walked(smart: Any, label: str) -> None:
    made = created(smart, label)
    for number in range(17):
        observation(f"Patient/{made.id}", number).create(smart.server)
    search = Observation.where({"patient": made.id, "_count": "5", "_sort": "date"})
    pages = list(search.perform_iter(smart.server))
    assert [len(page.entry) for page in pages] == [5, 5, 5, 2]
    found = list(search.perform_resources_iter(smart.server))
    assert [int(one.valueQuantity.value) for one in found] == list(range(17))


def test_references_are_resolved(smart: Any, label: str) -> None:
    made = created(smart, label)
    kept = Observation(observation(f"Patient/{made.id}", 1).create(smart.server))
    read = Observation.read(kept.id, smart.server)
    assert read.subject.resolved(Patient).identifier[0].value == label


def test_a_transaction_bundle_resolves_its_links(smart: Any, label: str) -> None:
    person = f"urn:uuid:{uuid.uuid4()}"
    bundle = Bundle(
        {
            "type": "transaction",
            "entry": [
                {
                    "fullUrl": person,
                    "resource": patient(label).as_json(),
                    "request": {"method": "POST", "url": "Patient"},
                },
                {
                    "resource": observation(person, 3).as_json(),
                    "request": {"method": "POST", "url": "Observation"},
                },
            ],
        }
    )
    answer = Bundle(smart.server.post_json("", bundle.as_json()).json())
    assert [entry.response.status[:3] for entry in answer.entry] == ["201", "201"]
    (found,) = Observation.where({"patient.identifier": f"{SYSTEM}|{label}"}).perform_resources(smart.server)
    assert found.valueQuantity.value == 3


def test_a_refusal_tells_its_cause(smart: Any) -> None:
    with pytest.raises(HTTPError) as refused:
        smart.server.post_json("Patient", {"resourceType": "Patient", "gender": "mann"})
    answer: Any = refused.value.response
    assert answer.json()["issue"][0]["expression"] == ["Patient.gender"]
