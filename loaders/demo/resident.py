"""One demonstration resident's file, from birth certificate facts to laboratory reports, as FHIR resources."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from random import Random
from typing import Any

from loaders.demo import catalogue, identity
from loaders.demo.catalogue import ATC, ICD10, LOINC, UCUM, Disease, Measure
from loaders.demo.county import COUNTY, HOSPITAL, Institution, practitioners_of

Resource = dict[str, Any]

TODAY = date(2026, 11, 1)
_ZONE = timezone(timedelta(hours=8))
_OBSERVATION_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
_CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
_VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
_INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
_ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


@dataclass(slots=True)
class Resident:
    """A resident in the making: facts, random source, and the resources made so far, in order."""

    number: int
    random: Random
    female: bool
    born: date
    clinic: Institution
    above: Institution
    hospital: Institution
    family: str
    given: str
    diseases: list[Disease] = field(default_factory=list)
    resources: list[Resource] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The Patient's logical id."""
        return f"resident-{self.number:06d}"

    @property
    def age(self) -> int:
        """Full years on the data set's day."""
        return TODAY.year - self.born.year - ((TODAY.month, TODAY.day) < (self.born.month, self.born.day))

    @property
    def subject(self) -> Resource:
        """A reference to the Patient, with the name for display."""
        return {"reference": f"Patient/{self.id}", "display": self.family + self.given}

    def add(self, type: str, short: str, body: Resource) -> str:
        """File one resource; its reference is returned. Ids count per kind: ``obs-000001-7``."""
        count = self.counts[short] = self.counts.get(short, 0) + 1
        id = f"{short}-{self.number:06d}-{count}"
        self.resources.append({"resourceType": type, "id": id, **body})
        return f"{type}/{id}"


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit: where, by whom, when, and the Encounter's reference."""

    place: Institution
    practitioner: str
    time: datetime
    encounter: str


def _codeable(system: str, code: str, text: str) -> Resource:
    return {"coding": [{"system": system, "code": code, "display": text}], "text": text}


def _value(random: Random, measure: Measure, female: bool, shift: float = 0.0) -> Decimal:
    """A plausible value with the digits the laboratory prints: mostly in range, sometimes out of it."""
    low, high = measure.female if female else measure.male
    width = high - low
    value = random.uniform(low, high) + shift * width
    if random.random() < 0.15:
        value += random.choice((-1, 1)) * random.uniform(0, measure.spread) * width
    return Decimal(f"{max(value, 0.0):.{measure.digits}f}")


def _quantity(value: Decimal, unit: str) -> Resource:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def _range(measure: Measure, female: bool) -> list[Resource]:
    low, high = measure.female if female else measure.male
    quote = f".{measure.digits}f"
    return [{side: _quantity(Decimal(format(v, quote)), measure.unit) for side, v in (("low", low), ("high", high))}]


def _patient(r: Resident) -> None:
    text = f"{COUNTY}{r.clinic.township}{r.clinic.village}{r.number % 97 + 1}号"
    _, township, village = r.clinic.id.split("-")
    file_number = f"{identity.REGION}{int(township):03d}{100 + int(village)}{r.number % 10**5:05d}"
    patient: Resource = {
        "resourceType": "Patient",
        "id": r.id,
        "identifier": [
            {
                "use": "official",
                "system": identity.IDENTITY_NUMBER,
                "value": identity.identity_number(r.number, r.born, r.female),
            },
            {"use": "secondary", "system": identity.HEALTH_FILE_NUMBER, "value": file_number},
        ],
        "active": True,
        "name": [{"use": "official", "text": r.family + r.given, "family": r.family, "given": [r.given]}],
        "telecom": [{"system": "phone", "value": identity.phone(r.number), "use": "mobile"}],
        "gender": "female" if r.female else "male",
        "birthDate": r.born.isoformat(),
        "address": [
            {"use": "home", "text": text, "city": COUNTY, "district": r.clinic.township, "line": [r.clinic.village]}
        ],
        "generalPractitioner": [{"reference": f"Practitioner/{practitioners_of(r.clinic)[0]}"}],
        "managingOrganization": {"reference": f"Organization/{r.clinic.id}", "display": r.clinic.name},
    }
    r.resources.append(patient)


def _visit(r: Resident, place: Institution, day: date, reason: str) -> Visit:
    start = datetime(day.year, day.month, day.day, r.random.randint(8, 16), r.random.randint(0, 59), tzinfo=_ZONE)
    practitioner = r.random.choice(practitioners_of(place))
    encounter = r.add(
        "Encounter",
        "enc",
        {
            "identifier": [{"system": identity.OUTPATIENT_NUMBER, "value": f"{r.number:06d}{r.counts.get('enc', 0)}"}],
            "status": "finished",
            "class": {"system": _ACT, "code": "AMB", "display": "ambulatory"},
            "subject": r.subject,
            "participant": [{"individual": {"reference": f"Practitioner/{practitioner}"}}],
            "period": {"start": start.isoformat(), "end": (start + timedelta(minutes=20)).isoformat()},
            "reasonCode": [{"text": reason}],
            "serviceProvider": {"reference": f"Organization/{place.id}", "display": place.name},
        },
    )
    return Visit(place, practitioner, start, encounter)


