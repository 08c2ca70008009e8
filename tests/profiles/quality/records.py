"""Made-up files that pass the rules, for tests to spoil: an adult, a child, an old and a pregnant woman, a dead man."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from profiles.quality import File
from terminology.references import definitions, references_of

Resource = dict[str, Any]
TODAY = date(2026, 11, 20)
REFERENCES = references_of(definitions())
LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"
ICD10 = "urn:oid:2.16.156.10011.2.3.3.11"


@dataclass(frozen=True)
class Read:
    """What an identity number says."""

    system: str = "urn:oid:2.16.156.10011.1.3"
    problem: str = ""
    born: date | None = None
    sex: str = ""


def concept(code: str, text: str, system: str = LOINC) -> Resource:
    return {"coding": [{"system": system, "code": code}], "text": text}


def patient(**more: Any) -> Resource:
    return {
        "resourceType": "Patient",
        "id": "p",
        "extension": [{"url": "urn:yidang:ethnic-group", "valueCoding": {"code": "01"}}],
        "identifier": [{"system": "urn:oid:2.16.156.10011.1.2", "value": "99010100110200001"}],
        "name": [{"text": "吴杰健"}],
        "telecom": [{"system": "phone", "value": "13800138000"}],
        "gender": "male",
        "birthDate": "1981-09-17",
        "address": [{"text": "一档县青山镇一村12号"}],
        "managingOrganization": {"reference": "Organization/clinic"},
        "generalPractitioner": [{"reference": "Practitioner/d"}],
        **more,
    }


def observation(id: str, code: str, value: float, unit: str, day: str = "2026-10-20", **more: Any) -> Resource:
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "code": concept(code, id),
        "effectiveDateTime": f"{day}T09:00:00+08:00",
        "valueQuantity": {"value": value, "unit": unit, "system": UCUM, "code": unit},
        **more,
    }


def pressure(id: str = "bp", high: float = 128, low: float = 80, day: str = "2026-10-20") -> Resource:
    found = observation(id, "85354-9", 0, "", day)
    del found["valueQuantity"]
    found["component"] = [
        {"code": concept(code, code), "valueQuantity": {"value": v, "unit": "mmHg", "system": UCUM, "code": "mm[Hg]"}}
        for code, v in (("8480-6", high), ("8462-4", low))
    ]
    return found


def encounter(id: str = "enc", day: str = "2026-10-20", **more: Any) -> Resource:
    return {
        "resourceType": "Encounter",
        "id": id,
        "status": "finished",
        "class": {"code": "AMB"},
        "period": {"start": f"{day}T08:30:00+08:00", "end": f"{day}T09:30:00+08:00"},
        "serviceProvider": {"reference": "Organization/clinic"},
        **more,
    }


def condition(code: str, text: str, day: str = "2021-03-01", **more: Any) -> Resource:
    return {
        "resourceType": "Condition",
        "id": f"con-{code}",
        "clinicalStatus": {"coding": [{"code": "active"}]},
        "category": [{"coding": [{"code": "problem-list-item"}]}],
        "code": concept(code, text, ICD10),
        "recordedDate": day,
        **more,
    }


def adult() -> list[Resource]:
    """A man of 45 with high pressure, sugar, COPD, schizophrenia and tuberculosis, followed as he should be."""
    chronic = (
        ("I10", "高血压"),
        ("E11.900", "2型糖尿病"),
        ("J44.9", "慢阻肺"),
        ("F20.900", "精神分裂症"),
        ("A15.0", "肺结核"),
    )
    body = (("h1", "8302-2", 172, "cm"), ("w", "29463-7", 68, "kg"), ("bmi", "39156-5", 23, "kg/m2"))
    return [
        patient(),
        encounter(),
        encounter("recent", "2026-11-10"),
        pressure(),
        observation("glu", "14771-0", 5.6, "mmol/L"),
        *(observation(*one) for one in body),
        {**observation("abo", "883-9", 0, ""), "valueQuantity": None, "valueCodeableConcept": {"text": "A"}},
        observation(
            "hb",
            "718-7",
            150,
            "g/L",
            interpretation=[concept("N", "正常", "v3")],
            referenceRange=[{"low": {"value": 130}, "high": {"value": 175}}],
        ),
        *(condition(*one) for one in chronic),
        {
            "resourceType": "AllergyIntolerance",
            "id": "none",
            "code": concept("716186003", "无过敏史", "http://snomed.info/sct"),
            "recordedDate": "2024-05-01",
        },
        {
            "resourceType": "DiagnosticReport",
            "id": "rep",
            "status": "final",
            "code": concept("58410-2", "血常规"),
            "effectiveDateTime": "2026-10-20",
            "result": [{"reference": "Observation/hb"}],
        },
        {
            "resourceType": "Immunization",
            "id": "flu",
            "status": "completed",
            "vaccineCode": concept("88", "流感疫苗", "http://hl7.org/fhir/sid/cvx"),
            "occurrenceDateTime": "2026-09-20",
        },
        {
            "resourceType": "MedicationRequest",
            "id": "rx",
            "status": "active",
            "medicationCodeableConcept": concept("C08CA01", "氨氯地平片", "http://www.whocc.no/atc"),
            "authoredOn": "2026-10-20T09:10:00+08:00",
        },
    ]


def child() -> list[Resource]:
    """A boy of 19 months, examined at 18, vaccinated, with a guardian."""
    doses = [
        {
            "resourceType": "Immunization",
            "id": f"dose-{n}",
            "status": "completed",
            "vaccineCode": concept(f"v{n}", f"疫苗{n}", "urn:vaccines"),
            "occurrenceDateTime": f"2025-{5 + n % 8:02}-10",
        }
        for n in range(10)
    ]
    guardian = {
        "resourceType": "RelatedPerson",
        "id": "mother",
        "relationship": [{"coding": [{"code": "MTH"}], "text": "母亲"}],
        "telecom": [{"system": "phone", "value": "13900139000"}],
    }
    return [patient(birthDate="2025-04-15"), guardian, encounter("eighteen", "2026-10-16"), *doses]


def elder() -> list[Resource]:
    """A woman of 71 with the whole yearly examination."""
    parts = (("58410-2", 0), ("24325-3", 0), ("24362-6", 0), ("24331-1", 0), ("11524-6", 0))
    reports = [
        {
            "resourceType": "DiagnosticReport",
            "id": f"rep-{code}",
            "status": "final",
            "code": concept(code, code),
            "effectiveDateTime": "2026-03-02",
            "conclusion": "未见异常",
        }
        for code, _ in parts
    ]
    day = "2026-03-02"
    return [
        patient(gender="female", birthDate="1955-02-03"),
        pressure(day=day),
        observation("glu", "14771-0", 5.0, "mmol/L", day),
        *reports,
    ]


def expectant() -> list[Resource]:
    """A pregnant woman seen this month."""
    return [
        patient(gender="female", birthDate="1996-02-03"),
        condition("Z34.9", "正常妊娠监督", "2026-06-01"),
        encounter("anc", "2026-11-05"),
    ]


def dead() -> list[Resource]:
    """A man who died in the spring."""
    return [patient(deceasedDateTime="2026-04-02T04:30:00+08:00"), encounter("last", "2026-04-01")]


def read(resources: list[Resource], *numbers: Read) -> File:
    plain = [{key: value for key, value in one.items() if value is not None} for one in resources]
    return File(plain, TODAY, REFERENCES, numbers or (Read(),))
