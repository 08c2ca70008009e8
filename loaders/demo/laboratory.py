"""Measurements of a resident: vital signs and laboratory panels, each person with values of their own and trends."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from loaders.demo import catalogue, identity
from loaders.demo.catalogue import LOINC, UCUM, Measure
from loaders.demo.draft import OBSERVATION_CATEGORY, SERVICE, Draft, Resource, Visit, codeable, organization
from loaders.demo.people import TODAY

PANELS = {code: (name, items) for code, name, items in (*catalogue.PANELS, *catalogue.MORE_PANELS)}
BLOOD, LIVER, KIDNEY, LIPIDS, SUGAR = (code for code, _, _ in catalogue.PANELS)
ELECTROLYTES, THYROID, CLOTTING, HEART = (code for code, _, _ in catalogue.MORE_PANELS)

_INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
_FLAGS = {"H": "High", "L": "Low", "N": "Normal", "POS": "Positive", "NEG": "Negative"}
_CATEGORIES = {"vital-signs": "Vital Signs", "laboratory": "Laboratory"}

# Where a disease takes an item: by trait, item → (value three years ago, value now).
_TRENDS: dict[str, dict[str, tuple[float, float]]] = {
    "diabetes": {"4548-4": (9.1, 7.0), "14771-0": (10.4, 7.1)},
    "uncontrolled diabetes": {"4548-4": (7.7, 9.4), "14771-0": (8.3, 11.6)},
    "hypertension": {"8480-6": (158, 137), "8462-4": (96, 85)},
    "uncontrolled hypertension": {"8480-6": (149, 168), "8462-4": (92, 101)},
    "kidney": {"14682-9": (118, 192), "22664-7": (8.4, 13.9), "718-7": (124, 103), "14933-6": (430, 512)},
    "heart": {"22748-8": (4.2, 2.1), "14647-2": (6.2, 4.0), "33762-6": (180, 640)},
    "stroke": {"22748-8": (3.9, 2.2), "14647-2": (5.9, 4.1)},
    "hepatitis": {"1742-6": (104, 33), "1920-8": (78, 29)},
    "thyroid": {"3016-3": (9.6, 2.9), "14920-3": (9.4, 15.2)},
    "alcohol": {"1742-6": (61, 88), "1920-8": (72, 117)},
    "lungs": {"59408-5": (94, 91)},
    "hiv": {"24467-3": (212, 566), "20447-9": (86_000, 20)},
    "pregnancy": {"718-7": (122, 108)},
}


def expected(draft: Draft, measure: Measure, day: date) -> float:
    """What the item would be that day without the day's chance."""
    for trait, trends in _TRENDS.items():
        if measure.code in trends and all(part in draft.traits for part in trait.split()):
            if " " not in trait and f"uncontrolled {trait}" in _TRENDS and draft.has("uncontrolled"):
                continue
            then, now = trends[measure.code]
            passed = min(max(1 - (TODAY - day).days / 1095, 0.0), 1.0)
            return then + (now - then) * passed
    low, high = measure.female if draft.person.female else measure.male
    if measure.code not in draft.usual:
        draft.usual[measure.code] = low + (high - low) * draft.random.uniform(0.18, 0.82)
    return draft.usual[measure.code]


def value(draft: Draft, measure: Measure, day: date, shift: float = 0.0) -> Decimal:
    """A measured value with the digits the laboratory prints; ``shift`` in widths of the reference range."""
    low, high = measure.female if draft.person.female else measure.male
    mean = expected(draft, measure, day) + shift * (high - low)
    found = draft.random.gauss(mean, min((high - low) * 0.07, abs(mean) * 0.08))
    return Decimal(f"{max(found, 0.0):.{measure.digits}f}")


def quantity(value: Decimal | int, unit: str) -> Resource:
    """A Quantity in a UCUM unit."""
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def _flag(code: str) -> list[Resource]:
    return [{"coding": [{"system": _INTERPRETATION, "code": code, "display": _FLAGS[code]}]}]


def _range(measure: Measure, female: bool) -> list[Resource]:
    low, high = measure.female if female else measure.male
    quote = f".{measure.digits}f"
    return [{side: quantity(Decimal(format(v, quote)), measure.unit) for side, v in (("low", low), ("high", high))}]


