"""Terminology speaks of codes: it tells nothing of any record, the same to everybody, and opens no resource."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.leaks import people
from tests.leaks.coverage import covers
from tests.leaks.oracle import Who
from tests.leaks.people import requesters
from tests.leaks.probe import absent_id, hidden, plain
from tests.leaks.web import Web

WHO = requesters()
SOME = [who for who in WHO if who.name in {
    "dr-county for TREAT", "tech-county for TREAT", "emr-east", "dr-outside for TREAT", "r3 (user )",
    "dr-county in the file of r3", "rec-county as steward of county", "dr-county without scopes",
}]  # fmt: skip
by_some = pytest.mark.parametrize("who", SOME, ids=lambda who: who.name)
by_name = pytest.mark.parametrize("who", WHO, ids=lambda who: who.name)
GENDERS = "http://hl7.org/fhir/ValueSet/administrative-gender"
GENDER = "http://hl7.org/fhir/administrative-gender"
QUESTIONS = [
    f"CodeSystem/$lookup?system={GENDER}&code=male",
    f"CodeSystem/$subsumes?system={GENDER}&codeA=male&codeB=female",
    f"CodeSystem/$validate-code?url={GENDER}&code=male",
    f"ValueSet/$validate-code?url={GENDERS}&system={GENDER}&code=x",
    f"ValueSet/$expand?url={GENDERS}",
    f"ConceptMap/$translate?system={GENDER}&code=male",
]
AT_INSTANCES = [
    ("CodeSystem", "$lookup?code=x"),
    ("CodeSystem", "$subsumes?codeA=x&codeB=y"),
    ("CodeSystem", "$validate-code?code=x"),
    ("ValueSet", "$validate-code?system=x&code=x"),
    ("ValueSet", "$expand"),
    ("ConceptMap", "$translate?system=x&code=x"),
]


def validations(one: str) -> dict[str, Any]:
    asked = {
        "resourceType": "Parameters",
        "parameter": [{"name": "coding", "valueCoding": {"code": "x", "system": one}}],
    }
    shared = {"name": "url", "valueUri": GENDERS}
    return {"resourceType": "Parameters", "parameter": [shared, {"name": "validation", "resource": asked}]}


@covers(
    "$lookup type",
    "$subsumes type",
    "$validate-code type",
    "$expand type",
    "$translate type",
    "$batch-validate-code type",
)
@by_name
def test_everybody_is_told_the_same(web: Web, who: Who, compared: Counter[str]) -> None:
    first = people.staff("dr-county")
    for path in QUESTIONS:
        answer = web.get(who, path)
        assert answer.status == 200, (who.name, path, answer)
        assert plain(answer.body.decode()) == plain(web.get(first, path).body.decode()), (who.name, path)
        compared["terminology"] += 1
    answer = web.ask(who, "POST", "ValueSet/$batch-validate-code", validations(GENDER))
    other = web.ask(first, "POST", "ValueSet/$batch-validate-code", validations(GENDER))
    assert answer.status == 200 and plain(answer.body.decode()) == plain(other.body.decode())


@covers(
    "$lookup instance",
    "$subsumes instance",
    "$validate-code instance",
    "$expand instance",
    "$translate instance",
    "$batch-validate-code instance",
)
@by_some
def test_a_record_is_no_definition(web: Web, who: Who, compared: Counter[str]) -> None:
    """The ids of hidden records are asked for as definitions: they are as absent as any other."""
    for row in hidden(web, who):
        for type, operation in AT_INSTANCES:
            answer = web.get(who, f"{type}/{row.id}/{operation}")
            other = absent_id(row.id)
            wanted = web.get(who, f"{type}/{other}/{operation}")
            assert answer.status == wanted.status == 404, (who.name, row, answer)
            assert answer.without(row.id) == wanted.without(other)
            compared["terminology"] += 1
        body = validations(f"{row.type}/{row.id}")
        answer = web.ask(who, "POST", f"ValueSet/{row.id}/$batch-validate-code", body)
        assert answer.status == 404


@by_some
def test_no_search_by_a_value_set_finds_what_is_hidden(web: Web, who: Who, compared: Counter[str]) -> None:
    shown = {f"{row.type}/{row.id}" for row in hidden(web, who)}
    for type, code, valueset in (
        ("Patient", "gender", GENDERS),
        ("Observation", "status", "http://hl7.org/fhir/ValueSet/observation-status"),
        ("Condition", "clinical-status", "http://hl7.org/fhir/ValueSet/condition-clinical"),
    ):
        for modifier in ("in", "not-in"):
            answer = web.get(who, f"{type}?{code}:{modifier}={valueset}&_count=1000")
            if answer.status == 403:
                continue
            assert answer.status == 200, answer
            found = {f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in answer.json.get("entry", ())}
            assert found.isdisjoint(shown), (who.name, type, found & shown)
            compared["terminology"] += len(found)


def test_without_a_token_no_code_is_explained(web: Web) -> None:
    for path in QUESTIONS:
        assert web.server.ask("GET", path).status == 401
