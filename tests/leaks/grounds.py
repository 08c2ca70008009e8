"""What gives access besides a Consent: requests, contracts, guardianship, numbers, emergencies, approvals, reports.

Each writes a resource into a world, with the rules that it means.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.leaks.forms import ADOLESCENT, FAR, ZONE, instant, micros
from tests.leaks.oracle import SENSITIVITIES, Rule
from tests.leaks.records import concept, to

if TYPE_CHECKING:
    from tests.leaks.world import Writer

Resource = dict[str, Any]
REQUEST_KIND = "urn:yidang:request-kind"
TASK_KIND = "urn:yidang:task-kind"
EMERGENCY = frozenset(
    {"identity", "allergy", "problem", "medication", "vital_signs", "laboratory", "imaging", "ecg", "procedure"}
    | {"encounter", "document", "immunization", "pathology"}
)
FAMILY = frozenset({"FAMRQT", "PATRQT"})


def request(
    w: Writer, kind: str, id: str, patient: str, by: str, to_whom: str, items: tuple[str, ...], days: float = 10
) -> None:
    """A referral, consultation or diagnosis request: it opens what it names, and for care what every doctor needs."""
    asked = w.ago(days)
    resource = {
        "resourceType": "ServiceRequest",
        "id": id,
        "status": "active",
        "intent": "order",
        "category": [concept(kind, REQUEST_KIND)],
        "subject": to("Patient", patient),
        "authoredOn": instant(asked),
        "requester": {"reference": f"Organization/{by}"},
        "performer": [{"reference": to_whom}],
        **({"supportingInfo": [{"reference": item} for item in items]} if items else {}),
    }
    purposes = frozenset({"TREAT", "REFER" if kind == "referral" else "CONSULT"})
    base = Rule(
        f"ServiceRequest/{id}",
        patient,
        to_whom,
        kind=kind,
        purposes=purposes,
        low=micros(asked),
        high=micros(asked + timedelta(days=90)),
        given=micros(asked),
    )
    meant = _items(base, (f"ServiceRequest/{id}", *items), by)
    if kind != "diagnosis":
        meant.append(_with(base, classes=frozenset({"allergy", "problem", "medication"}), custodian=_org(by)))
    w.rule(resource, by, patient, "order", resource["authoredOn"], *meant)


def task(w: Writer, id: str, patient: str, by: str, to_whom: str, focus: str) -> None:
    """A piece of work that one institution gives to another: it opens its focus."""
    asked = w.ago(5)
    resource = {
        "resourceType": "Task",
        "id": id,
        "status": "requested",
        "intent": "order",
        "for": to("Patient", patient),
        "authoredOn": instant(asked),
        "requester": {"reference": f"Organization/{by}"},
        "owner": {"reference": to_whom},
        "focus": {"reference": focus},
    }
    base = Rule(
        f"Task/{id}",
        patient,
        to_whom,
        kind="task",
        low=micros(asked),
        high=micros(asked + timedelta(days=90)),
        given=micros(asked),
    )
    w.rule(resource, by, patient, "order", resource["authoredOn"], *_items(base, (f"Task/{id}", focus), by))


def _items(base: Rule, items: tuple[str, ...], by: str) -> list[Rule]:
    named = [_with(base, document=item, custodian=_org(by)) for item in items]
    return [*named, _with(base, classes=frozenset({"identity"}), document=f"Patient/{base.person}")]


def _with(rule: Rule, **more: Any) -> Rule:
    return replace(rule, **more)


def _org(id: str) -> str:
    return f"Organization/{id}"


def family_doctor(w: Writer, id: str, patient: str, by: str, doctors: tuple[str, ...]) -> None:
    """A contract with a family doctor's team."""
    since = w.ago(400)
    resource = {
        "resourceType": "CareTeam",
        "id": id,
        "status": "active",
        "category": [concept("family-doctor", "urn:yidang:care-team-kind")],
        "subject": to("Patient", patient),
        "period": {"start": instant(since)},
        "participant": [{"member": to("Practitioner", doctor)} for doctor in doctors],
    }
    meant = [
        Rule(
            f"CareTeam/{id}",
            patient,
            f"Practitioner/{doctor}",
            kind="family-doctor",
            purposes=frozenset({"TREAT", "CAREMGT"}),
            low=micros(since),
        )
        for doctor in doctors
    ]
    w.rule(resource, by, patient, "care_plan", resource["period"]["start"], *meant)