def _observation(r: Resident, visit: Visit, category: str, code: Resource, rest: Resource) -> str:
    return r.add(
        "Observation",
        "obs",
        {
            "status": "final",
            "category": [{"coding": [{"system": _OBSERVATION_CATEGORY, "code": category}]}],
            "code": code,
            "subject": r.subject,
            "encounter": {"reference": visit.encounter},
            "effectiveDateTime": visit.time.isoformat(),
            "performer": [{"reference": f"Organization/{visit.place.id}"}],
            **rest,
        },
    )


def _blood_pressure(r: Resident, visit: Visit) -> None:
    high = 0.45 if any(d.code == "I10" for d in r.diseases) else 0.0
    parts = [(m, _value(r.random, m, r.female, high)) for m in (catalogue.SYSTOLIC, catalogue.DIASTOLIC)]
    component = [{"code": _codeable(LOINC, m.code, m.name), "valueQuantity": _quantity(v, m.unit)} for m, v in parts]
    _observation(r, visit, "vital-signs", _codeable(LOINC, *catalogue.PRESSURE_PANEL), {"component": component})


def _measured(r: Resident, visit: Visit, category: str, measure: Measure, shift: float = 0.0) -> str:
    value = _value(r.random, measure, r.female, shift)
    rest: Resource = {"valueQuantity": _quantity(value, measure.unit)}
    if category == "laboratory":
        low, high = measure.female if r.female else measure.male
        flag = "H" if value > Decimal(str(high)) else "L" if value < Decimal(str(low)) else "N"
        rest["interpretation"] = [{"coding": [{"system": _INTERPRETATION, "code": flag}]}]
        rest["referenceRange"] = _range(measure, r.female)
    return _observation(r, visit, category, _codeable(LOINC, measure.code, measure.name), rest)


def _vitals(r: Resident, visit: Visit) -> None:
    if r.age >= 18:
        _blood_pressure(r, visit)
    for measure in catalogue.VITALS[: r.random.randint(1, 4)]:
        _measured(r, visit, "vital-signs", measure)


def _laboratory(r: Resident, visit: Visit) -> None:
    code, name, items = r.random.choice(catalogue.PANELS)
    sugar = any(d.code == "E11.9" for d in r.diseases)
    results = [
        _measured(r, visit, "laboratory", m, 0.9 if sugar and m.code in catalogue.GLUCOSE_CODES else 0.0) for m in items
    ]
    number = f"L{r.number:06d}{r.counts.get('rep', 0):03d}"
    r.add(
        "DiagnosticReport",
        "rep",
        {
            "identifier": [{"system": identity.REPORT_NUMBER, "value": number}],
            "status": "final",
            "category": [
                {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "LAB"}], "text": "检验"}
            ],
            "code": _codeable(LOINC, code, name),
            "subject": r.subject,
            "encounter": {"reference": visit.encounter},
            "effectiveDateTime": visit.time.isoformat(),
            "issued": (visit.time + timedelta(hours=3)).isoformat(),
            "performer": [{"reference": f"Organization/{visit.place.id}"}],
            "result": [{"reference": reference} for reference in results],
        },
    )


def _condition(r: Resident, disease: Disease, visit: Visit, onset: date, lasting: bool) -> str:
    return r.add(
        "Condition",
        "con",
        {
            "clinicalStatus": {"coding": [{"system": _CLINICAL, "code": "active" if lasting else "resolved"}]},
            "verificationStatus": {"coding": [{"system": _VERIFICATION, "code": "confirmed"}]},
            "code": _codeable(ICD10, disease.code, disease.name),
            "subject": r.subject,
            "encounter": {"reference": visit.encounter},
            "onsetDateTime": onset.isoformat(),
            "recordedDate": visit.time.isoformat(),
        },
    )


def _prescribe(r: Resident, disease: Disease, visit: Visit, condition: str) -> None:
    if not disease.medicines:
        return
    code = r.random.choice(disease.medicines)
    name, times = catalogue.MEDICINES[code]
    r.add(
        "MedicationRequest",
        "rx",
        {
            "status": "completed",
            "intent": "order",
            "medicationCodeableConcept": _codeable(ATC, code, name),
            "subject": r.subject,
            "encounter": {"reference": visit.encounter},
            "authoredOn": visit.time.isoformat(),
            "requester": {"reference": f"Practitioner/{visit.practitioner}"},
            "reasonReference": [{"reference": condition}],
            "dosageInstruction": [
                {
                    "text": f"口服 每日{times}次 每次1份",
                    "timing": {"repeat": {"frequency": times, "period": 1, "periodUnit": "d"}},
                }
            ],
        },
    )


