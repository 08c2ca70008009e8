"""Rules on values and codes: impossible values, mistaken or missing units, flags and sexes that contradict, codes.

Limits: terminology/references (ObservationDefinitions of the records).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from profiles.quality.file import Event, File, Finding, codings_of, said
from terminology.conversion import LOINC, NotConvertible, convert
from terminology.references import Finding as Judgement
from terminology.references import Verdict, age_at, interpret_observation, misread_unit
from terminology.references.printed import unit_code

SYSTOLIC, DIASTOLIC, HEIGHT, WEIGHT, BODY_MASS = "8480-6", "8462-4", "8302-2", "29463-7", "39156-5"
_HEIGHT_CM, _BODY_MASS_OFF = 10, 1.5
_FEMALE = frozenset({*(f"O{n:02}" for n in range(100)), "Z33", "Z34", "Z35", *(f"C{n}" for n in range(51, 59)), "N80"})
_MALE = frozenset({*(f"C{n}" for n in range(60, 64)), *(f"N{n}" for n in range(40, 52))})
# Elements that are to have a code, by type.
_CODED = {
    "AllergyIntolerance": "code",
    "Condition": "code",
    "DiagnosticReport": "code",
    "Immunization": "vaccineCode",
    "MedicationRequest": "medicationCodeableConcept",
    "Observation": "code",
    "Procedure": "code",
}
Judged = Sequence[tuple[Event, str, Judgement]]


def judged(file: File) -> Judged:
    """Every value of the file with its element and judgement; worked out once for a file."""
    kept: Judged | None = file.__dict__.get("judged")
    if kept is not None:
        return kept
    birth = str(file.patient.get("birthDate", ""))
    found: list[tuple[Event, str, Judgement]] = []
    for event in file.events_of("Observation"):
        age = age_at(birth, event.day or file.today)
        for element, judgement in interpret_observation(file.references, event.resource, file.gender, age):
            found.append((event, element.removeprefix("Observation"), judgement))
    file.__dict__["judged"] = found
    return found


def implausible(file: File) -> Iterator[Finding]:
    """Values that cannot be, and no other unit explains."""
    for event, element, judgement in judged(file):
        if judgement.verdict is Verdict.IMPLAUSIBLE and not misread_unit(judgement):
            yield Finding(
                event.reference + element, f"{_name(judgement)}：数值不可能", f"{_name(judgement)}: an impossible value"
            )


def mistaken_unit(file: File) -> Iterator[Finding]:
    """Values that cannot be, and would be usual in another unit."""
    for event, element, judgement in judged(file):
        if unit := misread_unit(judgement):
            name = _name(judgement)
            zh = f"{name}：单位疑为 {unit} 而非 {judgement.unit}"
            yield Finding(event.reference + element, zh, f"{name}: probably in {unit}, not {judgement.unit}")


def no_unit(file: File) -> Iterator[Finding]:
    """Numbers of a known item without a unit, or with one of another kind."""
    for event, element, judgement in judged(file):
        definition = judgement.definition
        if definition is None or definition.presence or judgement.value is not None:
            continue
        quantity = _element(event.resource, element).get("valueQuantity")
        if isinstance(quantity, dict) and "value" in quantity:
            name, missing = _name(judgement), not unit_code(quantity)
            zh = f"{name}：{'没有单位' if missing else '单位不符'}"
            yield Finding(
                event.reference + element, zh, f"{name}: {'no unit' if missing else 'a unit of another kind'}"
            )


def wrong_flag(file: File) -> Iterator[Finding]:
    """A flag (H, L, N) that the value and the interval printed beside it do not bear out."""
    for event in file.events_of("Observation"):
        flags = {c.get("code") for f in event.resource.get("interpretation") or () for c in codings_of(f)}
        said_flag = next((flag for flag in ("H", "HH", "L", "LL", "N") if flag in flags), None)
        if said_flag is None or (true := _flag(event.resource)) is None:
            continue
        if said_flag[0] != true:
            yield Finding(
                f"{event.reference}.interpretation",
                "高低标志与参考区间不符",
                "its flag is not what its own interval says",
            )


def _flag(resource: Mapping[str, Any]) -> str | None:
    """H, L or N by the only interval that the result itself gives; None where it gives none, or several."""
    ranges: Sequence[Any] = resource.get("referenceRange") or ()
    quantity = resource.get("valueQuantity") or {}
    if len(ranges) != 1 or "value" not in quantity or quantity.get("comparator"):
        return None
    unit = unit_code(quantity)
    value = float(quantity["value"])
    limits: list[float | None] = []
    for side in ("low", "high"):
        limit = ranges[0].get(side)
        if limit is None or "value" not in limit:
            limits.append(None)
        elif unit_code(limit) not in ("", unit):
            return None
        else:
            limits.append(float(limit["value"]))
    low, high = limits[0], limits[1]
    if low is None and high is None:
        return None
    return "L" if low is not None and value < low else "H" if high is not None and value > high else "N"


def reversed_pressure(file: File) -> Iterator[Finding]:
    """A systolic pressure that is not above the diastolic one."""
    for event in file.measured.get(SYSTOLIC, ()):
        values = {code: value for code, value in _parts(event.resource, "mm[Hg]")}
        if SYSTOLIC in values and DIASTOLIC in values and values[SYSTOLIC] <= values[DIASTOLIC]:
            yield Finding(event.reference, "收缩压不高于舒张压", "the systolic pressure is not above the diastolic")


def unsteady_height(file: File) -> Iterator[Finding]:
    """An adult's heights that differ too much."""
    birth = str(file.patient.get("birthDate", ""))
    found: list[tuple[float, Event]] = []
    for event in file.measured.get(HEIGHT, ()):
        age = age_at(birth, event.day) if event.day else None
        if age is not None and 20 <= age < 65:
            found += [(value, event) for code, value in _parts(event.resource, "cm") if code == HEIGHT]
    if found:
        (low, _), (high, event) = min(found, key=_first), max(found, key=_first)
        if high - low > _HEIGHT_CM:
            yield Finding(
                event.reference, f"成人身高前后相差{high - low:.0f}厘米", f"heights differ by {high - low:.0f} cm"
            )


