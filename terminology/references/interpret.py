"""A measured value judged by the intervals of its ObservationDefinition: normal, low, high, critical, implausible.

https://hl7.org/fhir/R4/observationdefinition.html; categories of intervals:
https://hl7.org/fhir/R4/valueset-observation-range-category.html. What is outside a critical interval is critical,
what is outside an absolute one cannot be.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any

from terminology.comparators import bounds
from terminology.conversion import LOINC, NotConvertible, as_amount, convert
from terminology.references.definitions import EXCLUDED, TO_CONFIRM
from terminology.references.printed import unit_code

Resource = Mapping[str, Any]
ASSUMED_AGE = 40.0  # years; an unknown age is judged as an adult's, and that is said
_SEXES = ("male", "female")
_DAYS = 365.25


class Verdict(StrEnum):
    """What a value is. ABNORMAL: a finding without numbers that is not the normal one. UNKNOWN: no judgement."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    CRITICAL_LOW = "critical-low"
    CRITICAL_HIGH = "critical-high"
    IMPLAUSIBLE = "implausible"
    ABNORMAL = "abnormal"
    UNKNOWN = "unknown"

    @property
    def critical(self) -> bool:
        """Whether somebody has to be told at once."""
        return self in (Verdict.CRITICAL_LOW, Verdict.CRITICAL_HIGH)


@dataclass(frozen=True, slots=True)
class Interval:
    """One qualified interval, in the unit of its definition; ages in years, limits infinite where open.

    ``contexts``: codes of the populations and contexts that it is for (empty: everybody). ``to_confirm``: why the
    institution still has to confirm it ('' it stands).
    """

    category: str
    low: float
    high: float
    low_excluded: bool = False
    high_excluded: bool = False
    gender: str = ""
    since: float = 0.0
    until: float = math.inf
    until_excluded: bool = False
    contexts: frozenset[str] = frozenset()
    to_confirm: str = ""

    def below(self, value: float) -> bool:
        """Whether ``value`` is below the interval."""
        return value <= self.low if self.low_excluded else value < self.low

    def above(self, value: float) -> bool:
        """Whether ``value`` is above the interval."""
        return value >= self.high if self.high_excluded else value > self.high

    def about(self, gender: str, age: float, contexts: frozenset[str]) -> bool:
        """Whether it is for somebody of this sex and age in these contexts."""
        old = age >= self.until if self.until_excluded else age > self.until
        return self.gender in ("", gender) and age >= self.since and not old and self.contexts <= contexts

    @property
    def narrowness(self) -> tuple[int, bool, float]:
        """What is for fewer people prevails: order by this, the greatest first."""
        return len(self.contexts), bool(self.gender), -(self.until - self.since)


@dataclass(frozen=True, slots=True)
class Definition:
    """What an ObservationDefinition says: codes, unit, customary unit ('' none), intervals.

    ``reference`` is ``ObservationDefinition/id`` ('' unknown), ``name`` the report name, ``presence`` whether the
    item is absent or present, and absence is the normal finding.
    """

    reference: str
    name: str
    codes: frozenset[tuple[str, str]]
    unit: str
    customary: str = ""
    intervals: tuple[Interval, ...] = ()
    presence: bool = False

    @property
    def loinc(self) -> str:
        """A LOINC code of it, '' where it has none."""
        return min((code for system, code in self.codes if system == LOINC), default="")


@dataclass(frozen=True, slots=True)
class References:
    """Definitions by (system, code)."""

    by_code: Mapping[tuple[str, str], Definition] = field(default_factory=dict)

    def find(self, codings: Iterable[Resource]) -> Definition | None:
        """The definition of the first coding that has one.

        A LOINC code of a mass concentration leads to the definition of the same measurement as amount of substance.
        """
        for coding in codings:
            system, code = coding.get("system", ""), coding.get("code", "")
            found = self.by_code.get((system, code))
            if found is None and system == LOINC:
                found = self.by_code.get((LOINC, as_amount(code)))
            if found is not None:
                return found
        return None