def guardian(w: Writer, id: str, ward: str, guardian: str, by: str, **more: Any) -> None:
    """A guardian of a child, or (with ``adult``) of an adult who cannot decide; ``ended`` days ago it was over."""
    adult, ended = more.get("adult", False), more.get("ended")
    resource: Resource = {
        "resourceType": "RelatedPerson",
        "id": id,
        "active": True,
        "extension": [
            {"url": "urn:yidang:guardian-person", "valueReference": to("Patient", guardian)},
            {"url": "urn:yidang:legal-basis", "valueString": "court"},
        ],
        "patient": to("Patient", ward),
        "relationship": [concept("GUARD", "http://terminology.hl7.org/CodeSystem/v3-RoleCode")],
    }
    if not adult:
        del resource["extension"][1]
    high = FAR
    if ended is not None:
        resource["period"] = {"end": instant(w.ago(ended))}
        high = micros(w.ago(ended)) + 1000
    base = Rule(
        f"RelatedPerson/{id}",
        ward,
        f"Patient/{guardian}",
        kind="guardian",
        purposes=FAMILY,
        names=SENSITIVITIES - {"NOPAT"},
        overriding=True,
    )
    fourteen, eighteen = (birthday(w.born(ward), years) for years in (14, 18))
    meant = [
        _with(base, high=min(fourteen, high)),
        _with(base, low=fourteen, high=min(eighteen, high), names=base.names - ADOLESCENT),
    ]
    if adult:
        meant.append(_with(base, low=eighteen, high=high))
    w.rule(resource, by, ward, "identity", None, *meant)


def birthday(born: tuple[int, int, int], years: int) -> int:
    """When (µs) somebody turns ``years``."""
    return micros(datetime(born[0] + years, born[1], born[2], tzinfo=ZONE))


def _reserved(w: Writer, kind: str, id: str, patient: str, status: str, **more: Any) -> Resource:
    return {
        "resourceType": "Task",
        "id": id,
        "status": status,
        "intent": "order",
        "code": concept(kind, TASK_KIND),
        "for": to("Patient", patient),
        **more,
    }


def break_glass(w: Writer, id: str, patient: str, doctor: str, by: str, hours_ago: float = 1) -> None:
    """An emergency: a day for one doctor, for what saves life."""
    since = w.now - timedelta(hours=hours_ago)
    until = since + timedelta(hours=24)
    who = f"Practitioner/{doctor}"
    resource = _reserved(
        w,
        "break-glass-review",
        id,
        patient,
        "requested",
        requester={"reference": who},
        restriction={"period": {"start": instant(since), "end": instant(until)}},
    )
    meant = Rule(
        f"Task/{id}",
        patient,
        who,
        kind="break-glass",
        classes=EMERGENCY,
        names=SENSITIVITIES - {"GENETIC", "ABUSE", "MINOR"},
        purposes=frozenset({"BTG", "ETREAT"}),
        low=micros(since),
        high=micros(until) + 1000,
        overriding=True,
    )
    w.rule(resource, by, patient, "order", None, meant)


def approval(w: Writer, id: str, patient: str, officer: str, by: str, status: str = "accepted") -> None:
    """Leave for one member of staff to work with the institution's own items about a minor."""
    since, until = w.ago(1), w.ago(-30)
    who = f"Practitioner/{officer}"
    resource = _reserved(
        w,
        "minor-access-approval",
        id,
        patient,
        status,
        requester={"reference": who},
        restriction={"period": {"start": instant(since), "end": instant(until)}},
    )
    meant = Rule(
        f"Task/{id}",
        patient,
        who,
        kind="approval",
        names=SENSITIVITIES,
        purposes=None,
        custodian=_org(by),
        low=micros(since),
        high=micros(until) + 1000,
        overriding=True,
    )
    identity = replace(meant, custodian="", classes=frozenset({"identity"}), document=f"Patient/{patient}")
    w.rule(resource, by, patient, "order", None, *([meant, identity] if status == "accepted" else []))


def statutory_report(w: Writer, id: str, patient: str, by: str, items: tuple[str, ...]) -> None:
    """A report that the law demands: the centre for disease control sees what was reported."""
    resource = _reserved(
        w,
        "statutory-report",
        id,
        patient,
        "requested",
        owner=to("Organization", "cdc"),
        input=[{"type": {"text": "报告"}, "valueReference": {"reference": item}} for item in items],
    )
    base = Rule(
        f"Task/{id}",
        patient,
        "Organization/cdc",
        kind="statutory-report",
        names=SENSITIVITIES,
        purposes=frozenset({"PUBHLTH"}),
        overriding=True,
    )
    w.rule(resource, by, patient, "order", None, *(_with(base, document=item) for item in (f"Task/{id}", *items)))


def registration(patient: str, institution: str) -> Rule:
    """An institution that gave somebody a number knows who that is."""
    return Rule(
        f"Patient/{patient}",
        patient,
        _org(institution),
        kind="registration",
        classes=frozenset({"identity"}),
        names=SENSITIVITIES,
        purposes=None,
        overriding=True,
    )
