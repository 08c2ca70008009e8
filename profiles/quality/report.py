"""The tally of an institution's files as a MeasureReport. https://hl7.org/fhir/R4/measurereport.html"""

from __future__ import annotations

from typing import Any

from profiles.quality.measure import BAND, MEASURE, RULE, SCORE, VERSION, population_concept, rule_concept
from profiles.quality.rules import RULES
from profiles.quality.score import BANDS, Tally

PARTIAL = "urn:yidang:quality-partial"  # extension (boolean): there are more files than were judged
WORST = "urn:yidang:quality-worst"  # extension (Reference): the contained List of the worst files
FILE_SCORE = "urn:yidang:quality-score"  # extension (decimal) of an entry of that List
FAILED = "urn:yidang:quality-failed"  # extension (code, repeated) of an entry: the rules that the file fails
_UCUM = "http://unitsofmeasure.org"


def measure_report(tally: Tally, institution: str, today: str, now: str, partial: bool = False) -> dict[str, Any]:
    """The MeasureReport on the files of ``institution`` (``Organization/id``).

    ``today`` is the day of the judgement, ``now`` the instant. The worst files are in it where the tally keeps any.
    """
    report: dict[str, Any] = {"resourceType": "MeasureReport"}
    extensions: list[dict[str, Any]] = []
    if tally.worst:
        report["contained"] = [_worst(tally, now)]
        extensions.append({"url": WORST, "valueReference": {"reference": "#worst"}})
    if partial:
        extensions.append({"url": PARTIAL, "valueBoolean": True})
    if extensions:
        report["extension"] = extensions
    report |= {
        "status": "complete",
        "type": "summary",
        "measure": f"{MEASURE}|{VERSION}",
        "date": now,
        "reporter": {"reference": institution},
        "period": {"start": today, "end": today},
        "group": [_scores(tally), *(group for rule in RULES if (group := _rule(tally, rule.id)))],
    }
    return report


def _scores(tally: Tally) -> dict[str, Any]:
    return {
        "code": {"coding": [{"system": RULE, "code": SCORE}], "text": "档案评分"},
        "population": [_population("initial-population", tally.files)],
        "measureScore": {"value": tally.score},
        "stratifier": [
            {
                "code": [{"coding": [{"system": BAND, "code": "band"}], "text": "等级"}],
                "stratum": [
                    {
                        "value": {
                            "coding": [{"system": BAND, "code": code, "display": en}],
                            "text": f"{zh}（≥{lowest}）",
                        },
                        "population": [_population("initial-population", tally.bands[code])],
                    }
                    for code, lowest, zh, en in BANDS
                ],
            }
        ],
    }


def _rule(tally: Tally, id: str) -> dict[str, Any] | None:
    """The group of a rule; None where it is about no file."""
    about, failed = tally.about[id], tally.failed[id]
    if not about:
        return None
    rule = next(rule for rule in RULES if rule.id == id)
    return {
        "code": rule_concept(rule),
        "population": [_population("denominator", about), _population("numerator", about - failed)],
        "measureScore": {
            "value": round(100 * (about - failed) / about, 1),
            "unit": "%",
            "system": _UCUM,
            "code": "%",
        },
    }


def _population(code: str, count: int) -> dict[str, Any]:
    return {"code": population_concept(code), "count": count}


def _worst(tally: Tally, now: str) -> dict[str, Any]:
    return {
        "resourceType": "List",
        "id": "worst",
        "status": "current",
        "mode": "snapshot",
        "title": "待完善档案 / files to mend",
        "date": now,
        "entry": [
            {
                "extension": [
                    {"url": FILE_SCORE, "valueDecimal": score},
                    *({"url": FAILED, "valueCode": id} for id in failed),
                ],
                "item": {"reference": name},
            }
            for score, name, failed in tally.worst
        ],
    }
