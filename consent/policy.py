"""Requester → Access: what a role, a resident or a system may see before any grant is looked at."""

from __future__ import annotations

from consent.access import Access
from consent.requester import Requester
from consent.vocabulary import CLINICAL, EVERY_SENSITIVITY, NO_CLASS, NO_SENSITIVITY, ROLES, Purpose, Sensitivity

# What residents write themselves in their own file (and guardians in their wards').
RESIDENT_WRITES = frozenset({"Consent"})


def access_for(requester: Requester, now: int) -> Access:
    """The Access of ``requester`` at ``now`` (µs). Unknown roles and purposes see nothing of anybody.

    Search constraints of scopes are left to the caller (``Access.conditions``).
    """
    if requester.purpose not in Purpose.__members__:
        return Access("unknown purpose of use", binding=requester.identity, now=now)
    purpose = Purpose[requester.purpose]
    if requester.kind == "resident":
        return _resident(requester, int(purpose), now)
    role = ROLES.get(requester.role)
    if role is None or requester.purpose not in role.purposes or not requester.institution:
        return Access("unknown role, or a purpose that is not its own", binding=requester.identity, now=now)
    grantees = [f"Organization/{requester.institution}"]
    if requester.department:
        grantees.append(f"Organization/{requester.department}")
    if requester.kind == "staff":
        grantees.append(requester.subject)
    return Access(
        reason=f"{role.code} for {requester.purpose}",
        binding=requester.identity,
        party=f"Organization/{requester.institution}",
        role=role.code,
        own=role.classes if role.own else NO_CLASS,
        own_sensitivity=role.sensitivity if role.own else NO_SENSITIVITY,
        identities=role.identities,
        shared=True,
        grantees=tuple(grantees),
        through=role.classes,
        through_sensitivity=role.sensitivity,
        purpose=int(purpose),
        minors=role.care,
        patient=requester.patient,
        now=now,
        administers=role.administers,
        scopes=requester.scopes,
    )


def _resident(requester: Requester, purpose: int, now: int) -> Access:
    return Access(
        reason=f"resident for {requester.purpose}",
        binding=requester.identity,
        party=f"Patient/{requester.person}",
        person=requester.person,
        shared=True,
        grantees=(f"Patient/{requester.person}",),
        through=CLINICAL,
        through_sensitivity=EVERY_SENSITIVITY & ~Sensitivity.NOPAT,  # withheld from patients: nobody gives it them
        purpose=purpose,
        patient=requester.patient,
        now=now,
        amends=RESIDENT_WRITES,
        scopes=requester.scopes,
    )
