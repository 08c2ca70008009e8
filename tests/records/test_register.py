"""Create-or-find: institutions that send a Patient get the one Patient of that person."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from fhir_server.records.health_code import code_of, read_code
from loaders.demo.identity import HEALTH_FILE_NUMBER, IDENTITY_NUMBER, OUTPATIENT_NUMBER, identity_number

from .conftest import NUMBER, Caller, World, patient

CONSENT_SCOPE = "http://terminology.hl7.org/CodeSystem/consentscope"
OTHER = identity_number(8, date(1980, 3, 2), False)


def local(system: str, value: str, institution: str) -> dict[str, Any]:
    return {"system": system, "value": value, "assigner": {"reference": f"Organization/{institution}"}}


def test_a_new_person_is_made_with_a_health_code_and_the_institutions_number(world: World) -> None:
    made = world.staff("town")("POST", "Patient", patient(local="17"))
    assert made.status == 201
    assert made.headers["Location"].startswith("http://test/fhir/Patient/")
    assert local(OUTPATIENT_NUMBER, "17", "town") in made.json["identifier"]
    code = code_of(made.json)
    assert code is not None and read_code(code) == code
    assert NUMBER not in code
    assert world.tasks() == []


def test_the_same_person_sent_again_by_another_institution_is_found_and_gains_its_number(world: World) -> None:
    made = world.staff("town")("POST", "Patient", patient(local="17"))
    found = world.staff("county")("POST", "Patient", patient("张 建国", local="A9"))
    assert found.status == 200
    assert found.headers["Location"] == f"http://test/fhir/Patient/{made.json['id']}/_history/2"
    assert found.json["id"] == made.json["id"]
    assert local(OUTPATIENT_NUMBER, "17", "town") in found.json["identifier"]
    assert local(OUTPATIENT_NUMBER, "A9", "county") in found.json["identifier"]
    assert code_of(found.json) == code_of(made.json)
    assert found.json["name"] == made.json["name"]


def test_registration_opens_the_identity_and_nothing_of_the_record(world: World) -> None:
    town, county = world.staff("town"), world.staff("county")
    id = town("POST", "Patient", patient(local="17")).json["id"]
    observation = {
        "resourceType": "Observation", "status": "final", "code": {"text": "x"},
        "subject": {"reference": f"Patient/{id}"},
    }  # fmt: skip
    assert town("POST", "Observation", observation).status == 201
    assert county("GET", f"Patient/{id}").status == 404
    county("POST", "Patient", patient())
    assert county("GET", f"Patient/{id}").status == 200
    assert "entry" not in county("GET", f"Observation?patient={id}").json
    assert len(town("GET", f"Observation?patient={id}").json["entry"]) == 1
    assert world.staff("village")("GET", f"Patient/{id}").status == 404


def test_sending_the_same_twice_changes_nothing(world: World) -> None:
    town = world.staff("town")
    town("POST", "Patient", patient(local="17"))
    again = town("POST", "Patient", patient(local="17"))
    assert (again.status, again.json["meta"]["versionId"]) == (200, "1")


def test_an_institution_without_number_of_its_own_is_registered_all_the_same(world: World) -> None:
    id = world.staff("town")("POST", "Patient", patient(local="17")).json["id"]
    for _ in range(2):
        world.staff("county")("POST", "Patient", patient())
    found = world.everything()("GET", f"Patient/{id}").json
    marks = [item for item in found["identifier"] if item.get("assigner", {}).get("reference") == "Organization/county"]
    assert [mark["system"] for mark in marks] == ["urn:yidang:registration"]


def test_an_uncertain_match_makes_a_new_person_and_asks_a_steward(world: World) -> None:
    first = world.staff("town")("POST", "Patient", patient())
    second = world.staff("county")("POST", "Patient", patient("张建果"))
    assert (first.status, second.status) == (201, 201)
    (task,) = world.tasks()
    assert task["focus"]["reference"] == f"Patient/{second.json['id']}"
    candidates = [
        item["valueReference"]["reference"]
        for item in task["input"]
        if item["type"]["coding"][0]["code"] == "candidate"
    ]
    assert candidates == [f"Patient/{first.json['id']}"]
    assert NUMBER not in json.dumps(task)
    steward = world.steward()
    assert len(steward("GET", "Task?code=duplicate-review").json.get("entry", ())) == 1
    for institution in ("town", "county", "village"):
        assert "entry" not in world.staff(institution)("GET", "Task").json


def test_namesakes_and_twins_stay_apart(world: World) -> None:
    town = world.staff("town")
    ids = {
        town("POST", "Patient", patient(name, number)).json["id"]
        for name, number in (("张建国", NUMBER), ("张建国", OTHER), ("张子轩", None), ("张子萱", None))
    }
    assert len(ids) == 4


@pytest.mark.parametrize("value", [NUMBER[:-1] + ("0" if NUMBER[-1] != "0" else "1"), "123", ""])
def test_a_malformed_identity_number_is_refused_naming_the_element(world: World, value: str) -> None:
    body = patient(number=None, identifier=[{"system": IDENTITY_NUMBER, "value": value or "x"}])
    answer = world.staff("town")("POST", "Patient", body)
    assert answer.status == 422
    assert answer.json["issue"][0]["expression"] == ("Patient.identifier[0].value",)
    assert not value or value not in answer.json["issue"][0]["diagnostics"]


def test_malformed_numbers_are_kept_where_the_settings_say_so(world: World) -> None:
    lenient = world.staff("town")
    settings = replace(lenient.context.settings, identity_numbers="lenient")
    lenient.context = replace(lenient.context, settings=settings)
    wrong = NUMBER[:-1] + ("0" if NUMBER[-1] != "0" else "1")
    assert lenient("POST", "Patient", patient(number=wrong)).status == 201
    assert lenient("POST", "Patient", patient(number=wrong)).status == 201  # and proves nothing
    assert len(world.tasks()) == 1


def test_numbers_are_kept_in_their_one_form(world: World) -> None:
    number = next(n for n in (identity_number(i, date(1970, 1, 1), False) for i in range(400)) if n.endswith("X"))
    made = world.staff("town")("POST", "Patient", patient(number=number.lower()))
    assert made.json["identifier"][0]["value"] == number


def test_nobody_registers_another_institutions_number_or_brings_a_health_code(world: World) -> None:
    town = world.staff("town")
    assert town("POST", "Patient", patient(identifier=[local(OUTPATIENT_NUMBER, "1", "county")])).status == 422
    forged = {"system": "urn:yidang:health-code", "value": "0" * 16}
    made = town("POST", "Patient", patient(identifier=[forged]))
    assert made.status == 201
    assert code_of(made.json) != "0" * 16


def test_parallel_registrations_of_one_person_make_one(world: World) -> None:
    async def send() -> list[int]:
        from fhir_server.http.dispatch import dispatch
        from fhir_server.http.exchange import Request

        async def one(institution: str) -> int:
            context = world.staff(institution).context
            body = json.dumps(patient(local=institution)).encode()
            headers = {"content-type": "application/fhir+json"}
            request = Request("POST", ("Patient",), [], headers, body, "http://test/fhir", "test")
            return (await dispatch(request, context)).status

        return list(await asyncio.gather(*(one(name) for name in ("town", "county", "village") * 5)))

    statuses = asyncio.run(send())
    assert statuses.count(201) == 1
    assert statuses.count(200) == 14
    found = world.everything()("GET", f"Patient?identifier={IDENTITY_NUMBER}|{NUMBER}").json
    assert len(found["entry"]) == 1


def test_what_differs_is_put_before_a_steward_once_and_the_custodians_data_stand(world: World) -> None:
    id = world.staff("town")("POST", "Patient", patient()).json["id"]
    for _ in range(2):
        found = world.staff("county")("POST", "Patient", patient(birthDate="1981-03-02", deceasedBoolean=True))
        assert found.status == 200
    assert found.json["birthDate"] == "1980-03-02"
    assert "deceasedBoolean" not in found.json
    (task,) = world.tasks("demographic-review")
    assert task["focus"]["reference"] == f"Patient/{id}"
    assert {item.get("valueString") for item in task["input"]} >= {"birthDate", "deceased"}


def test_what_was_missing_is_filled_in(world: World) -> None:
    sparse = patient()
    del sparse["birthDate"], sparse["gender"]
    world.staff("town")("POST", "Patient", sparse)
    found = world.staff("county")("POST", "Patient", patient(telecom=[{"system": "phone", "value": "10012345678"}]))
    assert (found.status, found.json["birthDate"], found.json["gender"]) == (200, "1980-03-02", "male")
    assert found.json["telecom"][0]["value"] == "10012345678"


def test_a_newborn_is_found_again_when_it_is_named(world: World) -> None:
    mother = {
        "url": "urn:yidang:mother",
        "valueReference": {"identifier": {"system": IDENTITY_NUMBER, "value": NUMBER}},
    }
    baby = {"birthDate": "2026-10-01", "extension": [mother], "multipleBirthInteger": 1}
    first = world.staff("county")("POST", "Patient", patient("王芳之子", None, **baby))
    twin = world.staff("county")("POST", "Patient", patient("王芳之子", None, **{**baby, "multipleBirthInteger": 2}))
    named = world.staff("town")("POST", "Patient", patient("张子轩", None, local="5", **baby))
    assert (first.status, twin.status, named.status) == (201, 201, 200)
    assert named.json["id"] == first.json["id"]
    assert [name["text"] for name in named.json["name"]] == ["张子轩", "王芳之子"]
    assert world.tasks() == []


def test_unknown_emergency_patients_are_each_their_own(world: World) -> None:
    unknown = {"resourceType": "Patient", "name": [{"text": "无名氏", "use": "temp"}], "gender": "male"}
    county = world.staff("county")
    assert [county("POST", "Patient", unknown).status for _ in range(2)] == [201, 201]
    assert world.tasks() == []


def test_a_move_gives_a_new_file_number_and_ends_the_old_one(world: World) -> None:
    old = {"system": HEALTH_FILE_NUMBER, "value": "99010100110100001"}
    new = {"system": HEALTH_FILE_NUMBER, "value": "99010100210100002"}
    world.staff("town")("POST", "Patient", patient(identifier=[old]))
    silent = world.staff("village")("POST", "Patient", patient(identifier=[new]))
    assert old in silent.json["identifier"] and len(world.tasks("demographic-review")) == 1
    moved = world.staff("village")("POST", "Patient", patient(identifier=[{**new, "period": {"start": "2026-09-01"}}]))
    files = [item for item in moved.json["identifier"] if item["system"] == HEALTH_FILE_NUMBER]
    assert [(item["value"], item.get("use"), item["period"]) for item in files] == [
        (old["value"], "old", {"end": "2026-09-01"}),
        (new["value"], None, {"start": "2026-09-01"}),
    ]


def test_a_resident_or_an_aggregate_role_registers_nobody(world: World) -> None:
    assert world.staff("town", "aggregate", "HOPERAT")("POST", "Patient", patient()).status in (403, 404)
    assert world.resident("x")("POST", "Patient", patient()).status == 403


def test_the_custodian_amends_without_taking_away_what_is_others(world: World) -> None:
    town, county = world.staff("town"), world.staff("county")
    id = town("POST", "Patient", patient(local="17")).json["id"]
    code = code_of(county("POST", "Patient", patient(local="A9")).json)
    new = {**patient("张建国", local="18"), "id": id, "address": [{"text": "和平镇东风村1号"}]}
    amended = town("PUT", f"Patient/{id}", new)
    assert amended.status == 200
    numbers = {(i["system"], i["value"]) for i in amended.json["identifier"]}
    assert (OUTPATIENT_NUMBER, "A9") in numbers and (OUTPATIENT_NUMBER, "18") in numbers
    assert (OUTPATIENT_NUMBER, "17") not in numbers
    assert code_of(amended.json) == code
    assert county("GET", f"Patient/{id}").status == 200
    assert county("PUT", f"Patient/{id}", new).status == 403
    removed = town("PATCH", f"Patient/{id}", [{"op": "remove", "path": "/identifier"}], content_type=JSON_PATCH)
    assert removed.status == 200
    assert {i["value"] for i in removed.json["identifier"]} == {"A9", code, NUMBER}, "the identity waits for a steward"


JSON_PATCH = "application/json-patch+json"


def test_a_change_of_identity_is_looked_up_again(world: World) -> None:
    town, county = world.staff("town"), world.staff("county")
    county("POST", "Patient", patient(number=None))
    id = town("POST", "Patient", patient("李丽", NUMBER)).json["id"]
    assert world.tasks() == []
    assert town("PUT", f"Patient/{id}", {**patient("张建国", NUMBER), "id": id}).status == 200
    (task,) = world.tasks()
    assert task["focus"]["reference"] == f"Patient/{id}"


@pytest.mark.parametrize("name", ["张建国", "王二"])
def test_nobody_puts_the_number_of_another_on_an_own_patient(world: World, name: str) -> None:
    town, village = world.staff("town"), world.staff("village")
    victim = town("POST", "Patient", patient()).json["id"]
    mine = village("POST", "Patient", patient("甲乙丙丁", None, birthDate="1990-01-01")).json
    taken = {**patient(name), "id": mine["id"]}
    put = village("PUT", f"Patient/{mine['id']}", taken)
    assert (put.status, put.json["issue"][0]["code"]) == (409, "duplicate")
    add = [{"op": "add", "path": "/identifier/-", "value": taken["identifier"][0]}]
    assert village("PATCH", f"Patient/{mine['id']}", add, content_type=JSON_PATCH).status == 409
    entry = {"resource": taken, "request": {"method": "PUT", "url": f"Patient/{mine['id']}"}}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    assert village("POST", "", bundle).status == 409
    assert village("GET", f"Patient/{mine['id']}").json == mine
    assert world.staff("county")("POST", "Patient", patient()).json["id"] == victim


def test_an_own_error_is_corrected_where_nobody_else_knows_the_person(world: World) -> None:
    town = world.staff("town")
    id = town("POST", "Patient", patient("张健国", OTHER)).json["id"]
    corrected = town("PUT", f"Patient/{id}", {**patient(birthDate="1980-03-02"), "id": id})
    assert corrected.status == 200
    assert NUMBER in str(corrected.json) and OTHER not in str(corrected.json)


def test_a_change_to_somebody_who_may_be_another_waits(world: World) -> None:
    town, village = world.staff("town"), world.staff("village")
    town("POST", "Patient", patient(number=None, telecom=[{"system": "phone", "value": "13800001111"}]))
    mine = village("POST", "Patient", patient("甲乙丙丁", None, birthDate="1990-01-01")).json["id"]
    taken = {**patient(number=None, telecom=[{"system": "phone", "value": "13800001111"}]), "id": mine}
    held = village("PUT", f"Patient/{mine}", taken).json
    assert (held["name"][0]["text"], held["birthDate"]) == ("甲乙丙丁", "1990-01-01")
    assert len(world.tasks("demographic-review")) == 1


def test_who_is_registered_is_known_even_after_a_refusal_and_nothing_else_is(world: World) -> None:
    id = world.staff("town")("POST", "Patient", patient()).json["id"]
    refusal = {
        "resourceType": "Consent", "status": "active",
        "scope": {"coding": [{"system": CONSENT_SCOPE, "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": f"Patient/{id}"}, "dateTime": "2026-01-01T00:00:00+08:00",
        "policyRule": {"text": "x"},
        "provision": {"type": "deny", "actor": [{
            "role": {"coding": [{"code": "PRCP"}]}, "reference": {"reference": "Organization/county"}}]},
    }  # fmt: skip
    assert world.everything()("POST", "Consent", refusal).status == 201
    county = world.staff("county")
    assert county("POST", "Patient", patient()).status == 200
    assert county("GET", f"Patient/{id}").status == 200
    assert "entry" not in county("GET", "Consent").json


def test_a_client_cannot_lead_the_index_to_another_person_by_a_link(world: World) -> None:
    """An own Patient that says it was replaced by the victim would make its matches the victim."""
    victim = world.staff("town")("POST", "Patient", patient("李丽", OTHER)).json["id"]
    village = world.staff("village")
    links = [{"other": {"reference": f"Patient/{victim}"}, "type": kind} for kind in ("replaced-by", "replaces")]
    mine = village("POST", "Patient", patient(link=links)).json
    assert "link" not in mine
    amended = village("PUT", f"Patient/{mine['id']}", {**patient(link=links), "id": mine["id"]})
    assert "link" not in amended.json
    assert village("POST", "Patient", patient()).json["id"] == mine["id"]
    assert village("GET", f"Patient/{victim}").status == 404


def test_persons_are_not_deleted_by_institutions(world: World) -> None:
    town = world.staff("town")
    id = town("POST", "Patient", patient()).json["id"]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [
        {"request": {"method": "DELETE", "url": f"Patient/{id}"}}]}  # fmt: skip
    assert town("DELETE", f"Patient/{id}").status == 403
    assert town("DELETE", f"Patient?_id={id}").status == 403
    assert town("POST", "", bundle).status == 403
    assert town("GET", f"Patient/{id}").status == 200


def test_who_it_is_does_not_change_under_others_unseen(world: World) -> None:
    town, county = world.staff("town"), world.staff("county")
    id = town("POST", "Patient", patient()).json["id"]
    county("POST", "Patient", patient())
    change = {**patient("李丽", OTHER, telecom=[{"system": "phone", "value": "13800001111"}]), "id": id}
    for _ in range(2):
        held = town("PUT", f"Patient/{id}", change)
        assert held.status == 200
        assert held.json["telecom"] == change["telecom"]
        assert NUMBER in str(held.json) and OTHER not in str(held.json) and "李丽" not in str(held.json)
    (task,) = world.tasks("demographic-review")
    assert {item.get("valueString") for item in task["input"]} >= {"name", "identifier"}
    assert OTHER not in str(task) and "李丽" not in str(task)


def test_a_steward_accepts_a_change_of_identity_and_no_other(world: World) -> None:
    town, county = world.staff("town"), world.staff("county")
    id = town("POST", "Patient", patient()).json["id"]
    county("POST", "Patient", patient())
    change = {**patient("李丽", OTHER), "id": id}
    town("PUT", f"Patient/{id}", change)
    (task,) = world.tasks("demographic-review")
    accept = {"resourceType": "Parameters", "parameter": [{"name": "decision", "valueCode": "accepted"}]}
    assert town("POST", f"Task/{task['id']}/$decide", accept).status == 403
    assert world.steward()("POST", f"Task/{task['id']}/$decide", accept).status == 200
    assert "王二" not in str(town("PUT", f"Patient/{id}", {**change, "name": [{"text": "王二"}]}).json)
    assert OTHER in str(town("PUT", f"Patient/{id}", change).json)


def test_nobody_else_asks_the_stewards(world: World) -> None:
    coding = [{"system": "urn:yidang:task-kind", "code": "duplicate-review"}]
    task = {"resourceType": "Task", "status": "requested", "intent": "order", "code": {"coding": coding}}
    assert world.staff("town")("POST", "Task", task).status == 403


def test_a_task_that_looks_like_the_question_does_not_answer_it(world: World) -> None:
    town, county = world.staff("town"), world.staff("county")
    id = town("POST", "Patient", patient()).json["id"]
    county("POST", "Patient", patient())

    def given(code: str, **value: Any) -> dict[str, Any]:
        return {"type": {"coding": [{"code": code}]}, **value}

    decoy = {
        "resourceType": "Task", "status": "completed", "intent": "order", "focus": {"reference": f"Patient/{id}"},
        "code": {"coding": [{"system": "http://x", "code": "demographic-review"}, {"code": "demographic-review"}]},
        "input": [given("institution", valueReference={"reference": "Organization/town"}),
                  given("element", valueString="name")],
    }  # fmt: skip
    assert town("POST", "Task", decoy).status == 201
    assert town("PUT", f"Patient/{id}", {**patient("张建果"), "id": id}).status == 200
    reviews = [task for task in world.tasks("demographic-review") if task["status"] == "requested"]
    assert len(reviews) == 1


def test_a_feed_that_is_not_certainly_the_person_brings_no_identity_number(world: World) -> None:
    town, county = world.staff("town"), world.staff("county")
    file = [{"system": HEALTH_FILE_NUMBER, "value": "99010100110100001"}]
    home = {"address": [{"text": "和平镇东风村1号"}], "identifier": file}
    id = town("POST", "Patient", patient(number=None, **home)).json["id"]
    assert county("POST", "Patient", patient(number=None, local="A9", **home)).json["id"] == id
    url = f"Patient?identifier={OUTPATIENT_NUMBER}|A9"
    fed = county("PUT", url, patient("李丽", OTHER, local="A9", birthDate="1991-01-01"))
    assert fed.status == 200
    assert OTHER not in str(fed.json)
    assert len(world.tasks("demographic-review")) == 1


def test_validation_of_a_deletion_says_what_the_deletion_would(world: World) -> None:
    town = world.staff("town")
    id = town("POST", "Patient", patient()).json["id"]
    observation = {
        "resourceType": "Observation", "status": "final", "code": {"text": "x"},
        "subject": {"reference": f"Patient/{id}"},
    }  # fmt: skip
    own = town("POST", "Observation", observation).json["id"]
    access = town.context.access
    reading = Caller(
        replace(town.context, access=replace(access, scopes=tuple(replace(s, letters="rs") for s in access.scopes)))
    )
    firm = Caller(replace(world.context, settings=replace(world.context.settings, referential_integrity=True)))

    def told(caller: Caller, place: str) -> list[str]:
        answer = caller("POST", f"{place}/$validate?mode=delete")
        assert answer.status == 200
        return [issue["code"] for issue in answer.json["issue"]]

    assert told(town, f"Patient/{id}") == ["forbidden"]
    assert told(reading, f"Observation/{own}") == ["forbidden"]
    assert told(firm, f"Patient/{id}") == ["conflict"]
    assert told(town, f"Observation/{own}") == ["informational"]
    assert town("GET", f"Observation/{own}").json["meta"]["versionId"] == "1"
    for caller, place, status in (
        (town, f"Patient/{id}", 403),
        (reading, f"Observation/{own}", 403),
        (firm, f"Patient/{id}", 409),
        (town, f"Observation/{own}", 204),
    ):
        assert caller("DELETE", place).status == status
