"""Films, electrocardiograms and pathology: taken at one institution, where need be read at the county hospital."""

from __future__ import annotations

import math
import uuid
from functools import lru_cache

from loaders.demo import catalogue, identity, referrals
from loaders.demo.catalogue import ECGS, FILMS, LOINC, Film
from loaders.demo.draft import SERVICE, Draft, Resource, Visit, codeable, organization, physician
from loaders.demo.laboratory import observation, quantity

_DICOM = "http://dicom.nema.org/resources/ontology/DCM"
_MDC = "urn:oid:2.16.840.1.113883.6.24"
_SPACE = uuid.UUID("6f1d1b4e-6a0e-4c39-9a55-2f7f5a1c9c11")
_IMAGES = {"DX": 2, "MG": 4, "US": 12, "CT": 96, "MR": 120}
_STORAGE = {
    "DX": "1.2.840.10008.5.1.4.1.1.1.1",
    "MG": "1.2.840.10008.5.1.4.1.1.1.2",
    "US": "1.2.840.10008.5.1.4.1.1.6.1",
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
}


def _uid(*parts: object) -> str:
    """A DICOM UID made from the parts (2.25 and a UUID)."""
    return f"2.25.{uuid.uuid5(_SPACE, '/'.join(map(str, parts))).int}"


def film(draft: Draft, seen: Visit, reason: str) -> str:
    """An imaging study taken at the visit and its report; a township's is read at the county hospital."""
    choices = FILMS.get(reason) or FILMS[""]
    # A township hospital has an X-ray room and an ultrasound machine.
    usual = [f for f in choices if seen.place.level == "county" or f.modality in ("DX", "US")]
    kind = draft.random.choice(usual or [FILMS[""][0]])
    study = _study(draft, seen, kind)
    return _film_report(draft, _reader(draft, seen, "imaging", f"{kind.name}远程诊断", [study]), seen, kind, study)


def _reader(draft: Draft, seen: Visit, department: str, what: str, documents: list[str]) -> Visit:
    """Who reads what was taken at the visit: the county hospital, asked for its diagnosis where it was elsewhere."""
    if seen.place.level == "county":
        return seen
    return referrals.remote_diagnosis(draft, seen, department, what, documents)