def _immunizations(r: Resident) -> None:
    given: list[tuple[str, str, date]] = []
    if r.age < 14:
        given = [(c, n, r.born + timedelta(days=int(m * 30.5))) for c, n, m in catalogue.VACCINES]
    elif r.age >= 60 and r.random.random() < 0.4:
        given = [(*catalogue.INFLUENZA, date(year, 10, r.random.randint(8, 28))) for year in (2024, 2025)]
    for code, name, day in given:
        if day <= TODAY:
            r.add(
                "Immunization",
                "imm",
                {
                    "status": "completed",
                    "vaccineCode": _codeable("urn:yidang:vaccine", code, name),
                    "patient": r.subject,
                    "occurrenceDateTime": day.isoformat(),
                    "primarySource": True,
                    "performer": [{"actor": {"reference": f"Organization/{r.above.id}"}}],
                },
            )


def _allergy(r: Resident) -> None:
    substance, category, reaction = r.random.choice(catalogue.ALLERGIES)
    r.add(
        "AllergyIntolerance",
        "all",
        {
            "clinicalStatus": {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical",
                        "code": "active",
                    }
                ]
            },
            "verificationStatus": {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification",
                        "code": "confirmed",
                    }
                ]
            },
            "type": "allergy",
            "category": [category],
            "criticality": r.random.choice(("low", "high", "unable-to-assess")),
            "code": {"text": substance},
            "patient": r.subject,
            "reaction": [{"manifestation": [{"text": reaction}]}],
        },
    )


def _place(r: Resident, disease: Disease | None) -> Institution:
    """Where a visit takes place: minor things in the village, the graver ones further up."""
    roll = r.random.random()
    if disease and disease.code in ("I25.1", "I63.9", "K80.2", "J18.9"):
        roll += 0.4
    return r.clinic if roll < 0.4 else r.above if roll < 0.75 else r.hospital


def _course(r: Resident) -> None:
    """The visits of the last three years, oldest first, with what each leaves in the file."""
    random = r.random
    days = sorted(
        TODAY - timedelta(days=random.randint(1, 3 * 365)) for _ in range(1 + len(r.diseases) + random.randint(0, 3))
    )
    conditions: dict[str, str] = {}
    for n, day in enumerate(days):
        if day < r.born:
            continue
        lasting = r.diseases[n % len(r.diseases)] if r.diseases and random.random() < 0.75 else None
        possible = [d for d in catalogue.PASSING if d.age <= r.age]
        disease = lasting or random.choices(possible, [d.share for d in possible])[0]
        visit = _visit(r, _place(r, disease), day, disease.name)
        _vitals(r, visit)
        if lasting is None or disease.code not in conditions:
            onset = visit.time.date() - timedelta(days=random.randint(0, 2500) if lasting else random.randint(0, 5))
            reference = _condition(r, disease, visit, max(onset, r.born), lasting is not None)
            conditions[disease.code] = reference
        _prescribe(r, disease, visit, conditions[disease.code])
        if visit.place is not r.clinic:
            _laboratory(r, visit)


def _body(r: Resident) -> None:
    if r.age >= 18:
        visit = _visit(r, r.clinic, TODAY - timedelta(days=r.random.randint(30, 400)), "健康体检")
        for measure in (catalogue.HEIGHT, catalogue.WEIGHT):
            _measured(r, visit, "vital-signs", measure)
        _blood_pressure(r, visit)


_STEPS: tuple[Callable[[Resident], None], ...] = (_patient, _course, _body, _immunizations)


def resident(number: int, seed: int, places: list[Institution]) -> Iterator[Resource]:
    """All resources of resident ``number``, the Patient first, later ones referring only to earlier ones.

    ``places`` are the county's institutions. The same number and seed always give the same file,
    whatever was generated before it.
    """
    random = Random(f"{seed}:{number}")
    female = random.random() < 0.49
    age_days = int(random.triangular(0, 95, 48) * 365.25)
    clinics = [p for p in places if p.level == "village"]
    clinic = clinics[random.randrange(len(clinics))]
    by_id = {p.id: p for p in places}
    family, given = identity.person_name(random, female)
    made = Resident(
        number,
        random,
        female,
        TODAY - timedelta(days=age_days),
        clinic,
        by_id[clinic.parent or HOSPITAL],
        by_id[HOSPITAL],
        family,
        given,
    )
    made.diseases = [d for d in catalogue.LONG_TERM if made.age >= d.age and random.random() < d.share]
    for step in _STEPS:
        step(made)
    if random.random() < 0.12:
        _allergy(made)
    return iter(made.resources)
