"""Consent profiles: the documented examples hold, and what cannot be enforced is refused with its element."""

from __future__ import annotations

import copy
import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from consent.check import KINDS, check
from consent.compile import Facts, grants_of
from consent.grant import EVERYONE
from consent.times import interval
from consent.vocabulary import Purpose, RecordClass, Sensitivity

PAGE = Path(__file__).parents[2] / "docs" / "api" / "consent.md"
EXAMPLES = {r["id"]: r for r in map(json.loads, re.findall(r"```json\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL))}
NOW = 1_780_000_000_000_000  # 2026-05-28
FACTS = Facts(
    "Patient/p1",
    False,
    NOW,
    lambda id: date(2020, 1, 1) if id == "child" else date(1970, 1, 1),
    guardians=lambda: frozenset({"RelatedPerson/mother-of-child"}),
)


def example(id: str, **more: Any) -> dict[str, Any]:
    return {**copy.deepcopy(EXAMPLES[id]), **more}


def elements(resource: dict[str, Any], born: date | None = None) -> set[str]:
    return {where for issue in check(resource, born) for where in issue.expression}


@pytest.mark.parametrize("id", sorted(EXAMPLES))
def test_the_documented_examples_are_accepted(id: str) -> None:
    assert check(EXAMPLES[id]) == []


def test_every_kind_is_documented() -> None:
    text = PAGE.read_text("utf-8")
    assert {kind for kind in KINDS if f"(`{kind}`)" not in text} <= {"health-code"}


def test_the_documented_examples_compile_to_what_the_page_says() -> None:
    def one(id: str) -> Any:
        grants = grants_of(EXAMPLES[id], FACTS)
        assert len(grants) == 1, grants
        return grants[0]

    assert one("sharing").grantee == "Organization/alliance"
    assert one("sharing").purposes == Purpose.TREAT | Purpose.CAREMGT
    assert one("institution").sensitivity == 0
    assert {g.grantee for g in grants_of(EXAMPLES["care-team"], FACTS)} == {"CareTeam/diabetes", "Practitioner/dr-li"}
    assert one("record-class").classes == RecordClass.LABORATORY | RecordClass.IMAGING | RecordClass.IMMUNIZATION
    assert one("sensitive").sensitivity == Sensitivity.HIV | Sensitivity.MENTAL
    assert one("data-period").data_high - one("data-period").data_low == 365 * 86_400_000
    assert one("document").document == "DocumentReference/discharge-2025"
    assert not one("refusal").permit
    permit, exception = grants_of(EXAMPLES["exception"], FACTS)
    assert permit.permit and not exception.permit and exception.depth == 1
    assert (exception.grantee, exception.custodian) == ("Organization/alliance", "Organization/township")
    assert one("guardian").high == interval("2034-01-01")[0]  # the 14th birthday
    assert grants_of(EXAMPLES["withdrawn"], FACTS) == []


def test_a_refusal_that_names_nobody_is_for_everybody() -> None:
    resource = example("refusal", provision={"type": "deny"})
    assert check(resource) == []
    assert [g.grantee for g in grants_of(resource, FACTS)] == [EVERYONE]


@pytest.mark.parametrize(
    "element",
    ["patient", "dateTime", "performer", "policy", "sourceAttachment", "extension", "provision"],
)
def test_a_permission_without_proof_is_refused(element: str) -> None:
    resource = example("institution")
    del resource[element]
    assert any(where.startswith(f"Consent.{element[:6]}") for where in elements(resource)), elements(resource)


def test_a_permission_names_its_recipients() -> None:
    resource = example("institution", provision={"type": "permit"})
    assert elements(resource) == {"Consent.provision.actor"}
    assert grants_of(resource, FACTS) == []


ACTOR = EXAMPLES["institution"]["provision"]["actor"][0]
CANNOT = [
    ({"code": [{"text": "x"}]}, "code"),
    ({"modifierExtension": [{"url": "urn:x", "valueBoolean": True}]}, "modifierExtension"),
    ({"action": [{"coding": [{"code": "collect"}]}]}, "action[0]"),
    ({"purpose": [{"system": "urn:other", "code": "TREAT"}]}, "purpose[0]"),
    ({"class": [{"system": "urn:yidang:record-class", "code": "everything"}]}, "class[0]"),
    ({"class": [{"system": "urn:yidang:record-class", "code": "shared"}]}, "class[0]"),
    ({"class": [{"system": "http://hl7.org/fhir/resource-types", "code": "Observation"}]}, "class[0]"),
    ({"class": [{"system": "http://hl7.org/fhir/resource-types", "code": "Organization"}]}, "class[0]"),
    ({"securityLabel": [{"system": "urn:other", "code": "HIV"}]}, "securityLabel[0]"),
    ({"actor": [ACTOR, {**ACTOR, "reference": {"reference": "Group/g"}}]}, "actor[1]"),
    ({"actor": [ACTOR, {**ACTOR, "reference": {"display": "the hospital"}}]}, "actor[1]"),
    ({"actor": [ACTOR, {**ACTOR, "role": {"coding": [{"code": "LEGAUTHN"}]}}]}, "actor[1]"),
    ({"data": [{"meaning": "related", "reference": {"reference": "Observation/o"}}]}, "data[0]"),
    ({"period": {"start": "2026-02-01", "end": "2026-01-01"}}, "period"),
    ({"provision": [{"actor": [ACTOR]}]}, "provision[0].type"),
]


@pytest.mark.parametrize(("more", "where"), CANNOT)
def test_what_cannot_be_enforced_is_refused_and_opens_nothing(more: dict[str, Any], where: str) -> None:
    resource = example("institution")
    resource["provision"] = {**resource["provision"], **more}
    assert f"Consent.provision.{where}" in elements(resource)
    if where not in ("period", "provision[0].type"):
        assert not any(g.permit for g in grants_of(resource, FACTS))


@pytest.mark.parametrize(("more", "where"), CANNOT)
def test_what_cannot_be_enforced_never_narrows_a_refusal(more: dict[str, Any], where: str) -> None:
    plain = grants_of(example("refusal"), FACTS)[0]
    resource = example("refusal")
    resource["provision"] = {**resource["provision"], **more}
    refusals = [g for g in grants_of(resource, FACTS) if not g.permit]
    if where != "period":  # a refusal for no time at all refuses nothing
        assert any(
            g.grantee == plain.grantee and not g.document and g.classes & RecordClass.LABORATORY and g.purposes & 1
            for g in refusals
        )


def test_it_must_be_what_it_claims_to_be() -> None:
    for kind in KINDS.values():
        resource = example(
            "institution", category=[{"coding": [{"system": "urn:yidang:consent-kind", "code": kind.code}]}]
        )
        if kind.needs or kind.type == "deny" or kind.code in ("guardian", "care-team"):
            assert elements(resource), kind.code
        else:
            assert not elements(resource), kind.code
    unknown = example("institution", category=[{"coding": [{"system": "urn:yidang:consent-kind", "code": "all"}]}])
    assert elements(unknown) == {"Consent.category"}


def test_a_child_does_not_consent_alone() -> None:
    alone = example("institution")
    assert elements(alone, date(2015, 1, 1)) == {"Consent.performer"}
    assert elements(alone, date(2011, 1, 1)) == set()
    assert check(EXAMPLES["guardian"], date(2015, 1, 1)) == []
    assert check(example("refusal"), date(2015, 1, 1)) == []


def test_other_scopes_and_states_are_left_alone() -> None:
    bare = {"resourceType": "Consent", "status": "active", "scope": {"coding": [{"code": "research"}]}}
    assert check(bare) == [] and grants_of(bare, FACTS) == []
    for status in ("draft", "proposed", "rejected", "inactive", "entered-in-error"):
        assert check({**bare, "scope": {"coding": [{"code": "patient-privacy"}]}, "status": status}) == []
        assert grants_of(example("institution", status=status), FACTS) == []


def test_too_many_rules_and_too_deep_nesting_are_refused() -> None:
    many = example("document")
    many["provision"]["data"] *= 1001
    assert "Consent.provision" in elements(many)
    deep = example("institution")
    node = deep["provision"]
    for _ in range(6):
        node["provision"] = [{"type": "deny"}]
        node = node["provision"][0]
    assert any(where.count("provision") == 6 for where in elements(deep))
