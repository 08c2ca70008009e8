"""What clients may not write: what gives power over files."""

from __future__ import annotations

from typing import Any

import pytest

from consent.access import Access
from consent.policy import access_for
from consent.requester import Requester
from consent.writing import Before, refused

RESERVED = {
    "resourceType": "Task",
    "code": {"coding": [{"system": "urn:yidang:task-kind", "code": "break-glass-review"}]},
}


def staff(role: str, purpose: str = "TREAT") -> Access:
    return access_for(Requester("staff", "Practitioner/d", "c", purpose, (), institution="town", role=role), 0)


RESIDENT = access_for(Requester("resident", "Patient/p", "c", "PATRQT", (), person="p"), 0)


def test_tasks_that_open_files_are_the_servers_own() -> None:
    assert refused(staff("physician"), RESERVED, None)
    assert refused(staff("physician"), {"resourceType": "Task"}, Before(RESERVED))
    assert refused(Access.everything("the server"), RESERVED, None) is None


@pytest.mark.parametrize("type", ["Organization", "OrganizationAffiliation", "PractitionerRole", "ValueSet"])
def test_who_is_who_is_kept_by_the_administrators(type: str) -> None:
    assert refused(staff("physician"), {"resourceType": type}, None)
    assert refused(staff("administrator", "HOPERAT"), {"resourceType": type}, None) is None


def test_administrators_write_nothing_into_files() -> None:
    assert refused(staff("administrator", "HOPERAT"), {"resourceType": "Observation"}, None)


@pytest.mark.parametrize("type", ["Observation", "Medication", "Device", "Consent", "Binary"])
def test_institutions_write_what_is_theirs(type: str) -> None:
    assert refused(staff("physician"), {"resourceType": type}, None) is None


def test_residents_write_consents_only() -> None:
    assert refused(RESIDENT, {"resourceType": "Consent"}, None) is None
    for type in ("Observation", "RelatedPerson", "Patient", "CareTeam"):
        assert refused(RESIDENT, {"resourceType": type}, None)


def test_the_audit_trail_and_guardianship_are_not_anybodys_to_write() -> None:
    assert refused(staff("physician"), {"resourceType": "AuditEvent"}, None)
    guardian: dict[str, Any] = {"resourceType": "RelatedPerson", "extension": [{"url": "urn:yidang:guardian-person"}]}
    assert refused(staff("technician"), guardian, None)
    assert refused(staff("registrar"), guardian, None) is None
