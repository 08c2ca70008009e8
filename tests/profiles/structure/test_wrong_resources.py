"""What the structural check refuses, with which code, at which element."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from profiles.lossless import parse
from profiles.structure import Validator
from profiles.structure.primitives import MAX_STRING
from profiles.structure.walk import MAX_ISSUES
from tests.profiles.structure.samples import sample

Resource = dict[str, Any]


def put(*path_and_value: Any) -> Callable[[Resource], None]:
    """A change that sets the value at a path of keys and indexes."""
    *path, last, value = path_and_value

    def change(resource: Resource) -> None:
        at: Any = resource
        for step in path:
            at = at[step]
        if isinstance(at, list) and last == len(at):
            at.append(value)
        else:
            at[last] = value

    return change


def drop(*path: Any) -> Callable[[Resource], None]:
    """A change that takes away what is at a path."""
    *parents, last = path

    def change(resource: Resource) -> None:
        at: Any = resource
        for step in parents:
            at = at[step]
        del at[last]

    return change


DIV = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
EXTENSION = {"url": "http://example.org/a", "valueString": "b"}

WRONG: list[tuple[str, Callable[[Resource], None], str, str]] = [
    # unknown elements and wrong JSON shapes
    ("PATIENT", put("nmae", []), "structure", "Patient.nmae"),
    ("PATIENT", put("contact", 0, "name", "x", 1), "structure", "Patient.contact[0].name.x"),
    ("PATIENT", put("_id", {"extension": [EXTENSION]}), "structure", "Patient._id"),
    ("PATIENT", put("text", "_div", {"extension": [EXTENSION]}), "structure", "Patient.text._div"),
    ("PATIENT", put("_name", [EXTENSION]), "structure", "Patient._name"),
    ("PATIENT", put("fhir_comments", ["x"]), "structure", "Patient.fhir_comments"),
    ("PATIENT", put("name", {"family": "a"}), "structure", "Patient.name"),
    ("PATIENT", put("gender", ["male"]), "structure", "Patient.gender"),
    ("PATIENT", put("contact", 0, "name", [{"family": "a"}]), "structure", "Patient.contact[0].name"),
    ("PATIENT", put("contact", 0, "name", "Li"), "structure", "Patient.contact[0].name"),
    ("PATIENT", put("name", []), "structure", "Patient.name"),
    ("PATIENT", put("contact", 0, {}), "structure", "Patient.contact[0]"),
    ("PATIENT", put("gender", None), "structure", "Patient.gender"),
    ("PATIENT", put("contact", 0, "name", None), "structure", "Patient.contact[0].name"),
    ("PATIENT", put("name", 0, None), "structure", "Patient.name[0]"),
    # null in arrays of primitives
    ("PATIENT", put("contact", 0, "name", "given", ["a", None]), "structure", "Patient.contact[0].name.given[1]"),
    ("PATIENT", put("name", 0, "_given", [None, None]), "structure", "Patient.name[0].given[1]"),
    ("PATIENT", put("name", 0, "_given", 1, {}), "structure", "Patient.name[0].given[1]"),
    ("PATIENT", put("name", 0, "_given", 1, {"id": "x"}), "invariant", "Patient.name[0].given[1]"),
    ("PATIENT", put("name", 0, "_given", {}), "structure", "Patient.name[0].given"),
    ("PATIENT", put("_birthDate", []), "structure", "Patient.birthDate"),
    ("PATIENT", put("_birthDate", {"value": 1}), "structure", "Patient.birthDate.value"),
    # cardinality and choices
    ("OBSERVATION", drop("status"), "required", "Observation.status"),
    ("OBSERVATION", drop("code"), "required", "Observation.code"),
    ("OBSERVATION", drop("component", 0, "code"), "required", "Observation.component[0].code"),
    ("PATIENT", put("communication", 0, {"preferred": True}), "required", "Patient.communication[0].language"),
    ("PATIENT", drop("extension", 0, "url"), "required", "Patient.extension[0].url"),
    ("OBSERVATION", put("valueString", "x"), "structure", "Observation.value"),
    ("OBSERVATION", put("_valueString", {"extension": [EXTENSION]}), "structure", "Observation.value"),
    ("OBSERVATION", put("effectivePeriod", {"start": "2026"}), "structure", "Observation.effective"),
    ("OBSERVATION", put("component", 0, "valueInteger", 1), "structure", "Observation.component[0].value"),
    ("CONDITION", put("onsetString", "x"), "structure", "Condition.onset"),
    ("PATIENT", put("deceasedDateTime", "2020"), "structure", "Patient.deceased"),
    ("OBSERVATION", put("valueUri", "x:y"), "structure", "Observation.valueUri"),
    # values of primitive types
    ("PATIENT", put("id", "a_b"), "value", "Patient.id"),
    ("PATIENT", put("id", "a" * 65), "value", "Patient.id"),
    ("PATIENT", put("birthDate", "2023-02-30"), "value", "Patient.birthDate"),
    ("PATIENT", put("birthDate", "1900-02-29"), "value", "Patient.birthDate"),
    ("PATIENT", put("birthDate", "2023-13"), "value", "Patient.birthDate"),
    ("PATIENT", put("birthDate", "2023-04-31"), "value", "Patient.birthDate"),
    ("PATIENT", put("birthDate", "2023-4-3"), "value", "Patient.birthDate"),
    ("PATIENT", put("birthDate", "0000"), "value", "Patient.birthDate"),
    ("PATIENT", put("birthDate", "1990-02-28\n"), "value", "Patient.birthDate"),
    ("PATIENT", put("birthDate", "１９９０"), "value", "Patient.birthDate"),
    ("PATIENT", put("birthDate", 1990), "structure", "Patient.birthDate"),
    ("OBSERVATION", put("effectiveDateTime", "2026-01-02T03:04"), "value", "Observation.effective"),
    ("OBSERVATION", put("effectiveDateTime", "2026-01-02T03:04:05"), "value", "Observation.effective"),
    ("OBSERVATION", put("effectiveDateTime", "2026-01-02T24:00:00Z"), "value", "Observation.effective"),
    ("OBSERVATION", put("issued", "2026-01-02"), "value", "Observation.issued"),
    ("OBSERVATION", put("issued", "2026-02-29T01:01:01Z"), "value", "Observation.issued"),
    ("PATIENT", put("active", "true"), "structure", "Patient.active"),
    ("PATIENT", put("active", 1), "structure", "Patient.active"),
    ("PATIENT", put("name", 0, "family", ""), "value", "Patient.name[0].family"),
    ("PATIENT", put("name", 0, "family", " \t\u3000"), "value", "Patient.name[0].family"),
    ("PATIENT", put("name", 0, "family", "a\x00b"), "value", "Patient.name[0].family"),
    ("PATIENT", put("name", 0, "family", "a\x1bb"), "value", "Patient.name[0].family"),
    ("PATIENT", put("name", 0, "family", "a\ud800"), "value", "Patient.name[0].family"),
    ("PATIENT", put("name", 0, "family", "a\uffff"), "value", "Patient.name[0].family"),
    ("PATIENT", put("name", 0, "family", "a" * (MAX_STRING + 1)), "value", "Patient.name[0].family"),
    ("PATIENT", put("multipleBirthInteger", 2**31), "value", "Patient.multipleBirth"),
    ("PATIENT", put("multipleBirthInteger", Decimal("2.0")), "value", "Patient.multipleBirth"),
    ("PATIENT", put("multipleBirthInteger", parse(b"2e0")), "value", "Patient.multipleBirth"),
    ("PATIENT", put("multipleBirthInteger", True), "structure", "Patient.multipleBirth"),
    ("PATIENT", put("multipleBirthInteger", "2"), "structure", "Patient.multipleBirth"),
    ("BUNDLE", put("total", -1), "value", "Bundle.total"),
    ("QUESTIONNAIRE", put("item", 0, "maxLength", Decimal("1e1")), "value", "Questionnaire.item[0].maxLength"),
    ("OBSERVATION", put("valueQuantity", "value", "1.0"), "structure", "Observation.value.value"),
    ("OBSERVATION", put("valueQuantity", "value", True), "structure", "Observation.value.value"),
    ("OBSERVATION", put("valueQuantity", "value", 10**5000), "value", "Observation.value.value"),
    ("OBSERVATION", put("valueQuantity", "value", parse(b"1e999999")), "value", "Observation.value.value"),
    ("OBSERVATION", put("valueQuantity", "value", parse(b"1e-999999")), "value", "Observation.value.value"),
    ("OBSERVATION", put("valueQuantity", "value", Decimal("NaN")), "value", "Observation.value.value"),
    ("OBSERVATION", put("valueQuantity", "code", " a"), "value", "Observation.value.code"),
    ("OBSERVATION", put("valueQuantity", "code", "a  b"), "value", "Observation.value.code"),
    ("OBSERVATION", put("valueQuantity", "system", "a b"), "value", "Observation.value.system"),
    ("PATIENT", put("identifier", 0, "system", "urn:oid:1.02"), "value", "Patient.identifier[0].system"),
    ("PATIENT", put("identifier", 0, "system", "urn:uuid:1"), "value", "Patient.identifier[0].system"),
    ("BINARY", put("data", "SGVsbG8"), "value", "Binary.data"),
    ("BINARY", put("data", "SGVs bG8*"), "value", "Binary.data"),
    # required bindings
    ("PATIENT", put("gender", "M"), "code-invalid", "Patient.gender"),
    ("PATIENT", put("name", 0, "use", "Official"), "code-invalid", "Patient.name[0].use"),
    ("OBSERVATION", put("status", "done"), "code-invalid", "Observation.status"),
    ("CONDITION", put("clinicalStatus", {"text": "active"}), "code-invalid", "Condition.clinicalStatus"),
    ("CONDITION", put("clinicalStatus", "coding", 0, "code", "on"), "code-invalid", "Condition.clinicalStatus"),
    ("CONDITION", put("clinicalStatus", "coding", 0, "system", "x:y"), "code-invalid", "Condition.clinicalStatus"),
    # elements, extensions, quantities
    ("PATIENT", put("contact", 0, {"id": "x"}), "invariant", "Patient.contact[0]"),
    ("PATIENT", put("extension", 0, "extension", [EXTENSION]), "invariant", "Patient.extension[0]"),
    ("PATIENT", put("extension", 0, {"url": "http://example.org/a"}), "invariant", "Patient.extension[0]"),
    ("PATIENT", put("extension", 0, "valueString", "x"), "structure", "Patient.extension[0].value"),
    (
        "OBSERVATION",
        put("referenceRange", 0, "low", "comparator", "<"),
        "invariant",
        "Observation.referenceRange[0].low.comparator",
    ),
    # references and contained resources
    ("CONDITION", put("subject", "reference", "Practitioner/1"), "structure", "Condition.subject.reference"),
    ("CONDITION", put("subject", "reference", "http://e.org/Device/1"), "structure", "Condition.subject.reference"),
    ("CONDITION", put("subject", "reference", "Device?a=b"), "structure", "Condition.subject.reference"),
    ("CONDITION", put("subject", "type", "Device"), "structure", "Condition.subject.type"),
    ("CONDITION", put("subject", "reference", "Patinet/1"), "value", "Condition.subject.reference"),
    ("CONDITION", put("subject", "reference", "Patient"), "value", "Condition.subject.reference"),
    ("CONDITION", put("subject", "reference", "Patient/1/2"), "value", "Condition.subject.reference"),
    ("CONDITION", put("subject", "reference", "urn:uuid:x"), "value", "Condition.subject.reference"),
    ("CONDITION", put("subject", "reference", "#nobody"), "value", "Condition.subject.reference"),
    ("CONDITION", put("subject", "reference", "#a b"), "value", "Condition.subject.reference"),
    ("CONDITION", put("subject", {"id": "x"}), "invariant", "Condition.subject"),
    ("PATIENT", put("managingOrganization", "reference", "#o2"), "value", "Patient.managingOrganization.reference"),
    ("PATIENT", put("contained", 1, {"resourceType": "Location"}), "required", "Patient.contained[1]"),
    ("PATIENT", put("contained", 1, {"id": "l1"}), "required", "Patient.contained[1]"),
    (
        "PATIENT",
        put("contained", 0, "contained", [{"resourceType": "Location", "id": "l1"}]),
        "invariant",
        "Patient.contained[0]",
    ),
    ("PATIENT", put("contained", 0, "name", 1), "structure", "Patient.contained[0].name"),
    (
        "PATIENT",
        put("contained", 0, "partOf", {"reference": "#gone"}),
        "value",
        "Patient.contained[0].partOf.reference",
    ),
    # narrative
    ("PATIENT", put("text", "div", DIV.format("<script>x()</script>")), "invariant", "Patient.text.div"),
    ("PATIENT", put("text", "div", DIV.format("<p onclick='x()'>y</p>")), "invariant", "Patient.text.div"),
    ("PATIENT", put("text", "div", DIV.format("<a href=' JavaScript:x()'>y</a>")), "invariant", "Patient.text.div"),
    ("PATIENT", put("text", "div", DIV.format("<p style='width: Expression(x)'/>")), "invariant", "Patient.text.div"),
    ("PATIENT", put("text", "div", DIV.format("<iframe src='x'/>")), "invariant", "Patient.text.div"),
    ("PATIENT", put("text", "div", DIV.format("<form/>")), "invariant", "Patient.text.div"),
    ("PATIENT", put("text", "div", DIV.format("<b>")), "invariant", "Patient.text.div"),
    ("PATIENT", put("text", "div", "<div>no namespace</div>"), "invariant", "Patient.text.div"),
    ("PATIENT", put("text", "div", DIV.format("a&nbsp;b")), "invariant", "Patient.text.div"),
    (
        "PATIENT",
        put("text", "div", '<!DOCTYPE d [<!ENTITY a "b">]>' + DIV.format("&a;")),
        "invariant",
        "Patient.text.div",
    ),
    ("PATIENT", put("text", "div", "plain"), "invariant", "Patient.text.div"),
    ("PATIENT", put("text", "div", DIV.format("<b>" * 500 + "</b>" * 500)), "invariant", "Patient.text.div"),
    ("PATIENT", put("text", "div", 1), "structure", "Patient.text.div"),
    ("PATIENT", drop("text", "div"), "required", "Patient.text.div"),
    (
        "PATIENT",
        put("contained", 0, "text", {"status": "empty", "div": "x"}),
        "invariant",
        "Patient.contained[0].text.div",
    ),
    (
        "COMPOSITION",
        put("section", 0, "section", 0, "text", "div", DIV.format("<script/>")),
        "invariant",
        "Composition.section[0].section[0].text.div",
    ),
    # resources inside others
    (
        "BUNDLE",
        put("entry", 0, "resource", "gender", "M"),
        "code-invalid",
        "Bundle.entry[0].resource.gender",
    ),
    ("BUNDLE", put("entry", 1, "resource", {"resourceType": "X"}), "structure", "Bundle.entry[1].resource"),
    ("BUNDLE", put("entry", 1, "resource", []), "structure", "Bundle.entry[1].resource"),
    ("BUNDLE", put("entry", 1, "request", "method", "GRAB"), "code-invalid", "Bundle.entry[1].request.method"),
    (
        "PARAMETERS",
        put("parameter", 1, "part", 1, "resource", "birthDate", "x"),
        "value",
        "Parameters.parameter[1].part[1].resource.birthDate",
    ),
]


@pytest.mark.parametrize(
    ("name", "change", "code", "expression"), WRONG, ids=[f"{number}-{row[3]}" for number, row in enumerate(WRONG)]
)
def test_what_is_wrong_is_named_with_code_and_element(
    validator: Validator, name: str, change: Callable[[Resource], None], code: str, expression: str
) -> None:
    resource = sample(name)
    change(resource)
    found = validator.check(resource)
    assert [(issue.code, issue.expression, issue.severity) for issue in found] == [(code, (expression,), "error")]
    assert len(found[0].diagnostics) < 400


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "structure"),
        ([], "structure"),
        ("Patient", "structure"),
        (1, "structure"),
        ({}, "required"),
        ({"resourceType": None}, "required"),
        ({"resourceType": 1}, "structure"),
        ({"resourceType": ["Patient"]}, "structure"),
        ({"resourceType": "DomainResource"}, "structure"),
        ({"resourceType": "HumanName"}, "structure"),
        ({"resourceType": "patient"}, "structure"),
    ],
)
def test_what_is_no_resource_is_refused(validator: Validator, value: object, code: str) -> None:
    assert [issue.code for issue in validator.check(value)] == [code]


def test_all_that_is_wrong_is_told_at_once(validator: Validator) -> None:
    patient = sample("PATIENT")
    patient["gender"] = "M"
    patient["birthDate"] = "x"
    patient["foo"] = 1
    assert [i.expression[0] for i in validator.check(patient)] == ["Patient.gender", "Patient.birthDate", "Patient.foo"]


def test_the_number_of_findings_is_bounded(validator: Validator) -> None:
    patient = sample("PATIENT")
    patient.update({f"x{number}": number for number in range(10_000)})
    assert len(validator.check(patient)) == MAX_ISSUES
    bundle = sample("BUNDLE")
    bundle["entry"] = [{"resource": {"resourceType": "Patient", "a": 1, "b": 2}} for _ in range(1000)]
    assert len(validator.check(bundle)) <= MAX_ISSUES + 1


def test_a_fragment_of_one_check_does_not_reach_the_next(validator: Validator) -> None:
    wrong = sample("PATIENT")
    wrong["managingOrganization"]["reference"] = "#gone"
    wrong["gender"] = "M"
    assert len(validator.check(wrong)) == 2
    assert validator.check(sample("CONDITION")) == []
