"""$merge and $unmerge: two Patients become one, and two again, with nothing lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from loaders.demo.identity import OUTPATIENT_NUMBER

from .conftest import NUMBER, Answer, Caller, World, patient

TYPES = ("Patient", "Observation", "Task", "Condition", "Organization")


def merge(caller: Caller, source: str, target: str, *more: dict[str, Any], operation: str = "merge") -> Answer:
    parameters: list[dict[str, Any]] = [
        {"name": "source-patient", "valueReference": {"reference": f"Patient/{source}"}},
    ]
    if operation == "merge":
        parameters.append({"name": "target-patient", "valueReference": {"reference": f"Patient/{target}"}})
    return caller("POST", f"Patient/${operation}", {"resourceType": "Parameters", "parameter": [*parameters, *more]})


def unmerge(caller: Caller, source: str) -> Answer:
    return merge(caller, source, "", operation="unmerge")


def observation(id: str, text: str = "x") -> dict[str, Any]:
    return {
        "resourceType": "Observation", "status": "final", "code": {"text": text},
        "subject": {"reference": f"Patient/{id}"},
    }  # fmt: skip


@pytest.fixture
def two(world: World) -> tuple[str, str]:
    """Two Patients of one person (the name mistyped at the county), each with an Observation, and the Task."""
    town, county = world.staff("town"), world.staff("county")
    target = town("POST", "Patient", patient(local="17")).json["id"]
    source = county("POST", "Patient", patient("张建果", local="A9")).json["id"]
    assert town("POST", "Observation", observation(target, "town")).status == 201
    assert county("POST", "Observation", observation(source, "county")).status == 201
    return source, target


def state(world: World, ids: tuple[str, str]) -> dict[str, Any]:
    """All that can be asked about the two, by everybody; versions and times aside."""
    callers = {"all": world.everything(), "steward": world.steward(), "resident": world.resident(ids[1])}
    callers |= {name: world.staff(name) for name in ("town", "county", "village")}
    urls = [f"{type}?_count=100&_sort=_id" for type in TYPES]
    urls += [f"Observation?patient={id}" for id in ids] + [f"Patient/{id}" for id in ids]
    urls += [f"Patient/{id}/Observation" for id in ids] + [
        "Patient?name=张建果",
        f"Patient?identifier={OUTPATIENT_NUMBER}|",
    ]
    urls += [f"Observation?patient.name=张建果&code:text={text}" for text in ("town", "county")]
    return {f"{name} {url}": plain(caller("GET", url).json) for name, caller in callers.items() for url in urls}


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        gone = (
            ("versionId", "lastUpdated", "link")
            if value.get("resourceType") == "Bundle"
            else ("versionId", "lastUpdated")
        )
        return {key: plain(item) for key, item in value.items() if key not in gone}
    return [plain(item) for item in value] if isinstance(value, list) else value


def found(caller: Caller, url: str) -> list[Any]:
    return [entry["resource"] for entry in caller("GET", url).json.get("entry", ())]


def test_a_merge_makes_one_person_of_two(world: World, two: tuple[str, str]) -> None:
    source, target = two
    answer = merge(world.steward(), source, target)
    assert answer.status == 200, answer.json
    parts = {part["name"]: part["resource"] for part in answer.json["parameter"]}
    assert set(parts) == {"input", "outcome", "result", "task"}
    result = parts["result"]
    assert result["id"] == target
    assert {"other": {"reference": f"Patient/{source}"}, "type": "replaces"} in result["link"]
    values = {item["value"] for item in result["identifier"] if item["system"] == OUTPATIENT_NUMBER}
    assert values == {"17", "A9"}
    everything = world.everything()
    gone = everything("GET", f"Patient/{source}").json
    assert gone["active"] is False
    assert {"other": {"reference": f"Patient/{target}"}, "type": "replaced-by"} in gone["link"]
    assert parts["task"]["status"] == "completed"
    (provenance,) = found(everything, f"Provenance?target=Patient/{target}")
    assert provenance["agent"][0]["who"]["reference"] == "Practitioner/steward"
    assert provenance["agent"][0]["onBehalfOf"]["reference"] == "Organization/county"


def test_references_to_either_find_both_and_texts_stay(world: World, two: tuple[str, str]) -> None:
    source, target = two
    before = found(world.everything(), "Observation?_sort=_id")
    merge(world.steward(), source, target)
    for id in two:
        assert {o["code"]["text"] for o in found(world.everything(), f"Observation?patient={id}")} == {"town", "county"}
    assert found(world.everything(), "Observation?_sort=_id") == before
    resident = world.resident(target)
    assert {o["code"]["text"] for o in found(resident, "Observation")} == {"town", "county"}


def test_the_institutions_keep_what_they_had_and_gain_no_record(world: World, two: tuple[str, str]) -> None:
    source, target = two
    merge(world.steward(), source, target)
    for name, text in (("town", "town"), ("county", "county")):
        caller = world.staff(name)
        assert [o["code"]["text"] for o in found(caller, f"Observation?patient={target}")] == [text]
        for id in two:
            assert caller("GET", f"Patient/{id}").status == 200
    assert world.staff("village")("GET", f"Patient/{target}").status == 404


def test_unmerge_restores_the_state_before_exactly(world: World, two: tuple[str, str]) -> None:
    before = state(world, two)
    assert merge(world.steward(), *two).status == 200
    assert state(world, two) != before
    assert unmerge(world.steward(), two[0]).status == 200
    assert state(world, two) == before


def test_a_merge_is_not_undone_by_what_an_institution_writes(world: World, two: tuple[str, str]) -> None:
    source, target = two
    merge(world.steward(), source, target)
    everything, town = world.everything(), world.staff("town")
    (genuine,) = found(everything, f"Provenance?target=Patient/{source}")
    forged = {key: value for key, value in genuine.items() if key not in ("id", "meta")}
    assert town("POST", "Provenance", forged).status == 403
    path = f"Provenance/{genuine['id']}"
    for caller in (town, world.staff("county"), world.steward()):
        assert caller("DELETE", path).status in (204, 403, 404)
        assert caller("PUT", path, {**genuine, "activity": {"text": "x"}}).status in (403, 404)
    assert everything("GET", path).json == genuine
    assert unmerge(world.steward(), source).status == 200


@pytest.mark.parametrize("change", [
    {"entity": [{"role": "revision", "what": {"reference": "Patient/{source}/_history/1"}}]},
    {"entity": [{"role": "revision", "what": {"display": "x"}}]},
    {"target": [{"reference": "Patient/{source}"}]},
    {"activity": {"coding": [{"system": "http://x", "code": "merge"}]}},
])  # fmt: skip
def test_a_record_of_a_merge_that_makes_no_sense_is_passed_over(
    world: World, two: tuple[str, str], change: dict[str, Any]
) -> None:
    source, target = two
    everything = world.everything()
    merge(world.steward(), source, target)
    (genuine,) = found(everything, f"Provenance?target=Patient/{source}")
    odd = {**genuine, **json.loads(json.dumps(change).replace("{source}", source))}
    assert everything("POST", "Provenance", odd).status == 201
    assert everything("DELETE", f"Provenance/{genuine['id']}").status == 204
    assert unmerge(world.steward(), source).status == 409
    assert everything("POST", "Provenance", genuine).status == 201
    assert unmerge(world.steward(), source).status == 200


def test_merge_and_unmerge_may_go_on_for_ever(world: World, two: tuple[str, str]) -> None:
    before = state(world, two)
    for _ in range(3):
        assert merge(world.steward(), *two).status == 200
        assert unmerge(world.steward(), two[0]).status == 200
    assert state(world, two) == before


def test_what_changed_since_the_merge_is_kept_by_unmerge(world: World, two: tuple[str, str]) -> None:
    source, target = two
    merge(world.steward(), source, target)
    town = world.staff("town")
    body = town("GET", f"Patient/{target}").json
    assert town("PUT", f"Patient/{target}", {**body, "maritalStatus": {"text": "已婚"}}).status == 200
    town("POST", "Observation", observation(target, "later"))
    assert unmerge(world.steward(), source).status == 200
    kept = town("GET", f"Patient/{target}").json
    assert kept["maritalStatus"] == {"text": "已婚"}
    assert "link" not in kept
    assert {i["value"] for i in kept["identifier"] if i["system"] == OUTPATIENT_NUMBER} == {"17"}
    texts = {o["code"]["text"] for o in found(world.everything(), f"Observation?patient={target}")}
    assert texts == {"town", "later"}


def test_a_preview_changes_nothing(world: World, two: tuple[str, str]) -> None:
    before = state(world, two)
    answer = merge(world.steward(), *two, {"name": "preview", "valueBoolean": True})
    assert answer.status == 200
    (result,) = (part["resource"] for part in answer.json["parameter"] if part["name"] == "result")
    assert result["link"][0]["type"] == "replaces"
    assert state(world, two) == before


def test_the_steward_may_say_what_the_result_shall_be(world: World, two: tuple[str, str]) -> None:
    source, target = two
    body = {**world.everything()("GET", f"Patient/{target}").json, "name": [{"text": "张建果"}]}
    answer = merge(world.steward(), source, target, {"name": "result-patient", "resource": body})
    assert answer.status == 200
    kept = world.everything()("GET", f"Patient/{target}").json
    assert kept["name"] == [{"text": "张建果"}]
    assert kept["link"][0]["type"] == "replaces"
    wrong = {**body, "id": source}
    assert merge(world.steward(), source, target, {"name": "result-patient", "resource": wrong}).status in (409, 422)


def test_only_stewards_merge(world: World, two: tuple[str, str]) -> None:
    for role, purpose in (
        ("administrator", "HOPERAT"),
        ("physician", "TREAT"),
        ("registrar", "TREAT"),
        ("system", "TREAT"),
    ):
        caller = world.staff("county", role, purpose)
        assert merge(caller, *two).status == 403
        assert unmerge(caller, two[0]).status == 403
    assert merge(world.resident(two[0]), *two).status == 403


def test_what_cannot_be_merged(world: World, two: tuple[str, str]) -> None:
    source, target = two
    steward = world.steward()
    other = world.staff("town")("POST", "Patient", patient("李丽", None)).json["id"]
    assert merge(steward, source, source).status == 422
    assert merge(steward, source, "nobody").status == 404
    assert unmerge(steward, source).status == 409
    assert merge(steward, source, target).status == 200
    assert merge(steward, source, other).status == 409
    assert merge(steward, other, source).status == 409
    assert merge(steward, target, source).status == 409
    assert unmerge(steward, target).status == 409


def test_two_persons_with_numbers_of_their_own_are_not_merged_unless_the_steward_corrects_one(world: World) -> None:
    from datetime import date

    from loaders.demo.identity import identity_number

    town = world.staff("town")
    one = town("POST", "Patient", patient()).json["id"]
    other = town("POST", "Patient", patient(number=identity_number(9, date(1980, 3, 2), False))).json["id"]
    assert merge(world.steward(), other, one).status == 422
    result = {"name": "result-patient", "resource": world.everything()("GET", f"Patient/{one}").json}
    assert merge(world.steward(), other, one, result).status == 200


def test_patients_may_be_named_by_identifier(world: World, two: tuple[str, str]) -> None:
    parameters = [
        {"name": f"{side}-patient-identifier", "valueIdentifier": {"system": OUTPATIENT_NUMBER, "value": value}}
        for side, value in (("source", "A9"), ("target", "17"))
    ]
    body = {"resourceType": "Parameters", "parameter": parameters}
    assert world.steward()("POST", "Patient/$merge", body).status == 200
    assert world.everything()("GET", f"Patient/{two[0]}").json["active"] is False


def test_the_merged_person_is_found_by_either_record(world: World, two: tuple[str, str]) -> None:
    source, target = two
    merge(world.steward(), source, target)
    for name in ("张建国", "张建果"):
        again = world.staff("village")("POST", "Patient", patient(name))
        assert (again.status, again.json["id"]) == (200, target)
    assert NUMBER in str(world.everything()("GET", f"Patient/{target}").json)


def test_nobody_writes_to_the_merged_one(world: World, two: tuple[str, str]) -> None:
    source, target = two
    merge(world.steward(), source, target)
    county = world.staff("county")
    body = {**county("GET", f"Patient/{source}").json, "active": True}
    assert county("PUT", f"Patient/{source}", body).status == 409


def test_an_unknown_emergency_patient_becomes_known(world: World) -> None:
    county = world.staff("county")
    unknown = county("POST", "Patient", {"resourceType": "Patient", "name": [{"text": "无名氏", "use": "temp"}]}).json[
        "id"
    ]
    county("POST", "Observation", observation(unknown))
    known = county("POST", "Patient", patient()).json["id"]
    assert merge(world.steward(), unknown, known).status == 200
    assert len(found(county, f"Observation?patient={known}")) == 1


def decide(caller: Caller, id: str, decision: str = "different") -> Answer:
    parameters = [{"name": "decision", "valueCode": decision}, {"name": "comment", "valueString": "电话核实"}]
    return caller("POST", f"Task/{id}/$decide", {"resourceType": "Parameters", "parameter": parameters})


def test_a_steward_decides_that_they_are_two_and_is_not_asked_again(world: World, two: tuple[str, str]) -> None:
    (task,) = world.tasks()
    assert decide(world.staff("county", "physician"), task["id"]).status == 403
    assert decide(world.steward(), task["id"], "perhaps").status == 400
    closed = decide(world.steward(), task["id"])
    assert (closed.status, closed.json["status"]) == (200, "completed")
    assert closed.json["output"][0]["valueCode"] == "different"
    assert closed.json["note"][0]["authorReference"]["reference"] == "Practitioner/steward"
    assert decide(world.steward(), task["id"]).status == 409
    county = world.staff("county")
    body = county("GET", f"Patient/{two[0]}").json
    for name in ("张建过", "张建果"):
        county("PUT", f"Patient/{two[0]}", {**body, "name": [{"text": name}]})
    assert [one["id"] for one in world.tasks()] == [task["id"]]
    assert "entry" not in county("GET", "Task").json


def test_only_questions_to_stewards_are_decided(world: World) -> None:
    order = {"resourceType": "Task", "status": "requested", "intent": "order"}
    id = world.everything()("POST", "Task", order).json["id"]
    assert decide(world.everything(), id).status == 404
    assert decide(world.steward(), "unknown").status == 404
