"""The weights by which two records are judged one person's, and the judgement: certain, probable, possible, or not.

First what needs no score: equal checked identity numbers with equal names are one person, other names go to a
steward; two different numbers of a kind that a person has once are two persons. The rest is scored after Fellegi
and Sunter (1969): for each field the logarithm of how much likelier its agreement is for one person (m) than for
two (u). A score alone is never certain: names, birthdays, phones and addresses are shared by twins, namesakes and
families, so some number that is the person's own must agree as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import log2

from fhir_server.records.matching.demographics import Agreement, Born, address, born, phone
from fhir_server.records.matching.names import Likeness, Name, chance, equal, likeness
from fhir_server.records.matching.person import Person
from loaders.demo.identity import HEALTH_FILE_NUMBER


class Grade(StrEnum):
    """http://terminology.hl7.org/CodeSystem/match-grade, the best first."""

    CERTAIN = "certain"
    PROBABLE = "probable"
    POSSIBLE = "possible"
    NOT = "certainly-not"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement on a pair: ``bits`` of evidence, ``why`` as codes of what decided (nothing of the persons)."""

    grade: Grade
    bits: float
    why: tuple[str, ...]

    @property
    def score(self) -> float:
        """The probability that both are one person, 0 to 1 with four decimals."""
        if self.grade is Grade.CERTAIN:
            return 1.0
        if self.grade is Grade.NOT:
            return 0.0
        return min(0.9999, round(1 / (1 + 2 ** (PRIOR - self.bits)), 4))


PRIOR = 19.0  # log2 of a county's residents: how many bits tell one among them
AUTOMATIC = 32.0
REVIEW = 17.0
POSSIBLE = 10.0

# (m, times the chance of the very name that a stranger's name is like it so)
_NAME: dict[Likeness, tuple[float, float]] = {
    Likeness.EXACT: (0.90, 1),
    Likeness.VARIANT: (0.01, 1),
    Likeness.TRANSPOSED: (0.006, 1),
    Likeness.ROMANISED: (0.01, 8),
    Likeness.HOMOPHONE: (0.025, 8),
    Likeness.SOUND: (0.008, 16),
    Likeness.CHARACTER: (0.025, 60),
}
_NAME_BITS = {Likeness.SURNAME: -3.0, Likeness.DIFFERENT: -8.0, Likeness.MISSING: 0.0}
_NAME_MOST = 16.0
_TEMPORARY = -1.0  # a provisional name says nothing for, and little against
_BORN: dict[Born, float] = {
    Born.EXACT: 14.8,
    Born.SLIP: 4.3,
    Born.LUNAR: 3.0,
    Born.MONTH: 9.8,
    Born.YEAR: 6.2,
    Born.NEAR_YEAR: 2.0,
    Born.DIFFERENT: -6.6,
    Born.MISSING: 0.0,
}
_SEX = (1.0, -5.6)  # agreeing, differing
_PHONE: dict[Agreement, float] = {
    Agreement.SAME: 5.0,
    Agreement.SLIP: 2.0,
    Agreement.DIFFERENT: -1.2,
    Agreement.MISSING: 0.0,
}
_ADDRESS: dict[Agreement, float] = {
    Agreement.SAME: 4.0,
    Agreement.VILLAGE: 3.0,
    Agreement.TOWNSHIP: 1.5,
    Agreement.DIFFERENT: -1.2,
    Agreement.MISSING: 0.0,
}
_PERSONAL = 12.0  # a card, file or register number that is the person's own
_UNCHECKED = 9.0  # an identity number without checksum
_MOTHER = 10.0
_ORDER_DIFFERS = -20.0
_CERTAIN_BITS = 60.0


def judge(a: Person, b: Person) -> Verdict:
    """Whether two records are one person's."""
    named = _best_name(a, b)
    return _by_number(a, b, named[0]) or _by_birth(a, b, named[0]) or _scored(a, b, named)


