"""What only the server writes is not got round by rewriting or deleting it, and nobody raises themselves."""

from __future__ import annotations

from dataclasses import replace

from consent import Requester, Scope
from consent.policy import access_for
from consent.writing import refused

DOCTOR = Requester(
    "staff", "Practitioner/dr", "app", "TREAT", (Scope("user", "*", "cruds"),), institution="i", role="physician"
)
REVIEW = {
    "resourceType": "Task",
    "code": {"coding": [{"system": "urn:yidang:task-kind", "code": "break-glass-review"}]},
}


def test_a_review_is_neither_rewritten_nor_deleted_by_clients() -> None:
    access = access_for(DOCTOR, 1)
    assert refused(access, {"resourceType": "Task", "code": {"text": "x"}}, REVIEW)
    assert refused(access, REVIEW, None)


def test_administrators_give_themselves_no_role() -> None:
    access = access_for(replace(DOCTOR, role="administrator", purpose="HOPERAT"), 1)
    role = {"resourceType": "PractitionerRole", "practitioner": {"reference": "Practitioner/dr"}}
    assert refused(access, role, None)
    assert refused(access, {**role, "practitioner": {"reference": "Practitioner/other"}}, None) is None


def test_a_system_attests_no_consent() -> None:
    access = access_for(replace(DOCTOR, kind="system", subject="Device/x", role="system"), 1)
    permit = {"resourceType": "Consent", "status": "active", "provision": {"type": "permit", "actor": []}}
    assert refused(access, permit, None)
    assert refused(access, {**permit, "provision": {"type": "deny"}}, None) is None
    assert refused(access, {**permit, "status": "inactive"}, None) is None
