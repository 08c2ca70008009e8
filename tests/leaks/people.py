"""The institutions, staff and residents of the world, and the requesters that they make."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from tests.leaks.forms import instant
from tests.leaks.oracle import Membership, Scope, Team, Who

Resource = dict[str, Any]
ALLIANCE = "alliance"
INSTITUTIONS = {
    "county": ("长汀县医院", 20_000),
    "town-east": ("东镇卫生院", 20_000),
    "town-west": ("西镇卫生院", 20_000),
    "town-north": ("北镇卫生院", 100),  # days in the alliance: joined after most consents were given
    "village": ("下坝村卫生室", 20_000),
    "cdc": ("长汀县疾控中心", 20_000),
}
OUTSIDE = "outside"
DEPARTMENTS = {"county-cardiology": "county", "county-imaging": "county"}
# id: institution, department, role, purposes
STAFF: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "dr-county": ("county", "", "physician", ("TREAT", "ETREAT", "BTG", "REFER", "CONSULT")),
    "dr-cardio": ("county", "county-cardiology", "physician", ("TREAT",)),
    "nurse-county": ("county", "", "nurse", ("CAREMGT",)),
    "tech-county": ("county", "county-imaging", "technician", ("TREAT",)),
    "pharm-county": ("county", "", "pharmacist", ("TREAT",)),
    "rec-county": ("county", "", "records-officer", ("HOPERAT",)),
    "quality-county": ("county", "", "quality", ("HOPERAT",)),
    "dr-east": ("town-east", "", "physician", ("TREAT", "ETREAT")),
    "reg-east": ("town-east", "", "registrar", ("TREAT",)),
    "dr-west": ("town-west", "", "physician", ("TREAT", "CAREMGT")),
    "rec-west": ("town-west", "", "records-officer", ("HOPERAT",)),
    "dr-north": ("town-north", "", "physician", ("TREAT",)),
    "vd-village": ("village", "", "village-doctor", ("TREAT",)),
    "cdc-officer": ("cdc", "", "public-health", ("PUBHLTH",)),
    "dr-outside": (OUTSIDE, "", "physician", ("TREAT",)),
}
# More roles of the same people: who administers, checks or counts sees no clinical data by that.
MORE_ROLES: tuple[tuple[str, str, str, str], ...] = (
    ("rec-county", "county", "steward", "HOPERAT"),
    ("rec-county", "county", "privacy-officer", "HOPERAT"),
    ("quality-county", "county", "administrator", "HOPERAT"),
    ("quality-county", "county", "security-administrator", "HOPERAT"),
    ("quality-county", "county", "auditor", "HOPERAT"),
    ("quality-county", "county", "aggregate", "HOPERAT"),
    ("dr-east", "village", "physician", "TREAT"),  # one person, two institutions
)
SYSTEMS = {"emr-county": "county", "emr-east": "town-east", "lis-north": "town-north", "emr-outside": OUTSIDE}
TEAMS = {"team-west": (("dr-west", "vd-village"), "active"), "team-old": (("dr-east", "dr-north"), "inactive")}
RESIDENTS = [f"r{number}" for number in range(1, 13)]
NAMES = ["王秀英", "李伟", "张敏", "刘洋", "陈静", "杨勇", "赵磊", "黄丽", "周小宝", "吴建国", "徐子涵", "孙福"]
AGES = {"r9": 8, "r11": 15}


def born(id: str, now: datetime) -> tuple[int, int, int]:
    """The date of birth of a resident: well away from any birthday."""
    day = now - timedelta(days=120 + int(id[1:]))
    return day.year - AGES.get(id, 30 + int(id[1:])), day.month, min(day.day, 28)


def resources(now: datetime) -> list[Resource]:
    """Nobody's resources: institutions, memberships, staff and their roles, devices."""
    made: list[Resource] = [_organization(ALLIANCE, "长汀县医共体"), _organization(OUTSIDE, "省立医院")]
    made += [_organization(id, name) for id, (name, _) in INSTITUTIONS.items()]
    made += [_organization(id, id, partOf=_to("Organization", of)) for id, of in DEPARTMENTS.items()]
    for id, (_, days) in INSTITUTIONS.items():
        made.append(_affiliation(id, True, now - timedelta(days=days)))
    made.append(_affiliation(OUTSIDE, False, now - timedelta(days=20_000)))
    for id, (institution, department, role, _) in STAFF.items():
        made.append({"resourceType": "Practitioner", "id": id, "active": True, "name": [{"text": id}]})
        made.append(_role(id, department or institution, role))
    made += [_role(id, institution, role) for id, institution, role, _ in MORE_ROLES]
    return made


def _organization(id: str, name: str, **more: Any) -> Resource:
    return {"resourceType": "Organization", "id": id, "active": True, "name": name, **more}


