"""Which of the guide's profiles a resource ought to satisfy, by its type and the codes that say its kind.

Servers may be told to enforce them (docs/operations.md, ``validation.json``); tests and the demonstration ask here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from profiles.alliance.build import PROFILE

_BY_TYPE = {
    "Patient": "patient",
    "Organization": "organization",
    "Practitioner": "practitioner",
    "PractitionerRole": "practitioner-role",
    "Encounter": "encounter",
    "Condition": "condition",
    "AllergyIntolerance": "allergy-intolerance",
    "ImagingStudy": "imaging-study",
    "Specimen": "specimen",
    "ServiceRequest": "service-request",
    "MedicationRequest": "medication-request",
    "Immunization": "immunization",
}
_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
_SECTION = "http://terminology.hl7.org/CodeSystem/v2-0074"
_KIND_ELEMENTS = ("code", "category", "type", "relationship")
# (type, system, code) → profile; '*' stands for every code, and is then part of the name.
_BY_CODE = {
    ("Observation", _CATEGORY, "laboratory"): "observation-laboratory",
    ("Observation", _CATEGORY, "vital-signs"): "observation-vital-signs",
    ("DiagnosticReport", _SECTION, "LAB"): "diagnostic-report-laboratory",
    ("DiagnosticReport", _SECTION, "RAD"): "diagnostic-report-imaging",
    ("DiagnosticReport", _SECTION, "EC"): "diagnostic-report-ecg",
    ("DiagnosticReport", _SECTION, "SP"): "diagnostic-report-pathology",
    ("RelatedPerson", "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "GUARD"): "guardian",
    ("CareTeam", "urn:yidang:care-team-kind", "family-doctor"): "family-doctor-team",
    ("Consent", "urn:yidang:consent-kind", "*"): "consent-",
    ("Task", "urn:yidang:task-kind", "*"): "task-",
    ("Composition", "urn:yidang:document-type", "483.16"): "composition-health-check",
    ("Composition", "urn:yidang:document-type", "500.1"): "composition-summary",
}


def profile_of(resource: dict[str, Any]) -> str | None:
    """The canonical URL of the profile for this resource, None where the guide has none."""
    type = str(resource.get("resourceType"))
    if type in _BY_TYPE:
        return PROFILE + _BY_TYPE[type]
    for system, code in _kinds(resource):
        if (type, system, code) in _BY_CODE:
            return PROFILE + _BY_CODE[type, system, code]
        if (type, system, "*") in _BY_CODE:
            return PROFILE + _BY_CODE[type, system, "*"] + code
    return None


def _kinds(resource: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in _KIND_ELEMENTS:
        concepts = resource.get(name)
        for concept in concepts if isinstance(concepts, list) else [concepts]:
            for coding in concept.get("coding", ()) if isinstance(concept, dict) else ():
                yield str(coding.get("system")), str(coding.get("code"))