def wrong_body_mass(file: File) -> Iterator[Finding]:
    """A body mass index that is not that of the height and weight of the day."""
    days: dict[Any, dict[str, tuple[float, Event]]] = {}
    for code, unit in ((HEIGHT, "cm"), (WEIGHT, "kg"), (BODY_MASS, "kg/m2")):
        for event in file.measured.get(code, ()):
            for found, value in _parts(event.resource, unit):
                if found == code and event.day is not None:
                    days.setdefault(event.day, {})[code] = (value, event)
    for day in days.values():
        if len(day) == 3 and day[HEIGHT][0] > 0:
            index, event = day[BODY_MASS]
            true = day[WEIGHT][0] / (day[HEIGHT][0] / 100) ** 2
            if abs(true - index) > _BODY_MASS_OFF:
                yield Finding(event.reference, "体质指数与身高、体重不符", "the index is not that of height and weight")


def wrong_sex(file: File) -> Iterator[Finding]:
    """Diagnoses of the other sex."""
    foreign = {"male": _FEMALE, "female": _MALE}.get(file.gender, frozenset())
    for category, events in file.diagnoses.items():
        if category in foreign:
            for event in events:
                yield Finding(
                    f"{event.reference}.code", f"诊断 {category} 与性别不符", f"diagnosis {category} of the other sex"
                )


def no_code(file: File) -> Iterator[Finding]:
    """Words where a code is to be."""
    for event, element, concept in _concepts(file):
        if not any(c.get("code") for c in codings_of(concept)):
            yield Finding(
                f"{event.reference}.{element}", f"“{said(concept)}”没有编码", f"'{said(concept)}' has no code"
            )


def no_system(file: File) -> Iterator[Finding]:
    """Codes of no system."""
    for event, element, concept in _concepts(file):
        if any(c.get("code") and not c.get("system") for c in codings_of(concept)):
            yield Finding(f"{event.reference}.{element}", "编码没有注明编码系统", "a code without its system")


def no_words(file: File) -> Iterator[Finding]:
    """Codes that nobody can read: neither display nor text."""
    for event, element, concept in _concepts(file):
        if any(c.get("code") for c in codings_of(concept)) and not said(concept):
            yield Finding(f"{event.reference}.{element}", "只有编码没有名称", "a code without a name")


def _concepts(file: File) -> list[tuple[Event, str, dict[str, Any]]]:
    """Every concept that is to have a code; collected once for a file."""
    kept: list[tuple[Event, str, dict[str, Any]]] | None = file.__dict__.get("concepts")
    if kept is None:
        kept = file.__dict__["concepts"] = [
            (event, element, concept)
            for type, element in _CODED.items()
            for event in file.events_of(type)
            if isinstance(concept := event.resource.get(element), dict)
        ]
    return kept


def _parts(resource: Mapping[str, Any], unit: str) -> Iterator[tuple[str, float]]:
    """LOINC code and value, in ``unit``, of an Observation and its components, where they have one."""
    for element in (resource, *(resource.get("component") or ())):
        quantity = element.get("valueQuantity")
        if not isinstance(quantity, dict) or "value" not in quantity:
            continue
        try:
            value = convert(float(quantity["value"]), unit_code(quantity) or unit, unit)
        except NotConvertible:
            continue
        if math.isfinite(value):
            yield from (
                (str(c.get("code")), value) for c in codings_of(element.get("code")) if c.get("system") == LOINC
            )


def _element(resource: Mapping[str, Any], element: str) -> Mapping[str, Any]:
    if not element:
        return resource
    place = int(element[element.index("[") + 1 : -1])
    found: Mapping[str, Any] = resource["component"][place]
    return found


def _name(judgement: Judgement) -> str:
    return judgement.definition.name if judgement.definition else ""


def _first(pair: tuple[float, Event]) -> float:
    return pair[0]
