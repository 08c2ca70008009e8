"""fhirpy, asynchronous and synchronous, does its ordinary work against the server.

https://github.com/beda-software/fhir-py
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date
from typing import Any

import pytest
from fhirpy import AsyncFHIRClient, SyncFHIRClient
from fhirpy.base.exceptions import MultipleResourcesFound, OperationOutcome, ResourceNotFound

from tests.conftest import Running

SYSTEM = "urn:fhirpy"


@pytest.fixture
def sync(server: Running) -> SyncFHIRClient:
    return SyncFHIRClient(server.url)


@pytest.fixture
def label() -> str:
    """An identifier value of this test alone."""
    return uuid.uuid4().hex


def patient(client: Any, label: str, **more: Any) -> Any:
    resource = {"name": [{"family": "王", "given": ["小明"]}], "birthDate": "1980-05-06", **more}
    return client.resource("Patient", identifier=[{"system": SYSTEM, "value": label}], **resource)


def observation(client: Any, subject: Any, number: int) -> Any:
    return client.resource(
        "Observation",
        status="final",
        code={"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        subject=subject.to_reference(),
        effectiveDateTime=f"2026-01-{number % 28 + 1:02d}",
        valueQuantity={"value": number, "unit": "/min"},
    )


def test_a_resource_lives_its_life(sync: SyncFHIRClient, label: str) -> None:
    made = patient(sync, label)
    made.save()
    assert made.id
    assert made["meta"]["versionId"] == "1"

    read = sync.reference("Patient", made.id).to_resource()
    assert read.serialize() == made.serialize()

    read["birthDate"] = "1980-05-07"
    read.save()
    assert read["meta"]["versionId"] == "2"
    made.refresh()
    assert made["birthDate"] == "1980-05-07"

    made.delete()
    with pytest.raises(ResourceNotFound):
        sync.reference("Patient", read.id).to_resource()


def test_a_patch_of_some_elements_leaves_the_others(sync: SyncFHIRClient, label: str) -> None:
    made = patient(sync, label)
    made.save()
    made.patch(gender="female", birthDate=None)
    assert made["gender"] == "female"
    assert "birthDate" not in made
    assert sync.get("Patient", made.id)["name"] == [{"family": "王", "given": ["小明"]}]
    made["gender"] = "other"
    made["active"] = True
    made.save(fields=["gender"])
    assert sync.get("Patient", made.id)["gender"] == "other"
    assert "active" not in sync.get("Patient", made.id)


def test_searches_with_modifiers_prefixes_chains_and_includes(sync: SyncFHIRClient, label: str) -> None:
    made = patient(sync, label)
    made.save()
    for number in range(5):
        observation(sync, made, number).save()
    people = sync.resources("Patient").search(identifier=f"{SYSTEM}|{label}")
    assert people.count() == 1
    assert people.get().id == made.id
    assert people.search(name="wangxiaoming", birthdate__ge=date(1980, 1, 1)).get().id == made.id
    assert people.search(name__exact="李").first() is None
    assert people.has("Observation", "subject", code="8867-4").count() == 1

    found = sync.resources("Observation").search(subject__Patient__identifier=f"{SYSTEM}|{label}", value_quantity__gt=1)
    values = [one.get_by_path("valueQuantity.value") for one in found.sort("-date")]
    assert values == [4, 3, 2]
    bundle = found.include("Observation", "subject").fetch_raw()
    assert {entry.resource.resource_type for entry in bundle.entry} == {"Observation", "Patient"}
    reverse = people.revinclude("Observation", "subject").fetch_raw()
    assert sum(entry.resource.resource_type == "Observation" for entry in reverse.entry) == 5
    slim = found.elements("status", "code").fetch()[0]
    assert "valueQuantity" not in slim


def test_fetch_all_walks_every_page(sync: SyncFHIRClient, label: str) -> None:
    made = patient(sync, label)
    made.save()
    for number in range(23):
        observation(sync, made, number).save()
    search = sync.resources("Observation").search(patient=made.id).sort("date").limit(5)
    assert len(search.fetch()) == 5
    everything = search.fetch_all()
    assert sorted(one.get_by_path("valueQuantity.value") for one in everything) == list(range(23))
    assert [one["effectiveDateTime"] for one in everything] == sorted(one["effectiveDateTime"] for one in everything)


def test_conditional_update_patch_and_delete(sync: SyncFHIRClient, label: str) -> None:
    search = sync.resources("Patient").search(identifier=f"{SYSTEM}|{label}")
    made, new = search.update(patient(sync, label))
    assert new
    again, new = search.update(patient(sync, label, gender="male"))
    assert (again.id, new, again["meta"]["versionId"]) == (made.id, False, "2")
    assert search.patch(gender="unknown")["gender"] == "unknown"
    patient(sync, label).save()
    with pytest.raises(MultipleResourcesFound):
        search.get()
    with pytest.raises(MultipleResourcesFound):
        search.update(patient(sync, label))
    search.delete()
    assert search.count() == 0


def transaction(label: str) -> dict[str, Any]:
    person = f"urn:uuid:{uuid.uuid4()}"
    named = {"resourceType": "Patient", "identifier": [{"system": SYSTEM, "value": label}]}
    seen = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": {"reference": person}}
    return {
        "type": "transaction",
        "entry": [
            {"fullUrl": person, "resource": named, "request": {"method": "POST", "url": "Patient"}},
            {"resource": seen, "request": {"method": "POST", "url": "Observation"}},
        ],
    }


def test_a_transaction_bundle_resolves_its_links(sync: SyncFHIRClient, label: str) -> None:
    sync.resource("Bundle", **transaction(label)).save()
    found = sync.resources("Observation").search(subject__Patient__identifier=f"{SYSTEM}|{label}").fetch_all()
    (one,) = found
    assert one["subject"].to_resource()["identifier"][0]["value"] == label


def test_a_refusal_comes_as_an_operation_outcome(sync: SyncFHIRClient) -> None:
    with pytest.raises(OperationOutcome) as refused:
        sync.resource("Patient", gender="mann").save()
    assert refused.value.resource["issue"][0]["expression"] == ["Patient.gender"]
    assert patient(sync, "x").is_valid()
    assert not sync.resource("Patient", gender="mann").is_valid()
    with pytest.raises(OperationOutcome):
        sync.resources("Patient").search(foo="bar").fetch()


def test_an_operation_is_executed(sync: SyncFHIRClient, label: str) -> None:
    made = patient(sync, label)
    made.save()
    observation(sync, made, 1).save()
    everything = made.execute("$everything", method="get")
    assert {entry["resource"]["resourceType"] for entry in everything["entry"]} == {"Patient", "Observation"}


def run(server: Running, work: Callable[[AsyncFHIRClient], Awaitable[None]]) -> None:
    async def go() -> None:
        await work(AsyncFHIRClient(server.url))

    asyncio.run(go())


def test_the_asynchronous_client_does_the_same(server: Running, label: str) -> None:
    async def work(client: AsyncFHIRClient) -> None:
        made = patient(client, label)
        await made.save()
        await asyncio.gather(*(observation(client, made, number).save() for number in range(23)))
        search = client.resources("Observation").search(subject=made).sort("-value-quantity").limit(4)
        values = [one.get_by_path("valueQuantity.value") async for one in walk(search)]
        assert values == list(range(22, -1, -1))
        assert await search.count() == 23
        await made.patch(gender="female")
        await made.refresh()
        assert made["gender"] == "female"
        found = await client.resources("Patient").search(identifier=f"{SYSTEM}|{label}").get()
        assert found.serialize() == made.serialize()
        await asyncio.gather(*[one.delete() for one in await search.fetch_all()])
        await made.delete()
        with pytest.raises(ResourceNotFound):
            await made.refresh()

    async def walk(search: Any) -> AsyncIterator[Any]:
        async for one in search:
            yield one

    run(server, work)


def test_many_equal_saves_at_once_by_condition_make_one_patient(server: Running, label: str) -> None:
    async def work(client: AsyncFHIRClient) -> None:
        search = client.resources("Patient").search(identifier=f"{SYSTEM}|{label}")
        answers = await asyncio.gather(*(search.update(patient(client, label)) for _ in range(10)))
        assert sum(new for _, new in answers) == 1
        assert await search.count() == 1

    run(server, work)
