"""Labels of a resource: its record class, what special protection it needs, whose file and whose item it is.

Runs on every write: tables and a few look-ups. What cannot be told gets the closed answer (OTHER, '').
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from consent.classes import CLASS_OF_TYPE, class_of
from consent.references import references_of
from consent.sensitive import as_sensitivity, code_bits, words_bits
from consent.vocabulary import (
    ACT_CODE,
    CONFIDENTIALITY,
    NO_SENSITIVITY,
    SENSITIVITY_CODES,
    TASK_KIND,
    RecordClass,
    Sensitivity,
)

__all__ = [
    "CLASS_OF_TYPE",
    "CUSTODIAN",
    "class_of",
    "custodian_of",
    "label_source",
    "person_of",
    "sensitivity_of",
]

Resource = Mapping[str, Any]
CUSTODIAN = "urn:yidang:custodian"  # extension (valueReference) of a resource that has no element for its keeper

_RESTRICTED, _GENETIC, _NOPAT = int(Sensitivity.RESTRICTED), int(Sensitivity.GENETIC), int(Sensitivity.NOPAT)
# Labels of handling (ActCode) that say nothing about the content; any other label we do not know protects.
_HANDLING_CODES = (
    "AOD AUDIT ANONY DEID PSEUD MASK REDACT ENCRYPT ENCRYPTR ENCRYPTT ENCRYPTU MINEC CPLYCC CPLYCD CPLYCUI CPLYJPP"
    " CPLYOPP CPLYOSP CPLYPOL DECLASSIFYLABEL DELAU DOWNGRDLABEL DRIVLABEL HUAPRV LABEL PERSISTLABEL PRIVMARK"
    " UPGRDLABEL NOAUTH NOCOLLECT NODSCLCD NODSCLCDS NOINTEGRATE NOLIST NOMOU NOORGPOL NORDSCLCD NORDSCLCDS NORDSLCD"
    " NOREUSE NOVIP ORCON NOPERSISTP NORDLMTD REVAUTH"
)
_HANDLING = frozenset(_HANDLING_CODES.split())
_GENETIC_TYPES = frozenset({"MolecularSequence"})
# Elements whose text or name a person reads; numbers, addresses and people's names tell nothing of the content.
_TEXT_ELEMENTS = (
    "abatementString actualArm additiveProductName administrationInstruction ageString alias allowedString amountString"
    " amountText assignedArm baseFormulaProductName basis bornString brand businessArrangement cancelledReason comment"
    " conclusion condition contentString criteria deceasedString defaultValueString definition description detail"
    " detailString deviceName diagnostics display disposition div documentType documentation doseNumberString"
    " fixedString human instruction isModifierReason label manufacturer meaningWhenMissing message mitigation name"
    " occurrenceString onsetString orderMeaning outcomeDesc overrideReason patientInstruction patternString payment"
    " paymentTerms performedString productName productRelatedness rationale reason relatedness requirements"
    " scheduledString series seriesDosesString short site statusReason subtitle summary targetLocation text"
    " textEquivalent title usedString valueMarkdown valueString"
)
TEXTS = frozenset(_TEXT_ELEMENTS.split())
_NOT_ABOUT_IT = frozenset({"identifier", "telecom", "address", "subject", "patient", "managingOrganization"})
_OPAQUE = _NOT_ABOUT_IT | {"name"}  # a HumanName; a name that is a text is looked at
# Working papers of the server whose text is the staff's reason: those who review them have no sensitive role.
_WORKING = frozenset({"break-glass-review", "minor-access-approval"})


def sensitivity_of(resource: Resource) -> Sensitivity:
    """What special protection ``resource`` needs: from its security labels, and from its codes and words."""
    # What is nobody's (a drug in the catalogue, a clinic's timetable) has no content to protect.
    type_ = resource["resourceType"]
    bits = 0 if CLASS_OF_TYPE.get(type_) is RecordClass.SHARED else _content_bits(resource)
    if type_ == "Task" and bits and _is_working(resource):
        bits = 0
    if type_ in _GENETIC_TYPES:
        bits |= _GENETIC
    if type_ == "Consent":
        bits |= _consent_bits(resource.get("provision") or {})
    meta = resource.get("meta")
    if meta is not None and "security" in meta:
        bits = _with_labels(bits, meta["security"])
    return as_sensitivity(bits) if bits else NO_SENSITIVITY


def _consent_bits(provision: Resource) -> int:
    """What a Consent names is what it lets a reader guess: it is protected as the items that it is about."""
    bits = 0
    for label in provision.get("securityLabel", ()):
        bits |= _with_labels(0, [label]) & ~_NOPAT
    for nested in provision.get("provision", ()):
        bits |= _consent_bits(nested)
    return bits


def _with_labels(bits: int, labels: list[Resource]) -> int:
    closed = False
    for label in labels:
        code, system = label.get("code", ""), label.get("system", "")
        known = SENSITIVITY_CODES.get(code)
        if known is not None and system in (ACT_CODE, CONFIDENTIALITY, ""):
            bits |= int(known)
        elif (system == CONFIDENTIALITY and code in ("R", "V")) or (system == ACT_CODE and code not in _HANDLING):
            closed = True
    if closed and not bits & ~_NOPAT:
        bits |= _RESTRICTED
    return bits


def _content_bits(resource: Resource) -> int:
    """What all codes and texts of a resource and of what it contains speak of."""
    bits = 0
    labels: list[Resource] = []
    waiting: list[Resource] = [resource]
    while waiting:  # no recursion: how deep a resource goes is up to the client
        element = waiting.pop()
        for key, value in element.items():
            kind = value.__class__
            if kind is str:
                if key in TEXTS:
                    bits |= words_bits(value)
                elif key == "code":
                    system = element.get("system")
                    bits |= code_bits(system if system.__class__ is str else "", value)
            elif key in _OPAQUE:
                continue
            elif kind is dict:
                if len(value) == 1 and "reference" in value:
                    continue
                if key != "meta":
                    waiting.append(value)
                elif element is not resource:
                    labels += value.get("security", ())
            elif kind is list:
                for one in value:
                    if one.__class__ is dict:
                        waiting.append(one)
                    elif one.__class__ is str and key in TEXTS:
                        bits |= words_bits(one)
    return _with_labels(bits, labels) if labels else bits


def _is_working(task: Resource) -> bool:
    codings = (task.get("code") or {}).get("coding", ())
    return any(c.get("system") == TASK_KIND and c.get("code") in _WORKING for c in codings)


# Where the person stands in types whose references to a Patient make no compartment.
_PERSON: dict[str, str] = {
    "Task": "for",
    "Contract": "subject",
    "Device": "patient",
    "GuidanceResponse": "subject",
    "VerificationResult": "target",
}


def person_of(resource: Resource) -> str | None:
    """Id of the Patient whose file it is, where the Patient compartment does not say it; None: unknown."""
    element = _PERSON.get(resource["resourceType"])
    if element is None:
        return None
    found = {r.split("/")[1] for r in references_of(resource.get(element)) if r.startswith("Patient/")}
    return found.pop() if len(found) == 1 else None


# Which institution keeps an item, by what it says itself; the first that names an Organization.
_KEEPER: dict[str, tuple[str, ...]] = {
    "Appointment": (),
    "CarePlan": ("author",),
    "CareTeam": ("managingOrganization",),
    "Claim": ("provider",),
    "Composition": ("custodian", "author"),
    "Consent": ("organization",),
    "DiagnosticReport": ("performer", "resultsInterpreter"),
    "DocumentReference": ("custodian", "author"),
    "Encounter": ("serviceProvider",),
    "EpisodeOfCare": ("managingOrganization",),
    "ExplanationOfBenefit": ("provider",),
    "Flag": ("author",),
    "ImagingStudy": ("interpreter",),
    "MedicationRequest": ("requester",),
    "Observation": ("performer",),
    "Patient": ("managingOrganization",),
    "Questionnaire": (),
    "QuestionnaireResponse": ("author",),
    "ServiceRequest": ("requester",),
    "Task": ("requester",),
}


def custodian_of(resource: Resource) -> str:
    """``Organization/id`` that keeps the item as it says itself, '' where it does not."""
    for extension in resource.get("extension", ()):
        if extension.get("url") == CUSTODIAN:
            for reference in references_of(extension.get("valueReference")):
                if reference.startswith("Organization/"):
                    return reference
    for element in _KEEPER.get(resource["resourceType"], ()):
        for reference in references_of(resource.get(element)):
            if reference.startswith("Organization/"):
                return reference
    return ""


# Types that are about another resource and have its labels.
_SOURCE: dict[str, str] = {
    "Binary": "securityContext",
    "EnrollmentResponse": "request",
    "PaymentNotice": "request",
    "Provenance": "target",
    "VerificationResult": "target",
}


def label_source(resource: Resource) -> str:
    """``Type/id`` of the resource whose person, class and sensitivity this one has; '' where it has its own."""
    element = _SOURCE.get(resource["resourceType"])
    if element is None:
        return ""
    return next(references_of(resource.get(element)), "")
