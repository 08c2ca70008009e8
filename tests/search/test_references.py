"""Chains and reverse chains through canonical URLs and into contained resources; composites of references."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.search.extract import Extractor
from fhir_server.search.parse import parse
from fhir_server.search.tree import Query
from profiles.definitions import SearchParameterDef, load

from .oracle import evaluate

EXTRACTOR = Extractor(load(), base_urls=["http://here/fhir"])


def questionnaire(id: str, version: str, title: str) -> dict[str, Any]:
    return {"resourceType": "Questionnaire", "id": id, "url": "http://q/1", "version": version, "title": title}


def response(id: str, canonical: str) -> dict[str, Any]:
    return {"resourceType": "QuestionnaireResponse", "id": id, "status": "completed", "questionnaire": canonical}


def medication(id: str, code: str) -> dict[str, Any]:
    return {"resourceType": "Medication", "id": id, "code": {"coding": [{"system": "s", "code": code}]}}


RESOURCES: list[dict[str, Any]] = [
    questionnaire("first", "1", "Frailty"),
    questionnaire("second", "2", "Falls"),
    response("any", "http://q/1"),
    response("newer", "http://q/1|2"),
    response("relative", "Questionnaire/first"),
    response("absolute", "http://here/fhir/Questionnaire/first|1"),
    {
        "resourceType": "MedicationRequest",
        "id": "inside",
        "subject": {"reference": "Patient/p"},
        "contained": [medication("m", "aspirin"), medication("other", "insulin")],
        "medicationReference": {"reference": "#m"},
    },
    {
        "resourceType": "MedicationRequest",
        "id": "outside",
        "subject": {"reference": "Patient/p"},
        "medicationReference": {"reference": "Medication/stock"},
    },
    medication("stock", "aspirin"),
    {"resourceType": "Patient", "id": "p"},
    {
        "resourceType": "DocumentReference",
        "id": "new",
        "relatesTo": [
            {"code": "replaces", "target": {"reference": "DocumentReference/old"}},
            {"code": "appends", "target": {"reference": "DocumentReference/base"}},
        ],
    },
]
WORLD = {(r["resourceType"], r["id"]): EXTRACTOR.rows(r) for r in RESOURCES}


def query(search: str) -> Query:
    type_, _, rest = search.partition("?")
    pairs = [tuple(part.split("=", 1)) for part in rest.split("&")]
    return parse((type_,), pairs, EXTRACTOR).query


@pytest.mark.parametrize(
    ("search", "ids"),
    [
        ("QuestionnaireResponse?questionnaire.title=falls", {"any", "newer"}),
        ("QuestionnaireResponse?questionnaire:Questionnaire.title=frailty", {"any", "relative", "absolute"}),
        ("QuestionnaireResponse?questionnaire=Questionnaire/first", {"relative", "absolute"}),
        ("QuestionnaireResponse?questionnaire=first", {"relative", "absolute"}),
        ("QuestionnaireResponse?questionnaire=http://q/1", {"any", "newer"}),
        ("QuestionnaireResponse?questionnaire=http://q/1|2", {"newer"}),
        ("Questionnaire?_has:QuestionnaireResponse:questionnaire:status=completed", {"first", "second"}),
        ("Questionnaire?_has:QuestionnaireResponse:questionnaire:_id=newer", {"second"}),
        ("MedicationRequest?medication.code=aspirin", {"inside", "outside"}),
        ("MedicationRequest?medication:Medication.code=s|insulin", set()),
        ("Patient?_has:MedicationRequest:patient:medication.code=aspirin", {"p"}),
        ("DocumentReference?relationship=DocumentReference/old$replaces", {"new"}),
        ("DocumentReference?relationship=old$replaces", {"new"}),
        ("DocumentReference?relationship=old$appends", set()),
    ],
)
def test_a_reference_leads_to(search: str, ids: set[str]) -> None:
    assert {id_ for _, id_ in evaluate(query(search), WORLD)} == ids


@pytest.mark.parametrize(
    ("search", "canonical"),
    [
        ("QuestionnaireResponse?_include=QuestionnaireResponse:questionnaire", True),
        ("Questionnaire?_revinclude=QuestionnaireResponse:questionnaire", True),
        ("Observation?_include=Observation:subject", False),
        ("PlanDefinition?_include=PlanDefinition:depends-on:Library", True),
        ("PlanDefinition?_include=PlanDefinition:depends-on:Account", False),
    ],
)
def test_an_include_says_whether_it_goes_by_canonical_urls(search: str, canonical: bool) -> None:
    (include,) = query(search).includes
    assert include.canonical is canonical


def test_only_what_the_container_points_at_is_marked() -> None:
    rows = EXTRACTOR.rows(RESOURCES[6])
    marks = [[row for row in part.tok if row[0].startswith("in:")] for _, _, part in rows.contained]
    assert marks == [[("in:MedicationRequest.medication", "", "true")], []]


def custom(code: str, type: str, expression: str, *target: str) -> SearchParameterDef:
    return SearchParameterDef(f"http://me/{code}", code, code, type, ("Patient",), expression, target, (), "")


def test_a_custom_parameter_that_reads_the_id_has_rows_of_its_own() -> None:
    extractor = Extractor(load(), [custom("own-id", "token", "Patient.id")])
    assert ("own-id", "", "p") in extractor.rows({"resourceType": "Patient", "id": "p"}).tok


def test_a_custom_reference_without_target_goes_where_its_element_goes() -> None:
    extractor = Extractor(load(), [custom("doctor", "reference", "Patient.generalPractitioner")])
    assert set(extractor.indexed("Patient")["doctor"].targets) == {"Organization", "Practitioner", "PractitionerRole"}


def test_a_reference_to_a_version_is_found_with_and_without_it() -> None:
    resource = {"resourceType": "Observation", "id": "o", "subject": {"reference": "Patient/p/_history/3"}}
    world = {("Observation", "o"): EXTRACTOR.rows(resource)}
    for value in ("Patient/p", "p", "Patient/p/_history/3", "http://here/fhir/Patient/p/_history/3"):
        assert evaluate(query(f"Observation?patient={value}"), world), value
    assert not evaluate(query("Observation?patient=Patient/p/_history/2"), world)
