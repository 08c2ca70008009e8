"""IHE PIXm and PDQm, transaction by transaction (https://profiles.ihe.net/ITI/PIXm, …/PDQm)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from loaders.demo.identity import IDENTITY_NUMBER, OUTPATIENT_NUMBER

from .conftest import NUMBER, Answer, Caller, World, patient


def ids(answer: Answer) -> list[str]:
    return [entry["resource"]["id"] for entry in answer.json.get("entry", ())]


def feed(caller: Caller, value: str, body: dict[str, Any]) -> Answer:
    return caller("PUT", f"Patient?identifier={OUTPATIENT_NUMBER}|{value}", body)


def test_pixm_iti_83_cross_reference_gives_the_other_identifiers(world: World) -> None:
    town = world.staff("town")
    id = town("POST", "Patient", patient(local="17")).json["id"]
    world.staff("county")("POST", "Patient", patient(local="A9"))
    answer = town("GET", f"Patient/$ihe-pix?sourceIdentifier={OUTPATIENT_NUMBER}|17")
    assert answer.status == 200
    parameters = answer.json["parameter"]
    values = {p["valueIdentifier"]["value"] for p in parameters if p["name"] == "targetIdentifier"}
    assert {NUMBER, "A9"} <= values
    assert "17" not in values
    (target,) = (p["valueReference"]["reference"] for p in parameters if p["name"] == "targetId")
    assert target == f"http://test/fhir/Patient/{id}"


def test_pixm_iti_83_only_the_target_system(world: World) -> None:
    town = world.staff("town")
    town("POST", "Patient", patient(local="17"))
    answer = town("GET", f"Patient/$ihe-pix?sourceIdentifier={OUTPATIENT_NUMBER}|17&targetSystem={IDENTITY_NUMBER}")
    found = [p["valueIdentifier"]["system"] for p in answer.json["parameter"] if p["name"] == "targetIdentifier"]
    assert found == [IDENTITY_NUMBER]


def test_pixm_iti_83_errors(world: World) -> None:
    town, village = world.staff("town"), world.staff("village")
    town("POST", "Patient", patient(local="17"))
    here = f"Patient/$ihe-pix?sourceIdentifier={OUTPATIENT_NUMBER}|"
    assert town("GET", here + "unknown").status == 404
    assert town("GET", "Patient/$ihe-pix?sourceIdentifier=17").status == 400
    assert town("GET", "Patient/$ihe-pix").status == 400
    assert town("GET", f"{here}17&targetSystem=urn:oid:1.2.3").status == 403
    assert village("GET", here + "17").status == 404  # who may not see the person learns nothing
    assert village("GET", f"Patient/$ihe-pix?sourceIdentifier={IDENTITY_NUMBER}|{NUMBER}").status == 404


def test_pixm_iti_104_feed_adds_and_revises(world: World) -> None:
    town = world.staff("town")
    first = feed(town, "17", patient(local="17"))
    assert first.status == 201
    again = feed(town, "17", patient(local="17", address=[{"text": "和平镇东风村1号"}]))
    assert (again.status, again.json["id"]) == (200, first.json["id"])
    assert again.json["address"] == [{"text": "和平镇东风村1号"}]


def test_pixm_iti_104_feed_of_a_person_that_another_institution_keeps(world: World) -> None:
    town, county = world.staff("town"), world.staff("county")
    id = feed(town, "17", patient(local="17")).json["id"]
    added = feed(county, "A9", patient(local="A9"))
    assert (added.status, added.json["id"]) == (200, id)
    revised = feed(county, "A9", patient("张建果", local="A9", telecom=[{"system": "phone", "value": "10012345678"}]))
    assert (revised.status, revised.json["id"]) == (200, id)
    assert revised.json["name"] == [{"text": "张建国"}]
    assert revised.json["telecom"][0]["value"] == "10012345678"
    assert len(world.tasks("demographic-review")) == 1


def test_pixm_iti_104_feed_never_reveals_what_the_institution_may_not_see(world: World) -> None:
    feed(world.staff("town"), "17", patient(local="17"))
    stranger = feed(world.staff("village"), "17", patient("李丽", None, local="17"))
    assert stranger.status == 201  # the same number of another institution is another person


def test_pixm_iti_104_feed_of_another_person_under_a_known_number_is_a_conflict(world: World) -> None:
    from datetime import date

    from loaders.demo.identity import identity_number

    town, county = world.staff("town"), world.staff("county")
    feed(town, "17", patient(local="17"))
    feed(county, "A9", patient(local="A9"))
    other = patient("李丽", identity_number(9, date(1990, 1, 1), True), local="A9")
    assert feed(county, "A9", other).status == 409


def test_pdqm_iti_78_query_by_demographics_obeys_consent(world: World) -> None:
    town, village = world.staff("town"), world.staff("village")
    more = {"telecom": [{"system": "phone", "value": "10012345678"}], "address": [{"text": "和平镇东风村1号"}]}
    id = town("POST", "Patient", patient("欧阳建国", local="17", **more)).json["id"]
    queries = [
        f"identifier={IDENTITY_NUMBER}|{NUMBER}",
        "name=欧阳建国",
        "name=ouyangjianguo",
        "name=oyjg",
        "birthdate=1980-03-02&gender=male",
        "telecom=10012345678",
        f"address={quote('和平镇')}",
        f"_id={id}",
    ]
    for query in queries:
        assert ids(town("GET", f"Patient?{query}")) == [id], query
        hidden = village("GET", f"Patient?{query}&_total=accurate")
        assert (ids(hidden), hidden.json["total"]) == ([], 0), query


def test_pdqm_iti_78_retrieve(world: World) -> None:
    town = world.staff("town")
    id = town("POST", "Patient", patient(local="17")).json["id"]
    assert town("GET", f"Patient/{id}").json["id"] == id
    assert world.staff("village")("GET", f"Patient/{id}").status == 404


def test_pdqm_iti_119_match_requires_a_post_and_grades(world: World) -> None:
    town = world.staff("town")
    id = town("POST", "Patient", patient(local="17")).json["id"]
    parameters = [{"name": "resource", "resource": patient()}, {"name": "onlyCertainMatches", "valueBoolean": True}]
    answer = town("POST", "Patient/$match", {"resourceType": "Parameters", "parameter": parameters})
    assert ids(answer) == [id]
    assert answer.json["entry"][0]["search"]["extension"][0]["valueCode"] == "certain"
