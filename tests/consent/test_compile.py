"""What requests, Tasks, contracts, guardianship and numbers open, to whom and until when."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from consent.compile import GRANTING, Facts, grants_of
from consent.references import relative
from consent.times import birthday, interval
from consent.vocabulary import (
    ACT_CODE,
    ADOLESCENT,
    EMERGENCY,
    EVERY_SENSITIVITY,
    TASK_KIND,
    Purpose,
    RecordClass,
    Sensitivity,
)

NOW = interval("2026-05-01")[0]
VERIFIED = [{"verified": True, "verifiedWith": {"display": "p"}, "verificationDate": "2026-04-01"}]
DAY = 86_400_000_000
BORN = {"baby": date(2024, 2, 29), "child": date(2015, 6, 1), "teen": date(2010, 6, 1), "adult": date(1960, 1, 1)}


def facts(custodian: str = "Organization/town", trusted: bool = False) -> Facts:
    guardians = frozenset({"Patient/mother", "RelatedPerson/mother"})
    return Facts(custodian, trusted, NOW, BORN.get, guardians=lambda: guardians)


def concept(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def ref(reference: str) -> dict[str, str]:
    return {"reference": reference}


def request(kind: str = "referral", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "ServiceRequest",
        "id": "r",
        "status": "active",
        "intent": "order",
        "category": [concept("urn:yidang:request-kind", kind)],
        "subject": ref("Patient/p"),
        "authoredOn": "2026-04-30",
        "performer": [ref("Organization/county")],
        "supportingInfo": [ref("Observation/o"), ref("#inside")],
        **more,
    }


def test_a_referral_opens_what_it_names_and_what_every_doctor_needs() -> None:
    grants = grants_of(request(), facts())
    named = {g.document: g.custodian for g in grants if g.document}
    assert named == {
        "ServiceRequest/r": "Organization/town",
        "Observation/o": "Organization/town",
        "Patient/p": "",
    }
    (needed,) = [g for g in grants if not g.document]
    assert needed.classes == RecordClass.ALLERGY | RecordClass.PROBLEM | RecordClass.MEDICATION
    assert needed.custodian == "Organization/town" and needed.sensitivity == 0
    assert {(g.grantee, g.kind, g.specificity) for g in grants} == {("Organization/county", "referral", 0)}
    assert {(g.low, g.high) for g in grants} == {(interval("2026-04-30")[0], interval("2026-04-30")[0] + 90 * DAY)}


def test_a_diagnosis_request_opens_no_classes() -> None:
    for category in (
        concept("urn:yidang:request-kind", "diagnosis"),
        concept("http://snomed.info/sct", "363679005"),
        concept("urn:yidang:record-class", "ecg"),
    ):
        grants = grants_of(request(category=[category]), facts())
        assert grants and all(g.document and g.kind == "diagnosis" for g in grants)


def test_what_is_named_opens_only_as_far_as_the_request_itself_is_sensitive() -> None:
    plain = grants_of(request(), facts())
    assert all(g.sensitivity == 0 for g in plain)
    coded = request(reasonCode=[concept("http://hl7.org/fhir/sid/icd-10", "B20.x00")])
    found = {g.document: g.sensitivity for g in grants_of(coded, facts()) if g.document}
    assert found["Observation/o"] == Sensitivity.HIV


@pytest.mark.parametrize(
    "more",
    [
        {"status": "completed"},
        {"status": "revoked"},
        {"intent": "proposal"},
        {"subject": ref("Group/g")},
        {"category": [concept("urn:other", "referral")]},
        {"performer": [ref("Organization/town")]},
        {"performer": [ref("HealthcareService/h")]},
        {"performer": [{"display": "the hospital"}]},
        {"authoredOn": "yesterday"},
    ],
)
def test_other_requests_open_nothing(more: dict[str, Any]) -> None:
    assert grants_of(request(**more), facts()) == []


def test_a_request_ends_with_its_occurrence_and_never_lasts_longer_than_a_year() -> None:
    until = grants_of(request(occurrencePeriod={"end": "2026-05-10"}), facts())
    assert {g.high for g in until} == {interval("2026-05-10")[1]}
    far = grants_of(request(occurrencePeriod={"end": "2126-05-10"}), facts())
    assert {g.high for g in far} == {NOW + 366 * DAY}


def task(code: str = "", **more: Any) -> dict[str, Any]:
    coded = {"code": concept(TASK_KIND, code)} if code else {}
    return {
        "resourceType": "Task",
        "id": "t",
        "status": "requested",
        "intent": "order",
        "for": ref("Patient/p"),
        "authoredOn": "2026-04-30",
        "owner": ref("Organization/county"),
        "requester": ref("Practitioner/dr"),
        "focus": ref("ServiceRequest/r"),
        "input": [{"type": {"text": "film"}, "valueReference": ref("ImagingStudy/i")}],
        "restriction": {"period": {"start": "2026-05-01T08:00:00+08:00", "end": "2026-05-02T07:59:59+08:00"}},
        **coded,
        **more,
    }


def test_a_task_opens_its_focus_and_inputs_to_its_owner_while_it_is_open() -> None:
    grants = grants_of(task(), facts())
    assert {g.document for g in grants} == {"Task/t", "ServiceRequest/r", "ImagingStudy/i", "Patient/p"}
    assert {g.grantee for g in grants} == {"Organization/county"}
    for status in ("draft", "completed", "cancelled", "rejected", "failed", "entered-in-error"):
        assert grants_of(task(status=status), facts()) == []


def test_a_question_to_the_stewards_opens_nothing() -> None:
    assert grants_of(task("duplicate-review"), facts(trusted=True)) == []


@pytest.mark.parametrize("kind", ["break-glass-review", "minor-access-approval", "statutory-report"])
def test_reserved_tasks_count_only_from_the_server(kind: str) -> None:
    resource = task(kind, status="accepted")
    assert grants_of(resource, facts()) == []
    assert grants_of(resource, facts(trusted=True))


def test_breaking_the_glass_opens_what_saves_life_to_one_doctor_for_its_period() -> None:
    (grant,) = grants_of(task("break-glass-review"), facts(trusted=True))
    assert (grant.grantee, grant.classes, grant.overriding) == ("Practitioner/dr", EMERGENCY, True)
    assert grant.purposes == Purpose.BTG | Purpose.ETREAT
    assert grant.high - grant.low == DAY
    assert not grant.sensitivity & (Sensitivity.GENETIC | Sensitivity.ABUSE | Sensitivity.MINOR)
    assert grant.sensitivity & Sensitivity.HIV and grant.sensitivity & Sensitivity.SUBSTANCE
    endless = task("break-glass-review", restriction={"period": {"start": "2026-05-01"}})
    assert grants_of(endless, facts(trusted=True)) == []


def test_an_approval_opens_the_institutions_own_items_once_it_is_given() -> None:
    assert grants_of(task("minor-access-approval"), facts(trusted=True)) == []
    grant, who = grants_of(task("minor-access-approval", status="accepted"), facts(trusted=True))
    assert (grant.grantee, grant.custodian, grant.kind) == ("Practitioner/dr", "Organization/town", "approval")
    assert (who.classes, who.custodian, who.document) == (RecordClass.IDENTITY, "", "Patient/p")
    assert grants_of(task("minor-access-approval", status="accepted"), facts("", trusted=True)) == []


def test_a_statutory_report_opens_what_it_reports_and_nothing_else() -> None:
    grants = grants_of(task("statutory-report"), facts(trusted=True))
    assert {g.document for g in grants} == {"Task/t", "ServiceRequest/r", "ImagingStudy/i"}
    assert all(g.overriding and g.purposes == Purpose.PUBHLTH and g.sensitivity == EVERY_SENSITIVITY for g in grants)


def team(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "CareTeam",
        "id": "c",
        "status": "active",
        "category": [concept("urn:yidang:care-team-kind", "family-doctor")],
        "subject": ref("Patient/p"),
        "period": {"start": "2026-01-01", "end": "2026-12-31"},
        "participant": [
            {"member": ref("Practitioner/dr"), "period": {"end": "2026-06-30"}},
            {"member": ref("Organization/town")},
        ],
        **more,
    }


def test_a_family_doctors_contract_opens_the_file_without_what_is_sensitive() -> None:
    (grant,) = grants_of(team(), facts(trusted=True))
    assert (grant.grantee, grant.sensitivity) == ("Practitioner/dr", 0)
    assert (grant.low, grant.high) == (interval("2026-01-01")[0], interval("2026-06-30")[1])
    assert grants_of(team(status="inactive"), facts(trusted=True)) == []
    assert grants_of(team(category=[]), facts(trusted=True)) == []
    for who in ("Patient/p", "Organization/town"):
        assert grants_of(team(), facts(who)) == []  # no client's own word: the resident's Consent names the team


def guardian(ward: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "RelatedPerson",
        "id": "g",
        "extension": [{"url": "urn:yidang:guardian-person", "valueReference": ref("Patient/mother")}],
        "patient": ref(f"Patient/{ward}"),
        **more,
    }


def test_a_guardian_sees_a_child_and_less_of_an_adolescent_until_majority() -> None:
    young, old = grants_of(guardian("child"), facts())
    born = BORN["child"]
    assert (young.high, old.low, old.high) == (birthday(born, 14), birthday(born, 14), birthday(born, 18))
    assert young.sensitivity == EVERY_SENSITIVITY & ~Sensitivity.NOPAT
    assert old.sensitivity == EVERY_SENSITIVITY & ~Sensitivity.NOPAT & ~ADOLESCENT
    assert {g.grantee for g in (young, old)} == {"Patient/mother"} and young.overriding
    assert birthday(BORN["baby"], 14) == interval("2038-03-01")[0]


def test_guardianship_of_an_adult_needs_a_legal_basis() -> None:
    assert all(g.high <= birthday(BORN["adult"], 18) for g in grants_of(guardian("adult"), facts()))
    court = guardian(
        "adult", relationship=[concept("urn:x", "GUARD")], period={"start": "2026-01-01", "end": "2026-12-31"}
    )
    assert grants_of(court, facts()) == []
    court["extension"].append({"url": "urn:yidang:legal-basis", "valueString": "court"})
    (grant,) = grants_of(court, facts())
    assert grant.high == interval("2026-12-31")[1]
    assert grant.sensitivity == EVERY_SENSITIVITY & ~Sensitivity.NOPAT


def test_nobody_becomes_a_guardian_by_saying_so() -> None:
    assert grants_of(guardian("child"), facts("Patient/mother")) == []
    assert grants_of(guardian("mother"), facts()) == []
    assert grants_of(guardian("nobody-knows-when-born"), facts()) == []
    assert grants_of(guardian("child", active=False), facts()) == []


def test_an_institution_that_gave_a_number_knows_who_it_is() -> None:
    patient = {
        "resourceType": "Patient",
        "id": "p",
        "identifier": [
            {"value": "1", "assigner": ref("Organization/town")},
            {"value": "2", "assigner": ref("Organization/town")},
            {"value": "3", "assigner": {"display": "somebody"}},
        ],
    }
    (grant,) = grants_of(patient, facts())
    assert (grant.grantee, grant.classes, grant.kind) == ("Organization/town", RecordClass.IDENTITY, "registration")


def consent(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Consent",
        "id": "c",
        "status": "active",
        "scope": concept("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy"),
        "patient": ref("Patient/p"),
        "dateTime": "2026-04-01",
        "performer": [ref("Patient/p")],
        "provision": {
            "type": "permit",
            "actor": [{"role": concept("urn:x", "IRCP"), "reference": ref("Organization/county")}],
        },
        **more,
    }


def test_what_an_institution_says_a_resident_consented_to_counts_when_verified() -> None:
    assert grants_of(consent(), facts()) == []
    assert grants_of(consent(verification=[{"verified": False}]), facts()) == []
    assert grants_of(consent(verification=[{"verified": True}]), facts()) == []
    with_whom = {"verified": True, "verifiedWith": ref("Patient/p"), "verificationDate": "2026-03-01"}
    assert grants_of(consent(verification=[with_whom]), facts())
    assert grants_of(consent(), facts("Patient/p"))
    assert grants_of(consent(), facts("")) == []
    refusal = consent(provision={"type": "deny"})
    assert grants_of(refusal, facts())  # a refusal counts whoever wrote it down


def test_a_guardians_consent_ends_when_the_child_can_consent_itself() -> None:
    for who in ("RelatedPerson/mother", "Patient/mother"):
        given = consent(patient=ref("Patient/child"), performer=[ref(who)])
        (grant,) = grants_of(given, facts("Patient/mother"))
        assert grant.high == birthday(BORN["child"], 14)
    for named in ("Patient/child", "Patient/mother", "RelatedPerson/mother"):  # a child that names its mother is alone
        alone = consent(patient=ref("Patient/child"), performer=[ref(named)])
        assert grants_of(alone, facts("Patient/child")) == []
    for stranger in ("Patient/stranger", "RelatedPerson/aunt", "Practitioner/dr"):
        given = consent(patient=ref("Patient/child"), performer=[ref(stranger)], verification=VERIFIED)
        assert grants_of(given, facts()) == []
    recorded = consent(patient=ref("Patient/child"), performer=[ref("RelatedPerson/mother")], verification=VERIFIED)
    assert [g.high for g in grants_of(recorded, facts())] == [birthday(BORN["child"], 14)]
    teen = consent(patient=ref("Patient/teen"), performer=[ref("Patient/teen")])
    assert [g.high for g in grants_of(teen, facts("Patient/teen"))] == [2**62]


def test_a_guardian_gives_no_more_than_a_guardian_sees() -> None:
    labels = [{"system": ACT_CODE, "code": code} for code in ("PSY", "GDIS", "ADOL")]
    provision = {**consent()["provision"], "securityLabel": labels}
    given = consent(patient=ref("Patient/teen"), performer=[ref("Patient/mother")], provision=provision)
    (grant,) = grants_of(given, facts("Patient/mother"))
    assert (grant.sensitivity, grant.high) == (Sensitivity.GENETIC, birthday(BORN["teen"], 18))
    grown = consent(patient=ref("Patient/adult"), performer=[ref("Patient/stranger")], verification=VERIFIED)
    assert grants_of(grown, facts()) == []


def test_references_to_other_servers_give_nothing() -> None:
    elsewhere = "http://elsewhere.example/fhir/"
    assert grants_of(consent(patient=ref(f"{elsewhere}Patient/p")), facts("Patient/p")) == []
    there = request()
    there["performer"] = [ref(f"{elsewhere}Organization/county")]
    assert grants_of(there, facts()) == []
    resource = {"subject": ref("https://ours.example/fhir/Patient/p"), "note": [{"author": ref("urn:uuid:1")}]}
    shortened = relative(resource, ("https://ours.example/fhir/",))
    assert shortened == {"subject": ref("Patient/p"), "note": [{"author": ref("urn:uuid:1")}]}


def test_a_consent_is_never_given_later_than_it_was_written() -> None:
    for date_, given in (("2026-04", interval("2026-04-01")[0]), ("2030-01-01", NOW), ("no date", 0)):
        (grant,) = grants_of(consent(dateTime=date_), facts("Patient/p"))
        assert grant.given == given


def test_a_scanned_health_code_is_named_so_only_by_the_server() -> None:
    scanned = consent(category=[concept("urn:yidang:consent-kind", "health-code")])
    assert [g.kind for g in grants_of(scanned, facts("Patient/p", trusted=True))] == ["health-code"]
    assert [g.kind for g in grants_of(scanned, facts("Patient/p"))] == ["consent"]


def test_naming_the_alliance_names_nobody_in_particular() -> None:
    known = Facts("Patient/p", False, NOW, BORN.get, alliance=lambda r: r == "Organization/county")
    assert [g.specificity for g in grants_of(consent(), known)] == [0]
    assert [g.specificity for g in grants_of(consent(), facts("Patient/p"))] == [1]


def test_other_and_damaged_resources_give_nothing() -> None:
    assert grants_of({"resourceType": "Observation", "id": "o"}, facts()) == []
    for type in GRANTING:
        assert grants_of({"resourceType": type}, facts(trusted=True)) == []
        assert grants_of({"resourceType": type, "status": "active", "subject": 1, "for": []}, facts()) == []
