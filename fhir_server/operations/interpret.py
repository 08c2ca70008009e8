"""Operation Observation/$interpret (ours): what a measured value is by the reference intervals and limits of here.

``Observation/[id]/$interpret`` judges a stored Observation, ``Observation/$interpret`` one that is given, or a plain
value. Intervals: terminology/references.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from fhir_server.errors import BadRequest
from fhir_server.http.exchange import Request, Response
from fhir_server.operations.parameters import input_of, parts_of, simple_pairs
from fhir_server.operations.ruling import Part, seen, text_parts
from fhir_server.records.references import references
from profiles.lossless import parse
from terminology.conversion import LOINC
from terminology.references import Finding, References, Verdict, age_at, interpret, interpret_observation
from terminology.references.definitions import INTERPRETATION
from terminology.references.interpret import Interval
from terminology.ucum import SYSTEM as UCUM

if TYPE_CHECKING:
    from fhir_server.context import Context

Resource = dict[str, Any]
_SIMPLE = frozenset({"code", "value", "unit", "gender", "birthDate", "age", "context", "date"})
_GENDERS = frozenset({"male", "female", "other", "unknown"})
# https://hl7.org/fhir/R4/datatypes.html#primitive
_DECIMAL = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", re.ASCII)
_DATE = re.compile(r"[0-9]{4}(-[0-9]{2}(-[0-9]{2}(T[0-9:.+Zz-]{1,30})?)?)?", re.ASCII)
_MOST = 1000  # observations of one request
# Verdict → code and display of v3-ObservationInterpretation, words.
_WORDS: dict[Verdict, tuple[str, str, str, str]] = {
    Verdict.LOW: ("L", "Low", "偏低", "low"),
    Verdict.NORMAL: ("N", "Normal", "正常", "normal"),
    Verdict.HIGH: ("H", "High", "偏高", "high"),
    Verdict.CRITICAL_LOW: ("LL", "Critical low", "危急值（过低）", "critically low"),
    Verdict.CRITICAL_HIGH: ("HH", "Critical high", "危急值（过高）", "critically high"),
    Verdict.ABNORMAL: ("A", "Abnormal", "异常", "abnormal"),
    Verdict.IMPLAUSIBLE: ("", "", "不可能的数值，请核对数值与单位", "implausible: check the value and its unit"),
    Verdict.UNKNOWN: ("", "", "无法判断", "not judged"),
}


@dataclass(frozen=True, slots=True)
class _Person:
    """Of whom the values are: sex ('' unknown), birth date or age in years, codes of contexts (pregnancy …)."""

    gender: str = ""
    birth: str = ""
    age: float | None = None
    contexts: frozenset[str] = frozenset()

    def age_on(self, day: date) -> float | None:
        """The age then, None where it is not known."""
        return self.age if self.age is not None else age_at(self.birth, day)


async def interpret_observations(request: Request, context: Context) -> Response:
    """``$interpret``: a ``result`` for each value. Raises BadRequest, NotFound, Gone."""
    known = await references(context)
    today = datetime.fromtimestamp(context.clock() / 1e6, UTC).astimezone(ZoneInfo(context.settings.zone)).date()
    given, observations = _input(request)
    person = _person(given, today)
    if request.id:
        if observations or given.keys() & {"code", "value", "unit"}:
            raise BadRequest("[id]/$interpret judges the stored Observation; give no other", "Parameters.parameter")
        stored = seen(context.store.read(request.type, request.id, context.access), f"Observation/{request.id}")
        assert stored.body is not None
        observations = [parse(stored.body)]
    results: list[Part] = []
    if observations and not request.id:
        _check_shape(observations, context)
    if observations:
        for observation in observations:
            results += _of_observation(known, observation, _filled(person, observation, context), today)
    else:
        results.append(_plain(known, given, person, today))
    return Response(200, resource={"resourceType": "Parameters", "parameter": results})


def _input(request: Request) -> tuple[dict[str, str], list[Resource]]:
    """The simple parameters and the Observations of the request."""
    body = input_of(request)
    if body is None:
        return dict(simple_pairs(request, _SIMPLE, "interpret")), []
    if body.get("resourceType") == "Observation":
        plain = replace(request, resource={"resourceType": "Parameters"})
        return dict(simple_pairs(plain, _SIMPLE, "interpret")), [body]
    observations: list[Resource] = []
    rest: list[Part] = []
    for part in parts_of(body, "interpret"):
        if part["name"] != "observation":
            rest.append(part)
            continue
        resource = part.get("resource")
        if not isinstance(resource, dict) or resource.get("resourceType") != "Observation":
            raise BadRequest(
                "Each parameter 'observation' holds an Observation",
                "Parameters.parameter.where(name='observation')",
                code="structure",
            )
        observations.append(resource)
    if len(observations) > _MOST:
        raise BadRequest(f"At most {_MOST} observations are judged at once", "Parameters.parameter", code="too-costly")
    simple = replace(request, resource={"resourceType": "Parameters", "parameter": rest})
    return dict(simple_pairs(simple, _SIMPLE, "interpret")), observations


def _check_shape(observations: list[Resource], context: Context) -> None:
    """Raise BadRequest where something has not the shape that R4 gives it; that something is missing is no harm."""
    for observation in observations:
        for issue in context.validator.check(observation):
            if issue.code in ("structure", "value") and issue.severity in ("error", "fatal"):
                raise BadRequest(issue.diagnostics, *issue.expression, code=issue.code)


def _person(given: dict[str, str], today: date) -> _Person:
    gender = given.get("gender", "")
    if gender and gender not in _GENDERS:
        raise BadRequest(f"gender is one of {', '.join(sorted(_GENDERS))}, not '{gender}'", "http.gender", code="value")
    age = _number(given["age"], "age") if "age" in given else None
    if age is not None and age < 0:
        raise BadRequest("age is in years, from 0 on", "http.age", code="value")
    birth = given.get("birthDate", "")
    if birth and (age_at(birth, today) is None or _earliest(birth, "birthDate") > today):
        raise BadRequest(f"birthDate is a date up to today, not '{birth}'", "http.birthDate", code="value")
    contexts = frozenset(part.strip() for part in given.get("context", "").split(",") if part.strip())
    return _Person(gender, birth, age, contexts)


def _earliest(text: str, name: str) -> date:
    """The first day that a FHIR date or dateTime may mean. Raises BadRequest for anything else."""
    try:
        if not _DATE.fullmatch(text):
            raise ValueError(text)
        return date.fromisoformat((text[:10] + "-01-01")[:10])
    except ValueError:
        raise BadRequest(f"{name} is a date like 2026-03-01, not '{text}'", f"http.{name}", code="value") from None


def _number(text: str, name: str) -> float:
    found = float(text) if _DECIMAL.fullmatch(text) else math.nan
    if not math.isfinite(found):
        raise BadRequest(f"{name} must be a number, not '{text}'", f"http.{name}", code="value")
    return found


def _filled(person: _Person, observation: Resource, context: Context) -> _Person:
    """``person``, with what was not said taken from the subject, as far as the requester may see it."""
    if person.gender and (person.birth or person.age is not None):
        return person
    subject = observation.get("subject")
    reference = subject.get("reference") if isinstance(subject, dict) else None
    type, _, id = str(reference or "").partition("/")
    stored = context.store.read("Patient", id, context.access) if type == "Patient" and id and "/" not in id else None
    if stored is None or stored.body is None:
        return person
    patient = parse(stored.body)
    birth = person.birth or ("" if person.age is not None else str(patient.get("birthDate", "")))
    return _Person(person.gender or str(patient.get("gender", "")), birth, person.age, person.contexts)


def _plain(known: References, given: dict[str, str], person: _Person, today: date) -> Part:
    for name in ("code", "value"):
        if name not in given:
            raise BadRequest(
                f"Give an observation, or 'code' and 'value'; '{name}' is missing", f"http.{name}", code="required"
            )
    system, _, code = given["code"].rpartition("|")
    coding = {"system": system or LOINC, "code": code}
    quantity: Resource = {"value": _number(given["value"], "value")}
    if unit := given.get("unit", ""):
        quantity["unit"] = unit
    age = person.age_on(_earliest(given["date"], "date") if "date" in given else today)
    return _result("", interpret(known, [coding], quantity, person.gender, age, person.contexts))


def _of_observation(known: References, observation: Resource, person: _Person, today: date) -> Iterator[Part]:
    taken = str(observation.get("effectiveDateTime") or (observation.get("effectivePeriod") or {}).get("start") or "")
    age = person.age_on(_day(taken, today))
    found = list(interpret_observation(known, observation, person.gender, age, person.contexts))
    if not found:
        yield _result("Observation", Finding(Verdict.UNKNOWN, reason="the observation has no value"))
    yield from (_result(element, one) for element, one in found)


def _day(text: str, today: date) -> date:
    try:
        return date.fromisoformat(text[:10]) if text else today
    except ValueError:
        return today


def _result(element: str, finding: Finding) -> Part:
    """A finding as a parameter with its facts and its words."""
    code, display, zh, en = _WORDS[finding.verdict]
    parts: list[Part] = [{"name": "verdict", "valueCode": finding.verdict.value}]
    if element:
        parts.insert(0, {"name": "element", "valueString": element})
    if code:
        coding = {"system": INTERPRETATION, "code": code, "display": display}
        parts.append({"name": "interpretation", "valueCodeableConcept": {"coding": [coding], "text": zh}})
    if finding.value is not None and math.isfinite(finding.value):
        parts.append({"name": "value", "valueQuantity": _quantity(finding.value, finding.unit)})
    if finding.interval is not None:
        parts += _interval(finding.interval, finding.unit)
    if finding.definition is not None and finding.definition.reference:
        reference = {"reference": finding.definition.reference, "display": finding.definition.name}
        parts.append({"name": "definition", "valueReference": reference})
    if finding.assumed and finding.verdict is not Verdict.UNKNOWN:
        parts.append({"name": "assumed-adult", "valueBoolean": True})
    if finding.reason:
        parts.append({"name": "reason", "valueString": finding.reason})
    name = finding.definition.name if finding.definition else ""
    zh, en = (f"{name}：{zh}" if name else zh), (f"{name}: {en}" if name else en)
    return {"name": "result", "part": [*parts, *text_parts(f"{zh}。", f"{en}.")]}


def _interval(interval: Interval, unit: str) -> Iterator[Part]:
    limits = (("low", interval.low), ("high", interval.high))
    range_ = {side: _quantity(limit, unit) for side, limit in limits if math.isfinite(limit)}
    yield {"name": "category", "valueCode": interval.category}
    if range_:
        yield {"name": "interval", "valueRange": range_}
    for side, excluded in (("low", interval.low_excluded), ("high", interval.high_excluded)):
        if excluded:
            yield {"name": "excluded", "valueCode": side}
    if interval.to_confirm:
        yield {"name": "to-confirm", "valueString": interval.to_confirm}


def _quantity(value: float, unit: str) -> Resource:
    number = int(value) if value == int(value) and abs(value) < 1e15 else float(f"{value:.6g}")
    return {"value": number, "unit": unit, "system": UCUM, "code": unit}
