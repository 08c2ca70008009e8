"""Operations that judge values and files, over HTTP: they tell nothing of what the requester may not see."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import msgspec
import pytest

from consent import Access
from fhir_server.records.matching.identity_numbers import readings
from fhir_server.store.prepare import prepare
from profiles.lossless import encode, parse
from profiles.quality import TYPES, File, Tally, assess
from terminology.references import definitions, references_of
from tests.leaks.compare import seen
from tests.leaks.coverage import covers
from tests.leaks.oracle import Who
from tests.leaks.people import RESIDENTS, requesters
from tests.leaks.probe import absent_id, hidden, same
from tests.leaks.web import Web, normal
from tests.leaks.world import build

WHO = requesters()


@pytest.fixture(scope="module")
def judging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A world with the shipped definitions: without any, no judgement could tell anything."""
    folder = tmp_path_factory.mktemp("judgements") / "data"
    made = Web(build(folder), folder)
    shipped = [
        prepare(parse(encode(one)), one["id"], made.world.extractor)
        for one in definitions()
        if one["resourceType"] == "ObservationDefinition"
    ]
    everything = Access.everything("leak suite")
    asyncio.run(made.world.store.write(lambda t: [t.put(one, "PUT") for one in shipped], everything))
    yield made
    made.close()


by_who = pytest.mark.parametrize("who", WHO, ids=lambda who: who.name)


@covers("$interpret instance")
@by_who
def test_a_hidden_observation_is_judged_as_an_absent_one(judging: Web, who: Who, compared: Counter[str]) -> None:
    for row in hidden(judging, who):
        if row.type == "Observation":
            same(judging, who, "GET", "Observation/{id}/$interpret?age=50", row)
            compared["$interpret"] += 1
    shown = [row for row in seen(judging.world, who, "r") if row.type == "Observation" and not row.deleted]
    current = [row for row in shown if judging.world.current[row.type, row.id] is row]
    if current and any("r" in s.letters and s.type in ("*", "Observation") for s in who.scopes):
        assert judging.get(who, f"Observation/{current[0].id}/$interpret").status == 200


def observed(patient: str) -> dict[str, object]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
        "subject": {"reference": f"Patient/{patient}"},
        "valueQuantity": {"value": 140, "unit": "g/L"},
    }


@covers("$interpret type")
@by_who
def test_a_value_of_a_hidden_patient_is_judged_as_that_of_an_absent_one(web: Web, who: Who) -> None:
    shown = {row.id for row in seen(web.world, who, "r") if row.type == "Patient"}
    for id in ("r1", "r9"):
        if id in shown:
            continue
        answers = []
        for named in (id, absent_id(id)):
            answers.append(web.ask(who, "POST", "Observation/$interpret", observed(named)).without(named))
        assert answers[0] == answers[1]
    if "r1" in shown and who.person == "r1":  # whoever sees the Patient gets its sex and age counted
        assert b'"assumed-adult"' not in web.ask(who, "POST", "Observation/$interpret", observed("r1")).body


SHADOWED = [who for who in WHO if who.name in {
    "dr-east for TREAT", "tech-county for TREAT", "r10 (user )", "dr-county in the file of r3",
    "quality-county for HOPERAT",
}]  # fmt: skip


@covers("$quality instance")
@pytest.mark.parametrize("who", SHADOWED, ids=lambda who: who.name)
def test_a_file_is_judged_by_what_is_open_of_it(
    web: Web, web_shadow_of: Callable[[Who], Any], who: Who, compared: Counter[str]
) -> None:
    shadow = web_shadow_of(who)
    for id in RESIDENTS:
        got, true = normal(web.get(who, f"Patient/{id}/$quality")), normal(shadow.get(f"Patient/{id}/$quality"))
        # The shadow knows no intervals: what is said of values is compared in the report below.
        assert got == true, f"{who.name} {id}\n got {got}\ntrue {true}"
        compared["$quality"] += 1


