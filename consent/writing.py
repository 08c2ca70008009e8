"""What a requester may not write whatever its scopes are: what gives power over files is kept for those who may."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from consent.access import Access
from consent.compile import RESERVED
from consent.labels import class_of
from consent.vocabulary import GUARDIAN_PERSON, STEWARDSHIP, TASK_KIND, RecordClass

Resource = Mapping[str, Any]
# What is nobody's and gives no power: every institution keeps its own.
KEPT_BY_INSTITUTIONS = frozenset({"Device", "Medication", "Substance", "Schedule", "Slot", "MeasureReport"})


def refused(access: Access, resource: Resource, before: Resource | None) -> str | None:
    """Why ``access`` may not write ``resource`` over ``before`` (None: it is new); None where it may.

    Only what follows from the resources themselves; whose file and whose item it is, the store judges.
    """
    if access.unrestricted:
        return None
    return next((text for text in (_judge(access, one) for one in (resource, before) if one is not None) if text), None)


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
    if type == "PractitionerRole" and _reference(resource.get("practitioner")) in access.grantees:
        return "任何人不得给自己授予岗位 / nobody gives themselves a role"
    if type == "Consent" and access.role in _NO_ATTESTING and _permits(resource):
        return "同意由本人作出，或由核验身份的工作人员登记 / consent is given by the person or recorded by named staff"
    if type == "RelatedPerson" and _guardian(resource) and access.role in _NO_ATTESTING:
        return "监护关系由登记人员登记 / guardianship is registered by those who checked the papers"
    return None


# Who has seen the person's papers is a person: a system attests nothing.
_NO_ATTESTING = frozenset(
    {"system", "technician", "pharmacist", "quality", "auditor", "aggregate", "security-administrator"}
)


def _reserved(resource: Resource) -> bool:
    return any(
        coding.get("system") == TASK_KIND and coding.get("code") in RESERVED | STEWARDSHIP
        for coding in (resource.get("code") or {}).get("coding", ())
    )


def _guardian(resource: Resource) -> bool:
    return any(extension.get("url") == GUARDIAN_PERSON for extension in resource.get("extension", ()))


def _permits(resource: Resource) -> bool:
    """Whether a Consent is in force and permits anything, itself or in a nested provision."""
    if resource.get("status") != "active":
        return False
    waiting = [resource.get("provision") or {}]
    while waiting:
        provision = waiting.pop()
        if provision.get("type", "permit") == "permit" and provision:
            return True
        waiting += provision.get("provision", ())
    return False


def _reference(value: Any) -> str:
    reference = value.get("reference") if isinstance(value, dict) else None
    return reference if isinstance(reference, str) else ""