def _study(draft: Draft, seen: Visit, kind: Film) -> str:
    count = draft.counts.get("img", 0)
    return draft.record(
        seen,
        "img",
        {
            "resourceType": "ImagingStudy",
            "identifier": [
                {"system": "urn:dicom:uid", "value": f"urn:oid:{_uid(draft.person.id, count)}"},
                {
                    "type": {"coding": [{"system": identity.IDENTIFIER_TYPE, "code": "ACSN"}]},
                    "value": f"A{draft.person.number:06d}{count:03d}",
                },
            ],
            "status": "available",
            "modality": [{"system": _DICOM, "code": kind.modality}],
            "subject": draft.subject,
            "encounter": {"reference": seen.encounter},
            "started": seen.later(minutes=30),
            "numberOfSeries": 1,
            "numberOfInstances": _IMAGES[kind.modality],
            "description": kind.name,
            "series": [
                {
                    "uid": _uid(draft.person.id, count, 1),
                    "number": 1,
                    "modality": {"system": _DICOM, "code": kind.modality},
                    "description": kind.name,
                    "numberOfInstances": _IMAGES[kind.modality],
                    "bodySite": {"system": _DICOM, "code": kind.part, "display": kind.part},
                    "instance": [
                        {
                            "uid": _uid(draft.person.id, count, 1, 1),
                            "sopClass": {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{_STORAGE[kind.modality]}"},
                            "number": 1,
                        }
                    ],
                }
            ],
        },
    )


def _film_report(draft: Draft, reader: Visit, seen: Visit, kind: Film, study: str) -> str:
    code = codeable(LOINC, kind.loinc, kind.name) if kind.loinc else codeable(LOINC, "18748-4", "影像检查报告")
    return draft.record(
        reader,
        "rep",
        {
            "resourceType": "DiagnosticReport",
            "identifier": [
                {
                    "system": identity.REPORT_NUMBER,
                    "value": f"R{draft.person.number:06d}{draft.counts.get('rep', 0):03d}",
                }
            ],
            "status": "final",
            "category": [{"coding": [{"system": SERVICE, "code": "RAD", "display": "Radiology"}], "text": "影像"}],
            "code": {**code, "text": kind.name},
            "subject": draft.subject,
            "encounter": {"reference": seen.encounter},
            "effectiveDateTime": seen.later(minutes=30),
            "issued": seen.later(minutes=95),
            "performer": [organization(reader.place), {"reference": f"Practitioner/{reader.practitioner}"}],
            "resultsInterpreter": [{"reference": f"Practitioner/{reader.practitioner}"}],
            "imagingStudy": [{"reference": study}],
            "conclusion": f"检查所见：{kind.findings}\n诊断意见：{kind.conclusion}",
        },
    )


# -- electrocardiograms -----------------------------------------------------------------------------

# Leads: MDC code, name, heights of P, Q, R, S, T in microvolts.
_LEADS: tuple[tuple[str, str, tuple[int, int, int, int, int]], ...] = (
    ("131329", "MDC_ECG_LEAD_I", (90, -40, 700, -110, 210)),
    ("131330", "MDC_ECG_LEAD_II", (140, -70, 1050, -150, 300)),
    ("131389", "MDC_ECG_LEAD_III", (60, -40, 420, -80, 110)),
    ("131390", "MDC_ECG_LEAD_aVR", (-110, 50, -860, 130, -250)),
    ("131391", "MDC_ECG_LEAD_aVL", (40, -30, 260, -60, 90)),
    ("131392", "MDC_ECG_LEAD_aVF", (100, -50, 730, -110, 200)),
    ("131331", "MDC_ECG_LEAD_V1", (60, 0, 240, -800, -60)),
    ("131332", "MDC_ECG_LEAD_V2", (70, 0, 420, -1100, 320)),
    ("131333", "MDC_ECG_LEAD_V3", (70, -20, 760, -740, 380)),
    ("131334", "MDC_ECG_LEAD_V4", (80, -50, 1240, -420, 360)),
    ("131335", "MDC_ECG_LEAD_V5", (80, -70, 1180, -180, 310)),
    ("131336", "MDC_ECG_LEAD_V6", (70, -60, 920, -90, 240)),
)
_WAVES = ((-0.16, 0.022), (-0.026, 0.009), (0.0, 0.011), (0.028, 0.011), (0.21, 0.045))  # seconds from R, widths
_STEP_MS, _SAMPLES = 10, 120


@lru_cache(maxsize=4096)
def _trace(lead: int, rate: int, fibrillation: bool) -> str:
    """1.2 s of a lead in steps of 10 ms and 5 microvolts, at that heart rate."""
    beat = 60 / rate
    heights = _LEADS[lead][2]
    found = []
    for sample in range(_SAMPLES):
        second = sample * _STEP_MS / 1000
        since = (second - 0.3 + beat / 2) % beat - beat / 2
        volts = 0.0
        for wave, ((at, width), height) in enumerate(zip(_WAVES, heights, strict=True)):
            if wave == 0 and fibrillation:
                volts += 30 * math.sin(second * 2 * math.pi * 6.1)
            else:
                volts += height * math.exp(-(((since - at) / width) ** 2) / 2)
        found.append(str(round(volts / 5)))
    return " ".join(found)


def _sampled(rate: int, fibrillation: bool) -> list[Resource]:
    return [
        {
            "code": {"coding": [{"system": _MDC, "code": code, "display": name}]},
            "valueSampledData": {
                "origin": {"value": 0, "unit": "uV", "system": catalogue.UCUM, "code": "uV"},
                "period": _STEP_MS,
                "factor": 5,
                "dimensions": 1,
                "data": _trace(lead, rate, fibrillation),
            },
        }
        for lead, (code, name, _) in enumerate(_LEADS)
    ]


def electrocardiogram(draft: Draft, seen: Visit) -> str:
    """A 12-lead electrocardiogram with its measurements, taken at the visit; read as films are."""
    trait = next((t for t in ("heart", "hypertension") if draft.has(t)), "")
    acronym, text, low, high, pr, qrs, qtc = draft.random.choice(ECGS[trait] + ECGS[""][:1])
    rate = draft.random.randint(low, high)
    qt = round(qtc * math.sqrt(60 / rate))
    wave = observation(
        draft,
        seen,
        "procedure",
        codeable(LOINC, "34534-8", "12导联心电图"),
        {"component": _sampled(rate, acronym == "AFIB")},
    )
    components = [("8867-4", "心率", rate, "/min"), ("8633-0", "QRS时限", qrs, "ms"), ("8634-8", "QT间期", qt, "ms")]
    components.append(("8636-3", "QTc间期", qtc, "ms"))
    if pr:
        components.append(("8625-6", "PR间期", pr, "ms"))
    found = observation(
        draft,
        seen,
        "procedure",
        codeable(LOINC, "11524-6", "心电图测量"),
        {
            "component": [
                {"code": codeable(LOINC, code, name), "valueQuantity": quantity(value, unit)}
                for code, name, value, unit in components
            ]
        },
    )
    by = _reader(draft, seen, "ecg", "心电图远程诊断", [wave, found])
    return draft.record(
        by,
        "rep",
        {
            "resourceType": "DiagnosticReport",
            "identifier": [
                {
                    "system": identity.REPORT_NUMBER,
                    "value": f"E{draft.person.number:06d}{draft.counts.get('rep', 0):03d}",
                }
            ],
            "status": "final",
            "category": [{"coding": [{"system": SERVICE, "code": "EC"}], "text": "心电"}],
            "code": codeable(LOINC, "11524-6", "心电图"),
            "subject": draft.subject,
            "encounter": {"reference": seen.encounter},
            "effectiveDateTime": seen.later(minutes=10),
            "issued": seen.later(minutes=28),
            "performer": [organization(by.place), {"reference": f"Practitioner/{by.practitioner}"}],
            "result": [{"reference": wave}, {"reference": found}],
            "conclusion": text,
        },
    )


# -- pathology --------------------------------------------------------------------------------------


def pathology(draft: Draft, seen: Visit, specimen: str, conclusion: str) -> str:
    """A specimen and what pathology says of it."""
    taken = draft.record(
        seen,
        "spe",
        {
            "resourceType": "Specimen",
            "status": "available",
            "type": {"text": specimen},
            "subject": draft.subject,
            "receivedTime": seen.later(hours=2),
        },
    )
    reader = physician(draft, seen.place)
    return draft.record(
        seen,
        "rep",
        {
            "resourceType": "DiagnosticReport",
            "identifier": [
                {
                    "system": identity.REPORT_NUMBER,
                    "value": f"P{draft.person.number:06d}{draft.counts.get('rep', 0):03d}",
                }
            ],
            "status": "final",
            "category": [{"coding": [{"system": SERVICE, "code": "SP", "display": "Surgical Pathology"}]}],
            "code": codeable(LOINC, "11526-1", "病理检查报告"),
            "subject": draft.subject,
            "encounter": {"reference": seen.encounter},
            "effectiveDateTime": seen.time.isoformat(),
            "issued": seen.later(days=3),
            "performer": [organization(seen.place), {"reference": f"Practitioner/{reader}"}],
            "specimen": [{"reference": taken}],
            "conclusion": conclusion,
        },
    )