@dataclass(frozen=True, slots=True)
class Finding:
    """The judgement on a value.

    ``interval`` decided it (None: none did); ``value`` is in ``unit``, the definition's (None: not convertible).
    ``reason`` says in English why there is no judgement, ``assumed`` whether the age was unknown and taken as an
    adult's.
    """

    verdict: Verdict
    definition: Definition | None = None
    interval: Interval | None = None
    value: float | None = None
    unit: str = ""
    reason: str = ""
    assumed: bool = False


def references_of(resources: Iterable[Resource]) -> References:
    """The definitions that ObservationDefinitions give; where two are for one code, the later one.

    What cannot be understood in them (they are edited by people) is left out, never an error.
    """
    found: dict[tuple[str, str], Definition] = {}
    for resource in resources:
        if resource.get("resourceType") == "ObservationDefinition" and (definition := _definition(resource)):
            found.update(dict.fromkeys(definition.codes, definition))
    return References(found)


def age_at(birth: str, day: date) -> float | None:
    """The age in years on ``day`` of somebody born on ``birth`` (FHIR date); None where it cannot be told.

    A year alone, or a year and month, count from their middle.
    """
    parts = birth.split("-")
    try:
        numbers = [int(part) for part in parts]
        born = date(*numbers) if len(parts) == 3 else date(numbers[0], numbers[1] if len(parts) == 2 else 7, 15)
    except (ValueError, TypeError):
        return None
    if (passed := (day - born).days) < 0:
        return None
    # Whole years by the calendar, so that a birthday counts on its day, and the rest by days.
    years = day.year - born.year - ((day.month, day.day) < (born.month, born.day))
    try:
        last = born.replace(year=born.year + years)
    except ValueError:  # born on 29 February
        last = date(born.year + years, 3, 1)
    return years + min((day - last).days / _DAYS, 0.9999) if years else passed / _DAYS


def interpret(
    references: References,
    code: str | Sequence[Resource],
    quantity: Resource,
    gender: str = "",
    age: float | None = None,
    contexts: frozenset[str] = frozenset(),
) -> Finding:
    """What a measured quantity is, for somebody of this sex and age.

    ``code``: a LOINC code, or codings; ``quantity``: a FHIR Quantity (comparators count); ``gender``: FHIR code
    ('' or unknown: told only what holds for both sexes); ``age`` in years; ``contexts``: codes of populations that
    the person is of (pregnancy …). Never raises: what cannot be judged is UNKNOWN and says why.
    """
    codings: Sequence[Resource] = [{"system": LOINC, "code": code}] if isinstance(code, str) else code
    definition = references.find(codings)
    if definition is None:
        return Finding(Verdict.UNKNOWN, reason="there is no definition of this item")
    if definition.presence:
        return Finding(Verdict.UNKNOWN, definition, reason="this item is absent or present, not measured")
    ends = _ends(quantity)
    if ends is None:
        return Finding(Verdict.UNKNOWN, definition, reason="the quantity has no number")
    unit = unit_code(quantity)
    if not unit:
        return Finding(Verdict.UNKNOWN, definition, reason="the quantity has no unit")
    loinc = next((c["code"] for c in codings if c.get("system") == LOINC and "code" in c), definition.loinc)
    try:
        low, high = (convert(end, unit, definition.unit, loinc) for end in ends)
    except NotConvertible as error:
        return Finding(Verdict.UNKNOWN, definition, reason=str(error))
    return _judged(definition, low, high, gender, age, contexts)


def _judged(
    definition: Definition, low: float, high: float, gender: str, age: float | None, contexts: frozenset[str]
) -> Finding:
    value = high if math.isinf(low) else low
    years = ASSUMED_AGE if age is None else age
    found: list[tuple[Verdict, Interval | None]] = []
    for sex in (gender,) if gender in _SEXES else _SEXES:
        mine = [one for one in definition.intervals if one.about(sex, years, contexts)]
        found += [_verdict(mine, end) for end in {_within(mine, low), _within(mine, high)}]
    verdicts = {verdict for verdict, _ in found}
    assumed = age is None
    if len(verdicts) > 1:
        why = "the sexes differ, and the sex is not known" if low == high else "the value is only bounded"
        return Finding(Verdict.UNKNOWN, definition, None, value, definition.unit, why, assumed)
    verdict, interval = found[0]
    reason = "no interval is for this sex and age" if verdict is Verdict.UNKNOWN else ""
    return Finding(verdict, definition, interval, value, definition.unit, reason, assumed)


