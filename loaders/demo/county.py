"""The demonstration county's institutions and staff: a county hospital, township hospitals, village clinics."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from loaders.demo.identity import INSTITUTION_CODE, PRACTITIONER_NUMBER, REGION, credit_code, person_name, phone

Resource = dict[str, Any]

COUNTY = "一档县"
TOWNSHIPS = ("青山镇", "白沙镇", "石桥镇", "龙泉镇", "柳河乡", "双塘乡", "竹溪镇", "云台乡")
VILLAGES = ("东村", "西村", "河湾村", "新塘村")
ORGANIZATION_TYPE = "http://terminology.hl7.org/CodeSystem/organization-type"
LEVEL = "urn:yidang:institution-level"
HOSPITAL = "county-hospital"


@dataclass(frozen=True, slots=True)
class Institution:
    """One institution: logical id, name, level (county, township, village), the one above, and its place."""

    id: str
    name: str
    level: str
    parent: str | None
    township: str
    village: str


def institutions() -> list[Institution]:
    """All institutions of the county, those above before those below."""
    found = [Institution(HOSPITAL, f"{COUNTY}人民医院", "county", None, "城关镇", "")]
    for t, township in enumerate(TOWNSHIPS, 1):
        kind = "中心卫生院" if township.endswith("镇") else "卫生院"
        found.append(Institution(f"township-{t}", f"{COUNTY}{township}{kind}", "township", HOSPITAL, township, ""))
    for t, township in enumerate(TOWNSHIPS, 1):
        for v, village in enumerate(VILLAGES, 1):
            name = f"{township}{village}卫生室"
            found.append(Institution(f"village-{t}-{v}", name, "village", f"township-{t}", township, village))
    return found


_STAFF = {"county": 16, "township": 5, "village": 1}
_TITLES = {"county": "主任医师", "township": "主治医师", "village": "乡村医生"}


def practitioners_of(institution: Institution) -> list[str]:
    """Logical ids of the practitioners who work there."""
    return [f"{institution.id}-doctor-{n}" for n in range(1, _STAFF[institution.level] + 1)]


def _address(institution: Institution) -> Resource:
    text = f"{COUNTY}{institution.township}{institution.village}"
    return {"use": "work", "text": text, "city": COUNTY, "district": institution.township, "country": "CN"}


def _organization(serial: int, institution: Institution) -> Resource:
    resource: Resource = {
        "resourceType": "Organization",
        "id": institution.id,
        "identifier": [{"use": "official", "system": INSTITUTION_CODE, "value": credit_code(serial)}],
        "active": True,
        "type": [
            {
                "coding": [
                    {"system": ORGANIZATION_TYPE, "code": "prov", "display": "Healthcare Provider"},
                    {"system": LEVEL, "code": institution.level},
                ]
            }
        ],
        "name": institution.name,
        "telecom": [{"system": "phone", "value": phone(10**7 + serial), "use": "work"}],
        "address": [_address(institution)],
    }
    if institution.parent:
        resource["partOf"] = {"reference": f"Organization/{institution.parent}"}
    return resource


def practitioner_number(serial: int) -> str:
    """The registration number of the county's practitioner with this serial number."""
    return f"D{REGION}{serial:06d}"


def _practitioner(random: Random, serial: int, id: str) -> Resource:
    female = random.random() < 0.5
    family, given = person_name(random, female)
    return {
        "resourceType": "Practitioner",
        "id": id,
        "identifier": [{"use": "official", "system": PRACTITIONER_NUMBER, "value": practitioner_number(serial)}],
        "active": True,
        "name": [{"use": "official", "text": family + given, "family": family, "given": [given]}],
        "telecom": [{"system": "phone", "value": phone(2 * 10**7 + serial), "use": "work"}],
        "gender": "female" if female else "male",
    }


def _role(institution: Institution, practitioner: str) -> Resource:
    return {
        "resourceType": "PractitionerRole",
        "id": f"{practitioner}-role",
        "active": True,
        "practitioner": {"reference": f"Practitioner/{practitioner}"},
        "organization": {"reference": f"Organization/{institution.id}"},
        "code": [{"text": _TITLES[institution.level]}],
    }


def county_bundle(seed: int) -> Resource:
    """A batch Bundle of PUTs with the county's Organizations, Practitioners and PractitionerRoles."""
    random = Random(f"{seed}:county")
    resources: list[Resource] = []
    staff: list[Resource] = []
    roles: list[Resource] = []
    for serial, institution in enumerate(institutions(), 1):
        resources.append(_organization(serial, institution))
        for id in practitioners_of(institution):
            staff.append(_practitioner(random, len(staff) + 1, id))
            roles.append(_role(institution, id))
    return {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [
            {"resource": r, "request": {"method": "PUT", "url": f"{r['resourceType']}/{r['id']}"}}
            for r in resources + staff + roles
        ],
    }