def observation(
    draft: Draft, seen: Visit, category: str, code: Resource, rest: Resource, labels: tuple[str, ...] = ()
) -> str:
    """An Observation of a visit; ``rest`` is its value."""
    known = _CATEGORIES.get(category)
    coding = {"system": OBSERVATION_CATEGORY, "code": category, **({"display": known} if known else {})}
    return draft.record(
        seen,
        "obs",
        {
            "resourceType": "Observation",
            "status": "final",
            "category": [{"coding": [coding]}],
            "code": code,
            "subject": draft.subject,
            "encounter": {"reference": seen.encounter},
            "effectiveDateTime": seen.time.isoformat(),
            "performer": [organization(seen.place)],
            **rest,
        },
        labels,
    )


def measured(
    draft: Draft,
    seen: Visit,
    category: str,
    measure: Measure,
    shift: float = 0.0,
    labels: tuple[str, ...] = (),
) -> str:
    """One measured item; laboratory items with their flag and reference range."""
    found = value(draft, measure, seen.time.date(), shift)
    rest: Resource = {"valueQuantity": quantity(found, measure.unit)}
    if category == "laboratory":
        low, high = measure.female if draft.person.female else measure.male
        rest["interpretation"] = _flag("H" if found > Decimal(str(high)) else "L" if found < Decimal(str(low)) else "N")
        rest["referenceRange"] = _range(measure, draft.person.female)
    return observation(draft, seen, category, codeable(LOINC, measure.code, measure.name), rest, labels)


def presence(draft: Draft, seen: Visit, code: str, name: str, positive: bool, labels: tuple[str, ...] = ()) -> str:
    """A test that is positive or negative."""
    rest: Resource = {
        "valueCodeableConcept": {"text": "阳性" if positive else "阴性"},
        "interpretation": _flag("POS" if positive else "NEG"),
    }
    return observation(draft, seen, "laboratory", codeable(LOINC, code, name), rest, labels)


def blood_pressure(draft: Draft, seen: Visit) -> str:
    """A blood pressure with its two components."""
    day = seen.time.date()
    parts = [(m, value(draft, m, day)) for m in (catalogue.SYSTOLIC, catalogue.DIASTOLIC)]
    component = [{"code": codeable(LOINC, m.code, m.name), "valueQuantity": quantity(v, m.unit)} for m, v in parts]
    return observation(draft, seen, "vital-signs", codeable(LOINC, *catalogue.PRESSURE_PANEL), {"component": component})


def vitals(draft: Draft, seen: Visit, count: int = 2, fever: bool = False) -> None:
    """The usual measurements of a visit: pressure of adults, then ``count`` of heart rate, temperature …"""
    if draft.age_on(seen.time.date()) >= 18:
        blood_pressure(draft, seen)
    for measure in catalogue.VITALS[:count]:
        measured(draft, seen, "vital-signs", measure, 1.4 if fever and measure is catalogue.TEMPERATURE else 0.0)


def body(draft: Draft, seen: Visit) -> None:
    """Height, weight and, of adults, what is computed from them."""
    day = seen.time.date()
    if draft.age_on(day) < 18:
        return
    height, weight = value(draft, catalogue.HEIGHT, day), value(draft, catalogue.WEIGHT, day)
    index = (weight / (height / 100) ** 2).quantize(Decimal("0.1"))
    for measure, found in ((catalogue.HEIGHT, height), (catalogue.WEIGHT, weight), (catalogue.BODY_MASS, index)):
        rest = {"valueQuantity": quantity(found, measure.unit)}
        observation(draft, seen, "vital-signs", codeable(LOINC, measure.code, measure.name), rest)


def report(
    draft: Draft,
    seen: Visit,
    code: str,
    name: str,
    results: list[str],
    labels: tuple[str, ...] = (),
) -> str:
    """The laboratory report over these results."""
    number = f"L{draft.person.number:06d}{draft.counts.get('rep', 0):03d}"
    return draft.record(
        seen,
        "rep",
        {
            "resourceType": "DiagnosticReport",
            "identifier": [{"system": identity.REPORT_NUMBER, "value": number}],
            "status": "final",
            "category": [{"coding": [{"system": SERVICE, "code": "LAB", "display": "Laboratory"}], "text": "检验"}],
            "code": codeable(LOINC, code, name),
            "subject": draft.subject,
            "encounter": {"reference": seen.encounter},
            "effectiveDateTime": seen.time.isoformat(),
            "issued": seen.later(hours=3),
            "performer": [organization(seen.place)],
            "result": [{"reference": reference} for reference in results],
        },
        labels,
    )


def panel(draft: Draft, seen: Visit, code: str, shifts: dict[str, float] | None = None) -> str:
    """A whole panel: its items and the report; ``shifts`` move items (by LOINC code) for this once."""
    name, items = PANELS[code]
    found = [measured(draft, seen, "laboratory", item, (shifts or {}).get(item.code, 0.0)) for item in items]
    return report(draft, seen, code, name, found)