def _best_name(a: Person, b: Person) -> tuple[Likeness, Name | None]:
    best: tuple[Likeness, Name | None] = (Likeness.MISSING, None)
    order = list(Likeness)
    for one in a.names:
        for other in b.names:
            found = likeness(one, other)
            if best[1] is None or order.index(found) < order.index(best[0]):
                best = (found, one if one.temporary or len(one.given) <= len(other.given) else other)
    return best


def _by_number(a: Person, b: Person, alike: Likeness) -> Verdict | None:
    if a.numbers & b.numbers:
        if any(equal(one, other) for one in a.names for other in b.names):
            return Verdict(Grade.CERTAIN, _CERTAIN_BITS, ("identity-number", "name"))
        return Verdict(Grade.PROBABLE, AUTOMATIC, ("identity-number", f"name-{alike}"))
    mine, theirs = a.owned, b.owned
    if any(values.isdisjoint(theirs[system]) for system, values in mine.items() if system in theirs):
        return Verdict(Grade.NOT, -_CERTAIN_BITS, ("other-identity-number",))
    return None


def _by_birth(a: Person, b: Person, alike: Likeness) -> Verdict | None:
    """Newborns: one mother, one day, one place in the order of birth."""
    if a.mother is None or a.mother != b.mother or born(a.born, b.born) is not Born.EXACT:
        return None
    if a.order is None or b.order is None:
        return None
    if a.order != b.order or (a.sex and b.sex and a.sex != b.sex):
        return Verdict(Grade.NOT, -_CERTAIN_BITS, ("mother", "other-birth-order"))
    named = not any(name.temporary for name in (*a.names, *b.names))
    if named and alike not in (Likeness.EXACT, Likeness.VARIANT):
        return Verdict(Grade.PROBABLE, AUTOMATIC, ("mother", "birth-order", f"name-{alike}"))
    return Verdict(Grade.CERTAIN, _CERTAIN_BITS, ("mother", "birth-date", "birth-order"))


def _scored(a: Person, b: Person, named: tuple[Likeness, Name | None]) -> Verdict:
    alike, name = named
    dates = born(a.born, b.born)
    temporary = any(one.temporary for one in (*a.names, *b.names))
    bits = _TEMPORARY if temporary and alike is not Likeness.MISSING else _name_bits(alike, name)
    bits += _BORN[dates]
    if a.sex and b.sex:
        bits += _SEX[a.sex != b.sex]
    called, lives = phone(a.phones, b.phones), address(a.places, b.places)
    bits += _PHONE[called] + _ADDRESS[lives]
    why = [f"name-{alike}", f"birth-date-{dates}"]
    own = {system for system, _ in a.personal & b.personal}
    if own:
        bits += _PERSONAL
        why.append("personal-number")
    if (a.numbers | a.unchecked) & (b.numbers | b.unchecked):
        bits += _UNCHECKED
        why.append("unchecked-identity-number")
    if a.mother is not None and a.mother == b.mother:
        bits += _MOTHER
    if a.order and b.order and a.order != b.order:
        bits += _ORDER_DIFFERS
    # File numbers are given one after the other, so one could be guessed: phone or address must agree as well.
    proven = bool(own - {HEALTH_FILE_NUMBER}) or (bool(own) and Agreement.SAME in (called, lives))
    overwhelming = proven and not temporary and alike in _WRITTEN and dates is Born.EXACT
    return Verdict(_grade(a, b, bits, overwhelming), bits, tuple(why))


_WRITTEN = frozenset({Likeness.EXACT, Likeness.VARIANT})


def _name_bits(alike: Likeness, name: Name | None) -> float:
    if alike in _NAME_BITS or name is None:
        return _NAME_BITS.get(alike, 0.0)
    m, spread = _NAME[alike]
    return min(_NAME_MOST, max(0.0, log2(m / min(1.0, chance(name) * spread))))


def _grade(a: Person, b: Person, bits: float, overwhelming: bool) -> Grade:
    """``overwhelming``: the very name, the birth date, and a number of the person's own agree."""
    if bits >= AUTOMATIC and overwhelming and bool(a.sex) and a.sex == b.sex:
        return Grade.CERTAIN
    if bits >= REVIEW:
        return Grade.PROBABLE
    return Grade.POSSIBLE if bits >= POSSIBLE else Grade.NOT
