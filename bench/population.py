"""The made-up people of the benchmark: the same ones for the same numbers, whatever the size of the run.

A person has a Patient, 3 Conditions, 8 visits (Encounters) with 50 Observations, and 30 home measurements of
one item. Observations are 1.1 to 1.3 KB, as a hospital's laboratory system sends them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any, NamedTuple

from loaders.demo import catalogue, identity
from loaders.demo.catalogue import ICD10, LOINC, UCUM, Measure
from loaders.demo.county import COUNTY, Institution, institutions, practitioners_of
from profiles.lossless import encode, raw

Resource = dict[str, Any]

VISITS, READINGS_A_VISIT, HOME = 8, (7, 7, 6, 6, 6, 6, 6, 6), 30
OBSERVATIONS = sum(READINGS_A_VISIT) + HOME
CONDITIONS = 3
PER_PERSON = 1 + CONDITIONS + VISITS + OBSERVATIONS
MEASURES: tuple[Measure, ...] = (
    *catalogue.VITALS,
    catalogue.HEIGHT,
    catalogue.WEIGHT,
    *(measure for _, _, panel in catalogue.PANELS for measure in panel),
)
VITAL = len(catalogue.VITALS) + 2
DISEASES = catalogue.LONG_TERM + catalogue.PASSING
PLACES = institutions()

_ZONE = timezone(timedelta(hours=8))
_FIRST = int(datetime(2023, 11, 1, tzinfo=UTC).timestamp())
# Times never collide: visit number v of person n stands in its own 64 s of three years.
_SLOTS, _STRIDE, _SLOT_SECONDS = 1_500_007, 611_953, 64
MAX_PEOPLE = _SLOTS // (VISITS + HOME)
_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
_CATEGORIES = {"vital-signs": "Vital Signs", "laboratory": "Laboratory"}
_INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
_FLAGS = {"H": "High", "L": "Low", "N": "Normal"}
_CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
_VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"


class Reading(NamedTuple):
    """One measured value: index into MEASURES, visit (-1 at home), seconds since 1970, the digits."""

    measure: int
    visit: int
    time: int
    value: str


@dataclass(frozen=True, slots=True)
class Person:
    """One person's facts; resources and true answers are both made from them."""

    number: int
    family: str
    given: str
    female: bool
    born: str
    diseases: tuple[int, ...]
    visits: tuple[tuple[int, int, str], ...]  # time, place, practitioner
    readings: tuple[Reading, ...]

    @property
    def name(self) -> str:
        return self.family + self.given

    @property
    def patient(self) -> str:
        """The Patient's local name; the others are named after it."""
        return f"p{self.number}"


def _time(number: int, event: int) -> int:
    slot = (number * (VISITS + HOME) + event) * _STRIDE % _SLOTS
    return _FIRST + slot * _SLOT_SECONDS


def _value(random: Random, measure: Measure, female: bool) -> str:
    low, high = measure.female if female else measure.male
    value = max(random.gauss((low + high) / 2, (high - low) * 0.35), 0.0)
    return f"{value:.{measure.digits}f}"


def person(number: int) -> Person:
    """The person of that number (from 0)."""
    random = Random(number * 2_654_435_761 + 1)
    female = random.random() < 0.49
    family, given = identity.person_name(random, female)
    born = datetime.fromordinal(711_858 + int(random.triangular(0, 34_000, 15_000)))
    visits = []
    readings: list[Reading] = []
    for v in range(VISITS):
        place = random.randrange(len(PLACES))
        time = _time(number, v)
        visits.append((time, place, random.choice(practitioners_of(PLACES[place]))))
        for k, m in enumerate(random.sample(range(len(MEASURES)), READINGS_A_VISIT[v])):
            readings.append(Reading(m, v, time + k, _value(random, MEASURES[m], female)))
    watched = random.choice((0, 1, 3, 5, 19))  # what this person measures at home, again and again
    for h in range(HOME):
        readings.append(Reading(watched, -1, _time(number, VISITS + h), _value(random, MEASURES[watched], female)))
    diseases = tuple(sorted(random.sample(range(len(DISEASES)), CONDITIONS)))
    return Person(number, family, given, female, f"{born:%Y-%m-%d}", diseases, tuple(visits), tuple(readings))


