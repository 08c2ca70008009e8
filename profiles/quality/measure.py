"""The rules as a FHIR Measure, to which reports refer. https://hl7.org/fhir/R4/measure.html"""

from __future__ import annotations

from typing import Any

from profiles.quality.rules import DIMENSIONS, RULES, Rule
from profiles.quality.score import BANDS

MEASURE = "urn:yidang:Measure:record-quality"
VERSION = "2026.1"
RULE = "urn:yidang:quality-rule"
BAND = "urn:yidang:quality-band"
DIMENSION = "urn:yidang:quality-dimension"
POPULATION = "http://terminology.hl7.org/CodeSystem/measure-population"
WEIGHT = "urn:yidang:quality-weight"  # extension (integer) of a group
SEVERITY = "urn:yidang:quality-severity"  # extension (code) of a group
SCORE = "score"  # code of the group of the whole files
_SCORED = "http://terminology.hl7.org/CodeSystem/measure-scoring"
_NAMES = {
    "initial-population": "Initial Population",
    "denominator": "Denominator",
    "numerator": "Numerator",
    "measure-population": "Measure Population",
}


def measure() -> dict[str, Any]:
    """The Measure: a group for the score of whole files, stratified by band, and one for each rule."""
    bands = "；".join(f"{zh} ≥{lowest}" for _, lowest, zh, _ in BANDS)
    return {
        "resourceType": "Measure",
        "id": "record-quality",
        "url": MEASURE,
        "version": VERSION,
        "name": "RecordQuality",
        "title": "居民健康档案质量",
        "subtitle": "Quality of health record files",
        "status": "active",
        "publisher": "Yidang",
        "description": f"每份档案按规则评分：满分100分，未通过的规则按权重扣分。等级：{bands}。"
        "A file has 100 points; each rule that it fails takes its weight.",
        "scoring": {"coding": [{"system": _SCORED, "code": "proportion", "display": "Proportion"}]},
        "rateAggregation": "mean of the scores of files; rules: passed files / files that the rule is about",
        "group": [
            {
                "code": {"coding": [{"system": RULE, "code": SCORE}], "text": "档案评分"},
                "description": "档案总分（平均分）。The score of whole files (mean).",
                "population": [_population("initial-population", "every file of the institution that may be seen")],
                "stratifier": [
                    {
                        "code": {"coding": [{"system": BAND, "code": "band"}], "text": "等级"},
                        "criteria": {"language": "text/plain", "expression": "the band of the score"},
                    }
                ],
            },
            *(_group(rule) for rule in RULES),
        ],
    }


def rule_concept(rule: Rule) -> dict[str, Any]:
    """The rule as a CodeableConcept."""
    return {"coding": [{"system": RULE, "code": rule.id, "display": rule.en}], "text": rule.zh}


def population_concept(code: str) -> dict[str, Any]:
    """A population of a measure as a CodeableConcept."""
    return {"coding": [{"system": POPULATION, "code": code, "display": _NAMES[code]}]}


def _group(rule: Rule) -> dict[str, Any]:
    zh, en = DIMENSIONS[rule.dimension]
    return {
        "extension": [
            {"url": WEIGHT, "valueInteger": rule.weight},
            {"url": SEVERITY, "valueCode": rule.severity},
            {"url": DIMENSION, "valueCode": rule.dimension},
        ],
        "code": rule_concept(rule),
        "description": f"{rule.zh}（{zh}）。{rule.en} ({en}). {_sentence(rule)}",
        "population": [
            _population("denominator", "files that the rule is about"),
            _population("numerator", "those among them that pass it"),
        ],
    }


def _sentence(rule: Rule) -> str:
    return " ".join((rule.find.__doc__ or "").split())


def _population(code: str, expression: str) -> dict[str, Any]:
    criteria = {"language": "text/plain", "expression": expression}
    return {"code": population_concept(code), "criteria": criteria}
