"""Who works in the demonstration county's institutions, and as what (PractitionerRole, codes of urn:yidang:role)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from consent.vocabulary import ROLE, ROLES
from loaders.demo.identity import PRACTITIONER_NUMBER, REGION, person_name, phone

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Post:
    """One member of staff: logical id, where (institution, department of the hospital or ''), roles, title."""

    id: str
    institution: str
    department: str
    roles: tuple[str, ...]
    title: str


# Physicians are named <institution>-doctor-<n>: how many, with which title; at the hospital by department.
_PHYSICIANS = {"county": 16, "township": 5, "village": 1}
_TITLES = {"county": "主任医师", "township": "主治医师", "village": "乡村医生"}
_DEPARTMENTS = ("internal", "surgery", "obstetrics", "paediatrics", "infection", "mind", "emergency", "imaging")

# Everybody else by level: (word in the id, department, roles, title).
_OTHERS: dict[str, tuple[tuple[str, str, tuple[str, ...], str], ...]] = {
    "county": (
        ("nurse-1", "internal", ("nurse",), "主管护师"),
        ("nurse-2", "surgery", ("nurse",), "护师"),
        ("laboratory", "laboratory", ("technician",), "检验技师"),
        ("radiographer", "imaging", ("technician",), "影像技师"),
        ("ecg", "ecg", ("technician",), "心电技师"),
        ("pathology", "pathology", ("technician",), "病理技师"),
        ("pharmacist", "pharmacy", ("pharmacist",), "主管药师"),
        ("registrar", "", ("registrar",), "挂号登记员"),
        ("records", "records", ("records-officer",), "病案管理员"),
        ("steward", "information", ("steward",), "主索引管理员"),
        ("privacy", "records", ("privacy-officer",), "隐私专员"),
        ("quality", "", ("quality",), "质控科科员"),
        ("prevention", "", ("public-health",), "医防融合办公室疾控监督员"),
        ("circuit", "", ("village-doctor",), "县招乡管村用医生"),
        ("administrator", "information", ("administrator",), "系统管理员"),
        ("security", "information", ("security-administrator",), "安全管理员"),
        ("auditor", "", ("auditor",), "审计管理员"),
        ("statistics", "", ("aggregate",), "统计员"),
    ),
    "township": (
        ("nurse", "", ("nurse",), "护师"),
        ("technician", "", ("technician",), "检验与影像技师"),
        # In a small house one person does two things, but one at a time.
        ("registrar", "", ("registrar", "records-officer"), "登记与病案员"),
    ),
    "village": (),
    "cdc": (
        ("epidemiology-1", "", ("public-health",), "主管医师"),
        ("epidemiology-2", "", ("public-health",), "医师"),
        ("statistics", "", ("aggregate",), "统计员"),
        ("auditor", "", ("auditor",), "审计管理员"),
    ),
    "bureau": (
        ("statistics", "", ("aggregate",), "统计员"),
        ("auditor", "", ("auditor",), "监督员"),
    ),
}


def physicians(institution: str, level: str) -> list[str]:
    """Logical ids of the physicians of an institution of that level."""
    return [f"{institution}-doctor-{n}" for n in range(1, _PHYSICIANS.get(level, 0) + 1)]


def department_of(physician: str) -> str:
    """The hospital department (suffix of the id) in which a physician works, two in each."""
    return _DEPARTMENTS[(int(physician.rsplit("-", 1)[1]) - 1) // 2 % len(_DEPARTMENTS)]


def posts(institution: str, level: str) -> Iterator[Post]:
    """Everybody who works there."""
    role = "village-doctor" if level == "village" else "physician"
    for id in physicians(institution, level):
        yield Post(id, institution, department_of(id) if level == "county" else "", (role,), _TITLES[level])
    for word, department, roles, title in _OTHERS[level]:
        yield Post(f"{institution}-{word}", institution, department, roles, title)


# Departments whose physicians act for the department, not for the hospital as a whole.
_APART = frozenset({"infection", "mind"})
# Physicians of the hospital who also sit in a township (派驻医师): id, where.
POSTED: tuple[tuple[str, str], ...] = (
    ("county-hospital-doctor-15", "township-1"),
    ("county-hospital-doctor-16", "township-2"),
)


def practitioner_number(serial: int) -> str:
    """The registration number of the county's practitioner with this serial number."""
    return f"D{REGION}{serial:06d}"


def _practitioner(random: Random, serial: int, post: Post) -> Resource:
    female = random.random() < 0.5
    family, given = person_name(random, female)
    return {
        "resourceType": "Practitioner",
        "id": post.id,
        "identifier": [{"use": "official", "system": PRACTITIONER_NUMBER, "value": practitioner_number(serial)}],
        "active": True,
        "name": [{"use": "official", "text": family + given, "family": family, "given": [given]}],
        "telecom": [{"system": "phone", "value": phone(2 * 10**7 + serial), "use": "work"}],
        "gender": "female" if female else "male",
    }


def _role(id: str, post: Post, institution: str, roles: tuple[str, ...]) -> Resource:
    coded: list[Resource] = [
        {"coding": [{"system": ROLE, "code": role, "display": ROLES[role].zh}], "text": post.title} for role in roles
    ]
    found: Resource = {
        "resourceType": "PractitionerRole",
        "id": id,
        "active": True,
        "practitioner": {"reference": f"Practitioner/{post.id}"},
        "organization": {"reference": f"Organization/{institution}"},
        "code": coded,
    }
    return found


def _organization(post: Post) -> str:
    apart = post.department in _APART and post.roles == ("physician",)
    return f"{post.institution}-{post.department}" if apart else post.institution


def resources(seed: int, places: list[tuple[str, str]]) -> list[Resource]:
    """Practitioners and PractitionerRoles of the institutions (id, level), each kind in their order."""
    random = Random(f"{seed}:county")
    people = [post for id, level in places for post in posts(id, level)]
    found = [_practitioner(random, serial, post) for serial, post in enumerate(people, 1)]
    by_id = {post.id: post for post in people}
    found += [_role(f"{post.id}-role", post, _organization(post), post.roles) for post in people]
    found += [
        _role(f"{id}-at-{where}", by_id[id], where, by_id[id].roles)
        for id, where in POSTED
        if id in by_id and any(place == where for place, _ in places)
    ]
    return found
