"""Chains, ``_has`` and includes through canonical URLs and into contained resources."""

from __future__ import annotations

from typing import Any

import pytest

from tests.store.conftest import Bench, patient


def questionnaire(id: str, title: str, version: str | None = None, url: str = "http://q/1") -> dict[str, Any]:
    more = {} if version is None else {"version": version}
    return {"resourceType": "Questionnaire", "id": id, "status": "active", "url": url, "title": title, **more}


def response(id: str, canonical: str, status: str = "completed") -> dict[str, Any]:
    return {"resourceType": "QuestionnaireResponse", "id": id, "status": status, "questionnaire": canonical}


@pytest.fixture
def full(bench: Bench) -> Bench:
    bench.put(
        questionnaire("q1", "falls", "1"),
        questionnaire("q2", "falls two", "2"),
        questionnaire("q3", "sleep", url="http://q/3"),
        response("any", "http://q/1"),
        response("one", "http://q/1|1"),
        response("two", "http://q/1|2", "amended"),
        response("none", "http://q/1|9"),
        response("sleep", "http://q/3"),
        patient("p"),
    )
    return bench


def test_chains_lead_through_canonicals_and_respect_versions(full: Bench) -> None:
    assert set(full.ids("QuestionnaireResponse", "questionnaire.title=falls")) == {"any", "one", "two"}
    assert set(full.ids("QuestionnaireResponse", "questionnaire.title=falls two")) == {"any", "two"}
    assert full.ids("QuestionnaireResponse", "questionnaire.title=falls&status=amended") == ["two"]
    assert full.total("QuestionnaireResponse", "questionnaire.title=sleep") == 1


def test_has_comes_back_through_canonicals(full: Bench) -> None:
    assert set(full.ids("Questionnaire", "_has:QuestionnaireResponse:questionnaire:status=completed")) == {
        "q1",
        "q2",
        "q3",
    }
    assert full.ids("Questionnaire", "_has:QuestionnaireResponse:questionnaire:status=amended") == ["q2"]


def test_includes_follow_canonicals_both_ways(full: Bench) -> None:
    page = full.page("QuestionnaireResponse", "_id=two&_include=QuestionnaireResponse:questionnaire")
    assert [x.id for x in page.includes] == ["q2"]
    page = full.page("QuestionnaireResponse", "_id=any&_include=QuestionnaireResponse:questionnaire")
    assert {x.id for x in page.includes} == {"q1", "q2"}
    page = full.page("Questionnaire", "_id=q1&_revinclude=QuestionnaireResponse:questionnaire")
    assert {x.id for x in page.includes} == {"any", "one"}


def test_deleted_targets_are_led_to_no_more(full: Bench) -> None:
    full.delete("Questionnaire", "q2")
    assert full.ids("QuestionnaireResponse", "questionnaire.title=falls two") == []
    page = full.page("QuestionnaireResponse", "_id=two&_include=QuestionnaireResponse:questionnaire")
    assert page.includes == []


def test_chains_look_into_what_is_contained(full: Bench) -> None:
    inner = {"resourceType": "Medication", "id": "m", "code": {"coding": [{"code": "aspirin"}]}}
    base = {"status": "active", "intent": "order", "subject": {"reference": "Patient/p"}}
    full.put(
        {"resourceType": "Medication", "id": "m", "code": {"coding": [{"code": "aspirin"}]}},
        {"resourceType": "MedicationRequest", "id": "inside", **base, "contained": [inner]}
        | {"medicationReference": {"reference": "#m"}},
        {
            "resourceType": "MedicationRequest",
            "id": "outside",
            **base,
            "medicationReference": {"reference": "Medication/m"},
        },
    )
    assert set(full.ids("MedicationRequest", "medication.code=aspirin")) == {"inside", "outside"}
    assert set(full.ids("MedicationRequest", "medication.code=aspirin&status=active")) == {"inside", "outside"}
    assert full.ids("MedicationRequest", "medication.code=other") == []
    assert list(full.store.check()) == []
