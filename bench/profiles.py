"""What validation of an Observation against a profile costs: ``python -m bench.profiles`` prints microseconds of CPU.

The profile is one as an alliance writes for laboratory results: fixed and bound codes, sliced codings and identifiers,
extensions, references to profiles, invariants. Not a test: machines differ.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from profiles.conformance import Options, ProfileSet
from profiles.definitions import load
from profiles.lossless import encode, parse
from profiles.structure import Validator

BASE = "http://hl7.org/fhir/StructureDefinition/"
URL = "urn:yidang:bench:laboratory-observation"
RECOGNITION = "urn:yidang:bench:recognition-mark"
ROUNDS = 2000

EXTENSION: dict[str, Any] = {
    "resourceType": "StructureDefinition",
    "url": RECOGNITION,
    "name": "RecognitionMark",
    "status": "active",
    "kind": "complex-type",
    "abstract": False,
    "type": "Extension",
    "baseDefinition": BASE + "Extension",
    "derivation": "constraint",
    "context": [{"type": "element", "expression": "Observation"}],
    "differential": {
        "element": [
            {"id": "Extension", "path": "Extension", "max": "1"},
            {"id": "Extension.url", "path": "Extension.url", "fixedUri": RECOGNITION},
            {
                "id": "Extension.value[x]",
                "path": "Extension.value[x]",
                "min": 1,
                "type": [{"code": "code"}],
            },
        ]
    },
}

LABORATORY = {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]
}
PROFILE: dict[str, Any] = {
    "resourceType": "StructureDefinition",
    "url": URL,
    "name": "LaboratoryObservation",
    "status": "active",
    "kind": "resource",
    "abstract": False,
    "type": "Observation",
    "baseDefinition": BASE + "Observation",
    "derivation": "constraint",
    "differential": {
        "element": [
            {
                "id": "Observation",
                "path": "Observation",
                "constraint": [
                    {
                        "key": "lab-1",
                        "severity": "error",
                        "human": "结果或缺失原因至少有一个",
                        "expression": "value.exists() or dataAbsentReason.exists() or component.exists()",
                    },
                    {
                        "key": "lab-2",
                        "severity": "error",
                        "human": "数值结果有单位",
                        "expression": "(value is Quantity) implies value.unit.exists()",
                    },
                ],
            },
            {
                "id": "Observation.extension",
                "path": "Observation.extension",
                "slicing": {"discriminator": [{"type": "value", "path": "url"}], "rules": "open"},
            },
            {
                "id": "Observation.extension:recognition",
                "path": "Observation.extension",
                "sliceName": "recognition",
                "max": "1",
                "type": [{"code": "Extension", "profile": [RECOGNITION]}],
            },
            {"id": "Observation.identifier", "path": "Observation.identifier", "min": 1},
            {"id": "Observation.identifier.system", "path": "Observation.identifier.system", "min": 1},
            {"id": "Observation.identifier.value", "path": "Observation.identifier.value", "min": 1, "maxLength": 64},
            {
                "id": "Observation.category",
                "path": "Observation.category",
                "slicing": {"discriminator": [{"type": "pattern", "path": "$this"}], "rules": "open"},
                "min": 1,
            },
            {
                "id": "Observation.category:laboratory",
                "path": "Observation.category",
                "sliceName": "laboratory",
                "min": 1,
                "max": "1",
                "patternCodeableConcept": LABORATORY,
            },
            {
                "id": "Observation.code.coding",
                "path": "Observation.code.coding",
                "slicing": {"discriminator": [{"type": "value", "path": "system"}], "rules": "open"},
                "min": 1,
            },
            {
                "id": "Observation.code.coding:loinc",
                "path": "Observation.code.coding",
                "sliceName": "loinc",
                "max": "1",
            },
            {
                "id": "Observation.code.coding:loinc.system",
                "path": "Observation.code.coding.system",
                "min": 1,
                "fixedUri": "http://loinc.org",
            },
            {"id": "Observation.code.text", "path": "Observation.code.text", "min": 1},
            {
                "id": "Observation.subject",
                "path": "Observation.subject",
                "min": 1,
                "type": [{"code": "Reference", "targetProfile": [BASE + "Patient"]}],
            },
            {
                "id": "Observation.effective[x]",
                "path": "Observation.effective[x]",
                "min": 1,
                "type": [{"code": "dateTime"}],
            },
            {"id": "Observation.performer", "path": "Observation.performer", "min": 1},
            {
                "id": "Observation.value[x]",
                "path": "Observation.value[x]",
                "type": [{"code": "Quantity"}, {"code": "string"}, {"code": "CodeableConcept"}],
            },
            {
                "id": "Observation.interpretation",
                "path": "Observation.interpretation",
                "binding": {
                    "strength": "required",
                    "valueSet": "http://hl7.org/fhir/ValueSet/observation-interpretation",
                },
            },
            {"id": "Observation.referenceRange", "path": "Observation.referenceRange", "max": "1"},
        ]
    },
}

OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "meta": {"profile": [URL]},
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">血糖 5.6 mmol/L</div>'},
    "extension": [{"url": RECOGNITION, "valueCode": "HR"}],
    "identifier": [{"system": "urn:oid:1.2.156.1", "value": "20260301-0042-7"}],
    "status": "final",
    "category": [LABORATORY],
    "code": {
        "coding": [
            {"system": "http://loinc.org", "code": "14749-6", "display": "Glucose"},
            {"system": "urn:oid:1.2.156.2", "code": "250302001", "display": "葡萄糖测定"},
        ],
        "text": "葡萄糖",
    },
    "subject": {"reference": "Patient/019"},
    "encounter": {"reference": "Encounter/7"},
    "effectiveDateTime": "2026-03-01T08:30:00+08:00",
    "issued": "2026-03-01T09:10:00+08:00",
    "performer": [{"reference": "Organization/county"}],
    "valueQuantity": {"value": 5.6, "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"},
    "interpretation": [
        {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation", "code": "N"}]}
    ],
    "referenceRange": [
        {
            "low": {"value": 3.9, "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"},
            "high": {"value": 6.1, "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"},
        }
    ],
}


def micros(work: Callable[[], object]) -> float:
    """The median CPU time of one call in microseconds."""
    for _ in range(50):
        work()
    times = []
    for _ in range(ROUNDS):
        start = time.process_time_ns()
        work()
        times.append(time.process_time_ns() - start)
    return statistics.median(times) / 1000


def main() -> None:
    """Measure and print."""
    resource = parse(encode(OBSERVATION))
    profiles = ProfileSet.load([PROFILE, EXTENSION])
    structure = Validator(load())
    options = Options(hints=False, best_practice="information")
    found = profiles.beyond_structure(resource, (), options)
    assert not structure.check(resource) and not found, found
    alone = micros(lambda: structure.check(resource))
    beyond = micros(lambda: profiles.beyond_structure(resource, (), options))
    print(f"structure {alone:.0f} µs, rules of R4 and the profile {beyond:.0f} µs, together {alone + beyond:.0f} µs")


if __name__ == "__main__":
    main()