def people(count: int, first: int = 0) -> Iterator[Person]:
    """``count`` persons from number ``first`` on."""
    return map(person, range(first, first + count))


# -- resources -----------------------------------------------------------------------------------


def _instant(time: int) -> str:
    return datetime.fromtimestamp(time, _ZONE).isoformat()


def _concept(system: str, code: str, text: str) -> Resource:
    return {"coding": [{"system": system, "code": code, "display": text}], "text": text}


def _patient(p: Person) -> Resource:
    clinic = PLACES[9 + p.number % (len(PLACES) - 9)]
    born = datetime.fromisoformat(p.born).date()
    return {
        "resourceType": "Patient",
        "id": p.patient,
        "identifier": [
            {
                "use": "official",
                "type": {
                    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "NI"}],
                    "text": "居民身份证",
                },
                "system": identity.IDENTITY_NUMBER,
                "value": identity.identity_number(p.number, born, p.female),
            },
            {"use": "secondary", "system": identity.HEALTH_FILE_NUMBER, "value": f"{identity.REGION}{p.number:011d}"},
        ],
        "active": True,
        "name": [{"use": "official", "text": p.name, "family": p.family, "given": [p.given]}],
        "telecom": [{"system": "phone", "value": identity.phone(p.number), "use": "mobile"}],
        "gender": "female" if p.female else "male",
        "birthDate": p.born,
        "address": [
            {
                "use": "home",
                "text": f"{COUNTY}{clinic.township}{clinic.village}{p.number % 97 + 1}号",
                "line": [f"{clinic.village}{p.number % 97 + 1}号"],
                "city": COUNTY,
                "district": clinic.township,
                "country": "CN",
            }
        ],
        "generalPractitioner": [{"reference": f"Practitioner/{practitioners_of(clinic)[0]}"}],
        "managingOrganization": {"reference": f"Organization/{clinic.id}", "display": clinic.name},
    }


def _condition(p: Person, k: int, refer: dict[str, str]) -> Resource:
    disease = DISEASES[p.diseases[k]]
    return {
        "resourceType": "Condition",
        "id": f"c{p.number}-{k}",
        "clinicalStatus": {"coding": [{"system": _CLINICAL, "code": "active"}]},
        "verificationStatus": {"coding": [{"system": _VERIFICATION, "code": "confirmed"}]},
        "code": _concept(ICD10, disease.code, disease.name),
        "subject": {"reference": refer["p"], "display": p.name},
        "encounter": {"reference": refer[f"e{k}"]},
        "onsetDateTime": _instant(p.visits[k][0])[:10],
        "recordedDate": _instant(p.visits[k][0]),
    }


def _encounter(p: Person, v: int, refer: dict[str, str]) -> Resource:
    time, at, practitioner = p.visits[v]
    place = PLACES[at]
    return {
        "resourceType": "Encounter",
        "id": f"e{p.number}-{v}",
        "identifier": [{"system": identity.OUTPATIENT_NUMBER, "value": f"{p.number:07d}{v}"}],
        "status": "finished",
        "class": {
            "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
            "code": "AMB",
            "display": "ambulatory",
        },
        "subject": {"reference": refer["p"], "display": p.name},
        "participant": [{"individual": {"reference": f"Practitioner/{practitioner}"}}],
        "period": {"start": _instant(time), "end": _instant(time + 1200)},
        "reasonCode": [{"text": DISEASES[p.diseases[v % CONDITIONS]].name}],
        "serviceProvider": {"reference": f"Organization/{place.id}", "display": place.name},
    }


def _performed(p: Person, reading: Reading, refer: dict[str, str]) -> Resource:
    """Who measured, where and in which visit; at home nobody did."""
    if reading.visit < 0:
        return {"performer": [{"reference": refer["p"], "display": p.name}], "method": {"text": "居家自测"}}
    _, at, practitioner = p.visits[reading.visit]
    place: Institution = PLACES[at]
    return {
        "encounter": {"reference": refer[f"e{reading.visit}"]},
        "performer": [
            {"reference": f"Practitioner/{practitioner}"},
            {"reference": f"Organization/{place.id}", "display": place.name},
        ],
    }


