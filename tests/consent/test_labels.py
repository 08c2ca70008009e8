"""Record class, special protection, custodian and person of a resource."""

from __future__ import annotations

from typing import Any

import pytest

from consent.labels import CLASS_OF_TYPE, class_of, custodian_of, label_source, person_of, sensitivity_of
from consent.vocabulary import RecordClass, Sensitivity
from profiles.definitions import load

ICD = "http://hl7.org/fhir/sid/icd-10"
ATC = "http://www.whocc.no/atc"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CONF = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"


def coded(system: str, *codes: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code} for code in codes]}


def observation(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, **more}


CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
V2 = "http://terminology.hl7.org/CodeSystem/v2-0074"


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (observation(category=[coded(CATEGORY, "laboratory")]), "LABORATORY"),
        (observation(category=[coded(CATEGORY, "vital-signs")]), "VITAL_SIGNS"),
        (observation(category=[coded(CATEGORY, "social-history")]), "SURVEY"),
        (observation(category=[coded(CATEGORY, "procedure")], code=coded("http://loinc.org", "11524-6")), "ECG"),
        (observation(category=[coded(CATEGORY, "exam"), coded(CATEGORY, "laboratory")]), "LABORATORY"),
        (observation(category=[coded("urn:yidang:record-class", "pathology")]), "PATHOLOGY"),
        (observation(category=[coded("urn:yidang:record-class", "shared")]), "OTHER"),
        (observation(specimen={"reference": "Specimen/s"}), "LABORATORY"),
        (observation(code=coded("http://loinc.org", "8867-4")), "VITAL_SIGNS"),
        (observation(), "OTHER"),
        ({"resourceType": "DiagnosticReport", "category": [coded(V2, "RAD")]}, "IMAGING"),
        ({"resourceType": "DiagnosticReport", "category": [coded(V2, "EC")]}, "ECG"),
        ({"resourceType": "DiagnosticReport", "category": [coded(V2, "SP")]}, "PATHOLOGY"),
        ({"resourceType": "DiagnosticReport", "imagingStudy": [{"reference": "ImagingStudy/i"}]}, "IMAGING"),
        ({"resourceType": "DocumentReference"}, "DOCUMENT"),
        ({"resourceType": "DocumentReference", "type": coded("http://loinc.org", "18748-4")}, "IMAGING"),
        ({"resourceType": "Device"}, "SHARED"),
        ({"resourceType": "Device", "patient": {"reference": "Patient/p"}}, "PROCEDURE"),
        ({"resourceType": "Schedule", "actor": [{"reference": "Practitioner/d"}]}, "SHARED"),
        ({"resourceType": "Schedule", "actor": [{"reference": "Patient/p"}]}, "OTHER"),
        ({"resourceType": "MeasureReport", "type": "summary"}, "SHARED"),
        ({"resourceType": "MeasureReport", "type": "individual"}, "OTHER"),
        ({"resourceType": "MeasureReport", "type": "summary", "evaluatedResource": [{}]}, "OTHER"),
        ({"resourceType": "Medication", "contained": [{"resourceType": "Organization"}]}, "SHARED"),
        ({"resourceType": "Medication", "contained": [{"resourceType": "Patient"}]}, "OTHER"),
    ],
)
def test_each_resource_has_one_class(resource: dict[str, Any], expected: str) -> None:
    assert class_of(resource).name == expected


