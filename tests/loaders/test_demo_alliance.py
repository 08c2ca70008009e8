"""The made-up alliance: who wrote what, what is plausible, and what its residents' consents open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

import pytest

from consent.check import check
from consent.compile import Facts, grants_of
from consent.grant import EVERYONE, Grant
from consent.labels import class_of, custodian_of, sensitivity_of
from consent.membership import memberships_of
from consent.vocabulary import (
    CLINICAL,
    CONSENT_KIND,
    GUARDIAN_PERSON,
    NO_SENSITIVITY,
    ROLE,
    ROLES,
    RecordClass,
    Sensitivity,
)
from loaders.demo import File, county_resources, files, institutions
from loaders.demo.people import TODAY, age_on, person
from profiles import lossless
from profiles.definitions import load
from profiles.structure import Validator

Resource = dict[str, Any]
CLINICS = sum(place.level == "village" for place in institutions())
NOW = int(datetime(2026, 11, 2, tzinfo=UTC).timestamp() * 1_000_000)


@cache
def county(count: int = 300) -> tuple[File, ...]:
    return tuple(files(count))


def everything(count: int = 300) -> Iterator[tuple[File, str, Resource]]:
    return ((file, custodian, resource) for file in county(count) for custodian, resource in file.written)


def code_of(resource: Resource, key: str = "code") -> str:
    return str(resource[key]["coding"][0]["code"]) if "coding" in resource.get(key, {}) else ""


def facts(file: File, custodian: str) -> Facts:
    alliances = {m.group for r in county_resources(1) if "Affiliation" in r["resourceType"] for m in memberships_of(r)}
    return Facts(custodian, True, NOW, lambda id: file.person.born, lambda reference: reference in alliances)


def compiled(number: int) -> list[Grant]:
    """The grants of the Consents of one resident."""
    file = county()[number - 1]
    return [
        grant
        for custodian, resource in file.written
        if resource["resourceType"] == "Consent"
        for grant in grants_of(resource, facts(file, custodian))
    ]


# -- institutions and staff -------------------------------------------------------------------------


def test_every_role_works_at_the_county_hospital():
    roles = {
        coding["code"]
        for r in county_resources(1)
        if r["resourceType"] == "PractitionerRole"
        and r["organization"]["reference"].startswith("Organization/county-hospital")
        for concept in r["code"]
        for coding in concept["coding"]
        if coding["system"] == ROLE
    }
    assert roles == set(ROLES) - {"system"}


def test_what_is_the_countys_is_in_nobodys_file():
    assert {class_of(r) for r in county_resources(1)} == {RecordClass.SHARED}


def test_each_treating_institution_is_a_member_of_the_alliance_since_a_day_and_the_offices_are_not():
    found = [r for r in county_resources(1) if r["resourceType"] == "OrganizationAffiliation"]
    members = {m.party: m.low for r in found for m in memberships_of(r)}
    assert set(members) == {f"Organization/{place.id}" for place in institutions()}
    assert len(set(members.values())) > 2  # some came late


# -- people -----------------------------------------------------------------------------------------


def test_the_first_twenty_have_every_kind_of_papers_and_of_need():
    first = [person(n, 1, CLINICS) for n in range(1, 21)]
    assert {p.papers for p in first} >= {"identity-card", "passport", "hk-mo-permit", "birth-certificate"}
    ages = {p.age for p in first}
    assert any(a < 1 for a in ages) and any(1 <= a < 14 for a in ages) and any(14 <= a < 18 for a in ages)
    assert any(p.died for p in first)
    assert any(p.guardians and p.age >= 18 for p in first), "an adult without capacity"
    assert any("·" in p.name.text for p in first) and any(len(p.name.family) > 1 for p in first)


def test_each_child_has_a_guardian_with_a_lower_number_and_a_plausible_age():
    for file in county():
        child = file.person
        if child.age < 18:
            assert child.guardians, child
        for number in child.guardians:
            assert number < child.number
            guardian = person(number, 1, CLINICS)
            if child.age < 18:
                assert (child.born.year - guardian.born.year) >= 15
            assert (guardian.place, guardian.house) == (child.place, child.house)


def test_families_share_telephones():
    found = Counter(person(n, 1, CLINICS).phone for n in range(1, 301))
    assert sum(count > 1 for count in found.values()) > 20


def test_guardianship_of_a_child_compiles_to_a_grant_that_ends_at_majority():
    file = county()[3]
    ward = [r for _, r in file.written if r["resourceType"] == "RelatedPerson"]
    assert len(ward) == 2
    grants = [g for r in ward for g in grants_of(r, facts(file, "Organization/township-1"))]
    assert {g.grantee for g in grants} == {"Patient/resident-000001", "Patient/resident-000002"}
    eighteen = datetime(file.person.born.year + 18, file.person.born.month, 1, tzinfo=UTC).timestamp() * 1_000_000
    assert max(g.high for g in grants) < eighteen + 32 * 86_400_000_000


def test_guardianship_of_an_adult_without_capacity_compiles_too():
    file = county()[5]
    found = [r for _, r in file.written if r["resourceType"] == "RelatedPerson"]
    assert file.person.age > 70
    assert all(any(e["url"] == GUARDIAN_PERSON for e in r["extension"]) for r in found)
    assert {g.kind for r in found for g in grants_of(r, facts(file, "Organization/township-1"))} == {"guardian"}


# -- records ----------------------------------------------------------------------------------------


def test_every_resource_of_the_alliance_is_valid():
    validator = Validator(load())
    for _, _, resource in everything(120):
        assert validator.check(lossless.parse(lossless.encode(resource))) == [], resource


def test_every_record_class_and_every_special_protection_is_met():
    classes, sensitivities = RecordClass(0), Sensitivity(0)
    for _, _, resource in everything():
        if resource["resourceType"] != "Binary":  # it has the class of its document
            classes |= class_of(resource)
        sensitivities |= sensitivity_of(resource)
    assert classes == CLINICAL & ~RecordClass.OTHER
    assert sensitivities | Sensitivity.RESTRICTED == Sensitivity(sum(Sensitivity))


def test_the_smallest_county_has_the_special_protections_too():
    found = NO_SENSITIVITY
    for _, _, resource in everything(20):
        found |= sensitivity_of(resource)
    for one in ("HIV", "STD", "MENTAL", "REPRODUCTION", "GENETIC", "SUBSTANCE", "MINOR", "ABUSE", "NOPAT"):
        assert Sensitivity[one] & found, one


def test_each_resource_is_filed_with_who_says_it_keeps_it():
    for _, custodian, resource in everything():
        said = custodian_of(resource)
        if resource["resourceType"] == "Consent":
            assert custodian.startswith(("Patient/", "Organization/"))
        else:
            assert said in ("", custodian), resource["id"]


def test_records_are_spread_over_three_levels():
    levels = {f"Organization/{place.id}": place.level for place in institutions()}
    found = Counter(levels.get(custodian, "other") for _, custodian, _ in everything())
    total = found.total()
    assert found["county"] > total * 0.1 and found["township"] > total * 0.3 and found["village"] > total * 0.1
    several = [file for file in county() if len([c for c in file.parts() if c.startswith("Organization/")]) >= 3]
    assert len(several) > len(county()) * 0.4


def test_the_institutions_that_treat_somebody_have_that_person_in_their_books():
    treating = {f"Organization/{place.id}" for place in institutions()}
    for file in county():
        patient = file.written[0][1]
        books = {i["assigner"]["reference"] for i in patient["identifier"] if "assigner" in i}
        wrote = {c for c, r in file.written if r["resourceType"] in ("Encounter", "Condition", "Observation")}
        assert wrote & treating <= books


def test_diseases_are_those_of_the_age():
    for file, _, resource in everything():
        if resource["resourceType"] == "Condition":
            code, age = code_of(resource), file.person.age
            assert not (code in ("I10", "E11.9", "I25.1", "J44.9", "I63.9", "C50.9") and age < 30), (code, age)
            assert not (
                code in ("B08.4",) and age_on(file.person.born, date.fromisoformat(resource["onsetDateTime"])) > 6
            )
            assert not (code.startswith("Z34") and not file.person.female)


def test_children_get_no_fluoroquinolone_and_the_allergic_no_penicillin():
    for file in county():
        allergic = any(
            r["resourceType"] == "AllergyIntolerance" and r["code"]["text"] == "青霉素" for _, r in file.written
        )
        for _, resource in file.written:
            if resource["resourceType"] == "MedicationRequest":
                code = code_of(resource, "medicationCodeableConcept")
                born, when = file.person.born, date.fromisoformat(resource["authoredOn"][:10])
                assert not (code == "J01MA12" and age_on(born, when) < 18)
                assert not (code == "J01CA04" and allergic)


def test_laboratory_series_run_over_years_and_treatment_shows():
    better = worse = 0
    for file in county():
        series = sorted(
            (r["effectiveDateTime"], r["valueQuantity"]["value"])
            for _, r in file.written
            if r["resourceType"] == "Observation" and code_of(r) == "4548-4"
        )
        if "diabetes" in file.person.traits and len(series) >= 3:
            assert date.fromisoformat(series[0][0][:10]).year < TODAY.year
            better += series[-1][1] < series[0][1]
            worse += series[-1][1] > series[0][1]
    assert better > worse > 0


def test_an_electrocardiogram_has_twelve_leads_and_its_measurements():
    found = [r for _, _, r in everything() if r["resourceType"] == "Observation" and code_of(r) == "34534-8"]
    assert found
    for wave in found[:10]:
        assert len(wave["component"]) == 12
        assert all(len(c["valueSampledData"]["data"].split()) == 120 for c in wave["component"])


def test_an_infants_file_begins_with_its_birth_and_its_vaccines():
    infant = next(file for file in county() if file.person.age < 1)
    born = infant.person.born.isoformat()
    first = next(r for _, r in infant.written if r["resourceType"] == "Encounter")
    assert first["period"]["start"].startswith(born)
    assert any(r["resourceType"] == "Immunization" for _, r in infant.written)


# -- consents ---------------------------------------------------------------------------------------


def test_every_consent_passes_the_profiles_and_says_what_it_means():
    kinds: Counter[str] = Counter()
    for file, _, resource in everything():
        if resource["resourceType"] == "Consent":
            assert check(lossless.parse(lossless.encode(resource)), file.person.born) == []
            kinds.update(c["code"] for k in resource["category"] for c in k["coding"] if c["system"] == CONSENT_KIND)
            assert dict(file.consents)[resource["id"]]
    assert set(kinds) == {
        "sharing",
        "institution",
        "care-team",
        "record-class",
        "sensitive",
        "data-period",
        "document",
        "refusal",
        "guardian",
    }


def test_about_one_in_seven_has_said_nothing_and_some_have_withdrawn():
    adults = [file for file in county() if not file.person.guardians]
    silent = [file for file in adults if not file.consents]
    assert 0.05 < len(silent) / len(adults) < 0.3
    inactive = [r for _, _, r in everything() if r["resourceType"] == "Consent" and r["status"] == "inactive"]
    assert inactive
    assert all(grants_of(r, facts(county()[0], "Organization/township-1")) == [] for r in inactive)


ALLIANCE, TOWNSHIP = "Organization/alliance", "Organization/township-1"


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (2, {(True, ALLIANCE, CLINICAL, NO_SENSITIVITY)}),
        (
            3,
            {
                (True, "Organization/county-hospital", CLINICAL, NO_SENSITIVITY),
                (True, TOWNSHIP, CLINICAL, NO_SENSITIVITY),
            },
        ),
        (4, {(True, ALLIANCE, CLINICAL, NO_SENSITIVITY)}),
        (7, {(True, ALLIANCE, CLINICAL, NO_SENSITIVITY), (True, TOWNSHIP, CLINICAL, Sensitivity.REPRODUCTION)}),
        (
            10,
            {(True, ALLIANCE, CLINICAL, NO_SENSITIVITY), (True, TOWNSHIP, CLINICAL, Sensitivity.HIV | Sensitivity.STD)},
        ),
        (11, {(True, ALLIANCE, CLINICAL, NO_SENSITIVITY), (False, EVERYONE, CLINICAL, Sensitivity.MENTAL)}),
        (
            12,
            {
                (
                    True,
                    ALLIANCE,
                    RecordClass.IDENTITY | RecordClass.LABORATORY | RecordClass.IMAGING | RecordClass.ECG,
                    NO_SENSITIVITY,
                ),
                (True, "Organization/county-hospital-mind", CLINICAL, NO_SENSITIVITY),
            },
        ),
        (15, set()),
        (16, {(False, ALLIANCE, CLINICAL, NO_SENSITIVITY)}),
        (
            20,
            {(False, EVERYONE, CLINICAL, NO_SENSITIVITY), (True, "Organization/township-2", CLINICAL, NO_SENSITIVITY)},
        ),
    ],
)
def test_consents_compile_to_what_they_say(number: int, expected: set[tuple[bool, str, RecordClass, Sensitivity]]):
    assert {(g.permit, g.grantee, g.classes, g.sensitivity) for g in compiled(number)} == expected


def test_the_other_kinds_restrict_by_exception_time_and_document():
    except_clinic = compiled(5)
    assert {(g.permit, g.depth) for g in except_clinic if g.grantee != ""} >= {(True, 0), (False, 1)}
    assert any(g.grantee.startswith("CareTeam/") for g in except_clinic)
    assert all(g.data_low > 0 for g in compiled(13))
    assert all(g.document for g in compiled(14)) and compiled(14)
    assert all(g.document.startswith("DocumentReference/") for g in compiled(18))


def test_some_work_between_institutions_is_open_and_opens_what_it_needs():
    grants = [
        grant
        for file, custodian, resource in everything()
        if resource["resourceType"] in ("ServiceRequest", "Task", "CareTeam")
        for grant in grants_of(resource, facts(file, custodian))
    ]
    kinds = {grant.kind for grant in grants if grant.high > NOW}
    assert kinds >= {"referral", "diagnosis", "family-doctor", "statutory-report"}
    assert {g.grantee for g in grants if g.kind == "statutory-report"} == {"Organization/county-cdc"}
