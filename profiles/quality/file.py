"""A person's file as the rules of quality read it: resources by type, dates and codes worked out once.

https://hl7.org/fhir/R4/; what has another shape than R4 gives it was refused when it was written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any, Protocol

from terminology.conversion import LOINC
from terminology.references import References, age_at

Resource = Mapping[str, Any]
# Where the date of an event stands, by type: the first element that is there.
_WHEN: dict[str, tuple[str, ...]] = {
    "AllergyIntolerance": ("recordedDate", "onsetDateTime"),
    "CarePlan": ("created", "period"),
    "Composition": ("date",),
    "Condition": ("recordedDate", "onsetDateTime", "onsetPeriod"),
    "DiagnosticReport": ("effectiveDateTime", "effectivePeriod", "issued"),
    "DocumentReference": ("date",),
    "Encounter": ("period",),
    "EpisodeOfCare": ("period",),
    "ImagingStudy": ("started",),
    "Immunization": ("occurrenceDateTime", "recorded"),
    "MedicationDispense": ("whenHandedOver", "whenPrepared"),
    "MedicationRequest": ("authoredOn",),
    "MedicationStatement": ("effectiveDateTime", "effectivePeriod", "dateAsserted"),
    "Observation": ("effectiveDateTime", "effectivePeriod", "effectiveInstant", "issued"),
    "Procedure": ("performedDateTime", "performedPeriod"),
    "QuestionnaireResponse": ("authored",),
    "ServiceRequest": ("authoredOn",),
    "Specimen": ("receivedTime",),
}
TYPES = ("Patient", "RelatedPerson", *_WHEN)  # all that the rules read
_NOT_MEANT = frozenset({"entered-in-error", "cancelled", "not-done", "refuted"})
ICD10 = ("urn:oid:2.16.156.10011.2.3.3.11", "http://hl7.org/fhir/sid/icd-10")  # and what begins so
ACTIVE = frozenset({"active", "recurrence", "relapse"})


class Number(Protocol):
    """What an identity number says (``problem`` '' where it is well formed; ``born``, ``sex`` where it tells them)."""

    @property
    def system(self) -> str:
        """The system it is kept under."""
        ...

    @property
    def problem(self) -> str:
        """What is wrong with it, without the number."""
        ...

    @property
    def born(self) -> date | None:
        """The birth date in it."""
        ...

    @property
    def sex(self) -> str:
        """The sex in it, as a FHIR code."""
        ...


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason: the element (``Observation/5.valueQuantity``), and what is wrong, in Chinese and English."""

    element: str
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Event:
    """A resource that something happened by: its reference, type, and day (None: undated or unreadable)."""

    reference: str
    type: str
    resource: Resource
    day: date | None


def day_of(text: object) -> date | None:
    """The day of a FHIR date or dateTime; of a month or year alone its first; None where it cannot be read."""
    if not isinstance(text, str) or len(text) < 4:
        return None
    digits = text[:10]
    try:
        return date.fromisoformat(digits if len(digits) == 10 else f"{digits}-01-01"[:10])
    except ValueError:
        return None


def codings_of(concept: object) -> Sequence[Resource]:
    """The codings of a CodeableConcept."""
    return (concept.get("coding") or ()) if isinstance(concept, dict) else ()


def said(concept: object) -> str:
    """The words of a CodeableConcept."""
    if not isinstance(concept, dict):
        return ""
    if text := concept.get("text"):
        return str(text)
    return next((str(c["display"]) for c in concept.get("coding") or () if c.get("display")), "")


def _refuted(resource: Resource) -> bool:
    """Whether a condition or allergy is said not to be."""
    status = resource.get("verificationStatus")
    return status is not None and any(c.get("code") in _NOT_MEANT for c in codings_of(status))


