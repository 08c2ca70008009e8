"""Rules on what happened: dates that cannot be, periods, duplicates within the file, results never finished.

https://hl7.org/fhir/R4/datatypes.html#Period
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from datetime import timedelta
from typing import Any

from profiles.quality.file import Event, File, Finding, codings_of, day_of, said

_ZONES = timedelta(days=1)  # a day may be another elsewhere
_AFTER_DEATH = timedelta(days=1)
# What goes on after a death: autopsies, documents, reports of what was taken before.
_POSTHUMOUS = frozenset(
    {"DocumentReference", "Composition", "DiagnosticReport", "Specimen", "CarePlan", "EpisodeOfCare"}
)
_BORN_WITH = frozenset({"Condition"})  # a condition may be found before birth
_PLANNED = frozenset({"CarePlan", "ServiceRequest"})  # may be for a later day
_UNFINISHED = frozenset({"registered", "partial", "preliminary"})
_RESULT_DAYS, _ENCOUNTER_DAYS = 30, 90
_PERIODS = ("period", "effectivePeriod", "performedPeriod", "onsetPeriod", "servicedPeriod")
_NO_MATTER = frozenset({"CarePlan", "EpisodeOfCare", "Specimen"})  # undated ones are no loss


def future(file: File) -> Iterator[Finding]:
    """Events after today."""
    for event in file.events:
        if event.day is not None and event.day > file.today + _ZONES and event.type not in _PLANNED:
            yield Finding(event.reference, "日期在将来", "its date is in the future")


def before_birth(file: File) -> Iterator[Finding]:
    """Events before the birth."""
    born = file.born
    if born is None:
        return
    for event in file.events:
        if event.day is not None and event.day < born - _ZONES and event.type not in _BORN_WITH:
            yield Finding(event.reference, "日期早于出生", "it is before the birth")


def after_death(file: File) -> Iterator[Finding]:
    """Care after the death."""
    died = file.died
    if died is None:
        return
    for event in file.events:
        if event.day is not None and event.day > died + _AFTER_DEATH and event.type not in _POSTHUMOUS:
            yield Finding(event.reference, "日期晚于死亡", "it is after the death")


def undated(file: File) -> Iterator[Finding]:
    """Events without a date."""
    for event in file.events:
        if event.day is None and event.type not in _NO_MATTER:
            yield Finding(event.reference, "没有日期", "it has no date")


def reversed_period(file: File) -> Iterator[Finding]:
    """Periods that end before they begin."""
    for event in file.events:
        for element in _PERIODS:
            period = event.resource.get(element)
            if period is not None:
                start, end = day_of(period.get("start")), day_of(period.get("end"))
                if start is not None and end is not None and end < start:
                    yield Finding(f"{event.reference}.{element}", "结束早于开始", "it ends before it begins")


def unfinished(file: File) -> Iterator[Finding]:
    """Results that never became final."""
    for type in ("Observation", "DiagnosticReport"):
        for event in file.events_of(type):
            if event.resource.get("status") in _UNFINISHED and _older(event, file, _RESULT_DAYS):
                yield Finding(event.reference, "结果一直未审核发布", f"not final after {_RESULT_DAYS} days")


def open_encounter(file: File) -> Iterator[Finding]:
    """Encounters that never ended."""
    for event in file.events_of("Encounter"):
        going = event.resource.get("status") in ("arrived", "triaged", "in-progress", "onleave")
        if going and _older(event, file, _ENCOUNTER_DAYS):
            yield Finding(event.reference, "就诊一直未结束", f"still going on after {_ENCOUNTER_DAYS} days")


def _older(event: Event, file: File, days: int) -> bool:
    return event.day is not None and (file.today - event.day).days > days


def empty_report(file: File) -> Iterator[Finding]:
    """Final reports without results, images, conclusion or document."""
    for event in file.events_of("DiagnosticReport"):
        if event.resource.get("status") not in _UNFINISHED and not any(
            event.resource.get(element)
            for element in ("result", "conclusion", "conclusionCode", "presentedForm", "imagingStudy", "media")
        ):
            yield Finding(event.reference, "报告没有内容", "the report has no content")


def _name(concept: Any) -> Hashable:
    """What a concept is compared by."""
    codes = frozenset((c.get("system"), c.get("code")) for c in codings_of(concept) if c.get("code"))
    return codes or said(concept)


def _value(element: Any) -> str:
    """The value of an Observation or component, as text."""
    return "|".join(
        str(value.get("value", said(value)) if isinstance(value, dict) else value)
        for key, value in element.items()
        if key.startswith("value")
    )


def _observation(event: Event) -> Hashable | None:
    one = event.resource
    moment = one.get("effectiveDateTime") or (one.get("effectivePeriod") or {}).get("start")
    values = (_value(one), *(_value(part) for part in one.get("component") or ()))
    if not moment or len(str(moment)) < 16 or not any(values):  # of a day alone there may be several
        return None
    specimen = (one.get("specimen") or {}).get("reference")
    return moment, _name(one.get("code")), values, specimen


def _condition(event: Event) -> Hashable | None:
    one = event.resource
    status = {c.get("code") for c in codings_of(one.get("clinicalStatus"))}
    kinds = {c.get("code") for concept in one.get("category") or () for c in codings_of(concept)}
    listed = "problem-list-item" in kinds and (not status or "active" in status)
    name = _name(one.get("code"))
    keeper = (one.get("recorder") or one.get("asserter") or {}).get("reference")
    return (name, keeper, one.get("onsetDateTime")) if listed and name else None


def _encounter(event: Event) -> Hashable | None:
    one = event.resource
    start = (one.get("period") or {}).get("start")
    place = (one.get("serviceProvider") or {}).get("reference")
    kind = (one.get("class") or {}).get("code")
    who = tuple(str((p.get("individual") or {}).get("reference")) for p in one.get("participant") or ())
    return (start, place, kind, who) if start and len(str(start)) >= 16 and place else None


def _immunization(event: Event) -> Hashable | None:
    name = _name(event.resource.get("vaccineCode"))
    return (event.day, name) if event.day is not None and name else None


def _prescription(event: Event) -> Hashable | None:
    one = event.resource
    name = _name(one.get("medicationCodeableConcept")) or (one.get("medicationReference") or {}).get("reference")
    moment = one.get("authoredOn")
    return (moment, name, str(one.get("dosageInstruction"))) if moment and name and len(str(moment)) >= 16 else None


def duplicates(type: str, key: Callable[[Event], Hashable | None]) -> Callable[[File], Iterator[Finding]]:
    """The rule that no two resources of ``type`` have the same ``key`` (None: not compared)."""

    def find(file: File) -> Iterator[Finding]:
        seen: dict[Hashable, str] = {}
        for event in file.events_of(type):
            found = key(event)
            if found is None:
                continue
            first = seen.setdefault(found, event.reference)
            if first != event.reference:
                yield Finding(event.reference, f"与 {first} 重复", f"the same as {first}")

    return find


DUPLICATES = {
    "Observation": _observation,
    "Condition": _condition,
    "Encounter": _encounter,
    "Immunization": _immunization,
    "MedicationRequest": _prescription,
}
