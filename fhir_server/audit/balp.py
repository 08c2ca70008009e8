"""A part of an entry as a FHIR AuditEvent of the IHE Basic Audit Log Patterns (1.1.4).

https://profiles.ihe.net/ITI/BALP/, https://hl7.org/fhir/R4/auditevent.html. A profile is claimed where the
entry has all that it demands. Residents read the same with less: no addresses, no token, no query,
nothing of what is withheld from them.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from html import escape
from typing import Any

from consent.vocabulary import (
    ACT_CODE,
    ACT_REASON,
    ADOLESCENT,
    NO_SENSITIVITY,
    OWN_PURPOSES,
    PURPOSE,
    RECORD_CLASS,
    RESOURCE_TYPES,
    ROLE,
    ROLES,
    SENSITIVITY_NAMES,
    RecordClass,
    Sensitivity,
)
from fhir_server.audit.event import SUCCESS, Event, Item, Part
from fhir_server.audit.kinds import DCM, INTERACTION, MANY, REST, Coding, kind_of
from fhir_server.audit.words import CLASSES, PURPOSES, Names, classes_of, legal_bases, sentence
from fhir_server.interactions.listing import instant

PROFILE = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
_ENTITY_TYPE = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_OBJECT_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
_REQUEST_ID = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"
_OAUTH_AGENT = "https://profiles.ihe.net/ITI/BALP/CodeSystem/UserAgentTypes"
_PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_SOURCE = ("110153", "Source Role ID")
_DESTINATION = ("110152", "Destination Role ID")
# By action: code of the user's participation, types of the client's and the server's agent.
_AGENTS: dict[str, tuple[str, Coding, Coding]] = {
    "R": ("IRCP", (DCM, *_DESTINATION), (DCM, *_SOURCE)),
    "D": (
        "AUT",
        (DCM, "110150", "Application"),
        ("http://terminology.hl7.org/CodeSystem/provenance-participant-type", "custodian", "Custodian"),
    ),
    "C": ("AUT", (DCM, *_SOURCE), (DCM, *_DESTINATION)),
    "U": ("AUT", (DCM, *_SOURCE), (DCM, *_DESTINATION)),
    "E": ("IRCP", (DCM, *_SOURCE), (DCM, *_DESTINATION)),
}
_SUBTYPE = {"C": "create", "R": "read", "U": "update", "D": "delete"}
_PROFILES = {"C": "Create", "R": "Read", "U": "Update", "D": "Delete", "E": "Query"}
_HIDDEN = "(未显示 not shown)"


@dataclass(frozen=True, slots=True)
class View:
    """For whom an entry is shown. ``withheld``: sensitivities of which nothing is told; ``full``: to an auditor."""

    base_url: str
    zone: str
    names: Names
    full: bool = True
    withheld: Sensitivity = NO_SENSITIVITY


def person_view(view: View, guardian: bool) -> View:
    """The view of the person in whose file it happened, or of a guardian."""
    return View(view.base_url, view.zone, view.names, full=False, withheld=withheld_from(guardian))


def withheld_from(guardian: bool) -> Sensitivity:
    """The sensitivities of which the log tells nothing: to the person, to a guardian."""
    return Sensitivity.NOPAT | (ADOLESCENT if guardian else NO_SENSITIVITY)


def told(part: Part, withheld: Sensitivity) -> Part:
    """The part without the items that are withheld."""
    items = [item for item in part.items if not item.sensitivity & withheld]
    return Part(part.number, part.patient, part.action, items)


def part_id(seq: int, number: int) -> str:
    """The id of the AuditEvent of a part."""
    return f"{seq}-{number}"


def audit_event(seq: int, event: Event, part: Part, view: View) -> dict[str, Any]:
    """The AuditEvent resource of one part of entry ``seq``."""
    shown = told(part, view.withheld)
    recorded = instant(event.time, view.zone)
    meta: dict[str, Any] = {"versionId": "1", "lastUpdated": recorded}
    head: dict[str, Any] = {"resourceType": "AuditEvent", "id": part_id(seq, part.number), "meta": meta}
    kind = kind_of(event.code)
    profiles = _profiles(event, shown, view)
    if profiles:
        meta["profile"] = profiles
    text = escape(sentence(event, shown, view.names, view.zone))
    resource: dict[str, Any] = {
        **head,
        "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{text}</p></div>'},
        "type": _coding(kind.type),
        "subtype": [_coding(one) for one in _subtypes(event, part)],
        "action": part.action,
        "recorded": recorded,
        "outcome": str(event.outcome),
    }
    if event.outcome != SUCCESS or event.status >= 400:
        resource["outcomeDesc"] = f"HTTP {event.status}" if event.status else kind.en
    if event.who.purpose:
        resource["purposeOfEvent"] = [_purpose(event.who.purpose)]
    resource["agent"] = _agents(event, part, view)
    resource["source"] = {
        "site": view.base_url,
        "observer": {"display": "一档 Yidang"},
        "type": [{"system": "http://terminology.hl7.org/CodeSystem/security-source-type", "code": "4"}],
    }
    entities = _entities(event, shown, view)
    if entities:
        resource["entity"] = entities
    return resource


def _coding(coding: Coding) -> dict[str, str]:
    system, code, display = coding
    return {"system": system, "code": code, "display": display}


def _subtypes(event: Event, part: Part) -> list[Coding]:
    """The subtypes of the kind; of what is many things (a transaction) also what this part of it was."""
    found = list(kind_of(event.code).subtypes)
    code = _SUBTYPE.get(part.action)
    if code and event.code in MANY and kind_of(event.code).type == REST:
        found.append((INTERACTION, code, code))
    return found


def _profiles(event: Event, part: Part, view: View) -> list[str]:
    """The BALP profiles that the entry fulfils."""
    found = []
    kind = kind_of(event.code)
    name = _PROFILES.get(part.action, "")
    codes = {code for system, code, _ in _subtypes(event, part) if system == INTERACTION}
    one = len(part.items) == 1
    fits = {
        "Create": one and "create" in codes,
        "Read": one,
        "Update": one and bool(codes & {"update", "patch"}),
        "Delete": one and "delete" in codes,
        "Query": _tells_query(event, part, view) and bool(codes & {"search", "search-type", "search-system"}),
    }
    if kind.type == REST and event.outcome == SUCCESS and event.who.client and fits.get(name):
        found.append(PROFILE + ("Patient" if part.patient else "") + name)
    if event.code == "export" and part.patient:
        found.append(PROFILE + "PrivacyDisclosure.Source")
    return found


def _purpose(code: str) -> dict[str, Any]:
    zh, en = PURPOSES.get(code, (code, code))
    system = PURPOSE if code in OWN_PURPOSES else ACT_REASON
    return {"coding": [{"system": system, "code": code, "display": en}], "text": zh}


def _concept(coding: Coding) -> dict[str, Any]:
    return {"coding": [_coding(coding)]}


def _agents(event: Event, part: Part, view: View) -> list[dict[str, Any]]:
    who = event.who
    participation, client_type, server_type = _AGENTS.get(part.action, _AGENTS["E"])
    agents: list[dict[str, Any]] = []
    user = who.is_a in ("staff", "resident")
    policy = [f"urn:yidang:legal-basis:{basis}" for basis in legal_bases(event.bases)]
    if user:
        agents.append(_user(event, participation, policy, view))
    if user and who.token and view.full:
        agents.append(
            {
                "type": _concept((_OAUTH_AGENT, "UserOauthAgent", "User OAuth Agent participant")),
                "requestor": True,
                "policy": [f"urn:ietf:params:oauth:jti:{who.token}"],
            }
        )
    if who.institution:
        reference = f"Organization/{who.institution}"
        agents.append(
            {
                "type": _concept(("http://terminology.hl7.org/CodeSystem/v3-RoleClass", "PROV", "healthcare provider")),
                "who": _named(reference, view.names(reference)),
                "requestor": False,
            }
        )
    agents.append(_client(event, client_type, [] if user else policy, user, view))
    agents.append(
        {
            "type": _concept(server_type),
            "who": {"display": view.base_url or "yidang"},
            "requestor": False,
            "network": {"address": view.base_url or "yidang", "type": "5"},
        }
    )
    return agents


def _user(event: Event, participation: str, policy: list[str], view: View) -> dict[str, Any]:
    who = event.who
    name = who.name or (view.names(who.subject) if who.is_a == "staff" else "")
    agent: dict[str, Any] = {
        "type": _concept((_PARTICIPATION, participation, participation)),
        "who": _named(who.subject, name),
        "requestor": True,
    }
    if who.role:
        zh = ROLES[who.role].zh if who.role in ROLES else who.role
        agent["role"] = [{"coding": [{"system": ROLE, "code": who.role}], "text": zh}]
    if name:
        agent["name"] = name
    if policy:
        agent["policy"] = policy
    if who.purpose:
        agent["purposeOfUse"] = [_purpose(who.purpose)]
    return agent


def _client(event: Event, type: Coding, policy: list[str], user: bool, view: View) -> dict[str, Any]:
    who = event.who
    agent: dict[str, Any] = {"type": _concept(type)}
    if who.client:
        agent["who"] = {"identifier": {"value": who.client}}
        if who.kind == "system":
            agent["who"] |= _named(who.subject, who.name)
    else:
        agent["who"] = {"display": {"local": "yidang"}.get(who.kind, "unknown")}
    agent["requestor"] = not user
    if policy:
        agent["policy"] = policy
    address = event.address if view.full else ""
    agent["network"] = {"address": address, "type": "2"} if address else {"address": _HIDDEN}
    return agent


def _named(reference: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = {"reference": reference} if "/" in reference else {"display": reference or "unknown"}
    if name:
        found["display"] = name
    return found


def _entities(event: Event, part: Part, view: View) -> list[dict[str, Any]]:
    entities: list[dict[str, Any]] = []
    if event.correlation and view.full:
        entities.append(
            {
                "what": {"identifier": {"value": event.correlation}},
                "type": {"system": _REQUEST_ID, "code": "XrequestId"},
            }
        )
    if part.patient:
        entities.append(_patient(event, part))
    if _tells_query(event, part, view):
        entities.append(
            {
                "type": {"system": _ENTITY_TYPE, "code": "2", "display": "System Object"},
                "role": {"system": _OBJECT_ROLE, "code": "24", "display": "Query"},
                "description": event.query,
                "query": base64.b64encode(event.query.encode()).decode(),
            }
        )
    entities += [_data(item, _alone(part), view) for item in part.items]
    if event.detail and view.full:
        detail = [{"type": "detail", "valueString": event.detail}]
        entities.append({"type": {"system": _ENTITY_TYPE, "code": "4", "display": "Other"}, "detail": detail})
    if event.document and view.full:
        entities.append(_reported(event.document))
    return entities


def _reported(document: bytes) -> dict[str, Any]:
    """What another system says that happened: its words inside ours, which say who sent them and when."""
    return {
        "type": {"system": _ENTITY_TYPE, "code": "4", "display": "Other"},
        "role": {"system": _OBJECT_ROLE, "code": "3", "display": "Report"},
        "description": "机构系统上报的访问记录，内容未经核实 / AuditEvent as another system reported it, not verified",
        "detail": [{"type": "AuditEvent", "valueBase64Binary": base64.b64encode(document).decode()}],
    }


def _alone(part: Part) -> bool:
    """Whether the part is about one resource. BALP has one System Object in an entry: that, or the query."""
    return len(part.items) == 1 and part.action != "E"


def _tells_query(event: Event, part: Part, view: View) -> bool:
    """Residents are not told queries: they name others, and by a code or an id what is withheld."""
    return view.full and bool(event.query.strip()) and not _alone(part)


def _patient(event: Event, part: Part) -> dict[str, Any]:
    entity: dict[str, Any] = {
        "what": {"reference": f"Patient/{part.patient}"},
        "type": {"system": _ENTITY_TYPE, "code": "1", "display": "Person"},
        "role": {"system": _OBJECT_ROLE, "code": "1", "display": "Patient"},
    }
    detail = [{"type": "legal-basis", "valueString": basis} for basis in legal_bases(event.bases)]
    detail += [{"type": "ground", "valueString": kind} for kind in event.bases]
    detail += [
        {"type": "record-class", "valueString": f"{one.name.lower()} {CLASSES[one][0]}"}
        for one in classes_of(part)
        if one.name
    ]
    if detail:
        entity["detail"] = detail
    return entity


def _data(item: Item, alone: bool, view: View) -> dict[str, Any]:
    reference = f"{item.type}/{item.id}"
    if item.version:
        reference += f"/_history/{item.version}"
    entity: dict[str, Any] = {
        "what": {"reference": reference},
        "type": {"system": _ENTITY_TYPE, "code": "2"} if alone else {"system": RESOURCE_TYPES, "code": item.type},
        "role": {"system": _OBJECT_ROLE, "code": "4", "display": "Domain Resource"},
    }
    labels = _labels(item) if view.full else []
    if labels:
        entity["securityLabel"] = labels
    return entity


def _labels(item: Item) -> list[dict[str, str]]:
    found = []
    name = RecordClass(item.record_class).name
    if name and "|" not in name:
        found.append({"system": RECORD_CLASS, "code": name.lower()})
    for bit, code in SENSITIVITY_NAMES.items():
        if item.sensitivity & bit:
            found.append({"system": ACT_CODE, "code": code})
    return found
