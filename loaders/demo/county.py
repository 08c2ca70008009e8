"""The demonstration county's institutions: hospital, township hospitals, village clinics, CDC, health bureau.

They stand in an alliance (紧密型县域医共体), an Organization of which they are members since a day.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from loaders.demo import staff
from loaders.demo.identity import INSTITUTION_CODE, credit_code, phone

Resource = dict[str, Any]

COUNTY = "一档县"
TOWNSHIPS = ("青山镇", "白沙镇", "石桥镇", "龙泉镇", "柳河乡", "双塘乡", "竹溪镇", "云台乡")
VILLAGES = ("东村", "西村", "河湾村", "新塘村")
ORGANIZATION_TYPE = "http://terminology.hl7.org/CodeSystem/organization-type"
LEVEL = "urn:yidang:institution-level"
DEPARTMENT = "urn:oid:2.16.156.10011.1.26"
HOSPITAL = "county-hospital"
CDC = "county-cdc"
BUREAU = "health-bureau"
ALLIANCE = "alliance"
# The hospital's departments: suffix of the id, name.
DEPARTMENTS: tuple[tuple[str, str], ...] = (
    ("internal", "内科"),
    ("surgery", "外科"),
    ("obstetrics", "妇产科"),
    ("paediatrics", "儿科"),
    ("infection", "感染科"),
    ("mind", "精神心理科"),
    ("emergency", "急诊科"),
    ("laboratory", "医学检验中心"),
    ("imaging", "医学影像诊断中心"),
    ("ecg", "心电诊断中心"),
    ("pathology", "病理诊断中心"),
    ("pharmacy", "药学部"),
    ("records", "病案室"),
    ("information", "信息科"),
)


@dataclass(frozen=True, slots=True)
class Institution:
    """One institution: logical id, name, level (county, township, village …), the one above, and its place."""

    id: str
    name: str
    level: str
    parent: str | None
    township: str
    village: str


def institutions() -> list[Institution]:
    """The institutions that treat people, those above before those below."""
    found = [Institution(HOSPITAL, f"{COUNTY}人民医院", "county", None, "城关镇", "")]
    for t, township in enumerate(TOWNSHIPS, 1):
        kind = "中心卫生院" if township.endswith("镇") else "卫生院"
        found.append(Institution(f"township-{t}", f"{COUNTY}{township}{kind}", "township", HOSPITAL, township, ""))
    for t, township in enumerate(TOWNSHIPS, 1):
        for v, village in enumerate(VILLAGES, 1):
            name = f"{township}{village}卫生室"
            found.append(Institution(f"village-{t}-{v}", name, "village", f"township-{t}", township, village))
    return found


def offices() -> list[Institution]:
    """The institutions that treat nobody: disease control, and the bureau that sees figures only."""
    return [
        Institution(CDC, f"{COUNTY}疾病预防控制中心", "cdc", None, "城关镇", ""),
        Institution(BUREAU, f"{COUNTY}卫生健康局", "bureau", None, "城关镇", ""),
    ]


def practitioners_of(institution: Institution) -> list[str]:
    """Logical ids of the physicians who work there."""
    return staff.physicians(institution.id, institution.level)


def member_since(institution: Institution) -> str:
    """The day on which an institution joined the alliance; the last two townships came late."""
    if institution.level == "county":
        return "2020-01-01"
    township = int(institution.id.split("-")[1])
    return {7: "2026-03-01", 8: "2026-09-01"}.get(township, "2020-07-01")


def _address(institution: Institution) -> Resource:
    text = f"{COUNTY}{institution.township}{institution.village}"
    return {"use": "work", "text": text, "city": COUNTY, "district": institution.township, "country": "CN"}


def _organization(serial: int, institution: Institution) -> Resource:
    kind = ("govt", "Government") if institution.level == "bureau" else ("prov", "Healthcare Provider")
    resource: Resource = {
        "resourceType": "Organization",
        "id": institution.id,
        "identifier": [{"use": "official", "system": INSTITUTION_CODE, "value": credit_code(serial)}],
        "active": True,
        "type": [
            {
                "coding": [
                    {"system": ORGANIZATION_TYPE, "code": kind[0], "display": kind[1]},
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


def _department(suffix: str, name: str) -> Resource:
    return {
        "resourceType": "Organization",
        "id": f"{HOSPITAL}-{suffix}",
        "identifier": [{"system": DEPARTMENT, "value": suffix}],
        "active": True,
        "type": [
            {"coding": [{"system": ORGANIZATION_TYPE, "code": "dept", "display": "Hospital Department"}], "text": name}
        ],
        "name": f"{COUNTY}人民医院{name}",
        "partOf": {"reference": f"Organization/{HOSPITAL}"},
    }


def _alliance() -> list[Resource]:
    found: list[Resource] = [
        {
            "resourceType": "Organization",
            "id": ALLIANCE,
            "active": True,
            "type": [
                {
                    "coding": [{"system": ORGANIZATION_TYPE, "code": "other", "display": "Other"}],
                    "text": "紧密型县域医共体",
                }
            ],
            "name": f"{COUNTY}紧密型县域医共体",
        }
    ]
    for institution in institutions():
        found.append(
            {
                "resourceType": "OrganizationAffiliation",
                "id": f"member-{institution.id}",
                "active": True,
                "period": {"start": member_since(institution)},
                "organization": {"reference": f"Organization/{ALLIANCE}"},
                "participatingOrganization": {"reference": f"Organization/{institution.id}"},
                "code": [{"text": "牵头医院" if institution.id == HOSPITAL else "成员单位"}],
            }
        )
    return found


def county_resources(seed: int) -> list[Resource]:
    """The Organizations, affiliations, Practitioners and PractitionerRoles of the county; all nobody's records."""
    places = [*institutions(), *offices()]
    organizations = [_organization(serial, place) for serial, place in enumerate(places, 1)]
    departments = [_department(suffix, name) for suffix, name in DEPARTMENTS]
    people = staff.resources(seed, [(place.id, place.level) for place in places])
    return [*organizations, *departments, *_alliance(), *people]


def county_bundle(seed: int) -> Resource:
    """A batch Bundle of PUTs of ``county_resources``."""
    return {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [
            {"resource": r, "request": {"method": "PUT", "url": f"{r['resourceType']}/{r['id']}"}}
            for r in county_resources(seed)
        ],
    }