def observation(p: Person, k: int, refer: dict[str, str]) -> Resource:
    """The Observation of reading ``k``; ``refer`` names the person's own resources (``p``, ``e0`` …)."""
    reading = p.readings[k]
    measure = MEASURES[reading.measure]
    low, high = measure.female if p.female else measure.male
    value = float(reading.value)
    flag = "H" if value > high else "L" if value < low else "N"
    category = "vital-signs" if reading.measure < VITAL else "laboratory"
    quantity = {"unit": measure.unit, "system": UCUM, "code": measure.unit}
    when = _instant(reading.time)
    return {
        "resourceType": "Observation",
        "id": f"o{p.number}-{k}",
        "identifier": [{"system": identity.REPORT_NUMBER, "value": f"L{p.number:07d}{k:03d}"}],
        "status": "final",
        "category": [
            {"coding": [{"system": _CATEGORY, "code": category, "display": _CATEGORIES[category]}], "text": category}
        ],
        "code": _concept(LOINC, measure.code, measure.name),
        "subject": {"reference": refer["p"], "display": p.name},
        "effectiveDateTime": when,
        "issued": when,
        **_performed(p, reading, refer),
        "valueQuantity": {"value": raw(reading.value.encode()), **quantity},
        "interpretation": [{"coding": [{"system": _INTERPRETATION, "code": flag, "display": _FLAGS[flag]}]}],
        "referenceRange": [
            {
                "low": {"value": raw(f"{low:.{measure.digits}f}".encode()), **quantity},
                "high": {"value": raw(f"{high:.{measure.digits}f}".encode()), **quantity},
                "text": f"{low}–{high} {measure.unit}",
            }
        ],
    }


def _urn(number: int, serial: int) -> str:
    return f"urn:uuid:{number:08x}-0000-4000-8000-{serial:012x}"


def own_names(p: Person, create: bool) -> dict[str, str]:
    """How the person's resources refer to each other: ``Type/id``, or urn:uuid where the server gives the ids."""
    if create:
        return {"p": _urn(p.number, 0), **{f"e{v}": _urn(p.number, v + 1) for v in range(VISITS)}}
    return {"p": f"Patient/{p.patient}", **{f"e{v}": f"Encounter/e{p.number}-{v}" for v in range(VISITS)}}


def resources(p: Person, refer: dict[str, str]) -> list[Resource]:
    """All resources of a person: Patient, Encounters, Conditions, Observations."""
    return [
        _patient(p),
        *(_encounter(p, v, refer) for v in range(VISITS)),
        *(_condition(p, k, refer) for k in range(CONDITIONS)),
        *(observation(p, k, refer) for k in range(OBSERVATIONS)),
    ]


def bundle(p: Person, create: bool) -> bytes:
    """One person's transaction Bundle: POSTs joined by urn:uuid references, or PUTs with ids."""
    entries: list[Resource] = []
    for serial, resource in enumerate(resources(p, own_names(p, create))):
        type_, id_ = resource["resourceType"], resource["id"]
        if create:
            del resource["id"]
            entry: Resource = {"fullUrl": _urn(p.number, serial), "resource": resource}
            entry["request"] = {"method": "POST", "url": type_}
        else:
            entry = {"resource": resource, "request": {"method": "PUT", "url": f"{type_}/{id_}"}}
        entries.append(entry)
    return encode({"resourceType": "Bundle", "type": "transaction", "entry": entries})


def local_names(number: int) -> list[str]:
    """The local names (ids of the PUT form) of a person's resources, in the order of the Bundle."""
    return [
        f"p{number}",
        *(f"e{number}-{v}" for v in range(VISITS)),
        *(f"c{number}-{k}" for k in range(CONDITIONS)),
        *(f"o{number}-{k}" for k in range(OBSERVATIONS)),
    ]
