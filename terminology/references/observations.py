"""Whole Observations judged, with their components; and the unit in which an impossible value was probably meant.

https://hl7.org/fhir/R4/observation.html
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from terminology.conversion import NotConvertible, convert
from terminology.references.interpret import Definition, Finding, References, Verdict, interpret

Resource = Mapping[str, Any]
_NEGATIVE = frozenset({"neg", "nd", "negative", "not detected", "absent", "-", "(-)", "阴性", "阴性(-)", "未检出"})
_POSITIVE = frozenset({"pos", "det", "positive", "detected", "present", "+", "(+)", "阳性", "阳性(+)", "检出"})


def interpret_observation(
    references: References,
    observation: Resource,
    gender: str = "",
    age: float | None = None,
    contexts: frozenset[str] = frozenset(),
) -> Iterator[tuple[str, Finding]]:
    """The judgements on an Observation and on its components, each with its element (``Observation.component[1]``).

    Elements without a value are left out. Arguments as of ``interpret``.
    """
    if any(key.startswith("value") for key in observation):
        yield "Observation", _judge(references, observation, gender, age, contexts)
    for place, component in enumerate(observation.get("component") or ()):
        if any(key.startswith("value") for key in component):
            yield f"Observation.component[{place}]", _judge(references, component, gender, age, contexts)


def _judge(
    references: References, element: Resource, gender: str, age: float | None, contexts: frozenset[str]
) -> Finding:
    codings = (element.get("code") or {}).get("coding") or ()
    if "valueQuantity" in element:
        return interpret(references, codings, element["valueQuantity"], gender, age, contexts)
    definition = references.find(codings)
    if definition is None:
        return Finding(Verdict.UNKNOWN, reason="there is no definition of this item")
    if definition.presence:
        return _presence(definition, element)
    return Finding(Verdict.UNKNOWN, definition, reason="the value is no quantity")


def _presence(definition: Definition, element: Resource) -> Finding:
    """A finding without numbers: absent is normal."""
    concept = element.get("valueCodeableConcept") or {}
    words = {str(element.get("valueString", "")), str(concept.get("text", ""))}
    for coding in concept.get("coding") or ():
        words |= {str(coding.get("code", "")), str(coding.get("display", ""))}
    said = {word.strip().lower().replace("（", "(").replace("）", ")") for word in words}
    negative, positive = bool(said & _NEGATIVE), bool(said & _POSITIVE)
    if negative != positive:
        return Finding(Verdict.NORMAL if negative else Verdict.ABNORMAL, definition)
    return Finding(Verdict.UNKNOWN, definition, reason="it is not said whether it is absent or present")


def misread_unit(finding: Finding) -> str:
    """The unit in which an implausible value would be a usual one: probably the unit was mistaken; '' if none."""
    definition, value = finding.definition, finding.value
    if finding.verdict is not Verdict.IMPLAUSIBLE or definition is None or value is None or not definition.customary:
        return ""
    try:
        meant = convert(value, definition.customary, definition.unit, definition.loinc)
    except NotConvertible:
        return ""
    outside = [one for one in definition.intervals if one.category in ("absolute", "critical")]
    plausible = math.isfinite(meant) and not any(one.below(meant) or one.above(meant) for one in outside)
    return definition.customary if plausible else ""