@covers("$quality instance")
@by_who
def test_a_hidden_file_has_no_quality(judging: Web, who: Who) -> None:
    shown = {row.id for row in seen(judging.world, who, "r") if row.type == "Patient"}
    for id in RESIDENTS:
        if id not in shown:
            other = absent_id(id)
            answer, absent = judging.get(who, f"Patient/{id}/$quality"), judging.get(who, f"Patient/{other}/$quality")
            assert answer.status in (403, 404)
            assert answer.without(id) == absent.without(other), (who.name, id)


def true_tally(web: Web, who: Who) -> Tally:
    """The files of the requester's institution as the oracle says what of them it may see."""
    files: dict[str, list[Any]] = {}
    for row in seen(web.world, who, "s"):
        kept = row.custodian == f"Organization/{who.institution}" and row.person not in ("", "*")
        if kept and not row.deleted and web.world.current[row.type, row.id] is row and row.type in TYPES:
            found = web.world.resources[(row.type, row.id, row.version)]
            assert found is not None
            files.setdefault(row.person, []).append(msgspec.json.decode(encode(found)))
    tally = Tally()
    known = references_of(definitions())
    for id, resources in files.items():
        patient = next((one for one in resources if one["resourceType"] == "Patient"), None)
        numbers = [reading for _, reading in readings(patient)] if patient else []
        tally.add(f"Patient/{id}", assess(File(resources, date(*web.world.today), known, numbers)))
    return tally


@covers("$quality-report instance")
@by_who
def test_the_report_on_an_institution_counts_its_own_open_items_for_its_own_office(
    judging: Web, who: Who, compared: Counter[str]
) -> None:
    for id in ("county", "town-west", "outside"):
        answer = judging.get(who, f"Organization/{id}/$quality-report?limit=2000&worst=200")
        office = who.role in ("quality", "records-officer") and who.purpose == "HOPERAT" and who.institution == id
        if not office:
            other = absent_id(id)
            assert answer.status in (403, 404), who.name
            absent = judging.get(who, f"Organization/{other}/$quality-report?limit=2000&worst=200")
            assert answer.without(id) == absent.without(other), who.name
            continue
        assert answer.status == 200, answer
        true = true_tally(judging, who)
        scores, *rules = answer.json["group"]
        assert true.files and scores["population"][0]["count"] == true.files
        assert scores["measureScore"]["value"] == true.score
        told = {g["code"]["coding"][0]["code"]: [p["count"] for p in g["population"]] for g in rules}
        assert told == {id: [about, about - true.failed[id]] for id, about in true.about.items()}
        named = {e["item"]["reference"] for c in answer.json.get("contained", ()) for e in c["entry"]}
        assert named == {name for _, name, _ in true.worst} or len(named) > 20
        compared["$quality-report"] += true.files


def test_administrators_change_intervals_and_nobody_else(judging: Web) -> None:
    definition = {
        "resourceType": "ObservationDefinition",
        "code": {"coding": [{"system": "urn:example", "code": "own"}]},
        "quantitativeDetails": {"unit": {"coding": [{"code": "g/L"}]}},
        "qualifiedInterval": [{"category": "critical", "range": {"high": {"value": 4}}}],
    }
    by_name = {who.name: who for who in WHO}
    administrator = by_name["quality-county as administrator of county"]
    physician, resident = by_name["dr-county for TREAT"], by_name["r3 (user )"]
    made = judging.ask(administrator, "POST", "ObservationDefinition", definition)
    assert made.status == 201, made
    place = f"ObservationDefinition/{made.json['id']}"
    path = "Observation/$interpret?code=urn:example%7Cown&value=5&unit=g/L"
    assert b"critical-high" in judging.get(physician, path).body
    changed = {**definition, "id": made.json["id"], "qualifiedInterval": [{"range": {"high": {"value": 9}}}]}
    for who in (physician, resident, by_name["emr-county"]):
        assert judging.ask(who, "PUT", place, changed).status in (403, 404), who.name
        assert judging.ask(who, "POST", "ObservationDefinition", changed).status in (403, 404), who.name
    assert b"critical-high" in judging.get(physician, path).body
    assert judging.ask(administrator, "PUT", place, changed).status == 200
    assert b'"normal"' in judging.get(physician, path).body