@dataclass
class File:
    """What of one person's file is open to whoever asks.

    ``resources``: of the types in TYPES, the Patient among them where it is open. ``numbers``: what the identity
    numbers of the Patient say; ``references``: by which values are judged; ``today``: the day of the judgement.
    """

    resources: Iterable[Resource]
    today: date
    references: References = field(default_factory=References)
    numbers: Sequence[Number] = ()

    def __post_init__(self) -> None:
        self.by_type: dict[str, list[Resource]] = {}
        for resource in self.resources:
            statuses = (
                resource.get("status"),
                *(c.get("code") for c in codings_of(resource.get("verificationStatus"))),
            )
            if not _NOT_MEANT.intersection(s for s in statuses if s):
                self.by_type.setdefault(resource["resourceType"], []).append(resource)

    def of(self, type: str) -> Sequence[Resource]:
        """The resources of a type that are meant (not cancelled, not entered in error)."""
        return self.by_type.get(type, ())

    @cached_property
    def patient(self) -> Resource:
        """The Patient, empty where it is not open."""
        return next(iter(self.of("Patient")), {})

    @cached_property
    def born(self) -> date | None:
        """The birth date; of a month or year alone its first day."""
        return day_of(self.patient.get("birthDate"))

    @cached_property
    def died(self) -> date | None:
        """The day of death, None where the person lives or the day is not said."""
        return day_of(self.patient.get("deceasedDateTime"))

    @cached_property
    def lives(self) -> bool:
        """Whether nothing says that the person is dead, and the file is in use."""
        patient = self.patient
        dead = patient.get("deceasedBoolean") is True or "deceasedDateTime" in patient
        return bool(patient) and not dead and patient.get("active") is not False

    @cached_property
    def age(self) -> float | None:
        """The age in years on the day of the judgement."""
        return age_at(str(self.patient.get("birthDate", "")), self.today)

    @property
    def gender(self) -> str:
        """The FHIR code of the sex, '' where it is not said."""
        return str(self.patient.get("gender", ""))

    def aged(self, low: float, high: float = 200) -> bool:
        """Whether a living person's age is known and in ``[low, high)``."""
        return self.lives and self.age is not None and low <= self.age < high

    @cached_property
    def events(self) -> Sequence[Event]:
        """Everything that happened."""
        return [event for type in _WHEN for event in self.events_of(type)]

    def events_of(self, type: str) -> Sequence[Event]:
        """What happened, of one type."""
        if type not in self._events:
            self._events[type] = [
                Event(f"{type}/{one.get('id', '')}", type, one, _when(one, _WHEN[type])) for one in self.of(type)
            ]
        return self._events[type]

    @cached_property
    def _events(self) -> dict[str, list[Event]]:
        return {}

    @cached_property
    def measured(self) -> Mapping[str, Sequence[Event]]:
        """Observations by LOINC code, also of their components."""
        found: dict[str, list[Event]] = {}
        for event in self.events_of("Observation"):
            elements = (event.resource, *(event.resource.get("component") or ()))
            for code in {
                c.get("code", "") for e in elements for c in codings_of(e.get("code")) if c.get("system") == LOINC
            }:
                found.setdefault(code, []).append(event)
        return found

    def last_measured(self, codes: Iterable[str]) -> date | None:
        """The last day on which one of these LOINC codes was measured."""
        days = [event.day for code in codes for event in self.measured.get(code, ()) if event.day is not None]
        return max((day for day in days if day <= self.today), default=None)

    @cached_property
    def diagnoses(self) -> Mapping[str, Sequence[Event]]:
        """Conditions that are active (or do not say), by ICD-10 category: the first three characters of the code."""
        found: dict[str, list[Event]] = {}
        for event in self.events_of("Condition"):
            status = {c.get("code") for c in codings_of(event.resource.get("clinicalStatus"))}
            if status and not status & ACTIVE:
                continue
            for category in categories(event.resource.get("code")):
                found.setdefault(category, []).append(event)
        return found

    def has(self, *wanted: str) -> bool:
        """Whether a diagnosis of one of these ICD-10 categories is active."""
        return any(category in self.diagnoses for category in wanted)

    @cached_property
    def last_visit(self) -> date | None:
        """The last day with an encounter."""
        days = [event.day for event in self.events_of("Encounter") if event.day is not None]
        return max((day for day in days if day <= self.today), default=None)


def categories(concept: object) -> Iterator[str]:
    """The ICD-10 categories of a concept."""
    for coding in codings_of(concept):
        if str(coding.get("system", "")).startswith(ICD10) and coding.get("code"):
            yield str(coding["code"])[:3].upper()


def _when(resource: Resource, elements: Sequence[str]) -> date | None:
    for element in elements:
        value = resource.get(element)
        if isinstance(value, dict):
            value = value.get("start") or value.get("end")
        if value:
            return day_of(value)
    return None
