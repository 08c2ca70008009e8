"""Patient/$match (also IHE PDQm ITI-119): scores and grades, and nothing of persons who are merely alike."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from loaders.demo.identity import identity_number

from .conftest import NUMBER, Answer, Caller, World, patient

OTHER = identity_number(9, date(1980, 3, 2), False)
GRADE = "http://hl7.org/fhir/StructureDefinition/match-grade"


def match(caller: Caller, resource: dict[str, Any], **more: Any) -> Answer:
    parameters: list[dict[str, Any]] = [{"name": "resource", "resource": resource}]
    for name, value in more.items():
        key = "valueBoolean" if isinstance(value, bool) else "valueInteger"
        parameters.append({"name": name, key: value})
    return caller("POST", "Patient/$match", {"resourceType": "Parameters", "parameter": parameters})


def graded(answer: Answer) -> list[tuple[str, str]]:
    assert answer.status == 200, answer.json
    assert answer.json["type"] == "searchset"
    return [
        (entry["resource"]["id"], entry["search"]["extension"][0]["valueCode"])
        for entry in answer.json.get("entry", ())
    ]


def test_matches_come_with_score_and_grade_the_surest_first(world: World) -> None:
    town = world.staff("town")
    sure = town("POST", "Patient", patient()).json["id"]
    alike = town("POST", "Patient", patient(number=None)).json["id"]
    answer = match(town, patient())
    assert graded(answer) == [(sure, "certain"), (alike, "probable")]
    first, second = (entry["search"] for entry in answer.json["entry"])
    assert first["mode"] == "match"
    assert first["extension"][0]["url"] == GRADE
    assert 1 >= first["score"] > second["score"] > 0
    assert answer.json["entry"][0]["fullUrl"] == f"http://test/fhir/Patient/{sure}"


def test_only_certain_matches_and_count(world: World) -> None:
    town = world.staff("town")
    sure = town("POST", "Patient", patient()).json["id"]
    town("POST", "Patient", patient(number=None))
    assert graded(match(town, patient(), onlyCertainMatches=True)) == [(sure, "certain")]
    assert graded(match(town, patient(), count=1)) == [(sure, "certain")]
    assert graded(match(town, patient(number=None), onlyCertainMatches=True)) == []


def test_several_certain_matches_are_none_where_only_a_certain_one_is_wanted(world: World) -> None:
    everything = world.everything()
    for _ in range(2):
        everything("POST", "Patient", patient())
    assert len(graded(match(everything, patient()))) == 2
    assert graded(match(everything, patient(), onlyCertainMatches=True)) == []


def test_without_access_a_certain_person_is_an_id_and_a_masked_name(world: World) -> None:
    id = world.staff("town")("POST", "Patient", patient(telecom=[{"system": "phone", "value": "10012345678"}])).json[
        "id"
    ]
    answer = match(world.staff("village"), patient())
    assert graded(answer) == [(id, "certain")]
    (entry,) = answer.json["entry"]
    assert entry["resource"]["name"] == [{"text": "张*国"}]
    assert set(entry["resource"]) == {"resourceType", "id", "name", "meta"}
    assert NUMBER not in str(answer.json)


def test_without_access_similar_strangers_are_never_told(world: World) -> None:
    town, village = world.staff("town"), world.staff("village")
    home = {"telecom": [{"system": "phone", "value": "10012345678"}], "address": [{"text": "和平镇东风村1号"}]}
    town("POST", "Patient", patient(**home))
    for asked in (
        patient(number=None, **home),  # the whole set without number is not certain
        patient("张建果"),  # the number with another name
        patient(number=OTHER),
        {"resourceType": "Patient", "telecom": home["telecom"]},
        {"resourceType": "Patient", "name": [{"text": "张"}]},
    ):
        answer = match(village, asked)
        assert graded(answer) == []
        assert answer.json["total"] == 0


def test_a_steward_sees_all_matches_and_a_resident_only_itself(world: World) -> None:
    town = world.staff("town")
    sure = town("POST", "Patient", patient()).json["id"]
    alike = town("POST", "Patient", patient(number=None)).json["id"]
    assert graded(match(world.steward(), patient())) == [(sure, "certain"), (alike, "probable")]
    assert graded(match(world.resident(sure), patient(number=None))) == [(sure, "probable")]


def test_names_are_found_by_sound_and_pinyin(world: World) -> None:
    everything = world.everything()
    id = everything("POST", "Patient", patient("单晓明", None)).json["id"]
    for name in ("单小明", "Shan Xiaoming", "单 晓明", "晓明单"):
        assert id in {found for found, _ in graded(match(everything, patient(name, None)))}


def test_a_bare_patient_may_be_posted(world: World) -> None:
    id = world.everything()("POST", "Patient", patient()).json["id"]
    assert graded(world.everything()("POST", "Patient/$match", patient())) == [(id, "certain")]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (None, 400),
        ({"resourceType": "Parameters"}, 400),
        (
            {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": {"resourceType": "Basic"}}]},
            400,
        ),
        ({"resourceType": "Patient", "gender": "male"}, 422),
        ({"resourceType": "Patient", "name": "x", "birthDate": 3, "identifier": {}, "telecom": [1]}, 200),
        ({"resourceType": "Patient", "name": [{"text": "王,$|\\*%_芳"}], "telecom": [{"system": "phone"}]}, 200),
    ],
)
def test_odd_requests(world: World, body: Any, status: int) -> None:
    assert world.everything()("POST", "Patient/$match", body).status == status


def test_matching_changes_nothing(world: World) -> None:
    everything = world.everything()
    match(everything, patient())
    assert everything("GET", "Patient?_summary=count").json["total"] == 0
    assert everything("GET", "Patient/$match").status == 405


def test_match_may_stand_in_a_transaction_and_a_batch(world: World) -> None:
    everything = world.everything()
    id = everything("POST", "Patient", patient()).json["id"]
    entry = {"request": {"method": "POST", "url": "Patient/$match"}, "resource": patient()}
    for kind in ("batch", "transaction"):
        answer = everything("POST", "", {"resourceType": "Bundle", "type": kind, "entry": [entry]})
        assert answer.status == 200, answer.json
        assert graded(Answer(200, answer.json["entry"][0]["resource"], {})) == [(id, "certain")]
