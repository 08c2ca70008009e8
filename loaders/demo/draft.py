"""A resident's file in the making: who, where, the random source, and the resources so far with their custodians."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from random import Random
from typing import Any

from consent.vocabulary import ACT_CODE, CONFIDENTIALITY
from loaders.demo import identity
from loaders.demo.catalogue import ATC, ICD10
from loaders.demo.county import Institution, practitioners_of
from loaders.demo.people import TODAY, Person, age_on

Resource = dict[str, Any]

ZONE = timezone(timedelta(hours=8))
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
OBSERVATION_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
SERVICE = "http://terminology.hl7.org/CodeSystem/v2-0074"
_CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
_VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit: where, by whom, when, the Encounter's reference, and the labels of all that is written there."""

    place: Institution
    practitioner: str
    time: datetime
    encounter: str
    labels: tuple[str, ...] = ()

    def later(self, **delta: float) -> str:
        """The instant so much later, never after the day the records end."""
        return (self.time + timedelta(**delta)).isoformat()


@dataclass(slots=True)
class Draft:
    """A file in the making. ``written`` holds (custodian reference, resource) in the order of making."""

    person: Person
    random: Random
    clinic: Institution
    township: Institution
    hospital: Institution
    elsewhere: Institution
    written: list[tuple[str, Resource]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    usual: dict[str, float] = field(default_factory=dict)  # where this person's measurements lie when well
    allergy: str = ""
    traits: set[str] = field(default_factory=set)
    summaries: list[tuple[str, str]] = field(default_factory=list)  # of Consents: id, what it means

    @property
    def subject(self) -> Resource:
        """A reference to the Patient, with the name for display."""
        return {"reference": f"Patient/{self.person.id}", "display": self.person.name.text}

    def has(self, *traits: str) -> bool:
        """Whether the person has one of these traits."""
        return not self.traits.isdisjoint(traits)

    def age_on(self, day: date) -> int:
        """Full years on that day."""
        return age_on(self.person.born, day)

    def number(self, short: str) -> int:
        """The next number of its kind in this file."""
        self.counts[short] = count = self.counts.get(short, 0) + 1
        return count

    def add(self, custodian: str, short: str, resource: Resource, labels: tuple[str, ...] = ()) -> str:
        """File a resource that ``custodian`` wrote; its reference is returned. Ids count by kind: ``obs-000001-7``."""
        type = resource.pop("resourceType")
        id = f"{short}-{self.person.number:06d}-{self.number(short)}"
        whole: Resource = {"resourceType": type, "id": id}
        if labels:
            whole["meta"] = security(labels)
        self.written.append((custodian, {**whole, **resource}))
        return f"{type}/{id}"

    def record(self, visit: Visit, short: str, resource: Resource, labels: tuple[str, ...] = ()) -> str:
        """File a resource that the visit's institution wrote, labelled as the visit is."""
        return self.add(f"Organization/{visit.place.id}", short, resource, labels or visit.labels)

    def day(self, nearest: int, farthest: int) -> date:
        """A day between so many days before the end of the file; never before birth."""
        found = self.person.last - timedelta(days=self.random.randint(nearest, farthest))
        return max(found, self.person.born)


def security(labels: tuple[str, ...]) -> Resource:
    """``meta`` with these sensitivities and the confidentiality R that goes with them."""
    coded = [{"system": ACT_CODE, "code": label} for label in labels]
    return {"security": [{"system": CONFIDENTIALITY, "code": "R"}, *coded]}


def codeable(system: str, code: str, text: str) -> Resource:
    """A CodeableConcept of one coding."""
    return {"coding": [{"system": system, "code": code, "display": text}], "text": text}


def organization(place: Institution) -> Resource:
    """A reference to an institution."""
    return {"reference": f"Organization/{place.id}", "display": place.name}


def physician(draft: Draft, place: Institution, department: str = "") -> str:
    """The id of a physician there; one of that department of the hospital if it is named."""
    from loaders.demo.staff import department_of

    found = practitioners_of(place)
    if department and place.level == "county":
        found = [id for id in found if department_of(id) == department] or found
    return draft.random.choice(found)


def visit(
    draft: Draft,
    place: Institution,
    day: date,
    reason: str,
    *,
    department: str = "",
    kind: str = "AMB",
    days: int = 0,
    labels: tuple[str, ...] = (),
    based_on: str = "",
) -> Visit:
    """A visit to an institution on a day: the Encounter is filed."""
    day = min(day, draft.person.last)
    start = datetime.combine(day, time(draft.random.randint(8, 16), draft.random.randint(0, 59)), ZONE)
    end = start + (timedelta(days=days) if days else timedelta(minutes=20))
    practitioner = physician(draft, place, department)
    system = identity.INPATIENT_NUMBER if kind == "IMP" else identity.OUTPATIENT_NUMBER
    number = f"{draft.person.number:06d}{draft.counts.get('enc', 0):02d}"
    display = {"AMB": "ambulatory", "IMP": "inpatient encounter", "EMER": "emergency", "HH": "home health"}[kind]
    body: Resource = {
        "resourceType": "Encounter",
        "identifier": [{"system": system, "value": number}],
        "status": "finished",
        "class": {"system": ACT, "code": kind, "display": display},
        "subject": draft.subject,
        "participant": [{"individual": {"reference": f"Practitioner/{practitioner}"}}],
        "period": {"start": start.isoformat(), "end": end.isoformat()},
        "reasonCode": [{"text": reason}],
        "serviceProvider": organization(place),
    }
    if based_on:
        body["basedOn"] = [{"reference": based_on}]
    encounter = draft.add(f"Organization/{place.id}", "enc", body, labels)
    return Visit(place, practitioner, start, encounter, labels)


def condition(
    draft: Draft, seen: Visit, code: str, name: str, onset: date, *, lasting: bool = True, suspected: bool = False
) -> str:
    """A problem or diagnosis."""
    return draft.record(
        seen,
        "con",
        {
            "resourceType": "Condition",
            "clinicalStatus": {"coding": [{"system": _CLINICAL, "code": "active" if lasting else "resolved"}]},
            "verificationStatus": {
                "coding": [{"system": _VERIFICATION, "code": "provisional" if suspected else "confirmed"}]
            },
            "category": [
                {
                    "coding": [
                        {
                            "system": "http://terminology.hl7.org/CodeSystem/condition-category",
                            "code": "problem-list-item" if lasting else "encounter-diagnosis",
                        }
                    ]
                }
            ],
            "code": codeable(ICD10, code, name),
            "subject": draft.subject,
            "encounter": {"reference": seen.encounter},
            "onsetDateTime": max(onset, draft.person.born).isoformat(),
            "recordedDate": seen.time.isoformat(),
        },
    )


def prescription(
    draft: Draft, seen: Visit, code: str, name: str, times: int, reason: str, *, days: int = 14, going_on: bool = False
) -> str:
    """A prescription of one medicine for so many days; ``reason`` is the Condition's reference."""
    serial = draft.counts.get("rx", 0)
    route = "吸入" if "气雾" in name else "皮下注射" if "胰岛素" in name else "口服"
    body: Resource = {
        "resourceType": "MedicationRequest",
        "identifier": [{"system": identity.PRESCRIPTION_NUMBER, "value": f"R{draft.person.number:06d}{serial:03d}"}],
        "status": "active" if going_on else "completed",
        "intent": "order",
        "medicationCodeableConcept": codeable(ATC, code, name),
        "subject": draft.subject,
        "encounter": {"reference": seen.encounter},
        "authoredOn": seen.time.isoformat(),
        "requester": {"reference": f"Practitioner/{seen.practitioner}"},
        "dosageInstruction": [
            {
                "text": f"{route} 每日{times}次 每次1份",
                "timing": {"repeat": {"frequency": times, "period": 1, "periodUnit": "d"}},
            }
        ],
        "dispenseRequest": {
            "expectedSupplyDuration": {
                "value": days,
                "unit": "天",
                "system": "http://unitsofmeasure.org",
                "code": "d",
            }
        },
    }
    if reason:
        body["reasonReference"] = [{"reference": reason}]
    return draft.record(seen, "rx", body)


def recent(seen: Visit) -> bool:
    """Whether a visit was within the last three months of the records."""
    return (TODAY - seen.time.date()).days < 92
