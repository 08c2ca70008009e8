"""The shipped table as FHIR resources: an ObservationDefinition for each item, value sets for absent and present.

https://hl7.org/fhir/R4/observationdefinition.html
"""

from __future__ import annotations

from typing import Any

from terminology.conversion import LOINC, convert
from terminology.references.table import NEWBORN_DAYS, Item, Span, items
from terminology.ucum import SYSTEM as UCUM
from terminology.ucum import canonical

Resource = dict[str, Any]
LAB_ITEM = "urn:yidang:lab-item"
TO_CONFIRM = "urn:yidang:to-confirm"  # extension (string) of an interval: why it is to be confirmed locally
SOURCE = "urn:yidang:interval-source"  # extension (string) of an interval: where it is from
EXCLUDED = "urn:yidang:bound-excluded"  # extension (boolean) of a Quantity of a Range: the limit itself is outside
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
RANGE_CATEGORY = "http://hl7.org/fhir/observation-range-category"
INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
NEGATIVE, POSITIVE = "presence-negative", "presence-positive"  # ids of value sets
_CATEGORIES = {"laboratory": "Laboratory", "vital-signs": "Vital Signs", "procedure": "Procedure"}
_STANDARD = "WS/T 404、405 系列（成人） / WS/T 404 and 405 (adults)"
_USUAL = "常用试剂 / usual assays"
_ASSAY = "依试剂与方法而定，请按本机构实验室核定 / depends on the assay: set it to that of your laboratory"
_PRACTICE = "通行标准 / common practice"
_CONFIRM = "请按本机构制度核定 / set it to the rules of your institution"
_LOCAL = "危急值各地不同，请按本机构制度核定 / critical limits are local: set them to those of your institution"
_OURS = "本产品默认值 / default of this product"

_UNSURE = {"laboratory": (_USUAL, _ASSAY)}  # source and mark of reference intervals that no standard gives


def definitions() -> list[Resource]:
    """The resources of the shipped table, the same at every call; ids are made from LOINC codes."""
    return [*(_presence(*one) for one in _PRESENCE), *(_definition(item) for item in items())]


_PRESENCE = (
    (NEGATIVE, "阴性", "PresenceNegative", (("NEG", "Negative", "阴性"), ("ND", "Not detected", "未检出"))),
    (POSITIVE, "阳性", "PresencePositive", (("POS", "Positive", "阳性"), ("DET", "Detected", "检出"))),
)


def _presence(id: str, title: str, name: str, codes: tuple[tuple[str, str, str], ...]) -> Resource:
    concepts = [
        {"code": code, "display": display, "designation": [{"language": "zh-CN", "value": zh}]}
        for code, display, zh in codes
    ]
    return {
        "resourceType": "ValueSet",
        "id": id,
        "url": f"urn:yidang:ValueSet:{id}",
        "version": "2026.1",
        "name": name,
        "title": title,
        "status": "active",
        "publisher": "Yidang",
        "compose": {"include": [{"system": INTERPRETATION, "concept": concepts}]},
    }


def _definition(item: Item) -> Resource:
    coding = [{"system": LOINC, "code": item.loinc}]
    if item.local:
        coding.append({"system": LAB_ITEM, "code": item.local, "display": item.zh})
    found: Resource = {
        "resourceType": "ObservationDefinition",
        "id": f"reference-{item.loinc}",
        "category": [
            {"coding": [{"system": CATEGORY, "code": item.category, "display": _CATEGORIES[item.category]}]},
        ],
        "code": {"coding": coding, "text": item.zh},
        "permittedDataType": ["Quantity" if item.unit else "CodeableConcept"],
        "preferredReportName": item.zh,
    }
    if not item.unit:
        found["normalCodedValueSet"] = {"reference": f"ValueSet/{NEGATIVE}"}
        found["abnormalCodedValueSet"] = {"reference": f"ValueSet/{POSITIVE}"}
        return found
    found["quantitativeDetails"] = _details(item)
    source, confirm = (_STANDARD, "") if item.standard else _UNSURE.get(item.category, (_PRACTICE, _CONFIRM))
    intervals = [_interval("reference", span, item, source, confirm) for span in item.reference]
    if item.critical:
        intervals.append(_interval("critical", item.critical, item, "", _LOCAL))
    if item.absolute:
        intervals.append(_interval("absolute", item.absolute, item, _OURS, _OURS))
    found["qualifiedInterval"] = intervals
    return found


def _details(item: Item) -> Resource:
    found: Resource = {"unit": _unit(item.unit), "decimalPrecision": item.digits}
    if item.customary:
        found["customaryUnit"] = _unit(item.customary)
        one, other = canonical(item.unit), canonical(item.customary)
        if one is not None and other is not None and not one.offset and not other.offset and item.loinc != "4548-4":
            found["conversionFactor"] = _number(float(f"{convert(1.0, item.unit, item.customary, item.loinc):.6g}"))
    return found


def _unit(code: str) -> Resource:
    return {"coding": [{"system": UCUM, "code": code}]}


def _interval(category: str, span: Span, item: Item, source: str, confirm: str) -> Resource:
    extensions = [{"url": url, "valueString": text} for url, text in ((SOURCE, source), (TO_CONFIRM, confirm)) if text]
    sides = (("low", span.low, span.low_excluded), ("high", span.high, span.high_excluded))
    range_: Resource = {
        side: {
            **({"extension": [{"url": EXCLUDED, "valueBoolean": True}]} if excluded else {}),
            **_quantity(limit, item.unit),
        }
        for side, limit, excluded in sides
        if limit is not None
    }
    found: Resource = {"extension": extensions, "category": category, "range": range_}
    if span.sex:
        found["gender"] = span.sex
    if category == "critical":
        found["age"] = {"low": _quantity(NEWBORN_DAYS, "d")}
    elif span.since or span.until:
        found["age"] = {"low": _quantity(span.since, "a")}
        if span.until:
            found["age"]["high"] = {
                "extension": [{"url": EXCLUDED, "valueBoolean": True}],
                **_quantity(span.until, "a"),
            }
    return found


def _quantity(value: float, unit: str) -> Resource:
    return {"value": _number(value), "unit": unit, "system": UCUM, "code": unit}


def _number(value: float) -> int | float:
    return int(value) if value == int(value) else value
