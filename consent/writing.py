"""What a requester may not write whatever its scopes are: what gives power over files is kept for those who may."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from consent.access import Access
from consent.compile import RESERVED, Facts, reach, verified
from consent.labels import class_of
from consent.references import reference_of
from consent.vocabulary import GUARDIAN_PERSON, STEWARDSHIP, TASK_KIND, RecordClass
from profiles.issues import Issue

Resource = Mapping[str, Any]
# What is nobody's and gives no power: every institution keeps its own.
KEPT_BY_INSTITUTIONS = frozenset({"Device", "Medication", "Substance", "Schedule", "Slot", "MeasureReport"})
# Who has seen the person's papers is a person: a system attests nothing.
_NO_ATTESTING = frozenset(
    {"system", "technician", "pharmacist", "quality", "auditor", "aggregate", "security-administrator"}
)
# Whose work it is to check whose guardian somebody is.
_REGISTERS_GUARDIANS = frozenset({"registrar"})
# What a person said in a Consent; who recorded it changes none of it afterwards.
_BY_NAMED_STAFF = "同意与拒绝由本人作出，或由核验身份的人员登记 / given by the person, or recorded by named staff"
_ENDED = "已结束的同意不得由机构恢复，请登记新的同意 / a Consent that ended is not put in force again: record a new one"
_SAID_ALREADY = (
    "不得改动本人作出的同意，请结束后重新登记 / what a person said is not changed: end it and record a new one"
)
_SAID = ("scope", "category", "patient", "dateTime", "performer", "provision", "verification")


class Before(NamedTuple):
    """What is written over: a resource, or None where it was deleted."""

    resource: Resource | None


def refused(access: Access, resource: Resource | None, before: Before | None) -> str | None:
    """Why ``access`` may not write ``resource`` (None: delete) over ``before`` (None: it is new); None where it may.

    Only what follows from the resources themselves; whose file and whose item it is, the store judges. Their
    references to this server are relative.
    """
    if access.unrestricted:
        return None
    replaced = None if before is None else before.resource
    for one in (resource, replaced):
        text = None if one is None else _judge(access, one)
        if text:
            return text
    if resource is not None and resource["resourceType"] == "PractitionerRole":
        practitioner = resource.get("practitioner")
        if practitioner is not None and not reference_of(practitioner).startswith("Practitioner/"):
            return "岗位属于本平台的人员 / a role is that of a Practitioner here: name it as Practitioner/id"
    if not access.person and "Consent" in (one["resourceType"] for one in (resource, replaced) if one is not None):
        return _of_consent(access, resource, before)
    return None


def _judge(access: Access, resource: Resource) -> str | None:
    type = resource["resourceType"]
    if type == "Task" and _reserved(resource):
        return "这类任务只由系统写入 / Tasks of this kind are written by the server only"
    if access.person:
        if type not in access.amends:
            types = ", ".join(sorted(access.amends)) or "nothing"
            return f"居民本人可写的是 {types} / what residents write themselves: {types}"
        return None
    if type == "AuditEvent":
        return "访问记录只由系统写入 / the audit trail is written by the server only"
    shared = class_of(resource) is RecordClass.SHARED
    if shared and type not in KEPT_BY_INSTITUTIONS and not access.administers:
        return f"{type} 由平台管理员维护 / {type} is kept by the administrators"
    if not shared and access.administers:
        return "平台管理员不写居民档案 / administrators write nothing into files"
    if type == "PractitionerRole" and reference_of(resource.get("practitioner")) in access.grantees:
        return "任何人不得给自己授予岗位 / nobody gives themselves a role"
    if type == "RelatedPerson" and guardian_of(resource) is not None and access.role not in _REGISTERS_GUARDIANS:
        return "监护关系由登记人员登记 / guardianship is registered by those who checked the papers"
    return None


def _of_consent(access: Access, resource: Resource | None, before: Before | None) -> str | None:
    """A Consent is what somebody said: named staff record it and its end; only the person takes it up again."""
    old = None if before is None else before.resource
    stands = resource is not None and in_force(resource)
    stood = old is not None and in_force(old)
    if access.role in _NO_ATTESTING and (stands or stood):
        return _BY_NAMED_STAFF
    if not stands or resource is None or before is None:
        return None
    if not stood or old is None:
        return _ENDED
    if any(resource.get(name) != old.get(name) for name in _SAID):
        return _SAID_ALREADY
    return None


def in_force(consent: Resource) -> bool:
    """Whether a Consent says anything about access."""
    return consent.get("status") == "active" and bool(consent.get("provision"))


def unsound(consent: Resource, facts: Facts) -> list[Issue]:
    """Why a client's Consent, in force, is no proof of what its ``facts.custodian`` says it is; none where it is."""
    return list(_unsound(consent, facts)) if in_force(consent) else []


def _unsound(consent: Resource, facts: Facts) -> Iterator[Issue]:
    if facts.custodian.startswith("Organization/") and not verified(consent):
        text = (
            "机构登记的同意或拒绝要写明与谁、何时核实 / what an institution records it has verified with the person:"
            " verification with verified, verifiedWith and verificationDate"
        )
        yield Issue("required", text, ("Consent.verification",))
    if reach(consent, facts)[0] == 0 and _permits(consent):
        text = "不满十四周岁须由监护人同意 / for a child under 14 a registered guardian consents: name the guardian"
        yield Issue("business-rule", text, ("Consent.performer",))


def _reserved(resource: Resource) -> bool:
    return any(
        coding.get("system") == TASK_KIND and coding.get("code") in RESERVED | STEWARDSHIP
        for coding in (resource.get("code") or {}).get("coding", ())
    )


def guardian_of(resource: Resource) -> str | None:
    """The guardian (``Patient/id``, '' where it is not named so) that a RelatedPerson states; None: it states none."""
    for extension in resource.get("extension", ()):
        if extension.get("url") == GUARDIAN_PERSON:
            return reference_of(extension.get("valueReference"))
    return None


def _permits(resource: Resource) -> bool:
    """Whether a Consent permits anything, itself or in a nested provision."""
    waiting = [resource.get("provision") or {}]
    while waiting:
        provision = waiting.pop()
        if provision.get("type", "permit") == "permit" and provision:
            return True
        waiting += provision.get("provision", ())
    return False
