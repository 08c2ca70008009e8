"""What validators are told: valid, invalid with a reason, or that nobody can tell."""

from __future__ import annotations

import time

import pytest

from terminology.base import base
from terminology.deciding import Verdict, decide
from terminology.registry import from_resources

FHIR = "http://hl7.org/fhir"
OWN = [
    {
        "resourceType": "CodeSystem",
        "url": "urn:s",
        "status": "active",
        "content": "complete",
        "caseSensitive": False,
        "language": "zh-CN",
        "concept": [
            {"code": "A", "display": "甲", "designation": [{"language": "en", "value": "First"}]},
            {"code": "B", "property": [{"code": "status", "valueCode": "retired"}]},
        ],
    },
    {"resourceType": "CodeSystem", "url": "urn:part", "content": "fragment", "concept": [{"code": "p"}]},
    {"resourceType": "ValueSet", "url": "urn:v", "compose": {"include": [{"system": "urn:s"}]}},
    {"resourceType": "ValueSet", "url": "urn:parts", "compose": {"include": [{"system": "urn:part"}]}},
    {"resourceType": "CodeSystem", "url": "urn:none", "content": "complete"},
    {"resourceType": "ValueSet", "url": "urn:empty", "compose": {"include": [{"system": "urn:none"}]}},
    {"resourceType": "ValueSet", "url": "urn:listed", "compose": {"include": [
        {"system": "urn:part", "concept": [{"code": "p"}, {"code": "q"}]},
        {"system": "urn:far", "version": "1", "concept": [{"code": "x"}]}]}},
    {"resourceType": "ValueSet", "url": "urn:imports", "compose": {"include": [{"valueSet": ["urn:nothing"]}]}},
    {"resourceType": "ValueSet", "url": "urn:bad", "compose": {"include": [
        {"system": "urn:s", "filter": [{"property": "concept", "op": "is-a", "value": ""}]}]}},
]  # fmt: skip
KNOWN = from_resources(OWN, base())
GENDERS = f"{FHIR}/ValueSet/administrative-gender"

CASES = [
    ((GENDERS, f"{FHIR}/administrative-gender", "male"), Verdict.VALID, ""),
    ((GENDERS, f"{FHIR}/administrative-gender", "man"), Verdict.INVALID, "code-invalid"),
    ((GENDERS, None, "female"), Verdict.VALID, ""),
    ((GENDERS, None, "femme"), Verdict.INVALID, "code-invalid"),
    ((GENDERS, "urn:other", "male"), Verdict.INVALID, "code-invalid"),
    ((f"{GENDERS}|4.0.1", None, "other"), Verdict.VALID, ""),
    ((f"{GENDERS}|1", None, "other"), Verdict.UNKNOWN, "not-found"),
    (("urn:nothing", None, "x"), Verdict.UNKNOWN, "not-found"),
    ((f"{FHIR}/ValueSet/observation-codes", "http://loinc.org", "8867-4"), Verdict.UNKNOWN, "not-found"),
    ((f"{FHIR}/ValueSet/languages", "urn:ietf:bcp:47", "zh-CN"), Verdict.UNKNOWN, "not-found"),
    ((f"{FHIR}/ValueSet/all-languages", "urn:ietf:bcp:47", "zh-Hans-CN"), Verdict.VALID, ""),
    ((f"{FHIR}/ValueSet/all-languages", "urn:ietf:bcp:47", "中文"), Verdict.INVALID, "code-invalid"),
    ((f"{FHIR}/ValueSet/mimetypes", None, "image/jpeg"), Verdict.VALID, ""),
    ((f"{FHIR}/ValueSet/mimetypes", None, "jpeg"), Verdict.INVALID, "code-invalid"),
    ((f"{FHIR}/ValueSet/mimetypes", None, "json"), Verdict.VALID, ""),
    ((f"{FHIR}/ValueSet/mimetypes", None, "text/plain; charset=utf-8"), Verdict.VALID, ""),
    ((f"{FHIR}/ValueSet/mimetypes", None, "application/dicom; variant=DICOM WADO-RS"), Verdict.VALID, ""),
    ((f"{FHIR}/ValueSet/ucum-units", "http://unitsofmeasure.org", "mmol/L"), Verdict.VALID, ""),
    ((f"{FHIR}/ValueSet/ucum-units", "http://unitsofmeasure.org", "[pH]"), Verdict.VALID, ""),
    ((f"{FHIR}/ValueSet/ucum-units", "http://unitsofmeasure.org", "furlongs"), Verdict.INVALID, "code-invalid"),
    ((f"{FHIR}/ValueSet/currencies", None, "CNY"), Verdict.VALID, ""),
    (("urn:v", "urn:s", "A"), Verdict.VALID, ""),
    (("urn:v", "urn:s", "C"), Verdict.INVALID, "code-invalid"),
    (("urn:v", "urn:s", "A", None, "甲"), Verdict.VALID, ""),
    (("urn:v", "urn:s", "A", None, "first"), Verdict.VALID, ""),
    (("urn:v", "urn:s", "A", None, "乙"), Verdict.INVALID, "invalid"),
    (("urn:parts", "urn:part", "q"), Verdict.UNKNOWN, "not-found"),
    (("urn:listed", "urn:part", "q"), Verdict.VALID, ""),
    (("urn:listed", "urn:part", "r"), Verdict.INVALID, "code-invalid"),
    (("urn:listed", "urn:far", "x"), Verdict.VALID, ""),
    (("urn:listed", "urn:far", "y"), Verdict.INVALID, "code-invalid"),
    (("urn:listed", None, "x"), Verdict.VALID, ""),
    (("urn:empty", "urn:none", "x"), Verdict.UNKNOWN, "not-found"),
    (("urn:imports", None, "x"), Verdict.UNKNOWN, "not-found"),
    (("urn:bad", "urn:s", "A"), Verdict.UNKNOWN, "invalid"),
]


@pytest.mark.parametrize(("asked", "verdict", "code"), CASES)
def test_a_code_is_judged(asked: tuple[str, str | None, str], verdict: Verdict, code: str) -> None:
    found = decide(KNOWN, *asked)
    assert (found.verdict, found.code) == (verdict, code), found
    assert bool(found.reason) == (verdict is not Verdict.VALID)
    assert [found.valid, found.invalid, found.unknown].count(True) == 1


def test_doubtful_codes_are_valid_with_a_warning() -> None:
    assert "inactive" in decide(KNOWN, "urn:v", "urn:s", "B").warnings[0]
    found = decide(KNOWN, "urn:v", "urn:s", "a")
    assert found.valid and found.display == "甲" and "'A'" in found.warnings[0]


def test_thousands_of_codes_are_judged_in_a_second() -> None:
    codes = [f"c{n}" for n in range(3_000)]
    system = {**OWN[0], "url": "urn:many", "concept": [{"code": code} for code in codes]}
    known = from_resources(
        [system, {"resourceType": "ValueSet", "url": "urn:all", "compose": {"include": [{"system": "urn:many"}]}}]
    )
    decide(known, "urn:all", "urn:many", "warm")
    start = time.thread_time()
    assert all(decide(known, "urn:all", "urn:many", code).valid for code in codes)
    assert len(codes) / (time.thread_time() - start) > 4_000