def _within(intervals: Sequence[Interval], end: float) -> float:
    """An open end taken as the last value that can be."""
    if math.isfinite(end):
        return end
    absolute = [one for one in intervals if one.category == "absolute"]
    limits = [one.low if end < 0 else one.high for one in absolute]
    return next((limit for limit in limits if math.isfinite(limit)), end)


def _verdict(intervals: Sequence[Interval], value: float) -> tuple[Verdict, Interval | None]:
    for category, (under, over) in _OUTSIDE.items():
        mine = [one for one in intervals if one.category == category]
        if not mine:
            continue
        interval = mine[0] if len(mine) == 1 else max(mine, key=_narrowness)
        if interval.below(value):
            return under, interval
        if interval.above(value):
            return over, interval
        if category == "reference":
            return Verdict.NORMAL, interval
    return Verdict.UNKNOWN, None


def _narrowness(interval: Interval) -> tuple[int, bool, float]:
    return interval.narrowness


# What is below and above an interval of each category; the first that says something decides.
_OUTSIDE = {
    "absolute": (Verdict.IMPLAUSIBLE, Verdict.IMPLAUSIBLE),
    "critical": (Verdict.CRITICAL_LOW, Verdict.CRITICAL_HIGH),
    "reference": (Verdict.LOW, Verdict.HIGH),
}


def _ends(quantity: Resource) -> tuple[float, float] | None:
    """The least and greatest value that a quantity stands for."""
    value = quantity.get("value")
    if value is None or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    if not math.isfinite(number):
        return None
    return bounds(number, quantity.get("comparator"))


def _definition(resource: Resource) -> Definition | None:
    try:
        codings = resource["code"]["coding"]
        codes = frozenset((one.get("system", ""), one["code"]) for one in codings if "code" in one)
        details = resource.get("quantitativeDetails") or {}
        unit, customary = _unit(details.get("unit")), _unit(details.get("customaryUnit"))
        loinc = min((code for system, code in codes if system == LOINC), default="")
        intervals = [_interval(one, unit, loinc) for one in resource.get("qualifiedInterval") or ()]
        name = resource.get("preferredReportName") or resource["code"].get("text") or ""
    except (KeyError, TypeError, AttributeError, ValueError):
        return None
    reference = f"ObservationDefinition/{resource['id']}" if resource.get("id") else ""
    presence = "normalCodedValueSet" in resource and not unit
    kept = tuple(one for one in intervals if one is not None)
    return Definition(reference, str(name), codes, unit, customary, kept, presence)


def _unit(concept: Resource | None) -> str:
    return next((str(one["code"]) for one in (concept or {}).get("coding", ()) if one.get("code")), "")


def _interval(one: Resource, unit: str, loinc: str) -> Interval | None:
    range_ = one.get("range")
    if not range_ or one.get("gestationalAge"):
        return None
    try:
        low, high = (_limit(range_.get(side), unit, loinc) for side in ("low", "high"))
        age = one.get("age") or {}
        since, until = (_limit(age.get(side), "a", "") for side in ("low", "high"))
    except NotConvertible:
        return None
    named = [one.get("context") or {}, *(one.get("appliesTo") or ())]
    contexts = frozenset(c["code"] for concept in named for c in concept.get("coding", ()) if "code" in c)
    return Interval(
        one.get("category") or "reference",
        -math.inf if low is None else low,
        math.inf if high is None else high,
        _excluded(range_.get("low")),
        _excluded(range_.get("high")),
        str(one.get("gender") or "") if one.get("gender") in _SEXES else "",
        since or 0.0,
        math.inf if until is None else until,
        _excluded(age.get("high")),
        contexts,
        next((e.get("valueString", "") for e in one.get("extension") or () if e.get("url") == TO_CONFIRM), ""),
    )


def _limit(quantity: Resource | None, unit: str, loinc: str) -> float | None:
    if quantity is None or "value" not in quantity:
        return None
    return convert(float(quantity["value"]), unit_code(quantity) or unit, unit, loinc)


def _excluded(quantity: Resource | None) -> bool:
    extensions = (quantity or {}).get("extension") or ()
    return any(e.get("url") == EXCLUDED and e.get("valueBoolean") is True for e in extensions)
