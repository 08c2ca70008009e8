"""What only the server writes is not got round by rewriting or deleting it, and nobody raises themselves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consent import Requester, Scope
from consent.policy import access_for
from consent.writing import Before, refused

DOCTOR = Requester(
    "staff", "Practitioner/dr", "app", "TREAT", (Scope("user", "*", "cruds"),), institution="i", role="physician"
)
REVIEW = {
    "resourceType": "Task",
    "code": {"coding": [{"system": "urn:yidang:task-kind", "code": "break-glass-review"}]},
}


def test_a_review_is_neither_rewritten_nor_deleted_by_clients() -> None:
    access = access_for(DOCTOR, 1)
    assert refused(access, {"resourceType": "Task", "code": {"text": "x"}}, Before(REVIEW))
    assert refused(access, REVIEW, None)


def test_administrators_give_themselves_no_role() -> None:
    access = access_for(replace(DOCTOR, role="administrator", purpose="HOPERAT"), 1)

    def role(reference: str) -> dict[str, object]:
        return {"resourceType": "PractitionerRole", "practitioner": {"reference": reference}}

    assert refused(access, role("Practitioner/dr"), None)
    assert refused(access, role("Practitioner/dr/_history/1"), None)
    assert refused(access, role("http://elsewhere.example/fhir/Practitioner/dr"), None)
    assert refused(access, role("Practitioner/other"), None) is None


PERMIT = {
    "resourceType": "Consent",
    "status": "active",
    "provision": {"type": "permit", "actor": []},
    "verification": [{"verified": True}],
}
REFUSAL = {**PERMIT, "provision": {"type": "deny"}}
ENDED = {**PERMIT, "status": "inactive"}


@pytest.mark.parametrize("said", [PERMIT, REFUSAL])
def test_a_system_records_no_consent_and_ends_none(said: dict[str, object]) -> None:
    access = access_for(replace(DOCTOR, kind="system", subject="Device/x", role="system"), 1)
    assert refused(access, said, None)
    assert refused(access, ENDED, None) is None
    assert refused(access, ENDED, Before(said))
    assert refused(access, None, Before(said))


def test_named_staff_end_a_consent_and_take_none_up_again() -> None:
    access = access_for(DOCTOR, 1)
    assert refused(access, PERMIT, None) is None
    assert refused(access, ENDED, Before(PERMIT)) is None
    assert refused(access, None, Before(PERMIT)) is None
    assert refused(access, PERMIT, Before(ENDED))
    assert refused(access, PERMIT, Before(None)), "it was deleted"
    assert refused(access, {**PERMIT, "provision": {"type": "permit", "actor": [{}]}}, Before(PERMIT))
    assert refused(access, {**PERMIT, "language": "zh-CN"}, Before(PERMIT)) is None


def test_the_person_takes_a_consent_up_again() -> None:
    own = replace(DOCTOR, kind="resident", subject="Patient/p", person="p", purpose="PATRQT", role="", institution="")
    assert refused(access_for(own, 1), PERMIT, Before(ENDED)) is None


@pytest.mark.parametrize("role", ["physician", "nurse", "village-doctor", "system"])
def test_guardians_are_registered_by_registrars(role: str) -> None:
    guardian = {
        "resourceType": "RelatedPerson",
        "extension": [{"url": "urn:yidang:guardian-person", "valueReference": {"reference": "Patient/g"}}],
    }
    assert refused(access_for(replace(DOCTOR, role=role), 1), guardian, None)
    assert refused(access_for(replace(DOCTOR, role="registrar"), 1), guardian, None) is None
