"""The person index compares with everybody, and tells of the hidden nothing but a certain person's id."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from fhir_server.records.matching.names import names_of
from tests.leaks.coverage import covers
from tests.leaks.oracle import Who
from tests.leaks.people import requesters
from tests.leaks.probe import hidden, same
from tests.leaks.web import Web

CURIOUS = [who for who in requesters() if who.name in {
    "dr-outside for TREAT", "tech-county for TREAT", "r3 (user )", "rec-county as steward of county",
    "dr-county in the file of r3", "emr-outside",
}]  # fmt: skip
by_curious = pytest.mark.parametrize("who", CURIOUS, ids=lambda who: who.name)
COMPARED = "person index"


def patients(web: Web, who: Who) -> list[Any]:
    return [row for row in hidden(web, who) if row.type == "Patient"]


def body_of(web: Web, row: Any) -> dict[str, Any]:
    found = web.world.resources[(row.type, row.id, row.version)]
    assert found is not None
    return {key: value for key, value in found.items() if key not in ("id", "meta", "link")}


def guesses(patient: dict[str, Any]) -> list[dict[str, Any]]:
    """What somebody asks who knows a person more or less, but has not the number and the name."""
    rest = {key: value for key, value in patient.items() if key != "identifier"}
    (name,) = names_of(patient)[:1]
    return [
        rest,
        {"resourceType": "Patient", "name": patient["name"]},
        {"resourceType": "Patient", "name": [{"text": name.text[:1]}]},
        {"resourceType": "Patient", "name": [{"text": name.sound}], "birthDate": patient.get("birthDate", "1980")},
        {"resourceType": "Patient", "telecom": patient.get("telecom") or [{"system": "phone", "value": "10000000001"}]},
        {**patient, "name": [{"text": "无此人"}]},
    ]


@covers("$match type")
@by_curious
def test_match_never_shows_persons_who_are_merely_alike(web: Web, who: Who, compared: Counter[str]) -> None:
    for row in patients(web, who):
        patient = body_of(web, row)
        for guess in guesses(patient):
            answer = web.ask(who, "POST", "Patient/$match", guess)
            assert answer.status in (200, 403), answer.body
            assert row.id not in _ids(answer.json), f"{who.name} learnt of {row.id} by {guess}"
            compared[COMPARED] += 1
        answer = web.ask(who, "POST", "Patient/$match", patient)
        for entry in answer.json.get("entry", ()):
            if entry["resource"]["id"] == row.id:  # number and name: the person at the counter
                assert set(entry["resource"]) <= {"resourceType", "id", "meta", "name"}
                assert "*" in json.dumps(entry["resource"]["name"])
                assert who.institution


def _ids(bundle: dict[str, Any]) -> set[str]:
    return {entry["resource"]["id"] for entry in bundle.get("entry", ()) if "resource" in entry}


@covers("$ihe-pix type")
@by_curious
def test_the_cross_reference_of_the_hidden_is_that_of_the_unknown(web: Web, who: Who, compared: Counter[str]) -> None:
    for row in patients(web, who):
        for identifier in [*body_of(web, row).get("identifier", ()), {"system": "urn:x", "value": row.id}]:
            answers = [
                web.get(who, f"Patient/$ihe-pix?sourceIdentifier={identifier['system']}|{value}")
                for value in (identifier["value"], "0" * len(identifier["value"]))
            ]
            assert answers[0].without() == answers[1].without()
            compared[COMPARED] += 1


@covers("$merge type", "$unmerge type")
@by_curious
def test_merging_the_hidden_is_merging_the_absent(web: Web, who: Who, compared: Counter[str]) -> None:
    for row in patients(web, who):
        source = {"name": "source-patient", "valueReference": {"reference": "Patient/{id}"}}
        target = {"name": "target-patient", "valueReference": {"reference": "Patient/r3"}}
        for operation, parts in (("merge", [source, target]), ("unmerge", [source])):
            body = {"resourceType": "Parameters", "parameter": parts}
            same(web, who, "POST", f"Patient/${operation}", row, body)
            compared[COMPARED] += 1


@covers("$decide instance")
@by_curious
def test_deciding_on_the_hidden_is_deciding_on_the_absent(web: Web, who: Who, compared: Counter[str]) -> None:
    parameters = [{"name": "decision", "valueCode": "different"}]
    for row in hidden(web, who):
        if row.type == "Task":
            body = {"resourceType": "Parameters", "parameter": parameters}
            same(web, who, "POST", "Task/{id}/$decide", row, body)
            compared[COMPARED] += 1
