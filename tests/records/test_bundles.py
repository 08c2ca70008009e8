"""Persons in transactions: every entry refers to the one Patient, whether it is found or made."""

from __future__ import annotations

import uuid
from typing import Any

from loaders.demo.identity import IDENTITY_NUMBER, OUTPATIENT_NUMBER

from .conftest import NUMBER, Answer, Caller, World, patient


def entry(
    resource: dict[str, Any], method: str = "POST", url: str = "", urn: str = "", **request: str
) -> dict[str, Any]:
    found = {"resource": resource, "request": {"method": method, "url": url or resource["resourceType"], **request}}
    return {"fullUrl": urn, **found} if urn else found


def send(caller: Caller, *entries: dict[str, Any]) -> Answer:
    return caller("POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)})


def observation(subject: str) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": {"reference": subject}
    }  # fmt: skip


def statuses(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.json
    return [item["response"]["status"][:3] for item in answer.json["entry"]]


def place(answer: Answer, number: int) -> str:
    location: str = answer.json["entry"][number]["response"]["location"]
    return location.removeprefix("http://test/fhir/").partition("/_history")[0]


def test_a_known_person_is_found_and_the_other_entries_refer_to_it(world: World) -> None:
    id = world.staff("town")("POST", "Patient", patient(local="17")).json["id"]
    county, urn = world.staff("county"), f"urn:uuid:{uuid.uuid4()}"
    answer = send(county, entry(observation(urn)), entry(patient(local="A9"), urn=urn))
    assert statuses(answer) == ["201", "200"]
    assert place(answer, 1) == f"Patient/{id}"
    assert county("GET", place(answer, 0)).json["subject"]["reference"] == f"Patient/{id}"
    found = county("GET", f"Patient/{id}").json
    assert {"A9", "17", NUMBER} <= {item["value"] for item in found["identifier"]}


def test_a_new_person_is_made_with_all_that_belongs_to_it(world: World) -> None:
    county, urn = world.staff("county"), f"urn:uuid:{uuid.uuid4()}"
    answer = send(county, entry(patient(local="A9"), urn=urn), entry(observation(urn)))
    assert statuses(answer) == ["201", "201"]
    made = county("GET", place(answer, 0)).json
    assert {"urn:yidang:health-code", IDENTITY_NUMBER, OUTPATIENT_NUMBER} <= {i["system"] for i in made["identifier"]}
    assert county("GET", place(answer, 1)).json["subject"]["reference"] == place(answer, 0)


def test_an_uncertain_person_is_made_and_asked_about(world: World) -> None:
    world.staff("town")("POST", "Patient", patient())
    assert statuses(send(world.staff("county"), entry(patient("张建果")))) == ["201"]
    assert len(world.tasks()) == 1


def test_if_one_entry_fails_nobody_is_registered(world: World) -> None:
    id = world.staff("town")("POST", "Patient", patient(local="17")).json["id"]
    county = world.staff("county")
    bad = {"resourceType": "Observation", "status": "wrong", "code": {"text": "x"}}
    assert send(county, entry(patient(local="A9")), entry(bad)).status == 422
    forbidden = {"resourceType": "Organization", "name": "x"}
    assert send(county, entry(patient(local="A9")), entry(forbidden)).status == 403
    assert county("GET", f"Patient/{id}").status == 404
    assert world.everything()("GET", f"Patient/{id}").json["meta"]["versionId"] == "1"


def test_a_wrong_number_is_refused_naming_the_entry(world: World) -> None:
    wrong = patient(number=None, identifier=[{"system": IDENTITY_NUMBER, "value": "1"}])
    answer = send(world.staff("county"), entry(patient("李丽", None)), entry(wrong))
    assert answer.status == 422
    assert answer.json["issue"][0]["expression"] == ("Bundle.entry[1].resource.identifier[0].value",)


def test_conditional_creates_and_feeds_find_the_person_too(world: World) -> None:
    id = world.staff("town")("POST", "Patient", patient(local="17")).json["id"]
    county = world.staff("county")
    condition = f"identifier={OUTPATIENT_NUMBER}|A9"
    for _ in range(2):
        answer = send(county, entry(patient(local="A9"), ifNoneExist=condition))
        assert (statuses(answer), place(answer, 0)) == (["200"], f"Patient/{id}")
    for method in ("PUT", "PUT"):
        answer = send(
            world.staff("village"), entry(patient(local="B1"), method, f"Patient?identifier={OUTPATIENT_NUMBER}|B1")
        )
        assert (statuses(answer), place(answer, 0)) == (["200"], f"Patient/{id}")
    found = world.everything()("GET", f"Patient/{id}").json
    assert {"A9", "B1", "17"} <= {item["value"] for item in found["identifier"]}


def test_a_feed_in_a_transaction_makes_a_new_person_and_amends_it(world: World) -> None:
    town = world.staff("town")
    url = f"Patient?identifier={OUTPATIENT_NUMBER}|17"
    first = send(town, entry(patient(local="17"), "PUT", url))
    again = send(town, entry(patient(local="17", address=[{"text": "x"}]), "PUT", url))
    assert (statuses(first), statuses(again)) == (["201"], ["200"])
    assert place(first, 0) == place(again, 0)
    assert town("GET", place(first, 0)).json["address"] == [{"text": "x"}]


def test_conditional_references_to_the_registered_person_are_resolved(world: World) -> None:
    world.staff("town")("POST", "Patient", patient(local="17"))
    county = world.staff("county")
    answer = send(
        county,
        entry(patient(local="A9")),
        entry(observation(f"Patient?identifier={OUTPATIENT_NUMBER}|A9")),
    )
    assert statuses(answer) == ["200", "201"]
    assert county("GET", place(answer, 1)).json["subject"]["reference"] == place(answer, 0)


def test_two_entries_about_one_new_person_are_refused_whole(world: World) -> None:
    answer = send(world.staff("county"), entry(patient(local="1")), entry(patient(local="2")))
    assert answer.status == 409
    assert world.everything()("GET", "Patient?_summary=count").json["total"] == 0