def _affiliation(id: str, active: bool, since: datetime) -> Resource:
    return {
        "resourceType": "OrganizationAffiliation",
        "id": f"in-{id}",
        "active": active,
        "period": {"start": instant(since)},
        "organization": _to("Organization", ALLIANCE),
        "participatingOrganization": _to("Organization", id),
    }


def _role(practitioner: str, organization: str, role: str) -> Resource:
    return {
        "resourceType": "PractitionerRole",
        "id": f"{practitioner}-{organization}-{role}",
        "active": True,
        "practitioner": _to("Practitioner", practitioner),
        "organization": _to("Organization", organization),
        "code": [{"coding": [{"system": "urn:yidang:role", "code": role}]}],
    }


def _to(type: str, id: str) -> Resource:
    return {"reference": f"{type}/{id}"}


def memberships(now: datetime) -> list[Membership]:
    """The same memberships, for the oracle."""
    found = [Membership(ALLIANCE, id, _micros(now - timedelta(days=days))) for id, (_, days) in INSTITUTIONS.items()]
    return [*found, Membership(ALLIANCE, OUTSIDE, _micros(now - timedelta(days=20_000)), active=False)]


def _micros(moment: datetime) -> int:
    # As the affiliation's period says it: in milliseconds.
    return int(moment.timestamp() * 1000) * 1000


def teams() -> list[Team]:
    """The care teams, for the oracle."""
    return [
        Team(f"CareTeam/{id}", frozenset(f"Practitioner/{name}" for name in members), status == "active")
        for id, (members, status) in TEAMS.items()
    ]


def staff(id: str, purpose: str = "", name: str = "", scopes: tuple[Scope, ...] = (), patient: str = "") -> Who:
    """The requester that this member of staff is."""
    institution, department, role, purposes = STAFF[id]
    return Who(
        name or f"{id} for {purpose or purposes[0]}",
        "staff",
        f"Practitioner/{id}",
        purpose or purposes[0],
        institution=institution,
        department=department,
        role=role,
        patient=patient,
        scopes=scopes or (Scope("user", "*", "cruds"),),
    )


def system(id: str, scopes: tuple[Scope, ...] = (), purpose: str = "TREAT") -> Who:
    """The requester that an institution's system is."""
    return Who(
        id,
        "system",
        f"Device/{id}",
        purpose,
        institution=SYSTEMS[id],
        role="system",
        scopes=scopes or (Scope("system", "*", "cruds"),),
    )


def resident(id: str, patient: str = "", context: str = "user", purpose: str = "PATRQT") -> Who:
    """A resident; with the context patient an app that was launched for one file (their own, or a ward's)."""
    about = patient or (id if context == "patient" else "")
    return Who(
        f"{id} ({context} {about})",
        "resident",
        f"Patient/{id}",
        purpose,
        person=id,
        patient=about,
        scopes=(Scope(context, "*", "cruds"),),
    )


def requesters() -> list[Who]:
    """Every kind of requester, and those who should get nothing."""
    found = [staff(id, purpose) for id, (_, _, _, purposes) in STAFF.items() for purpose in purposes]
    found += [
        Who(
            f"{id} as {role} of {institution}",
            "staff",
            f"Practitioner/{id}",
            purpose,
            institution=institution,
            role=role,
        )
        for id, institution, role, purpose in MORE_ROLES
    ]
    found += [system(id) for id in SYSTEMS]
    found += [resident(id) for id in RESIDENTS]
    found += [resident("r3", context="patient"), resident("r10", "r9", "patient"), resident("r10", purpose="FAMRQT")]
    narrow = {
        "only laboratory by search": (Scope("user", "Observation", "s"),),
        "only reads": (Scope("user", "*", "r"),),
        "only conditions and patients": (Scope("user", "Condition", "rs"), Scope("user", "Patient", "rs")),
        "in the file of r3": (Scope("patient", "*", "rs"),),
        "in no file": (Scope("patient", "*", "rs"),),
        "without scopes": (Scope("user", "*", ""),),
    }
    for name, scopes in narrow.items():
        patient = "r3" if name == "in the file of r3" else ""
        found.append(staff("dr-county", name=f"dr-county {name}", scopes=scopes, patient=patient))
    found.append(staff("dr-county", "HPAYMT", name="dr-county for a purpose that is not the role's"))
    found.append(staff("dr-county", "NOTHING", name="dr-county for an unknown purpose"))
    found.append(Who("unknown role", "staff", "Practitioner/dr-county", "TREAT", institution="county", role="cleaner"))
    found.append(Who("no institution", "staff", "Practitioner/dr-county", "TREAT", role="physician"))
    return found
