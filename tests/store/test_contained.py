"""``_contained``: resources inside others are found by their own parameters."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.errors import BadRequest
from tests.store.conftest import Bench, observation, patient


def request(id: str, *medications: str, **more: Any) -> dict[str, Any]:
    contained = [
        {"resourceType": "Medication", "id": f"m{n}", "code": {"coding": [{"system": "http://rx", "code": code}]}}
        for n, code in enumerate(medications)
    ]
    return {
        "resourceType": "MedicationRequest",
        "id": id,
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/p"},
        "medicationReference": {"reference": "#m0"},
        "contained": contained,
        **more,
    }


@pytest.fixture
def full(bench: Bench) -> Bench:
    inner = observation("inner", code="x", date="2024-01-01", valueQuantity={"value": 5})
    bench.put(
        patient("p"),
        request("r1", "a"),
        request("r2", "b", "a", "a"),
        {"resourceType": "Medication", "id": "whole", "code": {"coding": [{"system": "http://rx", "code": "a"}]}},
        {**observation("o", code="y"), "contained": [inner]},
    )
    return bench


def test_only_whole_resources_are_found_by_default(full: Bench) -> None:
    assert full.ids("Medication", "code=a") == ["whole"]
    assert full.ids("Observation", "code=x") == []


def test_containers_are_found_by_what_they_contain(full: Bench) -> None:
    assert full.ids("Medication", "code=a&_contained=true&_count=1") == ["r1", "r2"]
    assert full.total("Medication", "code=a&_contained=true") == 2
    assert full.ids("Medication", "code=http://rx|b&_contained=true") == ["r2"]
    assert full.ids("Observation", "code=x&date=2024&value-quantity=gt4&_contained=true") == ["o"]
    assert full.ids("Observation", "code=x&value-quantity=gt6&_contained=true") == []
    assert full.ids("Observation", "subject:Patient.name=王&_contained=true") == ["o"]
    assert full.ids("Medication", "code:not=a&_contained=true") == ["r2"]
    assert set(full.ids("Medication", "code=a&_contained=both")) == {"whole", "r1", "r2"}


def test_the_contained_matches_are_named_on_demand(full: Bench) -> None:
    page = full.page("Medication", "code=a&_contained=true&_containedType=contained")
    places = {match.id: list(page.fragments[match.sequence]) for match in page.matches}
    assert places == {"r1": [0], "r2": [1, 2]}


def test_conditions_on_whole_resources_are_refused(full: Bench) -> None:
    with pytest.raises(BadRequest):
        full.ids("Medication", "_id=m0&_contained=true")


def test_a_change_of_what_is_contained_changes_what_is_found(full: Bench) -> None:
    full.put(request("r1", "c"))
    assert full.ids("Medication", "code=a&_contained=true") == ["r2"]
    full.delete("MedicationRequest", "r2")
    assert full.ids("Medication", "code=a&_contained=true") == []
    assert list(full.store.check()) == []
