"""One record of every class: small valid resources, so that a person's file has everything that can leak."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from tests.leaks.forms import label

Resource = dict[str, Any]
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
SERVICE = "http://terminology.hl7.org/CodeSystem/v2-0074"
LOCAL = "urn:oid:1.2.156.1"
UNITS = "http://unitsofmeasure.org"


def concept(code: str, system: str = LOCAL, display: str = "") -> Resource:
    return {"coding": [{"system": system, "code": code, **({"display": display} if display else {})}]}


def to(type: str, id: str) -> Resource:
    return {"reference": f"{type}/{id}"}


def labelled(resource: Resource, *names: str) -> Resource:
    """The resource with the security labels of these sensitivities."""
    return {**resource, "meta": {"security": [label(name) for name in names]}} if names else resource


def _observation(category: str, code: str) -> Callable[[str, str, str | None], Resource]:
    def make(id: str, patient: str, date: str | None) -> Resource:
        return {
            "resourceType": "Observation",
            "id": id,
            "status": "final",
            "category": [concept(category, CATEGORY)],
            "code": concept(code, display=f"项目{code}"),
            "subject": to("Patient", patient),
            **({"effectiveDateTime": date} if date else {}),
            "valueQuantity": {"value": 7 + len(id), "unit": "mmol/L", "system": UNITS, "code": "mmol/L"},
        }

    return make


def _report(category: str) -> Callable[[str, str, str | None], Resource]:
    def make(id: str, patient: str, date: str | None) -> Resource:
        return {
            "resourceType": "DiagnosticReport",
            "id": id,
            "status": "final",
            "category": [concept(category, SERVICE)],
            "code": concept(f"report-{category.lower()}"),
            "subject": to("Patient", patient),
            **({"effectiveDateTime": date} if date else {}),
            "conclusion": f"结论 {id}",
        }

    return make


def _simple(type: str, person: str, when: str, **more: Any) -> Callable[[str, str, str | None], Resource]:
    def make(id: str, patient: str, date: str | None) -> Resource:
        return {
            "resourceType": type,
            "id": id,
            **more,
            person: to("Patient", patient),
            **({when: date} if when and date else {}),
        }

    return make


def _encounter(id: str, patient: str, date: str | None) -> Resource:
    return {
        "resourceType": "Encounter",
        "id": id,
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "subject": to("Patient", patient),
        **({"period": {"start": date, "end": date}} if date else {}),
    }


def _immunization(id: str, patient: str, date: str | None) -> Resource:
    return {
        "resourceType": "Immunization",
        "id": id,
        "status": "completed",
        "vaccineCode": concept("vaccine"),
        "patient": to("Patient", patient),
        "occurrenceDateTime": date or "2024-01-01",
    }


def _coverage(id: str, patient: str, date: str | None) -> Resource:
    return {
        "resourceType": "Coverage",
        "id": id,
        "status": "active",
        "beneficiary": to("Patient", patient),
        "payor": [to("Organization", "county")],
    }


def _care_plan(id: str, patient: str, date: str | None) -> Resource:
    return {
        "resourceType": "CarePlan",
        "id": id,
        "status": "active",
        "intent": "plan",
        "subject": to("Patient", patient),
        **({"period": {"start": date}} if date else {}),
    }


def document(id: str, patient: str, date: str | None, binary: str = "") -> Resource:
    """A DocumentReference; its content is the Binary ``binary`` where given."""
    attachment: Resource = {"contentType": "text/plain", "title": f"文书 {id}"}
    if binary:
        attachment["url"] = f"Binary/{binary}"
    return {
        "resourceType": "DocumentReference",
        "id": id,
        "status": "current",
        "type": concept("discharge"),
        "subject": to("Patient", patient),
        **({"date": date} if date else {}),
        "content": [{"attachment": attachment}],
    }


def binary(id: str, about: str, text: str) -> Resource:
    """A Binary whose access is that of the resource ``about``."""
    return {
        "resourceType": "Binary",
        "id": id,
        "contentType": "text/plain",
        "securityContext": {"reference": about},
        "data": base64.b64encode(text.encode()).decode(),
    }


_REQUEST = {"status": "active", "intent": "order"}
# class: how one is made of (id, patient, clinical date)
MAKERS: dict[str, Callable[[str, str, str | None], Resource]] = {
    "allergy": _simple("AllergyIntolerance", "patient", "recordedDate", code=concept("penicillin")),
    "problem": _simple("Condition", "subject", "recordedDate", code=concept("condition")),
    "medication": _simple(
        "MedicationRequest", "subject", "authoredOn", **_REQUEST, medicationCodeableConcept=concept("drug")
    ),
    "immunization": _immunization,
    "vital_signs": _observation("vital-signs", "pulse"),
    "laboratory": _observation("laboratory", "glucose"),
    "imaging": _simple("ImagingStudy", "subject", "started", status="available"),
    "ecg": _report("EC"),
    "pathology": _report("SP"),
    "encounter": _encounter,
    "procedure": _simple("Procedure", "subject", "performedDateTime", status="completed", code=concept("operation")),
    "document": document,
    "care_plan": _care_plan,
    "order": _simple("ServiceRequest", "subject", "authoredOn", **_REQUEST, code=concept("examination")),
    "survey": _simple("QuestionnaireResponse", "subject", "authored", status="completed"),
    "financial": _coverage,
    "other": _simple("Communication", "subject", "sent", status="completed"),
}
UNDATED = {"financial"}  # classes whose types have no clinical date