def test_what_can_be_about_a_person_is_never_nobodys() -> None:
    definitions = load()
    shared = {t for t in definitions.resource_types if class_of({"resourceType": t}) is RecordClass.SHARED}
    in_compartment = {t for t, codes in definitions.compartments["Patient"].items() if codes}
    assert shared & in_compartment <= {"Schedule"}  # of staff and places; see its actor
    assert not shared & {
        "Group",
        "List",
        "Basic",
        "Binary",
        "Bundle",
        "Communication",
        "Task",
        "Provenance",
        "Parameters",
    }
    assert not shared & {"Subscription", "MessageHeader", "AuditEvent", "VerificationResult", "ResearchSubject"}
    assert set(CLASS_OF_TYPE) <= set(definitions.resource_types)


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ({"resourceType": "Condition", "code": coded(ICD, "B20.x00x001")}, Sensitivity.HIV),
        ({"resourceType": "Condition", "code": coded(ICD, "A51.500")}, Sensitivity.STD),
        ({"resourceType": "Condition", "code": coded(ICD, "F32.900")}, Sensitivity.MENTAL),
        ({"resourceType": "Condition", "code": coded(ICD, "F10.200")}, Sensitivity.SUBSTANCE),
        ({"resourceType": "Condition", "code": coded(ICD, "F17.200")}, Sensitivity(0)),
        ({"resourceType": "Condition", "code": coded(ICD, "I10.x00x002")}, Sensitivity(0)),
        ({"resourceType": "Condition", "code": coded(ICD, "T74.100")}, Sensitivity.ABUSE),
        ({"resourceType": "Condition", "code": coded(ICD, "Q90.900")}, Sensitivity.GENETIC),
        ({"resourceType": "Condition", "code": {"coding": [{"code": "B24"}]}}, Sensitivity.HIV),
        ({"resourceType": "Condition", "code": coded("urn:hospital:icd10", "O04.900")}, Sensitivity.REPRODUCTION),
        ({"resourceType": "Condition", "code": {"text": "精神分裂症"}}, Sensitivity.MENTAL),
        (
            {"resourceType": "Condition", "code": {"coding": [{"system": "urn:h", "code": "1", "display": "梅毒"}]}},
            Sensitivity.STD,
        ),
        (observation(code=coded("http://loinc.org", "75622-1")), Sensitivity.HIV),
        (observation(component=[{"code": coded("http://loinc.org", "3397-7")}]), Sensitivity.SUBSTANCE),
        (observation(valueCodeableConcept=coded("http://snomed.info/sct", "165816005")), Sensitivity.HIV),
        (
            {"resourceType": "MedicationRequest", "medicationCodeableConcept": coded(ATC, "J05AR13")},
            Sensitivity.HIV,
        ),
        (
            {"resourceType": "MedicationRequest", "medicationCodeableConcept": coded(ATC, "J05AF10")},
            Sensitivity(0),
        ),
        (
            {
                "resourceType": "MedicationRequest",
                "contained": [{"resourceType": "MedicationStatement", "reasonCode": [coded(ICD, "F20")]}],
            },
            Sensitivity.MENTAL,
        ),
        (
            {"resourceType": "Encounter", "reasonCode": [coded(ICD, "Z21"), coded(ICD, "F20")]},
            Sensitivity.HIV | Sensitivity.MENTAL,
        ),
        ({"resourceType": "MolecularSequence"}, Sensitivity.GENETIC),
        ({"resourceType": "Medication", "code": coded("http://www.whocc.no/atc", "J05AR13")}, Sensitivity(0)),
        (observation(text={"status": "generated", "div": "<div>H<b>IV</b> &#38451;性</div>"}), Sensitivity.HIV),
    ],
)
def test_codes_and_words_call_for_protection(resource: dict[str, Any], expected: Sensitivity) -> None:
    assert sensitivity_of(resource) == expected


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([(ACT, "HIV")], Sensitivity.HIV),
        ([(ACT, "PSY"), (ACT, "NOPAT")], Sensitivity.MENTAL | Sensitivity.NOPAT),
        ([(CONF, "R")], Sensitivity.RESTRICTED),
        ([(CONF, "V"), (ACT, "ETH")], Sensitivity.SUBSTANCE),
        ([(CONF, "V"), (ACT, "NOPAT")], Sensitivity.RESTRICTED | Sensitivity.NOPAT),
        ([(CONF, "N")], Sensitivity(0)),
        ([(ACT, "ENCRYPT")], Sensitivity(0)),
        ([(ACT, "AN-UNKNOWN-ONE")], Sensitivity.RESTRICTED),
        ([("urn:other", "HIV")], Sensitivity(0)),
    ],
)
def test_security_labels_are_read(labels: list[tuple[str, str]], expected: Sensitivity) -> None:
    security = [{"system": system, "code": code} for system, code in labels]
    assert sensitivity_of(observation(meta={"security": security})) == expected


def test_labels_of_what_is_contained_count_as_well() -> None:
    inside = {"resourceType": "Condition", "meta": {"security": [{"system": ACT, "code": "SDV"}]}}
    assert sensitivity_of(observation(contained=[inside])) == Sensitivity.ABUSE


def test_the_custodian_is_what_the_resource_says() -> None:
    kept = {"url": "urn:yidang:custodian", "valueReference": {"reference": "Organization/x"}}
    assert custodian_of(observation(extension=[kept], performer=[{"reference": "Organization/y"}])) == "Organization/x"
    performers = [{"reference": "Practitioner/d"}, {"reference": "Organization/y"}]
    assert custodian_of(observation(performer=performers)) == "Organization/y"
    assert custodian_of({"resourceType": "Encounter", "serviceProvider": {"reference": "Organization/z"}}) == (
        "Organization/z"
    )
    assert custodian_of(observation()) == ""


def test_the_person_stands_where_no_compartment_says_it() -> None:
    assert person_of({"resourceType": "Task", "for": {"reference": "Patient/p"}}) == "p"
    two = [{"reference": "Patient/p"}, {"reference": "Patient/q"}]
    assert person_of({"resourceType": "Contract", "subject": two}) is None
    assert person_of({"resourceType": "Contract", "subject": two[:1] * 2}) == "p"
    assert person_of(observation(subject={"reference": "Patient/p"})) is None


def test_what_is_about_another_resource_has_its_labels() -> None:
    assert label_source({"resourceType": "Provenance", "target": [{"reference": "Observation/o/_history/2"}]}) == (
        "Observation/o"
    )
    assert label_source({"resourceType": "Binary", "securityContext": {"reference": "Patient/p"}}) == "Patient/p"
    assert label_source(observation()) == ""


def test_a_consent_is_protected_as_what_it_names() -> None:
    def label(code: str) -> dict[str, Any]:
        return {"securityLabel": [{"system": ACT, "code": code}]}

    provision = {"type": "permit", "provision": [{"type": "deny", **label("HIV")}, {"type": "deny", **label("NOPAT")}]}
    assert sensitivity_of({"resourceType": "Consent", "provision": provision}) == Sensitivity.HIV
    assert sensitivity_of({"resourceType": "Consent", "provision": {"type": "permit"}}) == Sensitivity(0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("慢性病管理", Sensitivity(0)),
        ("双相气道正压通气", Sensitivity(0)),
        ("ST segment depression", Sensitivity(0)),
        ("病人流行病学调查", Sensitivity(0)),
        ("结核分枝杆菌耐药基因检测", Sensitivity(0)),
        ("乙型肝炎病毒基因检测", Sensitivity(0)),
        ("HBA1基因检测", Sensitivity.GENETIC),
        ("人类免疫缺陷病毒抗体", Sensitivity.HIV),
        ("快速血浆反应素试验(RPR)", Sensitivity.STD),
        ("双相情感障碍", Sensitivity.MENTAL),
        ("无痛人流", Sensitivity.REPRODUCTION),
    ],
)
def test_words_mean_what_they_mean_in_their_place(text: str, expected: Sensitivity) -> None:
    assert sensitivity_of({"resourceType": "Condition", "code": {"text": text}}) == expected
    local = {"coding": [{"system": "urn:hospital:items", "code": "1", "display": text}]}
    assert sensitivity_of(observation(code=local)) == expected
